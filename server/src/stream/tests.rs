//! Clients that read when they like, go and come back: what they folded is the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;

use super::table::Change;
use super::*;
use crate::catalog::Committed;
use crate::encode::instant;
use crate::testing::{FakeCatalog, RevenueRow, revenue, revenue_batch, view};

/// What happens next in a test.
#[derive(Debug, Clone)]
enum Step {
    /// An epoch: upserts of `(window, country, orders)`, deletes of `(window, country)`, and how far
    /// the watermark moves. The epoch number grows by one plus `skipped`.
    Commit {
        upserts: Vec<(i64, u8, i64)>,
        deletes: Vec<(i64, u8)>,
        watermark_s: i64,
        skipped: u64,
        wait_s: u64,
    },
    /// The client takes up to so many pieces, as far as it is behind.
    Read(usize),
    /// It loses its connection, perhaps in the middle of an event, and comes back.
    Reconnect,
    /// It polls once, and then comes back to a stream.
    Poll,
    /// It reads until it has everything.
    CatchUp,
}

fn step() -> impl Strategy<Value = Step> {
    let commit = (
        proptest::collection::vec((0..6_i64, 0..3_u8, 0..100_i64), 0..5),
        proptest::collection::vec((0..6_i64, 0..3_u8), 0..2),
        0..8_i64,
        0..2_u64,
        prop_oneof![9 => 0..2_u64, 1 => 30..100_u64],
    )
        .prop_map(|(upserts, deletes, watermark_s, skipped, wait_s)| Step::Commit {
            upserts,
            deletes,
            watermark_s,
            skipped,
            wait_s,
        });
    prop_oneof![6 => commit, 3 => (1..9_usize).prop_map(Step::Read), 1 => Just(Step::Reconnect), 1 => Just(Step::Poll), 2 => Just(Step::CatchUp)]
}

type Rows = BTreeMap<(i64, String), (i64, bool)>;

/// The table, as a plain map, and all its earlier epochs.
struct Model {
    keyed: bool,
    epoch: u64,
    watermark_ms: i64,
    rows: Rows,
    appended: Vec<RevenueRow>,
    history: BTreeMap<u64, (i64, Vec<Vec<Value>>)>,
    now: Instant,
}

impl Model {
    fn new(keyed: bool) -> Self {
        let mut model = Self {
            keyed,
            epoch: 3,
            watermark_ms: 0,
            rows: Rows::new(),
            appended: Vec::new(),
            history: BTreeMap::new(),
            now: Instant::now(),
        };
        model.remember();
        model
    }

    fn all(&self) -> Vec<RevenueRow> {
        if !self.keyed {
            return self.appended.clone();
        }
        self.rows
            .iter()
            .map(|((end, country), (orders, is_final))| (*end, country.clone(), *orders, *is_final))
            .collect()
    }

    fn remember(&mut self) {
        let rows = self.all().iter().map(json_row).collect();
        self.history.insert(self.epoch, (self.watermark_ms, rows));
    }

    fn table(&self) -> Arc<dyn Committed> {
        revenue(self.epoch, Some(self.watermark_ms), self.keyed, &self.all())
    }

    fn commit(&mut self, step: &Step) -> Option<Change> {
        let Step::Commit { upserts, deletes, watermark_s, skipped, wait_s } = step else { return None };
        self.epoch += 1 + skipped;
        self.watermark_ms += watermark_s * 1_000;
        self.now += Duration::from_secs(*wait_s);
        let key = |window: i64, country: u8| {
            (10_000 * (window + 1), ["DE", "FR", "\u{e9}\n\""][usize::from(country)].to_owned())
        };
        let (mut changed, mut deleted) = (Rows::new(), Rows::new());
        for (window, country, orders) in upserts {
            changed.insert(key(*window, *country), (*orders, orders % 2 == 0));
        }
        if self.keyed {
            for (window, country) in deletes {
                let key = key(*window, *country);
                if !changed.contains_key(&key) {
                    self.rows.remove(&key);
                    deleted.insert(key, (0, false));
                }
            }
            self.rows.extend(changed.clone());
        }
        let rows = |rows: Rows| -> Vec<RevenueRow> {
            rows.into_iter()
                .map(|((end, country), (orders, is_final))| (end, country, orders, is_final))
                .collect()
        };
        let (changed, deleted) = (rows(changed), rows(deleted));
        if !self.keyed {
            self.appended.extend(changed.clone());
        }
        self.remember();
        Some(Change {
            epoch: self.epoch,
            watermark_ms: Some(self.watermark_ms),
            upserts: vec![revenue_batch(&changed)],
            deletes: vec![revenue_batch(&deleted).project(&[0, 1]).expect("the key's columns")],
            table: self.table(),
        })
    }
}

fn json_row((end, country, orders, is_final): &RevenueRow) -> Vec<Value> {
    vec![instant(*end).into(), country.clone().into(), (*orders).into(), (*is_final).into()]
}

/// What a browser does with the stream.
#[derive(Default)]
struct Browser {
    buffer: String,
    id: Option<String>,
    ids: Vec<String>,
    keyed: bool,
    epoch: u64,
    rows: Vec<Vec<Value>>,
    snapshots: usize,
    deltas: usize,
}

impl Browser {
    fn take(&mut self, piece: &[u8], model: &Model, last_ms: Option<i64>) {
        self.buffer.push_str(std::str::from_utf8(piece).expect("whole characters"));
        while let Some(end) = self.buffer.find("\n\n") {
            let block: String = self.buffer.drain(..end + 2).collect();
            self.event(block.trim_end(), model, last_ms);
        }
    }

    fn polled(&mut self, answer: &[u8], model: &Model, last_ms: Option<i64>) {
        let answer: weir_api::PollResponse = serde_json::from_slice(answer).expect("the documented shape");
        for weir_api::PollEvent { id, event } in &answer.events {
            let data = event.data().expect("JSON");
            self.event(&format!("event: {}\nid: {id}\ndata: {data}", event.name()), model, last_ms);
        }
        let last = answer.events.last().map(|event| &event.id).or(self.id.as_ref());
        assert!(last.is_none_or(|last| *last == answer.id), "{answer:?}");
        self.id = Some(answer.id);
    }

    fn event(&mut self, block: &str, model: &Model, last_ms: Option<i64>) {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let (Some(name), Some(id), Some(data)) = (field("event: "), field("id: "), field("data: ")) else {
            return;
        };
        assert_eq!(block.lines().filter(|line| !line.starts_with("retry: ")).count(), 3, "{block}");
        assert!(!self.ids.contains(&id), "id {id} came twice");
        self.ids.push(id.clone());
        self.id = Some(id);
        match weir_api::Event::parse(&name, &data).expect("the documented shape").expect("a known event") {
            weir_api::Event::Snapshot(snapshot) => {
                assert!(self.epoch <= snapshot.epoch);
                self.snapshots += 1;
                self.epoch = snapshot.epoch;
                self.rows = snapshot.rows;
            }
            weir_api::Event::Delta(delta) => {
                assert!(self.epoch < delta.epoch);
                self.deltas += 1;
                self.epoch = delta.epoch;
                self.fold(delta);
            }
            weir_api::Event::Status(_) => return,
        }
        self.compare(model, last_ms);
    }

    fn fold(&mut self, delta: weir_api::Delta) {
        if !self.keyed {
            assert!(delta.deletes.is_empty());
            self.rows.extend(delta.upserts);
            return;
        }
        let gone: Vec<&[Value]> = delta
            .upserts
            .iter()
            .map(|row| &row[..2])
            .chain(delta.deletes.iter().map(|key| &key[..]))
            .collect();
        self.rows.retain(|row| !gone.contains(&&row[..2]));
        self.rows.extend(delta.upserts.clone());
    }

    /// Folded rows are the table's rows at that epoch, apart from those that aged out of `last`.
    fn compare(&self, model: &Model, last_ms: Option<i64>) {
        let (watermark_ms, expected) = &model.history[&self.epoch];
        let young = |row: &&Vec<Value>| {
            let after = last_ms.map(|last_ms| instant(watermark_ms - last_ms));
            after.is_none_or(|after| after.as_str() < row[0].as_str().expect("a time"))
        };
        let rows = |rows: &[Vec<Value>]| {
            let mut rows: Vec<String> =
                rows.iter().filter(young).map(|row| Value::from(row.clone()).to_string()).collect();
            if self.keyed {
                rows.sort();
            }
            rows
        };
        assert_eq!(rows(&self.rows), rows(expected), "at epoch {}", self.epoch);
    }
}

fn run(steps: &[Step], keyed: bool, last_ms: Option<i64>) -> Browser {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut model = Model::new(keyed);
        // Rows without a key have no time in their columns: `last` is not for them.
        let last_ms = last_ms.filter(|_| keyed);
        let mut shown = view("revenue", Some(model.table()));
        if !keyed {
            let mut plan = Plan::clone(&crate::testing::plan());
            (plan.window, plan.window_end) = (None, None);
            shown.plan = Some(Arc::new(plan));
        }
        let catalog = FakeCatalog::new(vec![shown]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let wanted = |after| Subscription { tables: vec!["revenue".to_owned()], last_ms, after };
        let mut client = hub.subscribe(catalog.as_ref(), wanted(None)).expect("a table");
        let mut browser = Browser { keyed, ..Browser::default() };
        for step in steps.iter().chain([&Step::CatchUp]) {
            match step {
                Step::Commit { .. } => {
                    let change = model.commit(step).expect("a commit");
                    hub.publish("revenue", change, model.now);
                }
                Step::Read(pieces) => {
                    for _ in 0..*pieces {
                        if browser.epoch < model.epoch {
                            let piece = client.next().await.expect("open");
                            browser.take(&piece, &model, last_ms);
                        }
                    }
                }
                Step::Reconnect => {
                    browser.buffer.clear();
                    drop(client);
                    client = hub.subscribe(catalog.as_ref(), wanted(browser.id.clone())).expect("a table");
                }
                Step::Poll => {
                    browser.buffer.clear();
                    let polled =
                        hub.subscribe(catalog.as_ref(), wanted(browser.id.clone())).expect("a table");
                    let answer = polled.poll(browser.id.as_deref(), Duration::ZERO).await;
                    browser.polled(&answer, &model, last_ms);
                    assert_eq!(browser.epoch, model.epoch, "a poll takes all there is");
                    client = hub.subscribe(catalog.as_ref(), wanted(browser.id.clone())).expect("a table");
                }
                Step::CatchUp => {
                    while browser.epoch < model.epoch {
                        let piece = client.next().await.expect("open");
                        browser.take(&piece, &model, last_ms);
                    }
                }
            }
        }
        assert_eq!(browser.epoch, model.epoch);
        browser
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn folded_events_are_the_table(
        steps in proptest::collection::vec(step(), 0..40),
        last_ms in proptest::option::of(prop_oneof![Just(5_000_i64), Just(20_000), Just(1_000_000)]),
    ) {
        run(&steps, true, last_ms);
    }

    #[test]
    fn appended_rows_come_once_each_and_in_order(steps in proptest::collection::vec(step(), 0..40)) {
        run(&steps, false, None);
    }
}

fn commit(orders: i64) -> Step {
    Step::Commit { upserts: vec![(0, 0, orders)], deletes: vec![], watermark_s: 0, skipped: 0, wait_s: 0 }
}

#[test]
fn client_that_is_behind_gets_one_merged_delta() {
    let mut steps = vec![Step::CatchUp];
    steps.extend((0..50).map(commit));
    let browser = run(&steps, true, None);
    assert_eq!((browser.snapshots, browser.deltas), (1, 1));
}

#[test]
fn a_delta_is_made_once_for_clients_that_want_the_same_rows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let catalog = FakeCatalog::new(vec![view("revenue", Some(revenue(1, Some(0), true, &[])))]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        // Two of each: all rows; without the older one.
        let mut clients: Vec<Client> = [None, None, Some(15_000), Some(15_000)]
            .into_iter()
            .map(|last_ms| {
                let wanted = Subscription { tables: vec!["revenue".to_owned()], last_ms, after: None };
                hub.subscribe(catalog.as_ref(), wanted).expect("a table")
            })
            .collect();
        for client in &mut clients {
            next_data(client).await;
        }
        let rows = [10_000, 20_000].map(|end_ms| (end_ms, "DE".to_owned(), 1, true));
        let change = Change {
            epoch: 2,
            watermark_ms: Some(25_000),
            upserts: vec![revenue_batch(&rows)],
            deletes: vec![],
            table: revenue(2, Some(25_000), true, &rows),
        };
        hub.publish("revenue", change, Instant::now());
        let mut deltas = Vec::new();
        for client in &mut clients {
            deltas.push(next_data(client).await);
        }
        let rows_of = |data: &[u8]| {
            let delta: weir_api::Delta = serde_json::from_slice(data).expect("a delta");
            delta.upserts.len()
        };
        assert_eq!(deltas.iter().map(|data| rows_of(data)).collect::<Vec<_>>(), [2, 2, 1, 1]);
        assert_eq!(deltas[0].as_ptr(), deltas[1].as_ptr());
        assert_eq!(deltas[2].as_ptr(), deltas[3].as_ptr());
    });
}

/// The data of the next event.
async fn next_data(client: &mut Client) -> Bytes {
    loop {
        let piece = client.next().await.expect("open");
        if piece.starts_with(b"{") {
            break piece;
        }
    }
}

#[test]
fn appended_epochs_are_never_merged() {
    let mut steps = vec![Step::CatchUp];
    steps.extend((0..50).map(commit));
    let browser = run(&steps, false, None);
    assert_eq!((browser.snapshots, browser.deltas), (1, 50));
}

#[test]
fn resumed_client_gets_a_delta_and_a_late_one_a_snapshot() {
    let wait = Step::Commit { upserts: vec![], deletes: vec![], watermark_s: 0, skipped: 0, wait_s: 100 };
    let soon = run(&[Step::CatchUp, commit(1), commit(2), Step::Reconnect], true, None);
    assert_eq!((soon.snapshots, soon.deltas), (1, 1));
    let late = run(&[Step::CatchUp, commit(1), Step::Reconnect, wait.clone(), wait], true, None);
    assert_eq!((late.snapshots, late.deltas), (2, 0));
    // A minute after the first epoch that it has not got.
    let minute = Step::Commit { upserts: vec![], deletes: vec![], watermark_s: 0, skipped: 0, wait_s: 60 };
    let in_time = run(&[Step::CatchUp, commit(1), minute, Step::Reconnect], true, None);
    assert_eq!((in_time.snapshots, in_time.deltas), (1, 1));
}

/// In real time: what a proxy between the two measures, too.
#[test]
fn a_stream_without_events_has_a_comment_each_half_second() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let mut client =
            hub.subscribe(FakeCatalog::new(vec![]).as_ref(), Subscription::default()).expect("a stream");
        assert_eq!(client.next().await.as_deref(), Some(&b"retry: 1000\n"[..]));
        for _ in 0..2 {
            let comment = tokio::time::timeout(Duration::from_secs(1), client.next()).await;
            assert_eq!(comment.expect("in time").as_deref(), Some(&b":\n\n"[..]));
        }
    });
}

#[test]
fn a_busy_stream_has_comments_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let catalog = FakeCatalog::new(vec![view("revenue", Some(revenue(1, Some(0), true, &[])))]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let wanted = Subscription { tables: vec!["revenue".to_owned()], ..Subscription::default() };
        let mut client = hub.subscribe(catalog.as_ref(), wanted).expect("a table");
        let busy = async |client: &mut Client, epochs: std::ops::Range<u64>| {
            let mut comments = 0;
            for epoch in epochs {
                publish_for_test(&hub, "revenue", epoch, &[(0, "DE".to_owned(), 1, false)]);
                loop {
                    let piece = client.next().await.expect("open");
                    comments += usize::from(piece.as_ref() == b":\n\n");
                    if piece.starts_with(b"{") {
                        break;
                    }
                }
            }
            comments
        };
        assert_eq!(busy(&mut client, 2..20).await, 0);
        client.comment_at = tokio::time::Instant::now();
        assert_eq!(busy(&mut client, 20..40).await, 1, "ten seconds later: it is due once");
    });
}

#[test]
fn ids_of_different_connections_differ() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let catalog = FakeCatalog::new(vec![view("revenue", Some(revenue(1, Some(0), true, &[])))]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let mut ids = Vec::new();
        let mut after = None;
        for _ in 0..3 {
            // Two that want the same, one of which goes on where another one was.
            for after in [None, after.clone()] {
                let wanted = Subscription { tables: vec!["revenue".to_owned()], last_ms: None, after };
                let client = hub.subscribe(catalog.as_ref(), wanted).expect("a table");
                let answer = client.poll(None, Duration::ZERO).await;
                let answer: weir_api::PollResponse = serde_json::from_slice(&answer).expect("an answer");
                ids.extend(answer.events.into_iter().map(|event| event.id));
            }
            let epoch = 2 + ids.len() as u64;
            publish_for_test(&hub, "revenue", epoch, &[(0, "DE".to_owned(), 1, false)]);
            after = ids.last().cloned();
        }
        let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert!(5 <= ids.len() && distinct.len() == ids.len(), "{ids:?}");
    });
}

fn subscribed(rows: &[RevenueRow], last_ms: Option<i64>) -> weir_api::Snapshot {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let watermark_ms = rows.last().map(|row| row.0);
        let catalog = FakeCatalog::new(vec![view("revenue", Some(revenue(7, watermark_ms, true, rows)))]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let wanted = Subscription { tables: vec!["revenue".to_owned()], last_ms, after: None };
        let mut client = hub.subscribe(catalog.as_ref(), wanted).expect("a table");
        let data = next_data(&mut client).await;
        assert!(data.len() < 4 << 20);
        serde_json::from_slice(&data).expect("a snapshot")
    })
}

#[test]
fn large_snapshot_holds_the_newest_rows() {
    let rows: Vec<RevenueRow> = (0..50_000).map(|i| (i * 1_000, "DE".to_owned(), i, true)).collect();
    let snapshot = subscribed(&rows, None);
    assert!(snapshot.truncated);
    assert_eq!(snapshot.rows.len(), 10_000);
    assert_eq!(
        (snapshot.rows[0][2].as_i64(), snapshot.rows[9_999][2].as_i64()),
        (Some(40_000), Some(49_999))
    );
    let exact = subscribed(&rows[..10_000], None);
    assert_eq!((exact.rows.len(), exact.truncated), (10_000, false));
    let last = subscribed(&rows, Some(5_000));
    assert_eq!((last.rows.len(), last.truncated), (5, false));
}

#[test]
fn wide_snapshot_stays_below_four_mebibytes() {
    let rows: Vec<RevenueRow> = (0..100).map(|i| (i, "x".repeat(100_000), i, true)).collect();
    let snapshot = subscribed(&rows, None);
    assert!(snapshot.truncated);
    assert_eq!(snapshot.rows.last().expect("the newest")[2].as_i64(), Some(99));
    assert!(30 < snapshot.rows.len());
}

#[test]
fn ring_keeps_within_its_memory() {
    let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
    let now = Instant::now();
    let table = hub.tables["revenue"].clone();
    table.recovered(&revenue(1, None, true, &[]), None);
    let row = (0, "x".repeat(1 << 20), 1, false);
    for epoch in 2..200 {
        let change = Change {
            epoch,
            watermark_ms: None,
            upserts: vec![revenue_batch(std::slice::from_ref(&row))],
            deletes: vec![],
            table: revenue(epoch, None, true, &[]),
        };
        hub.publish("revenue", change, now);
    }
    let kept = |epoch| match table.since(Some(epoch)) {
        table::Since::Epochs(epochs) => epochs.len(),
        _ => 0,
    };
    assert_eq!(kept(198), 1);
    assert_eq!(kept(150), 49);
    assert_eq!(kept(100), 0, "64 MiB hold fewer than 99 epochs of more than 1 MiB");
}

#[test]
fn a_stream_of_what_keeps_no_rows_is_refused_with_the_reason() {
    let mut audit = view("audit", None);
    audit.retained = false;
    let catalog = FakeCatalog::new(vec![audit]);
    let hub = Hub::new([("audit".to_owned(), false)], Arc::default());
    let wanted = Subscription { tables: vec!["audit".to_owned()], ..Subscription::default() };
    let refused = hub.subscribe(catalog.as_ref(), wanted).err().expect("there is nothing to stream");
    assert_eq!(refused.problem().detail, "pipeline \"audit\" keeps no result table");
}

#[test]
fn epoch_that_is_too_large_for_an_event_becomes_a_snapshot() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let catalog = FakeCatalog::new(vec![view("revenue", Some(revenue(1, Some(0), true, &[])))]);
        let hub = Hub::new([("revenue".to_owned(), true)], Arc::default());
        let wanted = Subscription { tables: vec!["revenue".to_owned()], ..Subscription::default() };
        let mut client = hub.subscribe(catalog.as_ref(), wanted).expect("a table");
        let rows: Vec<RevenueRow> = (0..10_001).map(|i| (i, "DE".to_owned(), i, true)).collect();
        let mut names = Vec::new();
        while names.len() < 2 {
            let piece = client.next().await.expect("open");
            if let Some(name) = piece.strip_prefix(b"event: ".as_slice()) {
                names.push(String::from_utf8_lossy(name).lines().next().unwrap_or_default().to_owned());
                let change = Change {
                    epoch: 1 + names.len() as u64,
                    watermark_ms: Some(0),
                    upserts: vec![revenue_batch(&rows)],
                    deletes: vec![],
                    table: revenue(2, Some(0), true, &rows),
                };
                hub.publish("revenue", change, Instant::now());
            }
        }
        assert_eq!(names, ["snapshot", "snapshot"]);
    });
}

#[test]
fn unknown_tables_and_too_many_are_refused() {
    let catalog = FakeCatalog::new(vec![]);
    let hub = Hub::new([("revenue".to_owned(), true), ("audit".to_owned(), false)], Arc::default());
    let status = |tables: Vec<String>| {
        let wanted = Subscription { tables, ..Subscription::default() };
        hub.subscribe(catalog.as_ref(), wanted).err().map(|fault| fault.problem().status)
    };
    assert_eq!(status(vec!["revenu".to_owned()]), Some(404));
    assert_eq!(status(vec!["audit".to_owned()]), Some(404), "it keeps no result table");
    assert_eq!(status(vec!["revenue".to_owned(); 101]), Some(400));
    let clients: Vec<_> =
        (0..CLIENTS_MAX).map(|_| hub.subscribe(catalog.as_ref(), Subscription::default())).collect();
    assert_eq!(status(vec![]), Some(429));
    drop(clients);
    assert_eq!(status(vec![]), None);
}
