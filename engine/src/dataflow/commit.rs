//! The committer: puts the parts of an epoch together, writes it, and only then shows it.
//!
//! ```text
//! coordinator ─ Sources(N) ─►┐
//! window 0 ──── Output(N) ──►├─► one atomic, synced write ─► publish snapshot ─► sinks, observer ─► Committed(N)
//! window 1 ──── Output(N) ──►┘
//! ```
//!
//! Invariants:
//! 1. An epoch is written whole, in the order of epochs, and shown only once it is durable.
//! 2. What is shown of an epoch is what was written: results, counters, partitions, dead letters.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::connector::{Reason, Source};
use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::live::{Shared, lock};
use crate::dataflow::message::{Event, Part, Report, SourcesPart};
use crate::dataflow::sink::Outboxes;
use crate::facts::{EpochFact, Facts};
use crate::operator::Output;
use crate::result::{Changes, DeadLetter, Snapshot, Tables, TimedRows};
use crate::state::failpoint::{self, Point};
use crate::state::{Settings, Store, Transaction};
use crate::time::{Clock, Epoch};

/// What happened in one committed epoch, or several merged. Rows have the columns of the result
/// table, `_final` last.
#[derive(Debug, Clone)]
pub struct Committed {
    pub epoch: Epoch,
    pub watermark_ms: Option<i64>,
    /// Rows that became final, in the order of the result table.
    pub finals: Vec<RecordBatch>,
    /// Provisional rows that are new or have changed. A key is never in `finals` too.
    pub provisionals: Vec<RecordBatch>,
    /// Key columns (in the order of the plan's key) of rows that are gone: provisional rows that
    /// vanished by HAVING.
    pub deletes: Vec<RecordBatch>,
    /// The state after the epoch.
    pub snapshot: Arc<Snapshot>,
}

/// Told of each committed epoch, in order, on the committing thread: it must not block.
pub trait Observer: Send + Sync {
    /// Called once per epoch, after it is durable and its snapshot is published.
    fn committed(&self, epoch: &Arc<Committed>);
}

/// The newest snapshot, for readers.
pub type Latest = Arc<Mutex<Arc<Snapshot>>>;

/// Everything the committer is made of.
pub struct Committer {
    pub store: Store,
    pub tables: Tables,
    pub source: Arc<dyn Source>,
    pub outboxes: Outboxes,
    pub settings: Settings,
    pub observer: Arc<dyn Observer>,
    pub latest: Latest,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub parts: Receiver<Part>,
    pub events: Sender<Event>,
    /// The last committed epoch's.
    pub facts: Facts,
    /// The blocks on disk belong to another parallelism; the first epoch replaces them all.
    pub replace_blocks: bool,

    pub state: CommitState,
}

/// The write failed: the epoch does not exist, the pipeline can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("could not write the epoch")]
    State(#[from] crate::state::Error),
}

/// What changes while the committer runs, beside what it commits.
#[derive(Default)]
pub struct CommitState {
    /// Epochs of which not all parts are there.
    pending: BTreeMap<Epoch, Pending>,
    /// The coordinator is to be told of this.
    unsaid: Option<Event>,
}

#[derive(Default)]
struct Pending {
    sources: Option<SourcesPart>,
    outputs: BTreeMap<usize, Output>,
}

impl Actor for Committer {
    type Error = Error;

    fn step(&mut self) -> Result<Next, Error> {
        if let Some(event) = self.state.unsaid.take() {
            match actor::try_send(&self.events, event) {
                Sent::Yes => return Ok(Next::Step),
                Sent::Gone => return Ok(Next::End),
                Sent::Full(event) => {
                    self.state.unsaid = Some(event);
                    return Ok(Next::Blocked);
                }
            }
        }
        if let Some((sources, outputs)) = self.take_whole() {
            self.state.unsaid = Some(Event::Committed(sources.barrier.epoch));
            self.commit(sources, outputs)?;
            return Ok(Next::Step);
        }
        let pending = &mut self.state.pending;
        match self.parts.try_recv() {
            Ok(Part::Sources(sources)) => {
                let epoch = sources.barrier.epoch;
                pending.entry(epoch).or_default().sources = Some(sources);
            }
            Ok(Part::Output { subtask, epoch, output }) => {
                pending.entry(epoch).or_default().outputs.insert(subtask, output);
            }
            Err(TryRecvError::Empty) => return Ok(Next::Wait(None)),
            Err(TryRecvError::Disconnected) => return Ok(Next::End),
        }
        Ok(Next::Step)
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        actor::wait_for_message(&self.parts, timeout);
    }

    fn wait_for_room(&mut self) {
        actor::wait_for_room(&self.events);
    }
}

impl Committer {
    /// The first pending epoch, if all its parts are there.
    fn take_whole(&mut self) -> Option<(SourcesPart, BTreeMap<usize, Output>)> {
        let mut first = self.state.pending.first_entry()?;
        if first.get().outputs.len() < self.settings.parallelism {
            return None;
        }
        let sources = first.get_mut().sources.take()?;
        Some((sources, first.remove().outputs))
    }

    fn commit(&mut self, sources: SourcesPart, outputs: BTreeMap<usize, Output>) -> Result<(), Error> {
        let epoch = sources.barrier.epoch;
        let mut tx = self.store.begin(epoch);
        if std::mem::take(&mut self.replace_blocks) {
            tx.delete_subtasks_before(epoch)?;
        }
        let mut changes = Changes::default();
        let mut closed_ms = self.facts.closed_ms.max(sources.closed_ms);
        for (subtask, output) in outputs {
            closed_ms = closed_ms.max(output.closed_ms);
            self.put(&mut tx, subtask, output, &mut changes)?;
        }
        let n_failed = changes.dead_letters.len() as u64;
        let mut facts = self.next_facts(&sources, closed_ms);
        facts.counters.dead_letters += n_failed;
        facts.counters.rows_out += rows_in(&changes.finals);
        let mut answers = Vec::new();
        for report in sources.reports {
            changes.dead_letters.extend(report.dead_letters);
            changes.replayed.extend(report.replayed);
            answers.extend(report.answer);
        }
        let applied = self.tables.apply(&mut tx, &changes, facts.watermark_ms, self.clock.wall_ms())?;
        facts.counters.dead_letters_expired += applied.letters_expired;
        self.shared.letters_expired_total.fetch_add(applied.letters_expired, Ordering::Relaxed);
        let gone = if self.tables.shows_provisionals() { &applied.deletes } else { &changes.deletes };
        let for_sinks = self.outboxes.put(&mut tx, &changes, &applied, gone)?;
        let duration =
            |clock: &dyn Clock| clock.monotonic_ns().saturating_sub(sources.started_ns) as f64 / 1e6;
        let n_rows_in = facts.counters.rows_in - self.facts.counters.rows_in;
        let fact = EpochFact {
            epoch,
            committed_at_ms: self.clock.wall_ms(),
            duration_ms: duration(&*self.clock),
            rows_in: n_rows_in,
            bytes_written: tx.size_bytes(),
        };
        push_epoch(&mut facts, fact);
        tx.set_facts(&facts, self.settings);
        let bytes_written = tx.commit()?;
        let duration_ms = duration(&*self.clock);
        self.shared.epoch_bytes_total.fetch_add(bytes_written, Ordering::Relaxed);
        if let Some(last) = Arc::make_mut(&mut facts.epochs).back_mut() {
            (last.duration_ms, last.bytes_written) = (duration_ms, bytes_written);
        }
        self.facts = facts.clone();
        let snapshot = self.tables.publish(facts);
        *lock(&self.latest) = Arc::clone(&snapshot);
        self.outboxes.committed(epoch, &for_sinks);
        self.observer.committed(&Arc::new(Committed {
            epoch,
            watermark_ms: self.facts.watermark_ms,
            finals: batches(changes.finals),
            provisionals: batches(changes.provisionals),
            deletes: applied.deletes,
            snapshot,
        }));
        failpoint::pass(Point::AfterPublish);
        for (reply, replayed) in answers {
            // Whoever asked may no longer wait for it.
            drop(reply.try_send(replayed));
        }
        Ok(())
    }

    /// Puts a window subtask's state changes into the transaction, and its rows into `changes`.
    fn put(
        &self,
        tx: &mut Transaction,
        subtask: usize,
        output: Output,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let subtask = u16::try_from(subtask).expect("parallelism is at most 1,024");
        for pane in output.closed_panes {
            tx.delete_pane(subtask, pane);
        }
        for put in output.puts {
            if put.whole {
                tx.delete_pane_before(subtask, put.pane, tx.epoch());
            }
            for (seq, states) in (0u16..).zip(&put.chunks) {
                tx.put_pane(subtask, put.pane, seq, states)?;
            }
        }
        changes.finals.extend(output.finals);
        changes.provisionals.extend(output.provisionals);
        changes.deletes.extend(output.gone);
        for failed in output.failed {
            self.shared.dead_letters_total[Reason::EvaluationError.index()].fetch_add(1, Ordering::Relaxed);
            changes.dead_letters.push(DeadLetter {
                source: self.source.name().to_owned(),
                topic: self.source.topic().to_owned(),
                partition: None,
                offset: None,
                record_time_ms: None,
                schema_id: None,
                reason: Reason::EvaluationError,
                detail: failed.detail,
                key: None,
                payload: Some(failed.key_json.into_bytes()),
                headers: Vec::new(),
                operator: Some(self.shared.window_kind().to_owned()),
                replays: 0,
                missed_ms: None,
            });
        }
        Ok(())
    }

    /// The facts after the epoch, but for what the operators and the write add.
    fn next_facts(&self, sources: &SourcesPart, closed_ms: Option<i64>) -> Facts {
        let mut facts = self.facts.clone();
        facts.epoch = sources.barrier.epoch;
        facts.committed_at_ms = Some(self.clock.wall_ms());
        facts.watermark_ms = sources.barrier.watermark_ms;
        facts.closed_ms = closed_ms;
        for report in &sources.reports {
            add_report(&mut facts, report);
        }
        facts
    }
}

fn add_report(facts: &mut Facts, report: &Report) {
    let counters = &mut facts.counters;
    counters.rows_in += report.counters.rows_in;
    counters.late_rows += report.counters.late_rows;
    counters.tombstones += report.counters.tombstones;
    counters.lost_records += report.counters.lost_records;
    counters.dead_letters += report.counters.dead_letters;
    counters.dead_letters_replayed += report.counters.dead_letters_replayed;
    let partitions = Arc::make_mut(&mut facts.partitions);
    for fact in &report.partitions {
        match partitions.binary_search_by_key(&fact.partition, |known| known.partition) {
            Ok(i) => partitions[i] = fact.clone(),
            Err(i) => partitions.insert(i, fact.clone()),
        }
    }
    if !report.floors.is_empty() {
        let floors = Arc::make_mut(&mut facts.floors);
        floors.extend(report.floors.iter().cloned());
        let n_over = floors.len().saturating_sub(Facts::FLOORS_KEPT);
        floors.drain(..n_over);
    }
    for seen in &report.schemas {
        let same = |known: &&crate::connector::SchemaSeen| {
            known.schema_id == seen.schema_id && known.partition == seen.partition
        };
        if !facts.schemas.iter().any(|known| same(&known)) {
            Arc::make_mut(&mut facts.schemas).push(seen.clone());
        }
    }
}

fn push_epoch(facts: &mut Facts, fact: EpochFact) {
    let epochs = Arc::make_mut(&mut facts.epochs);
    epochs.push_back(fact);
    while Facts::EPOCHS_KEPT < epochs.len() {
        epochs.pop_front();
    }
}

fn batches(timed: Vec<TimedRows>) -> Vec<RecordBatch> {
    timed.into_iter().map(|timed| timed.rows).collect()
}

fn rows_in(timed: &[TimedRows]) -> u64 {
    timed.iter().map(|timed| timed.rows.num_rows() as u64).sum()
}
