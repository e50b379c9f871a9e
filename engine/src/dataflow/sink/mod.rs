//! From a committed epoch to the sinks: outboxes filled by the committer, emptied by a thread per sink.
//!
//! ```text
//! committer ─ rows of N ─► epoch's transaction ─ commit ─► wake ─► sink thread ─ deliver ─► sink
//! coordinator ◄── full? ──── Status ◄── rows, bytes, state ─────────┘
//! ```
//!
//! Invariants:
//! 1. Nothing is delivered before its epoch is committed, and nothing leaves the outbox before it is
//!    delivered: each row is applied once, whatever ends when.
//! 2. A sink that is down or slow costs the pipeline nothing until its outbox is full; then sources take
//!    no record and no epoch is ended. Other sinks go on with what they have.
//! 3. Memory is bounded: rows wait on disk, and a thread holds one delivery at a time.

mod outbox;
mod retry;
mod status;
mod task;

use std::sync::Arc;
use std::time::Duration;

pub use outbox::{Outbox, Outboxes};
pub use status::{SinkLive, SinkState, Status};
pub use task::{SinkFailure, SinkTask, SinkTaskState};

use crate::connector::Sink;

/// How often to look whether sinks have caught up, where they must.
pub(super) const SINK_POLL: Duration = Duration::from_millis(20);

/// A sink of a pipeline, and how much may wait for it.
#[derive(Clone)]
pub struct PipelineSink {
    pub sink: Arc<dyn Sink>,
    /// Bytes of its outbox, on disk, from which on the sources are slowed down.
    pub outbox_bytes_max: u64,
}

/// All sinks of a pipeline, for those who wait for them.
#[derive(Debug, Clone, Default)]
pub struct Sinks(pub Vec<Arc<Status>>);

impl Sinks {
    /// The sink whose outbox is to have room before another record is taken.
    #[must_use]
    pub fn full(&self) -> Option<&str> {
        self.0.iter().find(|status| status.is_full()).map(|full| full.name())
    }

    /// Whether every row was delivered.
    #[must_use]
    pub fn are_drained(&self) -> bool {
        self.0.iter().all(|status| status.is_drained())
    }

    /// Has everything delivered without waiting for more.
    pub fn flush(&self) {
        self.0.iter().for_each(|status| status.flush());
    }
}
