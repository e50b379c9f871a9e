//! What sources and sinks promise that only the whole program against a real broker shows: where reading begins and what
//! a record's columns say of it, a topic that comes later, what a sink's records look like and that a reset sends them
//! again, and how long results are kept.

use std::process::Command;

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{Services, services};
use crate::sink_topic::SinkTopic;
use crate::weir::{Project, binary, connection};

const SCHEMA: &str = r#"{"type": "record", "name": "tick", "fields": [{"name": "n", "type": "long"}]}"#;
/// 2023-11-14T22:13:20Z.
const START_MS: i64 = 1_700_000_000_000;

/// Writes records with the numbers `n`, a second apart, key `k<n>`.
fn write(producer: &Producer, writer: &Writer, topic: &str, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let to = To { topic, partition: 0, timestamp_ms: START_MS + n * 1_000 };
        let key = format!("k{n}");
        producer.send(to, Some(key.as_bytes()), Some(&writer.encode(&[("n", Avro::Long(n))])));
    }
    producer.flush();
}

fn registered(services: &Services, topic: &str) -> Writer {
    Writer::register(&services.registry.url, &format!("{topic}-value"), SCHEMA)
}

#[test]
fn a_source_begins_where_it_says_and_its_columns_say_where_records_were() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("begun", 1);
    let writer = registered(&services, "begun");
    let producer = Producer::transactional(bootstrap, "weir.tests.begun");
    producer.begin();
    write(&producer, &writer, "begun", 0..4);
    producer.commit();
    producer.begin();
    write(&producer, &writer, "begun", 100..102);
    producer.abort();

    let dirty = connection("dirty", bootstrap, registry, "properties: { isolation.level: read_uncommitted }");
    let project = Project::with_connections(&[connection("test", bootstrap, registry, ""), dirty])
        .source("begun", "metadata: [key, offset, partition, timestamp]\n")
        .source_at("test", "begun_at", "begun", "start: 2023-11-14T22:13:22Z\n")
        .source_at("test", "begun_late", "begun", "start: latest\n")
        .source_at("dirty", "begun_dirty", "begun", "")
        .pipeline(
            "whole",
            "SELECT n, kafka_key, kafka_offset, kafka_partition, kafka_timestamp FROM begun",
            "",
        )
        .pipeline("at", "SELECT n FROM begun_at", "")
        .pipeline("late", "SELECT n FROM begun_late", "")
        .pipeline("dirty", "SELECT n FROM begun_dirty", "");
    let numbers = |numbers: &[i64]| numbers.iter().map(|n| vec![json!(n)]).collect::<Vec<_>>();
    let weir = project.run();
    weir.await_rows(
        "SELECT * FROM whole WHERE n < 2 ORDER BY n",
        &[
            vec![json!(0), json!("azA="), json!(0), json!(0), json!("2023-11-14T22:13:20.000Z"), json!(true)],
            vec![json!(1), json!("azE="), json!(1), json!(0), json!("2023-11-14T22:13:21.000Z"), json!(true)],
        ],
    );
    weir.await_rows("SELECT n FROM whole ORDER BY n", &numbers(&[0, 1, 2, 3]));
    weir.await_rows("SELECT n FROM at ORDER BY n", &numbers(&[2, 3]));
    weir.await_rows("SELECT n FROM dirty ORDER BY n", &numbers(&[0, 1, 2, 3, 100, 101]));
    weir.await_rows("SELECT count(*) FROM late", &numbers(&[0]));
    weir.await_ready();
    producer.begin();
    write(&producer, &writer, "begun", 4..5);
    producer.commit();
    weir.await_rows("SELECT n FROM late", &numbers(&[4]));
    assert!(weir.stop().success());

    // Where there is a committed offset, `start` says nothing.
    producer.begin();
    write(&producer, &writer, "begun", 5..6);
    producer.commit();
    let project = project.source_at("test", "begun_late", "begun", "start: earliest\n").source_at(
        "test",
        "begun_at",
        "begun",
        "start: latest\n",
    );
    let weir = project.run();
    weir.await_rows("SELECT n FROM late ORDER BY n", &numbers(&[4, 5]));
    weir.await_rows("SELECT n FROM at ORDER BY n", &numbers(&[2, 3, 4, 5]));
}

#[test]
fn a_topic_that_is_not_there_is_waited_for_and_not_made() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let writer = registered(&services, "awaited");
    let project =
        Project::new(&services).source("awaited", "").pipeline("ticks", "SELECT n FROM awaited", "");
    let weir = project.run();
    let why = weir.eventually("it waits", || weir.not_ready().filter(|why| why.contains("does not exist")));
    assert!(why.contains("awaited"), "{why}");
    let state = "SELECT state FROM weir.pipelines";
    weir.await_rows(state, &[vec![json!("starting")]]);
    // Which fails where it is there by now.
    Topics::new(bootstrap).create("awaited", 1);
    write(&Producer::new(bootstrap), &writer, "awaited", 0..3);
    weir.await_rows("SELECT count(*) FROM ticks", &[vec![json!(3)]]);
    weir.await_rows(state, &[vec![json!("running")]]);
}

/// Runs `weir reset`; what it said.
fn reset(project: &Project, pipeline: &str) -> String {
    let output = Command::new(binary())
        .arg("reset")
        .arg(project.path(""))
        .args([pipeline, "--yes"])
        .output()
        .expect("weir runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

#[test]
fn records_of_a_sink_are_as_promised_and_a_reset_sends_them_again() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    let topics = Topics::new(bootstrap);
    topics.create("sent", 3);
    let writer = registered(&services, "sent");
    write(&Producer::new(bootstrap), &writer, "sent", 0..4);
    let counts = "SELECT window_start, n % 2 AS odd, count(*) AS orders FROM
TUMBLE(TABLE sent, DESCRIPTOR(kafka_timestamp), INTERVAL '1' MINUTE) GROUP BY window_start, n % 2";
    let sink = |from: &str, emit: &str| {
        format!("from: {from}\ntype: kafka\nconnection: test\ntopic: {from}_out\nemit: {emit}\n")
    };
    let project = Project::new(&services)
        .source("sent", "")
        .pipeline("sent_rows", "SELECT n, CASE WHEN 1 < n THEN n END AS large FROM sent", "retention: 0s\n")
        .pipeline("sent_counts", counts, "")
        .sink("rows", &sink("sent_rows", "final"))
        .sink("counts", &sink("sent_counts", "updates"));
    assert!(project.run_bounded().success());
    let [rows, updates] = ["sent_rows_out", "sent_counts_out"].map(|topic| SinkTopic::new(&services, topic));
    assert_eq!([rows.n_partitions(), updates.n_partitions()], [3, 3], "as many as the source has");

    // Appended: no key, and null where the column is.
    let sent = |rows: &SinkTopic| {
        let mut sent: Vec<(i64, Value)> = Vec::new();
        for record in rows.read() {
            assert_eq!(record.key, None);
            let value = record.value.expect("a row");
            assert_eq!(value.keys().collect::<Vec<_>>(), ["large", "n"]);
            sent.push((value["n"].as_i64().expect("a number"), value["large"].clone()));
        }
        sent.sort_by_key(|(n, _)| *n);
        sent
    };
    let once = [(0, Value::Null), (1, Value::Null), (2, json!(2)), (3, json!(3))];
    assert_eq!(sent(&rows), once);
    // By key: the last one of each is final.
    let is_last = |record: &crate::sink_topic::Record| {
        record.value.as_ref().is_some_and(|value| value["_final"] == json!(true))
    };
    let last: Vec<_> = updates.read().into_iter().filter(is_last).collect();
    assert_eq!(last.len(), 2);
    for record in &last {
        let key = record.key.as_ref().expect("a key");
        assert_eq!(key.keys().collect::<Vec<_>>(), ["odd", "window_start"]);
        assert_eq!(record.value.as_ref().expect("a row")["orders"], json!(2));
    }
    let subjects: Vec<String> = ureq::get(format!("{registry}/subjects"))
        .call()
        .expect("it answers")
        .body_mut()
        .read_json()
        .expect("JSON");
    let newest =
        ureq::get(format!("{registry}/subjects/sent_counts_out-value/versions/latest/schema")).call();
    let newest = newest.expect("it answers").body_mut().read_to_string().expect("a text");
    assert!(newest.contains(r#""doc":"count(*)""#), "{newest}");
    let made = |subject: &str| subjects.iter().any(|known| known == subject);
    assert!(made("sent_rows_out-value") && !made("sent_rows_out-key"), "{subjects:?}");
    assert!(made("sent_counts_out-value") && made("sent_counts_out-key"), "{subjects:?}");

    let epoch = "SELECT epoch FROM weir.pipelines WHERE name = 'sent_rows'";
    let before = project.sql_offline(epoch)[0][0].as_u64().expect("an epoch");
    let told = reset(&project, "sent_rows");
    assert!(told.contains("incarnation 2") && told.contains("sink \"rows\" gets rows again"), "{told}");
    assert!(project.run_bounded().success());
    let twice: Vec<_> = once.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
    assert_eq!(sent(&rows), twice);
    let after = project.sql_offline(epoch)[0][0].as_u64().expect("an epoch");
    assert!(before < after, "epochs go on counting: {before}, {after}");
    assert_eq!(updates.read().into_iter().filter(is_last).count(), 2, "the other pipeline was left alone");
}

#[test]
fn final_rows_are_kept_as_long_as_the_retention_and_with_none_there_is_no_table() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("retained", 1);
    let writer = registered(&services, "retained");
    let producer = Producer::new(bootstrap);
    let sums = "SELECT window_end, sum(n) AS total FROM
TUMBLE(TABLE retained, DESCRIPTOR(kafka_timestamp), INTERVAL '10' SECOND) GROUP BY window_end";
    let project = Project::new(&services)
        .source("retained", "watermark: { delay: 0s, idle_timeout: 1h }\n")
        .pipeline("ticks", "SELECT n FROM retained", "retention: 5s\n")
        .pipeline("sums", sums, "retention: 30s\nprovisional: false\n")
        .pipeline("unkept", "SELECT n FROM retained", "retention: 0s\n");
    let weir = project.run();
    for range in [0..50, 50..101] {
        write(&producer, &writer, "retained", range);
    }
    // The watermark is at 100 s: rows later than 95 s, and windows that end later than 70 s.
    weir.await_rows("SELECT min(n), max(n) FROM ticks", &[vec![json!(96), json!(100)]]);
    let ends = "SELECT CAST(window_end AS BIGINT) - 1700000000000 AS ms FROM sums ORDER BY ms";
    weir.await_rows(ends, &[80_000, 90_000, 100_000].map(|ms| vec![json!(ms)]));
    weir.await_rows("SELECT rows_in FROM weir.pipelines WHERE name = 'unkept'", &[vec![json!(101)]]);
    let refused = weir.try_sql("SELECT * FROM unkept").expect_err("there is no table");
    assert!(refused.contains("keeps no result table"), "{refused}");
}

#[test]
fn a_partition_far_ahead_is_not_read_until_the_others_have_caught_up() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("drifted", 2);
    let writer = registered(&services, "drifted");
    let producer = Producer::new(bootstrap);
    let tick = |partition, seconds: i64| {
        let to = To { topic: "drifted", partition, timestamp_ms: START_MS + seconds * 1_000 };
        producer.send(to, None, Some(&writer.encode(&[("n", Avro::Long(seconds))])));
        producer.flush();
    };
    // By each of the two readers: the property is librdkafka's business only.
    let librdkafka = connection("other", bootstrap, registry, "properties: { client.rack: a }");
    let settings = "watermark: { delay: 0s, idle_timeout: 1h, max_drift: 10s }\n";
    let project = Project::with_connections(&[connection("test", bootstrap, registry, ""), librdkafka])
        .source("drifted", settings)
        .source_at("other", "drifted_other", "drifted", settings)
        .pipeline("ours", "SELECT n FROM drifted", "")
        .pipeline("other", "SELECT n FROM drifted_other", "");
    tick(0, 0);
    tick(1, 0);
    tick(1, 100);
    let weir = project.run();
    let offsets = "SELECT partition, min(next_offset), max(next_offset), count(*) FROM weir.partitions \
                   GROUP BY partition ORDER BY partition";
    let row = |partition: i32, offset: i64| vec![json!(partition), json!(offset), json!(offset), json!(2)];
    weir.await_rows(offsets, &[row(0, 1), row(1, 2)]);
    tick(1, 101);
    tick(0, 50);
    weir.await_rows(offsets, &[row(0, 2), row(1, 2)]);
    std::thread::park_timeout(std::time::Duration::from_secs(2));
    assert_eq!(weir.sql(offsets), [row(0, 2), row(1, 2)], "50 seconds are more than ten");
    tick(0, 95);
    weir.await_rows(offsets, &[row(0, 3), row(1, 3)]);
}
