//! The life of a pipeline: what makes it fail beside healthy ones, how it goes on, and restarts that
//! read nothing twice.

use std::time::{Duration, Instant};

use apache_avro::types::Value as Avro;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{disturb, services};
use crate::weir::{Project, Weir, connection};

const SCHEMA: &str = r#"{"type": "record", "name": "tick", "fields": [{"name": "n", "type": "long"}]}"#;
const START_MS: i64 = 1_700_000_000_000;

fn counting(topic: &str) -> String {
    format!("SELECT n FROM {topic}")
}

struct Ticks {
    topic: &'static str,
    writer: Writer,
    producer: Producer,
}

impl Ticks {
    fn new(bootstrap: &str, registry: &str, topic: &'static str) -> Self {
        let writer = Writer::register(registry, &format!("{topic}-value"), SCHEMA);
        Self { topic, writer, producer: Producer::new(bootstrap) }
    }

    fn write(&self, numbers: std::ops::Range<i64>) {
        for n in numbers {
            let value = self.writer.encode(&[("n", Avro::Long(n))]);
            let to = To { topic: self.topic, partition: 0, timestamp_ms: START_MS + n };
            self.producer.send(to, None, Some(&value));
        }
        self.producer.flush();
    }
}

/// Waits until a pipeline is `failed`, and returns why.
fn failure(weir: &Weir, pipeline: &str) -> String {
    let query = format!("SELECT error FROM weir.pipelines WHERE name = '{pipeline}' AND state = 'failed'");
    weir.eventually("the pipeline has failed", || {
        let rows = weir.try_sql(&query).ok()?;
        Some(rows.first()?[0].as_str()?.to_owned())
    })
}

#[test]
fn a_topic_made_anew_fails_its_pipeline_and_no_other() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    let topics = Topics::new(bootstrap);
    for topic in ["life_anew", "life_healthy"] {
        topics.create(topic, 1);
    }
    let anew = Ticks::new(bootstrap, registry, "life_anew");
    let healthy = Ticks::new(bootstrap, registry, "life_healthy");
    anew.write(0..5);
    healthy.write(0..5);
    let project = Project::new(&services)
        .source("life_anew", "")
        .source("life_healthy", "")
        .pipeline("anew", &counting("life_anew"), "")
        .pipeline("healthy", &counting("life_healthy"), "");
    let weir = project.run();
    weir.await_rows("SELECT count(*) FROM anew", &[vec![json!(5)]]);
    weir.await_rows("SELECT count(*) FROM healthy", &[vec![json!(5)]]);
    assert!(weir.stop().success());

    topics.delete("life_anew");
    weir_until_created(&topics, "life_anew");
    Ticks::new(bootstrap, registry, "life_anew").write(0..9);
    healthy.write(5..7);
    let weir = project.run();
    let why = failure(&weir, "anew");
    assert!(why.contains("topic \"life_anew\" was made anew") && why.contains("weir reset"), "{why}");
    weir.await_rows("SELECT count(*) FROM healthy", &[vec![json!(7)]]);
    // What it kept can still be read.
    weir.await_rows("SELECT count(*) FROM anew", &[vec![json!(5)]]);
    assert!(weir.stop().success());
    assert_eq!(project.run_bounded().code(), Some(1));
}

/// A topic that is being deleted can't be made anew at once.
fn weir_until_created(topics: &Topics, topic: &str) {
    crate::services::eventually("the topic is back", crate::weir::PATIENCE, || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| topics.create(topic, 1))).ok()
    });
}

#[test]
fn records_deleted_unread_fail_the_pipeline_until_it_is_told_to_skip_them() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    let topics = Topics::new(bootstrap);
    topics.create("life_lost", 1);
    let ticks = Ticks::new(bootstrap, registry, "life_lost");
    ticks.write(0..5);
    let project =
        Project::new(&services).source("life_lost", "").pipeline("lost", &counting("life_lost"), "");
    let weir = project.run();
    weir.await_rows("SELECT count(*) FROM lost", &[vec![json!(5)]]);
    assert!(weir.stop().success());
    ticks.write(5..20);
    topics.delete_records("life_lost", 0, 12);

    let weir = project.run();
    let why = failure(&weir, "lost");
    assert!(why.contains("records 5 to 11 of partition 0 were deleted before they were read"), "{why}");
    assert!(why.contains("--skip-lost"), "{why}");
    assert!(weir.stop().success());

    let weir = project.run_with(&["--skip-lost", "lost"]);
    weir.await_rows(
        "SELECT count(*), min(n), max(n) FROM lost WHERE n > 4",
        &[vec![json!(8), json!(12), json!(19)]],
    );
    let counters = "SELECT state, rows_in, lost_records FROM weir.pipelines";
    weir.await_rows(counters, &[vec![json!("running"), json!(13), json!(7)]]);
    let metrics =
        ureq::get(&format!("{}/metrics", weir.url())).call().unwrap().body_mut().read_to_string().unwrap();
    let line = metrics.lines().find(|line| line.starts_with("weir_source_lost_records_total")).unwrap();
    assert!(line.ends_with(" 7"), "{line}");
    assert!(weir.stop().success());

    let weir = project.run();
    weir.await_rows(counters, &[vec![json!("running"), json!(13), json!(7)]]);
}

#[test]
fn a_stop_and_a_start_under_load_read_nothing_twice() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("life_load", 1);
    let ticks = Ticks::new(bootstrap, registry, "life_load");
    let project =
        Project::new(&services).source("life_load", "").pipeline("load", &counting("life_load"), "");
    let positions = "SELECT rows_in, next_offset FROM weir.pipelines, weir.partitions";
    for round in 1..=3 {
        let weir = project.run();
        ticks.write((round - 1) * 3_000..round * 3_000);
        weir.eventually("some are read", || {
            let rows = weir.try_sql("SELECT rows_in FROM weir.pipelines").ok()?;
            ((round - 1) * 3_000 < rows[0][0].as_i64()?).then_some(())
        });
        assert!(weir.stop().success());
        let stopped = project.sql_offline(positions);
        assert_eq!(stopped[0][0], stopped[0][1], "each record up to the next offset, once");
    }
    let weir = project.run();
    let all = vec![json!(9_000), json!(9_000), json!(0), json!(8_999)];
    weir.await_rows("SELECT count(*), count(DISTINCT n), min(n), max(n) FROM load", &[all]);
}

#[test]
fn while_the_broker_is_away_results_can_be_read_at_once() {
    let mut services = disturb();
    let (bootstrap, registry) = (services.kafka.bootstrap.clone(), services.registry.url.clone());
    Topics::new(&bootstrap).create("life_away", 2);
    Ticks::new(&bootstrap, &registry, "life_away").write(0..5);
    let project =
        Project::new(&services).source("life_away", "").pipeline("away", &counting("life_away"), "");
    let weir = project.run();
    weir.await_rows("SELECT count(*) FROM away", &[vec![json!(5)]]);
    weir.await_ready();
    assert!(weir.stop().success());

    services.kafka.stop();
    let weir = project.run();
    let started = Instant::now();
    weir.await_rows("SELECT count(*) FROM away", &[vec![json!(5)]]);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let why = weir.not_ready().expect("nothing is being read");
    assert!(why.contains("\\\"away\\\""), "{why}");
    assert!(weir.stop().success());
    services.kafka.start();
}

/// The offsets of a group for partitions 0 and 1, as a tool asks for them.
fn group_offsets(bootstrap: &str, group: &str, topic: &str) -> Option<[i64; 2]> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group);
    let tool: BaseConsumer = config.create().expect("a client");
    let mut of = TopicPartitionList::new();
    of.add_partition_range(topic, 0, 1);
    let committed = tool.committed_offsets(of, Duration::from_secs(5)).ok()?;
    let offset = |partition| match committed.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    Some([offset(0)?, offset(1)?])
}

#[test]
fn lag_tools_see_how_far_a_pipeline_is() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("life_lag", 2);
    let ticks = Ticks::new(bootstrap, registry, "life_lag");
    ticks.write(0..7);
    // Once by librdkafka's reader, too: what tells does not depend on who reads.
    for (project, reader) in ["", "properties: { socket.timeout.ms: \"60000\" }"].iter().enumerate() {
        let (name, written) = (format!("lag{project}"), 7 + 4 * project as i64);
        let connection = connection("test", bootstrap, registry, reader);
        let project = Project::with_connections(&[connection]).source("life_lag", "").pipeline(
            &name,
            &counting("life_lag"),
            "",
        );
        let offsets = || group_offsets(bootstrap, &format!("weir.it.{name}"), "life_lag");
        let known = "SELECT next_offset FROM weir.partitions ORDER BY partition";
        assert!(project.run_bounded().success());
        assert_eq!(offsets(), Some([written, 0]), "when a bounded run has ended");

        let weir = project.run();
        ticks.write(written..written + 2);
        weir.await_rows(known, &[vec![json!(written + 2)], vec![json!(0)]]);
        weir.eventually("a running one tells, too", || (offsets()? == [written + 2, 0]).then_some(()));
        ticks.write(written + 2..written + 4);
        weir.await_rows(known, &[vec![json!(written + 4)], vec![json!(0)]]);
        assert!(weir.stop().success());
        assert_eq!(offsets(), Some([written + 4, 0]), "after a stop");
    }
}

#[test]
fn it_listens_at_once_while_a_registry_hangs_and_is_refused_where_it_is_wrong() {
    let services = disturb();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("life_hangs", 1);
    Ticks::new(bootstrap, registry, "life_hangs").write(0..5);
    let project = || {
        let project = Project::new(&services).source("life_hangs", "");
        ["one", "two", "three"].into_iter().fold(project, |project, name| {
            let version = "schema: { subject: life_hangs-value, version: 1 }\n";
            let project = project.source_at("test", &format!("life_hangs_{name}"), "life_hangs", version);
            project.pipeline(name, &counting(&format!("life_hangs_{name}")), "")
        })
    };
    services.registry.set_hanging(true);
    let before = Instant::now();
    let weir = project().run();
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    let why = weir.not_ready().expect("it is not reading");
    assert!(why.contains("are being looked up"), "{why}");
    services.registry.set_hanging(false);
    weir.await_ready();
    weir.await_rows("SELECT count(*) FROM three", &[vec![json!(5)]]);
    assert!(weir.stop().success());

    services.registry.set_hanging(true);
    let wrong = project().pipeline("wrong", "SELECT n, FROM life_hangs", "");
    assert_eq!(wrong.run_bounded().code(), Some(2), "that is known without a registry");
    assert!(!wrong.path(".weir/one").exists(), "nothing was touched");
    services.registry.set_hanging(false);
}
