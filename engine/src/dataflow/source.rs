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
//! 3. An epoch holds about [`EPOCH_BYTES_MAX`] of appended rows and dead letters: past that no
//!    record is taken until the next barrier, which is asked for at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::connector::{
    Decoded, Decoder, Reader, ReaderEvent, Reason, RecordBlock, Source, SourceError, Start,
};
use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::exchange::{Closed, Exchange};
use crate::dataflow::live::Shared;
use crate::dataflow::message::{Control, Event, Report};
use crate::dataflow::partitions::Partitions;
use crate::dataflow::plan::Plan;
use crate::operator::expand::SourceRows;
use crate::operator::partial::{Partial, split_by_pane};
use crate::operator::stateless::{Prepared, Stateless, units_per_ms};
use crate::operator::{self, Batch};
use crate::result::DeadLetter;
use crate::state::failpoint::{self, Point};
use crate::time::watermark::{Judged, Rules, Verdict};
use crate::time::window::{Windows, floor_to_ms};
use crate::time::{Clock, Epoch};

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
    /// The coordinator knows that this epoch is full.
    full_said: bool,
    /// To be assigned once the broker answers.
    unassigned: VecDeque<(i32, Start)>,
    assign_after_ns: u64,
    /// The client has said that something is wrong, and not yet that it is over.
    in_trouble: bool,
    polled_ns: u64,
    /// Since when silence of a partition means that there is nothing.
    listening_since_ns: u64,
    ready: Vec<Batch>,
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
        actor::wait_for_message(&self.control, timeout);
    }

    fn wait_for_room(&mut self) {
        if self.state.unsaid.is_some() && self.exchange.is_empty() {
            actor::wait_for_room(&self.events);
        } else {
            self.exchange.wait_for_room();
        }
    }
}

impl SourceTask {
    fn obey(&mut self, control: Control) -> Result<Next, Error> {
        match control {
            Control::Assign { fact, start, end_offset } => {
                self.state.unassigned.push_back((fact.partition, start));
                self.partitions.assign(&fact, self.rules.lateness_ms, self.clock.monotonic_ns());
                if let Some(end_offset) = end_offset {
                    self.shared.set_end_offset(fact.partition, end_offset);
                }
                self.activity.store(true, Ordering::Relaxed);
            }
            Control::Close(epoch) => {
                if let Some(partial) = &mut self.partial {
                    partial.flush(&mut self.state.ready)?;
                }
                self.put_ready()?;
                self.state.unsaid = Some(Event::Report(self.report(epoch)));
                failpoint::pass(Point::Report);
                self.state.closed = true;
            }
            Control::Barrier { barrier, read_until_ms } => {
                self.state.closed = false;
                self.pass(barrier, read_until_ms);
            }
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
        let mut report = std::mem::take(&mut self.state.report);
        report.subtask = self.subtask;
        report.epoch = epoch;
        report.partitions = self.partitions.facts();
        report.floors = self.partitions.take_floors(epoch);
        report
    }

    /// Deals with what was taken, or takes more.
    fn work(&mut self) -> Result<Next, Error> {
        if self.epoch_bytes_max < self.state.epoch_bytes {
            if std::mem::replace(&mut self.state.full_said, true) {
                return Ok(Next::Wait(None));
            }
            self.state.unsaid = Some(Event::Full);
            return Ok(Next::Step);
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
        if self.state.assign_after_ns <= self.clock.monotonic_ns()
            && let Some((partition, start)) = self.state.unassigned.pop_front()
        {
            self.assign(partition, start)?;
            return Ok(Next::Step);
        }
        let mut taken = Vec::new();
        let polled = self.reader.poll(RECORDS_MAX, POLL_WAIT, &mut taken);
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

    fn assign(&mut self, partition: i32, start: Start) -> Result<(), Error> {
        let asked_ns = self.clock.monotonic_ns();
        match self.reader.assign(partition, start) {
            Ok(next_offset) => {
                let state = self.partitions.get(partition).expect("it is known before it is assigned");
                state.advance(next_offset);
                if state.paused {
                    // A barrier came first, and the reader did not know the partition then.
                    self.reader.set_paused(partition, true);
                }
                self.shared.set_trouble("assignment", self.subtask, None);
                self.activity.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(SourceError::Retry(detail)) => {
                self.shared.set_trouble("assignment", self.subtask, Some(detail));
                self.state.unassigned.push_back((partition, start));
                // A question that takes long is asked seldom: the other partitions wait meanwhile.
                let now_ns = self.clock.monotonic_ns();
                let wait_ns = ASSIGN_WAIT_NS.max(now_ns.saturating_sub(asked_ns).saturating_mul(4));
                self.state.assign_after_ns = now_ns.saturating_add(wait_ns);
                Ok(())
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
        let before = self.clock.monotonic_ns();
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
        let spent = self.clock.monotonic_ns().saturating_sub(before);
        self.shared.sources[self.subtask].busy_ns.fetch_add(spent, Ordering::Relaxed);
        if let Some(detail) = decoded.blocked {
            self.shared.set_trouble("registry", self.subtask, Some(detail));
            self.state.queue.push_front(Work::Block(block, next));
            return Ok(Next::Wait(Some(BLOCKED_WAIT)));
        }
        self.shared.set_trouble("registry", self.subtask, None);
        Ok(Next::Step)
    }

    /// Counts the records of a block that were dealt with, and keeps the rejected ones.
    fn account(&mut self, block: &RecordBlock, from: usize, decoded: &Decoded) {
        let n_records = (decoded.next - from) as u64;
        let n_bytes: usize = (from..decoded.next).filter_map(|i| block.value(i)).map(<[u8]>::len).sum();
        self.shared.records_total.fetch_add(n_records, Ordering::Relaxed);
        self.shared.bytes_total.fetch_add(n_bytes as u64, Ordering::Relaxed);
        self.shared.tombstones_total.fetch_add(decoded.tombstones, Ordering::Relaxed);
        let n_rows = decoded.records.len() as u64;
        self.shared.sources[self.subtask].rows_in.fetch_add(n_rows, Ordering::Relaxed);
        self.state.report.counters.rows_in += n_rows;
        self.state.report.counters.tombstones += decoded.tombstones;
        self.state.report.schemas.extend(decoded.schemas.iter().cloned());
        for rejected in &decoded.rejected {
            self.dead_letter(block, rejected.record, rejected.reason, rejected.detail.clone());
        }
    }

    fn judge_and_run(&mut self, block: &RecordBlock, decoded: &Decoded) -> Result<(), Error> {
        let Some(first) = decoded.records.first() else { return Ok(()) };
        self.partitions.wake(block.partition, self.rules.lateness_ms, block.offsets[*first as usize]);
        let event_times = event_times_ms(&decoded.batch, self.plan.event_time)?;
        let state = self.partitions.get(block.partition).expect("blocks come from assigned partitions");
        let mut judged = Judged::default();
        let record_times = decoded.records.iter().map(|record| block.timestamps_ms[*record as usize]);
        state.time.judge(&self.rules, event_times.iter(), record_times, &mut judged);

        let rows = SourceRows {
            batch: decoded.batch.clone(),
            panes: Int64Array::from(judged.panes),
            sides: sides(&judged.sides, judged.verdicts.len()),
            times_ms: event_times,
            records: UInt32Array::from(decoded.records.clone()),
        };
        let counts = |verdict: &Verdict| matches!(verdict, Verdict::OnTime | Verdict::PartlyLate);
        let keep: BooleanArray = judged.verdicts.iter().map(|verdict| Some(counts(verdict))).collect();
        if judged.verdicts.iter().any(|verdict| *verdict != Verdict::OnTime) {
            for (row, verdict) in judged.verdicts.iter().enumerate() {
                self.reject(block, &rows, row, *verdict);
            }
        }
        // A record makes one dead letter, and those already have it.
        let lettered: Vec<u32> = judged.sides.iter().map(|(row, _)| decoded.records[*row]).collect();
        match keep.true_count() {
            0 => Ok(()),
            n if n == keep.len() => self.run_rows(block, rows, lettered),
            _ => {
                let filtered = |array: &dyn Array| arrow::compute::filter(array, &keep);
                let rows = SourceRows {
                    batch: filter_record_batch(&rows.batch, &keep)?,
                    panes: filtered(&rows.panes)?.as_primitive().clone(),
                    sides: match &rows.sides {
                        Some(sides) => Some(filtered(sides)?.as_primitive().clone()),
                        None => None,
                    },
                    times_ms: filtered(&rows.times_ms)?.as_primitive().clone(),
                    records: filtered(&rows.records)?.as_primitive().clone(),
                };
                self.run_rows(block, rows, lettered)
            }
        }
    }

    fn reject(&mut self, block: &RecordBlock, rows: &SourceRows, row: usize, verdict: Verdict) {
        let record = rows.records.value(row);
        match verdict {
            Verdict::OnTime => {}
            Verdict::Late | Verdict::PartlyLate => {
                let windows = self.rules.windows.expect("without windows no row is late");
                let last_ms = rows.panes.value(row);
                let first_ms = windows.first(last_ms);
                let open_ms = rows.sides.as_ref().filter(|sides| sides.is_valid(row));
                let open_ms = open_ms.map_or(last_ms.saturating_add(windows.slide_ms), |s| s.value(row));
                self.state.report.counters.late_rows += 1;
                self.dead_letter(block, record, Reason::LateRow, missed(&windows, first_ms, open_ms));
            }
            Verdict::BadEventTime => {
                let detail = if rows.times_ms.is_null(row) {
                    "the event time is null".to_owned()
                } else {
                    let ahead_ms =
                        rows.times_ms.value(row).saturating_sub(block.timestamps_ms[record as usize]);
                    format!("the event time is {ahead_ms} ms past the record's Kafka timestamp")
                };
                self.dead_letter(block, record, Reason::BadEventTime, detail);
            }
        }
    }

    /// `lettered`: records that have a dead letter already, ascending.
    fn run_rows(
        &mut self,
        block: &RecordBlock,
        rows: SourceRows,
        mut lettered: Vec<u32>,
    ) -> Result<(), Error> {
        let Some(windows) = self.rules.windows.filter(|_| self.plan.expands()) else {
            return self.run_piece(block, rows, &mut lettered);
        };
        rows.expand(&windows, |piece| self.run_piece(block, piece, &mut lettered))
    }

    fn run_piece(
        &mut self,
        block: &RecordBlock,
        rows: SourceRows,
        lettered: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let (prepared, failed) = self.stateless.run(rows, block.partition, &block.offsets)?;
        for row in failed {
            // Of a row for each window several may fail.
            if let Err(at) = lettered.binary_search(&row.record) {
                lettered.insert(at, row.record);
                self.dead_letter(block, row.record, Reason::EvaluationError, row.detail);
            }
        }
        for rows in prepared {
            match rows {
                Prepared::Appended(timed) => {
                    self.state.epoch_bytes += timed.rows.get_array_memory_size();
                    self.state.ready.push(Batch::Append(timed));
                }
                Prepared::Grouped { panes, sides, keys, args, filters } => {
                    let partial =
                        self.partial.as_mut().expect("a plan with an aggregation has a partial one");
                    for rows in split_by_pane(&panes, sides.as_ref(), keys, args, filters)? {
                        partial.add(rows, &mut self.state.ready)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put_ready(&mut self) -> Result<(), Error> {
        for batch in self.state.ready.drain(..) {
            self.exchange.put(batch)?;
        }
        Ok(())
    }

    fn dead_letter(&mut self, block: &RecordBlock, record: u32, reason: Reason, detail: String) {
        let i = record as usize;
        let value = block.value(i);
        let letter = DeadLetter {
            source: self.source.name().to_owned(),
            topic: self.source.topic().to_owned(),
            partition: Some(block.partition),
            offset: Some(block.offsets[i]),
            record_time_ms: Some(block.timestamps_ms[i]).filter(|ms| 0 <= *ms),
            schema_id: value.and_then(|value| self.decoder.schema_id(value)),
            reason,
            detail,
            key: block.key(i).map(<[u8]>::to_vec),
            payload: value.map(<[u8]>::to_vec),
        };
        let key_len = letter.key.as_ref().map_or(0, Vec::len);
        self.state.epoch_bytes += value.map_or(0, <[u8]>::len) + key_len + letter.detail.len() + 128;
        self.state.report.counters.dead_letters += 1;
        self.shared.dead_letters_total[reason.index()].fetch_add(1, Ordering::Relaxed);
        self.state.report.dead_letters.push(letter);
    }
}

/// The event times of a batch in milliseconds, rounded down; null where the column is.
fn event_times_ms(batch: &RecordBatch, event_time: usize) -> Result<Int64Array, Error> {
    let column = batch.column(event_time);
    let per_ms = units_per_ms(column.data_type()).ok_or_else(|| {
        SourceError::Fatal(format!("an event time of type {} has no milliseconds", column.data_type()))
    })?;
    let values = cast(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    Ok(if per_ms == 1 { values.clone() } else { values.unary(|value| floor_to_ms(value, per_ms)) })
}

/// The first open windows of partly late rows as a column; none where no row is partly late.
fn sides(sides: &[(usize, i64)], n_rows: usize) -> Option<Int64Array> {
    if sides.is_empty() {
        return None;
    }
    let mut column = vec![None; n_rows];
    sides.iter().for_each(|(row, first_ms)| column[*row] = Some(*first_ms));
    Some(Int64Array::from(column))
}

/// Says which windows a late row missed: those that start in `[first_ms, open_ms)`.
fn missed(windows: &Windows, first_ms: i64, open_ms: i64) -> String {
    let window = |start_ms| format!("[{}, {})", rfc3339_ms(start_ms), rfc3339_ms(windows.end(start_ms)));
    match open_ms.saturating_sub(first_ms) / windows.slide_ms {
        1 => format!("missed window {}", window(first_ms)),
        n => {
            let last_ms = open_ms.saturating_sub(windows.slide_ms);
            format!("missed {n} windows, from {} to {}", window(first_ms), window(last_ms))
        }
    }
}

/// `2026-11-22T10:00:00.000Z`; the bare number where the calendar has no such time.
fn rfc3339_ms(ms: i64) -> String {
    arrow::temporal_conversions::timestamp_ms_to_datetime(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
