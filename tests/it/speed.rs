//! What a dashboard costs its browser: how long it takes to come; and while numbers come ten times a second, frames, long tasks,
//! the way from a commit to the picture, and memory. Printed, and of a release build held against what is promised:
//! `WEIR_MINUTES=60 cargo test --release --package weir-tests --test it speed:: -- --nocapture`
//!
//! `WEIR_SECONDS` (20; 5 of a debug build) is how long frames are watched, `WEIR_MINUTES` (0) how long memory.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use crate::looker::Looker;
use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::shop::SCHEMA;
use crate::till::now_ms;
use crate::weir::{Project, Weir};

const TOPIC: &str = "busy";
const N_SERIES: usize = 20;
const N_POINTS: i64 = 1_000;
const WINDOW_MS: i64 = 1_000;
const TICK: Duration = Duration::from_millis(100);
/// Windows of the past that are written at once: the page gets them as deltas, of which each has less than 10,000 rows.
const BLOCK: i64 = 100;
const SQL: &str = "SELECT window_start, window_end, country, sum(amount) AS amount
FROM TUMBLE(TABLE busy, DESCRIPTOR(ordered_at), INTERVAL '1' SECOND)
GROUP BY window_start, window_end, country";
const BOARD: &str = "title: Busy
panels:
  - { title: Amount, pipeline: busy, chart: line, x: window_start, y: amount, series: country, last: 1000s, width: 12, height: 3 }
";

const MIB: f64 = (1 << 20) as f64;
/// What is promised of a release build on a machine that does nothing else; of one that is slow, on a machine that does much
/// else, no more than that it lives.
const PROMISED: Figures = if cfg!(debug_assertions) {
    Figures {
        opened_ms: 20_000.0,
        fps: 1.0,
        frame_ms: 3_000.0,
        long_task_ms: 5_000.0,
        painted_ms: 10_000.0,
        heap_mib: 5.0,
    }
} else {
    Figures {
        opened_ms: 1_000.0,
        fps: 58.0,
        frame_ms: 17.0,
        long_task_ms: 50.0,
        painted_ms: 100.0,
        heap_mib: 5.0,
    }
};

#[derive(Debug)]
struct Figures {
    opened_ms: f64,
    fps: f64,
    frame_ms: f64,
    long_task_ms: f64,
    painted_ms: f64,
    heap_mib: f64,
}

/// Orders of all series, at one moment after the other.
struct Orders {
    producer: Producer,
    writer: Writer,
    n_sent: i64,
}

impl Orders {
    fn send(&mut self, at_ms: i64) {
        for series in 0..N_SERIES as i64 {
            self.n_sent += 1;
            // Waves, so that lines cross and no picture is like the one before.
            let phase = (at_ms as f64 / 60_000.0) + series as f64;
            let amount = 1_000.0 + 50.0 * series as f64 + 300.0 * phase.sin() + (self.n_sent % 89) as f64;
            let value = self.writer.encode(&[
                ("id", Avro::Long(self.n_sent)),
                ("country", Avro::String(format!("S{series:02}"))),
                ("amount", Avro::Long(amount as i64)),
                ("ordered_at", Avro::TimestampMillis(at_ms)),
            ]);
            self.producer.send(To { topic: TOPIC, partition: 0, timestamp_ms: at_ms }, None, Some(&value));
        }
        self.producer.flush();
    }

    /// Sends ten times a second until the sender is dropped.
    fn go_on(mut self) -> Sender<()> {
        let (stop, stopped) = channel::<()>();
        thread::spawn(move || {
            let mut due = Instant::now();
            loop {
                self.send(now_ms());
                due += TICK;
                let wait = due.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
        });
        stop
    }
}

fn variable(name: &str, default: f64) -> f64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|it| it.as_f64().expect("a number")).collect()
}

/// How long each epoch took from its commit to the first picture with it, in milliseconds. An epoch's time is taken just
/// before its write, so that the write and its sync are in it.
fn waits_ms(weir: &Weir, painted: &Value) -> Vec<f64> {
    let query =
        "SELECT epoch, CAST(committed_at AS BIGINT) FROM weir.epochs WHERE pipeline = 'busy' ORDER BY epoch";
    let integer = |value: &Value| value.as_i64().expect("an integer");
    let painted = painted.as_array().expect("an array").iter();
    let mut first_ms: BTreeMap<i64, i64> = BTreeMap::new();
    for pair in painted {
        first_ms.entry(integer(&pair[0])).or_insert(integer(&pair[1]));
    }
    let Some((first, _)) = first_ms.first_key_value() else { return Vec::new() };
    let epochs = weir.sql(query);
    let epochs = epochs.iter().map(|row| (integer(&row[0]), integer(&row[1])));
    let waits = epochs.filter(|(epoch, _)| first < epoch).filter_map(|(epoch, committed_ms)| {
        first_ms.range(epoch..).next().map(|(_, painted_ms)| (painted_ms - committed_ms) as f64)
    });
    waits.collect()
}

fn assert_frames_are_quick(weir: &Weir, looker: &mut Looker) {
    let seconds = variable("WEIR_SECONDS", if cfg!(debug_assertions) { 5.0 } else { 20.0 });
    let seen = looker.ask("watch", json!(seconds));
    let (frames, long_tasks) = (numbers(&seen["frames"]), numbers(&seen["long_tasks"]));
    let waits_ms = waits_ms(weir, &seen["painted"]);
    let fps = frames.len() as f64 / frames.iter().sum::<f64>() * 1_000.0;
    let [frame_ms, painted_ms] = [&frames, &waits_ms].map(|values| percentile(values, 95));
    let longest_ms = long_tasks.iter().copied().fold(0.0, f64::max);
    let n_painted = seen["painted"].as_array().map_or(0, Vec::len);
    let per_painting = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN) / n_painted.max(1) as f64;
    eprintln!(
        "{N_SERIES} series x {N_POINTS} points: {fps:.1} frames per second, frame p95 {frame_ms:.1} ms, longest {:.1} ms; \
         {} long tasks, longest {longest_ms:.0} ms; {:.1} epochs painted per second, each {:.1} ms of CPU time of the page's thread, {:.1} of it scripts",
        percentile(&frames, 100),
        long_tasks.len(),
        n_painted as f64 / seconds,
        per_painting("task_ms"),
        per_painting("script_ms")
    );
    eprintln!(
        "epoch committed to painted: median {:.0} ms, p95 {painted_ms:.0} ms, longest {:.0} ms of {} epochs",
        percentile(&waits_ms, 50),
        percentile(&waits_ms, 100),
        waits_ms.len()
    );
    assert!(PROMISED.fps <= fps && frame_ms <= PROMISED.frame_ms, "promised: {PROMISED:?}");
    assert!(longest_ms <= PROMISED.long_task_ms, "promised: {PROMISED:?}");
    assert!(painted_ms <= PROMISED.painted_ms, "promised: {PROMISED:?}");
}

fn assert_memory_is_flat(looker: &mut Looker) {
    let until = Instant::now() + Duration::from_secs_f64(variable("WEIR_MINUTES", 0.0) * 60.0);
    let from = Instant::now();
    let mut heaps = Vec::new();
    loop {
        let memory = looker.ask("memory", json!(""));
        let [heap, program] = ["heap", "program"].map(|part| memory[part].as_f64().expect("bytes") / MIB);
        eprintln!(
            "after {:.1} min: heap {heap:.2} MiB, the program's memory {program:.2} MiB",
            from.elapsed().as_secs_f64() / 60.0
        );
        heaps.push(heap);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left.min(Duration::from_secs(60)));
    }
    let growth = heaps[heaps.len() - 1] - heaps[0];
    eprintln!("heap growth: {growth:.2} MiB");
    assert!(growth <= PROMISED.heap_mib, "{heaps:?} MiB");
}

#[test]
fn a_busy_dashboard_is_smooth_prompt_and_keeps_its_memory() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create(TOPIC, 1);
    let writer = Writer::register(&services.registry.url, &format!("{TOPIC}-value"), SCHEMA);
    let project = Project::new(&services)
        .source(TOPIC, "event_time: ordered_at\nwatermark: { delay: 0s }\n")
        .pipeline("busy", SQL, &format!("epoch: {}ms\n", TICK.as_millis()))
        .dashboard("busy", BOARD);
    let mut orders = Orders { producer: Producer::new(bootstrap), writer, n_sent: 0 };
    let begin_ms = now_ms() / WINDOW_MS * WINDOW_MS - N_POINTS * WINDOW_MS;
    orders.send(begin_ms - WINDOW_MS);
    let weir = project.run();
    weir.await_ready();
    let mut looker = Looker::start("speed.mjs", &[weir.url()]);
    let opened_ms = looker.ask("open", json!("/d/busy")).as_f64().expect("milliseconds");
    eprintln!(
        "the dashboard has its numbers {opened_ms:.0} ms after it was asked for, by a browser that knows nothing of it"
    );

    // The past comes block by block, as deltas: a snapshot has 10,000 rows at most.
    let mut at_ms = begin_ms;
    while at_ms < now_ms() - WINDOW_MS {
        for _ in 0..BLOCK {
            orders.send(at_ms);
            at_ms += WINDOW_MS;
            if now_ms() <= at_ms {
                break;
            }
        }
        let n_windows = (at_ms - begin_ms) / WINDOW_MS;
        let n_rows = n_windows.min(N_POINTS - 2) * N_SERIES as i64;
        weir.eventually("the page has the past", || {
            (n_rows <= looker.ask("rows", json!("")).as_i64().expect("a number")).then_some(())
        });
    }
    let go_on = orders.go_on();
    assert!(opened_ms <= PROMISED.opened_ms, "promised: {PROMISED:?}");
    assert_frames_are_quick(&weir, &mut looker);
    assert_memory_is_flat(&mut looker);
    drop(go_on);
    assert_eq!(looker.ask("complaints", json!("")), json!({ "errors": [], "foreign": [] }));
}
