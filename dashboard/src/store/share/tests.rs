//! Tabs, their leader and a server, in any order of what can happen to them.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use serde_json::json;
use weir_api::{Column, Delta, Row};

use super::*;

const TABLES: [&str; 3] = ["a", "b", "c"];
const LAST_MS: i64 = 60_000;

/// The rows of a table: value by key.
type Rows = BTreeMap<u8, u32>;

/// A server with all versions of its tables; epoch 1 is the first.
struct Server {
    versions: BTreeMap<&'static str, Vec<Rows>>,
    n_sent: u64,
}

impl Server {
    fn new() -> Self {
        Self { versions: TABLES.map(|table| (table, vec![Rows::new()])).into(), n_sent: 0 }
    }

    fn commit(&mut self, table: usize, key: u8, value: Option<u32>) {
        let versions = self.versions.get_mut(TABLES[table]).expect("a table");
        let mut rows = versions.last().expect("a version").clone();
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
        versions.push(rows);
    }

    fn snapshot(&self, table: &str) -> Event {
        let versions = &self.versions[table];
        Event::Snapshot(Snapshot {
            table: table.into(),
            epoch: versions.len() as u64,
            watermark: None,
            columns: ["k", "v", "_final"].map(column).into(),
            key: vec!["k".into()],
            rows: rows(versions.last().expect("a version")),
            truncated: false,
        })
    }

    fn delta(&self, table: &str, since: u64) -> Event {
        let versions = &self.versions[table];
        let (before, now) = (&versions[since as usize - 1], versions.last().expect("a version"));
        let changed = now.iter().filter(|(key, value)| before.get(key) != Some(value));
        let deletes = before.keys().filter(|key| !now.contains_key(key));
        Event::Delta(Delta {
            table: table.into(),
            epoch: versions.len() as u64,
            watermark: None,
            upserts: rows(&changed.map(|(key, value)| (*key, *value)).collect()),
            deletes: deletes.map(|key| vec![json!(key)]).collect(),
        })
    }
}

fn column(name: &str) -> Column {
    Column { name: name.into(), sql_type: "INT".into(), nullable: false }
}

fn rows(rows: &Rows) -> Vec<Row> {
    rows.iter().map(|(key, value)| vec![json!(key), json!(value), json!(true)]).collect()
}

/// A stream: the epoch that the client has of each table.
#[derive(Clone)]
struct Stream {
    epochs: Vec<(String, Option<u64>)>,
}

impl Stream {
    /// As the server does: goes on behind the id where that knows the table.
    fn open(store: &Store) -> Self {
        let known: BTreeMap<&str, u64> = store
            .last_id()
            .and_then(|id| id.split_once('-'))
            .map(|(_, epochs)| epochs.split('_').filter_map(|it| it.split_once('.')))
            .into_iter()
            .flatten()
            .map(|(table, epoch)| (table, epoch.parse().expect("we wrote it")))
            .collect();
        let tables = store.wanted().tables.iter();
        Self { epochs: tables.map(|it| (it.clone(), known.get(it.as_str()).copied())).collect() }
    }

    fn next(&mut self, server: &mut Server) -> Option<Frame> {
        let newest = |table: &str| server.versions[table].len() as u64;
        let at = self.epochs.iter().position(|(table, epoch)| *epoch != Some(newest(table)))?;
        let (table, epoch) = self.epochs[at].clone();
        let event = epoch.map_or_else(|| server.snapshot(&table), |since| server.delta(&table, since));
        self.epochs[at].1 = Some(newest(&table));
        server.n_sent += 1;
        let had = self.epochs.iter().filter_map(|(table, epoch)| Some(format!("{table}.{}", (*epoch)?)));
        let id = format!("{}-{}", server.n_sent, had.collect::<Vec<_>>().join("_"));
        Some(Frame { name: event.name().into(), data: event.data().expect("JSON"), id })
    }
}

struct Tab {
    seat: Seat,
    store: Store,
    inbox: VecDeque<Message>,
}

struct World {
    server: Server,
    tabs: Vec<Tab>,
    n_tabs_ever: usize,
    /// Of the first tab.
    hub: Hub,
    stream: Option<Stream>,
}

impl World {
    fn new() -> Self {
        let tab = Tab { seat: Seat::new("0".into()), store: Store::default(), inbox: VecDeque::new() };
        let hub = Hub::new("0", &tab.store);
        Self { server: Server::new(), tabs: vec![tab], n_tabs_ever: 1, hub, stream: None }
    }

    /// Everybody but `from` hears it, once they read.
    fn post(&mut self, from: usize, message: &Message) {
        let others = self.tabs.iter_mut().enumerate().filter(|(at, _)| *at != from);
        others.for_each(|(_, tab)| tab.inbox.push_back(message.clone()));
    }

    /// The leader hears a tab, which may be its own.
    fn hear(&mut self, message: Message) {
        let Message::Want { tab, ask, wanted, after } = message else { return };
        if self.hub.want(&tab, wanted).0 {
            self.stream = None;
        }
        if let Some(answer) = self.hub.answer(&tab, ask, after.as_deref()) {
            self.say(&answer);
        }
    }

    fn say(&mut self, message: &Message) {
        let leader = &mut self.tabs[0];
        let answer = leader.seat.take(&mut leader.store, message);
        self.post(0, message);
        if let Some(answer) = answer {
            self.hear(answer);
        }
    }

    fn want(&mut self, at: usize, tables: &[usize]) {
        let tables = tables.iter().map(|&table| TABLES[table].to_owned()).collect();
        let tab = &mut self.tabs[at];
        if tab.store.want(Wanted { tables, last_ms: LAST_MS }) {
            let message = tab.seat.want(&tab.store);
            self.tell(at, message);
        }
    }

    /// A tab says something.
    fn tell(&mut self, at: usize, message: Message) {
        if at == 0 {
            self.hear(message);
        } else {
            self.post(at, &message);
        }
    }

    fn join(&mut self, tables: &[usize]) {
        let seat = Seat::new(self.n_tabs_ever.to_string());
        self.n_tabs_ever += 1;
        self.tabs.push(Tab { seat, store: Store::default(), inbox: VecDeque::new() });
        self.want(self.tabs.len() - 1, tables);
    }

    fn leave(&mut self, at: usize) {
        let gone = self.tabs.remove(at);
        if at != 0 {
            self.hub.gone(gone.seat.tab());
            return;
        }
        let Some(leader) = self.tabs.first() else {
            *self = Self { server: std::mem::replace(&mut self.server, Server::new()), ..Self::new() };
            return;
        };
        self.stream = None;
        self.hub = Hub::new(leader.seat.tab(), &leader.store);
        self.post(0, &Message::Lead);
    }

    fn read(&mut self, at: usize) {
        let Some(message) = self.tabs[at].inbox.pop_front() else { return };
        if at == 0 {
            // What the leader before it said comes too late.
            self.hear(message);
            return;
        }
        let tab = &mut self.tabs[at];
        if let Some(answer) = tab.seat.take(&mut tab.store, &message) {
            self.tell(at, answer);
        }
    }

    fn deliver(&mut self) -> bool {
        let stream = self.stream.get_or_insert_with(|| Stream::open(self.hub.store()));
        let Some(frame) = stream.next(&mut self.server) else { return false };
        let (after, event) = self.hub.fold(&frame).expect("the server's events fit");
        let leader = &mut self.tabs[0];
        let answer = leader.seat.fold(&mut leader.store, after.as_deref(), &frame.id, event);
        self.post(0, &Message::Frame { after, frame });
        if let Some(answer) = answer {
            self.hear(answer);
        }
        true
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let busy = self.tabs.iter().position(|tab| !tab.inbox.is_empty());
            match busy {
                Some(at) => self.read(at),
                None if self.deliver() => {}
                None => match self.tabs.iter().position(|tab| tab.seat.waits()) {
                    // Its clock tells it to ask again.
                    Some(at) => {
                        let tab = &mut self.tabs[at];
                        let message = tab.seat.want(&tab.store);
                        self.tell(at, message);
                    }
                    None => return,
                },
            }
        }
        panic!("it goes on for ever");
    }

    fn step(&mut self, step: &Step) {
        let n_tabs = self.tabs.len();
        match step {
            Step::Commit(table, key, value) => self.server.commit(*table, *key, *value),
            Step::Deliver => drop(self.deliver()),
            Step::Cut => self.stream = None,
            Step::Tidy => {
                if self.hub.tidy() {
                    self.stream = None;
                }
            }
            Step::Read(at) => self.read(at % n_tabs),
            Step::Want(at, tables) => self.want(at % n_tabs, tables),
            Step::Join(tables) => self.join(tables),
            Step::Leave(at) => self.leave(at % n_tabs),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(usize, u8, Option<u32>),
    Deliver,
    Cut,
    Tidy,
    Read(usize),
    Want(usize, Vec<usize>),
    Join(Vec<usize>),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let tables = || prop::sample::subsequence(vec![0, 1, 2], 0..=3);
    prop_oneof![
        6 => (0..3_usize, 0..4_u8, prop::option::of(any::<u32>())).prop_map(|(t, k, v)| Step::Commit(t, k, v)),
        6 => Just(Step::Deliver),
        1 => Just(Step::Cut),
        1 => Just(Step::Tidy),
        8 => any::<usize>().prop_map(Step::Read),
        2 => (any::<usize>(), tables()).prop_map(|(at, tables)| Step::Want(at, tables)),
        2 => tables().prop_map(Step::Join),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_cut_join_and_change_of_leader_gives_every_tab_the_state_of_the_server(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            for tab in &world.tabs {
                for name in &tab.store.wanted().tables {
                    // What a tab shows was true at its epoch, at every moment.
                    let Some(table) = tab.store.table(name) else { continue };
                    let shown: Vec<Row> = table.rows().map(|(_, row)| row.to_vec()).collect();
                    let version = &world.server.versions[name.as_str()][table.epoch() as usize - 1];
                    prop_assert_eq!(shown, rows(version), "{} of tab {}", name, tab.seat.tab());
                }
            }
        }
        world.settle();
        for tab in &world.tabs {
            for name in &tab.store.wanted().tables {
                let table = tab.store.table(name).expect("every wanted table has come");
                prop_assert_eq!(table.epoch(), world.server.versions[name.as_str()].len() as u64);
            }
        }
    }
}

#[test]
fn stream_is_opened_anew_for_more_and_not_for_less() {
    let wanted = |tables: &[&str], last_ms| Wanted {
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        last_ms,
    };
    let mut hub = Hub::new("1", &Store::default());
    assert!(!hub.want("1", wanted(&[], 0)).0, "statuses come always");
    assert!(hub.want("1", wanted(&["a"], 60_000)).0);
    assert!(!hub.want("2", wanted(&["a"], 5_000)).0);
    assert!(hub.want("2", wanted(&["a"], 120_000)).0, "further back");
    assert!(hub.want("2", wanted(&["b"], 120_000)).0);
    assert_eq!(hub.store().wanted(), &wanted(&["a", "b"], 120_000));
    hub.gone("2");
    assert!(!hub.want("1", wanted(&["b"], 60_000)).0);
    assert!(hub.tidy(), "nobody wants a any more");
    assert_eq!(hub.store().wanted(), &wanted(&["b"], 60_000));
    assert!(!hub.tidy());
}

#[test]
fn tab_for_which_the_stream_has_no_room_is_told() {
    let wanted = |stem: &str, n: usize| Wanted {
        tables: (0..n).map(|at| format!("{stem}{at}")).collect(),
        last_ms: LAST_MS,
    };
    let mut hub = Hub::new("1", &Store::default());
    assert_eq!(hub.want("1", wanted("a", 60)), (true, vec![]));
    assert_eq!(hub.want("2", wanted("a", 70)), (true, vec![]), "sixty of them are the same");
    assert_eq!(hub.want("3", wanted("b", 31)), (false, vec!["3".to_owned()]));
    assert!(!hub.knows("3"));
    assert_eq!(hub.want("1", wanted("c", 100)), (true, vec!["2".to_owned()]), "its own come first");
    assert_eq!(hub.store().wanted().tables.len(), 100);
    assert_eq!(hub.want("1", wanted("c", 101)), (true, vec![]), "the server says what is wrong with that");
}
