//! The process dies, again and again, at any moment and at every step: nothing is lost or doubled, in
//! the result table, in files and in topics.
//!
//! `make test` runs a short version, `make chaos` a long one (`WEIR_KILLS`, `WEIR_SEED`) whose table of
//! results is for docs/reliability.md.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use weir_engine::state::failpoint::Point;

use crate::file_sink;
use crate::producer::{Producer, Topics};
use crate::services::{Services, disturb, eventually, services};
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::sink_topic::{SinkTopic, Updates, finals};
use crate::weir::{PATIENCE, Project, Weir};

const SIGABRT: i32 = 6;

pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// A pipeline that has one sink of each kind.
struct Sunk {
    producer: Producer,
    shop: Shop,
    project: Project,
    finals: SinkTopic,
    updates: SinkTopic,
    out: PathBuf,
    taken: PathBuf,
}

impl Sunk {
    fn new(services: &Services, name: &str, n_partitions: i32, seed: u64, epoch: &str) -> Self {
        let bootstrap = &services.kafka.bootstrap;
        Topics::new(bootstrap).create(name, n_partitions);
        let kafka = |emit: &str| {
            format!("from: revenue\ntype: kafka\nconnection: test\ntopic: {name}_{emit}\nemit: {emit}\n")
        };
        let project = Project::new(services)
            .source(name, SOURCE)
            .pipeline("revenue", &revenue(name), &format!("epoch: {epoch}\nparallelism: 2\n"))
            .sink(&format!("{name}_files"), "from: revenue\ntype: file\npath: ../out\n")
            .sink(&format!("{name}_final"), &kafka("final"))
            .sink(&format!("{name}_updates"), &kafka("updates"));
        Self {
            producer: Producer::new(bootstrap),
            shop: Shop::new(&services.registry.url, name, n_partitions, seed),
            finals: SinkTopic::new(services, &format!("{name}_final")),
            updates: SinkTopic::new(services, &format!("{name}_updates")),
            out: project.path("out"),
            taken: project.path("taken"),
            project,
        }
    }

    /// Moves finished files away, as whoever takes them over does.
    fn take(&self) {
        file_sink::take(&self.out, &self.taken);
    }

    /// Reads everything to its end; the result table and what is in the sinks are the recomputation, and
    /// no transaction is open. Returns the last epoch, and how many records the topics have.
    fn check(&self) -> (u64, usize, usize) {
        let expected = self.shop.expected();
        let weir = self.project.run();
        weir.await_rows(&query("revenue"), &expected);
        let epoch = weir.epoch("revenue");
        weir.kill();
        assert!(self.project.run_bounded().success());
        self.take();
        assert_eq!(self.project.sql_offline(&query("revenue")), expected);
        assert_eq!(file_sink::read(&self.taken), expected, "each final row is in one file");
        for topic in [&self.finals, &self.updates] {
            assert!(topic.is_settled(), "a run that ended leaves no transaction open");
        }
        let (rows, updates) = (self.finals.read(), self.updates.read());
        assert_eq!(finals(&rows), expected, "each final row is in the topic once");
        assert_eq!(Updates::of(&updates).rows, expected, "the last value of each key");
        (epoch, rows.len(), updates.len())
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_it_dies_at_any_step() {
    let services = services();
    let began = Instant::now();
    let mut sunk = Sunk::new(&services, "steps", 2, 6, "20ms");
    for (i, point) in (0u64..).zip(Point::PIPELINE) {
        let recovers = point.name().starts_with("recover");
        let pass = if recovers { 1 } else { 1 + i % 4 };
        let (mut child, log) = sunk.project.run_dying(point, pass);
        let what = format!("weir dies at {} (see {})", point.name(), log.display());
        let status = eventually(&what, PATIENCE, || {
            sunk.shop.write(&sunk.producer, 20);
            child.try_wait().expect("it is our child")
        });
        assert_eq!(status.signal(), Some(SIGABRT), "{what}: {status}");
        sunk.take();
        let weir = sunk.project.run();
        weir.await_rows(&query("revenue"), &sunk.shop.expected());
        eprintln!("| {} | pass {pass} | equal, epoch {} |", point.name(), weir.epoch("revenue"));
        weir.kill();
        sunk.take();
    }
    let (epoch, rows, updates) = sunk.check();
    eprintln!(
        "| each step, three sinks, {:.0?} | epoch {epoch} | equal, {rows} final rows, {updates} updates |",
        began.elapsed(),
    );
}

/// Does it when it is dropped.
pub(crate) struct Defer<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs and kills it so many times while records are written; `disturb` does so to what it uses.
fn kill_under_load(sunk: &mut Sunk, n_kills: u64, seed: u64, mut disturb: impl FnMut(&Weir)) {
    let mut random = StdRng::seed_from_u64(seed);
    let done = AtomicBool::new(false);
    let Sunk { producer, shop, project, out, taken, .. } = sunk;
    let mut epoch = 0;
    std::thread::scope(|scope| {
        // Told to stop when this ends by a panic, too: the scope waits for the writer.
        let stop = Defer(|| done.store(true, Ordering::Relaxed));
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                shop.write(producer, 200);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        for kill in 1..=n_kills {
            let weir = project.run();
            std::thread::park_timeout(Duration::from_millis(random.random_range(0..1_200)));
            disturb(&weir);
            let seen = weir.epoch("revenue");
            assert!(seen == 0 || epoch <= seen, "epochs go on from {epoch}, not back to {seen}");
            epoch = epoch.max(seen);
            weir.kill();
            file_sink::take(out, taken);
            if kill % 10 == 0 {
                eprintln!("{kill} kills, epoch {epoch}");
            }
        }
        drop(stop);
        writer.join().expect("the writer");
    });
    let weir = project.run();
    weir.await_rows(&query("revenue"), &shop.expected());
    assert!(epoch <= weir.epoch("revenue"));
    weir.kill();
}

#[test]
fn nothing_is_lost_or_doubled_when_it_is_killed_under_load() {
    let (n_kills, seed) = (number("WEIR_KILLS", 8), number("WEIR_SEED", 1));
    let services = services();
    let began = Instant::now();
    let mut sunk = Sunk::new(&services, "load", 4, seed, "50ms");
    kill_under_load(&mut sunk, n_kills, seed, |_| {});
    assert_eq!(sunk.finals.n_partitions(), 4, "as many as the source has");
    let (epoch, rows, updates) = sunk.check();
    eprintln!(
        "| kill -9 under load, seed {seed}, {:.0?} | {n_kills} kills, {} records, epoch {epoch} | result table, files \
         and topics equal: {rows} final rows, {updates} updates |",
        began.elapsed(),
        sunk.shop.n_written(),
    );
}

#[test]
fn nothing_is_lost_or_doubled_when_the_broker_is_killed_too() {
    let (n_kills, seed) = (number("WEIR_KILLS", 8).div_ceil(10), number("WEIR_SEED", 1));
    let mut random = StdRng::seed_from_u64(!seed);
    let mut services = disturb();
    let began = Instant::now();
    let mut sunk = Sunk::new(&services, "shaken_load", 4, seed, "50ms");
    kill_under_load(&mut sunk, n_kills, seed, |weir| {
        let mut pause = || std::thread::park_timeout(Duration::from_millis(random.random_range(0..1_500)));
        // It has begun, or there is nothing that the broker's end could hurt.
        weir.eventually("an epoch is committed", || (0 < weir.epoch("revenue")).then_some(()));
        pause();
        services.kafka.stop();
        pause();
        services.kafka.start();
        // It is killed while it finds its way back.
        pause();
    });
    let (epoch, rows, updates) = sunk.check();
    eprintln!(
        "| kill -9 of the broker, then of weir, seed {seed}, {:.0?} | {n_kills} times, {} records, epoch {epoch} | \
         result table, files and topics equal: {rows} final rows, {updates} updates |",
        began.elapsed(),
        sunk.shop.n_written(),
    );
}
