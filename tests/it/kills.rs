//! The process dies, again and again, at any moment and at every step: nothing is lost or doubled.
//!
//! `make test` runs a short version, `make chaos` a long one (`WEIR_KILLS`, `WEIR_SEED`) whose table of
//! results is for docs/reliability.md.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use weir_engine::state::failpoint::Point;

use crate::file_sink;
use crate::producer::{Producer, Topics};
use crate::services::{eventually, services};
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::weir::{PATIENCE, Project};

const SIGABRT: i32 = 6;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_lost_or_doubled_when_it_dies_at_any_step() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("steps", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "steps", 2, 6);
    let project = Project::new(&services).source("steps", SOURCE).pipeline(
        "revenue",
        &revenue("steps"),
        "epoch: 20ms\nparallelism: 2\n",
    );
    for (i, point) in (0u64..).zip(Point::PIPELINE) {
        let recovers = point.name().starts_with("recover");
        let pass = if recovers { 1 } else { 1 + i % 4 };
        let (mut child, log) = project.run_dying(point, pass);
        let what = format!("weir dies at {} (see {})", point.name(), log.display());
        let status = eventually(&what, PATIENCE, || {
            shop.write(&producer, 20);
            child.try_wait().expect("it is our child")
        });
        assert_eq!(status.signal(), Some(SIGABRT), "{what}: {status}");
        let weir = project.run();
        weir.await_rows(&query("revenue"), &shop.expected());
        eprintln!("| {} | pass {pass} | equal, epoch {} |", point.name(), weir.epoch("revenue"));
        weir.kill();
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_it_is_killed_under_load() {
    let n_kills = number("WEIR_KILLS", 8);
    let seed = number("WEIR_SEED", 1);
    let mut random = StdRng::seed_from_u64(seed);
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("load", 4);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "load", 4, seed);
    let project = Project::new(&services)
        .source("load", SOURCE)
        .pipeline("revenue", &revenue("load"), "epoch: 50ms\nparallelism: 2\n")
        .sink("loaded", "from: revenue\ntype: file\npath: ../out\n");
    let (out, taken) = (project.path("out"), project.path("taken"));
    let done = AtomicBool::new(false);
    let epoch = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                shop.write(&producer, 200);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let mut epoch = 0;
        for kill in 1..=n_kills {
            let weir = project.run();
            std::thread::park_timeout(Duration::from_millis(random.random_range(0..1_200)));
            let seen = weir.epoch("revenue");
            assert!(seen == 0 || epoch <= seen, "epochs go on from {epoch}, not back to {seen}");
            epoch = epoch.max(seen);
            weir.kill();
            file_sink::take(&out, &taken);
            if kill % 10 == 0 {
                eprintln!("{kill} kills, epoch {epoch}");
            }
        }
        done.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        epoch
    });
    let weir = project.run();
    weir.await_rows(&query("revenue"), &shop.expected());
    let last = weir.epoch("revenue");
    assert!(epoch <= last);
    weir.kill();
    assert!(project.run_bounded().success());
    file_sink::take(&out, &taken);
    assert_eq!(file_sink::read(&taken), shop.expected(), "each final row is in one file");
    eprintln!(
        "| kill -9 under load, seed {seed} | {n_kills} kills, {} records | result table and files equal, epoch {last} |",
        shop.n_written(),
    );
}
