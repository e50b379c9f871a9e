//! Reads partitions with Kafka's Fetch protocol itself: what librdkafka's consumer does, for a tenth of
//! its time, where a connection needs nothing that only librdkafka has.
//!
//! ```text
//! settings ─► cluster: connections, leaders ─► messages: Fetch answers
//!                                                  │ Buffer
//!                     RecordBlock ◄── batch, records, compression ◄── partition: queue
//! ```
//!
//! All of it runs on the thread that polls: nothing is copied from one processor to another. While
//! records of an answer are taken, the next one is on its way into the socket.
//!
//! Invariants:
//! 1. A partition's records come in offset order; where some can't be had, it is [`SourceError`],
//!    never a silent step over them.
//! 2. A partition has two answers queued at most, of a size that the settings bound; who does not
//!    poll is not sent more. Records that are held point into whole answers: of each leader at most two
//!    wait and one is being read, and some memory is kept to be used again while records flow.
//! 3. What a broker or the network does wrong is trouble and tried again. Only records that are gone, or
//!    that arrive damaged again and again, end the reader.
//! 4. Trouble ends when every assigned partition's leader has answered.

mod batch;
mod cluster;
mod compression;
mod connection;
mod messages;
mod partition;
mod pool;
mod records;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use weir_engine::connector::{Header, Reader, ReaderEvent, RecordBlock, SourceError, Start};

use self::batch::Damaged;
use self::cluster::{Cluster, News};
use self::messages::{FetchPart, Fetched};
use self::partition::Partition;
pub(super) use self::records::{span, varint};
pub(super) use self::settings::Settings;
use super::ASSIGN_TIMEOUT;
use super::headers::headers;
use super::native::Failure;

/// How often a damaged batch is fetched again before giving up: damage on the way goes away, damage
/// on the broker's disk does not.
const DAMAGED_TRIES_MAX: u32 = 3;
/// The time between two tries of what a broker refused.
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// Not having polled for longer than this: a broker's silence before counts for nothing.
const DEAF: Duration = Duration::from_secs(1);
/// The same trouble is told once in this time.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(1);

const BEGIN: i64 = -2;
const END: i64 = -1;

/// An error code of the protocol that means something here.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A reader of one topic.
pub(super) struct FetchReader {
    cluster: Cluster,
    partitions: Vec<Partition>,
    /// The one that is looked at first in the next poll.
    turn: usize,
    /// Answers about offsets: partition, time, offset.
    offsets: Vec<(i32, i64, Result<i64, i16>)>,
    /// Not to be asked for before: a broker refused to tell.
    offsets_at: Instant,
    news: Vec<News>,
    /// To be told by the next poll.
    told: Vec<ReaderEvent>,
    failure: Option<SourceError>,
    in_trouble: bool,
    /// What was wrong last, and when that was told.
    last_trouble: (String, Option<Instant>),
    polled: Instant,
}

impl FetchReader {
    pub(super) fn new(settings: Settings) -> Result<Self, SourceError> {
        let failed = |error| SourceError::Fatal(format!("could not set up reading from Kafka: {error}"));
        Ok(Self {
            cluster: Cluster::new(settings).map_err(failed)?,
            partitions: Vec::new(),
            turn: 0,
            offsets: Vec::new(),
            offsets_at: Instant::now(),
            news: Vec::new(),
            told: Vec::new(),
            failure: None,
            in_trouble: false,
            last_trouble: (String::new(), None),
            polled: Instant::now(),
        })
    }

    fn topic(&self) -> &str {
        &self.cluster.settings.topic
    }

    /// Sends what is to be asked now.
    fn ask(&mut self, now: Instant) {
        self.cluster.drive(now, &mut self.news);
        self.handle_news(now);
        for partition in &self.partitions {
            if partition.is_out_of_range && self.offsets_at <= now {
                for time in [BEGIN, END] {
                    let is_known = |(p, t, _): &(i32, i64, _)| *p == partition.number && *t == time;
                    if !self.offsets.iter().any(is_known) {
                        self.cluster.ask_offset(partition.number, time);
                    }
                }
            }
        }
        let partitions = &self.partitions;
        self.cluster.ask_records(now, |is_its| {
            let open: Vec<_> = partitions
                .iter()
                .filter(|p| !p.is_paused && !p.is_out_of_range && is_its(p.number))
                .collect();
            // All of a leader's partitions are asked for together: one alone that has nothing new would
            // hold up the others until its answer is in.
            if !open.iter().all(|partition| partition.has_room()) {
                return Vec::new();
            }
            let open = open.into_iter().filter(|partition| partition.retry_at <= now);
            open.map(|p| FetchPart { partition: p.number, offset: p.fetch_offset }).collect()
        });
        self.cluster.drive(now, &mut self.news);
        self.handle_news(now);
    }

    /// Reads what has arrived, waiting until `until` for it, and goes on asking.
    fn turn(&mut self, until: Instant) {
        self.cluster.pump(until, &mut self.news);
        let now = Instant::now();
        self.handle_news(now);
        self.ask(now);
    }

    fn handle_news(&mut self, now: Instant) {
        for news in std::mem::take(&mut self.news) {
            match news {
                News::Failed { address, detail } => {
                    self.last_trouble.0.clone_from(&detail);
                    for i in 0..self.partitions.len() {
                        let leader = self.cluster.leader(self.partitions[i].number);
                        if leader.is_none_or(|leader| *leader == address) {
                            self.unwell(i, &detail, now);
                        }
                    }
                }
                News::Topic(Ok(())) => {
                    for i in 0..self.partitions.len() {
                        if self.cluster.leader(self.partitions[i].number).is_none() {
                            let detail = format!("partition {} has no leader", self.partitions[i].number);
                            self.unwell(i, &detail, now);
                        }
                    }
                }
                News::Topic(Err(code)) => {
                    let detail = describe(code);
                    self.last_trouble.0.clone_from(&detail);
                    for i in 0..self.partitions.len() {
                        self.unwell(i, &detail, now);
                    }
                }
                News::MadeAnew => {
                    let detail = format!("topic \"{}\" was made anew while it was read", self.topic());
                    self.failure = Some(SourceError::Fatal(detail));
                }
                News::Offset { partition, time, offset } => {
                    if offset.is_err() {
                        self.offsets_at = now + RETRY_WAIT;
                        self.cluster.refresh(now);
                    }
                    self.offsets.push((partition, time, offset));
                }
                News::Fetched { asked, answer, fetched } => self.fetched(&asked, &answer, fetched, now),
            }
        }
    }

    fn fetched(&mut self, asked: &[FetchPart], answer: &Buffer, fetched: Fetched, now: Instant) {
        if fetched.error != 0 {
            for i in 0..self.partitions.len() {
                if asked.iter().any(|part| part.partition == self.partitions[i].number) {
                    self.refused(i, fetched.error, now);
                }
            }
        }
        for part in fetched.parts {
            let Some(i) = self.partitions.iter().position(|p| p.number == part.partition) else { continue };
            let partition = &mut self.partitions[i];
            // It may have been restarted meanwhile.
            let is_asked = |asked: &FetchPart| {
                asked.partition == part.partition && asked.offset == partition.fetch_offset
            };
            if !asked.iter().any(is_asked) {
                continue;
            }
            if part.error != 0 {
                self.refused(i, part.error, now);
                continue;
            }
            let is_read_committed = self.cluster.settings.limits.is_read_committed;
            match partition.received(answer, part, is_read_committed) {
                Ok(end_offset) => {
                    partition.is_well = true;
                    let partition = partition.number;
                    let told =
                        end_offset.map(|end_offset| ReaderEvent::HighWatermark { partition, end_offset });
                    self.told.extend(told);
                }
                Err(damaged) => self.damaged(i, &damaged, now),
            }
        }
    }

    /// A broker refused to read a partition.
    fn refused(&mut self, i: usize, code: i16, now: Instant) {
        let partition = &mut self.partitions[i];
        partition.retry_at = now + RETRY_WAIT;
        partition.is_out_of_range = code == OFFSET_OUT_OF_RANGE;
        let number = partition.number;
        self.offsets.retain(|(partition, _, _)| *partition != number);
        self.unwell(i, &format!("partition {number}: {}", describe(code)), now);
    }

    fn unwell(&mut self, i: usize, detail: &str, now: Instant) {
        self.partitions[i].is_well = false;
        self.cluster.refresh(now);
        let (last, told) = &mut self.last_trouble;
        if self.in_trouble && last == detail && told.is_some_and(|told| now < told + TROUBLE_INTERVAL) {
            return;
        }
        detail.clone_into(last);
        *told = Some(now);
        self.in_trouble = true;
        self.told.push(ReaderEvent::Trouble { detail: detail.to_owned() });
    }

    /// Has a partition fetched again from where it was last good.
    fn damaged(&mut self, i: usize, damaged: &Damaged, now: Instant) {
        let partition = &mut self.partitions[i];
        let (number, next_offset) = (partition.number, partition.next_offset);
        partition.restart();
        partition.retry_at = now + RETRY_WAIT;
        partition.n_damaged += 1;
        let n_tries = partition.n_damaged;
        if damaged.is_old_format {
            self.failure = Some(SourceError::Fatal(format!(
                "partition {number} of topic \"{}\" can't be read from offset {next_offset} on: {}, from before \
                 Kafka 0.11; leave reading to librdkafka, which knows it, by setting the connection's \
                 property \"socket.timeout.ms\" to \"60000\"",
                self.topic(),
                damaged.detail
            )));
        } else if DAMAGED_TRIES_MAX <= n_tries {
            self.failure = Some(SourceError::Fatal(format!(
                "partition {number} of topic \"{}\" can't be read from offset {next_offset} on: {}",
                self.topic(),
                damaged.detail
            )));
        }
        self.unwell(i, &format!("partition {number}: {}", damaged.detail), now);
    }

    /// Takes what is queued, each partition in its turn.
    fn take(&mut self, max_records: usize, events: &mut Vec<ReaderEvent>) {
        let (mut n_left, n_partitions) = (max_records, self.partitions.len());
        for step in 0..n_partitions {
            let i = (self.turn + step) % n_partitions;
            while n_left > 0 && !self.partitions[i].is_paused {
                match self.partitions[i].take(n_left) {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        if let ReaderEvent::Block(block) = &event {
                            n_left -= block.len();
                        }
                        events.push(event);
                    }
                    Err(damaged) => {
                        self.damaged(i, &damaged, Instant::now());
                        break;
                    }
                }
            }
            if n_left == 0 {
                self.turn = i + 1;
                return;
            }
        }
        self.turn = (self.turn + 1) % n_partitions.max(1);
    }

    /// Finds out why brokers refused positions, once they have said where the partitions begin and end.
    fn explain_out_of_range(&mut self) -> Result<(), SourceError> {
        for i in 0..self.partitions.len() {
            let (partition, next_offset) = (self.partitions[i].number, self.partitions[i].next_offset);
            // What was fetched before is still to be taken.
            if !self.partitions[i].is_out_of_range || self.partitions[i].has_queued() {
                continue;
            }
            self.offsets.retain(|(number, _, offset)| *number != partition || offset.is_ok());
            let answer = |time| {
                let found = self.offsets.iter().find(|(number, t, _)| *number == partition && *t == time);
                found.and_then(|(_, _, offset)| offset.ok())
            };
            let (Some(begin_offset), Some(end_offset)) = (answer(BEGIN), answer(END)) else { continue };
            self.offsets.retain(|(number, _, _)| *number != partition);
            if next_offset < begin_offset {
                return Err(SourceError::Lost { partition, next_offset, begin_offset });
            }
            if end_offset < next_offset {
                return Err(SourceError::Fatal(format!(
                    "partition {partition} of topic \"{}\" ends at offset {end_offset}, before the next \
                     offset {next_offset}: the topic was made anew, or lost records that had been read",
                    self.topic()
                )));
            }
            self.partitions[i].is_out_of_range = false;
            self.partitions[i].restart();
        }
        Ok(())
    }

    /// Looks whether the trouble is over.
    fn recover(&mut self, now: Instant, events: &mut Vec<ReaderEvent>) {
        if !self.in_trouble {
            return self.cluster.calm();
        }
        for partition in &mut self.partitions {
            // A paused one is not asked for: that its leader is there is enough.
            partition.is_well |= partition.is_paused && self.cluster.is_ready(partition.number);
        }
        if self.partitions.iter().all(|partition| partition.is_well) {
            self.in_trouble = false;
            events.push(ReaderEvent::Recovered);
        } else {
            self.cluster.refresh(now);
        }
    }

    fn retry(&self, partition: i32) -> SourceError {
        let detail = &self.last_trouble.0;
        SourceError::Retry(format!(
            "could not ask the broker at \"{}\" about partition {partition} of topic \"{}\": {}",
            self.cluster.settings.bootstrap_servers,
            self.topic(),
            if detail.is_empty() { "no answer in time" } else { detail }
        ))
    }

    /// Waits until the leader of a partition is known, and connected where there is one.
    fn learn(&mut self, partition: i32, deadline: Instant) -> Result<(), SourceError> {
        self.last_trouble.0.clear();
        let mut is_asked = self.cluster.knows(partition);
        while !self.cluster.knows(partition) {
            let now = Instant::now();
            if deadline <= now {
                return Err(self.retry(partition));
            }
            if !is_asked {
                self.cluster.refresh(now);
                is_asked = true;
            }
            self.ask(now);
            self.cluster.pump(deadline, &mut self.news);
            let is_over = self.news.iter().any(|news| matches!(news, News::Topic(_)));
            self.handle_news(Instant::now());
            if is_over && !self.cluster.knows(partition) {
                let topic = self.topic();
                return Err(SourceError::Retry(format!(
                    "topic \"{topic}\" has no partition {partition} yet"
                )));
            }
        }
        Ok(())
    }

    /// Asks a partition's leader for the offset of a time, -1 where no record is that young.
    fn list_offset(&mut self, partition: i32, time: i64, deadline: Instant) -> Result<i64, SourceError> {
        self.offsets.retain(|(number, _, _)| *number != partition);
        loop {
            let now = Instant::now();
            let found = self.offsets.iter().position(|(number, t, _)| *number == partition && *t == time);
            match found.map(|i| self.offsets.swap_remove(i).2) {
                Some(Ok(offset)) => return Ok(offset),
                Some(Err(code)) => self.last_trouble.0 = describe(code),
                None => {}
            }
            if deadline <= now {
                return Err(self.retry(partition));
            }
            if self.offsets_at <= now {
                self.cluster.ask_offset(partition, time);
            }
            self.ask(now);
            self.turn(deadline.min(now + RETRY_WAIT));
        }
    }

    /// The absolute offset that `start` means now.
    fn resolve(&mut self, partition: i32, start: Start, deadline: Instant) -> Result<i64, SourceError> {
        match start {
            Start::Offset(offset) => Ok(offset),
            Start::Earliest => self.list_offset(partition, BEGIN, deadline),
            Start::Latest => self.list_offset(partition, END, deadline),
            Start::At(time_ms) => {
                let offset = self.list_offset(partition, time_ms.max(0), deadline)?;
                if offset >= 0 {
                    return Ok(offset);
                }
                let begin = self.list_offset(partition, BEGIN, deadline)?;
                let end = self.list_offset(partition, END, deadline)?;
                if begin < end && self.list_offset(partition, 0, deadline)? < 0 {
                    return Err(SourceError::Fatal(format!(
                        "the broker at \"{}\" does not look up offsets by time in topic \"{}\": \
                         start it at \"earliest\" or \"latest\"",
                        self.cluster.settings.bootstrap_servers,
                        self.topic()
                    )));
                }
                Ok(end)
            }
        }
    }
}

impl Reader for FetchReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        if self.partitions.iter().any(|assigned| assigned.number == partition) {
            return Err(SourceError::Fatal(format!("partition {partition} is assigned already")));
        }
        let deadline = Instant::now() + ASSIGN_TIMEOUT;
        self.cluster.forgive(Instant::now());
        self.cluster.want(partition);
        let resolved =
            self.learn(partition, deadline).and_then(|()| self.resolve(partition, start, deadline));
        match resolved {
            Ok(next_offset) => self.partitions.push(Partition::new(partition, next_offset, Instant::now())),
            Err(_) => self.cluster.unwant(partition),
        }
        resolved
    }

    fn set_paused(&mut self, partition: i32, paused: bool) {
        for assigned in &mut self.partitions {
            if assigned.number == partition {
                assigned.set_paused(paused);
            }
        }
    }

    fn skip_to(&mut self, partition: i32, offset: i64) -> Result<(), SourceError> {
        for assigned in self.partitions.iter_mut().filter(|assigned| assigned.number == partition) {
            (assigned.next_offset, assigned.is_out_of_range) = (offset, false);
            assigned.restart();
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
        let mut now = Instant::now();
        if self.polled + DEAF < now {
            self.cluster.forgive(now);
        }
        let (deadline, n_before) = (now + max_wait, events.len());
        // What is queued is not to wait for what is not.
        let is_queued = self.partitions.iter().any(|p| !p.is_paused && p.has_queued());
        let mut until = if is_queued || !self.told.is_empty() { now } else { deadline };
        self.ask(now);
        loop {
            self.turn(until);
            self.explain_out_of_range()?;
            self.take(max_records, events);
            now = Instant::now();
            self.ask(now);
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            events.append(&mut self.told);
            self.recover(now, events);
            self.polled = now;
            if n_before < events.len() {
                return Ok(());
            }
            if deadline <= now {
                self.cluster.rest();
                return Ok(());
            }
            until = deadline.min(self.next_retry(now));
        }
    }
}

impl FetchReader {
    /// When a partition that a broker refused is to be tried again.
    fn next_retry(&self, now: Instant) -> Instant {
        let later = self.partitions.iter().map(|p| p.retry_at).filter(|at| now < *at);
        later.min().unwrap_or(now + RETRY_WAIT)
    }
}

/// An error code, in librdkafka's words.
fn describe(code: i16) -> String {
    Failure::coded(i32::from(code)).detail
}
