//! The page in a real Chromium: numbers form, change and become final, and survive a server that is
//! killed. `tests/browser/page.mjs` looks, this side produces, kills and restarts.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apache_avro::types::Value as Avro;

use crate::producer::{Producer, To, Topics, Writer};
use crate::proxy::Proxy;
use crate::services::services;
use crate::shop::SCHEMA;
use crate::weir::Project;

const TOPIC: &str = "watched";
const SQL: &str =
    "SELECT window_start, window_end, count(*) AS orders, sum(amount) AS revenue, max(id) AS newest
FROM TUMBLE(TABLE watched, DESCRIPTOR(ordered_at), INTERVAL '3' SECOND)
GROUP BY window_start, window_end";

/// Writes orders that happen now.
struct Till {
    producer: Producer,
    writer: Writer,
    next_id: i64,
}

impl Till {
    /// Writes one and returns its id.
    fn order(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        let now_ms = now_ms();
        let value = self.writer.encode(&[
            ("id", Avro::Long(id)),
            ("country", Avro::String("DE".to_owned())),
            ("amount", Avro::Long(7)),
            ("ordered_at", Avro::TimestampMillis(now_ms)),
        ]);
        self.producer.send(To { topic: TOPIC, partition: 0, timestamp_ms: now_ms }, None, Some(&value));
        self.producer.flush();
        id
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_millis()).expect("it is before the year 292277026")
}

/// Orders every 100 ms until it is dropped.
struct Customers {
    leave: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Customers {
    fn come(till: &Arc<Mutex<Till>>) -> Self {
        let (leave, gone) = channel::<()>();
        let till = Arc::clone(till);
        let thread = std::thread::spawn(move || {
            while gone.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                till.lock().expect("nobody panics with it").order();
            }
        });
        Self { leave: Some(leave), thread: Some(thread) }
    }
}

impl Drop for Customers {
    fn drop(&mut self) {
        self.leave.take();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// The script that looks at the page.
struct Looker {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
}

impl Looker {
    fn start(url: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("../scripts/browser.sh"))
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/browser.sh runs");
        assert!(output.status.success(), "scripts/browser.sh failed");
        let found = String::from_utf8(output.stdout).expect("paths in UTF-8");
        let found: HashMap<&str, &str> = found.lines().filter_map(|line| line.split_once('=')).collect();
        let mut child = Command::new("node")
            .arg(root.join("browser/page.mjs"))
            .args([found["NODE_MODULES"], found["CHROMIUM"], url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let says = BufReader::new(child.stdout.take().expect("piped")).lines();
        let hears = child.stdin.take().expect("piped");
        Self { child, says, hears }
    }

    /// Waits for a line that starts with `word`; returns the rest of it.
    fn hear(&mut self, word: &str) -> String {
        let line = self.says.next().unwrap_or_else(|| panic!("the script ended before \"{word}\""));
        let line = line.expect("UTF-8");
        let rest = line.strip_prefix(word).unwrap_or_else(|| panic!("heard \"{line}\", not \"{word}\""));
        rest.trim().to_owned()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.hears, "{line}").expect("the script listens");
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// As the page writes it: `1,000,042`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

#[test]
fn a_browser_sees_numbers_change_and_survives_a_killed_server() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create(TOPIC, 1);
    let till = Arc::new(Mutex::new(Till {
        producer: Producer::new(bootstrap),
        writer: Writer::register(&services.registry.url, &format!("{TOPIC}-value"), SCHEMA),
        next_id: 1_000_000,
    }));
    let source = "event_time: ordered_at\nwatermark: { delay: 1s }\n";
    let project = Project::new(&services).source(TOPIC, source).pipeline("revenue", SQL, "");
    let weir = project.run();
    weir.await_ready();
    let proxy = Proxy::start(weir.url(), None);
    let customers = Customers::come(&till);

    let mut looker = Looker::start(&proxy.url());
    for seen in ["running", "provisional", "changed", "final", "sql"] {
        looker.hear(seen);
    }
    // Alone now, so that the number that is looked for is the newest until it is painted.
    drop(customers);
    let mut waits_ms = Vec::new();
    for _ in 0..20 {
        looker.hear("watching");
        let produced_ms = now_ms();
        let id = till.lock().expect("nobody panics with it").order();
        looker.tell(&format!("produced {}", grouped(id)));
        let painted_ms: i64 = looker.hear("painted").parse().expect("milliseconds");
        waits_ms.push(painted_ms - produced_ms);
    }
    waits_ms.sort_unstable();
    eprintln!("produced to painted: median {} ms, p95 {} ms", waits_ms[10], waits_ms[18]);
    assert!(waits_ms[18] < 5_000, "produced to painted: {waits_ms:?} ms");

    looker.hear("kill it");
    weir.kill();
    looker.tell("killed");
    let noticed_ms: u64 = looker.hear("noticed").parse().expect("milliseconds");
    assert!(noticed_ms <= 3_000, "a dead server was noticed after {noticed_ms} ms");
    let weir = project.run();
    proxy.lead_to(weir.url());
    looker.tell("restarted");
    let id = till.lock().expect("nobody panics with it").order();
    let newest = "SELECT orders, revenue, newest FROM revenue ORDER BY window_start DESC LIMIT 1";
    let row = weir.eventually("the order after the restart is counted", || {
        let rows = weir.try_sql(newest).ok()?;
        rows.into_iter().next().filter(|row| row[2] == id)
    });
    let numbers: Vec<String> = row.iter().map(|value| grouped(value.as_i64().expect("an integer"))).collect();
    looker.tell(&format!("newest {}", numbers.join(" ")));
    looker.hear("live again");
    looker.hear("done");
}
