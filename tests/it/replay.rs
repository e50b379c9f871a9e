//! `weir replay`: records that could not be used are counted after a fix, once, also where the process dies meanwhile.

use std::process::{Command, Output};

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};
use weir_engine::state::failpoint::Point;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::till::now_ms;
use crate::weir::{Project, Weir, binary, connection};

const V1: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const V2: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "unit", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
/// What reads both.
const MENDED: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "unit", "type": "string", "default": "m"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const TOPIC: &str = "replayed";
/// Read by Weir's own Fetch reader, and by librdkafka: the property is its business only.
const READERS: [(&str, &str); 2] = [("fetch", ""), ("librdkafka", "properties: { client.rack: a }\n")];

fn replay(weir: &Weir, arguments: &[&str]) -> Output {
    let asked =
        Command::new(binary()).arg("replay").args(arguments).args(["--yes", "--server", weir.url()]).output();
    asked.expect("weir runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn letters(weir: &Weir) -> Vec<Vec<Value>> {
    weir.sql(
        "SELECT pipeline, \"offset\", reason, replays, operator, headers['trace'], headers['none'] \
         FROM weir.dead_letters ORDER BY pipeline, \"offset\"",
    )
}

fn letter(reader: &str, offset: u64, reason: &str, replays: u64) -> Vec<Value> {
    vec![
        json!(reader),
        json!(offset),
        json!(reason),
        json!(replays),
        json!(reader),
        json!("YWJj"),
        Value::Null,
    ]
}

#[test]
fn records_count_once_after_a_fix_whatever_dies() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create(TOPIC, 1);
    let v1 = Writer::register(registry, &format!("{TOPIC}-value"), V1);
    let v2 = Writer::register(registry, &format!("{TOPIC}_2-value"), V2);
    let now_ms = now_ms();
    let at = || ("at", Avro::TimestampMillis(now_ms));
    let old = |value: i64| v1.encode(&[("value", Avro::Long(value)), at()]);
    let new = v2.encode(&[("value", Avro::Long(1)), ("unit", Avro::String("km".to_owned())), at()]);
    let producer = Producer::new(bootstrap);
    let to = To { topic: TOPIC, partition: 0, timestamp_ms: now_ms };
    for value in [&new, &old(10), &old(100), &b"{}".to_vec()] {
        producer.send_with(to, &[("trace", Some(b"abc")), ("none", None)], value);
    }
    producer.flush();

    let connections = READERS.map(|(name, more)| connection(name, bootstrap, registry, more));
    let mut project = Project::with_connections(&connections);
    for (reader, _) in READERS {
        let source =
            "schema: { file: reading.avsc }\nevent_time: at\nwatermark: { delay: 1h, idle_timeout: 1h }\n";
        let sql = format!(
            "SELECT window_start, count(*) AS n, sum(value) AS total\n\
             FROM TUMBLE(TABLE {reader}, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start"
        );
        project = project.source_at(reader, reader, TOPIC, source).pipeline(reader, &sql, "");
    }
    let reader_schema = project.path("sources/reading.avsc");
    std::fs::write(&reader_schema, V2).expect("a schema");
    let weir = project.run_with(&["--edit"]);
    let both = |of: fn(&str) -> [Vec<Value>; 3]| {
        READERS.iter().flat_map(|(reader, _)| of(reader)).collect::<Vec<_>>()
    };
    weir.await_rows("SELECT count(*) FROM weir.dead_letters", &[vec![json!(6)]]);
    let before = both(|reader| {
        [
            letter(reader, 1, "incompatible_schema", 0),
            letter(reader, 2, "incompatible_schema", 0),
            letter(reader, 3, "bad_framing", 0),
        ]
    });
    assert_eq!(letters(&weir), before, "with their headers");

    // Not yet mended: they fail again, and say how often.
    let output = replay(&weir, &["fetch", "--reason", "incompatible_schema"]);
    assert!(
        output.status.success() && said(&output).contains("0 were counted, 2 are dead letters again"),
        "{}",
        said(&output)
    );
    assert_eq!(letters(&weir)[0], letter("fetch", 1, "incompatible_schema", 1));
    assert_eq!(letters(&weir)[2], letter("fetch", 3, "bad_framing", 0));
    let output = replay(&weir, &["fetch", "--where", "true) OR (true"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(weir.stop().success());

    std::fs::write(&reader_schema, MENDED).expect("a schema");
    let totals = |reader: &str| format!("SELECT n, total FROM {reader}");
    // A process that dies before the commit has done nothing; one that dies behind it has done it.
    let weir = project.run_with_dying(&["--edit"], Point::BeforeCommit, 1);
    weir.await_rows(&totals("fetch"), &[vec![json!(1), json!(1)]]);
    let output = replay(&weir, &["fetch", "--where", "\"offset\" = 1"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    drop(weir);
    let weir = project.run_with_dying(&["--edit"], Point::AfterCommit, 1);
    weir.await_rows(&totals("fetch"), &[vec![json!(1), json!(1)]]);
    let output = replay(&weir, &["fetch", "--where", "\"offset\" = 1"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    drop(weir);
    let weir = project.run_with(&["--edit"]);
    weir.await_rows(&totals("fetch"), &[vec![json!(2), json!(11)]]);
    let output = replay(&weir, &["fetch", "--where", "\"offset\" = 1"]);
    assert!(output.status.success() && said(&output).contains("no dead letter fits"), "{}", said(&output));

    for (reader, replayed) in [("fetch", 1), ("librdkafka", 2)] {
        let output = replay(&weir, &[reader]);
        let expected = format!("{replayed} were counted, 1 are dead letters again");
        assert!(output.status.success() && said(&output).contains(&expected), "{}", said(&output));
        weir.await_rows(&totals(reader), &[vec![json!(3), json!(111)]]);
    }
    let counters = "SELECT rows_in, dead_letters, dead_letters_replayed FROM weir.pipelines";
    weir.await_rows(counters, &vec![vec![json!(3), json!(3), json!(2)]; 2]);
    assert_eq!(
        letters(&weir),
        [letter("fetch", 3, "bad_framing", 1), letter("librdkafka", 3, "bad_framing", 1)]
    );
    assert!(weir.stop().success());
    // Without --edit nobody may.
    let weir = project.run();
    weir.await_rows(&totals("fetch"), &[vec![json!(3), json!(111)]]);
    let output = replay(&weir, &["fetch"]);
    assert!(said(&output).contains("[E0403]"), "{}", said(&output));
}
