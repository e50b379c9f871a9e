//! A partition that is read: what has been fetched of it, and where it goes on.
//!
//! Invariant: `next_offset <= fetch_offset`, and what lies between them is queued, or is no record
//! that may be read. After damage both are where the partition was last good.

use std::collections::VecDeque;
use std::time::Instant;

use arrow::buffer::Buffer;
use weir_engine::connector::ReaderEvent;

use super::batch::{Batches, Damaged};
use super::messages::FetchedPart;

/// Answers of a partition that may wait: one is taken while the next one is on its way.
const ANSWERS_MAX: usize = 2;

#[derive(Debug)]
enum Queued {
    Batches(Batches),
    /// What is behind it was not there when the broker answered.
    End(i64),
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: i32,

    /// Where records are to be handed over from.
    pub(super) next_offset: i64,
    /// Where they are to be fetched from.
    pub(super) fetch_offset: i64,
    queue: VecDeque<Queued>,
    end_offset: i64,
    /// The end that was told last.
    ended_at: Option<i64>,
    pub(super) is_paused: bool,
    /// Its leader answered when last asked.
    pub(super) is_well: bool,
    /// The broker refused the position, and why is still to be found out.
    pub(super) is_out_of_range: bool,
    pub(super) n_damaged: u32,
    /// Not to be fetched before.
    pub(super) retry_at: Instant,
}

impl Partition {
    pub(super) fn new(number: i32, next_offset: i64, now: Instant) -> Self {
        Self {
            number,
            next_offset,
            fetch_offset: next_offset,
            queue: VecDeque::new(),
            end_offset: -1,
            ended_at: None,
            is_paused: false,
            is_well: true,
            is_out_of_range: false,
            n_damaged: 0,
            retry_at: now,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.iter().filter(|queued| matches!(queued, Queued::Batches(_))).count() < ANSWERS_MAX
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Queues what was fetched from `fetch_offset` on. Returns the end, where it is another one.
    ///
    /// # Errors
    /// Nothing was queued; it is to be fetched again.
    pub(super) fn received(
        &mut self,
        answer: &Buffer,
        part: FetchedPart,
        is_read_committed: bool,
    ) -> Result<Option<i64>, Damaged> {
        let range = (part.records.start, part.records.end);
        if let Some(scanned) = Batches::scan(answer, range, part.aborted, self.fetch_offset)? {
            self.fetch_offset = scanned.next_offset;
            self.queue.push_back(Queued::Batches(scanned.batches));
            if self.is_paused {
                self.detach();
            }
        }
        let end_offset = if is_read_committed { part.last_stable_offset } else { part.high_watermark };
        if 0 <= end_offset && end_offset <= self.fetch_offset && self.ended_at != Some(self.fetch_offset) {
            self.ended_at = Some(self.fetch_offset);
            self.queue.push_back(Queued::End(self.fetch_offset));
        }
        let is_news = 0 <= end_offset && end_offset != self.end_offset;
        self.end_offset = end_offset;
        Ok(is_news.then_some(end_offset))
    }

    /// Takes a block of at most `n_max` records, or the end.
    ///
    /// # Errors
    /// Where the next record is damaged; to be followed by [`Self::restart`].
    pub(super) fn take(&mut self, n_max: usize) -> Result<Option<ReaderEvent>, Damaged> {
        loop {
            match self.queue.front_mut() {
                None => return Ok(None),
                Some(Queued::End(offset)) => {
                    let next_offset = *offset;
                    self.queue.pop_front();
                    self.next_offset = next_offset.max(self.next_offset);
                    return Ok(Some(ReaderEvent::End { partition: self.number, next_offset }));
                }
                Some(Queued::Batches(batches)) => {
                    let block = batches.take(self.number, self.next_offset, n_max)?;
                    if batches.is_empty() {
                        self.queue.pop_front();
                    }
                    if let Some(block) = block {
                        self.next_offset = block.offsets[block.len() - 1] + 1;
                        self.n_damaged = 0;
                        return Ok(Some(ReaderEvent::Block(block)));
                    }
                }
            }
        }
    }

    /// Throws away what is queued, to fetch it again.
    pub(super) fn restart(&mut self) {
        self.queue.clear();
        self.fetch_offset = self.next_offset;
        self.ended_at = None;
    }

    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        if is_paused {
            self.detach();
        }
    }

    /// Lets go of the answers: a partition that waits for long must not keep those of others.
    fn detach(&mut self) {
        for queued in &mut self.queue {
            if let Queued::Batches(batches) = queued {
                batches.detach();
            }
        }
    }
}
