//! The tables of a pipeline against a model: any sequence of epochs, crashes and held snapshots.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMillisecondType};
use proptest::prelude::*;

use super::*;
use crate::connector::Reason;
use crate::facts::Facts;
use crate::state::{Memory, Series as Name, Settings, Store};
use crate::time::Epoch;

pub(super) const RETENTION_MS: i64 = 400;

/// `(window_end, country, orders)`: a row, the first two its key.
pub(super) type Row = (i64, Option<&'static str>, i64);

const COUNTRIES: [Option<&str>; 4] = [Some("de"), Some("fr"), Some(""), None];

pub(super) fn spec() -> TableSpec {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("country", DataType::Utf8, true),
        Field::new("orders", DataType::Int64, false),
        Field::new("window_end", time, false),
        Field::new("_final", DataType::Boolean, false),
    ]);
    TableSpec {
        schema: Arc::new(schema),
        key: vec![2, 0],
        retention_ms: RETENTION_MS,
        provisional: true,
        letters: LettersKept::DEFAULT,
    }
}

pub(super) fn timed(rows: &[Row], is_final: bool) -> TimedRows {
    let times = rows.iter().map(|row| row.0);
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(TimestampMillisecondArray::from_iter_values(times.clone()).with_timezone("UTC")),
        Arc::new(BooleanArray::from(vec![is_final; rows.len()])),
    ];
    let rows = RecordBatch::try_new(spec().schema, columns).expect("fits");
    TimedRows { rows, times_ms: Int64Array::from_iter_values(times) }
}

fn keys(rows: &[Row]) -> RecordBatch {
    timed(rows, false).rows.project(&spec().key).expect("in range")
}

fn rows_of(batch: &RecordBatch) -> Vec<(i64, Option<String>, i64, bool)> {
    let (country, orders) = (batch.column(0).as_string::<i32>(), batch.column(1));
    let (orders, end) = (orders.as_primitive::<Int64Type>(), batch.column(2));
    let end = end.as_primitive::<TimestampMillisecondType>();
    let country = country.iter().map(|country| country.map(str::to_owned));
    let is_final = batch.column(3).as_boolean().values();
    let rows = end.values().iter().zip(country).zip(orders.values()).zip(is_final);
    rows.map(|(((end, country), orders), is_final)| (*end, country, *orders, is_final)).collect()
}

/// What a snapshot has to show: final rows in order, then provisional ones by key.
type Shown = (Vec<(i64, Option<String>, i64, bool)>, Vec<i64>);

fn shown(snapshot: &Snapshot) -> Shown {
    let batches = snapshot.scan(None, None).expect("all columns").map(|batch| batch.expect("read"));
    let mut rows: Vec<_> = batches.flat_map(|batch| rows_of(&batch)).collect();
    let n_final = rows.iter().take_while(|row| row.3).count();
    rows[n_final..].sort();
    let offsets = snapshot.dead_letters(Some(&[3])).expect("a column");
    let offsets = offsets
        .flat_map(|batch| batch.expect("read").column(0).as_primitive::<Int64Type>().values().to_vec());
    (rows, offsets.collect())
}

#[derive(Debug, Clone, Default)]
struct Model {
    watermark_ms: i64,
    now_ms: i64,
    finals: Vec<Row>,
    overlay: BTreeMap<(i64, Option<&'static str>), i64>,
    epoch: u64,
    next_offset: i64,
    /// Offset, when it became one, and in which epoch.
    dead_letters: Vec<(i64, i64, u64)>,
}

impl Model {
    fn shown(&self) -> Shown {
        let visible = |end: i64| self.watermark_ms - RETENTION_MS < end;
        let owned = |country: Option<&str>| country.map(str::to_owned);
        let finals = self.finals.iter().filter(|row| visible(row.0));
        let finals = finals.map(|row| (row.0, owned(row.1), row.2, true));
        let overlay = self.overlay.iter().filter(|(key, _)| visible(key.0));
        let overlay = overlay.map(|(key, orders)| (key.0, owned(key.1), *orders, false));
        let kept = |letter: &&(i64, i64, u64)| self.now_ms - 7 * 86_400_000 < letter.1;
        let offsets = self.dead_letters.iter().filter(kept).map(|letter| letter.0);
        (finals.chain(overlay).collect(), offsets.collect())
    }

    /// Plays an epoch; returns what it changes and which deletes had a row.
    fn play(&mut self, step: &Step) -> (Changes, Vec<Row>) {
        self.watermark_ms += step.watermark_by_ms;
        self.now_ms += step.now_by_ms;
        self.epoch += 1;
        let mut changes = Changes::default();
        let closed: Vec<Row> = self
            .overlay
            .iter()
            .filter(|(key, _)| key.0 <= self.watermark_ms)
            .map(|(key, orders)| (key.0, key.1, *orders))
            .collect();
        let (mut finals, mut deletes) = (Vec::new(), Vec::new());
        for (nth, row) in closed.into_iter().enumerate() {
            self.overlay.remove(&(row.0, row.1));
            // Some groups vanish by HAVING, the others become final.
            if nth % 5 == step.vanishing { deletes.push(row) } else { finals.push(row) }
        }
        let deleted = deletes.clone();
        // Never seen by readers: must not be reported as deleted.
        deletes.push((self.watermark_ms - 1, Some("xx"), 0));
        let mut updates = BTreeMap::new();
        for (ahead_ms, country, orders) in &step.updates {
            let key = (self.watermark_ms + ahead_ms, COUNTRIES[*country]);
            updates.insert(key, *orders);
        }
        self.overlay.extend(updates.clone());
        self.finals.extend(&finals);
        let updates: Vec<Row> = updates.into_iter().map(|(key, n)| (key.0, key.1, n)).collect();
        changes.finals.push(timed(&finals, true));
        changes.provisionals.push(timed(&updates, false));
        changes.deletes.push(keys(&deletes));
        if let Some(nth) = step.replayed {
            self.replay(nth, &mut changes);
        }
        for _ in 0..step.dead_letters {
            self.dead_letters.push((self.next_offset, self.now_ms, self.epoch));
            changes.dead_letters.push(dead_letter(self.next_offset));
            self.next_offset += 1;
        }
        (changes, deleted)
    }

    /// Runs every fourth letter again; every other one of them fails again.
    fn replay(&mut self, nth: i64, changes: &mut Changes) {
        let kept_after = self.now_ms - 7 * 86_400_000;
        let is_run = |letter: &(i64, i64, u64)| letter.0 % 4 == nth && kept_after < letter.1;
        let run: Vec<_> = self.dead_letters.iter().copied().filter(is_run).collect();
        self.dead_letters.retain(|letter| !is_run(letter));
        for (offset, _, epoch) in run {
            changes.replayed.push(LetterId { epoch: Epoch(epoch), partition: 0, offset });
            if offset % 8 == nth {
                self.dead_letters.push((offset, self.now_ms, self.epoch));
                changes
                    .dead_letters
                    .push(dead_letter(offset).again(Why::new(Reason::BadPayload, String::new()), ""));
            }
        }
    }
}

pub(super) fn dead_letter(offset: i64) -> DeadLetter {
    DeadLetter {
        source: "orders".to_owned(),
        topic: "shop.orders".to_owned(),
        partition: Some(0),
        offset: Some(offset),
        record_time_ms: Some(1_000 + offset),
        schema_id: Some(u32::MAX),
        reason: Reason::BadPayload,
        detail: "expected 8 bytes, found 3".to_owned(),
        key: None,
        payload: Some(vec![0, 255]),
        headers: vec![("trace".to_owned(), Some(vec![1])), ("empty".to_owned(), None)],
        operator: Some("orders".to_owned()),
        replays: 0,
        missed_ms: Some((-5, offset)),
    }
}

#[derive(Debug, Clone)]
struct Step {
    watermark_by_ms: i64,
    now_by_ms: i64,
    vanishing: usize,
    /// End of the window ahead of the watermark, country, orders.
    updates: Vec<(i64, usize, i64)>,
    dead_letters: usize,
    replayed: Option<i64>,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    HoldSnapshot,
    DropOldestSnapshot,
    /// Another epoch is prepared and lost with the process.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let update = (1..40i64, 0..COUNTRIES.len(), any::<i64>());
    let then = prop_oneof![
        8 => Just(Then::Nothing),
        2 => Just(Then::HoldSnapshot),
        1 => Just(Then::DropOldestSnapshot),
        1 => Just(Then::Crash),
    ];
    let now_by_ms = prop_oneof![9 => Just(250), 1 => Just(86_400_000)];
    let replayed = prop_oneof![4 => Just(None), 1 => (0..4i64).prop_map(Some)];
    let letters = (0..3usize, replayed);
    (0..12i64, now_by_ms, 0..9usize, prop::collection::vec(update, 0..5), letters, then).prop_map(
        |(watermark_by_ms, now_by_ms, vanishing, updates, (dead_letters, replayed), then)| Step {
            watermark_by_ms,
            now_by_ms,
            vanishing,
            updates,
            dead_letters,
            replayed,
            then,
        },
    )
}

pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) tables: Tables,
}

pub(super) fn open(dir: &Path) -> Opened {
    let store = Store::open(dir, &Memory::new(8 << 20, 16 << 20)).expect("opened");
    let tables = Tables::open(&store, spec()).expect("listed");
    Opened { store, tables }
}

pub(super) fn commit(opened: &mut Opened, facts: Facts, changes: &Changes) -> (Arc<Snapshot>, Applied) {
    let mut tx = opened.store.begin(facts.epoch);
    let now_ms = facts.committed_at_ms.expect("known");
    let applied = opened.tables.apply(&mut tx, changes, facts.watermark_ms, now_ms).expect("fits");
    tx.set_facts(&facts, Settings { parallelism: 1, ..Settings::default() });
    tx.commit().expect("committed");
    (opened.tables.publish(facts), applied)
}

fn facts(epoch: u64, model: &Model) -> Facts {
    Facts {
        epoch: Epoch(epoch),
        watermark_ms: Some(model.watermark_ms),
        committed_at_ms: Some(model.now_ms),
        ..Facts::default()
    }
}

fn reopen(dir: &Path, model: &Model) -> Opened {
    let mut opened = open(dir);
    let overlay: Vec<Row> = model.overlay.iter().map(|(key, n)| (key.0, key.1, *n)).collect();
    opened.tables.seed_overlay(&[timed(&overlay, false)]).expect("fits");
    opened
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn snapshots_show_their_epoch_whatever_happens_after(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let dir = tempfile::tempdir().expect("made");
        let (mut opened, mut model) = (open(dir.path()), Model::default());
        let mut held: Vec<(Arc<Snapshot>, Shown)> = Vec::new();
        let mut epoch = 0;
        for step in steps {
            epoch += 1;
            let (changes, deleted) = model.play(&step);
            let (snapshot, applied) = commit(&mut opened, facts(epoch, &model), &changes);
            prop_assert_eq!(shown(&snapshot), model.shown());
            let expected: Vec<_> = (!deleted.is_empty()).then(|| keys(&deleted)).into_iter().collect();
            prop_assert_eq!(applied.deletes, expected);
            match step.then {
                Then::Nothing => {}
                Then::HoldSnapshot => held.push((snapshot, model.shown())),
                Then::DropOldestSnapshot => drop(held.drain(..1.min(held.len()))),
                Then::Crash => {
                    let (changes, _) = model.clone().play(&step);
                    let mut tx = opened.store.begin(Epoch(epoch + 1));
                    opened.tables.apply(&mut tx, &changes, Some(model.watermark_ms), 0).expect("fits");
                    drop((tx, snapshot));
                    held.clear();
                    drop(opened);
                    opened = reopen(dir.path(), &model);
                    let snapshot = opened.tables.publish(facts(epoch, &model));
                    prop_assert_eq!(shown(&snapshot), model.shown());
                }
            }
            for (snapshot, shown_then) in &held {
                prop_assert_eq!(&shown(snapshot), shown_then);
            }
        }
        drop(held);
        // The first deletes what those snapshots kept, and may retire blocks; the second deletes these.
        let quiet = Changes::default();
        for quiet_epoch in [epoch + 1, epoch + 2] {
            drop(commit(&mut opened, facts(quiet_epoch, &model), &quiet));
        }
        for name in [Name::Finals, Name::DeadLetters] {
            let mut listed = Vec::new();
            opened.store.each_block(name, |id, _: serde_json::Value| listed.push(id)).expect("read");
            prop_assert!(listed.len() < 40, "{} blocks of {}", listed.len(), name);
            let mut on_disk = opened.store.row_blocks(name).expect("read");
            on_disk.retain(|id| !listed.contains(id));
            let retired = opened.store.retired_blocks(name).expect("read");
            prop_assert_eq!(on_disk, retired, "nothing leaks");
        }
    }
}
