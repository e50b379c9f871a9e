//! `run`: checks everything, then starts pipelines and HTTP, and stops them in order.
//!
//! ```text
//! project ─► data dir (locked) ─► plans against kept state ─► listen ─► pipelines ─► serve … signal ─► stop ─► exit 0
//!        exit 2 ◄── anything wrong so far; nothing was touched
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use weir_connectors::chain;
use weir_engine::pipeline::{Environment, PipelineOptions, State};
use weir_engine::state::Memory;
use weir_schemas::SchemaRegistry;

use super::end::end;
use super::{Failure, RunArgs, init_log, load};
use crate::catalog;
use crate::http::{Access, AppState, Boards, Origin, Origins, serve};
use crate::metrics::Metrics;
use crate::pipeline::{
    Connections, DataDir, Entry, Kept, Outcome, Pipelines, Prepared, Preparer, Shared, SourceSpec, Spec,
    Supervisor, SystemClock, Task, resources,
};
use crate::project::{Problems, Project, Source, check_columns, did_you_mean};
use crate::sql::{Limits, Queries};
use crate::stream::Hub;

/// RocksDB's block cache and write buffers, for all pipelines together.
const CACHE_BYTES: usize = 64 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;
/// From the signal to the exit, at most: a little less than the 10 s that are promised.
const STOP_MAX: Duration = Duration::from_secs(9);
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
    if !args.listen.ip().is_loopback() && !args.allow_unauthenticated {
        return Err(Failure::Usage(format!(
            "others could reach {} without a password: listen on 127.0.0.1, or say --allow-unauthenticated",
            args.listen
        )));
    }
    let access = access(args)?;
    let project = load(&args.dir)?;
    if let Some(name) = args.skip_lost.iter().find(|name| !project.pipelines.contains_key(*name)) {
        let hint = did_you_mean(name, project.pipelines.keys().map(String::as_str));
        return Err(Failure::Usage(format!("--skip-lost: there is no pipeline \"{name}\"{hint}")));
    }
    init_log(args.log_format, "info", project.redactor.clone());
    run(Run {
        data_dir: args.data_dir.clone().unwrap_or_else(|| args.dir.join(".weir")),
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

/// Whom to let in besides loopback; a name that no request could bear is a mistake.
fn access(args: &RunArgs) -> Result<Access, Failure> {
    let is_host = |text: &str| {
        text.parse::<Authority>().is_ok_and(|host| !host.host().is_empty()) && !text.contains(['*', '@'])
    };
    if let Some(host) = args.allow_host.iter().find(|host| !is_host(host)) {
        let example = "name one such as weir.example.com";
        return Err(Failure::Usage(format!("--allow-host \"{host}\" is not a host: {example}")));
    }
    let is_origin = |text: &str| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| is_host(host.trim_end_matches('/')))
    };
    if let Some(origin) = args.allow_origin.iter().find(|origin| !is_origin(origin)) {
        let example = "name one such as https://wiki.example.com";
        return Err(Failure::Usage(format!("--allow-origin \"{origin}\" is not an origin: {example}")));
    }
    Ok(Access { hosts: args.allow_host.clone(), origins: args.allow_origin.clone() })
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
    // A thousand is usual, and less than the streams and files that may be open. Where it can't be raised, what
    // is beyond it waits.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("weir-http")
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(|error| failed(&error))?;
    let Some((preparer, data_dir, preflight)) =
        runtime.block_on(preflight_or_signal(preparer, data_dir, &mut signals))?
    else {
        runtime.shutdown_background();
        return Ok(());
    };
    let listener = runtime
        .block_on(TcpListener::bind(listen))
        .map_err(|error| Failure::Failed(format!("could not listen on {listen}: {error}")))?;
    listening(listener.local_addr().unwrap_or(listen));

    let entries = preflight.iter().map(|each| each.entry(&preparer, bounded, &skip_lost)).collect();
    let pipelines = Arc::new(Pipelines::new(entries));
    let app = Arc::new(app(&project, &pipelines, origins, access, edit).map_err(|error| failed(&error))?);
    let tasks = preflight.into_iter().filter_map(|each| each.task(&pipelines, &app.hub)).collect();
    let environment = Environment {
        clock: Arc::new(SystemClock::start()),
        memory: Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES),
    };
    let shared = Arc::new(Shared { preparer, data_dir, environment });
    let supervisor =
        Supervisor::start(Arc::clone(&pipelines), &shared, tasks).map_err(|error| failed(&error))?;

    let in_time = runtime.block_on(until_stopped(listener, Arc::clone(&app), supervisor, signals, bounded));
    let any_failed = pipelines.iter().any(|entry| entry.state().0 == State::Failed);
    if !in_time {
        // Threads that did not end would keep the process; what is committed is safe.
        tracing::warn!("ended before all pipelines had stopped: their last epoch may not be committed");
        end(u8::from(bounded && any_failed));
    }
    runtime.shutdown_background();
    if bounded && any_failed {
        return Err(Failure::Failed("a pipeline failed".to_owned()));
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(chain(error))
}

/// A pipeline after a first look at what it needs.
struct Looked {
    name: String,
    kept: Option<Kept>,
    prepared: Option<Prepared>,
    waits_for: Option<String>,
}

/// The preflight; `None` where a signal came first: a registry may take long to answer.
async fn preflight_or_signal(
    preparer: Preparer,
    data_dir: DataDir,
    signals: &mut Signals,
) -> Result<Option<(Preparer, DataDir, Vec<Looked>)>, Failure> {
    let looking = tokio::task::spawn_blocking(move || {
        preflight(&preparer, &data_dir).map(|looked| (preparer, data_dir, looked))
    });
    tokio::select! {
        looked = looking => looked.map_err(|error| failed(&error))?.map(Some),
        () = signals.next() => Ok(None),
    }
}

/// Plans every pipeline whose schema is known already, against the state that is kept of it.
fn preflight(preparer: &Preparer, data_dir: &DataDir) -> Result<Vec<Looked>, Failure> {
    let project = preparer.project();
    let (mut all, mut problems, mut plans) = (Vec::new(), Problems::default(), BTreeMap::new());
    for name in project.pipelines.keys() {
        let kept = data_dir.kept(name).map_err(|error| failed(&error))?;
        let mut looked = Looked { name: name.clone(), kept, prepared: None, waits_for: None };
        match preparer.prepare(name, looked.kept.as_ref()) {
            Outcome::Ready(prepared) => {
                plans.insert(name.as_str(), Arc::clone(&prepared.plan));
                looked.prepared = Some(prepared);
            }
            Outcome::Waiting(why) => looked.waits_for = Some(why),
            Outcome::Wrong(wrong) => problems.extend(wrong),
        }
        all.push(looked);
    }
    problems.extend(check_columns(project.boards(), &plans));
    if problems.is_empty() { Ok(all) } else { Err(problems.into()) }
}

impl Looked {
    fn entry(&self, preparer: &Preparer, bounded: bool, skip_lost: &[String]) -> Arc<Entry> {
        let project = preparer.project();
        let pipeline = &project.pipelines[&self.name];
        let sources = match &self.prepared {
            Some(prepared) => vec![prepared.plan.source.as_str()],
            None => preparer.candidates(pipeline.sql()),
        };
        let sources = sources.into_iter().filter_map(|name| {
            let source = project.sources.get(name)?;
            Some(SourceSpec {
                name: name.to_owned(),
                topic: source.topic.clone(),
                watermark: source.watermark,
            })
        });
        let entry = Entry::new(Spec {
            name: self.name.clone(),
            sql: pipeline.shown_sql().to_owned(),
            sources: sources.collect(),
            options: PipelineOptions {
                skip_lost: skip_lost.contains(&self.name),
                ..pipeline.options(&self.name, resources(project.pipelines.len()), bounded)
            },
            redactor: project.redactor.clone(),
        });
        if let Some(why) = &self.waits_for {
            entry.wait_for(why.clone());
        }
        Arc::new(entry)
    }

    fn task(self, pipelines: &Pipelines, hub: &Arc<Hub>) -> Option<Task> {
        let entry = Arc::clone(pipelines.get(&self.name)?);
        let observer = hub.observer(&self.name);
        Some(Task { entry, observer, kept: self.kept, prepared: self.prepared })
    }
}

/// Where records of each source come from, and who knows their schemas.
fn origins(project: &Project, connections: &Connections) -> Origins {
    let origin = |(name, source): (&String, &Source)| {
        let connection = connections.get(&source.connection)?;
        let bootstrap_servers = project.redactor.apply(&connection.bootstrap_servers);
        let registry = Arc::clone(&connection.registry);
        Some((name.clone(), Origin { topic: source.topic.clone(), bootstrap_servers, registry }))
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

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one, those within `pause` from now left out.
    async fn next_after(&mut self, pause: Duration) {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = self.next() => {}
            }
        }
        self.next().await;
    }
}

/// Serves until a signal or, in a bounded run, until all pipelines are done. Whether everything
/// stopped in time.
async fn until_stopped(
    listener: TcpListener,
    app: Arc<AppState>,
    supervisor: Supervisor,
    mut signals: Signals,
    bounded: bool,
) -> bool {
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let (done, mut pipelines_done) = oneshot::channel::<()>();
    let stopper = supervisor.stopper();
    // A thread of its own: pipelines end when they end, and no runtime should wait for it.
    std::thread::spawn(move || {
        supervisor.join();
        done.send(()).ok();
    });
    let server = tokio::spawn(serve(listener, app, async move {
        http_stopped.await.ok();
    }));
    let signalled = tokio::select! {
        () = signals.next() => true,
        _ = &mut pipelines_done, if bounded => false,
    };
    if signalled {
        tracing::info!("stopping: a second signal ends the process at once");
        stopper.stop();
    }
    stop_http.send(()).ok();
    let stopped = async {
        if signalled {
            pipelines_done.await.ok();
        }
        if let Ok(Err(error)) = server.await {
            tracing::error!(%error, "serving failed");
        }
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_MAX, stopped) => stopped.is_ok(),
        () = signals.next_after(SAME_SIGNAL) => false,
    }
}
