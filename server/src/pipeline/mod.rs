//! The pipelines of a process: what each is, what it is doing, and the handle of those that run.
//!
//! ```text
//! project ──► Entry (starting: waits for broker, registry, subject) ──► Running (the engine's handle)
//!               ▲                                                         │
//!               └──── HTTP, SSE and metrics ask an Entry, at any time ◄────┘
//! ```
//!
//! Invariants:
//! 1. An entry exists from the start of the process to its end, whatever becomes of its pipeline.
//! 2. Once an entry is running it stays so: the engine's handle then tells state and error.
//! 3. One pipeline's failure touches no other entry.

mod clock;
mod connections;
mod data_dir;
mod group;
mod machine;
mod prepare;
mod supervise;
mod versions;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use weir_engine::connector::{TableColumn, WatermarkOptions};
use weir_engine::dataflow::plan::Plan;
use weir_engine::pipeline::{Live, PipelineHandle, PipelineOptions, ReplayError, Replayed, State};
use weir_engine::result::{LetterId, Snapshot};

pub use clock::SystemClock;
pub use connections::Connections;
pub(crate) use data_dir::DEFAULT_NAME;
pub use data_dir::{DataDir, DataDirError, Kept};
pub use machine::{cores, resources};
pub(crate) use prepare::UNKNOWN_TABLE;
pub use prepare::{Outcome, Prepared, Preparer, left_out};
pub use supervise::{Shared, Stopper, Supervisor, Task};
pub use versions::{Readable, Verdict};

use crate::project::Redactor;

/// What the server needs of a started pipeline: the engine's handle, or a test's stand-in.
pub trait Running: Send + Sync {
    fn plan(&self) -> Arc<Plan>;
    /// The state, and why it is `failed`.
    fn state(&self) -> (State, Option<String>);
    /// The last committed epoch; `None` before the first.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;
    fn live(&self) -> Live;
    /// Runs dead letters again: see [`PipelineHandle::replay`]. Blocks until it is committed.
    ///
    /// # Errors
    /// See [`ReplayError`].
    fn replay(&self, ids: &[LetterId]) -> Result<Replayed, ReplayError>;
    /// Asks it to finish its epoch, commit and stop. Does not wait.
    fn stop(&self);
    /// Waits until it has stopped or failed.
    fn join(&self);
}

impl Running for PipelineHandle {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(self.plan())
    }

    fn state(&self) -> (State, Option<String>) {
        self.state()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(self.snapshot())
    }

    fn live(&self) -> Live {
        self.live()
    }

    fn replay(&self, ids: &[LetterId]) -> Result<Replayed, ReplayError> {
        self.replay(ids)
    }

    fn stop(&self) {
        self.stop();
    }

    fn join(&self) {
        self.join();
    }
}

/// What the project says of a pipeline.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: String,
    /// As it stands in the file: environment variables not put in.
    pub sql: String,
    /// The sources it may read: its plan says which it is.
    pub sources: Vec<SourceSpec>,
    pub options: PipelineOptions,
    /// Takes values of environment variables out of whatever is shown of the pipeline.
    pub redactor: Redactor,
}

/// A source that a pipeline reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    pub name: String,
    pub topic: String,
    pub watermark: WatermarkOptions,
}

/// A source as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    pub columns: Vec<TableColumn>,
    /// The subject and the version that the columns are of; `None`: they are of a file.
    pub subject: Option<(String, u32)>,
}

/// One pipeline of the project.
pub struct Entry {
    spec: Spec,
    reads: OnceLock<Arc<SourceTable>>,
    running: OnceLock<Arc<dyn Running>>,
    before: Mutex<Before>,
}

/// What is known of a pipeline that has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    /// Waiting for something; why, once it is known.
    Waiting(Option<String>),
    /// Told to stop before it ran.
    Stopped,
    Failed(String),
}

impl Entry {
    /// An entry in state `starting`.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        let (reads, running) = (OnceLock::new(), OnceLock::new());
        Self { spec, reads, running, before: Mutex::new(Before::Waiting(None)) }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The state, and the error where it is `failed`.
    #[must_use]
    pub fn state(&self) -> (State, Option<String>) {
        let (state, error) = match self.running.get() {
            Some(running) => running.state(),
            None => match self.before() {
                Before::Waiting(_) => (State::Starting, None),
                Before::Stopped => (State::Stopped, None),
                Before::Failed(error) => (State::Failed, Some(error)),
            },
        };
        (state, error.map(|error| self.spec.redactor.apply(&error)))
    }

    /// The handle, once the engine has started the pipeline (its state may be any).
    #[must_use]
    pub fn running(&self) -> Option<&Arc<dyn Running>> {
        self.running.get()
    }

    /// The plan, once the reader schema is known and the pipeline has started.
    #[must_use]
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.running.get().map(|running| running.plan())
    }

    /// The last committed epoch, if there is one.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.running.get().and_then(|running| running.snapshot())
    }

    /// What is known between epochs; before the start only what is being waited for.
    #[must_use]
    pub fn live(&self) -> Live {
        let mut live = match self.running.get() {
            Some(running) => running.live(),
            None => Live { trouble: self.waiting(), ..Live::default() },
        };
        for error in live.sinks.iter_mut().filter_map(|sink| sink.error.as_mut()) {
            *error = self.spec.redactor.apply(error);
        }
        let trouble = live.trouble.map(|trouble| self.spec.redactor.apply(&trouble));
        Live { trouble, ..live }
    }

    /// What is being waited for or retried, for a person.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.live().trouble
    }

    fn waiting(&self) -> Option<String> {
        match self.before() {
            Before::Waiting(why) => why,
            Before::Stopped | Before::Failed(_) => None,
        }
    }

    /// Why the pipeline is not reading, for `/readyz`; `None` if it is.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let (state, error) = self.state();
        match state {
            State::Running => None,
            State::Stopped => Some("stopped".to_owned()),
            State::Failed => Some(error.unwrap_or_else(|| "failed".to_owned())),
            State::Starting => Some(self.trouble().unwrap_or_else(|| "starting".to_owned())),
        }
    }

    /// Says what the pipeline waits for. Without effect once it runs or has failed.
    pub fn wait_for(&self, what: impl Into<String>) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Before::Waiting(why) = &mut *before {
            *why = Some(what.into());
        }
    }

    /// The pipeline could not be started and never will be.
    pub fn fail(&self, error: impl Into<String>) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Before::Failed(error.into());
    }

    /// The pipeline was told to stop before it ran.
    pub fn stopped(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Before::Waiting(_) = &*before {
            *before = Before::Stopped;
        }
    }

    /// Its source as a table, as it is started with; `None` until then.
    #[must_use]
    pub fn reads(&self) -> Option<&Arc<SourceTable>> {
        self.reads.get()
    }

    /// The pipeline is started with this table.
    pub fn starts_with(&self, table: SourceTable) {
        self.reads.get_or_init(|| Arc::new(table));
    }

    /// The engine has started it. An entry is started once; a second handle is ignored.
    pub fn started(&self, running: Arc<dyn Running>) {
        self.running.get_or_init(|| running);
    }

    fn before(&self) -> Before {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All pipelines of the process, ascending by name.
pub struct Pipelines {
    entries: Vec<Arc<Entry>>,
}

impl Pipelines {
    /// The entries in any order, with distinct names.
    #[must_use]
    pub fn new(mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by(|a, b| a.name().cmp(b.name()));
        Self { entries }
    }

    /// The entry of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        let found = self.entries.binary_search_by(|entry| entry.name().cmp(name));
        found.ok().map(|i| &self.entries[i])
    }

    /// All entries, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }
}
