//! What the threads of a pipeline say to each other.
//!
//! ```text
//! coordinator ── Control ──► source subtask ── Message ──► window subtask ── Part ──► committer
//!      ▲                          │ Event                                              │ Event
//!      └──────────────────────────┴───────────────────────────────────────────────────┘
//! ```
//!
//! Only two kinds of message travel in the channels of the data path, in order: batches and barriers.

use crossbeam_channel::Sender;

use super::replay::{Replay, Replayed};
use crate::connector::{SchemaSeen, Start, Topology};
use crate::facts::{Counters, FloorFact, PartitionFact};
use crate::operator::{Barrier, Batch, Output};
use crate::result::{DeadLetter, LetterId};
use crate::time::Epoch;

/// The data path's message.
#[derive(Debug)]
pub enum Message {
    Batch(Batch),
    Barrier(Barrier),
}

/// From the coordinator to a source subtask.
#[derive(Debug)]
pub enum Control {
    /// Read this partition from now on.
    Assign { fact: PartitionFact, start: Start, end_offset: Option<i64> },
    /// First step of ending an epoch: flush, report, and take no record until the barrier.
    Close(Epoch),
    /// Second step: send this barrier. Partitions with a watermark past `read_until_ms` are paused.
    Barrier { barrier: Barrier, read_until_ms: Option<i64> },
    /// Run these dead letters again.
    Replay(Replay),
}

/// What a source subtask read in an epoch.
#[derive(Debug, Default)]
pub struct Report {
    pub subtask: usize,
    pub epoch: Epoch,
    /// Its partitions, as they are at the end of the epoch.
    pub partitions: Vec<PartitionFact>,
    pub counters: Counters,
    pub dead_letters: Vec<DeadLetter>,
    pub floors: Vec<FloorFact>,
    pub schemas: Vec<SchemaSeen>,
    /// Dead letters of earlier epochs whose records were run again. Those that failed again are in `dead_letters`, too.
    pub replayed: Vec<LetterId>,
    /// To be given once the epoch is committed.
    pub answer: Option<(Sender<Replayed>, Replayed)>,
}

/// From anywhere to the coordinator.
#[derive(Debug)]
pub enum Event {
    Topology(Topology),
    Report(Box<Report>),
    /// A source subtask can take no more in this epoch.
    Full,
    /// The epoch is durable and published.
    Committed(Epoch),
    /// A thread can't go on.
    Failed(String),
    /// Somebody wants the pipeline to stop.
    Stop,
    /// Somebody wants dead letters to be run again.
    Replay(Replay),
}

/// A part of an epoch, on its way to the committer.
#[derive(Debug)]
pub enum Part {
    /// From the coordinator: comes before the operators' parts or after, once per epoch.
    Sources(SourcesPart),
    Output {
        subtask: usize,
        epoch: Epoch,
        output: Output,
    },
}

/// All source subtasks' reports of an epoch, put together.
#[derive(Debug)]
pub struct SourcesPart {
    pub barrier: Barrier,
    /// Windows that end at or before it are closed once the epoch is committed.
    pub closed_ms: Option<i64>,
    pub reports: Vec<Report>,
    /// When the barrier started, on the monotonic clock.
    pub started_ns: u64,
}
