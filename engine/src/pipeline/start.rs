//! From a plan and a data folder to running threads: open, check, recover, wire.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Environment, Pipeline, PipelineHandle, PipelineOptions};
use crate::connector::SourceError;
use crate::dataflow::commit::{Committer, Latest};
use crate::dataflow::coordinator::{Coordinator, CoordinatorState};
use crate::dataflow::exchange::{CHANNEL_MESSAGES, Exchange, split_states};
use crate::dataflow::live::{Shared, State};
use crate::dataflow::message::{Control, Event, Message, Part};
use crate::dataflow::partitions::Partitions;
use crate::dataflow::plan::{Aggregate, Plan};
use crate::dataflow::source::{SourceState, SourceTask};
use crate::dataflow::subtask::WindowTask;
use crate::dataflow::threads::{chain, discover, panic_text, spawn};
use crate::facts::Facts;
use crate::operator::append::AppendOperator;
use crate::operator::partial::Partial;
use crate::operator::stateless::{Stateless, result_schema};
use crate::operator::window::{WindowOperator, layout_of};
use crate::operator::{self, Operator};
use crate::result::{Snapshot, TableSpec, Tables, TimedRows};
use crate::state::{Identity, Recovered, Settings, Store};
use crate::time::watermark::Rules;

/// Why a pipeline can't start. Nothing was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The state belongs to another query or source. Restore the old SQL, or start over with an empty
    /// data folder.
    #[error("the state in \"{dir}\" is of another query or source: it was made by {found}")]
    PlanChanged { dir: String, found: String },
    #[error("could not open the state")]
    State(#[from] crate::state::Error),
    #[error("could not restore the operators")]
    Operator(#[from] operator::Error),
    #[error("could not open the source")]
    Source(#[from] SourceError),
    #[error("could not start a thread")]
    Thread(#[from] std::io::Error),
    /// The kept query can't be planned by this version.
    #[error("the kept query can't be planned: {0}")]
    Plan(String),
}

/// Opens the state of a pipeline, checks that it fits, and runs it.
///
/// # Errors
/// See [`StartError`]; what goes wrong later is the handle's state.
pub fn start(pipeline: Pipeline, environment: &Environment) -> Result<PipelineHandle, StartError> {
    let store = Store::open(&pipeline.data_dir, &environment.memory)?;
    let new_identity = check_identity(&store, &pipeline)?;
    let recovered = store.recovered();
    let Restored { operators, mut tables, facts, settings, replace_blocks } =
        restore(&store, &pipeline.plan, &pipeline.options, recovered)?;
    let wiring = Wiring::new(&pipeline);
    let latest: Latest = Arc::new(Mutex::new(tables.publish(facts.clone())));
    let mut threads = Vec::new();
    let closed_ms = facts.closed_ms;

    for (subtask, operator) in operators.into_iter().enumerate() {
        threads.push(wiring.window(subtask, operator, environment)?);
    }
    for subtask in 0..pipeline.options.parallelism {
        threads.push(wiring.source(subtask, &pipeline, closed_ms, environment)?);
    }
    let committer = Committer {
        store: store.clone(),
        tables,
        source: Arc::clone(&pipeline.source),
        settings,
        observer: Arc::clone(&pipeline.observer),
        latest: Arc::clone(&latest),
        shared: Arc::clone(&wiring.shared),
        clock: Arc::clone(&environment.clock),
        parts: wiring.parts.1.clone(),
        events: wiring.events.0.clone(),
        facts: facts.clone(),
        replace_blocks,
    };
    let name = pipeline.options.name.clone();
    threads.push(spawn(format!("{name} commit"), wiring.events.0.clone(), move || committer.run())?);
    if let Some(identity) = new_identity {
        store.set_identity(&identity)?;
    }
    let stop_discovery = wiring.discovery(&pipeline)?;

    let coordinator = Coordinator {
        source: Arc::clone(&pipeline.source),
        store,
        shared: Arc::clone(&wiring.shared),
        clock: Arc::clone(&environment.clock),
        events: wiring.events.1.clone(),
        controls: wiring.controls.iter().map(|(sender, _)| sender.clone()).collect(),
        committer: wiring.parts.0.clone(),
        activity: Arc::clone(&wiring.activity),
        epoch_ms: pipeline.options.epoch_ms,
        lateness_ms: pipeline.options.lateness_ms,
        bounded: pipeline.options.bounded,
        state: CoordinatorState::new(&facts),
    };
    let (shared, events) = (Arc::clone(&wiring.shared), wiring.events.0.clone());
    drop(wiring);
    let thread = run_coordinator(name.clone(), coordinator, threads, stop_discovery, Arc::clone(&shared))?;
    Ok(PipelineHandle::new(name, pipeline.plan, shared, latest, events, thread))
}

/// Reads the last committed epoch of a pipeline that is not running. Writes nothing.
///
/// # Errors
/// [`StartError::State`] where the folder holds no pipeline, or one that is running.
pub fn open_stopped(data_dir: &Path) -> Result<Arc<Snapshot>, StartError> {
    let store = Store::open_read_only(data_dir)?;
    let Some(identity) = store.identity()? else {
        return Err(StartError::Plan("the folder holds no pipeline that was ever started".to_owned()));
    };
    let table = crate::sql::TableDef {
        name: identity.source.clone(),
        schema: identity.source_schema.clone(),
        event_time: identity.event_time,
        identity: identity.source_identity.clone(),
    };
    let plan = crate::sql::plan(&identity.sql, &[table]).map_err(|refusals| {
        StartError::Plan(
            refusals.iter().map(|refusal| refusal.message.clone()).collect::<Vec<_>>().join("; "),
        )
    })?;
    let recovered = store.recovered();
    let settings = recovered.as_ref().map(|recovered| recovered.settings).unwrap_or_default();
    let options = PipelineOptions {
        name: String::new(),
        epoch_ms: 0,
        lateness_ms: settings.lateness_ms,
        provisional: settings.provisional,
        retention_ms: settings.retention_ms,
        parallelism: settings.parallelism.max(1),
        bounded: false,
    };
    let restored = restore(&store, &Arc::new(plan), &options, recovered)?;
    let mut tables = restored.tables;
    Ok(tables.publish(restored.facts))
}

/// What is to be written of a pipeline that was never started, once nothing but threads can fail.
fn check_identity(store: &Store, pipeline: &Pipeline) -> Result<Option<Identity>, StartError> {
    let plan = &pipeline.plan;
    match store.identity()? {
        Some(kept) if kept.fingerprint != plan.fingerprint => Err(StartError::PlanChanged {
            dir: pipeline.data_dir.display().to_string(),
            found: format!("\"{}\" over {}", kept.sql.trim(), kept.source_identity),
        }),
        Some(_) => Ok(None),
        None => Ok(Some(Identity {
            fingerprint: plan.fingerprint,
            sql: plan.sql.clone(),
            source: pipeline.source.name().to_owned(),
            source_identity: pipeline.source.identity(),
            reader_schema: pipeline.reader_schema.clone(),
            source_schema: pipeline.source.schema(),
            event_time: pipeline.source.event_time(),
            topic_id: None,
            incarnation: 1,
        })),
    }
}

/// A pipeline as it was at its last committed epoch.
struct Restored {
    operators: Vec<Box<dyn Operator>>,
    tables: Tables,
    facts: Facts,
    settings: Settings,
    replace_blocks: bool,
}

fn restore(
    store: &Store,
    plan: &Arc<Plan>,
    options: &PipelineOptions,
    recovered: Option<Recovered>,
) -> Result<Restored, StartError> {
    let settings = Settings {
        parallelism: options.parallelism,
        lateness_ms: options.lateness_ms,
        provisional: options.provisional,
        retention_ms: options.retention_ms,
    };
    let spec = TableSpec {
        schema: result_schema(&plan.output),
        key: plan.key.clone(),
        retention_ms: options.retention_ms,
        provisional: options.provisional,
    };
    let mut tables = Tables::open(store, spec)?;
    let mut replace_blocks = false;
    let mut operators: Vec<Box<dyn Operator>> = Vec::new();
    if plan.aggregate.is_none() {
        operators.extend(
            (0..options.parallelism).map(|_| Box::new(AppendOperator::default()) as Box<dyn Operator>),
        );
    } else {
        let kept = recovered.as_ref().map(|recovered| recovered.settings.parallelism);
        replace_blocks = kept.is_some_and(|kept| kept != options.parallelism);
        let (windows, overlay) = restore_windows(store, plan, options, replace_blocks)?;
        tables.seed_overlay(&overlay)?;
        operators.extend(windows.into_iter().map(|window| Box::new(window) as Box<dyn Operator>));
    }
    let facts = recovered.map(|recovered| recovered.facts).unwrap_or_default();
    Ok(Restored { operators, tables, facts, settings, replace_blocks })
}

fn restore_windows(
    store: &Store,
    plan: &Arc<Plan>,
    options: &PipelineOptions,
    replace_blocks: bool,
) -> Result<(Vec<WindowOperator>, Vec<TimedRows>), StartError> {
    let aggregate = plan.aggregate.as_ref().expect("only plans with an aggregation have windows");
    let n_keys = aggregate.n_exprs();
    let mut windows = (0..options.parallelism)
        .map(|_| WindowOperator::new(plan, options.lateness_ms, options.provisional))
        .collect::<Result<Vec<_>, _>>()?;
    let mut failure = None;
    store.load_panes(&mut |block| {
        let parts = split_states(&block.states, n_keys, options.parallelism);
        let restored = parts.and_then(|parts| {
            let mut targets = windows.iter_mut().zip(parts).filter(|(_, part)| 0 < part.num_rows());
            targets.try_for_each(|(window, part)| window.restore(block.pane_ms, &part))
        });
        if let Err(error) = restored {
            failure.get_or_insert(error);
        }
        Ok(())
    })?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    let mut overlay = Vec::new();
    for window in &mut windows {
        overlay.extend(window.provisional_rows()?);
        if replace_blocks {
            window.rewrite_all();
        }
    }
    Ok((windows, overlay))
}

type Channel<T> = (Sender<T>, Receiver<T>);

/// The channels between the threads of a pipeline.
struct Wiring {
    shared: Arc<Shared>,
    activity: Arc<AtomicBool>,
    events: Channel<Event>,
    controls: Vec<Channel<Control>>,
    parts: Channel<Part>,
    /// `exchange[source][window]`.
    exchange: Vec<Vec<Channel<Message>>>,
}

impl Wiring {
    fn new(pipeline: &Pipeline) -> Self {
        let n = pipeline.options.parallelism;
        let window_kind = if pipeline.plan.aggregate.is_some() { "window" } else { "append" };
        let exchange = || (0..n).map(|_| bounded(CHANNEL_MESSAGES)).collect();
        Self {
            shared: Arc::new(Shared::new(pipeline.source.name(), window_kind, n)),
            activity: Arc::new(AtomicBool::new(false)),
            events: bounded(256),
            controls: (0..n).map(|_| bounded(64)).collect(),
            parts: bounded(4 * n),
            exchange: (0..n).map(|_| exchange()).collect(),
        }
    }

    fn window(
        &self,
        subtask: usize,
        operator: Box<dyn Operator>,
        environment: &Environment,
    ) -> Result<JoinHandle<()>, StartError> {
        let task = WindowTask {
            subtask,
            operator,
            inputs: self.exchange.iter().map(|of_source| of_source[subtask].1.clone()).collect(),
            committer: self.parts.0.clone(),
            shared: Arc::clone(&self.shared),
            clock: Arc::clone(&environment.clock),
        };
        Ok(spawn(format!("window {subtask}"), self.events.0.clone(), move || task.run())?)
    }

    fn source(
        &self,
        subtask: usize,
        pipeline: &Pipeline,
        closed_ms: Option<i64>,
        environment: &Environment,
    ) -> Result<JoinHandle<()>, StartError> {
        let plan = &pipeline.plan;
        let options = pipeline.source.watermark();
        let partial = plan
            .aggregate
            .as_ref()
            .map(|aggregate| Ok::<_, StartError>(Partial::new(&layout_of(aggregate)?)));
        let n_keys = plan.aggregate.as_ref().map_or(0, Aggregate::n_exprs);
        let senders = self.exchange[subtask].iter().map(|(sender, _)| sender.clone()).collect();
        let (shared, clock) = (&self.shared, &environment.clock);
        let task = SourceTask {
            subtask,
            plan: Arc::clone(plan),
            source: Arc::clone(&pipeline.source),
            rules: Rules {
                delay_ms: options.delay_ms,
                max_ahead_ms: options.max_ahead_ms,
                lateness_ms: pipeline.options.lateness_ms,
                window: plan.window.as_ref().map(|window| (window.size_ms, window.offset_ms)),
            },
            reader: pipeline.source.reader()?,
            decoder: pipeline.source.decoder(&plan.scan)?,
            stateless: Stateless::new(plan),
            partial: partial.transpose()?,
            exchange: Exchange::new(subtask, n_keys, senders, Arc::clone(shared), Arc::clone(clock)),
            control: self.controls[subtask].1.clone(),
            events: self.events.0.clone(),
            activity: Arc::clone(&self.activity),
            shared: Arc::clone(shared),
            clock: Arc::clone(clock),
            partitions: Partitions::new(closed_ms),
            state: SourceState::default(),
        };
        Ok(spawn(format!("source {subtask}"), self.events.0.clone(), move || match task.run() {
            // Whoever closed the channel says why.
            Err(crate::dataflow::source::Error::Closed) => Ok(()),
            ended => ended,
        })?)
    }

    /// Starts looking for partitions; it ends when the sender is dropped. Nobody waits for it: it may
    /// be in the middle of asking a broker that does not answer.
    fn discovery(&self, pipeline: &Pipeline) -> Result<Sender<()>, StartError> {
        let (stop, stopped) = bounded(0);
        let (source, shared) = (Arc::clone(&pipeline.source), Arc::clone(&self.shared));
        let events = self.events.0.clone();
        spawn("discovery".to_owned(), events.clone(), move || {
            discover(&*source, &shared, &events, &stopped)
        })?;
        Ok(stop)
    }
}

fn run_coordinator(
    name: String,
    coordinator: Coordinator,
    threads: Vec<JoinHandle<()>>,
    stop_discovery: Sender<()>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>, StartError> {
    let work = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| coordinator.run()));
        drop(stop_discovery);
        for thread in threads {
            // A panic was reported by the thread itself.
            drop(thread.join());
        }
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
