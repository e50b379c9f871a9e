//! One pipeline: recover, run, stop. What the server holds of it.
//!
//! Invariants:
//! 1. State that does not fit the query is refused before anything is touched.
//! 2. A pipeline that fails takes nothing else with it: its error is its state.

mod assembly;
mod handle;
mod inspect;
mod recover;
#[cfg(test)]
mod simulation;
mod sinks;
mod start;

use std::path::PathBuf;
use std::sync::Arc;

pub use crate::dataflow::commit::{Committed, Observer};
pub use crate::dataflow::live::{Live, OperatorLive, State};
pub use crate::dataflow::replay::{Replayed, runs_again};
pub use crate::dataflow::sink::{PipelineSink, SinkLive, SinkState};
pub use handle::{PipelineHandle, ReplayError};
pub use inspect::{Inspection, KeptSink, KeySpace, inspect};
pub use start::{StartError, Stopped, open_stopped, start};

use crate::connector::Source;
use crate::dataflow::plan::Plan;
use crate::result::LettersKept;
use crate::time::Clock;

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
    /// Source subtasks, and as many window subtasks; from 1 to 1,024.
    pub parallelism: usize,
    /// What an aggregate call that keeps rows keeps of a group; a group with more has no row. Below 1 GiB.
    pub group_bytes_max: usize,
    /// What groups of open windows may take of memory, all subtasks together: past it the pipeline fails.
    pub state_bytes_max: usize,
    /// Of dead letters.
    pub letters: LettersKept,
    /// Read each partition to the end it has at the start, close every window, stop.
    pub bounded: bool,
    /// Go on where records were deleted before they were read, and count them.
    pub skip_lost: bool,
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
    /// The project's name.
    pub project: String,
    pub plan: Arc<Plan>,
    pub source: Arc<dyn Source>,
    /// With distinct names; may be others than at the last start.
    pub sinks: Vec<PipelineSink>,
    /// Text of the reader schema that `source` was built with; kept with the state.
    pub reader_schema: String,
    pub options: PipelineOptions,
    /// The pipeline's own folder; made if missing.
    pub data_dir: PathBuf,
    pub observer: Arc<dyn Observer>,
}

#[cfg(test)]
mod tests;
