//! Kafka to SQL over HTTP: what is produced is what is counted, whatever happens meanwhile.

use serde_json::json;

use crate::producer::{Producer, Topics};
use crate::services::{disturb, services};
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::weir::Project;

#[test]
fn windows_equal_a_recomputation_in_batch_at_any_parallelism() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("equal", 3);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "equal", 3, 1);
    shop.write(&producer, 5_000);
    let project = Project::new(&services)
        .source("equal", SOURCE)
        .pipeline("one", &revenue("equal"), "parallelism: 1\n")
        .pipeline("two", &revenue("equal"), "parallelism: 2\n")
        .pipeline("often", &revenue("equal"), "parallelism: 3\nepoch: 10ms\n");
    let weir = project.run();
    weir.await_ready();
    // What was there, and what comes while it runs.
    for _ in 0..5 {
        shop.write(&producer, 1_000);
    }
    for pipeline in ["one", "two", "often"] {
        weir.await_rows(&query(pipeline), &shop.expected());
    }
    assert!(shop.n_late() > 0, "the test is to have late rows");
    let counters = "SELECT name, rows_in, late_rows, dead_letters FROM weir.pipelines ORDER BY name";
    let counters_of =
        |name| vec![json!(name), json!(shop.n_written()), json!(shop.n_late()), json!(shop.n_late())];
    weir.await_rows(counters, &["often", "one", "two"].map(counters_of));
    assert!(weir.stop().success());
}

#[test]
fn a_bounded_run_closes_every_window_and_a_later_one_goes_on() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("bounded", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "bounded", 2, 2);
    shop.write(&producer, 3_000);
    let project =
        Project::new(&services).source("bounded", SOURCE).pipeline("revenue", &revenue("bounded"), "");
    for _ in 0..2 {
        assert!(project.run_bounded().success());
        assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
        let n_open = "SELECT count(*) FROM revenue WHERE NOT _final";
        assert_eq!(project.sql_offline(n_open), [[json!(0)]]);
        // What follows is of windows that no run has closed.
        shop.pause();
        shop.write(&producer, 2_000);
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_it_is_killed_again_and_again() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("killed", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "killed", 2, 3);
    let project = Project::new(&services).source("killed", SOURCE).pipeline(
        "revenue",
        &revenue("killed"),
        "epoch: 20ms\nparallelism: 2\n",
    );
    let mut epoch = 0;
    for round in 0..20 {
        let weir = project.run();
        for _ in 0..=round % 5 {
            shop.write(&producer, 100);
        }
        // Some rounds are killed wherever they are, others right behind a commit.
        if round % 3 != 0 {
            weir.eventually("an epoch more is committed", || (epoch < weir.epoch("revenue")).then_some(()));
        }
        let seen = weir.epoch("revenue");
        assert!(seen == 0 || epoch <= seen, "epochs go on from {epoch}, not back to {seen}");
        epoch = epoch.max(seen);
        weir.kill();
    }
    let weir = project.run();
    weir.await_rows(&query("revenue"), &shop.expected());
    assert!(epoch <= weir.epoch("revenue"));
}

#[test]
fn a_broker_that_restarts_costs_nothing_but_time() {
    let mut services = disturb();
    let bootstrap = services.kafka.bootstrap.clone();
    Topics::new(&bootstrap).create("rebroker", 2);
    let producer = Producer::new(&bootstrap);
    let mut shop = Shop::new(&services.registry.url, "rebroker", 2, 4);
    shop.write(&producer, 2_000);
    let project =
        Project::new(&services).source("rebroker", SOURCE).pipeline("revenue", &revenue("rebroker"), "");
    let weir = project.run();
    weir.await_rows(&query("revenue"), &shop.expected());
    services.kafka.restart();
    shop.write(&producer, 2_000);
    weir.await_rows(&query("revenue"), &shop.expected());
}

#[test]
fn it_starts_before_broker_and_registry_and_says_what_it_waits_for() {
    let mut services = disturb();
    let bootstrap = services.kafka.bootstrap.clone();
    Topics::new(&bootstrap).create("early", 1);
    let mut shop = Shop::new(&services.registry.url, "early", 1, 5);
    let project = Project::new(&services).source("early", SOURCE).pipeline("revenue", &revenue("early"), "");
    services.registry.stop();
    services.kafka.stop();
    let weir = project.run();
    let reason = weir.eventually("weir says what it waits for", || weir.not_ready());
    assert!(reason.contains("registry"), "{reason}");
    services.registry.start();
    weir.eventually("weir waits for the broker", || {
        weir.not_ready().filter(|reason| reason.contains(&bootstrap))
    });
    services.kafka.start();
    weir.await_ready();
    shop.write(&Producer::new(&bootstrap), 100);
    weir.await_rows(&query("revenue"), &shop.expected());
}
