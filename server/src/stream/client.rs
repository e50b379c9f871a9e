//! One client's stream: what it has, and what it gets next when its socket has room.
//!
//! Invariants:
//! 1. [`Client::next`] is called only when there is room, and looks at the tables then: what it
//!    gives is as new as the moment, and nothing is queued for a client that does not read.
//! 2. The id of an event says exactly what the client has behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::id::Position;
use super::rows::EpochRows;
use super::status::Statuses;
use super::table::{Since, Table};
use super::{Hub, event};
use crate::catalog::{Catalog, Committed};
use crate::problem::{Code, Fault, nearest};

/// A comment is sent after this long without an event.
const SILENCE: Duration = Duration::from_secs(10);
/// Most tables of one stream: each event's id names them all.
const TABLES_MAX: usize = 100;

/// What a client asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Result tables; none: only `status`.
    pub tables: Vec<String>,
    /// Rows later than the watermark minus this, in milliseconds.
    pub last_ms: Option<i64>,
    /// The id of the last event that the client has.
    pub after: Option<String>,
}

/// A client's stream. Dropping it frees its place.
pub struct Client {
    hub: Arc<Hub>,
    last_ms: Option<i64>,
    _place: Place,

    tables: Vec<Followed>,
    /// The table to look at first, so that a busy one does not starve the others.
    turn: usize,
    sequence: u64,
    changed: watch::Receiver<u64>,
    statuses: watch::Receiver<Arc<Statuses>>,
    closing: watch::Receiver<bool>,
    /// Pieces of events that are on their way.
    pieces: VecDeque<Bytes>,
    /// Statuses of the last sample that are not sent yet.
    waiting: VecDeque<Bytes>,
    silent_until: Instant,
}

struct Followed {
    table: Arc<Table>,
    /// The epoch that the client has.
    epoch: Option<u64>,
}

/// A place among the clients.
struct Place {
    hub: Arc<Hub>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.metrics.stream_clients(-1);
    }
}

/// What a table has for a client.
enum Work {
    Delta(Vec<Arc<EpochRows>>),
    Snapshot(Arc<dyn Committed>),
}

impl Hub {
    /// Begins a stream.
    ///
    /// # Errors
    /// [`Code::NotFound`] for a table that does not exist, [`Code::TooManyStreams`],
    /// [`Code::BadRequest`] for too many tables.
    pub fn subscribe(self: &Arc<Self>, catalog: &dyn Catalog, wanted: Subscription) -> Result<Client, Fault> {
        if TABLES_MAX < wanted.tables.len() {
            let detail =
                format!("{} tables in one stream, at most {TABLES_MAX} are allowed", wanted.tables.len());
            return Err(Fault::new(Code::BadRequest, detail));
        }
        self.recovered(&catalog.pipelines());
        let mut tables: Vec<Followed> = Vec::new();
        for name in &wanted.tables {
            let table = self.tables.get(name).ok_or_else(|| self.no_table(name))?;
            if tables.iter().all(|followed| followed.table.number != table.number) {
                tables.push(Followed { table: table.clone(), epoch: None });
            }
        }
        let permit = self.clients.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} streams are open", super::CLIENTS_MAX);
            Fault::new(Code::TooManyStreams, detail).hint("close some, or try again later")
        })?;
        self.metrics.stream_clients(1);
        let place = Place { hub: self.clone(), _permit: permit };
        let resumed = wanted.after.as_deref().and_then(Position::parse);
        let mut sequence = 0;
        if let Some(position) = resumed.filter(|position| position.process == self.process) {
            sequence = position.sequence;
            for followed in tables.iter_mut().filter(|_| position.last_ms == wanted.last_ms) {
                followed.epoch = position.epochs.get(&followed.table.number).copied();
            }
        }
        let mut statuses = self.statuses.subscribe();
        statuses.mark_changed();
        Ok(Client {
            last_ms: wanted.last_ms,
            _place: place,
            tables,
            turn: 0,
            sequence,
            changed: self.changed.subscribe(),
            statuses,
            closing: self.closing.subscribe(),
            // At once, so that the client knows that the stream is open.
            pieces: VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]),
            waiting: VecDeque::new(),
            silent_until: Instant::now() + SILENCE,
            hub: self.clone(),
        })
    }

    fn no_table(&self, name: &str) -> Fault {
        let fault = Fault::new(Code::NotFound, format!("no table \"{name}\""));
        match nearest(name, self.tables.keys().map(String::as_str)) {
            Some(meant) => fault.hint(format!("did you mean \"{meant}\"?")),
            None => fault,
        }
    }
}

impl Client {
    /// The next piece of the stream; `None` when the server shuts down. Waits until there is one,
    /// for at most about `SILENCE`.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                self.silent_until = Instant::now() + SILENCE;
                return Some(piece);
            }
            if *self.closing.borrow() {
                return None;
            }
            if self.statuses.has_changed().unwrap_or(false) {
                self.waiting = self.statuses.borrow_and_update().iter().cloned().collect();
            }
            if let Some(status) = self.waiting.pop_front() {
                self.send("status", status);
                continue;
            }
            self.changed.mark_unchanged();
            if self.next_event().await {
                continue;
            }
            let closing = self.closing.changed();
            tokio::select! {
                _ = self.changed.changed(), if !self.tables.is_empty() => {}
                _ = self.statuses.changed() => self.statuses.mark_changed(),
                _ = closing => {}
                () = sleep_until(self.silent_until) => self.pieces.push_back(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// Makes the next event of a table; false if no table has one.
    async fn next_event(&mut self) -> bool {
        for step in 0..self.tables.len() {
            let at = (self.turn + step) % self.tables.len();
            let followed = &self.tables[at];
            let work = match followed.table.since(followed.epoch) {
                Since::Nothing => continue,
                // Rows that are appended are never merged: one epoch after the other.
                Since::Epochs(mut epochs) => {
                    if followed.table.is_append() {
                        epochs.truncate(1);
                    }
                    Work::Delta(epochs)
                }
                Since::Snapshot(table) => Work::Snapshot(table),
            };
            self.turn = at + 1;
            if self.perform(at, work).await {
                return true;
            }
        }
        false
    }

    /// Encodes and queues an event for the table at `at`. False if that failed: it is tried again
    /// at the next commit.
    async fn perform(&mut self, at: usize, work: Work) -> bool {
        let table = self.tables[at].table.clone();
        let last_ms = self.last_ms;
        let merged = match &work {
            Work::Delta(epochs) => epochs.len() as u64 - 1,
            Work::Snapshot(_) => 0,
        };
        let Some(encoded) = encode(&self.hub, table, work, last_ms).await else { return false };
        if encoded.name == "delta" && 0 < merged {
            self.hub.metrics.conflated(&self.tables[at].table.name, merged);
        }
        self.tables[at].epoch = Some(encoded.epoch);
        self.send(encoded.name, encoded.data);
        true
    }

    /// Queues an event in pieces, so that its data is shared with other clients.
    fn send(&mut self, name: &str, data: Bytes) {
        self.sequence += 1;
        let have = |followed: &Followed| followed.epoch.map(|epoch| (followed.table.number, epoch));
        let position = Position {
            process: self.hub.process,
            sequence: self.sequence,
            last_ms: self.last_ms,
            epochs: self.tables.iter().filter_map(have).collect(),
        };
        self.pieces.push_back(format!("event: {name}\nid: {position}\ndata: ").into());
        self.pieces.push_back(data);
        self.pieces.push_back(Bytes::from_static(b"\n\n"));
    }
}

/// An event without its id.
struct Encoded {
    name: &'static str,
    epoch: u64,
    data: Bytes,
}

async fn encode(hub: &Hub, table: Arc<Table>, work: Work, last_ms: Option<i64>) -> Option<Encoded> {
    if let Some(encoded) = encoded_before(&table, &work, last_ms) {
        return Some(encoded);
    }
    let permit = hub.encodings.clone().acquire_owned().await.ok()?;
    let encoding = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        encode_now(&table, work, last_ms)
    });
    encoding.await.ok().flatten()
}

/// An event that another client needed already.
fn encoded_before(table: &Table, work: &Work, last_ms: Option<i64>) -> Option<Encoded> {
    match work {
        Work::Delta(epochs) => {
            let [rows] = epochs.as_slice() else { return None };
            rows.encoded()?.delta.get()?;
            let data = event::delta(&table.name, epochs, table.time(), last_ms)?;
            Some(Encoded { name: "delta", epoch: rows.epoch, data })
        }
        Work::Snapshot(committed) => {
            let epoch = committed.facts().epoch.0;
            let data = table.encoded_snapshot(epoch, last_ms)?;
            Some(Encoded { name: "snapshot", epoch, data })
        }
    }
}

fn encode_now(table: &Table, work: Work, last_ms: Option<i64>) -> Option<Encoded> {
    let committed = match work {
        Work::Delta(epochs) => {
            let epoch = epochs.last()?.epoch;
            if let Some(data) = event::delta(&table.name, &epochs, table.time(), last_ms) {
                return Some(Encoded { name: "delta", epoch, data });
            }
            // Too large for an event: the newest snapshot instead, with its newest rows.
            table.latest()?
        }
        Work::Snapshot(committed) => committed,
    };
    let epoch = committed.facts().epoch.0;
    match event::snapshot(&table.name, committed.as_ref(), table.time(), last_ms) {
        Ok(data) => {
            table.keep_snapshot(epoch, last_ms, data.clone());
            Some(Encoded { name: "snapshot", epoch, data })
        }
        Err(error) => {
            tracing::error!(table = %table.name, epoch, %error, "could not read a result table for a stream");
            None
        }
    }
}
