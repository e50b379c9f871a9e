//! Running pipelines: a thread for each actor, and the coordinator's, which waits for all others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::assembly::{Assembly, assemble};
use super::inspect::{KeptSink, kept_sinks};
use super::recover::restore;
use super::sinks::SinkThreads;
use super::{Environment, Pipeline, PipelineHandle, PipelineOptions};
use crate::aggregate;
use crate::connector::SourceError;
use crate::dataflow::actor::run;
use crate::dataflow::live::State;
use crate::dataflow::plan::Plan;
use crate::dataflow::source;
use crate::dataflow::threads::{chain, spawn};
use crate::operator;
use crate::panics::panic_text;
use crate::result::{LettersKept, Snapshot};
use crate::state::{Identity, Store};

/// Why a pipeline can't start. Nothing was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The state belongs to another query or source. Restore the old SQL, or start over with
    /// `weir reset`.
    #[error("the state in \"{dir}\" is of another query or source: it was made by {found}")]
    PlanChanged { dir: String, found: String },
    #[error("could not open the state")]
    State(#[from] crate::state::Error),
    #[error("could not restore the operators")]
    Operator(#[source] operator::Error),
    /// Another version of Weir wrote the state of the same query. Run that version, or start over with
    /// `weir reset`.
    #[error(
        "the state of its aggregates has another form, that of another version of weir: {detail}; start over with \"weir reset\""
    )]
    OtherForm { detail: String },
    #[error("could not open the source")]
    Source(#[from] SourceError),
    #[error("could not start a thread")]
    Thread(#[from] std::io::Error),
    /// The kept query can't be planned by this version.
    #[error("the kept query can't be planned: {0}")]
    Plan(String),
    /// Nothing has been written yet, or not since `weir reset`.
    #[error("the folder holds no pipeline that was ever started")]
    NeverStarted,
}

impl From<operator::Error> for StartError {
    fn from(error: operator::Error) -> Self {
        match error {
            // Of the same query: only the accumulators can be others.
            operator::Error::Aggregate(mismatch @ aggregate::Error::Mismatch { .. }) => {
                Self::OtherForm { detail: mismatch.to_string() }
            }
            other => Self::Operator(other),
        }
    }
}

/// Opens the state of a pipeline, checks that it fits, and runs it.
///
/// # Errors
/// See [`StartError`]; what goes wrong later is the handle's state.
pub fn start(pipeline: Pipeline, environment: &Environment) -> Result<PipelineHandle, StartError> {
    let assembly = assemble(&pipeline, environment)?;
    let Assembly { shared, latest, events, .. } = &assembly;
    let (shared, latest, events) = (Arc::clone(shared), Arc::clone(latest), events.clone());
    let name = pipeline.options.name;
    let thread = run_threads(name.clone(), assembly)?;
    Ok(PipelineHandle::new(name, pipeline.plan, shared, latest, events, thread))
}

/// A pipeline that is not running, as its folder has it.
pub struct Stopped {
    /// The last committed epoch.
    pub snapshot: Arc<Snapshot>,
    pub sinks: Vec<KeptSink>,
}

/// Reads what a pipeline that is not running has. Writes nothing.
///
/// # Errors
/// [`StartError::NeverStarted`] where the folder holds no pipeline, [`StartError::State`] where it holds one that is
/// running.
pub fn open_stopped(data_dir: &Path) -> Result<Stopped, StartError> {
    let store = Store::open_read_only(data_dir)?;
    let Some(identity) = store.identity()? else {
        return Err(StartError::NeverStarted);
    };
    let plan = kept_plan(&identity)?;
    let recovered = store.recovered();
    let settings = recovered.as_ref().map(|recovered| recovered.settings).unwrap_or_default();
    let options = PipelineOptions {
        name: String::new(),
        epoch_ms: 0,
        lateness_ms: settings.lateness_ms,
        provisional: settings.provisional,
        retention_ms: settings.retention_ms,
        parallelism: settings.parallelism.max(1),
        group_bytes_max: settings.group_bytes_max,
        state_bytes_max: usize::MAX,
        letters: LettersKept { age_ms: settings.dead_letters_kept_ms, bytes: u64::MAX },
        bounded: false,
        skip_lost: false,
    };
    let restored = restore(&store, &Arc::new(plan), &options, recovered)?;
    let mut tables = restored.tables;
    Ok(Stopped { snapshot: tables.publish(restored.facts), sinks: kept_sinks(&store)? })
}

/// The plan of a query that state was made by.
pub(super) fn kept_plan(identity: &Identity) -> Result<Plan, StartError> {
    let table = crate::sql::TableDef {
        name: identity.source.clone(),
        schema: identity.source_schema.clone(),
        event_time: identity.event_time,
        identity: identity.source_identity.clone(),
        left_out: Vec::new(),
    };
    crate::sql::plan(&identity.sql, &[table]).map_err(|refusals| {
        StartError::Plan(
            refusals.iter().map(|refusal| refusal.message.clone()).collect::<Vec<_>>().join("; "),
        )
    })
}

fn run_threads(name: String, assembly: Assembly) -> Result<JoinHandle<()>, StartError> {
    let Assembly { coordinator, discovery, sources, windows, committer, .. } = assembly;
    let Assembly { sinks, stopping, stop_sinks, stop_discovery, shared, events, .. } = assembly;
    let mut threads = Vec::new();
    for window in windows {
        let name = format!("window {}", window.subtask);
        threads.push(spawn(name, events.clone(), move || run(window))?);
    }
    for source in sources {
        let name = format!("source {}", source.subtask);
        threads.push(spawn(name, events.clone(), move || match run(source) {
            // Whoever closed the channel says why.
            Err(source::Error::Closed) => Ok(()),
            ended => ended,
        })?);
    }
    threads.push(spawn(format!("{name} commit"), events.clone(), move || run(committer))?);
    let sinks = SinkThreads::start(sinks, stopping, stop_sinks, &events)?;
    // Nobody waits for it: it may be in the middle of asking a broker that does not answer.
    spawn("discovery".to_owned(), events.clone(), move || run(discovery))?;
    drop(events);
    let work = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| run(coordinator)));
        drop(stop_discovery);
        for thread in threads {
            // A panic was reported by the thread itself.
            drop(thread.join());
        }
        sinks.stop();
        let reason = match ended {
            Ok(Ok(())) => return shared.set_state(State::Stopped, None),
            Ok(Err(failure)) => chain(&failure),
            Err(panic) => format!("the coordinator panicked: {}", panic_text(&*panic)),
        };
        tracing::error!(pipeline = %name, reason, "pipeline failed");
        shared.set_state(State::Failed, Some(reason));
    };
    Ok(std::thread::Builder::new().name("coordinator".to_owned()).spawn(work)?)
}
