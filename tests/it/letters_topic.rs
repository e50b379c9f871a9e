//! Dead letters in a Kafka topic: each one once, as it was read, wherever the process died.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;
use rdkafka::message::{Headers as _, Message as _};
use serde_json::{Value, json};
use weir_engine::state::failpoint::Point;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{Services, services};
use crate::sink_topic::SinkTopic;
use crate::weir::{Project, connection};

const SCHEMA: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "value", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const SOURCE: &str = "event_time: at\nwatermark: { delay: 0s, idle_timeout: 1h, max_ahead: 1h }\n";
const START_MS: i64 = 1_795_305_600_000;

type Bytes = Option<Vec<u8>>;

/// A record of the topic of dead letters.
#[derive(Debug, Clone, PartialEq)]
struct Letter {
    key: Bytes,
    value: Bytes,
    /// In their order.
    headers: Vec<(String, Bytes)>,
}

impl Letter {
    /// The last header of a name.
    fn says(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name)?;
        Some(String::from_utf8(value.clone()?).expect("a text"))
    }

    /// Where its record was.
    fn place(&self) -> (i64, i64) {
        let number = |name| self.says(name).and_then(|text| text.parse().ok()).expect("a number");
        (number("weir.partition"), number("weir.offset"))
    }
}

fn letters(services: &Services, topic: &str) -> Vec<Letter> {
    SinkTopic::new(services, topic).read_by(|message| Letter {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            let bytes = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
            headers.iter().map(|header| (header.key.to_owned(), bytes(header.value))).collect()
        }),
    })
}

fn totals(table: &str) -> String {
    format!(
        "SELECT window_start, count(*) AS n\n\
         FROM TUMBLE(TABLE {table}, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start"
    )
}

/// What was sent, by partition and offset.
#[derive(Default)]
struct Sent {
    next: [i64; 2],
    all: BTreeMap<(i64, i64), (Bytes, Vec<u8>)>,
}

impl Sent {
    /// Some that can't be used, in each partition.
    fn send(&mut self, producer: &Producer, topic: &str, writer: &Writer, round: i64) {
        let time_ms = START_MS + round * 60_000;
        for partition in 0..2 {
            // The second is late: it is hours behind the first.
            for (i, at) in [(0, time_ms), (1, START_MS - 3_600_000)] {
                let value = writer.encode(&[("value", Avro::Long(i)), ("at", Avro::TimestampMillis(at))]);
                self.record(producer, topic, partition, (i == 1).then_some(&b"late"[..]), value);
            }
            let nonsense = [&[0xff, 0, partition as u8][..], &round.to_be_bytes()].concat();
            self.record(producer, topic, partition, Some(b"\xfe\x00key"), nonsense);
        }
        producer.flush();
    }

    fn record(
        &mut self,
        producer: &Producer,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Vec<u8>,
    ) {
        let headers: [(&str, Option<&[u8]>); 3] =
            [("trace", Some(b"\xff\x01")), ("none", None), ("weir.reason", Some(b"of before"))];
        producer.send_whole(To { topic, partition, timestamp_ms: START_MS }, &headers, key, &value);
        let next = &mut self.next[partition as usize];
        self.all.insert((partition.into(), *next), (key.map(<[u8]>::to_vec), value));
        *next += 1;
    }
}

#[test]
fn each_dead_letter_is_in_the_topic_once_whatever_step_the_process_died_at() {
    let services = services();
    let (bootstrap, topic) = (&services.kafka.bootstrap, "lettered");
    Topics::new(bootstrap).create(topic, 2);
    let writer = Writer::register(&services.registry.url, "lettered-value", SCHEMA);
    let producer = Producer::new(bootstrap);
    let letters_to = "epoch: 20ms\nparallelism: 2\ndead_letters: { topic: lettered_dead }\n";
    let project =
        Project::new(&services).source(topic, SOURCE).pipeline("totals", &totals(topic), letters_to);
    let mut sent = Sent::default();
    // The first pass of those two is that of the transaction which says whose the sink is.
    let opening = [Point::DeliveryWritten, Point::DeliveryDecided].map(|point| (point, 1));
    let pass = |point| if opening.contains(&(point, 1)) { 2 } else { 1 };
    let steps = Point::KAFKA_SINK.map(|point| (point, pass(point)));
    let mut n_rounds = 0;
    for (point, pass) in opening.into_iter().chain(steps) {
        // A run that only goes on to where an earlier one was to end may have nothing to deliver.
        let died = (0..3).any(|_| {
            sent.send(&producer, topic, &writer, n_rounds);
            n_rounds += 1;
            !project.run_bounded_dying(point, pass).success()
        });
        assert!(died, "it passes {}", point.name());
        eprintln!("| {} | a bounded run with dead letters to a topic | died |", point.name());
    }
    // The first goes on to where an earlier one was to end, the second to the end.
    for _ in 0..2 {
        assert!(project.run_bounded().success());
    }
    let query = "SELECT partition, \"offset\", reason, schema_id, operator, epoch FROM weir.dead_letters ORDER BY 1, 2";
    let kept = project.sql_offline(query);
    assert_eq!(kept.len() as i64, 4 * n_rounds, "the late rows and the nonsense");
    let mut found = letters(&services, "lettered_dead");
    found.sort_by_key(Letter::place);
    let shown = |name: &str, letter: &Letter| letter.says(name).map_or(Value::Null, Value::from);
    let text = |value: &Value| if value.is_number() { json!(value.to_string()) } else { value.clone() };
    let names =
        ["partition", "offset", "reason", "schema_id", "operator", "epoch"].map(|n| format!("weir.{n}"));
    let found_rows: Vec<Vec<Value>> =
        found.iter().map(|letter| names.iter().map(|name| shown(name, letter)).collect()).collect();
    let kept_rows: Vec<Vec<Value>> = kept.iter().map(|row| row.iter().map(text).collect()).collect();
    assert_eq!(found_rows, kept_rows);
    for letter in &found {
        let (key, value) = &sent.all[&letter.place()];
        assert_eq!((&letter.key, letter.value.as_ref()), (key, Some(value)));
        let own = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        let expected =
            [own("trace", Some(b"\xff\x01")), own("none", None), own("weir.reason", Some(b"of before"))];
        assert_eq!(letter.headers[..3], expected, "they come first");
        assert_eq!(letter.says("weir.pipeline").as_deref(), Some("totals"));
        assert_eq!(letter.says("weir.source").as_deref(), Some(topic));
        assert_eq!(letter.says("weir.topic").as_deref(), Some(topic));
        assert_eq!(letter.says("weir.time").as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(letter.says("weir.replays").as_deref(), Some("0"));
        assert!(letter.says("weir.detail").is_some_and(|detail| !detail.is_empty()));
        assert_eq!(letter.says("weir.omitted"), None);
    }
    let topic = SinkTopic::new(&services, "lettered_dead");
    assert_eq!(topic.n_partitions(), 2, "as many as the source has");
    assert!(topic.is_settled(), "no transaction is left open");
    eprintln!(
        "| dead letters to a topic | died at each of {} steps, {n_rounds} bounded runs and two whole ones | {} letters, each in the \
         topic once, as it was read; no transaction open |",
        opening.len() + Point::KAFKA_SINK.len(),
        found.len(),
    );
}

#[test]
fn a_topic_that_is_away_costs_no_letter_and_one_that_is_too_large_goes_without_its_value() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let registry = &services.registry.url;
    Topics::new(bootstrap).create("large_letters", 1);
    Writer::register(registry, "large_letters-value", SCHEMA);
    let producer = Producer::new(bootstrap);
    let to = To { topic: "large_letters", partition: 0, timestamp_ms: START_MS };
    let large = vec![b'x'; 999_800];
    producer.send(to, Some(b"large"), Some(&large));
    producer.send(to, Some(b"small"), Some(b"x"));
    producer.flush();
    let connections =
        [connection("test", bootstrap, registry, ""), connection("away", "127.0.0.1:1", registry, "")];
    let project = Project::with_connections(&connections)
        .source("large_letters", SOURCE)
        .pipeline("near", &totals("large_letters"), "dead_letters: { topic: large_dead }\n")
        .pipeline("far", &totals("large_letters"), "dead_letters: { topic: large_dead, connection: away }\n");
    let weir = project.run();
    weir.await_rows(
        "SELECT pipeline, sink, state, outbox_rows, error IS NULL FROM weir.sinks ORDER BY pipeline",
        &[
            vec![json!("far"), json!("dead-letters"), json!("down"), json!(2), json!(false)],
            vec![json!("near"), json!("dead-letters"), json!("running"), json!(0), json!(true)],
        ],
    );
    weir.await_rows(
        "SELECT name, state, dead_letters FROM weir.pipelines ORDER BY name",
        &[vec![json!("far"), json!("running"), json!(2)], vec![json!("near"), json!("running"), json!(2)]],
    );
    let operators = "SELECT pipeline, rows_in FROM weir.operators WHERE operator = 'dead-letters' ORDER BY 1";
    weir.await_rows(operators, &[vec![json!("far"), json!(0)], vec![json!("near"), json!(2)]]);
    let found = letters(&services, "large_dead");
    let said: Vec<_> =
        found.iter().map(|letter| (&letter.key, &letter.value, letter.says("weir.omitted"))).collect();
    let omitted = Some("value of 999800 bytes".to_owned());
    assert_eq!(
        said,
        [(&Some(b"large".to_vec()), &None, omitted), (&Some(b"small".to_vec()), &Some(b"x".to_vec()), None)]
    );
    // Whole where it is kept.
    weir.await_rows(
        "SELECT character_length(encode(payload, 'hex')) / 2 FROM weir.dead_letters WHERE pipeline = 'near' ORDER BY \"offset\"",
        &[vec![json!(999_800)], vec![json!(1)]],
    );
}
