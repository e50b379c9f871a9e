//! Our own schema registry as the clients of others see it, and over kills of its process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use weir_schemas::registry::HttpRegistry;
use weir_schemas::{SchemaId, SchemaRegistry};

use crate::producer::Topics;
use crate::services::{eventually, free_ports, run_folder, services, spawn_bound};
use crate::weir::{PATIENCE, Project, binary, connection};

/// A `weir registry` on a folder of its own.
struct Registry {
    folder: PathBuf,
    url: String,
    child: Child,
}

impl Registry {
    fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = run_folder().join(format!("own_registry{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder).expect("a folder");
        let [port] = free_ports();
        let url = format!("http://127.0.0.1:{port}");
        let child = Self::spawn(&folder, &url);
        let registry = Self { folder, url, child };
        registry.await_answer();
        registry
    }

    fn spawn(folder: &Path, url: &str) -> Child {
        let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
        let mut command = Command::new(binary());
        command.args(["registry", "--listen", url.trim_start_matches("http://"), "--data-dir"]);
        command.arg(folder.join("data"));
        spawn_bound(&command, log).expect("weir starts")
    }

    fn await_answer(&self) {
        let url = format!("{}/subjects", self.url);
        eventually("the registry answers", PATIENCE, || ureq::get(&url).call().is_ok().then_some(()));
    }

    /// Kills the process, and starts it again where it was.
    fn kill_and_start(&mut self) {
        self.kill();
        self.child = Self::spawn(&self.folder, &self.url);
        self.await_answer();
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a script of `tests/clients` with the clients for its language; `java` takes a source for a script.
fn run_client(program: &str, script: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new(root.join("../scripts/clients.sh")).output().expect("bash runs");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let paths = String::from_utf8(found.stdout).expect("paths in UTF-8");
    let output = Command::new(program)
        .arg(root.join("clients").join(script))
        .args(arguments)
        .envs(paths.lines().filter_map(|line| line.split_once('=')))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && stdout.ends_with("done\n"), "{script}:\n{stdout}\n{stderr}");
}

#[test]
fn clients_of_confluent_use_our_registry_unchanged() {
    let registry = Registry::start();
    run_client("python3", "registry.py", &[&registry.url]);
    run_client("node", "registry.cjs", &[&registry.url]);
    run_client("java", "Registry.java", &[&registry.url]);
    run_client("java", "Serializers.java", &[&registry.url]);
}

#[test]
fn what_producers_register_beside_a_pipeline_is_read_by_it() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let [port] = free_ports();
    let url = format!("http://127.0.0.1:{port}");
    let mut project = Project::with_connections(&[
        connection("test", bootstrap, &url, ""),
        format!("registry: {{ listen: 127.0.0.1:{port} }}\n"),
    ]);
    for topic in ["py_orders", "java_orders"] {
        Topics::new(bootstrap).create(topic, 1);
        let ids = format!("SELECT id, kafka_offset FROM {topic}");
        project = project.source(topic, "metadata: [offset]\n").pipeline(&format!("{topic}_ids"), &ids, "");
    }
    let weir = project.run();
    run_client("python3", "registry.py", &[&url, bootstrap, "py_orders"]);
    run_client("python3", "console.py", &[&url, bootstrap, "py_orders", "{'id': 0}", "{'id': 9}"]);
    // Of two schemas, with keys of a third.
    run_client("java", "Serializers.java", &[&url, bootstrap, "java_orders"]);
    let expected = [[10, 45, 9].map(Value::from).to_vec()];
    for topic in ["py_orders", "java_orders"] {
        weir.await_rows(&format!("SELECT count(*), sum(id), max(kafka_offset) FROM {topic}_ids"), &expected);
    }
    weir.await_rows("SELECT count(*) FROM weir.dead_letters", &[vec![Value::from(0)]]);
}

/// Schemas that were acknowledged, by their number; all of them differ.
type Acknowledged = Mutex<BTreeMap<u64, SchemaId>>;

fn schema(number: u64) -> String {
    format!(
        r#"{{"type":"record","name":"R","doc":"number {number}","fields":[{{"name":"id","type":"long"}}]}}"#
    )
}

#[test]
fn whatever_was_acknowledged_survives_kills_and_no_id_is_given_twice() {
    const WRITERS: u64 = 3;
    let mut registry = Registry::start();
    let (next, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    let acknowledged = Acknowledged::default();
    thread::scope(|scope| {
        let done = Done(&is_done);
        for writer in 0..WRITERS {
            let (url, next, is_done, acknowledged) = (registry.url.clone(), &next, &is_done, &acknowledged);
            scope.spawn(move || {
                while !is_done.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // A client of its own for each: one that failed waits before it asks again.
                    let client = HttpRegistry::new(&url, None).expect("a URL");
                    if let Ok(id) = client.register(&format!("s{writer}"), &schema(number)) {
                        acknowledged.lock().expect("no panic").insert(number, id);
                    }
                }
            });
        }
        let mut n_before = 0;
        for round in 0..6 {
            let wanted = n_before + 40;
            eventually("some schemas are registered", PATIENCE, || {
                (acknowledged.lock().expect("no panic").len() >= wanted).then_some(())
            });
            // At another moment each time.
            thread::park_timeout(Duration::from_millis(7 * round));
            registry.kill_and_start();
            let known: Vec<(u64, SchemaId)> =
                acknowledged.lock().expect("no panic").iter().map(|(number, id)| (*number, *id)).collect();
            n_before = known.len();
            check_all(&registry.url, &known);
        }
        drop(done);
    });
    let all = acknowledged.into_inner().expect("no panic");
    let all: Vec<_> = all.into_iter().collect();
    registry.kill_and_start();
    check_all(&registry.url, &all);
    let client = HttpRegistry::new(&registry.url, None).expect("a URL");
    for (number, id) in &all {
        assert_eq!(client.register("again", &schema(*number)).expect("it is known"), *id);
    }
    // Nor are ids given again of which nothing is left.
    for subject in (0..WRITERS).map(|writer| format!("s{writer}")).chain(["again".to_owned()]) {
        for parameters in ["", "?permanent=true"] {
            let url = format!("{}/subjects/{subject}{parameters}", registry.url);
            ureq::delete(&url).call().expect("it is deleted");
        }
    }
    registry.kill_and_start();
    let client = HttpRegistry::new(&registry.url, None).expect("a URL");
    let next = client.register("s0", &schema(0)).expect("it is new");
    assert!(all.iter().all(|(_, id)| *id < next), "{next}");
}

/// Ends the writers, also where a check fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// That each schema has the id that was acknowledged, and no other has it.
fn check_all(url: &str, acknowledged: &[(u64, SchemaId)]) {
    let client = HttpRegistry::new(url, None).expect("a URL");
    let mut by_id = BTreeMap::new();
    for (number, id) in acknowledged {
        let known = client.by_id(*id).unwrap_or_else(|error| panic!("schema {number}, id {id}: {error}"));
        assert_eq!(known.text, schema(*number), "id {id}");
        if let Some(other) = by_id.insert(*id, number) {
            panic!("id {id} was given to schemas {other} and {number}");
        }
    }
}
