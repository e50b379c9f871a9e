//! What a seed decides: a query, a topic with its future, and how often the process dies or stops.
//!
//! All times of a case are multiples of its epoch, so that a case has about as much to do with epochs
//! of 50 ms as with epochs of 5 s.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::random::Random;
use super::sinks::System;
use super::world::{BEGIN_MS, Entry, PartitionLog, SimClock, Value, Weather, World};
use crate::connector::{Emit, WatermarkOptions};
use crate::state::failpoint::Point;
use crate::time::window::Windows;

/// Further than any two partitions are apart.
const NO_DRIFT_MS: i64 = 3_600_000_000;

/// Everything that happens in one simulation.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) query: Query,
    pub(super) world: Arc<World>,
    /// Where its rows go.
    pub(super) systems: Vec<Arc<System>>,
    pub(super) lateness_ms: i64,
    pub(super) provisional: bool,
    /// All but two end early: one that reads all there is, and the last, which closes all windows and
    /// delivers all rows.
    pub(super) lives: Vec<Life>,
    /// Which actors are slow, and by how much, in microseconds.
    pub(super) slowness: [i64; 3],
    /// Of one source subtask in one epoch.
    pub(super) epoch_bytes_max: usize,
}

/// One process.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) parallelism: usize,
    pub(super) epoch_ms: u64,
    pub(super) bounded: bool,
    pub(super) end: End,
}

impl Life {
    /// The longest that a source that has nothing waits before it is asked again.
    pub(super) fn poll_ms_max(&self) -> i64 {
        10.max(self.epoch_ms as i64 / 10)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Killed after so many milliseconds.
    Killed(i64),
    /// Killed at a pass of a point, if it gets there: else asked to stop after so many milliseconds.
    KilledAt(Point, u64, i64),
    /// Asked to stop after so many milliseconds.
    Stopped(i64),
    /// All records are committed; a bounded run: it is done.
    AllRead,
}

/// A query that the oracle can compute, too.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// Tumbling or overlapping; `None`: rows are appended.
    pub(super) windows: Option<Windows>,
    pub(super) by_key: bool,
    pub(super) by_name: bool,
    /// Rows with more than this amount only.
    pub(super) above: Option<i64>,
    /// Aggregates `1000 / amount` instead of `amount`.
    pub(super) divides: bool,
    /// Groups of fewer rows only.
    pub(super) fewer_than: Option<i64>,
}

impl Query {
    pub(super) fn sql(&self) -> String {
        let argument = if self.divides { "1000 / amount" } else { "amount" };
        let filter = self.above.map_or(String::new(), |above| format!(" WHERE amount > {above}"));
        let Some(Windows { size_ms, slide_ms, offset_ms }) = self.windows else {
            return format!("SELECT at, key, {argument} AS amount FROM log{filter}");
        };
        let interval = |ms: i64| format!("INTERVAL '{ms}' MILLISECOND");
        let offset = if offset_ms == 0 { String::new() } else { format!(", {}", interval(offset_ms)) };
        let (function, durations) = match slide_ms == size_ms {
            true => ("TUMBLE", interval(size_ms)),
            false => ("HOP", format!("{}, {}", interval(slide_ms), interval(size_ms))),
        };
        let key = if self.by_key { ", key" } else { "" };
        let name = if self.by_name { ", name" } else { "" };
        let having = self.fewer_than.map_or(String::new(), |n| format!(" HAVING count(*) < {n}"));
        format!(
            "SELECT window_start, window_end{key}{name}, count(*) AS n, sum({argument}) AS total, \
             min({argument}) AS low, max({argument}) AS high \
             FROM {function}(TABLE log, DESCRIPTOR(at), {durations}{offset}){filter} \
             GROUP BY window_start, window_end{key}{name}{having}"
        )
    }
}

impl Case {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let epoch_ms = random.pick(&[50, 100, 250, 1_000, 5_000]);
        let span_ms = epoch_ms * random.between(10, 40);
        let window_ms = (span_ms / random.between(2, 12)).max(10);
        let query = query(&mut random, window_ms);
        let world = world(&mut random, epoch_ms, span_ms, window_ms);
        let systems = systems(&mut random, query.windows.is_none(), span_ms, &world.clock);
        let lives = lives(&mut random, epoch_ms as u64, span_ms, !systems.is_empty());
        let mut slowness = [200; 3];
        if random.chance(60) {
            let slow = random.below(3) as usize;
            slowness[slow] = 1_000 * random.between(1, epoch_ms);
        }
        Self {
            seed,
            query,
            world: Arc::new(world),
            systems,
            lateness_ms: if random.chance(60) { 0 } else { random.below(2 * window_ms) },
            provisional: random.chance(75),
            lives,
            slowness,
            epoch_bytes_max: if random.chance(30) { 2_000 } else { 32 << 20 },
        }
    }
}

fn query(random: &mut Random, window_ms: i64) -> Query {
    let offset_ms = if random.chance(30) { random.below(window_ms) } else { 0 };
    // Panes in a window: one where it tumbles, and more than the eight from which merged ones are kept.
    let n_panes = random.pick(&[1, 1, 1, 2, 3, 7, 10]);
    let slide_ms = window_ms / n_panes;
    let windows = Windows { size_ms: slide_ms * n_panes, slide_ms, offset_ms };
    Query {
        windows: random.chance(80).then_some(windows),
        by_key: random.chance(70),
        by_name: random.chance(40),
        above: random.chance(40).then(|| random.below(50) - 25),
        divides: random.chance(25),
        fewer_than: random.chance(20).then(|| random.between(2, 8)),
    }
}

fn world(random: &mut Random, epoch_ms: i64, span_ms: i64, window_ms: i64) -> World {
    let delay_ms = random.pick(&[0, window_ms / 5, window_ms]);
    let max_ahead_ms = 10 * window_ms;
    let n_partitions = random.between(1, 6);
    let partitions = (0..n_partitions).map(|partition| {
        let created_ms = if partition == 0 || random.chance(70) { 0 } else { random.below(span_ms) };
        let mut random = random.fork();
        PartitionLog {
            created_ms,
            entries: entries(&mut random, created_ms, span_ms, window_ms, max_ahead_ms),
        }
    });
    let mut partitions: Vec<PartitionLog> = partitions.collect();
    // Partitions are numbered in the order in which they are made.
    partitions.sort_by_key(|log| log.created_ms);
    let range = |random: &mut Random| -> Range<i64> {
        let start = random.below(span_ms);
        start..start + random.between(1, span_ms / 3 + 2)
    };
    let mut weather = Weather::default();
    for partition in 0..n_partitions {
        if random.chance(25) {
            let range = range(random);
            weather.leader_away.push((partition as i32, range, random.chance(50)));
        }
    }
    if random.chance(30) {
        weather.registry_away.push((random.below(3) as u8, range(random)));
    }
    if random.chance(25) {
        weather.broker_away.push(range(random));
    }
    let max_drift_ms = random.pick(&[window_ms, 3 * window_ms, NO_DRIFT_MS]);
    // Who is far ahead waits for who has nothing more, until that is idle.
    let falls_idle = max_drift_ms != NO_DRIFT_MS || random.chance(50);
    let idle_timeout_ms = if falls_idle { random.between(epoch_ms, span_ms) } else { 100 * span_ms };
    World {
        partitions,
        weather,
        watermark: WatermarkOptions { delay_ms, idle_timeout_ms, max_ahead_ms, max_drift_ms },
        records_per_poll: random.pick(&[1, 5, 40, 200]),
        clock: Arc::new(SimClock::default()),
        random: Mutex::new(random.fork()),
        is_mended: AtomicBool::new(false),
    }
}

fn entries(
    random: &mut Random,
    created_ms: i64,
    span_ms: i64,
    window_ms: i64,
    max_ahead_ms: i64,
) -> Vec<Entry> {
    let n = random.pick(&[0, 3, 30, 120]);
    let n_keys = random.pick(&[1, 5, 50]);
    // A backlog is there before the first process.
    let backlog = random.chance(30);
    let gap_ms = ((span_ms - created_ms).max(1) * 2 / n.max(1)).max(2);
    let mut now_ms = created_ms;
    let mut entries = Vec::new();
    for _ in 0..n {
        now_ms += random.below(gap_ms);
        if random.chance(2) {
            // An idle stretch.
            now_ms += random.below(span_ms / 2 + 1);
        }
        let behind_ms =
            if random.chance(8) { random.below(6 * window_ms) } else { random.below(window_ms / 4 + 1) };
        let at = match random.below(60) {
            0 => None,
            1 => Some(BEGIN_MS + now_ms + max_ahead_ms + random.between(1, 1_000_000)),
            _ => Some(BEGIN_MS + now_ms - behind_ms),
        };
        let value = match random.below(40) {
            0 => Value::Tombstone,
            1 => Value::Poison,
            2 => Value::Gap,
            _ => Value::Row { at, key: random.below(n_keys), amount: random.below(100) - 30 },
        };
        entries.push(Entry { arrives_ms: now_ms, schema: random.below(3) as u8, value });
    }
    if backlog {
        // Event times keep their distances, so that windows still differ.
        for entry in &mut entries {
            entry.arrives_ms = created_ms;
            if let Value::Row { at: Some(at), .. } = &mut entry.value {
                *at = (*at).min(BEGIN_MS + created_ms + max_ahead_ms);
            }
        }
    }
    entries
}

/// Appended rows have no key to update.
fn systems(random: &mut Random, appends: bool, span_ms: i64, clock: &Arc<SimClock>) -> Vec<Arc<System>> {
    let emits = [Emit::Final, Emit::Updates].into_iter().filter(|emit| !appends || *emit == Emit::Final);
    let chosen: Vec<Emit> = emits.filter(|_| random.chance(50)).collect();
    chosen.into_iter().map(|emit| Arc::new(System::new(random, emit, appends, span_ms, clock))).collect()
}

fn lives(random: &mut Random, epoch_ms: u64, span_ms: i64, has_sinks: bool) -> Vec<Life> {
    let point = |random: &mut Random, sink_percent: i64| match has_sinks && random.chance(sink_percent) {
        true => random.pick(&Point::SINK),
        false => random.pick(&Point::PIPELINE),
    };
    let mut parallelism = random.between(1, 5) as usize;
    let mut lives = Vec::new();
    for _ in 0..random.below(5) {
        let after_ms = random.below(span_ms / 3 + 1);
        let end = match random.below(4) {
            0 => End::Killed(after_ms),
            1 | 2 => End::KilledAt(point(random, 30), random.between(1, 12) as u64, after_ms),
            _ => End::Stopped(after_ms),
        };
        let bounded = random.chance(15);
        lives.push(Life { parallelism, epoch_ms, bounded, end });
        if random.chance(30) {
            parallelism = random.between(1, 5) as usize;
        }
    }
    lives.push(Life { parallelism, epoch_ms, bounded: false, end: End::AllRead });
    // All rows that were not delivered are, here.
    while random.chance(if has_sinks { 60 } else { 30 }) {
        let end = End::KilledAt(point(random, 80), random.between(1, 4) as u64, span_ms);
        lives.push(Life { parallelism, epoch_ms, bounded: true, end });
    }
    lives.push(Life { parallelism, epoch_ms, bounded: true, end: End::AllRead });
    lives
}
