//! Snapshots through DataFusion: the same answers as over the scanned rows, less read.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::model_test::{Opened, Row, commit, dead_letter, open, spec, timed};
use super::*;
use crate::facts::Facts;
use crate::state::{Series as Name, Settings};
use crate::time::Epoch;

const COUNTRIES: [Option<&str>; 3] = [Some("de"), Some("fr"), None];

fn facts(epoch: u64, watermark_ms: i64) -> Facts {
    Facts {
        epoch: Epoch(epoch),
        watermark_ms: Some(watermark_ms),
        committed_at_ms: Some(1_000_000),
        ..Facts::default()
    }
}

/// Forty epochs of a window each, the last twenty-five within the retention; some rows provisional.
fn filled(opened: &mut Opened) -> Arc<Snapshot> {
    let row = |end: i64, i: usize| -> Row { (end, COUNTRIES[i], end * 10 + i as i64) };
    let mut last = None;
    for epoch in 1..=40 {
        let end = epoch * 16;
        let finals: Vec<Row> = (0..3).map(|i| row(end, i)).collect();
        let changes = Changes {
            finals: vec![timed(&finals, true)],
            provisionals: vec![timed(&[row(end + 16, 0), row(end + 16, 2)], false)],
            dead_letters: vec![dead_letter(epoch)],
            ..Changes::default()
        };
        last = Some(commit(opened, facts(epoch.cast_unsigned(), end), &changes).0);
    }
    last.expect("forty epochs")
}

async fn answer(context: &SessionContext, sql: &str) -> Result<String, String> {
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    Ok(pretty_format_batches(&batches).expect("printable").to_string())
}

const QUERIES: [&str; 8] = [
    "SELECT count(*) FROM t",
    "SELECT * FROM t ORDER BY window_end, country",
    "SELECT orders, country FROM t WHERE country = 'fr' ORDER BY orders",
    "SELECT sum(orders) FROM t WHERE window_end > TIMESTAMP '1970-01-01T00:00:00.500Z'",
    "SELECT count(*), _final FROM t WHERE window_end BETWEEN \
     TIMESTAMP '1970-01-01T00:00:00.400Z' AND TIMESTAMP '1970-01-01T00:00:00.512Z' \
     OR country IS NULL GROUP BY _final ORDER BY 2",
    "SELECT country FROM t WHERE country > 'e' AND NOT _final ORDER BY 1",
    "SELECT max(orders) FROM t WHERE country IN ('de', 'xx') AND window_end < now()",
    "SELECT count(*) FROM t WHERE country LIKE 'd%' AND orders % 2 = 0",
];

#[tokio::test]
async fn queries_answer_as_over_the_scanned_rows() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    let snapshot = filled(&mut opened);
    let rows: Vec<RecordBatch> =
        snapshot.scan(None, None).expect("all columns").map(|rows| rows.expect("read")).collect();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 25 * 3 + 2);
    let scanned = MemTable::try_new(Arc::clone(snapshot.schema()), vec![rows]).expect("fits");
    let (expected, actual) = (SessionContext::new(), SessionContext::new());
    expected.register_table("t", Arc::new(scanned)).expect("registered");
    actual.register_table("t", snapshot.provider()).expect("registered");
    for sql in QUERIES {
        let expected = answer(&expected, sql).await.expect(sql);
        assert_eq!(answer(&actual, sql).await.expect(sql), expected, "{sql}");
    }
    let three = answer(&actual, "SELECT country FROM t LIMIT 3").await.expect("answered");
    assert_eq!(three.lines().count(), 3 + 4, "{three}");
}

#[tokio::test]
async fn blocks_that_a_filter_excludes_are_not_read() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    let snapshot = filled(&mut opened);
    // The newest block is damaged: whoever reads it fails.
    let newest = *opened.store.row_blocks(Name::Finals).expect("read").last().expect("has blocks");
    let mut tx = opened.store.begin(Epoch(41));
    tx.delete_block(Name::Finals, newest);
    let settings = Settings { parallelism: 1, ..Settings::default() };
    tx.set_facts(&facts(41, 640), settings);
    tx.commit().expect("committed");

    let context = SessionContext::new();
    context.register_table("t", snapshot.provider()).expect("registered");
    let sql = |filter: &str| format!("SELECT count(orders) FROM t WHERE _final AND {filter}");
    let read = [
        "window_end < TIMESTAMP '1970-01-01T00:00:00.300Z'",
        "window_end = TIMESTAMP '1970-01-01T00:00:00.640Z' AND country = 'nl'",
        "country = 'aa' OR window_end IN (TIMESTAMP '1970-01-01T00:00:00.256Z')",
    ];
    for filter in read {
        answer(&context, &sql(filter)).await.expect(filter);
    }
    for filter in ["true", "window_end >= TIMESTAMP '1970-01-01T00:00:00.640Z'", "country IS NULL"] {
        let refusal = answer(&context, &sql(filter)).await.expect_err(filter);
        assert!(refusal.contains("of the result table is damaged: it is missing"), "{refusal}");
    }
}

#[tokio::test]
async fn dead_letters_of_all_pipelines_are_one_table() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("made"));
    let mut opened = dirs.each_ref().map(|dir| open(dir.path()));
    let [revenue, clicks] = opened.each_mut().map(filled);
    let table = dead_letters_provider(vec![("revenue".to_owned(), revenue), ("clicks".to_owned(), clicks)]);
    let context = SessionContext::new();
    context.register_table("dead_letters", table).expect("registered");
    let sql = "SELECT count(*), pipeline, min(\"offset\"), max(epoch), min(record_time), \
               min(schema_id), min(reason) FROM dead_letters WHERE pipeline <> 'x' GROUP BY pipeline ORDER BY 2";
    let expected = expect_test::expect![[r#"
        +----------+----------+--------------------------+-------------------------+-------------------------------+-----------------------------+--------------------------+
        | count(*) | pipeline | min(dead_letters.offset) | max(dead_letters.epoch) | min(dead_letters.record_time) | min(dead_letters.schema_id) | min(dead_letters.reason) |
        +----------+----------+--------------------------+-------------------------+-------------------------------+-----------------------------+--------------------------+
        | 40       | clicks   | 1                        | 40                      | 1970-01-01T00:00:01.001Z      | 4294967295                  | bad_payload              |
        | 40       | revenue  | 1                        | 40                      | 1970-01-01T00:00:01.001Z      | 4294967295                  | bad_payload              |
        +----------+----------+--------------------------+-------------------------+-------------------------------+-----------------------------+--------------------------+"#]];
    expected.assert_eq(&answer(&context, sql).await.expect("answered"));
    let none = answer(&context, "SELECT count(*) FROM dead_letters WHERE pipeline = 'x'").await;
    assert!(none.expect("answered").contains("| 0 "));
}

#[test]
fn a_large_epoch_is_several_blocks_and_its_newest_rows_come_first_if_asked() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    let finals: Vec<Row> = (0..200_000).map(|i| (1, Some("de"), i)).collect();
    let changes = Changes { finals: vec![timed(&finals, true)], ..Changes::default() };
    let (snapshot, _) = commit(&mut opened, facts(1, 1), &changes);
    assert!(4 <= opened.store.row_blocks(Name::Finals).expect("read").len());
    let orders = |batch: &RecordBatch| -> Int64Array { batch.column(0).as_primitive::<Int64Type>().clone() };
    let all = snapshot.scan(Some(&[1]), None).expect("a column");
    let all: Vec<i64> = all.flat_map(|batch| orders(&batch.expect("read")).values().to_vec()).collect();
    assert!(all.iter().copied().eq(0..200_000));
    let mut newest = snapshot.scan_newest_first(Some(&[1]), None).expect("a column");
    let first = orders(&newest.next().expect("not empty").expect("read"));
    assert_eq!(first.values().last(), Some(&199_999));
    assert!(snapshot.scan(None, Some(1)).expect("all columns").next().is_none(), "later than 1");
    assert!(snapshot.scan(Some(&[4]), None).is_err(), "there are four columns");
}

#[test]
fn a_retention_of_zero_keeps_dead_letters_only() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    drop(filled(&mut opened));
    let spec = TableSpec { retention_ms: 0, ..spec() };
    opened.tables = Tables::open(&opened.store, spec).expect("listed");
    let changes = Changes {
        finals: vec![timed(&[(700, Some("de"), 1)], true)],
        provisionals: vec![timed(&[(716, Some("de"), 1)], false)],
        dead_letters: vec![dead_letter(41)],
        ..Changes::default()
    };
    let (snapshot, _) = commit(&mut opened, facts(41, 700), &changes);
    assert!(!snapshot.has_table());
    assert!(snapshot.scan(None, None).expect("all columns").next().is_none());
    let letters = snapshot.dead_letters(None).expect("all columns");
    assert_eq!(letters.map(|batch| batch.expect("read").num_rows()).sum::<usize>(), 41);
    drop(commit(&mut opened, facts(42, 700), &Changes::default()));
    assert_eq!(opened.store.row_blocks(Name::Finals).expect("read"), [0; 0], "their disk is freed");
}

#[test]
fn of_dead_letters_the_newest_are_kept_that_fit() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    // Nothing that compression makes smaller.
    let mut random: u64 = 1;
    let mut payload = || {
        let next = |_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        (0..64 << 10).map(next).collect::<Vec<u8>>()
    };
    let n_fitting = i64::try_from(LettersKept::DEFAULT.bytes >> 16).expect("few");
    let n_letters = 2 * n_fitting;
    let mut n_expired = 0;
    for offset in 0..n_letters {
        let letter = DeadLetter { payload: Some(payload()), ..dead_letter(offset) };
        let changes = Changes { dead_letters: vec![letter], ..Changes::default() };
        n_expired += commit(&mut opened, facts(offset.cast_unsigned() + 1, 1), &changes).1.letters_expired;
    }
    let (snapshot, applied) =
        commit(&mut opened, facts(n_letters.cast_unsigned() + 1, 1), &Changes::default());
    let letters = snapshot.dead_letters(Some(&[3])).expect("a column");
    let offsets: Vec<i64> = letters
        .flat_map(|batch| batch.expect("read").column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    let oldest = offsets[0];
    assert!(offsets.iter().copied().eq(oldest..n_letters), "the newest, without a gap: {offsets:?}");
    let n_kept = n_letters - oldest;
    assert_eq!(n_expired + applied.letters_expired, oldest.cast_unsigned(), "those that went are counted");
    assert!(n_fitting / 4 < n_kept && n_kept <= n_fitting, "{n_kept} kept, {n_fitting} fit");
}
