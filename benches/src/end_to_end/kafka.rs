//! A real Kafka for a run, and a topic of bids in it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::TempDir;

use crate::bids::Bids;

/// How long the broker may take to start, or for an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A broker with its data in a folder of its own. Dropping it ends it.
pub(super) struct Kafka {
    /// `127.0.0.1:port`.
    pub(super) bootstrap: String,
    process: Child,
    _folder: TempDir,
}

impl Kafka {
    /// Starts one, of the version that the tests use.
    pub(super) fn start() -> Result<Self> {
        let (java, lib) = found()?;
        let folder = tempfile::Builder::new().prefix("weir-benches-kafka").tempdir()?;
        let [port, controller_port] = free_ports()?;
        let properties = folder.path().join("server.properties");
        fs::write(&properties, server_properties(port, controller_port, folder.path()))?;
        let log4j = folder.path().join("log4j2.properties");
        fs::write(&log4j, "rootLogger.level = warn\n")?;
        // The kernel kills it with this thread, however that ends.
        let command = || {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(&java).arg("-Xmx512m");
            command.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
            command.arg("-cp").arg(lib.join("*")).stdin(Stdio::null());
            command
        };
        let mut format = command();
        format.args(["kafka.tools.StorageTool", "format", "-t", "d2Vpci1iZW5jaGVzLWthZg", "-c"]);
        let formatted = format.arg(&properties).output().context("could not run Java")?;
        ensure!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let log = File::create(folder.path().join("log"))?;
        let mut run = command();
        run.arg("kafka.Kafka").arg(&properties).stdout(log.try_clone()?).stderr(log);
        let process = run.spawn().context("could not run Java")?;
        let mut kafka = Self { bootstrap: format!("127.0.0.1:{port}"), process, _folder: folder };
        kafka.await_port(port)?;
        Ok(kafka)
    }

    fn await_port(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self._folder.path().join("log"))?;
                bail!("Kafka ended with {status}: {log}");
            }
            ensure!(Instant::now() < deadline, "Kafka did not answer within {PATIENCE:?}");
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Fails only where it has ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Java and the folder of Kafka's jars, fetched if they are not there yet.
fn found() -> Result<(PathBuf, PathBuf)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("could not run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed", script.display());
    let stdout = String::from_utf8(output.stdout)?;
    let path = |name: &str| {
        let line = stdout.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        line.map(|(_, path)| PathBuf::from(path)).with_context(|| format!("no {name} in {stdout}"))
    };
    Ok((path("JAVA")?, path("KAFKA_LIB")?))
}

/// Two ports that nobody listened to just now.
pub(super) fn free_ports() -> Result<[u16; 2]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (bind()?, bind()?);
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}

fn server_properties(port: u16, controller_port: u16, folder: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
",
        folder.join("data").display()
    )
}

/// A topic that was made for a run.
pub(super) struct Topic {
    pub(super) name: String,
    bootstrap: String,
    n_partitions: i32,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Topic {
    pub(super) fn create(bootstrap: &str, suffix: &str, n_partitions: i32) -> Result<Self> {
        let name = format!("weir_benches_bid_{}{suffix}", std::process::id());
        let admin = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let topic = Self { name, bootstrap: bootstrap.to_owned(), n_partitions, admin, runtime };
        // Nexmark's event times are old, and are the records' Kafka timestamps too.
        let new =
            NewTopic::new(&topic.name, n_partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let results = topic.runtime.block_on(topic.admin.create_topics([&new], &admin_options()))?;
        for result in results {
            result.map_err(|(_, code)| code).context("could not make the topic")?;
        }
        Ok(topic)
    }

    /// Writes that many bids, to the partitions in turn.
    pub(super) fn fill(&self, n_records: u64, compression: &str, bids: &mut Bids) -> Result<()> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("compression.type", compression)
            .set("linger.ms", "100")
            .set("batch.size", "131072")
            .set("batch.num.messages", "100000")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        let mut value = Vec::new();
        for i in 0..n_records {
            let event_time_ms = bids.next(&mut value);
            let partition = (i % u64::from(self.n_partitions.unsigned_abs())) as i32;
            let record = BaseRecord::<(), _>::to(&self.name).partition(partition).timestamp(event_time_ms);
            let mut record = record.payload(&value);
            while let Err((error, back)) = producer.send(record) {
                let KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) = error else {
                    return Err(error).context("could not write to the topic");
                };
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        producer.flush(PATIENCE).context("could not write to the topic")
    }

    pub(super) fn delete(self) -> Result<()> {
        self.runtime.block_on(self.admin.delete_topics(&[&self.name], &admin_options()))?;
        Ok(())
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
