//! The life of a pipeline: what makes it fail beside healthy ones, how it goes on, and restarts that
//! read nothing twice.

use std::time::{Duration, Instant};

use apache_avro::types::Value as Avro;
use serde_json::json;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{disturb, services};
use crate::weir::{Project, Weir};

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
