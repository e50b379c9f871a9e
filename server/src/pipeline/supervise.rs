//! Starts each pipeline on a thread of its own, as soon as what it needs is there, and stops them.
//!
//! Invariants:
//! 1. A pipeline that waits, or can't be started, holds up no other and not the process.
//! 2. Whoever looks at an entry sees why it is not running yet.
//! 3. After [`Stopper::stop`] nothing is started any more, and nobody waits for who only asks a broker or a
//!    registry; for who tells Kafka how far a pipeline came, 0.7 s at most.

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_connectors::kafka::table_columns;
use weir_connectors::{TableSource, chain};
use weir_engine::connector::{SourceError, Topology};
use weir_engine::pipeline::{Environment, Observer, Pipeline, StartError, State, start};
use weir_engine::sql::LeftOut;

use super::data_dir::{DataDir, Kept};
use super::machine::cores;
use super::prepare::{Outcome, Prepared, Preparer, left_out};
use super::{Entry, Pipelines, SourceTable, group};

/// First and longest wait between two tries. Shorter: a broker that is away is asked all the time;
/// longer: one that comes back is noticed late.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How long a pipeline that has results waits to be told how many partitions there are: what it has can
/// be read only then.
const TOPOLOGY_WAIT: Duration = Duration::from_millis(500);

/// What the threads of all pipelines share.
pub struct Shared {
    pub preparer: Preparer,
    pub data_dir: DataDir,
    pub environment: Environment,
}

/// A pipeline at the start of the process.
pub struct Task {
    pub entry: Arc<Entry>,
    pub observer: Arc<dyn Observer>,
    pub kept: Option<Kept>,
    /// `None`: what it needs was not there yet.
    pub prepared: Option<Prepared>,
}

/// The pipelines of a process, starting, running and stopping.
pub struct Supervisor {
    stop: Arc<Stop>,
    pipelines: Arc<Pipelines>,
}

impl Supervisor {
    /// Starts all pipelines; returns at once.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(pipelines: Arc<Pipelines>, shared: &Arc<Shared>, tasks: Vec<Task>) -> io::Result<Self> {
        let supervisor = Self { stop: Arc::default(), pipelines };
        for task in tasks {
            let shared = Arc::clone(shared);
            let under_way = UnderWay::new(&supervisor.stop, |state| &mut state.n_waiting);
            let name = format!("start {}", task.entry.name());
            let thread = std::thread::Builder::new().name(name);
            thread.spawn(move || {
                let entry = Arc::clone(&task.entry);
                let started = bring_up(task, &shared, &under_way.stop);
                let telling = UnderWay::new(&under_way.stop, |state| &mut state.n_telling);
                drop(under_way);
                if let Some(source) = started {
                    group::tell(&entry, &*source, |wait| telling.stop.wait(wait));
                }
            })?;
        }
        Ok(supervisor)
    }

    /// Whoever stops the pipelines while another waits for them.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.stop), pipelines: Arc::clone(&self.pipelines) }
    }

    /// Waits until every pipeline has stopped, failed, or is done (a bounded run), and then a little for Kafka
    /// to be told how far it came.
    pub fn join(self) {
        self.stop.await_started();
        for entry in self.pipelines.iter() {
            match entry.running() {
                Some(running) => running.join(),
                None => entry.stopped(),
            }
            let (state, error) = entry.state();
            if state != State::Failed {
                tracing::info!(pipeline = entry.name(), "pipeline stopped");
            } else if let Some(error) = error {
                tracing::error!(pipeline = entry.name(), error, "pipeline failed");
            }
        }
        self.stop.await_told();
    }
}

/// Stops the pipelines of a [`Supervisor`].
pub struct Stopper {
    stop: Arc<Stop>,
    pipelines: Arc<Pipelines>,
}

impl Stopper {
    /// Asks all pipelines to finish their epoch, commit and stop. Does not wait.
    pub fn stop(&self) {
        self.stop.set();
        for entry in self.pipelines.iter() {
            if let Some(running) = entry.running() {
                running.stop();
            }
        }
    }
}

/// From nothing to a running pipeline, however long its broker and registry take. What it reads; `None` where it
/// was not started.
fn bring_up(task: Task, shared: &Shared, stop: &Arc<Stop>) -> Option<Arc<dyn TableSource>> {
    let Task { entry, observer, kept, mut prepared } = task;
    let mut retry = Retry::new();
    let mut logged: Option<String> = None;
    loop {
        let tried = match prepared.take() {
            Some(prepared) => Ok(prepared),
            None => match shared.preparer.prepare(entry.name(), kept.as_ref()) {
                Outcome::Ready(prepared) => Ok(prepared),
                Outcome::Waiting(why) => Err(why),
                Outcome::Wrong(problems) => {
                    let problems: Vec<String> = problems.sorted().iter().map(ToString::to_string).collect();
                    fail(&entry, &problems.join("\n"));
                    return None;
                }
            },
        };
        let started = tried.and_then(|ready| {
            let started = match parallelism(&entry, &ready, kept.as_ref(), shared) {
                Ok(parallelism) => try_start(&entry, &ready, parallelism, &observer, shared, stop),
                Err(why) => Err(StartError::Source(SourceError::Retry(why))),
            };
            match started {
                Err(StartError::Source(SourceError::Retry(why))) => {
                    prepared = Some(ready);
                    Err(why)
                }
                Err(error) => {
                    fail(&entry, &chain(&error));
                    Ok(None)
                }
                Ok(is_started) => Ok(is_started.then_some(ready.source)),
            }
        });
        match started {
            Ok(source) => return source,
            Err(why) => {
                entry.wait_for(why);
                // As shown: without values from the environment.
                let waits_for = entry.trouble().unwrap_or_default();
                // Once for each reason, however long it lasts.
                if logged.as_ref() != Some(&waits_for) {
                    tracing::info!(pipeline = entry.name(), waits_for, "pipeline waits");
                    logged = Some(waits_for);
                }
            }
        }
        if retry.wait(stop) {
            entry.stopped();
            return None;
        }
    }
}

fn fail(entry: &Entry, error: &str) {
    entry.fail(error);
    let error = entry.state().1.unwrap_or_default();
    tracing::error!(pipeline = entry.name(), error, "pipeline can't be started");
}

/// `parallelism` of the pipeline file, or the smaller of cores and partitions. While the broker is
/// away: what the state was made with, so that its results can be read meanwhile.
fn parallelism(
    entry: &Entry,
    prepared: &Prepared,
    kept: Option<&Kept>,
    shared: &Shared,
) -> Result<usize, String> {
    let pipeline = shared.preparer.project().pipelines.get(entry.name());
    if let Some(parallelism) = pipeline.and_then(|pipeline| pipeline.settings.parallelism) {
        return Ok(parallelism);
    }
    let before = kept.and_then(|kept| kept.settings).map(|settings| settings.parallelism);
    match topology(&prepared.source, before.map(|_| TOPOLOGY_WAIT)) {
        Some(Ok(topology)) => Ok(cores().min(topology.partitions.len()).max(1)),
        Some(Err(SourceError::Fatal(error))) => Err(error),
        Some(Err(error)) => before.ok_or_else(|| error.to_string()),
        None => before.ok_or_else(|| "the broker has not answered".to_owned()),
    }
}

/// Asks the broker for the partitions; `None` where it has not answered within `wait`.
fn topology(source: &Arc<dyn TableSource>, wait: Option<Duration>) -> Option<Result<Topology, SourceError>> {
    let Some(wait) = wait else { return Some(source.discover()) };
    let (answer, answered) = sync_channel(1);
    let source = Arc::clone(source);
    // Nobody waits for it: it ends by itself within some seconds.
    let asking = std::thread::Builder::new().name("topology".to_owned()).spawn(move || {
        // Fails where the answer came too late.
        drop(answer.send(source.discover()));
    });
    asking.ok().and_then(|_| answered.recv_timeout(wait).ok())
}

/// Starts a pipeline, unless told to stop. Whether it did.
fn try_start(
    entry: &Entry,
    prepared: &Prepared,
    parallelism: usize,
    observer: &Arc<dyn Observer>,
    shared: &Shared,
    stop: &Arc<Stop>,
) -> Result<bool, StartError> {
    let _under_way = UnderWay::new(stop, |state| &mut state.n_starting);
    if stop.is_set() {
        entry.stopped();
        return Ok(false);
    }
    let mut options = entry.spec().options.clone();
    options.parallelism = parallelism;
    let pipeline = Pipeline {
        project: shared.preparer.project().name.clone(),
        plan: Arc::clone(&prepared.plan),
        source: Arc::<dyn TableSource>::clone(&prepared.source),
        sinks: prepared.sinks.clone(),
        reader_schema: prepared.reader_schema.clone(),
        options,
        data_dir: shared.data_dir.pipeline(entry.name()),
        observer: Arc::clone(observer),
    };
    let handle = start(pipeline, &shared.environment)?;
    entry.starts_with(SourceTable {
        columns: table_columns(&prepared.source.schema()),
        subject: prepared.source.reader_schema().subject.clone(),
    });
    entry.started(Arc::new(handle));
    tracing::info!(pipeline = entry.name(), parallelism, "pipeline started");
    for LeftOut { column, reason } in left_out(&*prepared.source) {
        let source = prepared.source.name();
        tracing::info!(pipeline = entry.name(), source, column, reason, "column left out");
    }
    // Told to stop while it was being started.
    if let Some(running) = entry.running().filter(|_| stop.is_set()) {
        running.stop();
    }
    Ok(true)
}

/// Waits that grow, and end early when told to stop.
struct Retry {
    next: Duration,
}

impl Retry {
    fn new() -> Self {
        Self { next: RETRY.0 }
    }

    /// Whether to stop.
    fn wait(&mut self, stop: &Stop) -> bool {
        let wait = self.next;
        self.next = (self.next * 2).min(RETRY.1);
        stop.wait(wait)
    }
}

/// Set once; whoever waits for it wakes. Knows what is under way.
#[derive(Default)]
struct Stop {
    state: Mutex<StopState>,
    changed: Condvar,
}

#[derive(Default)]
struct StopState {
    set: bool,
    /// Threads that have a pipeline to start.
    n_waiting: usize,
    /// Those that are starting it now.
    n_starting: usize,
    /// Those that tell Kafka how far it is.
    n_telling: usize,
}

/// Counts one in a number of [`StopState`] until it is dropped.
struct UnderWay {
    stop: Arc<Stop>,
    number: fn(&mut StopState) -> &mut usize,
}

impl UnderWay {
    fn new(stop: &Arc<Stop>, number: fn(&mut StopState) -> &mut usize) -> Self {
        *number(&mut stop.state()) += 1;
        Self { stop: Arc::clone(stop), number }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *(self.number)(&mut self.stop.state()) -= 1;
        self.stop.changed.notify_all();
    }
}

impl Stop {
    fn state(&self) -> MutexGuard<'_, StopState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self) {
        self.state().set = true;
        self.changed.notify_all();
    }

    fn is_set(&self) -> bool {
        self.state().set
    }

    /// Waits at most `timeout`; whether it is set.
    fn wait(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.state();
        while !state.set {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.set
    }

    /// Waits until every pipeline was started or never will be; once it is set, for those that are being
    /// started only.
    fn await_started(&self) {
        let mut state = self.state();
        while 0 < state.n_starting || 0 < state.n_waiting && !state.set {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until Kafka knows how far each pipeline came, as long as those that tell it may take.
    fn await_told(&self) {
        let mut state = self.state();
        while 0 < state.n_telling {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
