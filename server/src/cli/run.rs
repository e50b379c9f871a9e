//! `run`: checks everything, then starts pipelines and HTTP, and stops them in order.
//!
//! ```text
//! project ─► data dir (locked) ─► plans against kept state ─► pipelines ─► … signal ─► stop ─► exit 0
//!                 exit 2 ◄── anything wrong so far; nothing was touched
//!                                 └─► listen, serve: then, or while a registry takes long to answer
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use weir_connectors::files::file_schemas;
use weir_engine::pipeline::{Environment, PipelineOptions, State};
use weir_engine::state::Memory;
use weir_schemas::SchemaRegistry;

use super::end::end;
use super::signals::{Signals, serving};
use super::{Failure, RunArgs, failed, init_log, load, reach, registry};
use crate::catalog;
use crate::http::{Access, AppState, Boards, Origin, Origins, serve};
use crate::metrics::Metrics;
use crate::pipeline::{
    Connections, DEFAULT_NAME, DataDir, Entry, Kept, Outcome, Pipelines, Prepared, Preparer, Shared,
    SourceSpec, Spec, Supervisor, SystemClock, Task, resources,
};
use crate::project::{Place, Problems, Project, Source, check_columns, did_you_mean};
use crate::sql::{Limits, Queries};
use crate::stream::Hub;

/// RocksDB's block cache and write buffers, for all pipelines together.
const CACHE_BYTES: usize = 64 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;
/// From the signal to the exit, at most: a little less than the 10 s that are promised.
const STOP_MAX: Duration = Duration::from_secs(9);
/// What is wrong with a project is told before anything listens, unless finding out takes longer: whoever looks
/// after the process must not take it for dead.
const LISTEN_AFTER: Duration = Duration::from_millis(500);
/// Signals this close together are one: `timeout`, a terminal and some supervisors signal the
/// process and its group, so that it hears everything twice.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// What to run.
pub struct Run {
    pub project: Project,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub access: Access,
    pub bounded: bool,
    /// Whether the page may write dashboards.
    pub edit: bool,
    /// Pipelines that go on where records were deleted before they were read.
    pub skip_lost: Vec<String>,
    /// Asked instead of those that weir.yaml names.
    pub registry: Option<Arc<dyn SchemaRegistry>>,
    /// Told the address that is listened on, once it is.
    pub listening: Box<dyn FnOnce(SocketAddr)>,
}

pub(super) fn command(args: &RunArgs) -> Result<(), Failure> {
    reach::check_listen(args.listen, &args.reach)?;
    let access = reach::access(&args.reach)?;
    let project = load(&args.dir)?;
    if let Some(registry) = &project.registry {
        reach::check_listen(registry.listen, &args.reach)?;
    }
    if let Some(name) = args.skip_lost.iter().find(|name| !project.pipelines.contains_key(*name)) {
        let hint = did_you_mean(name, project.pipelines.keys().map(String::as_str));
        return Err(Failure::Usage(format!("--skip-lost: there is no pipeline \"{name}\"{hint}")));
    }
    init_log(args.log_format, "info", project.redactor.clone());
    run(Run {
        data_dir: args.data_dir.clone().unwrap_or_else(|| args.dir.join(DEFAULT_NAME)),
        project,
        listen: args.listen,
        access,
        bounded: args.bounded,
        edit: args.edit,
        skip_lost: args.skip_lost.clone(),
        registry: None,
        listening: Box::new(|address| tracing::info!(url = format!("http://{address}"), "listening")),
    })
}

/// Runs until a signal, or the end of a bounded run.
///
/// # Errors
/// Before anything was touched: what is wrong with project, state or address. Later only that a
/// pipeline of a bounded run failed.
pub fn run(run: Run) -> Result<(), Failure> {
    let Run { project, listen, data_dir, access, bounded, edit, skip_lost, registry, listening } = run;
    let project = Arc::new(project);
    let connections = match registry {
        Some(registry) => Connections::with_registry(&project, &registry),
        None => Connections::new(&project)?,
    };
    let origins = origins(&project, &connections);
    let preparer = Preparer::new(Arc::clone(&project), connections);
    let data_dir = DataDir::open(&data_dir).map_err(|error| failed(&error))?;
    let entries = project.pipelines.keys().map(|name| entry(name, &preparer, bounded, &skip_lost)).collect();
    let pipelines = Arc::new(Pipelines::new(entries));
    let app = Arc::new(app(&project, &pipelines, origins, access, edit).map_err(|error| failed(&error))?);
    // A thousand is usual, and less than the streams and files that may be open. Where it can't be raised, what
    // is beyond it waits.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    let (runtime, mut signals) = serving("weir-http").map_err(|error| failed(&error))?;
    let memory = Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES);
    // Before the preflight, which may ask it.
    let embedded = project
        .registry
        .as_ref()
        .map(|at| {
            let another = "\"registry: { listen: … }\" of weir.yaml names another address";
            registry::start(&runtime, (at.listen, another), &data_dir, &memory, app.access.clone())
        })
        .transpose()?;
    let found = runtime.block_on(look_and_listen(
        {
            let pipelines = Arc::clone(&pipelines);
            move || preflight(&preparer, &data_dir, &pipelines).map(|looked| (preparer, data_dir, looked))
        },
        Listen { address: listen, app: Arc::clone(&app), listening },
        &mut signals,
    ));
    let ((preparer, data_dir, looked), http) = match found {
        Ok(Some(found)) => found,
        other => {
            runtime.shutdown_background();
            return other.map(drop);
        }
    };
    let tasks = looked.into_iter().filter_map(|each| each.task(&pipelines, &app.hub)).collect();
    let environment = Environment { clock: Arc::new(SystemClock::start()), memory };
    let shared = Arc::new(Shared { preparer, data_dir, environment });
    let supervisor =
        Supervisor::start(Arc::clone(&pipelines), &shared, tasks).map_err(|error| failed(&error))?;

    let in_time = runtime.block_on(until_stopped(http, supervisor, signals, bounded));
    let any_failed = pipelines.iter().any(|entry| entry.state().0 == State::Failed);
    if !in_time {
        // Threads that did not end would keep the process; what is committed is safe.
        tracing::warn!("ended before all pipelines had stopped: their last epoch may not be committed");
        end(u8::from(bounded && any_failed));
    }
    if let Some(embedded) = embedded {
        // Last: whoever was stopping may have asked it.
        runtime.block_on(embedded.stop());
    }
    runtime.shutdown_background();
    if bounded && any_failed {
        return Err(Failure::Failed("a pipeline failed".to_owned()));
    }
    Ok(())
}

/// A pipeline before anything is known of what it needs.
fn entry(name: &str, preparer: &Preparer, bounded: bool, skip_lost: &[String]) -> Arc<Entry> {
    let project = preparer.project();
    let pipeline = &project.pipelines[name];
    let sources = preparer.candidates(pipeline.sql()).into_iter().filter_map(|name| {
        let source = project.sources.get(name)?;
        Some(SourceSpec {
            name: name.to_owned(),
            topic: source.topic().to_owned(),
            watermark: source.watermark,
        })
    });
    let entry = Entry::new(Spec {
        name: name.to_owned(),
        sql: pipeline.shown_sql().to_owned(),
        sources: sources.collect(),
        options: PipelineOptions {
            skip_lost: skip_lost.iter().any(|skipping| skipping == name),
            ..pipeline.options(name, resources(project.pipelines.len()), bounded)
        },
        redactor: project.redactor.clone(),
    });
    entry.wait_for("the schemas of its sources are being looked up");
    Arc::new(entry)
}

/// A pipeline after a first look at what it needs.
struct Looked {
    name: String,
    kept: Option<Kept>,
    prepared: Option<Prepared>,
}

/// Plans every pipeline whose schema is known already, against the state that is kept of it. The others say what
/// they wait for.
fn preflight(preparer: &Preparer, data_dir: &DataDir, pipelines: &Pipelines) -> Result<Vec<Looked>, Failure> {
    let project = preparer.project();
    let (mut all, mut problems, mut plans) = (Vec::new(), Problems::default(), BTreeMap::new());
    for entry in pipelines.iter() {
        let name = entry.name();
        let kept = data_dir.kept(name).map_err(|error| failed(&error))?;
        let mut looked = Looked { name: name.to_owned(), kept, prepared: None };
        match preparer.prepare(name, looked.kept.as_ref()) {
            Outcome::Ready(prepared) => {
                plans.insert(name, Arc::clone(&prepared.plan));
                looked.prepared = Some(prepared);
            }
            Outcome::Waiting(why) => entry.wait_for(why),
            Outcome::Wrong(wrong) => problems.extend(wrong),
        }
        all.push(looked);
    }
    problems.extend(check_columns(project.boards(), &plans));
    if problems.is_empty() { Ok(all) } else { Err(problems.into()) }
}

impl Looked {
    fn task(self, pipelines: &Pipelines, hub: &Arc<Hub>) -> Option<Task> {
        let entry = Arc::clone(pipelines.get(&self.name)?);
        let observer = hub.observer(&self.name);
        Some(Task { entry, observer, kept: self.kept, prepared: self.prepared })
    }
}

/// Where to listen, and with what to answer.
struct Listen {
    address: SocketAddr,
    app: Arc<AppState>,
    listening: Box<dyn FnOnce(SocketAddr)>,
}

/// HTTP while it is served.
struct Http {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Listen {
    async fn start(self) -> Result<Http, Failure> {
        let Self { address, app, listening } = self;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| reach::deaf(address, &error, "--listen names another address"))?;
        listening(listener.local_addr().unwrap_or(address));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, async move {
            stopped.await.ok();
        }));
        Ok(Http { stop, server })
    }
}

/// Looks at what pipelines need, and listens: when that is known, or while it takes long. `None` where a signal came
/// first.
async fn look_and_listen<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    listen: Listen,
    signals: &mut Signals,
) -> Result<Option<(T, Http)>, Failure> {
    let looked = |found: Result<Result<T, Failure>, JoinError>| found.map_err(|error| failed(&error))?;
    let mut looking = tokio::task::spawn_blocking(look);
    let early = tokio::select! {
        found = tokio::time::timeout(LISTEN_AFTER, &mut looking) => found.ok(),
        () = signals.next() => return Ok(None),
    };
    let early = early.map(looked).transpose()?;
    let http = listen.start().await?;
    if let Some(found) = early {
        return Ok(Some((found, http)));
    }
    tokio::select! {
        found = looking => Ok(Some((looked(found)?, http))),
        () = signals.next() => Ok(None),
    }
}

/// Where records of each source come from, and who knows their schemas.
fn origins(project: &Project, connections: &Connections) -> Origins {
    let origin = |(name, source): (&String, &Source)| {
        let topic = source.topic().to_owned();
        if let Place::Files { pattern, shown } = &source.place {
            let registry = file_schemas(pattern, shown);
            return Some((name.clone(), Origin { topic, bootstrap_servers: String::new(), registry }));
        }
        let connection = connections.get(source.connection()?)?;
        let bootstrap_servers = project.redactor.apply(&connection.bootstrap_servers);
        let registry = Arc::clone(&connection.registry);
        Some((name.clone(), Origin { topic, bootstrap_servers, registry }))
    };
    Origins::new(project.sources.iter().filter_map(origin).collect())
}

fn app(
    project: &Arc<Project>,
    pipelines: &Arc<Pipelines>,
    origins: Origins,
    access: Access,
    edit: bool,
) -> std::io::Result<AppState> {
    let metrics = Arc::new(Metrics::default());
    let tables =
        pipelines.iter().map(|entry| (entry.name().to_owned(), entry.spec().options.retention_ms != 0));
    let dashboards = project.dashboards.iter().map(|(name, each)| (name.clone(), each.dashboard.clone()));
    Ok(AppState {
        catalog: Arc::new(catalog::Project { name: project.name.clone(), pipelines: Arc::clone(pipelines) }),
        hub: Hub::new(tables, Arc::clone(&metrics)),
        queries: Queries::new(Limits::default())?,
        metrics,
        boards: Boards::new(dashboards.collect(), edit.then(|| Arc::clone(project))),
        origins,
        access,
    })
}

/// Waits for a signal or, in a bounded run, until all pipelines are done. Whether everything
/// stopped in time.
async fn until_stopped(http: Http, supervisor: Supervisor, mut signals: Signals, bounded: bool) -> bool {
    let (done, mut pipelines_done) = oneshot::channel::<()>();
    let stopper = supervisor.stopper();
    // A thread of its own: pipelines end when they end, and no runtime should wait for it.
    std::thread::spawn(move || {
        supervisor.join();
        done.send(()).ok();
    });
    let signalled = tokio::select! {
        () = signals.next() => true,
        _ = &mut pipelines_done, if bounded => false,
    };
    if signalled {
        tracing::info!("stopping: a second signal ends the process at once");
        stopper.stop();
    }
    http.stop.send(()).ok();
    let stopped = async {
        if signalled {
            pipelines_done.await.ok();
        }
        if let Err(error) = http.server.await {
            tracing::error!(%error, "serving failed");
        }
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_MAX, stopped) => stopped.is_ok(),
        () = signals.next_after(SAME_SIGNAL) => false,
    }
}
