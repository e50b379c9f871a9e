//! `demo`: a shop with live numbers in one process, nothing else needed.
//!
//! ```text
//! generator ─► mock Kafka (librdkafka's, real protocol) ─► examples/shop, run as it is ─► HTTP
//!     └─► registry in memory ◄──────────────────────────────────┘
//! ```
//!
//! Memory is bounded: the mock cluster keeps the newest 5 MiB of each of the 7 partitions (some 20
//! minutes of clicks, an hour of orders) and lets older records go; results are kept on disk. Data and
//! state end with the process, and so does the project, which the page may therefore change.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use weir_connectors::mock::MockKafka;
use weir_examples::TOPICS;
use weir_examples::produce::{Options, run as produce};
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::EmbeddedRegistry;

use crate::cli::{DEFAULT_LISTEN, DemoArgs, Failure, Run, init_log, run, talk};
use crate::http::Access;
use crate::project::Project;

/// The project, as it is in the repository.
const PROJECT: [(&str, &str); 7] = [
    ("weir.yaml", include_str!("../../../examples/shop/weir.yaml")),
    ("sources/orders.yaml", include_str!("../../../examples/shop/sources/orders.yaml")),
    ("sources/clicks.yaml", include_str!("../../../examples/shop/sources/clicks.yaml")),
    ("pipelines/revenue.yaml", include_str!("../../../examples/shop/pipelines/revenue.yaml")),
    ("pipelines/page_views.yaml", include_str!("../../../examples/shop/pipelines/page_views.yaml")),
    ("pipelines/large_orders.yaml", include_str!("../../../examples/shop/pipelines/large_orders.yaml")),
    ("dashboards/shop.yaml", include_str!("../../../examples/shop/dashboards/shop.yaml")),
];
/// How much of the shop's past there is at the start: charts have a line from the first moment. Nothing goes wrong in
/// the shop for a minute more than that.
const PAST: Duration = Duration::from_secs(180);
/// When a producer starts to write version 2 of a schema.
const UPGRADE_AFTER: Duration = Duration::from_secs(60);

/// Runs the demo until a signal.
///
/// # Errors
/// No ports, threads or temporary folder to be had, or as [`run`].
pub(crate) fn command(args: &DemoArgs) -> Result<(), Failure> {
    let listen = address(args.listen)?;
    let kafka = MockKafka::start(1).map_err(|error| failed(&error))?;
    for (topic, n_partitions) in TOPICS {
        kafka.create_topic(topic, n_partitions).map_err(|error| failed(&error))?;
    }
    let registry = EmbeddedRegistry::new();
    let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir().map_err(|error| failed(&error))?;
    let dir = folder.path().join("shop");
    write_project(&dir).map_err(|error| failed(&error))?;
    let bootstrap_servers = kafka.bootstrap_servers().to_owned();
    let env = |name: &str| (name == "KAFKA").then(|| bootstrap_servers.clone());
    let project = Project::load(&dir, &env)?;
    init_log(args.log_format, "warn", project.redactor.clone());

    let generator = Generator::start(bootstrap_servers.clone(), args.seed, registry.clone());
    let generator = generator.map_err(|error| failed(&error))?;
    let registry: Arc<dyn SchemaRegistry> = Arc::new(registry);
    let ran = run(Run {
        data_dir: dir.join(".weir"),
        project,
        listen,
        access: Access::default(),
        bounded: false,
        edit: true,
        skip_lost: Vec::new(),
        registry: Some(registry),
        listening: Box::new(welcome),
    });
    drop(generator);
    drop(kafka);
    ran
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("the demo could not start: {error}"))
}

/// The address asked for; else the usual one, or a free port where that is taken.
fn address(asked: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    if let Some(asked) = asked {
        if !asked.ip().is_loopback() {
            return Err(Failure::Usage(format!("the demo listens on loopback only, not on {asked}")));
        }
        return Ok(asked);
    }
    let usual: SocketAddr = DEFAULT_LISTEN.parse().map_err(|error| failed(&error))?;
    let is_free = TcpListener::bind(usual).is_ok();
    Ok(if is_free { usual } else { SocketAddr::new(usual.ip(), 0) })
}

fn write_project(dir: &Path) -> io::Result<()> {
    for (path, text) in PROJECT {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn welcome(address: SocketAddr) {
    let server = if address.to_string() == DEFAULT_LISTEN {
        String::new()
    } else {
        format!(" --server http://{address}")
    };
    talk(&format!(
        "
  A shop is open: orders and clicks of seven countries, simulated in this process.

    dashboard   http://{address}
    ask it      weir sql{server} 'SELECT * FROM revenue ORDER BY window_start DESC, revenue DESC LIMIT 10'
    what went wrong
                weir sql{server} 'SELECT reason, count(*) AS n FROM weir.dead_letters GROUP BY reason'
    as it comes curl -N 'http://{address}/api/v1/stream?table=revenue&last=1m'

  Watch windows fill and close every few seconds, and a partition fall silent. In a minute a producer
  starts to write schema version 2, phones send orders too late, and somebody writes nonsense.
  The project is examples/shop. Ctrl-C closes the shop.

"
    ));
}

/// The thread that writes the shop to Kafka; it ends when dropped.
struct Generator {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Generator {
    fn start(bootstrap_servers: String, seed: u64, registry: EmbeddedRegistry) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let options =
            Options { bootstrap_servers, seed, rate: 1.0, past: PAST, upgrade_after: UPGRADE_AFTER };
        let is_stopped = {
            let stop = Arc::clone(&stop);
            move || stop.load(Ordering::Relaxed)
        };
        let upgraded = || {
            talk(
                "  A producer writes version 2 of the orders' schema now, with a field more. Nothing stops.\n",
            );
        };
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || {
            if let Err(error) = produce(&options, &registry, &is_stopped, &upgraded) {
                tracing::error!(error = format!("{error:#}"), "the shop closed");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the generator panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All YAML files below `dir`, relative to `root`.
    fn files(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn the_demo_has_all_files_of_the_example() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
        let mut found = BTreeSet::new();
        files(&root, &root, &mut found);
        let ours: BTreeSet<String> = PROJECT.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(ours, found);
    }

    #[test]
    fn the_example_is_a_project_without_mistakes_with_any_environment() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
        for value in [None, Some("https://somewhere.example".to_owned())] {
            let project = Project::load(&root, &|_| value.clone()).unwrap();
            assert_eq!(project.pipelines.len(), 3);
        }
    }
}
