//! One client's stream: what it has, and what it gets next when its socket has room.
//!
//! Invariants:
//! 1. [`Client::next`] is called only when there is room, and looks at the tables then: what it
//!    gives is as new as the moment, and nothing is queued for a client that does not read.
//! 2. The id of an event says exactly what the client has behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::id::Position;
use super::rows::EpochRows;
use super::status::Statuses;
use super::table::{Base, Encoded, Since, Table};
use super::{Hub, event};
use crate::catalog::{Catalog, Committed, PipelineView};
use crate::problem::{Code, Fault, nearest};

/// A comment is sent after this long without an event. Lower: thousands of idle streams take CPU time; higher: a page is later
/// in noticing that the server, or the way to it, is gone, which it says within two seconds.
const SILENCE: Duration = Duration::from_millis(500);
/// A comment is sent this long after the last one, whatever else is sent: between events, so that it is one at least every
/// 15 s also where a piece of an event takes its time.
const COMMENTS: Duration = Duration::from_secs(10);
const COMMENT: &[u8] = b":\n\n";
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
    /// Of the last event.
    number: u64,
    changed: watch::Receiver<u64>,
    statuses: watch::Receiver<Arc<Statuses>>,
    closing: watch::Receiver<bool>,
    /// Pieces of events that are on their way.
    pieces: VecDeque<Bytes>,
    /// Statuses of the last sample that are not sent yet.
    waiting: VecDeque<Bytes>,
    /// The version of the statuses that the client has, or that are waiting.
    statuses_seen: u64,
    silent_until: Instant,
    /// When the next comment is due.
    pub(super) comment_at: Instant,
}

/// One event.
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) id: Position,
    pub(super) data: Bytes,
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
    /// Begins a stream, or a poll.
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
        let views = catalog.pipelines();
        self.recovered(&views);
        let mut tables: Vec<Followed> = Vec::new();
        for name in &wanted.tables {
            let table = self.tables.get(name).ok_or_else(|| self.no_table(name, &views))?;
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
        let mut statuses_seen = 0;
        if let Some(position) = resumed.filter(|position| position.process == self.process) {
            statuses_seen = position.statuses;
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
            number: 0,
            changed: self.changed.subscribe(),
            statuses,
            closing: self.closing.subscribe(),
            // At once, so that the client knows that the stream is open. It is a line of the first event, or of a comment:
            // not every client expects an event that has no data.
            pieces: VecDeque::from([Bytes::from_static(b"retry: 1000\n")]),
            waiting: VecDeque::new(),
            statuses_seen,
            silent_until: Instant::now() + SILENCE,
            comment_at: Instant::now() + COMMENTS,
            hub: self.clone(),
        })
    }

    fn no_table(&self, name: &str, views: &[PipelineView]) -> Fault {
        if views.iter().any(|view| view.name == name) {
            let detail = format!("pipeline \"{name}\" keeps no result table");
            return Fault::new(Code::NotFound, detail).hint("its retention is 0s");
        }
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
            let now = Instant::now();
            if self.comment_at.min(self.silent_until) <= now {
                self.comment_at = now + COMMENTS;
                self.pieces.push_back(Bytes::from_static(COMMENT));
                continue;
            }
            if self.statuses.has_changed().unwrap_or(false) {
                self.take_statuses();
            }
            if let Some(Event { name, id, data }) = self.event().await {
                // In pieces, so that its data is shared with other clients.
                self.pieces.push_back(format!("event: {name}\nid: {id}\ndata: ").into());
                self.pieces.push_back(data);
                self.pieces.push_back(Bytes::from_static(b"\n\n"));
                continue;
            }
            let silent_until = self.silent_until;
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(silent_until) => {}
            }
        }
    }

    /// Takes over the newest statuses, to be sent.
    fn take_statuses(&mut self) {
        let statuses = self.statuses.borrow_and_update().clone();
        self.waiting = statuses.data.iter().cloned().collect();
        self.statuses_seen = statuses.version;
    }

    /// Takes over the newest statuses if they say something else than those the client has.
    pub(super) fn take_new_statuses(&mut self) {
        if self.statuses_seen != self.statuses.borrow_and_update().version {
            self.take_statuses();
        }
    }

    /// Whether the server shuts down.
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until there may be an event, or the server shuts down.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            _ = self.changed.changed(), if !self.tables.is_empty() => {}
            _ = self.statuses.changed() => self.statuses.mark_changed(),
            _ = self.closing.changed() => {}
        }
    }

    /// The next event, if there is one.
    pub(super) async fn event(&mut self) -> Option<Event> {
        if let Some(status) = self.waiting.pop_front() {
            return Some(self.sent("status", status));
        }
        self.changed.mark_unchanged();
        self.table_event().await
    }

    /// The next event of a table; `None` if no table has one.
    async fn table_event(&mut self) -> Option<Event> {
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
            if let Some(event) = self.perform(at, work).await {
                return Some(event);
            }
        }
        None
    }

    /// Encodes an event of the table at `at`. `None` if that failed: it is tried again at the next
    /// commit.
    async fn perform(&mut self, at: usize, work: Work) -> Option<Event> {
        let table = self.tables[at].table.clone();
        let (merged, epoch) = match &work {
            Work::Delta(epochs) => (epochs.len() as u64 - 1, self.tables[at].epoch),
            Work::Snapshot(_) => (0, None),
        };
        let encoded = encode(&self.hub, table, work, Base { epoch, last_ms: self.last_ms }).await?;
        if encoded.name == "delta" && 0 < merged {
            self.hub.metrics.conflated(&self.tables[at].table.name, merged);
        }
        self.tables[at].epoch = Some(encoded.epoch);
        Some(self.sent(encoded.name, encoded.data))
    }

    /// An event that the client gets next, with the id behind it.
    fn sent(&mut self, name: &'static str, data: Bytes) -> Event {
        self.number = self.hub.events.fetch_add(1, Ordering::Relaxed) + 1;
        Event { name, id: self.position(), data }
    }

    /// Where the client stands.
    pub(super) fn position(&self) -> Position {
        let have = |followed: &Followed| followed.epoch.map(|epoch| (followed.table.number, epoch));
        Position {
            process: self.hub.process,
            number: self.number,
            // Until all of them are sent, the client has to get them again.
            statuses: if self.waiting.is_empty() { self.statuses_seen } else { 0 },
            last_ms: self.last_ms,
            epochs: self.tables.iter().filter_map(have).collect(),
        }
    }
}

/// The event that `work` comes to. Thousands of clients want the same one at the same moment: one of them
/// encodes it.
async fn encode(hub: &Hub, table: Arc<Table>, work: Work, base: Base) -> Option<Encoded> {
    if let Some(encoded) = encoded_before(&table, &work, base) {
        return Some(encoded);
    }
    let permit = hub.encodings.clone().acquire_owned().await.ok()?;
    // While this one waited.
    if let Some(encoded) = encoded_before(&table, &work, base) {
        return Some(encoded);
    }
    let encoding = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let encoded = encode_now(&table, &work, base.last_ms)?;
        // What is with its epoch need not be kept twice.
        if shared(&work, base.last_ms).is_none() {
            table.keep(base, &encoded);
        }
        Some(encoded)
    });
    encoding.await.ok().flatten()
}

/// An event that another client needed already.
fn encoded_before(table: &Table, work: &Work, base: Base) -> Option<Encoded> {
    shared(work, base.last_ms).or_else(|| table.encoded(base))
}

/// The delta of a single epoch, which all have in common that it leaves no row out for.
fn shared(work: &Work, last_ms: Option<i64>) -> Option<Encoded> {
    let Work::Delta(epochs) = work else { return None };
    let [rows] = epochs.as_slice() else { return None };
    let data = event::shared_delta(rows, last_ms)?;
    Some(Encoded { name: "delta", epoch: rows.epoch, data })
}

fn encode_now(table: &Table, work: &Work, last_ms: Option<i64>) -> Option<Encoded> {
    let committed = match work {
        Work::Delta(epochs) => {
            let epoch = epochs.last()?.epoch;
            if let Some(data) = event::delta(&table.name, epochs, table.time(), last_ms) {
                return Some(Encoded { name: "delta", epoch, data });
            }
            // Too large for an event: the newest snapshot instead, with its newest rows.
            table.latest()?
        }
        Work::Snapshot(committed) => committed.clone(),
    };
    let epoch = committed.facts().epoch.0;
    match event::snapshot(&table.name, committed.as_ref(), table.time(), last_ms) {
        Ok(data) => Some(Encoded { name: "snapshot", epoch, data }),
        Err(error) => {
            tracing::error!(table = %table.name, epoch, %error, "could not read a result table for a stream");
            None
        }
    }
}
