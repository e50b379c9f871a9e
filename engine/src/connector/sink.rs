//! The traits that sinks implement, and the rows they are given.
//!
//! ```text
//! epoch committed ─► outbox: (epoch, part) (epoch, part) …  ─► Delivery up to a position ─► SinkWriter
//!                       ▲                                                                      │
//!                       └── what is missing ◄── Progress ◄── Sink::open: fence, then read ◄────┘
//! ```
//!
//! Invariants:
//! 1. A delivery is applied whole or not at all, together with the position it leads up to.
//! 2. [`Sink::open`] makes every earlier writer of this identity powerless *before* it reads how far
//!    it got. Otherwise an earlier one could still apply what is then delivered a second time.
//! 3. Deliveries come in ascending order of positions, and only of epochs that are committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::time::Epoch;

/// What of a pipeline a sink is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Each row once, when it is final.
    Final,
    /// Provisional rows too, each time they change: upserts and deletes by key.
    Updates,
    /// No rows, but each dead letter once, when it has become one or did so anew.
    DeadLetters,
}

impl Emit {
    /// For a person.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Final => "final rows",
            Self::Updates => "updates",
            Self::DeadLetters => "dead letters",
        }
    }
}

/// How large deliveries are. All of a delivery is in memory at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Rows of a delivery. One epoch's rows are split into several where there are more.
    pub rows_max: usize,
    /// Bytes of a delivery's rows as Arrow has them in memory.
    pub bytes_max: usize,
    /// How long a committed row may wait for others. Zero: a delivery holds what is there.
    pub linger: Duration,
}

impl Default for Batching {
    /// Without waiting, up to 50,000 rows and 8 MiB: what Kafka takes in well under a second.
    fn default() -> Self {
        Self { rows_max: 50_000, bytes_max: 8 << 20, linger: Duration::ZERO }
    }
}

/// One sink file: where a pipeline's rows go. Shared; makes writers.
pub trait Sink: Send + Sync {
    /// The sink file's name; of dead letters one that no file can have.
    fn name(&self) -> &str;

    /// `kafka`, `file` or `blackhole`: the sink file's `type`.
    fn kind(&self) -> &'static str;

    /// Which rows it wants.
    fn emit(&self) -> Emit;

    /// How large deliveries should be.
    fn batching(&self) -> Batching {
        Batching::default()
    }

    /// Whether rows are only counted: nothing that is lost with a crash would be missed, so there is
    /// no outbox, and [`Self::open`] is never called.
    fn only_counts(&self) -> bool {
        false
    }

    /// Connects, fences every earlier writer of this identity, then reads how far it got (`None`: it
    /// has no progress record). Called on the sink's own thread and may block for some seconds.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] where it will never work as configured; else it is called again later.
    fn open(&self, context: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError>;
}

/// Applies rows. Lives on its sink's thread.
pub trait SinkWriter: Send {
    /// Applies `rows` whole or not at all, together with `upto`, durably. Nothing is left open when it
    /// returns, whatever it returns.
    ///
    /// `rows` is never empty. It may end within an epoch (`upto.last_part` is false) or hold the rows
    /// of several.
    ///
    /// # Errors
    /// See [`SinkError`]; after [`SinkError::Retry`] it is called with the same rows or more.
    fn deliver(&mut self, upto: Position, rows: &Delivery) -> Result<(), SinkError>;

    /// Lets go of the connection. Everything delivered is durable already. Should be quick: a clean
    /// stop of the pipeline waits for it.
    fn close(self: Box<Self>);
}

/// Who writes what.
#[derive(Debug, Clone)]
pub struct SinkContext {
    pub project: String,
    pub pipeline: String,
    /// The sink file's name.
    pub sink: String,
    /// Of the pipeline: from 1, one more after each reset.
    pub incarnation: u64,
    /// Of the plan. Does not decide anything, but tells a person whose rows these are.
    pub fingerprint: u64,
    /// Columns of [`Change::Upserts`]: those of the SELECT, under [`Emit::Updates`] then `_final`; under
    /// [`Emit::DeadLetters`] those of [`dead_letter_schema`](crate::result::dead_letter_schema).
    pub schema: SchemaRef,
    /// Positions in `schema` of the key, in the order of GROUP BY; empty for a pipeline that appends, and
    /// for dead letters.
    pub key: Vec<usize>,
    /// Partitions of the source's topic, at least 1.
    pub source_partitions: usize,
    /// Set when the pipeline stops.
    pub stopping: Stopping,
}

impl SinkContext {
    /// `weir.<project>.<pipeline>.<sink>`: transactional id and key of the progress record.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("weir.{}.{}.{}", self.project, self.pipeline, self.sink)
    }

    /// The record to apply together with rows up to `upto`.
    #[must_use]
    pub fn progress(&self, upto: Position) -> Progress {
        Progress { incarnation: self.incarnation, position: upto, fingerprint: self.fingerprint }
    }

    /// The columns of [`Change::Deletes`]: those of the key, in its order.
    ///
    /// # Panics
    /// If `key` does not fit `schema`.
    #[must_use]
    pub fn key_schema(&self) -> SchemaRef {
        Arc::new(self.schema.project(&self.key).expect("positions of the plan's own output"))
    }
}

/// Where in the outbox: sorts by epoch, then by part. Epochs without rows have no positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub epoch: Epoch,
    /// From 0. The rows of an epoch are cut into parts of bounded size when it is committed, so that
    /// each part is the same after a restart.
    pub part: u32,
    /// No part of the same epoch follows.
    pub last_part: bool,
}

/// How far a sink has got: every row up to and including the position was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub incarnation: u64,
    pub position: Position,
    pub fingerprint: u64,
}

/// Rows to apply, in this order: a key may occur more than once, and its last occurrence counts.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    pub changes: Vec<Change>,
}

impl Delivery {
    /// Rows of all changes.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.changes.iter().map(|change| change.rows().num_rows()).sum()
    }
}

/// A batch of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// New rows, or new values of known keys. Columns: [`SinkContext::schema`].
    Upserts(RecordBatch),
    /// Keys whose row vanished; under [`Emit::Updates`] only. Columns: [`SinkContext::key_schema`].
    Deletes(RecordBatch),
}

impl Change {
    /// The rows or keys.
    #[must_use]
    pub fn rows(&self) -> &RecordBatch {
        match self {
            Self::Upserts(rows) | Self::Deletes(rows) => rows,
        }
    }
}

/// Tells a sink that its pipeline is stopping: what waits should give up with [`SinkError::Retry`]
/// within a second or two. What was not delivered stays in the outbox.
#[derive(Debug, Clone, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Whether the pipeline is stopping.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on it is.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why rows were not applied, and what may be done about it. The text is for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Nothing was applied; the same writer can try again.
    #[error("{0}")]
    Retry(String),
    /// It is not known whether it was applied, or the writer is broken: it is dropped without
    /// [`SinkWriter::close`], and [`Sink::open`] finds out.
    #[error("{0}")]
    Reopen(String),
    /// Give up, the pipeline fails: it will never work, or another process has taken over.
    #[error("{0}")]
    Fatal(String),
}
