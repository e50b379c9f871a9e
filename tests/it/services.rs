//! One real Kafka and one real schema registry for all tests of a run.
//!
//! They start when the first test asks, on free ports, with their data in a folder of their own.
//!
//! Invariants:
//! 1. They end with this process, also when it is killed: each asks the kernel for it
//!    (`setpriv --pdeathsig`). The kernel looks at the *thread* that started a process, so one thread
//!    that lives as long as the process starts them all.
//! 2. A test that stops or restarts a service has it for itself: [`disturb`] waits until no test
//!    uses them, [`services`] until none disturbs them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::certificates::Certificates;

/// How long a service may take to start or stop. It takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kafka and registry.
pub(crate) struct Services {
    pub(crate) kafka: Kafka,
    pub(crate) registry: Registry,
    pub(crate) certificates: Certificates,
}

/// A broker that is its own controller.
pub(crate) struct Kafka {
    /// `127.0.0.1:port`, the same after a restart.
    pub(crate) bootstrap: String,
    /// The shared broker's other ports.
    pub(crate) secured: Secured,
    service: Service,
}

/// Ports that want more than a connection: [`USER`] with [`PASSWORD`], TLS, both.
#[derive(Debug, Default)]
pub(crate) struct Secured {
    pub(crate) sasl: u16,
    pub(crate) tls: u16,
    pub(crate) sasl_tls: u16,
}

pub(crate) const USER: &str = "weir";
/// So that no log has it by chance.
pub(crate) const PASSWORD: &str = "pa55-0f-w31r";

/// A registry that keeps its schemas over a restart.
pub(crate) struct Registry {
    /// Of the Confluent API.
    pub(crate) url: String,
    service: Service,
}

/// The services, for a test that leaves them running.
pub(crate) fn services() -> RwLockReadGuard<'static, Services> {
    shared().read().unwrap_or_else(PoisonError::into_inner)
}

/// The services, for a test that stops them. It starts them again.
pub(crate) fn disturb() -> RwLockWriteGuard<'static, Services> {
    let mut services = shared().write().unwrap_or_else(PoisonError::into_inner);
    // A test before that failed may have left them stopped.
    services.kafka.start();
    services.registry.start();
    services
}

fn shared() -> &'static RwLock<Services> {
    static SERVICES: OnceLock<RwLock<Services>> = OnceLock::new();
    SERVICES.get_or_init(|| RwLock::new(Services::start()))
}

impl Services {
    fn start() -> Self {
        let found = Found::look_up();
        let folder = run_folder();
        let certificates = Certificates::make(&folder.join("certificates"));
        let mut kafka = Kafka::new(found, &folder, &certificates);
        let mut registry = Registry::new(found, &folder);
        kafka.service.spawn();
        registry.service.spawn();
        kafka.service.await_port();
        registry.start();
        Self { kafka, registry, certificates }
    }
}

impl Kafka {
    fn new(found: &Found, folder: &Path, certificates: &Certificates) -> Self {
        let [port, controller_port, sasl, tls, sasl_tls] = free_ports();
        let voters = format!("1@127.0.0.1:{controller_port}");
        let secured = Secured { sasl, tls, sasl_tls };
        let properties = [
            &node_properties(1, port, controller_port, &voters),
            ALONE,
            &secured.properties(port, controller_port, &certificates.server),
        ];
        let kafka = Self::node(found, &folder.join("kafka"), port, "-Xmx512m", &properties.concat());
        Self { secured, ..kafka }
    }

    /// A node with these properties, and its data below `folder`.
    pub(crate) fn node(found: &Found, folder: &Path, port: u16, heap: &str, properties: &str) -> Self {
        fs::create_dir_all(folder).expect("a folder for Kafka");
        let file = folder.join("server.properties");
        let log4j = folder.join("log4j2.properties");
        let data = folder.join("data");
        fs::write(&file, format!("{properties}log.dirs={}\n", data.display())).expect("server.properties");
        fs::write(&log4j, LOG4J).expect("log4j2.properties");
        let java = || {
            let mut command = Command::new(&found.java);
            command.arg(heap).arg("-XX:TieredStopAtLevel=1").arg("-cp").arg(found.kafka_lib.join("*"));
            command.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
            command
        };
        let formatted = java()
            .args(["kafka.tools.StorageTool", "format", "-t", "d2Vpci10ZXN0cy1zZXJ2aQ"])
            .args(["--add-scram", &format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]"), "-c"])
            .arg(&file)
            .output()
            .expect("Java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let mut command = java();
        command.arg("kafka.Kafka").arg(&file);
        let service = Service { name: "Kafka", port, command, log: folder.join("log"), child: None };
        Self { bootstrap: format!("127.0.0.1:{port}"), secured: Secured::default(), service }
    }

    /// Starts the broker unless it runs; does not wait for it.
    pub(crate) fn spawn(&mut self) {
        self.service.spawn();
    }

    /// Starts the broker unless it runs, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.service.spawn();
        self.service.await_port();
    }

    /// Kills the broker: what it acknowledged is on its disk.
    pub(crate) fn stop(&mut self) {
        self.service.kill();
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Has the broker hang, or go on: meanwhile connections to it are made, and nobody answers.
    pub(crate) fn set_hanging(&self, hanging: bool) {
        self.service.set_hanging(hanging);
    }
}

impl Registry {
    fn new(found: &Found, folder: &Path) -> Self {
        let folder = folder.join("registry");
        fs::create_dir_all(&folder).expect("a folder for the registry");
        let [port] = free_ports();
        let mut command = Command::new(&found.registry_java);
        command
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar"])
            .arg(&found.registry_jar)
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string())
            .env("QUARKUS_MANAGEMENT_HOST", "127.0.0.1")
            .env("QUARKUS_MANAGEMENT_PORT", "0")
            .env(
                "APICURIO_DATASOURCE_URL",
                format!("jdbc:h2:file:{};WRITE_DELAY=0", folder.join("data").display()),
            );
        let service = Service { name: "registry", port, command, log: folder.join("log"), child: None };
        Self { url: format!("http://127.0.0.1:{port}/apis/ccompat/v7"), service }
    }

    /// Starts the registry unless it runs, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.service.spawn();
        let url = format!("{}/subjects", self.url);
        self.service.await_answer(|| ureq::get(&url).call().is_ok());
    }

    /// Kills the registry: what it acknowledged is on its disk.
    pub(crate) fn stop(&mut self) {
        self.service.kill();
    }

    /// As [`Kafka::set_hanging`].
    pub(crate) fn set_hanging(&self, hanging: bool) {
        self.service.set_hanging(hanging);
    }
}

/// A process that can be started again with the same command.
struct Service {
    name: &'static str,
    port: u16,
    command: Command,
    log: PathBuf,
    child: Option<Child>,
}

impl Service {
    fn spawn(&mut self) {
        if self.child.is_none() {
            let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
            self.child = Some(spawn_bound(&self.command, log).expect("setpriv and Java run"));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    fn set_hanging(&self, hanging: bool) {
        let child = self.child.as_ref().expect("it was spawned");
        let signal = if hanging { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn await_port(&mut self) {
        let port = self.port;
        self.await_answer(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    fn await_answer(&mut self, mut answers: impl FnMut() -> bool) {
        let (name, log) = (self.name, self.log.display().to_string());
        let child = self.child.as_mut().expect("it was spawned");
        eventually(&format!("{name} answers (see {log})"), PATIENCE, || {
            if let Some(status) = child.try_wait().expect("it is our child") {
                panic!("{name} ended with {status}: see {log}");
            }
            answers().then_some(())
        });
    }
}

/// Asks until there is an answer, twenty times a second.
pub(crate) fn eventually<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain until {what}");
        thread::park_timeout(Duration::from_millis(50));
    }
}

/// Starts a process that is killed when this one ends, however it ends.
pub(crate) fn spawn_bound(command: &Command, log: File) -> io::Result<Child> {
    type Request = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (requests, inbox) = channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                drop(answer.send(command.spawn()));
            }
        });
        Mutex::new(requests)
    });
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        bound.env(name, value.expect("no variable is taken away"));
    }
    bound.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let (answer, answered) = channel();
    let requests = starter.lock().unwrap_or_else(PoisonError::into_inner);
    requests.send((bound, answer)).expect("the thread never ends");
    answered.recv().expect("the thread answers")
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket").port())
}

/// A folder for this run; those of processes that are gone are removed.
pub(crate) fn run_folder() -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("services");
    fs::create_dir_all(&parent).expect("a folder for the runs");
    for entry in fs::read_dir(&parent).expect("it is a folder").flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            // Another run may be removing it as well.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    let folder = parent.join(std::process::id().to_string());
    fs::create_dir_all(&folder).expect("a folder for this run");
    folder
}

/// What `scripts/services.sh` fetched.
pub(crate) struct Found {
    java: PathBuf,
    kafka_lib: PathBuf,
    registry_java: PathBuf,
    registry_jar: PathBuf,
}

impl Found {
    /// Fetches it, the first time.
    pub(crate) fn look_up() -> &'static Self {
        static FOUND: OnceLock<Found> = OnceLock::new();
        FOUND.get_or_init(Self::ask)
    }

    fn ask() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().expect("bash runs");
        assert!(output.status.success(), "{} failed", script.display());
        let stdout = String::from_utf8(output.stdout).expect("paths in UTF-8");
        let found: HashMap<&str, &str> = stdout.lines().filter_map(|line| line.split_once('=')).collect();
        let path = |name| PathBuf::from(found[name]);
        Self {
            java: path("JAVA"),
            kafka_lib: path("KAFKA_LIB"),
            registry_java: path("REGISTRY_JAVA"),
            registry_jar: path("REGISTRY_JAR"),
        }
    }
}

const LOG4J: &str = "\
appender.file.type = Console
appender.file.name = file
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c %m%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
";

/// A broker that is a controller too, one of the `voters`.
pub(crate) fn node_properties(id: usize, port: u16, controller_port: u16, voters: &str) -> String {
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
"
    )
}

impl Secured {
    /// Of a node with these ports, too: the last value of a property is the one that counts.
    fn properties(&self, port: u16, controller_port: u16, server: &Path) -> String {
        let Self { sasl, tls, sasl_tls } = self;
        let public = format!(
            "PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{tls},\
             SASL_SSL://127.0.0.1:{sasl_tls}"
        );
        let modules = "org.apache.kafka.common.security";
        let sasl = |listener: &str| {
            format!(
                "listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required \
                 user_{USER}=\"{PASSWORD}\";
listener.name.{listener}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
"
            )
        };
        format!(
            "listeners={public},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={public}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,\
SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
ssl.keystore.type=PEM
ssl.keystore.location={}
{}{}",
            server.display(),
            sasl("sasl_plaintext"),
            sasl("sasl_ssl"),
        )
    }
}

/// Of a broker that has no other.
const ALONE: &str = "\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
";
