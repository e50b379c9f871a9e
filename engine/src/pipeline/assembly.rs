//! From a plan and a data folder to the actors of a pipeline: open, check, recover, wire.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::recover::{Restored, restore};
use super::sinks::KnownSinks;
use super::{Environment, Pipeline, StartError};
use crate::connector::Stopping;
use crate::dataflow::commit::{CommitState, Committer, Latest};
use crate::dataflow::coordinator::{Coordinator, CoordinatorState};
use crate::dataflow::exchange::{CHANNEL_MESSAGES, Exchange};
use crate::dataflow::live::Shared;
use crate::dataflow::message::{Control, Event, Message, Part};
use crate::dataflow::partitions::Partitions;
use crate::dataflow::plan::{Aggregate, Window};
use crate::dataflow::sink::{SinkTask, Sinks};
use crate::dataflow::source::{EPOCH_BYTES_MAX, SourceState, SourceTask};
use crate::dataflow::subtask::{WindowState, WindowTask};
use crate::dataflow::threads::{Discovery, DiscoveryState};
use crate::facts::Facts;
use crate::operator::Operator;
use crate::operator::emit::layout_of;
use crate::operator::partial::Partial;
use crate::operator::stateless::{Stateless, units_per_ms};
use crate::state::failpoint::{self, Point};
use crate::state::{Identity, Store};
use crate::time::watermark::{Rules, reach_ms};

/// The actors of a pipeline, wired to each other, before the first step of any.
pub(super) struct Assembly {
    pub(super) coordinator: Coordinator,
    pub(super) discovery: Discovery,
    pub(super) sources: Vec<SourceTask>,
    pub(super) windows: Vec<WindowTask>,
    pub(super) committer: Committer,
    pub(super) sinks: Vec<SinkTask>,
    /// Tells sinks to stop; then `stop_sinks` is let go of.
    pub(super) stopping: Stopping,
    pub(super) stop_sinks: Sender<()>,
    /// Letting go of it ends the discovery.
    pub(super) stop_discovery: Sender<()>,
    pub(super) shared: Arc<Shared>,
    pub(super) latest: Latest,
    pub(super) events: Sender<Event>,
}

/// Opens the state of a pipeline, checks that it fits, and makes its actors.
///
/// # Errors
/// See [`StartError`].
pub(super) fn assemble(pipeline: &Pipeline, environment: &Environment) -> Result<Assembly, StartError> {
    let store = Store::open(&pipeline.data_dir, &environment.memory)?;
    failpoint::pass(Point::RecoverOpen);
    let new_identity = check_identity(&store, pipeline)?;
    let recovered = store.recovered();
    let Restored { operators, mut tables, facts, settings, replace_blocks, any_open, settings_changed } =
        restore(&store, &pipeline.plan, &pipeline.options, recovered)?;
    failpoint::pass(Point::RecoverRestore);
    let incarnation = store.incarnation()?;
    let named = facts.partitions.iter().filter_map(|fact| Some((fact.partition, fact.name.as_deref()?)));
    pipeline.source.recall(&named.collect::<Vec<_>>());
    let known_sinks = KnownSinks::open(&store, pipeline, &facts)?;
    let wiring = Wiring::new(pipeline, known_sinks.sinks());
    wiring.activity.store(settings_changed, Ordering::Relaxed);
    let latest: Latest = Arc::new(Mutex::new(tables.publish(facts.clone())));
    let windows = operators.into_iter().enumerate();
    let windows =
        windows.map(|(subtask, operator)| wiring.window(subtask, operator, pipeline, environment)).collect();
    let sources = (0..pipeline.options.parallelism)
        .map(|subtask| wiring.source(subtask, pipeline, facts.closed_ms, environment))
        .collect::<Result<_, _>>()?;
    let committer = Committer {
        store: store.clone(),
        tables,
        source: Arc::clone(&pipeline.source),
        outboxes: known_sinks.outboxes(pipeline),
        settings,
        observer: Arc::clone(&pipeline.observer),
        latest: Arc::clone(&latest),
        shared: Arc::clone(&wiring.shared),
        clock: Arc::clone(&environment.clock),
        parts: wiring.parts.1.clone(),
        events: wiring.events.0.clone(),
        facts: facts.clone(),
        replace_blocks,
        state: CommitState::default(),
    };
    if let Some(identity) = new_identity {
        store.set_identity(&identity)?;
    }
    let stopping = Stopping::default();
    let (stop_sinks, stop) = bounded(0);
    let n_partitions = facts.partitions.len();
    let sinks = known_sinks.tasks(pipeline, &store, incarnation, n_partitions, environment, &stopping, &stop);
    failpoint::pass(Point::RecoverIdentity);
    let (stop_discovery, stop) = bounded(0);
    let discovery = Discovery {
        source: Arc::clone(&pipeline.source),
        shared: Arc::clone(&wiring.shared),
        events: wiring.events.0.clone(),
        stop,
        state: DiscoveryState::default(),
    };
    let (shared, events) = (Arc::clone(&wiring.shared), wiring.events.0.clone());
    let coordinator = wiring.coordinator(pipeline, store, &facts, any_open, environment);
    Ok(Assembly {
        coordinator,
        discovery,
        sources,
        windows,
        committer,
        sinks,
        stopping,
        stop_sinks,
        stop_discovery,
        shared,
        latest,
        events,
    })
}

/// What is to be written of a pipeline that was never started, once nothing but threads can fail.
fn check_identity(store: &Store, pipeline: &Pipeline) -> Result<Option<Identity>, StartError> {
    let plan = &pipeline.plan;
    match store.identity()? {
        Some(kept) if kept.fingerprint != plan.fingerprint => Err(StartError::PlanChanged {
            dir: pipeline.data_dir.display().to_string(),
            found: format!("\"{}\" over {}", kept.shown_sql.trim(), kept.source_identity),
        }),
        Some(_) => Ok(None),
        None => Ok(Some(Identity {
            fingerprint: plan.fingerprint,
            sql: plan.sql.clone(),
            shown_sql: plan.shown_sql.clone(),
            source: pipeline.source.name().to_owned(),
            source_identity: pipeline.source.identity(),
            reader_schema: pipeline.reader_schema.clone(),
            source_schema: pipeline.source.schema(),
            event_time: pipeline.source.event_time(),
            topic_id: None,
            incarnation: store.incarnation()?,
        })),
    }
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
    fn new(pipeline: &Pipeline, sinks: Sinks) -> Self {
        let n = pipeline.options.parallelism;
        let window_kind = if pipeline.plan.aggregate.is_some() { "window" } else { "append" };
        let exchange = || (0..n).map(|_| bounded(CHANNEL_MESSAGES)).collect();
        Self {
            shared: Arc::new(Shared::new(pipeline.source.name(), window_kind, n).with_sinks(sinks)),
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
        pipeline: &Pipeline,
        environment: &Environment,
    ) -> WindowTask {
        WindowTask {
            subtask,
            operator,
            inputs: self.exchange.iter().map(|of_source| of_source[subtask].1.clone()).collect(),
            committer: self.parts.0.clone(),
            state_bytes_max: pipeline.options.state_bytes_max,
            shared: Arc::clone(&self.shared),
            clock: Arc::clone(&environment.clock),
            state: WindowState::new(self.exchange.len()),
        }
    }

    fn source(
        &self,
        subtask: usize,
        pipeline: &Pipeline,
        closed_ms: Option<i64>,
        environment: &Environment,
    ) -> Result<SourceTask, StartError> {
        let plan = &pipeline.plan;
        let options = pipeline.source.watermark();
        let windows = plan.window.as_ref().map(Window::windows);
        let time_type = plan.scan_schema.field(plan.event_time).data_type();
        let partial = plan.aggregate.as_ref().map(|aggregate| {
            let layout = layout_of(aggregate, pipeline.options.group_bytes_max)?;
            Ok::<_, StartError>(Partial::new(&layout))
        });
        let n_keys = plan.aggregate.as_ref().map_or(0, Aggregate::n_exprs);
        let senders = self.exchange[subtask].iter().map(|(sender, _)| sender.clone()).collect();
        let (shared, clock) = (&self.shared, &environment.clock);
        Ok(SourceTask {
            subtask,
            plan: Arc::clone(plan),
            source: Arc::clone(&pipeline.source),
            rules: Rules {
                delay_ms: options.delay_ms,
                max_ahead_ms: options.max_ahead_ms,
                lateness_ms: pipeline.options.lateness_ms,
                reach_ms: reach_ms(units_per_ms(time_type).unwrap_or(1), windows.as_ref()),
                windows,
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
            epoch_bytes_max: EPOCH_BYTES_MAX,
            skip_lost: pipeline.options.skip_lost,
            state: SourceState::new(plan),
        })
    }

    /// The last one made: nobody else may hold what it sends to.
    fn coordinator(
        self,
        pipeline: &Pipeline,
        store: Store,
        facts: &Facts,
        any_open: bool,
        environment: &Environment,
    ) -> Coordinator {
        Coordinator {
            source: Arc::clone(&pipeline.source),
            store,
            shared: self.shared,
            clock: Arc::clone(&environment.clock),
            events: self.events.1,
            controls: self.controls.into_iter().map(|(sender, _)| sender).collect(),
            committer: self.parts.0,
            activity: self.activity,
            epoch_ms: pipeline.options.epoch_ms,
            lateness_ms: pipeline.options.lateness_ms,
            bounded: pipeline.options.bounded,
            skip_lost: pipeline.options.skip_lost,
            any_open,
            state: CoordinatorState::new(facts),
        }
    }
}
