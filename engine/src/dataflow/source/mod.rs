//! A source subtask: takes records, decodes them, judges their time, runs the stateless steps and the
//! partial aggregation, and sends what is left to the window subtasks.
//!
//! ```text
//! Reader ─► blocks ─► Decoder ─► PartitionTime::judge ─► Stateless ─► Partial ─► Exchange
//!                        └───────────────┴────────────────────┴──► dead letters, counted
//! ```
//!
//! Invariants:
//! 1. Every record taken is a row, a tombstone or a dead letter of the epoch in which the partition's
//!    next offset passed it.
//! 2. Between `Close(N)` and `Barrier(N)` no record is taken.
//! 3. An epoch holds about [`EPOCH_BYTES_MAX`] of appended rows and dead letters, and its rows are in about
//!    `EPOCH_WINDOWS_MAX` windows: past that no record is taken until the next barrier, which is asked
//!    for at once.
//! 4. While a sink's outbox is full no record is taken: windows can't close then, and would grow.
//! 5. Dead letters that are run again are records that are taken, but for their time (`replay.rs`).

mod replay;
mod rows;
mod touched;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::connector::{Decoder, Reader, ReaderEvent, RecordBlock, Source, SourceError, Start};
use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::exchange::{Closed, Exchange};
use crate::dataflow::live::{Meter, Shared};
use crate::dataflow::message::{Control, Event, Report};
use crate::dataflow::partitions::Partitions;
use crate::dataflow::plan::Plan;
use crate::dataflow::sink::SINK_POLL;
use crate::operator::partial::Partial;
use crate::operator::stateless::Stateless;
use crate::operator::{self, Batch};
use crate::result::DeadLetter;
use crate::state::failpoint::{self, Point};
use crate::time::watermark::Rules;
use crate::time::{Clock, Epoch};
use replay::Replaying;
use touched::Touched;

/// Records per poll: large enough to pay for a batch's fixed costs, small enough that a barrier waits
/// a few milliseconds at most.
const RECORDS_MAX: usize = 8_192;
/// How long a poll waits for the first record; the longest that a barrier waits for an idle source.
const POLL_WAIT: Duration = Duration::from_millis(10);
/// How long to wait before asking an absent registry again.
const BLOCKED_WAIT: Duration = Duration::from_millis(100);
/// How long to wait before asking a broker again that did not say where a partition starts.
const ASSIGN_WAIT_NS: u64 = 200_000_000;
/// Not having asked the client for longer than this, or than half of a shorter `idle_timeout`: what was
/// silent before may have a backlog now.
const DEAF_NS: u64 = 1_000_000_000;
/// Appended rows and dead letters of one subtask in one epoch.
pub const EPOCH_BYTES_MAX: usize = 32 << 20;

/// Windows that the rows of one subtask in one epoch are in. Each takes some 4 KB and 20 µs until its rows
/// are written, however few.
const EPOCH_WINDOWS_MAX: i64 = 16_384;

/// Everything a source subtask is made of.
pub struct SourceTask {
    pub subtask: usize,
    pub plan: Arc<Plan>,
    pub source: Arc<dyn Source>,
    pub rules: Rules,
    pub reader: Box<dyn Reader>,
    pub decoder: Box<dyn Decoder>,
    pub stateless: Stateless,
    /// `None` without aggregation.
    pub partial: Option<Partial>,
    pub exchange: Exchange,
    pub control: Receiver<Control>,
    pub events: Sender<Event>,
    /// Set when something happened that deserves an epoch.
    pub activity: Arc<AtomicBool>,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub partitions: Partitions,
    /// Usually [`EPOCH_BYTES_MAX`].
    pub epoch_bytes_max: usize,
    /// Whether to go on where records were deleted before they were read.
    pub skip_lost: bool,

    pub state: SourceState,
}

/// What changes while a source subtask runs.
#[derive(Default)]
pub struct SourceState {
    /// Taken from the reader, not yet dealt with, in order.
    queue: VecDeque<Work>,
    report: Report,
    /// `Close` has come, `Barrier` has not.
    closed: bool,
    /// For the coordinator, behind what the exchange has not yet sent.
    unsaid: Option<Event>,
    epoch_bytes: usize,
    /// `None`: the plan has no window.
    touched: Option<Touched>,
    /// Records of a poll: fewer than [`RECORDS_MAX`] where they are in too many windows.
    records_max: usize,
    /// The coordinator knows that this epoch is full.
    full_said: bool,
    /// To be assigned once their brokers answer.
    unassigned: VecDeque<Unassigned>,
    /// The client has said that something is wrong, and not yet that it is over.
    in_trouble: bool,
    polled_ns: u64,
    /// Since when silence of a partition means that there is nothing.
    listening_since_ns: u64,
    ready: Vec<Batch>,
    /// Dead letters that are to be run again.
    replaying: Option<Replaying>,
    /// Those behind the records of the block that is run again.
    again: Vec<DeadLetter>,
}

impl SourceState {
    /// Before the first record. How far apart rows are is found out: a row may be in windows of its own.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let touched = Touched::of(plan);
        let n_per_row = touched.as_ref().map_or(1, Touched::n_per_pane);
        let records_max = RECORDS_MAX / usize::try_from(n_per_row).unwrap_or(RECORDS_MAX);
        Self { touched, records_max: records_max.max(1), ..Self::default() }
    }

    /// Whether the epoch's rows are in as many windows as they may.
    fn has_many_windows(&self) -> bool {
        self.touched.as_ref().is_some_and(|touched| EPOCH_WINDOWS_MAX < touched.n_windows())
    }
}

/// A partition that the reader does not know yet.
struct Unassigned {
    partition: i32,
    start: Start,
    /// Its leader is not asked before.
    after_ns: u64,
}

/// Something to do for a partition. In one queue, so that a partition's end is noted behind its records.
enum Work {
    /// The number is the first record not yet decoded.
    Block(RecordBlock, usize),
    /// What lies before `next_offset` has been taken: the partition's end, or that of a bounded run.
    Reached { partition: i32, next_offset: i64 },
    /// The records from `from` up to `to` were deleted before they were read.
    Lost { partition: i32, from: i64, to: i64 },
}

/// Why a source subtask ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("could not read the source")]
    Source(#[from] SourceError),
    #[error("could not process a batch")]
    Operator(#[from] operator::Error),
    /// The coordinator or a window subtask is gone; they say why.
    #[error("the pipeline is ending")]
    Closed,
}

impl From<Closed> for Error {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Operator(error.into())
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Operator(error.into())
    }
}

impl Actor for SourceTask {
    type Error = Error;

    fn step(&mut self) -> Result<Next, Error> {
        if let Some(next) = self.exchange.send()? {
            return Ok(next);
        }
        if let Some(event) = self.state.unsaid.take() {
            match actor::try_send(&self.events, event) {
                Sent::Yes => return Ok(Next::Step),
                Sent::Gone => return Err(Error::Closed),
                Sent::Full(event) => {
                    self.state.unsaid = Some(event);
                    return Ok(Next::Blocked);
                }
            }
        }
        match self.control.try_recv() {
            Ok(control) => self.obey(control),
            Err(TryRecvError::Disconnected) => Ok(Next::End),
            Err(TryRecvError::Empty) if self.state.closed => Ok(Next::Wait(None)),
            Err(TryRecvError::Empty) => self.work(),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        // A full epoch can't end while commits are behind.
        let is_blocked = !self.state.closed && (self.state.full_said || self.waits_for_sinks());
        if is_blocked {
            self.meter().blocked.begin(self.clock.monotonic_ns());
        }
        actor::wait_for_message(&self.control, timeout);
        if is_blocked {
            self.meter().blocked.end(self.clock.monotonic_ns());
        }
    }

    fn wait_for_room(&mut self) {
        if self.state.unsaid.is_some() && self.exchange.is_empty() {
            self.meter().blocked.begin(self.clock.monotonic_ns());
            actor::wait_for_room(&self.events);
            self.meter().blocked.end(self.clock.monotonic_ns());
        } else {
            self.exchange.wait_for_room();
        }
    }
}

impl SourceTask {
    fn meter(&self) -> &Meter {
        &self.shared.sources[self.subtask]
    }

    fn waits_for_sinks(&self) -> bool {
        self.shared.sinks.full().is_some()
    }

    fn obey(&mut self, control: Control) -> Result<Next, Error> {
        match control {
            Control::Assign { fact, start, end_offset } => {
                let partition = fact.partition;
                self.state.unassigned.push_back(Unassigned { partition, start, after_ns: 0 });
                let raised = self.partitions.assign(&fact, self.rules.lateness_ms, self.clock.monotonic_ns());
                if let Some(end_offset) = end_offset {
                    self.shared.set_end_offset(fact.partition, end_offset);
                }
                // The end of a bounded run is kept, where there is something to read up to it.
                let has_end = fact.bounded_end.is_some_and(|end| fact.next_offset < end);
                if raised || has_end || !goes_on(start) {
                    self.activity.store(true, Ordering::Relaxed);
                }
            }
            Control::Close(epoch) => {
                self.meter().busy.begin(self.clock.monotonic_ns());
                if let Some(partial) = &mut self.partial {
                    partial.flush(&mut self.state.ready)?;
                }
                self.put_ready()?;
                self.meter().busy.end(self.clock.monotonic_ns());
                self.state.unsaid = Some(Event::Report(Box::new(self.report(epoch))));
                failpoint::pass(Point::Report);
                self.state.closed = true;
            }
            Control::Barrier { barrier, read_until_ms } => {
                self.state.closed = false;
                self.pass(barrier, read_until_ms);
            }
            Control::Replay(replay) => self.begin_replay(replay)?,
        }
        Ok(Next::Step)
    }

    fn pass(&mut self, barrier: operator::Barrier, read_until_ms: Option<i64>) {
        self.exchange.put_barrier(barrier);
        self.partitions.close(barrier.watermark_ms.map(|w| w.saturating_sub(self.rules.lateness_ms)));
        let now_ns = self.clock.monotonic_ns();
        for (partition, state) in self.partitions.iter_mut() {
            let ahead = read_until_ms.zip(state.time.watermark_ms).is_some_and(|(until, w)| until < w);
            if ahead != state.paused {
                self.reader.set_paused(partition, ahead);
                state.set_paused(ahead, now_ns);
            }
        }
    }

    fn report(&mut self, epoch: Epoch) -> Report {
        (self.state.epoch_bytes, self.state.full_said) = (0, false);
        let records_max = self.state.records_max;
        let records_max = if self.state.has_many_windows() { records_max / 2 } else { records_max * 2 };
        self.state.records_max = records_max.clamp(1, RECORDS_MAX);
        self.state.touched.iter_mut().for_each(Touched::clear);
        let mut report = std::mem::take(&mut self.state.report);
        report.subtask = self.subtask;
        report.epoch = epoch;
        report.partitions = self.partitions.facts();
        report.floors = self.partitions.take_floors(epoch);
        report
    }

    /// Deals with what was taken, or takes more.
    fn work(&mut self) -> Result<Next, Error> {
        if self.epoch_bytes_max < self.state.epoch_bytes || self.state.has_many_windows() {
            if std::mem::replace(&mut self.state.full_said, true) {
                return Ok(Next::Wait(None));
            }
            self.state.unsaid = Some(Event::Full);
            return Ok(Next::Step);
        }
        if self.waits_for_sinks() {
            // Where partitions start is asked for all the same.
            return Ok(if self.assign_next()? { Next::Step } else { Next::Wait(Some(SINK_POLL)) });
        }
        // Before what waits for a registry.
        if let Some(replaying) = self.state.replaying.take() {
            return self.run_again(replaying);
        }
        match self.state.queue.pop_front() {
            Some(Work::Block(block, from)) => return self.process(block, from),
            Some(Work::Reached { partition, next_offset }) => {
                self.reached(partition, next_offset);
                return Ok(Next::Step);
            }
            Some(Work::Lost { partition, from, to }) => {
                self.lost(partition, from, to);
                return Ok(Next::Step);
            }
            None => {}
        }
        if self.assign_next()? {
            return Ok(Next::Step);
        }
        let mut taken = Vec::new();
        let asked_ns = self.clock.monotonic_ns();
        let polled = self.reader.poll(self.state.records_max, POLL_WAIT, &mut taken);
        if (self.state.records_max / 2).max(1) <= n_records(&taken) {
            // So much was there already: it took its time and did not wait.
            self.meter().busy.add(self.clock.monotonic_ns().saturating_sub(asked_ns));
        }
        let next = if taken.is_empty() { Next::Polled } else { Next::Step };
        for event in taken {
            self.take(event);
        }
        match polled {
            Err(SourceError::Lost { partition, next_offset, begin_offset }) if self.skip_lost => {
                self.reader.skip_to(partition, begin_offset)?;
                self.state.queue.push_back(Work::Lost { partition, from: next_offset, to: begin_offset });
            }
            other => other?,
        }
        self.listen();
        Ok(next)
    }

    /// After each poll: looks for partitions that have been silent for long, while it was listening.
    fn listen(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        let idle_timeout_ms = self.source.watermark().idle_timeout_ms;
        let timeout_ns = u64::try_from(idle_timeout_ms).unwrap_or(0).saturating_mul(1_000_000);
        let polled_ns = std::mem::replace(&mut self.state.polled_ns, now_ns);
        if self.state.in_trouble || DEAF_NS.min(timeout_ns / 2) < now_ns.saturating_sub(polled_ns) {
            self.state.listening_since_ns = now_ns;
        }
        if self.partitions.fall_idle(idle_timeout_ms, now_ns, self.state.listening_since_ns) {
            self.activity.store(true, Ordering::Relaxed);
        }
    }

    /// Gives the reader a partition whose turn it is; whether there was one.
    fn assign_next(&mut self) -> Result<bool, Error> {
        if self.state.unassigned.is_empty() {
            return Ok(false);
        }
        let asked_ns = self.clock.monotonic_ns();
        let due = self.state.unassigned.iter().position(|each| each.after_ns <= asked_ns);
        let Some(due) = due.and_then(|i| self.state.unassigned.remove(i)) else { return Ok(false) };
        let Unassigned { partition, start, .. } = due;
        match self.reader.assign(partition, start) {
            Ok(next_offset) => {
                let state = self.partitions.get(partition).expect("it is known before it is assigned");
                state.advance(next_offset);
                if state.paused {
                    // A barrier came first, and the reader did not know the partition then.
                    self.reader.set_paused(partition, true);
                }
                self.shared.set_unread(partition, false);
                if self.state.unassigned.iter().all(|each| each.after_ns == 0) {
                    self.shared.set_trouble("assignment", self.subtask, None);
                }
                if !goes_on(start) {
                    self.activity.store(true, Ordering::Relaxed);
                }
                Ok(true)
            }
            Err(SourceError::Retry(detail)) => {
                self.shared.set_trouble("assignment", self.subtask, Some(detail));
                // A question that takes long is asked seldom: the other partitions wait meanwhile.
                let now_ns = self.clock.monotonic_ns();
                let n_waits = 4 * (1 + self.state.unassigned.len() as u64);
                let wait_ns = ASSIGN_WAIT_NS.max(now_ns.saturating_sub(asked_ns).saturating_mul(n_waits));
                let after_ns = now_ns.saturating_add(wait_ns);
                self.state.unassigned.push_back(Unassigned { partition, start, after_ns });
                Ok(true)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn take(&mut self, event: ReaderEvent) {
        match event {
            ReaderEvent::Block(mut block) => {
                let partition = block.partition;
                let state = self.partitions.get(partition).expect("blocks come from assigned partitions");
                state.heard();
                let bounded_end = state.bounded_end;
                let n_taken = block.len();
                if let Some(end) = bounded_end {
                    block.truncate_at(end);
                }
                let cut = bounded_end.filter(|_| block.len() < n_taken);
                if !block.is_empty() {
                    self.state.queue.push_back(Work::Block(block, 0));
                }
                if let Some(next_offset) = cut {
                    self.state.queue.push_back(Work::Reached { partition, next_offset });
                }
            }
            ReaderEvent::End { partition, next_offset } => {
                self.shared.set_end_offset(partition, next_offset);
                // What lies behind the end of a bounded run was not taken: a later run reads it.
                let bounded_end = self.partitions.get(partition).and_then(|state| state.bounded_end);
                let next_offset = bounded_end.map_or(next_offset, |end| end.min(next_offset));
                self.state.queue.push_back(Work::Reached { partition, next_offset });
            }
            ReaderEvent::HighWatermark { partition, end_offset } => {
                self.shared.set_end_offset(partition, end_offset);
            }
            ReaderEvent::Trouble { detail } => {
                self.state.in_trouble = true;
                self.shared.set_trouble("source", self.subtask, Some(detail));
            }
            ReaderEvent::Recovered => {
                self.state.in_trouble = false;
                self.shared.set_trouble("source", self.subtask, None);
            }
        }
    }

    fn reached(&mut self, partition: i32, next_offset: i64) {
        let now_ns = self.clock.monotonic_ns();
        let Some(state) = self.partitions.get(partition) else { return };
        if state.next_offset < next_offset {
            self.activity.store(true, Ordering::Relaxed);
            state.advance(next_offset);
        }
        state.reached_end(now_ns);
    }

    fn lost(&mut self, partition: i32, from: i64, to: i64) {
        let Some(state) = self.partitions.get(partition) else { return };
        // What an earlier block of the partition held was not lost.
        let n_lost = u64::try_from(to.saturating_sub(from.max(state.next_offset))).unwrap_or(0);
        state.advance(to.max(state.next_offset));
        self.state.report.counters.lost_records += n_lost;
        self.shared.lost_records_total.fetch_add(n_lost, Ordering::Relaxed);
        self.activity.store(true, Ordering::Relaxed);
        tracing::warn!(
            partition,
            from,
            to,
            "records were deleted before they were read: going on without them"
        );
    }

    fn process(&mut self, block: RecordBlock, from: usize) -> Result<Next, Error> {
        self.meter().busy.begin(self.clock.monotonic_ns());
        let decoded = self.decoder.decode(&block, from)?;
        let next = decoded.next;
        if from < next {
            self.activity.store(true, Ordering::Relaxed);
            self.account(&block, from, &decoded);
            self.judge_and_run(&block, &decoded)?;
            let state = self.partitions.get(block.partition).expect("blocks come from assigned partitions");
            let next_offset = block.offsets[next - 1] + 1;
            state.advance(next_offset);
            // The client's own news of the end come later than the records.
            self.shared.set_end_offset(block.partition, next_offset);
            self.put_ready()?;
        }
        self.meter().busy.end(self.clock.monotonic_ns());
        if let Some(detail) = decoded.blocked {
            self.shared.set_trouble("registry", self.subtask, Some(detail));
            self.state.queue.push_front(Work::Block(block, next));
            return Ok(Next::Wait(Some(BLOCKED_WAIT)));
        }
        self.shared.set_trouble("registry", self.subtask, None);
        Ok(Next::Step)
    }

    fn put_ready(&mut self) -> Result<(), Error> {
        for batch in self.state.ready.drain(..) {
            self.exchange.put(batch)?;
        }
        Ok(())
    }
}

fn n_records(events: &[ReaderEvent]) -> usize {
    let n_records = |event: &ReaderEvent| match event {
        ReaderEvent::Block(block) => block.len(),
        _ => 0,
    };
    events.iter().map(n_records).sum()
}

/// Whether a partition is read on from where it was committed: nothing that is not known already.
fn goes_on(start: Start) -> bool {
    matches!(start, Start::Offset(_))
}
