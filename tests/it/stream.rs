//! Server-sent events through a proxy that cuts: what is folded is what SQL says at the same epoch.
//!
//! ```text
//! orders ─► Kafka ─► weir ─┬─► proxy that cuts ─► Follower: rows by table and epoch ─┐
//!                          └─► SQL ─────────────► rows by table and epoch ───────────┴─► equal
//! ```
//!
//! Both sides are written down while orders come in, so that epochs are compared whose windows are
//! still open, and not just what is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::producer::{Producer, Topics};
use crate::proxy::Proxy;
use crate::services::services;
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::weir::{Project, Weir, rows};

/// One with windows and a key, one that is appended to.
const TABLES: [&str; 2] = ["revenue", "large"];
/// Processes, each but the last killed while orders come in.
const N_RUNS: usize = 3;
/// Epochs of each table that are compared in each run, at least.
const N_COMPARED: usize = 10;
/// Connections that are cut within an event, and that go on where one was cut, in each run, at least.
const N_CUT: usize = 5;

/// Rows of a table, sorted by their JSON text.
type Rows = Vec<String>;
/// By table and epoch.
type History = BTreeMap<(&'static str, u64), Rows>;

/// What a client got over all of its connections.
#[derive(Default)]
struct Log {
    history: History,
    /// Snapshots of each table.
    n_snapshots: BTreeMap<&'static str, usize>,
    /// Connections that went on with a delta.
    n_resumed: usize,
    /// Connections that ended within an event.
    n_cut: usize,
}

/// One table as a client keeps it.
#[derive(Default)]
struct Table {
    epoch: u64,
    key: Vec<usize>,
    rows: BTreeMap<String, Value>,
    n_appended: u64,
}

impl Table {
    fn fold(&mut self, event: &str, data: &Value) {
        let epoch = data["epoch"].as_u64().expect("an epoch");
        let before = std::mem::replace(&mut self.epoch, epoch);
        if event == "snapshot" {
            // After a restart nothing new may have been committed.
            assert!(before <= epoch, "epochs only grow: a snapshot of {epoch} after {before}");
            assert_ne!(data["truncated"], Value::Bool(true), "the tables of this test are small");
            self.key = key_columns(data);
            self.rows.clear();
        } else {
            assert!(before < epoch, "epochs only grow: a delta of {epoch} after {before}");
        }
        let upserts = if event == "snapshot" { &data["rows"] } else { &data["upserts"] };
        for row in array(upserts) {
            let key = self.key_of(row);
            self.rows.insert(key, row.clone());
        }
        for key in data["deletes"].as_array().into_iter().flatten() {
            assert!(self.rows.remove(&key.to_string()).is_some(), "what is deleted was there: {key}");
        }
    }

    fn key_of(&mut self, row: &Value) -> String {
        if self.key.is_empty() {
            self.n_appended += 1;
            return self.n_appended.to_string();
        }
        Value::Array(self.key.iter().map(|i| row[*i].clone()).collect()).to_string()
    }
}

/// Where the key's columns are.
fn key_columns(snapshot: &Value) -> Vec<usize> {
    let columns = array(&snapshot["columns"]);
    let position = |name: &Value| columns.iter().position(|column| column["name"] == *name);
    array(&snapshot["key"]).iter().map(|name| position(name).expect("a key column is a column")).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("an array, not {value}"))
}

fn sorted<'a>(rows: impl Iterator<Item = &'a Value>) -> Rows {
    let mut rows: Rows = rows.map(Value::to_string).collect();
    rows.sort();
    rows
}

/// A client that comes back whenever its connection ends, behind the last event that it has whole.
struct Follower {
    log: Arc<Mutex<Log>>,
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    fn start(proxy: &Proxy) -> Self {
        let (log, leave) = (Arc::new(Mutex::new(Log::default())), Arc::new(AtomicBool::new(false)));
        let url = format!("{}/api/v1/stream?table={}&last=7d", proxy.url(), TABLES.join("&table="));
        let mut following =
            Following { log: Arc::clone(&log), tables: BTreeMap::new(), last_id: String::new() };
        let leaves = Arc::clone(&leave);
        let thread = thread::spawn(move || {
            while !leaves.load(Ordering::Relaxed) {
                match ureq::get(&url).header("Last-Event-ID", &following.last_id).call() {
                    Ok(answer) => following.read(answer.into_body().into_reader()),
                    // The server is down, or the connection was cut within the headers.
                    Err(_) => thread::park_timeout(Duration::from_millis(20)),
                }
            }
        });
        Self { log, leave, thread: Some(thread) }
    }

    /// Looks at what came so far.
    fn look<T>(&mut self, at: impl FnOnce(&Log) -> T) -> T {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            std::panic::resume_unwind(thread.join().expect_err("it ends by a failed assertion only"));
        }
        at(&self.log.lock().expect("nobody panics with it"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
    }
}

/// The follower's own side.
struct Following {
    log: Arc<Mutex<Log>>,
    tables: BTreeMap<&'static str, Table>,
    last_id: String,
}

impl Following {
    /// Reads a connection to its end. An event counts when the empty line behind it has come.
    fn read(&mut self, body: impl Read) {
        let (mut name, mut id, mut data) = (String::new(), String::new(), String::new());
        let mut body = BufReader::new(body);
        let mut is_first = true;
        let mut line = Vec::new();
        // A line without its end is one that was cut.
        while body.read_until(b'\n', &mut line).is_ok_and(|_| line.ends_with(b"\n")) {
            let text = std::str::from_utf8(&line).expect("UTF-8").trim_end();
            match text.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("data", value)) => value.clone_into(&mut data),
                Some(_) => {}
                None if text.is_empty() && !name.is_empty() => {
                    assert_ne!(id, self.last_id, "ids differ");
                    self.last_id.clone_from(&id);
                    self.take(&name, &serde_json::from_str(&data).expect("JSON"), &mut is_first);
                    name.clear();
                }
                None => {}
            }
            line.clear();
        }
        if !name.is_empty() || !line.is_empty() {
            self.log.lock().expect("nobody panics with it").n_cut += 1;
        }
    }

    /// Folds an event; `is_first` while none of a table came on this connection.
    fn take(&mut self, name: &str, data: &Value, is_first: &mut bool) {
        let Some(table) = TABLES.into_iter().find(|table| data["table"] == *table) else {
            assert_eq!(name, "status", "{data}");
            return;
        };
        let kept = self.tables.entry(table).or_default();
        kept.fold(name, data);
        let rows = sorted(kept.rows.values());
        let mut log = self.log.lock().expect("nobody panics with it");
        if name == "snapshot" {
            *log.n_snapshots.entry(table).or_default() += 1;
        } else if *is_first {
            log.n_resumed += 1;
        }
        *is_first = false;
        let epoch = kept.epoch;
        drop(log.history.insert((table, epoch), rows));
    }
}

/// What SQL said.
#[derive(Default)]
struct Asked {
    history: History,
    compared: BTreeSet<(&'static str, u64)>,
}

impl Asked {
    /// Asks for a table, and returns the epoch of the answer; none while the table is not there.
    fn ask(&mut self, weir: &Weir, table: &'static str) -> Option<u64> {
        let answer = weir.ask(&format!("SELECT * FROM {table}")).ok()?;
        let epoch = answer["epochs"][table].as_u64()?;
        let rows = sorted(rows(&answer).into_iter().map(Value::Array).collect::<Vec<_>>().iter());
        if let Some(before) = self.history.insert((table, epoch), rows) {
            assert_eq!(before, self.history[&(table, epoch)], "{table} at epoch {epoch}, asked twice");
        }
        Some(epoch)
    }

    /// Compares each epoch that both sides have.
    fn compare(&mut self, log: &Log) {
        for (at, folded) in &log.history {
            let Some(asked) = self.history.get(at) else { continue };
            if self.compared.insert(*at) {
                assert_eq!(folded, asked, "folded, and by SQL, at {at:?}");
            }
        }
    }

    /// How many epochs of a table were compared.
    fn n_compared(&self, table: &str) -> usize {
        self.compared.iter().filter(|(name, _)| *name == table).count()
    }
}

#[test]
fn folded_events_are_what_sql_says_whatever_is_cut_or_killed() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("cut", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "cut", 2, 7);
    let large = "SELECT id, country, amount, ordered_at FROM cut WHERE amount > 900";
    let project = Project::new(&services)
        .source("cut", SOURCE)
        .pipeline("revenue", &revenue("cut"), "epoch: 100ms\n")
        .pipeline("large", large, "epoch: 100ms\n");
    let mut weir = project.run();
    let proxy = Proxy::start(weir.url(), 7);
    let mut follower = Follower::start(&proxy);
    let mut asked = Asked::default();
    for run in 1..=N_RUNS {
        let n_compared = TABLES.map(|table| asked.n_compared(table) + N_COMPARED);
        let (n_cut, n_resumed) = follower.look(|log| (log.n_cut + N_CUT, log.n_resumed + N_CUT));
        weir.eventually("enough is compared while orders come in", || {
            shop.write(&producer, 20);
            for table in TABLES {
                asked.ask(&weir, table);
            }
            follower.look(|log| {
                asked.compare(log);
                let all_compared =
                    TABLES.into_iter().zip(n_compared).all(|(table, n)| n <= asked.n_compared(table));
                (all_compared && n_cut <= log.n_cut && n_resumed <= log.n_resumed).then_some(())
            })
        });
        if run < N_RUNS {
            shop.write(&producer, 200);
            weir.kill();
            weir = project.run();
            proxy.lead_to(weir.url());
        }
    }
    // All that was written is counted, once, and the client has it too.
    weir.await_rows(&query("revenue"), &shop.expected());
    let read = TABLES.map(|table| vec![json!(table), json!(shop.n_written())]);
    weir.await_rows("SELECT name, rows_in FROM weir.pipelines ORDER BY name DESC", &read);
    weir.await_rows("SELECT count(*) = count(DISTINCT id) FROM large", &[vec![json!(true)]]);
    for table in TABLES {
        weir.eventually("the client folds the last epoch", || {
            let epoch = asked.ask(&weir, table)?;
            follower.look(|log| asked.compare(log));
            asked.compared.contains(&(table, epoch)).then_some(())
        });
    }
    follower.look(|log| {
        let one_a_run = BTreeMap::from(TABLES.map(|table| (table, N_RUNS)));
        assert_eq!(log.n_snapshots, one_a_run, "only a new process sends a table anew");
    });
}
