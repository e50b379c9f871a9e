//! The thread of one sink: opens it, finds out what it has, and delivers what is missing.
//!
//! ```text
//! ┌─► open: fence, then read progress ─► compare with the folder ─► read outbox ─► deliver ─► note ─┐
//! │        ▲                                      │                   ▲                             │
//! │        └── Reopen: nobody knows, ask again    └─► behind: fail    └─────────────────────────────┘
//! └── wait: longer after each failure
//! ```
//!
//! Invariants:
//! 1. What a sink says that it has is never delivered again, and everything behind it is.
//! 2. A sink that is further than this folder can have brought it ends the pipeline before anything
//!    is delivered: rows would be missing, or be there twice.
//! 3. While it waits for a sink, it keeps the data folder of a stopped pipeline from nobody.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select};

use super::retry::Retry;
use super::status::{SinkState, Status};
use crate::connector::{
    Batching, Delivery, Position, Progress, Sink, SinkContext, SinkError, SinkWriter, Source, SourceError,
};
use crate::dataflow::actor::{self, Actor, Next};
use crate::dataflow::threads::chain;
use crate::state::failpoint::{self, Point};
use crate::state::{Entry, SinkRecord, Size, Store, WeakStore};
use crate::time::{Clock, Epoch};

/// The longest wait without a look around.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Everything a sink's thread is made of.
pub struct SinkTask {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
    pub store: WeakStore,
    pub status: Arc<Status>,
    pub clock: Arc<dyn Clock>,
    /// Where the source's partitions are 0, it asks for them.
    pub context: SinkContext,
    /// Nothing is ever sent: it is closed when the pipeline stops.
    pub stop: Receiver<()>,
    /// The last epoch that the sink may have got from this folder before this start.
    pub may_have: Epoch,
    pub state: SinkTaskState,
}

/// What changes while it runs.
#[derive(Default)]
pub struct SinkTaskState {
    writer: Option<Box<dyn SinkWriter>>,
    /// Everything up to it is in the sink.
    after: Option<Position>,
    /// The last part that was tried: the sink may have it, whatever it answered.
    tried: Option<Position>,
    noted: Option<Position>,
    retry: Retry,
    paused_until_ns: Option<u64>,
    /// Since when rows have been waiting for others.
    waiting_since_ns: Option<u64>,
}

impl SinkTaskState {
    /// Before the first step. `identity` tells this sink's waits from those of others; everything up
    /// to `noted` is known to have been delivered.
    #[must_use]
    pub fn new(identity: &str, noted: Option<Position>) -> Self {
        Self { noted, retry: Retry::new(identity), ..Self::default() }
    }
}

/// A sink can't go on, and its pipeline with it. For a person.
#[derive(Debug, thiserror::Error)]
#[error("sink \"{sink}\": {reason}")]
pub struct SinkFailure {
    sink: String,
    reason: String,
}

/// What came of a try.
enum Tried {
    Delivered,
    /// Nothing to do for so long, unless woken.
    Wait(Duration),
}

impl Actor for SinkTask {
    type Error = SinkFailure;

    /// May take as long as the sink does: it has a thread of its own, for which only a stop waits, and not long.
    fn step(&mut self) -> Result<Next, SinkFailure> {
        let Some(store) = self.store.upgrade().filter(|_| !self.context.stopping.is_set()) else {
            self.close();
            self.status.meter().blocked.end(self.clock.monotonic_ns());
            self.status.set_state(SinkState::Stopped);
            return Ok(Next::End);
        };
        if let Some(until_ns) = self.state.paused_until_ns {
            let left_ns = until_ns.saturating_sub(self.clock.monotonic_ns());
            if left_ns != 0 {
                return Ok(Next::Wait(Some(Duration::from_nanos(left_ns))));
            }
            self.state.paused_until_ns = None;
            self.status.meter().blocked.end(self.clock.monotonic_ns());
        }
        let tried = match self.state.writer.take() {
            Some(writer) => {
                self.status.meter().busy.begin(self.clock.monotonic_ns());
                let tried = self.deliver(writer, store);
                self.status.meter().busy.end(self.clock.monotonic_ns());
                tried
            }
            None => {
                self.status.meter().blocked.begin(self.clock.monotonic_ns());
                let tried = self.open(store);
                self.status.meter().blocked.end(self.clock.monotonic_ns());
                tried
            }
        };
        match tried {
            Ok(Tried::Delivered) => self.state.retry.worked(),
            Ok(Tried::Wait(at_most)) => {
                if self.state.retry.is_failing() && self.state.writer.is_some() && !self.has_rows() {
                    self.state.retry.worked();
                    self.status.set_state(SinkState::Running);
                }
                return Ok(Next::Wait(Some(at_most)));
            }
            Err(SinkError::Fatal(reason)) => {
                self.close();
                self.status.failed(SinkState::Failed, reason.clone());
                return Err(SinkFailure { sink: self.name().to_owned(), reason });
            }
            Err(SinkError::Retry(reason) | SinkError::Reopen(reason)) => self.failed(reason),
        }
        Ok(Next::Step)
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        let mut select = Select::new();
        select.recv(&self.stop);
        // Being woken by every epoch must not shorten a pause.
        if self.state.paused_until_ns.is_none() {
            select.recv(self.status.woken());
        }
        actor::wait_ready(&mut select, timeout);
        self.status.woken().try_recv().ok();
    }

    /// It sends to no channel.
    fn wait_for_room(&mut self) {}
}

impl SinkTask {
    /// The sink file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.sink.name()
    }

    fn has_rows(&self) -> bool {
        self.status.outbox().rows != 0
    }

    fn close(&mut self) {
        if let Some(writer) = self.state.writer.take() {
            writer.close();
        }
    }

    fn failed(&mut self, reason: String) {
        let pause = self.state.retry.failed();
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let now_ns = self.clock.monotonic_ns();
        self.state.paused_until_ns = Some(now_ns.saturating_add(pause_ns));
        self.status.meter().blocked.begin(now_ns);
        if !self.state.retry.is_open() {
            return self.status.failed(SinkState::Retrying, reason);
        }
        self.close();
        if self.status.live().state != SinkState::Down {
            tracing::warn!(sink = self.name(), reason, "sink is down: its rows wait in the outbox");
        }
        self.status.failed(SinkState::Down, reason);
    }

    /// Connects and finds out where to go on. No reference to the store is held meanwhile.
    fn open(&mut self, store: Store) -> Result<Tried, SinkError> {
        drop(store);
        self.status.set_opening(true);
        let opened = self.connect();
        self.status.set_opening(false);
        let (writer, progress) = opened?;
        if self.context.stopping.is_set() {
            // Nobody waits for it any more.
            writer.close();
            return Ok(Tried::Wait(Duration::ZERO));
        }
        failpoint::pass(Point::SinkOpened);
        if let Err(reason) = self.resume(progress) {
            writer.close();
            return Err(SinkError::Fatal(reason));
        }
        self.state.writer = Some(writer);
        if !self.state.retry.is_failing() {
            self.status.set_state(SinkState::Running);
        }
        Ok(Tried::Wait(Duration::ZERO))
    }

    fn connect(&mut self) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        if self.context.source_partitions == 0 {
            let topology = self.source.discover().map_err(|error| match error {
                SourceError::Retry(detail) => SinkError::Retry(detail),
                other => SinkError::Fatal(chain(&other)),
            })?;
            self.context.source_partitions = topology.partitions.len().max(1);
        }
        self.sink.open(&self.context)
    }

    /// Compares what the sink has with what the folder knows.
    fn resume(&mut self, progress: Option<Progress>) -> Result<(), String> {
        let has = progress.filter(|progress| progress.incarnation == self.context.incarnation);
        if let Some(found) = progress {
            self.check(found)?;
        }
        self.state.after = has.map(|progress| progress.position);
        if self.state.after < self.state.noted {
            tracing::warn!(
                sink = self.sink.name(),
                delivered_epoch = self.state.noted.map(|noted| noted.epoch.0),
                found_epoch = self.state.after.map(|after| after.epoch.0),
                "sink has less than was delivered to it: it gets the rows that are in the outbox"
            );
        }
        self.state.noted = self.state.after;
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        let sink = self.sink.name();
        let noted = (|| {
            // From now on it may get whatever is committed.
            store.set_sink(sink, &SinkRecord { may_have: None, delivered: self.state.after }, true)?;
            self.state.after.map_or_else(|| Ok(Size::default()), |after| store.drop_outbox_to(sink, after))
        })();
        let dropped = noted.map_err(|error| chain(&error))?;
        if let Some(after) = self.state.after {
            self.status.delivered(dropped, whole_epoch(after), false);
        }
        Ok(())
    }

    /// Refuses a sink whose rows are not from this folder.
    fn check(&self, found: Progress) -> Result<(), String> {
        let SinkContext { incarnation, fingerprint, .. } = self.context;
        let position = found.position;
        let is_ahead = found.incarnation == incarnation
            && self.may_have < position.epoch
            && self.state.tried.is_none_or(|tried| tried < position);
        if incarnation < found.incarnation || is_ahead {
            return Err(format!(
                "its data folder is behind its sink: the sink has rows up to epoch {} of incarnation {}, the folder gave \
                 it rows up to epoch {} of incarnation {incarnation}; put back the folder that those rows came from, or \
                 reset the pipeline",
                position.epoch,
                found.incarnation,
                self.may_have.max(self.state.tried.map(|tried| tried.epoch).unwrap_or_default()),
            ));
        }
        if found.incarnation == incarnation && found.fingerprint != fingerprint {
            return Err(format!(
                "its data folder is not the one that its sink was written from: the sink has rows of query {:016x}, \
                 the folder of {fingerprint:016x}; put back the folder that those rows came from, or reset the pipeline",
                found.fingerprint
            ));
        }
        Ok(())
    }

    /// Delivers what is there, if it is enough or has waited long enough.
    fn deliver(&mut self, mut writer: Box<dyn SinkWriter>, store: Store) -> Result<Tried, SinkError> {
        let limits = self.sink.batching();
        let wait = self.waits(limits);
        let entries = if wait.is_some() {
            Vec::new()
        } else {
            let read = store.read_outbox(self.sink.name(), self.state.after, limits);
            read.map_err(|error| SinkError::Fatal(chain(&error)))?
        };
        // Nothing but the writer is held while the sink is waited for.
        drop(store);
        let Some(last) = entries.last() else {
            self.state.writer = Some(writer);
            return Ok(Tried::Wait(wait.unwrap_or(WAIT_MAX)));
        };
        let upto = last.position;
        let (positions, size) = summary(&entries);
        let rows = Delivery { changes: entries.into_iter().map(|entry| entry.change).collect() };
        failpoint::pass(Point::BeforeDelivery);
        self.state.tried = self.state.tried.max(Some(upto));
        match writer.deliver(upto, &rows) {
            Ok(()) => self.state.writer = Some(writer),
            Err(SinkError::Retry(reason)) => {
                self.state.writer = Some(writer);
                return Err(SinkError::Retry(reason));
            }
            Err(error) => return Err(error),
        }
        failpoint::pass(Point::AfterDelivery);
        self.state.after = Some(upto);
        self.state.waiting_since_ns = None;
        if let Some(store) = self.store.upgrade() {
            let known = SinkRecord { may_have: None, delivered: Some(upto) };
            let noted = store.delivered(self.sink.name(), positions.into_iter(), &known);
            noted.map_err(|error| SinkError::Fatal(chain(&error)))?;
        }
        self.state.noted = Some(upto);
        failpoint::pass(Point::DeliveryNoted);
        self.status.delivered(size, whole_epoch(upto), true);
        Ok(Tried::Delivered)
    }

    /// How long to wait for more rows; `None`: deliver what is there.
    fn waits(&mut self, limits: Batching) -> Option<Duration> {
        let outbox = self.status.outbox();
        if outbox.rows == 0 {
            return Some(WAIT_MAX);
        }
        let is_enough = limits.rows_max as u64 <= outbox.rows || limits.bytes_max as u64 <= outbox.bytes;
        if limits.linger.is_zero() || is_enough || self.status.wants_flush() || self.state.retry.is_failing()
        {
            return None;
        }
        let now_ns = self.clock.monotonic_ns();
        let since_ns = *self.state.waiting_since_ns.get_or_insert(now_ns);
        let waited = Duration::from_nanos(now_ns.saturating_sub(since_ns));
        limits.linger.checked_sub(waited).filter(|left| !left.is_zero())
    }
}

fn summary(entries: &[Entry]) -> (Vec<Position>, Size) {
    let mut size = Size::default();
    entries.iter().for_each(|entry| size += entry.size);
    (entries.iter().map(|entry| entry.position).collect(), size)
}

/// The last epoch of which everything is delivered.
fn whole_epoch(upto: Position) -> Epoch {
    if upto.last_part { upto.epoch } else { Epoch(upto.epoch.0.saturating_sub(1)) }
}
