//! One table's last committed epochs: a ring that clients resume from, and the newest snapshot.
//!
//! Invariants:
//! 1. The ring holds every epoch behind `base`, in order: whoever has `base` or a later epoch can go
//!    on from it. It keeps at least the last [`KEPT`], within [`BYTES_MAX`].
//! 2. The newest snapshot is that of the ring's last epoch.
//! 3. Publishing takes a lock for moments only: it never waits for a client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::rows::{EpochRows, TimeColumn};
use crate::catalog::Committed;

/// How long epochs are kept: a little longer than promised.
const KEPT: Duration = Duration::from_secs(70);
/// Most memory of a table's ring.
const BYTES_MAX: usize = 64 << 20;
/// Most encoded events that are kept for other clients.
const EVENTS_MAX: usize = 8;

/// A result table as clients follow it.
pub(super) struct Table {
    pub(super) name: String,
    /// Its number in event ids.
    pub(super) number: u32,
    /// Set before the first client reads a row.
    time: OnceLock<Option<TimeColumn>>,

    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    latest: Option<Arc<dyn Committed>>,
    key: Arc<Vec<usize>>,
    /// The epoch before the first one in `epochs`.
    base: u64,
    epochs: VecDeque<(Instant, Arc<EpochRows>)>,
    /// Those that lead to the newest epoch.
    events: Vec<(Base, Encoded)>,
}

/// What an event of a table starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    /// The epoch that the client has; none: a snapshot.
    pub(super) epoch: Option<u64>,
    /// In milliseconds, as the client asked.
    pub(super) last_ms: Option<i64>,
}

/// An event without its id.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) name: &'static str,
    /// The epoch behind it.
    pub(super) epoch: u64,
    pub(super) data: Bytes,
}

/// What a client that has an epoch needs.
pub(super) enum Since {
    /// Nothing: it has the newest, or there is none yet.
    Nothing,
    /// These, in order; at least one.
    Epochs(Vec<Arc<EpochRows>>),
    /// A snapshot: what came behind its epoch is gone, or it has none.
    Snapshot(Arc<dyn Committed>),
}

/// What an epoch changed.
pub(super) struct Change {
    pub(super) epoch: u64,
    pub(super) watermark_ms: Option<i64>,
    pub(super) upserts: Vec<RecordBatch>,
    pub(super) deletes: Vec<RecordBatch>,
    /// The table behind it.
    pub(super) table: Arc<dyn Committed>,
}

impl Table {
    pub(super) fn new(name: String, number: u32) -> Self {
        Self { name, number, time: OnceLock::new(), ring: Mutex::default() }
    }

    /// Where rows' times are; none is known before [`Self::recovered`].
    pub(super) fn time(&self) -> Option<TimeColumn> {
        self.time.get().copied().flatten()
    }

    /// Tells of the state that the pipeline recovered. Ignored when an epoch is known already.
    /// Returns whether it was news.
    pub(super) fn recovered(&self, table: &Arc<dyn Committed>, time: Option<TimeColumn>) -> bool {
        self.time.get_or_init(|| time);
        let mut ring = self.ring();
        if ring.latest.is_some() {
            return false;
        }
        ring.start(table.clone());
        true
    }

    /// Adds a committed epoch. `now` decides what is too old to be kept.
    pub(super) fn publish(&self, change: Change, now: Instant) {
        let mut ring = self.ring();
        let Some(latest) = &ring.latest else { return ring.start(change.table) };
        if change.epoch <= latest.facts().epoch.0 {
            return;
        }
        let key = ring.key.clone();
        let rows = EpochRows::new(change.epoch, change.watermark_ms, key, change.upserts, change.deletes);
        ring.epochs.push_back((now, Arc::new(rows)));
        ring.latest = Some(change.table);
        ring.events.clear();
        ring.evict(now);
    }

    /// What a client needs that has `epoch`.
    pub(super) fn since(&self, epoch: Option<u64>) -> Since {
        let ring = self.ring();
        let Some(latest) = &ring.latest else { return Since::Nothing };
        match epoch {
            Some(epoch) if epoch == latest.facts().epoch.0 => Since::Nothing,
            Some(epoch) if ring.base <= epoch && epoch < latest.facts().epoch.0 => {
                let first = ring.epochs.partition_point(|(_, rows)| rows.epoch <= epoch);
                Since::Epochs(ring.epochs.range(first..).map(|(_, rows)| rows.clone()).collect())
            }
            _ => Since::Snapshot(latest.clone()),
        }
    }

    /// Whether rows are appended.
    pub(super) fn is_append(&self) -> bool {
        self.ring().key.is_empty()
    }

    /// The newest snapshot, to begin anew with.
    pub(super) fn latest(&self) -> Option<Arc<dyn Committed>> {
        self.ring().latest.clone()
    }

    /// The event that leads a client to the newest epoch, if another one needed it already.
    pub(super) fn encoded(&self, base: Base) -> Option<Encoded> {
        let ring = self.ring();
        let found = ring.events.iter().find(|(other, _)| *other == base);
        found.map(|(_, event)| event.clone())
    }

    /// Keeps an event while it leads to the newest epoch.
    pub(super) fn keep(&self, base: Base, event: &Encoded) {
        let mut ring = self.ring();
        let is_newest = ring.latest.as_ref().is_some_and(|latest| latest.facts().epoch.0 == event.epoch);
        if is_newest && ring.events.len() < EVENTS_MAX {
            ring.events.push((base, event.clone()));
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn start(&mut self, table: Arc<dyn Committed>) {
        self.key = Arc::new(table.key());
        self.base = table.facts().epoch.0;
        self.latest = Some(table);
    }

    fn evict(&mut self, now: Instant) {
        let mut bytes: usize = self.epochs.iter().map(|(_, rows)| rows.bytes()).sum();
        while let Some((at, rows)) = self.epochs.front() {
            if now.saturating_duration_since(*at) <= KEPT && bytes <= BYTES_MAX {
                break;
            }
            bytes -= rows.bytes().min(bytes);
            self.base = rows.epoch;
            self.epochs.pop_front();
        }
    }
}
