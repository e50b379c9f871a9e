//! Brokers die one after another, and leaders move: nothing is lost or doubled, whichever reader reads.
//!
//! It takes more than a minute, so `make test` leaves it to `make chaos`, which sets `WEIR_KILLS`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::kills::{Defer, number};
use crate::producer::{Producer, Topics};
use crate::services::services;
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::sink_topic::{SinkTopic, Updates, finals};
use crate::weir::{Project, Weir, connection};

/// What is read by Weir's own Fetch reader, and by librdkafka: the property is its business only.
const READERS: [(&str, &str); 2] = [("fetch", ""), ("librdkafka", "properties: { client.rack: a }\n")];

/// Waits until each pipeline has read and committed more than it has now.
fn await_progress(weir: &Weir) {
    let rows_in = || {
        let rows = weir.try_sql("SELECT rows_in FROM weir.pipelines ORDER BY name").ok()?;
        rows.iter().map(|row| row[0].as_u64()).collect::<Option<Vec<u64>>>()
    };
    let before = weir.eventually("the pipelines are there", &rows_in);
    weir.eventually("every pipeline goes on", || {
        rows_in()?.iter().zip(&before).all(|(now, before)| before < now).then_some(())
    });
}

#[test]
fn nothing_is_lost_or_doubled_when_brokers_die_and_leaders_move() {
    let (n_rounds, seed) = (number("WEIR_KILLS", 0).div_ceil(20), number("WEIR_SEED", 1));
    if n_rounds == 0 {
        eprintln!("left to `make chaos`");
        return;
    }
    let services = services();
    let registry = &services.registry.url;
    let mut cluster = Cluster::start("leaders");
    let bootstrap = cluster.bootstrap.clone();
    Topics::new(&bootstrap).create("led", 4);
    let producer = Producer::new(&bootstrap);
    let mut shop = Shop::new(registry, "led", 4, seed);
    let connections = READERS.map(|(name, more)| connection(name, &bootstrap, registry, more));
    let mut project = Project::with_connections(&connections);
    let sink = |reader: &str, emit: &str| {
        format!("from: {reader}\ntype: kafka\nconnection: {reader}\ntopic: {reader}_{emit}\nemit: {emit}\n")
    };
    for ((reader, _), emit) in READERS.into_iter().zip(["final", "updates"]) {
        let source = format!("led_{reader}");
        project = project
            .source_at(reader, &source, "led", SOURCE)
            .pipeline(reader, &revenue(&source), "epoch: 50ms\nparallelism: 2\n")
            .sink(&format!("{reader}_{emit}"), &sink(reader, emit));
    }
    let done = AtomicBool::new(false);
    let (began, mut n_controllers) = (Instant::now(), 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                shop.write(&producer, 100);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        // Told to stop when this ends by a panic, too: the scope waits for the writer.
        let stop = Defer(|| done.store(true, Ordering::Relaxed));
        let mut weir = project.run();
        for (round, turn) in (0..n_rounds).flat_map(|round| (1..=4).map(move |turn| (round, turn))) {
            await_progress(&weir);
            let controller = cluster.controller();
            let id = if turn == 4 { controller } else { turn };
            n_controllers += usize::from(id == controller);
            cluster.kill(id);
            await_progress(&weir);
            if turn as u64 == 1 + round % 4 {
                // It finds its way with two brokers, too.
                weir.kill();
                weir = project.run();
                await_progress(&weir);
            }
            cluster.revive(id);
            await_progress(&weir);
            eprintln!("round {}, turn {turn}: {:.0?}", round + 1, began.elapsed());
        }
        drop(stop);
        writer.join().expect("the writer");
        assert!(weir.stop().success());
    });
    assert!(project.run_bounded().success());
    let expected = shop.expected();
    for (reader, _) in READERS {
        assert_eq!(project.sql_offline(&query(reader)), expected, "{reader}");
    }
    let [rows, updates] = ["fetch_final", "librdkafka_updates"].map(|topic| {
        let topic = SinkTopic::of_registry(&bootstrap, topic, registry);
        assert!(topic.is_settled(), "a run that ended leaves no transaction open");
        topic.read()
    });
    assert_eq!(finals(&rows), expected, "each final row is in the topic once");
    assert_eq!(Updates::of(&updates).rows, expected, "the last value of each key");
    eprintln!(
        "| kill -9 of each of three brokers in turn and then of the controller, leaders move to the others and back, \
         weir is killed while one is away, {n_rounds} rounds, {n_controllers} controllers, seed {seed}, {:.0?} | {} \
         records | both readers' result tables and topics equal: {} final rows, {} updates |",
        began.elapsed(),
        shop.n_written(),
        rows.len(),
        updates.len(),
    );
}
