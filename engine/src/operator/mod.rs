//! The operators: small state machines that get batches and barriers.
//!
//! ```text
//! source subtask:  rows ─► Stateless ─► Partial ──► exchange
//! window subtask:  exchange ─► WindowOperator | HopOperator | AppendOperator ──► Output per barrier
//! ```
//!
//! Invariants:
//! 1. An operator changes what others see only at a barrier: there it closes windows, hands over its
//!    state changes and the changed result rows.
//! 2. Operators know no threads, channels or clocks, so that a test drives them with a list.

pub mod append;
pub mod emit;
pub mod expand;
pub mod hop;
mod key_json;
mod merge_tree;
mod pane;
pub mod partial;
pub mod rows;
pub mod stateless;
pub mod window;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};

use crate::aggregate::size_text;
use crate::result::TimedRows;
use crate::time::Epoch;
use crate::time::window::PaneId;

/// Rows of one pane on their way to the window operator. All arrays have `n_rows` entries.
#[derive(Debug, Clone)]
pub struct PaneRows {
    pub pane: PaneId,
    pub n_rows: usize,
    /// GROUP BY expressions other than the window's.
    pub keys: Vec<ArrayRef>,
    /// Evaluated arguments, per call.
    pub args: Vec<Vec<ArrayRef>>,
    /// Evaluated FILTER, per call.
    pub filters: Vec<Option<BooleanArray>>,
}

/// What travels between subtasks beside barriers.
#[derive(Debug, Clone)]
pub enum Batch {
    Rows(PaneRows),
    /// Partial aggregates of one pane, in the shape of `Layout::state_schema`.
    States {
        pane: PaneId,
        states: RecordBatch,
    },
    /// Rows of a pipeline without aggregation.
    Append(TimedRows),
}

impl Batch {
    /// Rows that it carries.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.n_rows,
            Self::States { states, .. } => states.num_rows(),
            Self::Append(timed) => timed.rows.num_rows(),
        }
    }
}

/// The marker that ends an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    pub epoch: Epoch,
    /// The pipeline's watermark; `None` before the first.
    pub watermark_ms: Option<i64>,
    /// The end of a bounded run: every window closes, whatever the watermark.
    pub close_all: bool,
}

/// State of one pane to be written: some groups (an increment) or all of them.
#[derive(Debug)]
pub struct PanePut {
    pub pane: PaneId,
    /// Chunks of the pane's groups, in the shape of `Layout::state_schema`.
    pub chunks: Vec<RecordBatch>,
    /// All groups: older blocks of the pane are to be deleted.
    pub whole: bool,
}

/// A group whose final row could not be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedGroup {
    /// The key columns as a JSON object.
    pub key_json: String,
    pub detail: String,
}

/// What an operator hands over at a barrier.
#[derive(Debug, Default)]
pub struct Output {
    pub puts: Vec<PanePut>,
    /// Panes that no open window reads any more, or that became part of another one: their state is
    /// to be deleted.
    pub closed_panes: Vec<PaneId>,
    /// End of the last window closed in this epoch.
    pub closed_ms: Option<i64>,
    pub finals: Vec<TimedRows>,
    pub provisionals: Vec<TimedRows>,
    /// Key columns of groups that have no row (any more).
    pub gone: Vec<RecordBatch>,
    pub failed: Vec<FailedGroup>,
}

/// The operator of a window subtask.
pub trait Operator: Send {
    /// Takes a batch of the current epoch.
    ///
    /// # Errors
    /// Broken logic or exhausted memory; ends the pipeline.
    fn batch(&mut self, batch: Batch) -> Result<(), Error>;

    /// Ends the epoch.
    ///
    /// # Errors
    /// As [`Self::batch`].
    fn barrier(&mut self, barrier: &Barrier) -> Result<Output, Error>;

    /// Memory held by state, and kept for more.
    fn state_bytes(&self) -> usize;

    /// Gives back memory that is kept for the next windows.
    fn release_spare(&mut self) {}
}

/// What configuration says about windows and their groups.
#[derive(Debug, Clone, Copy)]
pub struct WindowOptions {
    pub lateness_ms: i64,
    /// Whether open windows are published.
    pub provisional: bool,
    /// What a call that keeps rows keeps of a group.
    pub group_bytes_max: usize,
}

/// An operator with windows: its state can be put back.
pub trait WindowState: Operator {
    /// Puts back a block of state. Blocks of a pane come in the order in which they were written.
    ///
    /// # Errors
    /// As the accumulators'.
    fn restore(&mut self, pane: PaneId, states: &RecordBatch) -> Result<(), Error>;

    /// Has every pane written whole at the next barrier.
    fn rewrite_all(&mut self);

    /// After the last block: what readers saw of open windows at the last barrier.
    ///
    /// # Errors
    /// As the accumulators'.
    fn provisional_rows(&mut self) -> Result<Vec<TimedRows>, Error>;
}

/// An operator can't go on. The pipeline fails; other pipelines go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("could not compute an aggregate")]
    Aggregate(#[from] crate::aggregate::Error),
    #[error("could not evaluate an expression")]
    DataFusion(#[from] datafusion::error::DataFusionError),
    #[error("could not build a batch")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Nothing of the epoch is committed. Raise the bound and start again: it goes on where it was.
    #[error(
        "open windows take more memory than the {} that \"state_memory\" sets aside: raise it, or make fewer groups or smaller windows",
        size_text(*max_bytes)
    )]
    StateTooLarge { max_bytes: usize },
}
