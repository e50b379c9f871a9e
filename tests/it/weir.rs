//! The `weir` binary on a project folder: what a person runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use weir_engine::state::failpoint::{self, Point};

use crate::services::{Services, eventually, run_folder, spawn_bound};

/// How long anything that a test waits for may take. Some seconds do, where nothing is restarted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A project folder of its own for a test.
pub(crate) struct Project {
    folder: PathBuf,
    /// Of the processes that run it.
    environment: Vec<(&'static str, String)>,
}

impl Project {
    /// A project with the connection `test`.
    pub(crate) fn new(services: &Services) -> Self {
        Self::with_connections(&[connection("test", &services.kafka.bootstrap, &services.registry.url, "")])
    }

    /// A project with connections, each as [`connection`] makes it.
    pub(crate) fn with_connections(connections: &[String]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("project{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let project = Self { folder: run_folder().join(name), environment: Vec::new() };
        project.write("weir.yaml", &format!("project: it\nconnections:\n{}", connections.concat()));
        project
    }

    /// Adds a source on the topic of the same name; `more` is further keys.
    pub(crate) fn source(self, name: &str, more: &str) -> Self {
        self.source_at("test", name, name, more)
    }

    /// Adds a source of a connection on a topic; `more` is further keys.
    pub(crate) fn source_at(self, connection: &str, name: &str, topic: &str, more: &str) -> Self {
        let text = format!("connection: {connection}\ntopic: {topic}\n{more}");
        self.write(&format!("sources/{name}.yaml"), &text);
        self
    }

    /// Adds any file.
    pub(crate) fn file(self, file: &str, text: &str) -> Self {
        self.write(file, text);
        self
    }

    /// Adds a pipeline; `more` is further keys.
    pub(crate) fn pipeline(self, name: &str, sql: &str, more: &str) -> Self {
        let sql: Vec<String> = sql.lines().map(|line| format!("  {line}\n")).collect();
        self.write(&format!("pipelines/{name}.yaml"), &format!("sql: |\n{}{more}", sql.concat()));
        self
    }

    /// Adds a sink, whole.
    pub(crate) fn sink(self, name: &str, text: &str) -> Self {
        self.write(&format!("sinks/{name}.yaml"), text);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Adds a dashboard, whole.
    pub(crate) fn dashboard(self, name: &str, text: &str) -> Self {
        self.write(&format!("dashboards/{name}.yaml"), text);
        self
    }

    /// A path in the project's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a project folder");
        fs::write(path, text).expect("a project file");
    }

    /// Starts `weir run` on a free port and waits until it listens.
    pub(crate) fn run(&self) -> Weir {
        self.run_at("127.0.0.1:0")
    }

    /// As [`Self::run`], at an address that it had before.
    pub(crate) fn run_at(&self, address: &str) -> Weir {
        let (child, log) = self.spawn(&["--listen", address, "--log-format", "json"], None);
        Self::listening(child, log)
    }

    fn listening(mut child: Child, log: PathBuf) -> Weir {
        let url = eventually("weir listens", PATIENCE, || {
            let text = fs::read_to_string(&log).expect("a log");
            if let Some(status) = child.try_wait().expect("it is our child") {
                panic!("weir ended with {status}:\n{text}");
            }
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut urls = lines.filter_map(|line| Some(line["url"].as_str()?.to_owned()));
            urls.next()
        });
        Weir { child, url, log }
    }

    /// Runs `weir run --bounded` to its end.
    pub(crate) fn run_bounded(&self) -> ExitStatus {
        self.bounded(None)
    }

    /// As [`Self::run_bounded`]; it dies at the `pass`-th pass of a point.
    pub(crate) fn run_bounded_dying(&self, point: Point, pass: u64) -> ExitStatus {
        self.bounded(Some((point, pass)))
    }

    fn bounded(&self, dies_at: Option<(Point, u64)>) -> ExitStatus {
        let (mut child, log) = self.spawn(&["--listen", "127.0.0.1:0", "--bounded"], dies_at);
        let status = eventually(&format!("the bounded run ends (see {})", log.display()), PATIENCE, || {
            child.try_wait().expect("it is our child")
        });
        if dies_at.is_none() && !status.success() {
            eprintln!("a bounded run failed ({status}):\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        status
    }

    /// The answer of a stopped weir to a query, as `weir sql` gives it.
    pub(crate) fn sql_offline(&self, query: &str) -> Vec<Vec<Value>> {
        let output = Command::new(binary())
            .args(["sql", query, "--format", "json", "--data-dir"])
            .arg(self.folder.join(".weir"))
            .output()
            .expect("weir runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        rows(&serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Starts `weir run` with further arguments, as [`Self::run`].
    pub(crate) fn run_with(&self, more: &[&str]) -> Weir {
        let arguments = [&["--listen", "127.0.0.1:0", "--log-format", "json"], more].concat();
        let (child, log) = self.spawn(&arguments, None);
        Self::listening(child, log)
    }

    /// As [`Self::run_with`]; it dies at the `pass`-th pass of a point.
    pub(crate) fn run_with_dying(&self, more: &[&str], point: Point, pass: u64) -> Weir {
        let arguments = [&["--listen", "127.0.0.1:0", "--log-format", "json"], more].concat();
        let (child, log) = self.spawn(&arguments, Some((point, pass)));
        Self::listening(child, log)
    }

    /// Starts `weir run`, which dies at the `pass`-th pass of a point. Returns the process and its log.
    pub(crate) fn run_dying(&self, point: Point, pass: u64) -> (Child, PathBuf) {
        self.spawn(&["--listen", "127.0.0.1:0"], Some((point, pass)))
    }

    fn spawn(&self, arguments: &[&str], dies_at: Option<(Point, u64)>) -> (Child, PathBuf) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let log = self.folder.join(format!("log{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(binary());
        command.arg("run").arg(&self.folder).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some((point, pass)) = dies_at {
            command.env(failpoint::VARIABLE, format!("{}:{pass}", point.name()));
        }
        let child = spawn_bound(&command, File::create(&log).expect("a log")).expect("weir starts");
        (child, log)
    }
}

/// A connection of `weir.yaml`; `more` is further keys, each with a line of its own.
pub(crate) fn connection(name: &str, bootstrap: &str, registry_url: &str, more: &str) -> String {
    let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "  {name}:\n    type: kafka\n    bootstrap_servers: \"{bootstrap}\"\n    \
         schema_registry: {{ url: \"{registry_url}\" }}\n{more}"
    )
}

/// A running `weir`.
pub(crate) struct Weir {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Weir {
    /// Waits until every pipeline is reading.
    pub(crate) fn await_ready(&self) {
        let url = format!("{}/readyz", self.url);
        self.eventually("every pipeline is reading", || ureq::get(&url).call().is_ok().then_some(()));
    }

    /// What `/readyz` says while it is not ready; `None` if it is.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut answer =
            ureq::Agent::from(config).get(format!("{}/readyz", self.url)).call().expect("weir answers");
        (answer.status() != 200).then(|| answer.body_mut().read_to_string().expect("text"))
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The rows of a query's answer.
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<Value>> {
        self.try_sql(query)
            .unwrap_or_else(|problem| panic!("{query}: {problem} (see {})", self.log.display()))
    }

    /// As [`Self::sql`]; a result table is not there before its pipeline runs.
    pub(crate) fn try_sql(&self, query: &str) -> Result<Vec<Vec<Value>>, String> {
        self.ask(query).map(|answer| rows(&answer))
    }

    /// The whole answer to a query.
    pub(crate) fn ask(&self, query: &str) -> Result<Value, String> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut answer = ureq::Agent::from(config)
            .post(format!("{}/api/v1/sql", self.url))
            .send_json(serde_json::json!({ "query": query }))
            .map_err(|error| error.to_string())?;
        let body: Value = answer.body_mut().read_json().map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(body) } else { Err(body.to_string()) }
    }

    /// Asks until a query has this answer.
    pub(crate) fn await_rows(&self, query: &str, expected: &[Vec<Value>]) {
        let mut last = String::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        self.eventually("the rows are there", || {
            let answer = self.try_sql(query);
            if answer.as_deref() == Ok(expected) {
                return Some(());
            }
            last = format!("{answer:?}");
            if deadline < std::time::Instant::now() {
                panic!("{query}\nexpected {expected:?}\ngot {last}\nsee {}", self.log.display());
            }
            None
        });
    }

    /// Asks until there is an answer, or weir is gone.
    pub(crate) fn eventually<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let gone = Path::new("/proc").join(self.child.id().to_string()).join("exe");
        eventually(&format!("{what} (see {})", self.log.display()), PATIENCE * 2, || {
            let answer = ask();
            assert!(answer.is_some() || gone.read_link().is_ok(), "weir is gone: see {}", self.log.display());
            answer
        })
    }

    /// The epoch of a pipeline's newest commit.
    pub(crate) fn epoch(&self, pipeline: &str) -> u64 {
        let rows = self.sql(&format!("SELECT epoch FROM weir.pipelines WHERE name = '{pipeline}'"));
        rows[0][0].as_u64().unwrap_or(0)
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        eventually(&format!("weir stops (see {})", self.log.display()), PATIENCE, || {
            self.child.try_wait().expect("it is our child")
        })
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn rows(answer: &Value) -> Vec<Vec<Value>> {
    let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("no rows in {answer}"));
    rows.iter().map(|row| row.as_array().expect("a row is an array").clone()).collect()
}

/// `WEIR_BIN`, else what cargo built beside this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WEIR_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().and_then(Path::parent).expect("it is in target/PROFILE/deps");
    let binary = folder.join("weir");
    assert!(binary.exists(), "{} is missing: `cargo build -p weir-server` makes it", binary.display());
    binary
}
