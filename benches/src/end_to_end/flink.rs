//! The peer: Flink runs the same queries over the same topic, into its own blackhole.
//!
//! A JobManager and a TaskManager with two slots, tuned as its manual advises. What counts is the
//! TaskManager's CPU time alone, once it has run each query before, since Java compiles meanwhile, and
//! without what it takes to start a job.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::kafka::free_ports;
use super::station::Work;
use crate::bids::SCHEMA;
use crate::machine::cpu_s_of;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Slots, and so the parallelism of each query.
pub(super) const SLOTS: usize = 2;
/// What starting a job takes is measured over a topic with that part of the records.
pub(super) const SHARE_OF_SMALL: u64 = 10;
/// Of the table that the queries read.
const SOURCE_COLUMNS: &str = "auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT NOT NULL, \
    channel STRING NOT NULL, url STRING NOT NULL, date_time TIMESTAMP(3) NOT NULL, extra STRING NOT NULL, \
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND";

/// Where Flink keeps its state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Backend {
    Rocksdb,
    Heap,
}

impl Backend {
    /// For the table of figures.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Rocksdb => "Flink, RocksDB",
            Self::Heap => "Flink, heap",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Rocksdb => "rocksdb",
            Self::Heap => "hashmap",
        }
    }
}

/// A cluster of its own. Dropping it ends it.
pub(super) struct Flink {
    home: PathBuf,
    folder: TempDir,
    registry_port: u16,
    job_manager: Child,
    task_manager: Child,
}

impl Flink {
    /// Starts one, fetched if it is not there yet.
    pub(super) fn start(backend: Backend) -> Result<Self> {
        let home = found()?;
        let folder = tempfile::Builder::new().prefix("weir-benches-flink").tempdir()?;
        let [rest_port, rpc_port] = free_ports()?;
        let conf = folder.path().join("conf");
        fs::create_dir(&conf)?;
        for name in ["log4j-console.properties", "log4j-cli.properties"] {
            fs::copy(home.join("conf").join(name), conf.join(name))?;
        }
        let given = fs::read_to_string(home.join("conf/config.yaml"))?;
        let java_options = given.lines().map(str::trim).find_map(|line| line.strip_prefix("all: "));
        let java_options = java_options.context("Flink's config.yaml has no options for Java")?;
        let config = config(backend, folder.path(), rest_port, rpc_port, java_options);
        fs::write(conf.join("config.yaml"), config)?;
        let run = |script: &str| -> Result<Child> {
            let log = File::create(folder.path().join(script))?;
            // The kernel kills it with this thread, however that ends.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(home.join("bin").join(script)).arg("start-foreground");
            command.envs(environment(folder.path())).stdin(Stdio::null());
            Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
        };
        let job_manager = run("jobmanager.sh").context("could not start Flink")?;
        let task_manager = run("taskmanager.sh").context("could not start Flink")?;
        let registry_port = serve_schema()?;
        let mut flink = Self { home, folder, registry_port, job_manager, task_manager };
        flink.await_slots(rest_port)?;
        Ok(flink)
    }

    fn await_slots(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = format!("\"slots-available\":{SLOTS},");
        while !overview(port).is_ok_and(|overview| overview.contains(&wanted)) {
            let ended = [self.job_manager.try_wait()?, self.task_manager.try_wait()?];
            let log = self.folder.path().display();
            ensure!(ended == [None, None], "Flink ended, see {log}");
            ensure!(Instant::now() < deadline, "Flink did not start within {PATIENCE:?}");
            thread::park_timeout(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Runs a query over all that the topic has; seconds, and CPU-seconds of the TaskManager.
    pub(super) fn run(&self, bootstrap: &str, topic: &str, work: Work) -> Result<[f64; 2]> {
        let (Some(sql), Some(columns)) = (work.sql(), work.flink_columns()) else {
            bail!("{} is not a query", work.title());
        };
        let registry = format!("http://127.0.0.1:{}", self.registry_port);
        let script = format!(
            "SET 'table.dml-sync' = 'true';
CREATE TABLE bid ({SOURCE_COLUMNS}) WITH ('connector' = 'kafka', 'topic' = '{topic}',
  'properties.bootstrap.servers' = '{bootstrap}', 'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset', 'format' = 'avro-confluent', 'avro-confluent.url' = '{registry}');
CREATE TABLE nowhere ({columns}) WITH ('connector' = 'blackhole');
INSERT INTO nowhere {sql};
"
        );
        let file = self.folder.path().join("query.sql");
        fs::write(&file, script)?;
        let (started, cpu_s) = (Instant::now(), cpu_s_of(self.task_manager.id())?);
        let mut client = Command::new(self.home.join("bin/sql-client.sh"));
        client.arg("-f").arg(&file).envs(environment(self.folder.path())).stdin(Stdio::null());
        let output = client.output().context("could not run Flink's SQL client")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && said.contains("Complete execution"), "Flink's SQL client: {said}");
        Ok([started.elapsed().as_secs_f64(), cpu_s_of(self.task_manager.id())? - cpu_s])
    }
}

impl Drop for Flink {
    fn drop(&mut self) {
        for process in [&mut self.task_manager, &mut self.job_manager] {
            // Fails only where it has ended.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

fn found() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("flink/prepare.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("could not run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed", script.display());
    let said = String::from_utf8(output.stdout)?;
    let home = said.lines().find_map(|line| line.strip_prefix("FLINK_HOME="));
    Ok(PathBuf::from(home.with_context(|| format!("no FLINK_HOME in {said}"))?))
}

fn environment(folder: &Path) -> [(&'static str, PathBuf); 3] {
    let log = folder.join("log");
    [("FLINK_CONF_DIR", folder.join("conf")), ("FLINK_LOG_DIR", log), ("FLINK_PID_DIR", folder.to_owned())]
}

fn config(backend: Backend, folder: &Path, rest_port: u16, rpc_port: u16, java_options: &str) -> String {
    let mut config = String::new();
    let checkpoints = format!("file://{}", folder.join("checkpoints").display());
    for (name, value) in [
        ("env.java.opts.all", java_options),
        ("jobmanager.rpc.address", "localhost"),
        ("jobmanager.rpc.port", &rpc_port.to_string()),
        ("jobmanager.memory.process.size", "1600m"),
        ("taskmanager.host", "localhost"),
        ("taskmanager.numberOfTaskSlots", &SLOTS.to_string()),
        ("taskmanager.memory.process.size", "4g"),
        ("rest.address", "localhost"),
        ("rest.port", &rest_port.to_string()),
        ("parallelism.default", &SLOTS.to_string()),
        ("pipeline.object-reuse", "true"),
        ("state.backend.type", backend.setting()),
        ("execution.checkpointing.interval", "10s"),
        ("execution.checkpointing.incremental", "true"),
        ("execution.checkpointing.dir", &checkpoints),
        ("table.exec.mini-batch.enabled", "true"),
        ("table.exec.mini-batch.allow-latency", "2s"),
        ("table.exec.mini-batch.size", "50000"),
    ] {
        writeln!(config, "{name}: {value}").expect("writing to a string can't fail");
    }
    config
}

fn overview(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET /overview HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A registry that has one schema, whatever the question, for as long as this process runs.
fn serve_schema() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::Builder::new().name("registry".to_owned()).spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Whoever does not listen asks again.
            drop(answer(&mut stream));
        }
    })?;
    Ok(port)
}

fn answer(stream: &mut TcpStream) -> Result<()> {
    let (mut question, mut byte) = (Vec::new(), [0]);
    while !question.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        question.push(byte[0]);
    }
    // Of this text Rust's quotes are JSON's.
    let body = format!("{{\"schema\": {SCHEMA:?}}}");
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    Ok(write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}")?)
}
