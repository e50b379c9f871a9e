//! Server-sent events through a proxy that cuts: what is folded is what SQL says at the same epoch.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::producer::{Producer, Topics};
use crate::proxy::Proxy;
use crate::services::services;
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::weir::{Project, Weir, rows};

const TABLES: [&str; 2] = ["revenue", "large"];

/// Rows of a table, sorted by their JSON text.
type Rows = Vec<String>;

/// What a client knows: per table and epoch the rows that it folded.
#[derive(Default)]
struct Folded {
    history: BTreeMap<(String, u64), Rows>,
    n_connections: usize,
    n_snapshots: usize,
    n_deltas: usize,
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
        assert!(self.epoch <= epoch, "epochs only grow: {} after {}", epoch, self.epoch);
        self.epoch = epoch;
        if event == "snapshot" {
            let columns: Vec<&str> = data["columns"]
                .as_array()
                .expect("an array")
                .iter()
                .map(|c| c["name"].as_str().expect("text"))
                .collect();
            let position = |name: &Value| {
                columns.iter().position(|c| Some(*c) == name.as_str()).expect("a key column is a column")
            };
            self.key = data["key"].as_array().expect("an array").iter().map(position).collect();
            self.rows.clear();
            assert_ne!(data["truncated"], Value::Bool(true), "the tables of this test are small");
        }
        let upserts = if event == "snapshot" { &data["rows"] } else { &data["upserts"] };
        for row in upserts.as_array().expect("an array") {
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

    fn sorted(&self) -> Rows {
        let mut rows: Rows = self.rows.values().map(Value::to_string).collect();
        rows.sort();
        rows
    }
}

/// Follows the stream until the process ends, over however many connections.
fn follow(url: String, folded: Arc<Mutex<Folded>>) {
    thread::spawn(move || {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        let mut last_id = String::new();
        loop {
            let path = format!("{url}/api/v1/stream?table={}&last=7d", TABLES.join("&table="));
            let request = ureq::get(path).header("Last-Event-ID", &last_id);
            let Ok(answer) = request.call() else {
                thread::yield_now();
                continue;
            };
            folded.lock().expect("the client folds without a complaint").n_connections += 1;
            let (mut event, mut data) = (String::new(), String::new());
            for line in BufReader::new(answer.into_body().into_reader()).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8(line).expect("UTF-8");
                if let Some(id) = line.strip_prefix("id: ") {
                    // Counts once its event is whole: a cut event is sent again.
                    data.clear();
                    data.push_str(id);
                    data.push('\n');
                } else if let Some(name) = line.strip_prefix("event: ") {
                    name.clone_into(&mut event);
                } else if let Some(text) = line.strip_prefix("data: ") {
                    data.push_str(text);
                } else if line.is_empty() && !event.is_empty() {
                    let (id, text) = data.split_once('\n').expect("every event has an id");
                    apply(&mut tables, &event, &serde_json::from_str(text).expect("JSON"), &folded);
                    id.clone_into(&mut last_id);
                    event.clear();
                }
            }
        }
    });
}

fn apply(tables: &mut BTreeMap<String, Table>, event: &str, data: &Value, folded: &Mutex<Folded>) {
    let Some(name) = data["table"].as_str() else { return };
    let table = tables.entry(name.to_owned()).or_default();
    table.fold(event, data);
    let mut folded = folded.lock().expect("the client folds without a complaint");
    *(if event == "snapshot" { &mut folded.n_snapshots } else { &mut folded.n_deltas }) += 1;
    folded.history.insert((name.to_owned(), table.epoch), table.sorted());
}

/// Asks SQL until the client has folded the very epoch of an answer, and compares.
fn compare(weir: &Weir, table: &str, folded: &Mutex<Folded>) {
    weir.eventually("the client folds an epoch that SQL saw", || {
        let answer = weir.ask(&format!("SELECT * FROM {table}")).ok()?;
        let epoch = answer["epochs"][table].as_u64()?;
        let mut expected: Rows = rows(&answer).into_iter().map(|row| Value::Array(row).to_string()).collect();
        expected.sort();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::time::Instant::now() < deadline {
            let folded = folded.lock().expect("the client folds without a complaint");
            if let Some(rows) = folded.history.get(&(table.to_owned(), epoch)) {
                assert_eq!(*rows, expected, "table {table} at epoch {epoch}");
                return Some(());
            }
            // The epoch was merged with the next: ask anew.
            if folded.history.range((table.to_owned(), epoch)..=(table.to_owned(), u64::MAX)).next().is_some()
            {
                return None;
            }
            drop(folded);
            thread::yield_now();
        }
        None
    });
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
        .pipeline("revenue", &revenue("cut"), "")
        .pipeline("large", large, "");
    let mut weir = project.run();
    weir.await_ready();
    let proxy = Proxy::start(weir.url(), Some(7));
    let folded = Arc::new(Mutex::new(Folded::default()));
    // Both tables have to be there before a client may name them.
    shop.write(&producer, 100);
    weir.await_rows(&query("revenue"), &shop.expected());
    follow(proxy.url(), Arc::clone(&folded));
    for round in 0..12 {
        if round % 5 == 4 {
            weir.kill();
            weir = project.run();
            proxy.lead_to(weir.url());
            weir.await_ready();
        }
        shop.write(&producer, 300);
        weir.await_rows(&query("revenue"), &shop.expected());
        for table in TABLES {
            compare(&weir, table, &folded);
        }
    }
    let folded = folded.lock().expect("the client folds without a complaint");
    assert!(3 < folded.n_connections, "the proxy cuts: {} connections", folded.n_connections);
    assert!(0 < folded.n_deltas, "it resumes: {} snapshots, no delta", folded.n_snapshots);
}
