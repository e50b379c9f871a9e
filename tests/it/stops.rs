//! SIGTERM: at once where there is nothing to wait for, and within ten seconds whatever hangs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::producer::{Producer, Topics, Writer};
use crate::services::{Services, disturb};
use crate::shop::{SCHEMA, SOURCE, Shop, query, revenue};
use crate::weir::{Project, Weir};

/// What is to be waited for, at most: an epoch, its commit, threads. Some tenths of a second; machines
/// that do much else need more.
const PROMPT: Duration = Duration::from_secs(2);
const PROMISED: Duration = Duration::from_secs(10);

/// A pipeline with a sink of each kind.
struct Sunk {
    project: Project,
    shop: Shop,
    producer: Producer,
}

impl Sunk {
    fn new(services: &Services, name: &str) -> Self {
        Topics::new(&services.kafka.bootstrap).create(name, 2);
        let kafka = |emit: &str| {
            format!("from: revenue\ntype: kafka\nconnection: test\ntopic: {name}_{emit}\nemit: {emit}\n")
        };
        let project = Project::new(services)
            .source(name, SOURCE)
            .pipeline("revenue", &revenue(name), "")
            .sink(&format!("{name}_finals"), &kafka("final"))
            .sink(&format!("{name}_updates"), &kafka("updates"))
            .sink(&format!("{name}_files"), "from: revenue\ntype: file\npath: ../out\n");
        let shop = Shop::new(&services.registry.url, name, 2, 1);
        Self { project, shop, producer: Producer::new(&services.kafka.bootstrap) }
    }

    fn write(&mut self) {
        self.shop.write(&self.producer, 2_000);
    }

    /// Runs it until all that was written is in the table, and the Kafka sinks are open.
    fn run(&mut self) -> Weir {
        let weir = self.project.run();
        self.write();
        weir.await_rows(&query("revenue"), &self.shop.expected());
        weir.await_rows("SELECT count(*) FROM weir.sinks WHERE state = 'running'", &[vec![json!(3)]]);
        weir
    }
}

fn stop(what: &str, weir: Weir, at_most: Duration) {
    let asked = Instant::now();
    assert!(weir.stop().success(), "{what}");
    let elapsed = asked.elapsed();
    eprintln!("| {what} | {elapsed:.1?} |");
    assert!(elapsed < at_most, "{what}: {elapsed:?}");
}

#[test]
fn a_stop_is_prompt_where_there_is_nothing_to_wait_for() {
    let mut services = disturb();
    let mut sunk = Sunk::new(&services, "stopped");
    let weir = sunk.run();
    stop("all is well", weir, PROMPT);

    let weir = sunk.run();
    services.kafka.stop();
    let retried = "SELECT count(*) FROM weir.sinks WHERE state IN ('retrying', 'down')";
    weir.eventually("the broker is missed", || weir.not_ready());
    stop("the broker went away", weir, PROMPT);
    let weir = sunk.project.run();
    weir.await_rows(retried, &[vec![json!(2)]]);
    // They try again by then.
    std::thread::park_timeout(Duration::from_millis(500));
    stop("the broker is away", weir, PROMPT);
    let fresh =
        Project::new(&services).source("stopped", SOURCE).pipeline("revenue", &revenue("stopped"), "").sink(
            "stopped_fresh",
            "from: revenue\ntype: kafka\nconnection: test\ntopic: stopped_fresh\nemit: final\n",
        );
    let weir = fresh.run();
    weir.eventually("it waits", || weir.not_ready().filter(|why| why.contains("could not ask the broker")));
    stop("the broker was never there", weir, PROMPT);
    services.kafka.start();

    services.registry.stop();
    let new = Project::new(&services).source("stopped", SOURCE).pipeline("revenue", &revenue("stopped"), "");
    let weir = new.run();
    weir.eventually("it waits", || weir.not_ready().filter(|why| why.contains("registry")));
    stop("the registry was never there", weir, PROMPT);
    services.registry.start();
}

#[test]
fn a_stop_takes_ten_seconds_at_most_whatever_hangs() {
    let services = disturb();
    let mut sunk = Sunk::new(&services, "hung");
    let weir = sunk.run();
    sunk.write();
    services.kafka.set_hanging(true);
    std::thread::park_timeout(Duration::from_secs(1));
    stop("the broker hangs under load", weir, PROMISED);
    let weir = sunk.project.run();
    weir.eventually("it waits", || weir.not_ready());
    std::thread::park_timeout(Duration::from_secs(1));
    stop("the broker hangs from the start on", weir, PROMISED);
    services.kafka.set_hanging(false);

    let weir = sunk.run();
    // Records of a schema that nobody here has seen.
    let schema = SCHEMA.replace("]}", r#", {"name": "note", "type": "string", "default": ""}]}"#);
    assert_ne!(schema, SCHEMA);
    sunk.shop.change_writer(Writer::register(&services.registry.url, "hung-value", &schema));
    services.registry.set_hanging(true);
    sunk.write();
    weir.eventually("it waits", || weir.not_ready().filter(|why| why.contains("registry")));
    std::thread::park_timeout(Duration::from_secs(1));
    stop("the registry hangs before a schema is known", weir, PROMISED);
    let new = Project::new(&services)
        .source("hung", SOURCE)
        .source_at("test", "hung2", "hung", "schema: { subject: hung-value, version: 1 }\n")
        .source_at("test", "hung3", "hung", "schema: { subject: hung-value, version: 2 }\n")
        .pipeline("revenue", &revenue("hung"), "")
        .pipeline("other", "SELECT id FROM hung2", "")
        .pipeline("third", "SELECT id FROM hung3", "");
    let weir = new.run();
    std::thread::park_timeout(Duration::from_secs(1));
    stop("the registry hangs from the start on", weir, PROMISED);
    services.registry.set_hanging(false);

    // What was not delivered and not read meanwhile is.
    let weir = sunk.project.run();
    weir.await_rows(&query("revenue"), &sunk.shop.expected());
    weir.await_rows("SELECT sum(outbox_rows) FROM weir.sinks", &[vec![json!(0)]]);
    stop("all is well again", weir, PROMPT);
}
