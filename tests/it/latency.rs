//! How long a number takes from Kafka to Kafka: from the row that closes a window to the window's row at
//! a read_committed consumer.
//!
//! Of a release build with the default epochs of 250 ms, p99 is to be at most the epoch and 100 ms:
//! `WEIR_SAMPLES=200 cargo test --release --package weir-tests --test it latency -- --nocapture`

use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use apache_avro::types::Value as Avro;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::shop::SCHEMA;
use crate::weir::{PATIENCE, Project};

const EPOCH_MS: u64 = 250;
const WINDOW_MS: i64 = 1_000;
/// Rows of each window before the one that closes it.
const ROWS: i64 = 200;

/// What p99 may be: as promised of a release build, and of one that is slow, on a machine that does much
/// else.
const P99_MS: u128 = if cfg!(debug_assertions) { 2_000 } else { EPOCH_MS as u128 + 100 };

fn consumer(bootstrap: &str, topic: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("isolation.level", "read_committed");
    config.set("group.id", "tests").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create().expect("a client");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&from).expect("no group is joined");
    consumer
}

#[test]
fn a_window_is_seen_soon_after_the_row_that_closes_it() {
    let n_samples =
        std::env::var("WEIR_SAMPLES").map_or(20, |text| text.parse().expect("a number of samples"));
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    for topic in ["prompt", "prompt_out"] {
        Topics::new(bootstrap).create(topic, 1);
    }
    let project = Project::new(&services)
        .source("prompt", "event_time: ordered_at\nwatermark: { delay: 0s, idle_timeout: 1h }\n")
        .pipeline(
            "waits",
            "SELECT window_start, window_end, count(*) AS orders
FROM TUMBLE(TABLE prompt, DESCRIPTOR(ordered_at), INTERVAL '1' SECOND) GROUP BY window_start, window_end",
            &format!("epoch: {EPOCH_MS}ms\n"),
        )
        .sink("prompt", "from: waits\ntype: kafka\nconnection: test\ntopic: prompt_out\nemit: final\n");
    let writer = Writer::register(&services.registry.url, "prompt-value", SCHEMA);
    let producer = Producer::new(bootstrap);
    let send = |ordered_at_ms: i64| {
        let value = writer.encode(&[
            ("id", Avro::Long(ordered_at_ms)),
            ("country", Avro::String("AT".to_owned())),
            ("amount", Avro::Long(1)),
            ("ordered_at", Avro::TimestampMillis(ordered_at_ms)),
        ]);
        producer.send(To { topic: "prompt", partition: 0, timestamp_ms: ordered_at_ms }, None, Some(&value));
    };
    let weir = project.run();
    let mut random = StdRng::seed_from_u64(1);
    // Kafka takes no timestamps that are far ahead of its clock.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let now_ms = i64::try_from(now).expect("it is before the year 292277026");
    let begin_ms = now_ms - now_ms % WINDOW_MS - 3_600_000;
    let (seen, arrivals) = channel();
    let mut waits: Vec<u128> = std::thread::scope(|scope| {
        let consumer = consumer(bootstrap, "prompt_out");
        // The first window is not counted: the sink connects meanwhile.
        let n_windows = n_samples + 1;
        scope.spawn(move || {
            for _ in 0..n_windows {
                let record = consumer.poll(PATIENCE).expect("a window's row");
                record.expect("the broker answers");
                seen.send(Instant::now()).expect("somebody waits for it");
            }
        });
        let mut waits = Vec::new();
        for window in 0..n_windows {
            let start_ms = begin_ms + window * WINDOW_MS;
            (0..ROWS).for_each(|row| send(start_ms + row));
            producer.flush();
            // Epochs are at any phase.
            std::thread::park_timeout(Duration::from_millis(random.random_range(200..700)));
            let closes = Instant::now();
            send(start_ms + WINDOW_MS);
            producer.flush();
            let arrival = arrivals.recv_timeout(PATIENCE).expect("the window's row arrives");
            waits.push((arrival - closes).as_millis());
        }
        waits.split_off(1)
    });
    weir.stop();
    waits.sort_unstable();
    let [median, p95, p99] = [50, 95, 99].map(|percent| waits[(waits.len() - 1) * percent / 100]);
    eprintln!(
        "closing row produced to row seen by a read_committed consumer, epochs of {EPOCH_MS} ms: median {median} ms, \
         p95 {p95} ms, p99 {p99} ms, longest {} ms of {n_samples} windows",
        waits[waits.len() - 1]
    );
    assert!(p99 <= P99_MS, "{waits:?} ms");
}
