//! What is known of a running pipeline between epochs, shared by its threads and its handle.
//!
//! Invariants:
//! 1. Nothing here is a committed number: those are in the snapshot of their epoch.
//! 2. Threads write it once per batch: counters through atomics, ends and troubles under locks that are
//!    held for one entry. Nothing is written per row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connector::Reason;
use crate::dataflow::sink::{SinkLive, Sinks};

/// The state of a pipeline, as in `weir.pipelines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its broker, registry or topic, or recovers.
    Starting,
    Running,
    /// Stopped, or a bounded run that is done.
    Stopped,
    Failed,
}

impl State {
    /// The value of the `state` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What is known between epochs: never shown as a committed number.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// `(partition, end offset)`, ascending.
    pub end_offsets: Vec<(i32, i64)>,
    pub operators: Vec<OperatorLive>,
    pub sinks: Vec<SinkLive>,
    /// Partitions that are to be read and are not yet, ascending: their readers look for the place.
    pub unread: Vec<i32>,
    /// What is being waited for or retried, for a person.
    pub trouble: Option<String>,
    /// Records and bytes of record values read since the process started.
    pub records_total: u64,
    pub bytes_total: u64,
    /// Since the process started, indexed as [`Reason::ALL`].
    pub dead_letters_total: [u64; Reason::ALL.len()],
    pub tombstones_total: u64,
    /// Records that were deleted before they were read, since the process started.
    pub lost_records_total: u64,
    /// Dead letters that were run again and are none any more, since the process started.
    pub letters_replayed_total: u64,
    /// Dead letters that were kept no longer, since the process started.
    pub letters_expired_total: u64,
    /// Bytes written by commits since the process started.
    pub epoch_bytes_total: u64,
}

/// One subtask of one operator.
#[derive(Debug, Clone)]
pub struct OperatorLive {
    pub operator: String,
    pub kind: &'static str,
    pub subtask: usize,
    pub rows_in: u64,
    pub rows_out: u64,
    /// Of a source: rows whose time is good, so that they go through the steps on rows (one for each window where
    /// rows are expanded), and those that came through.
    pub rows_judged: u64,
    pub rows_kept: u64,
    /// Share of the last second or so, on the clock, spent working / waiting for room downstream, 0 to 1. A sink
    /// works while it delivers, and waits while its system is being connected to, or left alone after a failure.
    pub busy_ratio: f64,
    pub blocked_ratio: f64,
    pub state_bytes: u64,
}

/// Figures of one subtask, written by its thread.
#[derive(Debug, Default)]
pub struct Meter {
    pub rows_in: AtomicU64,
    pub rows_out: AtomicU64,
    pub rows_judged: AtomicU64,
    pub rows_kept: AtomicU64,
    pub busy: Spells,
    pub blocked: Spells,
    pub state_bytes: AtomicUsize,
    /// Per mille, of the last measured interval.
    busy_share: AtomicU64,
    blocked_share: AtomicU64,
    seen: Mutex<(u64, u64)>,
}

/// How long a thread was at something: what is over, and what it is in the middle of.
#[derive(Debug, Default)]
pub struct Spells {
    over_ns: AtomicU64,
    /// When it began, plus one; 0: it is not at it.
    since_ns: AtomicU64,
}

impl Spells {
    /// It begins now.
    pub fn begin(&self, now_ns: u64) {
        self.since_ns.store(now_ns.saturating_add(1), Ordering::Relaxed);
    }

    /// It is over now.
    pub fn end(&self, now_ns: u64) {
        let since_ns = self.since_ns.swap(0, Ordering::Relaxed);
        if 0 < since_ns {
            self.add(now_ns.saturating_sub(since_ns - 1));
        }
    }

    /// It went on for this long.
    pub fn add(&self, ns: u64) {
        self.over_ns.fetch_add(ns, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn is_going_on(&self) -> bool {
        self.since_ns.load(Ordering::Relaxed) != 0
    }

    fn total_ns(&self, now_ns: u64) -> u64 {
        let since_ns = self.since_ns.load(Ordering::Relaxed);
        let going_on_ns = if since_ns == 0 { 0 } else { now_ns.saturating_sub(since_ns - 1) };
        self.over_ns.load(Ordering::Relaxed).saturating_add(going_on_ns)
    }
}

impl Meter {
    /// Computes the shares of the `elapsed_ns` since the last call.
    pub(crate) fn measure(&self, now_ns: u64, elapsed_ns: u64) {
        let busy = self.busy.total_ns(now_ns);
        let blocked = self.blocked.total_ns(now_ns);
        let mut seen = lock(&self.seen);
        let share =
            |now: u64, before: u64| (now.saturating_sub(before) * 1_000 / elapsed_ns.max(1)).min(1_000);
        self.busy_share.store(share(busy, seen.0), Ordering::Relaxed);
        self.blocked_share.store(share(blocked, seen.1), Ordering::Relaxed);
        *seen = (busy, blocked);
    }

    pub(super) fn live(&self, operator: &str, kind: &'static str, subtask: usize) -> OperatorLive {
        let share = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64 / 1_000.0;
        OperatorLive {
            operator: operator.to_owned(),
            kind,
            subtask,
            rows_in: self.rows_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            rows_judged: self.rows_judged.load(Ordering::Relaxed),
            rows_kept: self.rows_kept.load(Ordering::Relaxed),
            busy_ratio: share(&self.busy_share),
            blocked_ratio: share(&self.blocked_share),
            state_bytes: self.state_bytes.load(Ordering::Relaxed) as u64,
        }
    }
}

/// Shared by all threads of a pipeline.
#[derive(Debug)]
pub struct Shared {
    pub sources: Vec<Meter>,
    pub windows: Vec<Meter>,
    pub sinks: Sinks,
    source_name: String,
    window_kind: &'static str,

    state: Mutex<(State, Option<String>)>,
    trouble: Mutex<BTreeMap<(&'static str, usize), String>>,
    end_offsets: Mutex<BTreeMap<i32, i64>>,
    unread: Mutex<BTreeSet<i32>>,
    pub records_total: AtomicU64,
    pub bytes_total: AtomicU64,
    pub dead_letters_total: [AtomicU64; Reason::ALL.len()],
    pub tombstones_total: AtomicU64,
    pub lost_records_total: AtomicU64,
    pub letters_replayed_total: AtomicU64,
    pub letters_expired_total: AtomicU64,
    pub epoch_bytes_total: AtomicU64,
}

impl Shared {
    /// A pipeline that is starting, of `parallelism` source and as many window subtasks.
    #[must_use]
    pub fn new(source_name: &str, window_kind: &'static str, parallelism: usize) -> Self {
        let meters = || (0..parallelism).map(|_| Meter::default()).collect();
        Self {
            sources: meters(),
            windows: meters(),
            sinks: Sinks::default(),
            source_name: source_name.to_owned(),
            window_kind,
            state: Mutex::new((State::Starting, None)),
            trouble: Mutex::default(),
            end_offsets: Mutex::default(),
            unread: Mutex::default(),
            records_total: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            dead_letters_total: Default::default(),
            tombstones_total: AtomicU64::new(0),
            lost_records_total: AtomicU64::new(0),
            letters_replayed_total: AtomicU64::new(0),
            letters_expired_total: AtomicU64::new(0),
            epoch_bytes_total: AtomicU64::new(0),
        }
    }

    /// What the operators behind the exchange are called.
    #[must_use]
    pub fn window_kind(&self) -> &'static str {
        self.window_kind
    }

    /// With these sinks.
    #[must_use]
    pub fn with_sinks(self, sinks: Sinks) -> Self {
        Self { sinks, ..self }
    }

    /// The state and, if failed, why.
    #[must_use]
    pub fn state(&self) -> (State, Option<String>) {
        lock(&self.state).clone()
    }

    /// Moves to `state`. The first failure stays: what follows from it is noise.
    pub fn set_state(&self, state: State, error: Option<String>) {
        let mut current = lock(&self.state);
        if current.0 != State::Failed {
            *current = (state, error);
        }
    }

    /// Says what `what` of a subtask waits for, or that it no longer does.
    pub fn set_trouble(&self, what: &'static str, subtask: usize, trouble: Option<String>) {
        let mut all = lock(&self.trouble);
        match trouble {
            Some(detail) => all.insert((what, subtask), detail),
            None => all.remove(&(what, subtask)),
        };
    }

    /// Notes the end of a partition. An end never goes back.
    pub fn set_end_offset(&self, partition: i32, end_offset: i64) {
        let mut ends = lock(&self.end_offsets);
        let end = ends.entry(partition).or_insert(end_offset);
        *end = (*end).max(end_offset);
    }

    /// The end of a partition, as far as it is known.
    #[must_use]
    pub fn end_offset(&self, partition: i32) -> Option<i64> {
        lock(&self.end_offsets).get(&partition).copied()
    }

    /// Notes that a partition is to be read, or that it is.
    pub fn set_unread(&self, partition: i32, unread: bool) {
        let mut all = lock(&self.unread);
        if unread {
            all.insert(partition)
        } else {
            all.remove(&partition)
        };
    }

    /// The meters of all subtasks.
    pub(crate) fn meters(&self) -> impl Iterator<Item = &Meter> {
        let sinks = self.sinks.0.iter().map(|status| status.meter());
        self.sources.iter().chain(&self.windows).chain(sinks)
    }

    /// All that is known now.
    #[must_use]
    pub fn live(&self) -> Live {
        let sources = self.sources.iter().enumerate();
        let windows = self.windows.iter().enumerate();
        let operators = sources
            .map(|(subtask, meter)| meter.live(&self.source_name, "source", subtask))
            .chain(windows.map(|(subtask, meter)| meter.live(self.window_kind, self.window_kind, subtask)))
            .chain(self.sinks.0.iter().map(|status| status.operator()))
            .collect();
        let mut trouble: Vec<String> = lock(&self.trouble).values().cloned().collect();
        if let Some(sink) = self.sinks.full().filter(|_| self.state().0 == State::Running) {
            trouble.push(format!("the outbox of sink \"{sink}\" is full: nothing is read until it has room"));
        }
        // Subtasks mostly wait for the same.
        trouble.dedup();
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        Live {
            end_offsets: lock(&self.end_offsets).iter().map(|(p, end)| (*p, *end)).collect(),
            operators,
            sinks: self.sinks.0.iter().map(|status| status.live()).collect(),
            unread: lock(&self.unread).iter().copied().collect(),
            trouble: (!trouble.is_empty()).then(|| trouble.join("; ")),
            records_total: load(&self.records_total),
            bytes_total: load(&self.bytes_total),
            dead_letters_total: std::array::from_fn(|i| load(&self.dead_letters_total[i])),
            tombstones_total: load(&self.tombstones_total),
            lost_records_total: load(&self.lost_records_total),
            letters_replayed_total: load(&self.letters_replayed_total),
            letters_expired_total: load(&self.letters_expired_total),
            epoch_bytes_total: load(&self.epoch_bytes_total),
        }
    }
}

/// Locks; what the mutex guards here is valid even if a thread panicked while it held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_interval_also_while_a_spell_goes_on() {
        let meter = Meter::default();
        let shares = |now_ms: u64, elapsed_ms: u64| {
            meter.measure(now_ms * 1_000_000, elapsed_ms * 1_000_000);
            let live = meter.live("t", "source", 0);
            (live.busy_ratio, live.blocked_ratio)
        };
        meter.busy.begin(0);
        meter.busy.end(600_000_000);
        meter.blocked.begin(900_000_000);
        assert_eq!(shares(1_000, 1_000), (0.6, 0.1));
        assert_eq!(shares(3_000, 2_000), (0.0, 1.0), "it has been blocked all the time");
        meter.blocked.end(3_500_000_000);
        meter.busy.add(250_000_000);
        assert_eq!(shares(4_000, 1_000), (0.25, 0.5));
        assert_eq!(shares(5_000, 1_000), (0.0, 0.0));
    }

    #[test]
    fn trouble_of_one_subtask_is_not_over_when_another_has_none() {
        let shared = Shared::new("t", "window", 2);
        shared.set_trouble("registry", 0, Some("away".to_owned()));
        shared.set_trouble("registry", 1, None);
        assert_eq!(shared.live().trouble.as_deref(), Some("away"));
        shared.set_trouble("registry", 1, Some("away".to_owned()));
        assert_eq!(shared.live().trouble.as_deref(), Some("away"), "said once");
    }
}
