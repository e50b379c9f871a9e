//! Avro files of a folder as a source: each codec, schemas that change, damage, files that grow and come later, and a
//! process that is killed in the middle.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use apache_avro::types::Value as Avro;
use apache_avro::{Bzip2Settings, Codec, DeflateSettings, Schema, Writer, XzSettings, ZstandardSettings};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_engine::state::failpoint::Point;

use crate::kills::number;
use crate::services::services;
use crate::weir::Project;

const V1: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "id", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const V2: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "unit", "type": "string", "default": "m"},
    {"name": "id", "type": "long"}]}"#;
/// Of a writer that nobody can read with `V2`.
const OTHER: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "id", "type": {"type": "array", "items": "long"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const SOURCE: &str = "type: files\npath: ../data/*.avro\nevent_time: at\n\
                      watermark: { delay: 1h, idle_timeout: 1h, max_drift: 30d }\n";
const START_MS: i64 = 1_795_305_600_000;
/// Behind the header of a file there is its marker, of this length.
const MARKER_LEN: usize = 16;

fn row(id: i64, unit: Option<&str>) -> Avro {
    let mut fields =
        vec![("id".to_owned(), Avro::Long(id)), ("at".to_owned(), Avro::TimestampMillis(START_MS + id * 10))];
    fields.extend(unit.map(|unit| ("unit".to_owned(), Avro::String(unit.to_owned()))));
    Avro::Record(fields)
}

/// A file of these records, in blocks of so many.
fn file(schema: &str, codec: Codec, block: usize, rows: impl Iterator<Item = Avro>) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("an Avro schema");
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec).expect("a writer");
    for (i, row) in rows.enumerate() {
        let row = row.resolve(&schema).expect("a value of the schema");
        writer.append_value(row).expect("it is written");
        if (i + 1) % block == 0 {
            writer.flush().expect("it is written");
        }
    }
    writer.into_inner().expect("it is written")
}

fn readings(codec: Codec, ids: std::ops::Range<i64>) -> Vec<u8> {
    file(V1, codec, 50, ids.map(|id| row(id, None)))
}

/// Where the blocks of a file end.
fn ends(file: &[u8]) -> Vec<usize> {
    let marker = &file[file.len() - MARKER_LEN..];
    (MARKER_LEN..=file.len()).filter(|end| file[..*end].ends_with(marker)).collect()
}

/// Written aside and renamed, as somebody does who wants nobody to see half of it.
fn put(folder: &Path, name: &str, data: &[u8]) {
    fs::create_dir_all(folder).expect("a folder");
    let aside = folder.join(format!(".{name}"));
    fs::write(&aside, data).expect("a file");
    fs::rename(aside, folder.join(name)).expect("a file");
}

const IDS: &str = "SELECT count(*), count(DISTINCT id), sum(id) FROM ids";

fn ids(ids: impl Iterator<Item = i64> + Clone) -> Vec<Vec<Value>> {
    let n = ids.clone().count();
    vec![vec![json!(n), json!(n), json!(ids.sum::<i64>())]]
}

#[test]
fn files_of_each_codec_and_schema_are_rows_and_damage_is_a_dead_letter() {
    let services = services();
    let project = Project::new(&services).file("sources/readings.yaml", SOURCE).pipeline(
        "ids",
        "SELECT at, id, unit FROM readings",
        "",
    );
    let data = project.path("data");
    let codecs = [
        Codec::Null,
        Codec::Deflate(DeflateSettings::default()),
        Codec::Bzip2(Bzip2Settings::default()),
        Codec::Zstandard(ZstandardSettings::default()),
    ];
    for (i, codec) in (0..).zip(codecs) {
        put(&data, &format!("a{i}.avro"), &readings(codec, i * 100..i * 100 + 100));
    }
    // The table's schema is that of the last file by name.
    put(&data, "b.avro", &file(V2, Codec::Snappy, 50, (400..500).map(|id| row(id, Some("km")))));
    let weir = project.run();
    weir.await_rows(IDS, &ids(0..500));
    weir.await_rows(
        "SELECT unit, count(*) FROM ids GROUP BY unit ORDER BY unit",
        &[vec![json!("km"), json!(100)], vec![json!("m"), json!(400)]],
    );
    let partitions = "SELECT topic, next_offset, end_offset, lag_records FROM weir.partitions ORDER BY topic";
    let expected: Vec<_> = ["a0", "a1", "a2", "a3", "b"]
        .map(|name| vec![json!(format!("../data/{name}.avro")), json!(100), json!(100), json!(0)])
        .to_vec();
    weir.await_rows(partitions, &expected);
    assert_eq!(weir.sql("SELECT count(*) FROM weir.dead_letters"), [[json!(0)]]);

    // Added later: one whose second block is damaged, one that is incompatible, one that is no Avro file.
    let mut damaged = readings(Codec::Snappy, 500..600);
    let at = ends(&damaged)[1] + 30;
    damaged[at] ^= 1;
    put(&data, "c.avro", &damaged);
    let other = Avro::Record(vec![
        ("id".to_owned(), Avro::Array(vec![Avro::Long(1)])),
        ("at".to_owned(), Avro::TimestampMillis(START_MS)),
    ]);
    put(&data, "d.avro", &file(OTHER, Codec::Null, 50, std::iter::once(other)));
    put(&data, "e.avro", b"PAR1");
    weir.await_rows(
        "SELECT topic, \"offset\", reason FROM weir.dead_letters ORDER BY topic",
        &[
            vec![json!("../data/c.avro"), json!(50), json!("bad_payload")],
            vec![json!("../data/d.avro"), json!(0), json!("incompatible_schema")],
            vec![json!("../data/e.avro"), json!(0), json!("bad_payload")],
        ],
    );
    weir.await_rows(IDS, &ids(0..550));
    // One that is being written: what is whole is read, the rest when it is there.
    let grown = readings(Codec::Deflate(DeflateSettings::default()), 550..650);
    fs::write(data.join("f.avro"), &grown[..ends(&grown)[2] - 1]).expect("a file");
    weir.await_rows(IDS, &ids(0..600));
    fs::write(data.join("f.avro"), &grown).expect("a file");
    weir.await_rows(IDS, &ids(0..650));
    assert!(weir.stop().success());

    // Read to its end, and taken away; the others are where they were.
    fs::remove_file(data.join("a0.avro")).expect("a file");
    put(&data, "g.avro", &readings(Codec::Xz(XzSettings::default()), 650..700));
    let weir = project.run();
    weir.await_rows(IDS, &ids(0..700));
    assert_eq!(weir.sql("SELECT count(*) FROM weir.dead_letters"), [[json!(3)]]);
    assert!(weir.stop().success());

    // Another file of the same name.
    put(&data, "a1.avro", &readings(Codec::Null, 0..1_000));
    let weir = project.run();
    weir.eventually("the pipeline fails", || {
        let rows = weir.sql("SELECT state, error FROM weir.pipelines");
        let error = rows[0][1].as_str().unwrap_or_default();
        (rows[0][0] == json!("failed") && error.contains("../data/a1.avro")).then_some(())
    });
}

#[test]
fn a_file_that_was_taken_away_unread_is_gone_on_without_where_one_says_so() {
    let services = services();
    let project = Project::new(&services).file("sources/readings.yaml", SOURCE).pipeline(
        "ids",
        "SELECT at, id FROM readings",
        "epoch: 20ms\nparallelism: 1\n",
    );
    let data = project.path("data");
    const N_RECORDS: i64 = 100_000;
    put(&data, "a.avro", &readings(Codec::Null, 0..N_RECORDS));
    put(&data, "b.avro", &readings(Codec::Null, N_RECORDS..N_RECORDS + 10));
    let (mut child, _) = project.run_dying(Point::AfterCommit, 1);
    assert!(!child.wait().expect("it is our child").success());
    let read = project.sql_offline("SELECT next_offset, end_offset FROM weir.partitions ORDER BY topic");
    let next = read[0][0].as_i64().expect("a number");
    assert!(read[0][1] == json!(N_RECORDS) && next < N_RECORDS, "{read:?}");
    fs::remove_file(data.join("a.avro")).expect("a file");
    assert!(!project.run_bounded().success());
    let weir = project.run_with(&["--skip-lost", "ids"]);
    let counters = "SELECT state, rows_in, lost_records FROM weir.pipelines";
    let expected = [vec![json!("running"), json!(next + 10), json!(N_RECORDS - next)]];
    weir.await_rows(counters, &expected);
    assert!(weir.stop().success());
    // Told once: nothing is counted again, and nothing waits for it.
    let weir = project.run();
    weir.await_rows(counters, &expected);
    weir.await_rows("SELECT max(lag_records), count(*) FROM weir.partitions", &[vec![json!(0), json!(2)]]);
}

#[test]
fn each_row_is_counted_once_wherever_the_process_died() {
    let services = services();
    let windows = "SELECT window_start, count(*) AS n, sum(id) AS total
FROM TUMBLE(TABLE readings, DESCRIPTOR(at), INTERVAL '1' SECOND) GROUP BY window_start";
    let project = Project::new(&services)
        .file("sources/readings.yaml", SOURCE)
        .pipeline("ids", "SELECT at, id FROM readings", "epoch: 20ms\nparallelism: 2\n")
        .pipeline("totals", windows, "epoch: 20ms\nparallelism: 2\n");
    let data = project.path("data");
    const N_FILES: i64 = 6;
    let (n_kills, seed) = (number("WEIR_KILLS", 4), number("WEIR_SEED", 1));
    // Enough that there is something to read at each kill.
    let n_records = 5_000 * i64::try_from(n_kills).expect("a small number");
    for i in 0..N_FILES {
        let codec = if i % 2 == 0 { Codec::Snappy } else { Codec::Deflate(DeflateSettings::default()) };
        let mut file = readings(codec, i * n_records..(i + 1) * n_records);
        if i == 2 {
            // Of the last block, whose records are lost.
            let ends = ends(&file);
            let at = ends[ends.len() - 2] + 30;
            file[at] ^= 1;
        }
        put(&data, &format!("{i}.avro"), &file);
    }
    let lost = 3 * n_records - 50..3 * n_records;
    let expected = ids((0..N_FILES * n_records).filter(|id| !lost.contains(id)));
    let began = Instant::now();
    // At each step of an epoch, and then at moments that nobody chose.
    for point in [Point::Report, Point::BeforeCommit, Point::AfterCommit, Point::AfterPublish] {
        let (mut child, _) = project.run_dying(point, 3);
        assert!(!child.wait().expect("it is our child").success(), "{}", point.name());
    }
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..n_kills {
        let weir = project.run();
        std::thread::park_timeout(Duration::from_millis(random.random_range(100..700)));
        weir.kill();
    }
    let weir = project.run();
    weir.await_rows(IDS, &expected);
    weir.await_rows(
        "SELECT sum(n), sum(total) FROM totals",
        &[vec![expected[0][0].clone(), expected[0][2].clone()]],
    );
    weir.await_rows(
        "SELECT pipeline, topic, \"offset\" FROM weir.dead_letters ORDER BY 1",
        &[
            vec![json!("ids"), json!("../data/2.avro"), json!(n_records - 50)],
            vec![json!("totals"), json!("../data/2.avro"), json!(n_records - 50)],
        ],
    );
    let epochs = weir.sql("SELECT sum(epoch) FROM weir.pipelines");
    eprintln!(
        "| Avro files, seed {seed}, {:.0?} | died at 4 steps and by {n_kills} kills, {N_FILES} files, {} records, {} epochs of two \
         pipelines | both result tables equal, one dead letter each for the damaged block |",
        began.elapsed(),
        N_FILES * n_records,
        epochs[0][0],
    );
    assert!(weir.stop().success());
    // A bounded run closes the windows, and has nothing more to read.
    assert!(project.run_bounded().success());
    assert_eq!(
        project.sql_offline("SELECT sum(n), count(*) FILTER (WHERE NOT _final) FROM totals"),
        [[expected[0][0].clone(), json!(0)]]
    );
}
