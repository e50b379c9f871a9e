//! Reads the partitions of one source subtask with librdkafka: records, ends, what is lost, what is wrong.
//!
//! Invariants:
//! 1. A partition's records come in offset order; where some can't be had, it is [`SourceError`],
//!    never a silent step over them.
//! 2. What a broker or the network does wrong is trouble, which librdkafka goes on with by itself;
//!    only records that are gone, or that arrive damaged again and again, end the reader.
//! 3. Trouble ends when every assigned partition's leader answers: a partition at its end has
//!    nothing to flow that could show it.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_engine::connector::{Header, Reader, ReaderEvent, RecordBlock, SourceError, Start};

use super::ASSIGN_TIMEOUT;
use super::headers::headers;
use super::native::{Batch, Client, Failure, LogOffset, Partition, Taken, Topic};

/// What one partition gives per poll at most, where several have something: enough to make a block
/// worth its while, little enough that all have their turn.
const TURN_RECORDS_MIN: usize = 1024;

/// How often a damaged batch is fetched again before giving up: damage on the way goes away, damage
/// on the broker's disk does not.
const DAMAGED_TRIES_MAX: u32 = 3;

/// How often the end offsets are looked at, in the client's memory.
const END_OFFSET_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait for a broker's answer while polling. It holds up what other brokers send.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// The time between two questions whether the brokers work again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A reader of one topic.
pub(super) struct KafkaReader {
    topic: Arc<Topic>,
    /// For messages.
    bootstrap_servers: String,

    /// Partitions that this client has heard of.
    known: Vec<i32>,
    assigned: Vec<Assigned>,
    /// The one that is looked at first in the next poll.
    turn: usize,
    batch: Batch,
    taken: Vec<Taken>,
    /// Since there is trouble: when to ask next whether it is over.
    next_probe: Option<Instant>,
    next_end_offsets: Instant,
}

struct Assigned {
    queue: Partition,
    next_offset: i64,
    end_offset: i64,
    is_paused: bool,
    /// The broker refused the position, and why is still to be found out.
    is_out_of_range: bool,
    n_damaged: u32,
}

/// Whether what else was taken from the partition is still of use.
enum Then {
    GoOn,
    Restarted,
}

impl KafkaReader {
    pub(super) fn new(client: Arc<Client>, topic: &CStr, bootstrap_servers: &str) -> Result<Self, Failure> {
        Ok(Self {
            topic: Arc::new(Topic::new(client, topic)?),
            bootstrap_servers: bootstrap_servers.to_owned(),
            known: Vec::new(),
            assigned: Vec::new(),
            turn: 0,
            batch: Batch::default(),
            taken: Vec::new(),
            next_probe: None,
            next_end_offsets: Instant::now(),
        })
    }

    fn topic_name(&self) -> String {
        self.topic.name().to_string_lossy().into_owned()
    }

    fn retry(&self, partition: i32, failure: Failure) -> SourceError {
        SourceError::Retry(format!(
            "could not ask the broker at \"{}\" about partition {partition} of topic \"{}\": {}",
            self.bootstrap_servers,
            self.topic_name(),
            self.topic.client().cause().unwrap_or(failure.detail)
        ))
    }

    /// Makes sure that the client has heard of a partition: by itself it asks every few minutes only.
    fn learn(&mut self, partition: i32) -> Result<(), SourceError> {
        if self.known.contains(&partition) {
            return Ok(());
        }
        let leaders = self.topic.leaders(ASSIGN_TIMEOUT).map_err(|failure| self.retry(partition, failure))?;
        self.known = leaders.into_iter().map(|(partition, _)| partition).collect();
        if self.known.contains(&partition) {
            return Ok(());
        }
        let topic = self.topic_name();
        Err(SourceError::Retry(format!("topic \"{topic}\" has no partition {partition} yet")))
    }

    fn list_offset(&self, partition: i32, at: LogOffset, timeout: Duration) -> Result<i64, SourceError> {
        let client = self.topic.client();
        client.serve();
        let offsets = client.list_offsets(self.topic.name(), &[partition], at, timeout);
        offsets.map(|offsets| offsets[0]).map_err(|failure| self.retry(partition, failure))
    }

    /// The absolute offset that `start` means now.
    fn resolve(&self, partition: i32, start: Start) -> Result<i64, SourceError> {
        let ask = |at| self.list_offset(partition, at, ASSIGN_TIMEOUT);
        match start {
            Start::Offset(offset) => Ok(offset),
            Start::Earliest => ask(LogOffset::Begin),
            Start::Latest => ask(LogOffset::End),
            Start::At(time_ms) => {
                let offset = ask(LogOffset::Time(time_ms))?;
                if offset >= 0 {
                    return Ok(offset);
                }
                let (begin, end) = (ask(LogOffset::Begin)?, ask(LogOffset::End)?);
                if begin < end && ask(LogOffset::Time(0))? < 0 {
                    return Err(SourceError::Fatal(format!(
                        "the broker at \"{}\" does not look up offsets by time in topic \"{}\": \
                         start it at \"earliest\" or \"latest\"",
                        self.bootstrap_servers,
                        self.topic_name()
                    )));
                }
                Ok(end)
            }
        }
    }

    /// Takes what is queued, each partition in its turn.
    fn take(&mut self, max_records: usize, events: &mut Vec<ReaderEvent>) -> Result<(), SourceError> {
        let n_open = self.assigned.iter().filter(|assigned| !assigned.is_paused).count();
        if n_open == 0 {
            return Ok(());
        }
        let turn_records = (max_records / n_open).max(TURN_RECORDS_MIN);
        let mut n_left = max_records;
        let n_assigned = self.assigned.len();
        for step in 0..n_assigned {
            let i = (self.turn + step) % n_assigned;
            if n_left == 0 || self.assigned[i].is_paused {
                continue;
            }
            let mut taken = std::mem::take(&mut self.taken);
            let assigned = &mut self.assigned[i];
            n_left -= self.batch.take(&assigned.queue, n_left.min(turn_records), &mut taken);
            for taken in taken.drain(..) {
                if let Then::Restarted = self.handle(i, taken, events)? {
                    break;
                }
            }
            self.taken = taken;
        }
        self.turn = (self.turn + 1) % n_assigned;
        Ok(())
    }

    fn handle(&mut self, i: usize, taken: Taken, events: &mut Vec<ReaderEvent>) -> Result<Then, SourceError> {
        let assigned = &mut self.assigned[i];
        let partition = assigned.queue.number();
        let (failure, offset) = match taken {
            Taken::Block(block) => {
                assigned.next_offset = block.offsets[block.len() - 1] + 1;
                assigned.n_damaged = 0;
                events.push(ReaderEvent::Block(block));
                return Ok(Then::GoOn);
            }
            Taken::Failure { failure, offset } => (failure, offset),
        };
        if failure.is_partition_end() {
            assigned.next_offset = offset;
            assigned.n_damaged = 0;
            events.push(ReaderEvent::End { partition, next_offset: offset });
        } else if failure.is_out_of_range() {
            assigned.is_out_of_range = true;
            self.trouble(failure.detail, events);
        } else if failure.is_damaged() {
            self.refetch(i, &failure.detail, events)?;
            return Ok(Then::Restarted);
        } else {
            self.trouble(format!("partition {partition}: {}", failure.detail), events);
        }
        Ok(Then::GoOn)
    }

    /// Fetches again from where the partition was last good. What librdkafka queued behind the
    /// damage is thrown away with it.
    fn refetch(&mut self, i: usize, detail: &str, events: &mut Vec<ReaderEvent>) -> Result<(), SourceError> {
        let assigned = &mut self.assigned[i];
        let (partition, next_offset) = (assigned.queue.number(), assigned.next_offset);
        assigned.n_damaged += 1;
        if assigned.n_damaged >= DAMAGED_TRIES_MAX {
            return Err(SourceError::Fatal(format!(
                "partition {partition} of topic \"{}\" can't be read from offset {next_offset} on: {detail}",
                self.topic_name()
            )));
        }
        assigned.queue.restart(next_offset).map_err(|failure| SourceError::Fatal(failure.detail))?;
        self.trouble(format!("partition {partition}: {detail}"), events);
        Ok(())
    }

    fn trouble(&mut self, detail: String, events: &mut Vec<ReaderEvent>) {
        self.next_probe.get_or_insert_with(|| Instant::now() + PROBE_INTERVAL);
        events.push(ReaderEvent::Trouble { detail });
    }

    /// Asks whether the trouble is over, when it is time to.
    fn probe(&mut self, events: &mut Vec<ReaderEvent>) -> Result<(), SourceError> {
        let Some(due) = self.next_probe else {
            return Ok(());
        };
        let started = Instant::now();
        if started < due {
            return Ok(());
        }
        self.explain_out_of_range()?;
        let partitions: Vec<i32> = self.assigned.iter().map(|assigned| assigned.queue.number()).collect();
        let answer =
            self.topic.client().list_offsets(self.topic.name(), &partitions, LogOffset::End, PROBE_TIMEOUT);
        let is_over = answer.is_ok() && self.assigned.iter().all(|assigned| !assigned.is_out_of_range);
        if is_over {
            self.next_probe = None;
            events.push(ReaderEvent::Recovered);
        } else {
            // A question that takes long is asked seldom: records wait meanwhile.
            self.next_probe = Some(Instant::now() + PROBE_INTERVAL.max(started.elapsed() * 4));
        }
        Ok(())
    }

    /// Finds out why brokers refused positions. Without an answer it stays to be found out.
    fn explain_out_of_range(&mut self) -> Result<(), SourceError> {
        for i in 0..self.assigned.len() {
            let assigned = &self.assigned[i];
            if !assigned.is_out_of_range {
                continue;
            }
            let (partition, next_offset) = (assigned.queue.number(), assigned.next_offset);
            let ask = |at| self.list_offset(partition, at, PROBE_TIMEOUT);
            let (Ok(begin_offset), Ok(end_offset)) = (ask(LogOffset::Begin), ask(LogOffset::End)) else {
                continue;
            };
            if next_offset < begin_offset {
                return Err(SourceError::Lost { partition, next_offset, begin_offset });
            }
            if end_offset < next_offset {
                return Err(SourceError::Fatal(format!(
                    "partition {partition} of topic \"{}\" ends at offset {end_offset}, before the next \
                     offset {next_offset}: the topic was made anew, or lost records that had been read",
                    self.topic_name()
                )));
            }
            let assigned = &mut self.assigned[i];
            assigned.is_out_of_range = false;
            assigned.queue.restart(next_offset).map_err(|failure| SourceError::Fatal(failure.detail))?;
        }
        Ok(())
    }

    fn end_offsets(&mut self, events: &mut Vec<ReaderEvent>) {
        let now = Instant::now();
        if now < self.next_end_offsets {
            return;
        }
        self.next_end_offsets = now + END_OFFSET_INTERVAL;
        for assigned in &mut self.assigned {
            let partition = assigned.queue.number();
            let end_offset = self.topic.client().cached_end_offset(self.topic.name(), partition);
            if let Some(end_offset) = end_offset.filter(|end_offset| *end_offset != assigned.end_offset) {
                assigned.end_offset = end_offset;
                events.push(ReaderEvent::HighWatermark { partition, end_offset });
            }
        }
    }

    /// Until when there is nothing to do unless something arrives.
    fn idle_until(&self, deadline: Instant) -> Instant {
        let any_assigned = !self.assigned.is_empty();
        let probe = self.next_probe.filter(|_| any_assigned).unwrap_or(deadline);
        deadline.min(probe)
    }
}

impl Reader for KafkaReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        if self.assigned.iter().any(|assigned| assigned.queue.number() == partition) {
            return Err(SourceError::Fatal(format!("partition {partition} is assigned already")));
        }
        self.learn(partition)?;
        let next_offset = self.resolve(partition, start)?;
        let queue = Partition::start(Arc::clone(&self.topic), partition, next_offset)
            .map_err(|failure| SourceError::Retry(failure.detail))?;
        self.assigned.push(Assigned {
            queue,
            next_offset,
            end_offset: -1,
            is_paused: false,
            is_out_of_range: false,
            n_damaged: 0,
        });
        Ok(next_offset)
    }

    fn set_paused(&mut self, partition: i32, paused: bool) {
        for assigned in &mut self.assigned {
            if assigned.queue.number() == partition {
                assigned.is_paused = paused;
                // What is queued raised the wake while nobody looked.
                self.topic.client().raise_wake();
            }
        }
    }

    fn skip_to(&mut self, partition: i32, offset: i64) -> Result<(), SourceError> {
        for assigned in self.assigned.iter_mut().filter(|assigned| assigned.queue.number() == partition) {
            (assigned.next_offset, assigned.is_out_of_range) = (offset, false);
            assigned.queue.restart(offset).map_err(|failure| SourceError::Fatal(failure.detail))?;
        }
        Ok(())
    }

    fn headers(&self, block: &RecordBlock, i: usize) -> Vec<Header> {
        headers(block, i)
    }

    fn poll(
        &mut self,
        max_records: usize,
        max_wait: Duration,
        events: &mut Vec<ReaderEvent>,
    ) -> Result<(), SourceError> {
        let deadline = Instant::now() + max_wait;
        let n_before = events.len();
        loop {
            self.topic.client().lower_wake();
            self.topic.client().serve();
            if let Some(detail) = self.topic.client().take_trouble() {
                self.trouble(detail, events);
            }
            self.take(max_records, events)?;
            if !self.assigned.is_empty() {
                self.probe(events)?;
            }
            self.end_offsets(events);
            if events.len() > n_before {
                return Ok(());
            }
            let until = self.idle_until(deadline);
            if !self.topic.client().wait_until(until) && Instant::now() >= deadline {
                return Ok(());
            }
        }
    }
}
