//! Every reason for which a record becomes a dead letter, and schemas that change on the way.

use std::time::{SystemTime, UNIX_EPOCH};

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::weir::{Project, Weir};

const V1: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}]}"#;
const V2: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "unit", "type": "string", "default": "m"},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}]}"#;
const OTHER: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": {"type": "array", "items": "long"}},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}]}"#;

const SOURCE: &str = "event_time: at\nwatermark: { delay: 0s, idle_timeout: 1h, max_ahead: 1h }\n";

/// Now, at the start of a minute.
fn minute_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let now = i64::try_from(now).expect("it is before the year 292277026");
    now - now.rem_euclid(60_000)
}

fn at(time_ms: i64) -> (&'static str, Avro) {
    ("at", Avro::Union(1, Box::new(Avro::TimestampMillis(time_ms))))
}

fn reading(writer: &Writer, value: i64, time_ms: i64) -> Vec<u8> {
    writer.encode(&[("value", Avro::Long(value)), at(time_ms)])
}

#[test]
fn each_reason_is_told_apart_and_the_rest_is_counted() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("readings", 1);
    let v1 = Writer::register(registry, "readings-value", V1);
    let other = Writer::register(registry, "readings_other-value", OTHER);
    let minute = minute_ms();

    let good = reading(&v1, 5, minute + 1_000);
    let mut unknown = good.clone();
    unknown[1..5].copy_from_slice(&2_000_000_u32.to_be_bytes());
    let incompatible = other.encode(&[("value", Avro::Array(vec![Avro::Long(1)])), at(minute)]);
    let null_time = v1.encode(&[("value", Avro::Long(5)), ("at", Avro::Union(0, Box::new(Avro::Null)))]);
    let truncated = &good[..good.len() - 1];
    let trailing = [good.as_slice(), b"!"].concat();
    let ahead = reading(&v1, 5, minute + 2 * 3_600_000);
    let zero = reading(&v1, 0, minute + 2_000);
    let later = reading(&v1, 5, minute + 25_000);
    let late = reading(&v1, 5, minute + 3_000);
    let records: [(Option<&[u8]>, Option<&str>); 12] = [
        (Some(&good), None),
        (Some(b"{\"value\": 5}"), Some("bad_framing")),
        (Some(&unknown), Some("unknown_schema")),
        (Some(&incompatible), Some("incompatible_schema")),
        (Some(truncated), Some("bad_payload")),
        (Some(&trailing), Some("bad_payload")),
        (Some(&null_time), Some("bad_event_time")),
        (Some(&ahead), Some("bad_event_time")),
        (Some(&zero), Some("evaluation_error")),
        (None, None),
        (Some(&later), None),
        (Some(&late), Some("late_row")),
    ];
    let producer = Producer::new(bootstrap);
    for (value, _) in records {
        producer.send(To { topic: "readings", partition: 0, timestamp_ms: minute }, Some(b"k"), value);
    }
    producer.flush();

    let sql = "SELECT window_start, count(*) AS n, sum(100 / value) AS total
FROM TUMBLE(TABLE readings, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start";
    let project = Project::new(&services).source("readings", SOURCE).pipeline("totals", sql, "");
    let weir = project.run();
    let totals = "SELECT CAST(window_start AS BIGINT) AS start, n, total, _final FROM totals ORDER BY start";
    let first = vec![json!(minute), json!(1), json!(20), json!(true)];
    let second = vec![json!(minute + 20_000), json!(1), json!(20), json!(false)];
    weir.await_rows(totals, &[first, second]);

    /// All but the tombstone and what can't be decoded.
    const N_DECODED: usize = 6;
    let letters: Vec<_> = (0..)
        .zip(records)
        .filter_map(|(offset, (_, reason))| Some(vec![json!(offset), json!(reason?)]))
        .collect();
    let query = "SELECT \"offset\", reason FROM weir.dead_letters WHERE pipeline = 'totals' ORDER BY 1";
    weir.await_rows(query, &letters);
    weir.await_rows(
        "SELECT rows_in, tombstones, late_rows, dead_letters FROM weir.pipelines",
        &[vec![json!(N_DECODED), json!(1), json!(1), json!(letters.len())]],
    );
    // Where it was, what it was, and what is wrong with it.
    let framing = "SELECT source, topic, partition, key, payload, detail <> '' FROM weir.dead_letters
        WHERE reason = 'bad_framing'";
    weir.await_rows(
        framing,
        &[vec![
            json!("readings"),
            json!("readings"),
            json!(0),
            json!("aw=="),
            json!("eyJ2YWx1ZSI6IDV9"),
            json!(true),
        ]],
    );
}

#[test]
fn a_new_schema_flows_while_the_pipeline_runs() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("evolving", 1);
    let v1 = Writer::register(registry, "evolving-value", V1);
    let minute = minute_ms();
    let to = To { topic: "evolving", partition: 0, timestamp_ms: minute };
    let producer = Producer::new(bootstrap);
    producer.send(to, None, Some(&reading(&v1, 1, minute)));
    producer.flush();
    let sql = "SELECT window_start, sum(value) AS total
FROM TUMBLE(TABLE evolving, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start";
    let project = Project::new(&services).source("evolving", SOURCE).pipeline("totals", sql, "");
    let weir = project.run();
    weir.await_rows("SELECT total FROM totals", &[vec![json!(1)]]);

    let v2 = Writer::register(registry, "evolving-value", V2);
    let unit = ("unit", Avro::String("km".to_owned()));
    producer.send(to, None, Some(&v2.encode(&[("value", Avro::Long(10)), unit, at(minute)])));
    producer.send(to, None, Some(&reading(&v1, 100, minute)));
    producer.flush();
    weir.await_rows("SELECT total FROM totals", &[vec![json!(111)]]);
    weir.await_rows(
        "SELECT subject, version, first_offset, compatible FROM weir.schemas ORDER BY version",
        &[
            vec![json!("evolving-value"), json!(1), json!(0), json!(true)],
            vec![json!("evolving-value"), json!(2), json!(1), json!(true)],
        ],
    );
}

/// What `weir.columns` has of a source: names, the table's version, and since which version each column is.
fn columns(weir: &Weir, source: &str) -> Vec<Vec<Value>> {
    weir.sql(&format!(
        "SELECT name, version, since_version FROM weir.columns WHERE source = '{source}' ORDER BY position"
    ))
}

#[test]
fn a_table_that_follows_gains_columns_while_its_pipelines_run() {
    const NARROW: &str = r#"{"type": "record", "name": "reading", "fields": [
        {"name": "unit", "type": "string", "default": "km"},
        {"name": "more", "type": ["null", "long"], "default": null},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}]}"#;
    const WITHIN_ITSELF: &str = r#"{"type": "record", "name": "reading", "fields": [
        {"name": "value", "type": "long"},
        {"name": "unit", "type": "string", "default": "m"},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "former", "type": ["null", "reading"], "default": null}]}"#;
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("followed", 1);
    let v1 = Writer::register(registry, "followed-value", V1);
    let minute = minute_ms();
    let to = To { topic: "followed", partition: 0, timestamp_ms: minute };
    let producer = Producer::new(bootstrap);
    let send = |value: &[u8]| {
        producer.send(to, None, Some(value));
        producer.flush();
    };
    send(&reading(&v1, 1, minute));
    let totals = "SELECT window_start, sum(value) AS total, count(*) AS n
FROM TUMBLE(TABLE followed, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start";
    let project = Project::new(&services)
        .source("followed", &format!("{SOURCE}schema: follow\n"))
        .pipeline("totals", totals, "");
    let weir = project.run();
    weir.await_rows("SELECT total, n FROM totals", &[vec![json!(1), json!(1)]]);
    let (value, unit, time) = (json!("value"), json!("unit"), json!("at"));
    let of = |version: u32, names: &[&Value]| -> Vec<Vec<Value>> {
        let since = |name| if name == &unit { 2 } else { 1 };
        names.iter().map(|name| vec![(*name).clone(), json!(version), json!(since(*name))]).collect()
    };
    assert_eq!(columns(&weir, "followed"), of(1, &[&value, &time]));

    // Registered alone changes nothing; its first record does, with the epoch that has it.
    let v2 = Writer::register(registry, "followed-value", V2);
    send(&reading(&v1, 10, minute));
    weir.await_rows("SELECT total, n FROM totals", &[vec![json!(11), json!(2)]]);
    assert_eq!(columns(&weir, "followed"), of(1, &[&value, &time]));
    let in_km = |value: i64| {
        let unit = ("unit", Avro::String("km".to_owned()));
        v2.encode(&[("value", Avro::Long(value)), unit, at(minute)])
    };
    send(&in_km(100));
    weir.await_rows("SELECT total, n FROM totals", &[vec![json!(111), json!(3)]]);
    assert_eq!(columns(&weir, "followed"), of(2, &[&value, &unit, &time]));
    let described = weir.sql("DESCRIBE followed");
    assert_eq!(described[1], [json!("unit"), json!("VARCHAR"), json!(false)]);
    assert!(weir.stop().success());

    // A pipeline that names the column is deployed; the other one goes on with the state it had.
    let units = "SELECT window_start, unit, sum(value) AS total
FROM TUMBLE(TABLE followed, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start, unit";
    let project = project.pipeline("units", units, "");
    let offline =
        project.sql_offline("SELECT name FROM weir.columns WHERE source = 'followed' ORDER BY position");
    assert_eq!(offline, [&value, &unit, &time].map(|name| vec![name.clone()]));
    let weir = project.run();
    send(&reading(&v1, 1_000, minute));
    send(&in_km(10_000));
    weir.await_rows("SELECT total, n FROM totals", &[vec![json!(11_111), json!(5)]]);
    let by_unit = [vec![json!("km"), json!(10_100)], vec![json!("m"), json!(1_011)]];
    weir.await_rows("SELECT unit, total FROM units ORDER BY unit", &by_unit);

    // One in which a record contains itself is not followed, for it has no columns; its records are read all the same.
    let v3 = Writer::register(registry, "followed-value", WITHIN_ITSELF);
    let (unit_m, none) = (Avro::String("m".to_owned()), Avro::Union(0, Box::new(Avro::Null)));
    send(&v3.encode(&[("value", Avro::Long(100_000)), ("unit", unit_m), at(minute), ("former", none)]));
    weir.await_rows("SELECT total, n FROM totals", &[vec![json!(111_111), json!(6)]]);
    assert_eq!(columns(&weir, "followed"), of(2, &[&value, &unit, &time]));
    let told = weir.sql(
        "SELECT DISTINCT compatible, detail FROM weir.schemas WHERE source = 'followed' AND version = 3",
    );
    let why = "the table does not follow it: record \"reading\" contains itself in field \"former\"";
    assert!(
        matches!(&told[..], [row] if row[0] == json!(true) && row[1].as_str().is_some_and(|text| text.starts_with(why))),
        "{told:?}"
    );

    // A version that takes a column away is not followed: whose pipelines have it get dead letters, and read on.
    let other = Writer::register(registry, "followed_narrow-value", NARROW);
    let more =
        [("unit", Avro::String("km".to_owned())), ("more", Avro::Union(0, Box::new(Avro::Null))), at(minute)];
    send(&other.encode(&more));
    weir.await_rows(
        "SELECT name, dead_letters FROM weir.pipelines ORDER BY name",
        &[vec![json!("totals"), json!(1)], vec![json!("units"), json!(1)]],
    );
    assert_eq!(columns(&weir, "followed"), of(2, &[&value, &unit, &time]));
    let details = weir.sql("SELECT DISTINCT detail FROM weir.dead_letters");
    for named in ["followed_narrow-value", "followed-value", "value"] {
        assert!(
            details.iter().all(|row| row[0].as_str().is_some_and(|detail| detail.contains(named))),
            "{details:?}"
        );
    }
}

#[test]
fn records_in_single_object_encoding_find_their_versions() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("objects", 1);
    let v1 = Writer::register(registry, "objects-value", V1);
    // Of another subject: its fingerprint says nothing here.
    let other = Writer::register(registry, "objects_other-value", OTHER);
    let minute = minute_ms();
    let producer = Producer::new(bootstrap);
    let send = |value: &[u8]| {
        producer.send(To { topic: "objects", partition: 0, timestamp_ms: minute }, None, Some(value));
    };
    let object = |value: i64, time_ms: i64| v1.single_object(&[("value", Avro::Long(value)), at(time_ms)]);
    send(&object(1, minute));
    send(&reading(&v1, 5, minute));
    send(&other.single_object(&[("value", Avro::Array(vec![Avro::Long(1)])), at(minute)]));
    send(&object(10, minute + 25_000));
    send(&object(5, minute));
    producer.flush();

    let sql = "SELECT window_start, sum(value) AS total
FROM TUMBLE(TABLE objects, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start";
    let source = format!("{SOURCE}framing: single_object\nschema: follow\n");
    let project = Project::new(&services).source("objects", &source).pipeline("totals", sql, "");
    let weir = project.run();
    weir.await_rows("SELECT total FROM totals ORDER BY window_start", &[vec![json!(1)], vec![json!(10)]]);

    // Registered while it runs.
    let v2 = Writer::register(registry, "objects-value", V2);
    let unit = ("unit", Avro::String("km".to_owned()));
    send(&v2.single_object(&[("value", Avro::Long(100)), unit, at(minute + 25_000)]));
    send(&object(1_000, minute + 25_000));
    producer.flush();
    weir.await_rows("SELECT total FROM totals ORDER BY window_start", &[vec![json!(1)], vec![json!(1_110)]]);
    weir.await_rows(
        "SELECT schema_id, subject, version, first_offset, compatible FROM weir.schemas ORDER BY version",
        &[(&v1, 1, 0), (&v2, 2, 5)].map(|(writer, version, offset): (&Writer, u32, u32)| {
            vec![json!(writer.id), json!("objects-value"), json!(version), json!(offset), json!(true)]
        }),
    );
    weir.await_rows(
        "SELECT \"offset\", reason, schema_id FROM weir.dead_letters ORDER BY 1",
        &[
            vec![json!(1), json!("bad_framing"), json!(null)],
            vec![json!(2), json!("unknown_schema"), json!(null)],
            vec![json!(4), json!("late_row"), json!(v1.id)],
        ],
    );
    assert_eq!(columns(&weir, "objects")[1], [json!("unit"), json!(2), json!(2)]);
}
