//! One pipeline: plan, recover, run. What the server holds of it.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::connector::{Reason, Source};
use crate::dataflow::plan::Plan;
use crate::facts::Facts;
use crate::result::Snapshot;
use crate::time::{Clock, Epoch};

/// A pipeline file's settings. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    pub name: String,
    pub epoch_ms: u64,
    pub lateness_ms: i64,
    /// Whether open windows are published.
    pub provisional: bool,
    /// Of final rows, in event time behind the watermark; 0: no result table.
    pub retention_ms: i64,
    /// Source subtasks, and as many window subtasks.
    pub parallelism: usize,
    /// Read each partition to the end it has at the start, close every window, stop.
    pub bounded: bool,
}

/// What happened in one committed epoch, or several merged. Rows have the columns of the result
/// table, `_final` last.
#[derive(Debug, Clone)]
pub struct Committed {
    pub epoch: Epoch,
    pub watermark_ms: Option<i64>,
    /// Rows that became final, in the order of the result table.
    pub finals: Vec<RecordBatch>,
    /// Provisional rows that are new or have changed. A key is never in `finals` too.
    pub provisionals: Vec<RecordBatch>,
    /// Key columns (in the order of the plan's key) of rows that are gone: provisional rows that
    /// vanished by HAVING.
    pub deletes: Vec<RecordBatch>,
    /// The state after the epoch.
    pub snapshot: Arc<Snapshot>,
}

/// Told of each committed epoch, in order, on the committing thread: it must not block.
pub trait Observer: Send + Sync {
    fn committed(&self, epoch: &Arc<Committed>);
}

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
    /// What is being waited for or retried, for a person.
    pub trouble: Option<String>,
    /// Records and bytes of record values read since the process started.
    pub records_total: u64,
    pub bytes_total: u64,
    /// Since the process started, indexed as [`Reason::ALL`].
    pub dead_letters_total: [u64; Reason::ALL.len()],
    pub tombstones_total: u64,
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
    /// Share of the last second spent working / waiting for room downstream, 0 to 1.
    pub busy_ratio: f64,
    pub blocked_ratio: f64,
    pub state_bytes: u64,
}

/// What every pipeline of a process shares.
#[derive(Clone)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    /// One block cache and write-buffer limit for all pipelines of the process.
    pub memory: crate::state::Memory,
}

/// A pipeline to be started.
pub struct Pipeline {
    pub plan: Arc<Plan>,
    pub source: Arc<dyn Source>,
    pub options: PipelineOptions,
    /// The pipeline's own folder; made if missing.
    pub data_dir: std::path::PathBuf,
    pub observer: Arc<dyn Observer>,
}
