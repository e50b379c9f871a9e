//! The brokers: who leads which partition, a connection to each leader, questions and answers.
//!
//! Invariants:
//! 1. One connection per address, one Fetch on it at a time; none of them holds up another.
//! 2. A topic keeps its id: one made anew under its name is told, never read.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use mio::{Events, Poll, Token};

use super::connection::{Connection, Question};
use super::messages::{
    FetchPart, Fetched, TopicId, ask_fetch, ask_metadata, ask_offset, read_fetched, read_metadata,
    read_offset, read_versions,
};
use super::pool::Pool;
use super::settings::{Address, Settings};
use super::wire::Malformed;

/// The least and the most time between two questions who leads what.
const REFRESH_MIN: Duration = Duration::from_millis(50);
const REFRESH_MAX: Duration = Duration::from_secs(1);

/// What the brokers said, or didn't.
pub(super) enum News {
    /// A connection that was in use failed.
    Failed {
        address: Address,
        detail: String,
    },
    /// The leaders are known anew, or why not: an error code.
    Topic(Result<(), i16>),
    /// The topic is another one than before.
    MadeAnew,
    Offset {
        partition: i32,
        time: i64,
        offset: Result<i64, i16>,
    },
    Fetched {
        asked: Vec<FetchPart>,
        answer: Buffer,
        fetched: Fetched,
    },
}

pub(super) struct Cluster {
    pub(super) settings: Settings,
    poll: Poll,
    events: Events,

    connections: Vec<Connection>,
    next_token: usize,
    brokers: BTreeMap<i32, Address>,
    /// -1 where a partition has no leader now.
    leaders: BTreeMap<i32, i32>,
    topic_id: TopicId,
    /// Partitions whose leaders are to be connected.
    wanted: Vec<i32>,
    /// Tests lower it, as older brokers do.
    pub(super) fetch_version_max: i16,
    n_fetches: usize,
    refresh_at: Option<Instant>,
    n_refreshes: u32,
    pool: Pool,
}

impl Cluster {
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        Ok(Self {
            settings,
            poll: Poll::new()?,
            events: Events::with_capacity(64),
            connections: Vec::new(),
            next_token: 0,
            brokers: BTreeMap::new(),
            leaders: BTreeMap::new(),
            topic_id: [0; 16],
            wanted: Vec::new(),
            fetch_version_max: 13,
            n_fetches: 0,
            refresh_at: None,
            n_refreshes: 0,
            pool: Pool::default(),
        })
    }

    pub(super) fn want(&mut self, partition: i32) {
        self.wanted.push(partition);
    }

    pub(super) fn unwant(&mut self, partition: i32) {
        self.wanted.retain(|wanted| *wanted != partition);
    }

    /// Whether a broker said that there is such a partition.
    pub(super) fn knows(&self, partition: i32) -> bool {
        self.leaders.contains_key(&partition)
    }

    pub(super) fn leader(&self, partition: i32) -> Option<&Address> {
        self.brokers.get(self.leaders.get(&partition)?)
    }

    /// Has the leaders asked for, sooner or later.
    pub(super) fn refresh(&mut self, now: Instant) {
        if self.refresh_at.is_none() {
            let wait = (REFRESH_MIN * 2u32.pow(self.n_refreshes.min(8))).min(REFRESH_MAX);
            let wait = if self.n_refreshes == 0 { Duration::ZERO } else { wait };
            self.refresh_at = Some(now + wait);
            self.n_refreshes += 1;
        }
    }

    /// All is well: the next trouble is looked into at once.
    pub(super) fn calm(&mut self) {
        if self.refresh_at.is_none() {
            self.n_refreshes = 0;
        }
    }

    /// Gives back memory that is not in use.
    pub(super) fn rest(&mut self) {
        self.pool.clear();
    }

    /// Nobody listened until now.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.connections.iter_mut().for_each(|connection| connection.forgive(now));
    }

    /// Connects, asks for leaders, sends what was asked.
    pub(super) fn drive(&mut self, now: Instant, news: &mut Vec<News>) {
        let leaders: Vec<Address> =
            self.wanted.iter().filter_map(|partition| self.leader(*partition).cloned()).collect();
        for address in leaders {
            self.connect(address, now);
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.ask_leaders(now);
        }
        for i in 0..self.connections.len() {
            let connection = &mut self.connections[i];
            let driven = connection.drive(self.poll.registry(), &self.settings.client_id, now);
            if let Err(error) = driven {
                self.failed(i, &error, now, news);
            }
        }
    }

    fn connect(&mut self, address: Address, now: Instant) {
        if self.connections.iter().all(|connection| connection.address != address) {
            self.connections.push(Connection::new(address, Token(self.next_token), now));
            self.next_token += 1;
        }
    }

    fn ask_leaders(&mut self, now: Instant) {
        let is_metadata = |question: &Question| matches!(question, Question::Metadata { .. });
        if self.connections.iter().any(|connection| connection.awaits(is_metadata)) {
            return;
        }
        let n_ready = self.connections.iter().filter(|connection| connection.is_ready()).count();
        // Another one each time: one that does not know better is not asked for ever.
        let turn = self.n_refreshes as usize % n_ready.max(1);
        let connection = self.connections.iter_mut().filter(|connection| connection.is_ready()).nth(turn);
        let Some((connection, version)) = connection.and_then(|c| c.versions.map(|v| (c, v.metadata))) else {
            let known = self.settings.bootstrap.iter().chain(self.brokers.values()).cloned();
            for address in known.collect::<Vec<_>>() {
                self.connect(address, now);
            }
            return;
        };
        let Settings { client_id, topic, .. } = &self.settings;
        connection.ask(Question::Metadata { version }, |out, id| {
            ask_metadata(out, version, id, client_id, topic);
        });
    }

    fn ready(&mut self, partition: i32) -> Option<&mut Connection> {
        let address = self.brokers.get(self.leaders.get(&partition)?)?;
        self.connections.iter_mut().find(|c| c.address == *address && c.is_ready())
    }

    pub(super) fn is_ready(&mut self, partition: i32) -> bool {
        self.ready(partition).is_some()
    }

    /// Asks a partition's leader for an offset, unless that was asked already or it is away.
    pub(super) fn ask_offset(&mut self, partition: i32, time: i64) {
        let question = Question::Offset { partition, time };
        let Settings { client_id, topic, limits, .. } = &self.settings.clone();
        if let Some(connection) = self.ready(partition)
            && !connection.awaits(|awaited| *awaited == question)
        {
            connection.ask(question, |out, id| {
                ask_offset(out, id, client_id, topic, (partition, time), limits.is_read_committed);
            });
        }
    }

    /// Asks each leader that is not at it already for records of the partitions that `parts` has for
    /// it; none: it is not asked.
    pub(super) fn ask_records(
        &mut self,
        now: Instant,
        parts: impl Fn(&dyn Fn(i32) -> bool) -> Vec<FetchPart>,
    ) {
        for connection in &mut self.connections {
            let Some(versions) = connection.versions else { continue };
            let is_fetch = |question: &Question| matches!(question, Question::Fetch { .. });
            if connection.awaits(is_fetch) || now < connection.throttled_until {
                continue;
            }
            let (brokers, leaders, address) = (&self.brokers, &self.leaders, &connection.address);
            let is_its = |partition: i32| {
                leaders.get(&partition).and_then(|leader| brokers.get(leader)).is_some_and(|a| a == address)
            };
            let mut parts = parts(&is_its);
            if parts.is_empty() {
                continue;
            }
            // Brokers fill an answer in the order of the request: another one is first each time.
            let n_filled = self.settings.limits.bytes_max / self.settings.limits.partition_bytes_max;
            self.n_fetches = self.n_fetches.wrapping_add(usize::try_from(n_filled).unwrap_or(1).max(1));
            let first = self.n_fetches % parts.len();
            parts.rotate_left(first);
            let Settings { client_id, topic, limits, .. } = &self.settings;
            let has_id = self.topic_id != [0; 16];
            let version = versions.fetch.min(if has_id { self.fetch_version_max } else { 10 });
            let asked = parts.clone();
            connection.ask(Question::Fetch { version, parts }, |out, id| {
                ask_fetch(out, version, id, client_id, (topic, self.topic_id), limits, &asked);
            });
        }
    }

    /// Reads what has arrived, waiting for it until `until`.
    pub(super) fn pump(&mut self, until: Instant, news: &mut Vec<News>) {
        let now = Instant::now();
        let due =
            self.connections.iter().filter_map(Connection::due).chain(self.refresh_at.filter(|at| now < *at));
        let wait = due.chain([until]).min().unwrap_or(until).saturating_duration_since(now);
        // It fails where a signal interrupts it: then nothing has arrived.
        if self.poll.poll(&mut self.events, Some(wait)).is_ok() {
            for event in &self.events {
                let connection = self.connections.iter_mut().find(|c| c.token() == event.token());
                if let Some(connection) = connection {
                    connection.set_readable();
                }
            }
        }
        let now = Instant::now();
        let tokens: Vec<Token> = self.connections.iter().map(Connection::token).collect();
        for token in tokens {
            // An answer about leaders may close connections.
            while let Some(i) = self.connections.iter().position(|c| c.token() == token) {
                match self.connections[i].read(&mut self.pool) {
                    Ok(None) => break,
                    Ok(Some((question, answer))) => {
                        if let Err(error) = self.answered(i, question, answer, now, news) {
                            self.failed(i, &io::Error::other(error), now, news);
                            break;
                        }
                    }
                    Err(error) => {
                        self.failed(i, &error, now, news);
                        break;
                    }
                }
            }
        }
    }

    fn answered(
        &mut self,
        i: usize,
        question: Question,
        answer: Buffer,
        now: Instant,
        news: &mut Vec<News>,
    ) -> Result<(), Malformed> {
        let connection = &mut self.connections[i];
        match question {
            Question::Versions => connection.versions = Some(read_versions(&answer)?),
            Question::Metadata { version } => self.learn(&answer, version, news)?,
            Question::Offset { partition, time } => {
                let offset = read_offset(&answer, partition)?;
                news.push(News::Offset { partition, time, offset });
            }
            Question::Fetch { version, parts } => {
                let fetched = read_fetched(&answer, version)?;
                connection.succeeded();
                let throttle_ms = u64::try_from(fetched.throttle_ms).unwrap_or(0);
                connection.throttled_until = now + Duration::from_millis(throttle_ms.min(60_000));
                news.push(News::Fetched { asked: parts, answer, fetched });
            }
        }
        Ok(())
    }

    fn learn(&mut self, answer: &Buffer, version: i16, news: &mut Vec<News>) -> Result<(), Malformed> {
        let metadata = read_metadata(answer, version)?;
        self.refresh_at = None;
        if metadata.error != 0 {
            news.push(News::Topic(Err(metadata.error)));
            return Ok(());
        }
        if self.topic_id != [0; 16] && metadata.topic_id != [0; 16] && self.topic_id != metadata.topic_id {
            news.push(News::MadeAnew);
            return Ok(());
        }
        if metadata.topic_id != [0; 16] {
            self.topic_id = metadata.topic_id;
        }
        let address = |broker: &super::messages::Broker<'_>| {
            let port = u16::try_from(broker.port).ok()?;
            Some((broker.id, Address { host: broker.host.to_owned(), port }))
        };
        self.brokers = metadata.brokers.iter().filter_map(address).collect();
        self.leaders = metadata.leaders.into_iter().collect();
        let led: Vec<_> =
            self.wanted.iter().filter_map(|partition| self.leader(*partition).cloned()).collect();
        if !led.is_empty() {
            self.connections.retain(|connection| led.contains(&connection.address));
        }
        news.push(News::Topic(Ok(())));
        Ok(())
    }

    fn failed(&mut self, i: usize, error: &io::Error, now: Instant, news: &mut Vec<News>) {
        let connection = &mut self.connections[i];
        // Brokers close what nothing was asked on for long.
        let was_idle = connection.is_ready() && !connection.awaits(|_| true);
        connection.fail(now);
        let address = connection.address.clone();
        tracing::debug!(host = address.host, port = address.port, %error, "connection to a broker failed");
        if !was_idle {
            let detail = format!("{}:{}: {error}", address.host, address.port);
            news.push(News::Failed { address, detail });
            self.refresh(now);
        }
    }
}
