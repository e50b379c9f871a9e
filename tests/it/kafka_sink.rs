//! The Kafka sink end to end: committed output equals the recomputation, each row once, wherever the
//! process died. See also kills.rs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use weir_connectors::kafka::{KafkaConnection, KafkaSink, KafkaSinkConfig, Naming, PROGRESS_TOPIC};
use weir_engine::Epoch;
use weir_engine::connector::{Change, Delivery, Emit, Position, Sink as _, SinkContext, SinkError, Stopping};
use weir_engine::state::failpoint::Point;
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::EmbeddedRegistry;

use crate::producer::{Producer, To, Topics};
use crate::services::{Services, services};
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::sink_topic::{Record, SinkTopic, Updates, finals};
use crate::weir::Project;

fn project(services: &Services, name: &str, emit: &str, sql: &str, epoch: &str) -> Project {
    Project::new(services)
        .source(name, SOURCE)
        .pipeline("revenue", sql, &format!("epoch: {epoch}\nparallelism: 2\n"))
        .sink(
            name,
            &format!("from: revenue\ntype: kafka\nconnection: test\ntopic: {name}_out\nemit: {emit}\n"),
        )
}

#[test]
fn each_final_row_is_committed_once_whatever_step_the_process_died_at() {
    die_at_each_step("sunk", "final", finals);
}

#[test]
fn updates_come_to_the_result_table_whatever_step_the_process_died_at() {
    die_at_each_step("sunk_updates", "updates", |records| Updates::of(records).rows);
}

fn die_at_each_step(name: &str, emit: &str, rows: fn(&[Record]) -> Vec<Vec<Value>>) {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create(name, 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, name, 2, 9);
    let project = project(&services, name, emit, &revenue(name), "20ms");
    // The first pass of those two is that of the transaction which says whose the sink is.
    let opening = [Point::DeliveryWritten, Point::DeliveryDecided].map(|point| (point, 1));
    let pass = |point| if opening.contains(&(point, 1)) { 2 } else { 1 };
    let steps = Point::KAFKA_SINK.map(|point| (point, pass(point)));
    for (point, pass) in opening.into_iter().chain(steps) {
        shop.write(&producer, 300);
        // What follows is of windows that no run has closed.
        shop.pause();
        let died = project.run_bounded_dying(point, pass);
        assert!(!died.success(), "it passes {}", point.name());
        eprintln!("| {} | a bounded run into a Kafka sink, {emit} | died |", point.name());
    }
    // The first goes on to where an earlier one was to end, the second to the end.
    for _ in 0..2 {
        assert!(project.run_bounded().success());
    }
    let topic = SinkTopic::new(&services, &format!("{name}_out"));
    assert!(topic.is_settled(), "a run that ended leaves no transaction open");
    assert_eq!(topic.n_partitions(), 2, "as many as the source has");
    assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
    assert_eq!(rows(&topic.read()), shop.expected());
}

#[test]
fn updates_end_at_the_result_table_and_what_vanished_is_a_tombstone() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("updated", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "updated", 2, 10);
    // A row comes and goes as its number of orders grows.
    let sql = format!("{} HAVING count(*) % 2 = 1", revenue("updated"));
    let project = project(&services, "updated", "updates", &sql, "20ms");
    let topic = SinkTopic::new(&services, "updated_out");
    for _ in 0..3 {
        let weir = project.run();
        for _ in 0..40 {
            shop.write(&producer, 25);
        }
        topic.await_records();
        weir.kill();
    }
    assert!(project.run_bounded().success());
    let updates = Updates::of(&topic.read());
    assert!(0 < updates.n_tombstones && 0 < updates.n_provisional, "{updates:?}");
    assert_eq!(updates.rows, project.sql_offline(&query("revenue")));
}

/// A sink of its own, as each process makes it.
fn sink(bootstrap: &str, registry: &Arc<EmbeddedRegistry>, topic: &str) -> KafkaSink {
    let connection = KafkaConnection {
        bootstrap_servers: bootstrap.to_owned(),
        properties: BTreeMap::new(),
        registry: Arc::clone(registry) as Arc<dyn SchemaRegistry>,
    };
    let (name, topic, naming) = ("out".to_owned(), topic.to_owned(), Naming::default());
    let config = KafkaSinkConfig { name, topic, emit: Emit::Final, naming };
    KafkaSink::new(connection, config).expect("settings that work")
}

fn context(pipeline: &str) -> SinkContext {
    SinkContext {
        project: "tests".to_owned(),
        pipeline: pipeline.to_owned(),
        sink: "out".to_owned(),
        incarnation: 1,
        fingerprint: 7,
        schema: delivery(0).changes[0].rows().schema(),
        key: Vec::new(),
        source_partitions: 1,
        stopping: Stopping::default(),
    }
}

fn delivery(id: i64) -> Delivery {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    Delivery { changes: vec![Change::Upserts(RecordBatch::try_from_iter([("id", ids)]).expect("a column"))] }
}

fn at(epoch: u64) -> Position {
    Position { epoch: Epoch(epoch), part: 0, last_part: true }
}

#[test]
fn a_writer_that_another_process_has_fenced_gives_up_and_leaves_that_one_alone() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let registry = Arc::new(EmbeddedRegistry::new());
    let (zombie, owner) = (sink(bootstrap, &registry, "fenced"), sink(bootstrap, &registry, "fenced"));
    let context = context("fenced");
    let (mut late, progress) = zombie.open(&context).expect("the topic is made");
    assert_eq!(progress, None);
    late.deliver(at(1), &delivery(1)).expect("nobody else writes");
    let compacted = Topics::new(bootstrap).setting(PROGRESS_TOPIC, "cleanup.policy");
    assert_eq!(compacted.as_deref(), Some("compact"));
    let (mut writer, progress) = owner.open(&context).expect("it takes over");
    assert_eq!(progress, Some(context.progress(at(1))));

    let refused = late.deliver(at(2), &delivery(2)).expect_err("it is fenced");
    assert!(matches!(refused, SinkError::Reopen(_)), "{refused:?}");
    drop(late);
    let refused = zombie.open(&context).err().expect("another process has the sink");
    assert!(matches!(&refused, SinkError::Fatal(text) if text.contains("another process")), "{refused:?}");

    // Asking has fenced the owner too, which finds that nobody has taken its place.
    if writer.deliver(at(2), &delivery(3)).is_err() {
        let (again, progress) = owner.open(&context).expect("it is still its sink");
        assert_eq!(progress, Some(context.progress(at(1))));
        writer = again;
        writer.deliver(at(2), &delivery(3)).expect("nobody else writes");
    }
    let topic = SinkTopic::with_registry(bootstrap, "fenced", registry);
    let ids: Vec<_> =
        topic.read().iter().map(|record| record.value.as_ref().expect("a row")["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!(3)]);
}

#[test]
fn progress_is_found_while_another_sinks_transaction_is_open() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let registry = Arc::new(EmbeddedRegistry::new());
    let mine = sink(bootstrap, &registry, "hindered");
    let context = context("hindered");
    let (mut writer, _) = mine.open(&context).expect("the topics are made");
    let other = Producer::transactional(bootstrap, "weir.tests.other.out");
    other.begin();
    other.send(To { topic: PROGRESS_TOPIC, partition: 0, timestamp_ms: 1 }, Some(b"other"), Some(b"{}"));
    other.flush();
    // Behind the last stable offset, which the other one holds.
    writer.deliver(at(1), &delivery(1)).expect("transactions do not wait for each other");
    writer.close();
    let found = thread::scope(|scope| {
        let opening = scope.spawn(|| mine.open(&context).map(|(_, progress)| progress));
        thread::park_timeout(Duration::from_secs(2));
        other.abort();
        opening.join().expect("no panic")
    });
    assert_eq!(found, Ok(Some(context.progress(at(1)))));
}

#[test]
fn a_row_that_kafka_does_not_take_is_told_and_leaves_nothing_open() {
    let services = services();
    let registry = Arc::new(EmbeddedRegistry::new());
    let bootstrap = &services.kafka.bootstrap;
    let large = sink(bootstrap, &registry, "large");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(2_000_000)]));
    let rows = RecordBatch::try_from_iter([("text", text)]).expect("a column");
    let context = SinkContext { schema: rows.schema(), ..context("large") };
    let (mut writer, _) = large.open(&context).expect("the topic is made");
    let refused = writer.deliver(at(1), &Delivery { changes: vec![Change::Upserts(rows)] });
    let Err(SinkError::Fatal(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("a row makes a record of 20000") && text.contains("message.max.bytes"), "{text}");
    assert_eq!(SinkTopic::with_registry(bootstrap, "large", registry).read(), []);
}
