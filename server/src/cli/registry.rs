//! `registry`: the embedded schema registry alone, and its start inside `run`.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir_engine::state::Memory;

use super::args::RegistryArgs;
use super::signals::serving;
use super::{Failure, failed, init_log, reach};
use crate::http::Access;
use crate::pipeline::DataDir;
use crate::project::Redactor;
use crate::registry;

/// More than enough: a registry is read from memory.
const CACHE_BYTES: usize = 8 << 20;
const WRITE_BUFFER_BYTES: usize = 8 << 20;

/// A registry that is served.
pub(super) struct Served {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    /// Lets answers finish that are on their way.
    pub(super) async fn stop(self) {
        self.stop.send(()).ok();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "serving the schema registry failed");
        }
    }
}

/// Serves the registry until a signal.
///
/// # Errors
/// The address can't be listened on, or what is kept can't be read.
pub(super) fn command(args: &RegistryArgs) -> Result<(), Failure> {
    reach::check_listen(args.listen, &args.reach)?;
    let access = reach::access(&args.reach)?;
    init_log(args.log_format, "info", Redactor::default());
    let data_dir = DataDir::open(&args.data_dir).map_err(|error| failed(&error))?;
    let (runtime, mut signals) = serving("weir-registry").map_err(|error| failed(&error))?;
    let memory = Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES);
    let listen = (args.listen, "--listen names another address");
    let served = start(&runtime, listen, &data_dir, &memory, access)?;
    runtime.block_on(async {
        signals.next().await;
        served.stop().await;
    });
    Ok(())
}

/// Opens the registry of a data directory and serves it. `another` says how its address is changed.
///
/// # Errors
/// As [`command`].
pub(super) fn start(
    runtime: &Runtime,
    (listen, another): (SocketAddr, &str),
    data_dir: &DataDir,
    memory: &Memory,
    access: Access,
) -> Result<Served, Failure> {
    let registry = registry::open(data_dir, memory).map_err(|error| failed(&error))?;
    let listener =
        runtime.block_on(TcpListener::bind(listen)).map_err(|error| reach::deaf(listen, &error, another))?;
    let address = listener.local_addr().unwrap_or(listen);
    tracing::info!(registry = format!("http://{address}"), "the schema registry is listening");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        stopped.await.ok();
    };
    let task = runtime.spawn(registry::serve(listener, registry, access, shutdown));
    Ok(Served { stop, task })
}
