//! The Kafka sink end to end: committed output equals the recomputation, each row once, wherever the
//! process or the broker died.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use weir_connectors::kafka::{KafkaConnection, KafkaSink, KafkaSinkConfig, PROGRESS_TOPIC};
use weir_engine::Epoch;
use weir_engine::connector::{Change, Delivery, Emit, Position, Sink as _, SinkContext, SinkError, Stopping};
use weir_engine::state::failpoint::Point;
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::MemoryRegistry;

use crate::producer::{Producer, To, Topics};
use crate::services::{Services, disturb, services};
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::sink_topic::{Record, SinkTopic};
use crate::weir::Project;

/// A row as [`query`] gives it.
fn row(value: &BTreeMap<String, Value>) -> Vec<Value> {
    ["window_start", "country", "orders", "revenue", "newest"].map(|name| value[name].clone()).to_vec()
}

fn sorted(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].as_str().map(str::to_owned)));
    rows
}

/// The rows of a topic that is written with `emit: final`: no key twice, and the keys those of the rows.
fn finals(records: &[Record]) -> Vec<Vec<Value>> {
    let mut seen = BTreeMap::new();
    for record in records {
        let (key, value) = (record.key.as_ref().expect("a key"), record.value.as_ref().expect("a row"));
        assert!(key.iter().all(|(name, field)| value[name] == *field), "{record:?}");
        assert_eq!(key.keys().collect::<Vec<_>>(), ["country", "window_end", "window_start"]);
        let again = seen.insert(format!("{key:?}"), record.partition);
        assert_eq!(again, None, "{key:?} is there twice");
    }
    sorted(records.iter().filter_map(|record| record.value.as_ref()).map(row).collect())
}

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
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("sunk", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "sunk", 2, 9);
    let project = project(&services, "sunk", "final", &revenue("sunk"), "20ms");
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
    }
    // The first goes on to where an earlier one was to end, the second to the end.
    for _ in 0..2 {
        assert!(project.run_bounded().success());
    }
    let topic = SinkTopic::new(&services, "sunk_out");
    assert!(topic.is_settled(), "a run that ended leaves no transaction open");
    assert_eq!(topic.n_partitions(), 2, "as many as the source has");
    assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
    assert_eq!(finals(&topic.read()), shop.expected());
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
    let records = topic.read();
    let mut table: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    let (mut n_tombstones, mut n_provisional) = (0, 0);
    for record in &records {
        let key = format!("{:?}", record.key.as_ref().expect("a key"));
        match &record.value {
            Some(value) => {
                let before = table.get(&key);
                assert!(before.is_none_or(|row| row["_final"] == json!(false)), "final rows never change");
                n_provisional += usize::from(value["_final"] == json!(false));
                table.insert(key, value.clone());
            }
            None => {
                n_tombstones += 1;
                table.remove(&key);
            }
        }
    }
    assert!(0 < n_tombstones && 0 < n_provisional, "{n_tombstones} tombstones in {} records", records.len());
    assert!(table.values().all(|row| row["_final"] == json!(true)));
    assert_eq!(sorted(table.values().map(row).collect()), project.sql_offline(&query("revenue")));
}

/// A sink of its own, as each process makes it.
fn sink(bootstrap: &str, registry: &Arc<MemoryRegistry>, topic: &str) -> KafkaSink {
    let connection = KafkaConnection {
        bootstrap_servers: bootstrap.to_owned(),
        properties: BTreeMap::new(),
        registry: Arc::clone(registry) as Arc<dyn SchemaRegistry>,
    };
    let config = KafkaSinkConfig { name: "out".to_owned(), topic: topic.to_owned(), emit: Emit::Final };
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
    let registry = Arc::new(MemoryRegistry::new());
    let (zombie, owner) = (sink(bootstrap, &registry, "fenced"), sink(bootstrap, &registry, "fenced"));
    let context = context("fenced");
    let (mut late, progress) = zombie.open(&context).expect("the topic is made");
    assert_eq!(progress, None);
    late.deliver(at(1), &delivery(1)).expect("nobody else writes");
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
    let topic = SinkTopic::with_registry(&services, "fenced", registry);
    let ids: Vec<_> =
        topic.read().iter().map(|record| record.value.as_ref().expect("a row")["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!(3)]);
}

#[test]
fn progress_is_found_while_another_sinks_transaction_is_open() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let registry = Arc::new(MemoryRegistry::new());
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
    let registry = Arc::new(MemoryRegistry::new());
    let large = sink(&services.kafka.bootstrap, &registry, "large");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(2_000_000)]));
    let rows = RecordBatch::try_from_iter([("text", text)]).expect("a column");
    let context = SinkContext { schema: rows.schema(), ..context("large") };
    let (mut writer, _) = large.open(&context).expect("the topic is made");
    let refused = writer.deliver(at(1), &Delivery { changes: vec![Change::Upserts(rows)] });
    let Err(SinkError::Fatal(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("a row makes a record of 20000") && text.contains("message.max.bytes"), "{text}");
    assert_eq!(SinkTopic::with_registry(&services, "large", registry).read(), []);
}

#[test]
fn a_broker_that_restarts_while_rows_are_delivered_loses_and_doubles_nothing() {
    let mut services = disturb();
    let bootstrap = services.kafka.bootstrap.clone();
    Topics::new(&bootstrap).create("shaken", 2);
    let producer = Producer::new(&bootstrap);
    let mut shop = Shop::new(&services.registry.url, "shaken", 2, 11);
    let project = project(&services, "shaken", "final", &revenue("shaken"), "20ms");
    let topic = SinkTopic::new(&services, "shaken_out");
    let weir = project.run();
    shop.write(&producer, 1_000);
    shop.pause();
    topic.await_records();
    for _ in 0..3 {
        for _ in 0..10 {
            shop.write(&producer, 100);
            shop.pause();
        }
        services.kafka.restart();
        shop.write(&producer, 100);
    }
    weir.stop();
    assert!(project.run_bounded().success());
    assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
    assert_eq!(finals(&topic.read()), shop.expected());
}
