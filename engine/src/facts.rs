//! What a pipeline knows of itself at a committed epoch: the facts behind the system tables.
//!
//! Invariant: facts are committed with their epoch and published with its results, so that counters,
//! partitions and results of one answer agree. Live values that exist between epochs (end offsets,
//! busy shares, a broker's trouble) are in [`crate::pipeline::Live`].

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::connector::SchemaSeen;
use crate::time::Epoch;
use crate::time::watermark::AtBarrier;

/// Counters of a pipeline's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Decoded events: records that are neither tombstones nor undecodable.
    pub rows_in: u64,
    /// Final rows written.
    pub rows_out: u64,
    pub late_rows: u64,
    pub tombstones: u64,
    /// Late rows included.
    pub dead_letters: u64,
    /// Records that were deleted before they were read, and that the pipeline was told to go on without.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_records: u64,
    /// Dead letters that were run again and are none any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_letters_replayed: u64,
    /// Dead letters that were kept no longer: older than their retention, or more than their bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_letters_expired: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A partition at a committed epoch. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFact {
    pub partition: i32,
    pub next_offset: i64,
    /// `None`: no row yet.
    pub watermark_ms: Option<i64>,
    pub idle: bool,
    /// Windows that end at or before it were closed without this partition; `None`: none were.
    pub floor_ms: Option<i64>,
    /// Where a bounded run ends; kept, so that a killed run goes on to the same end.
    pub bounded_end: Option<i64>,
    /// See [`Source::partition_name`](crate::connector::Source::partition_name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of one that has a name: its end, as far as it was known. One that is taken away may have been read or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_offset: Option<i64>,
}

impl PartitionFact {
    /// As the watermark sees it at its barrier; `before` is what it was at the last one, if it was there.
    #[must_use]
    pub fn at_barrier(&self, before: Option<&Self>) -> AtBarrier {
        let was_active = before.is_none_or(|before| !before.idle || before.next_offset < self.next_offset);
        AtBarrier { watermark_ms: self.watermark_ms, idle: self.idle, was_active }
    }

    /// Where its records are, for a person; `None`: in the source's topic.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.name.as_deref().map(|name| name.rsplit_once('#').map_or(name, |(place, _)| place))
    }
}

/// One committed epoch. The engine keeps the newest [`Facts::EPOCHS_KEPT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochFact {
    pub epoch: Epoch,
    pub committed_at_ms: i64,
    /// From the barrier's start to the end of the synced write.
    pub duration_ms: f64,
    pub rows_in: u64,
    pub bytes_written: u64,
}

/// A floor that was set: from `next_offset` on, windows ending at or before `floor_ms` are late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorFact {
    pub epoch: Epoch,
    pub partition: i32,
    pub next_offset: i64,
    pub floor_ms: i64,
}

/// All facts of one committed epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    pub epoch: Epoch,
    pub committed_at_ms: Option<i64>,
    pub watermark_ms: Option<i64>,
    /// Windows that end at or before it are closed.
    pub closed_ms: Option<i64>,
    pub counters: Counters,
    /// Ascending by partition.
    pub partitions: Arc<Vec<PartitionFact>>,
    /// Oldest first, bounded.
    pub epochs: Arc<VecDeque<EpochFact>>,
    pub floors: Arc<Vec<FloorFact>>,
    pub schemas: Arc<Vec<SchemaSeen>>,
}

impl Facts {
    /// How many committed epochs `weir.epochs` shows: over four minutes of 250 ms epochs.
    pub const EPOCHS_KEPT: usize = 1_000;
    /// How many floors are kept, newest last: days of partitions that fall idle and wake.
    pub const FLOORS_KEPT: usize = 10_000;
}
