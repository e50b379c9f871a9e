//! Dead letters that are run again: decoded with the schemas as they are now, and put through the same steps as records
//! that were just taken.
//!
//! Invariants:
//! 1. A letter that was taken is in the report of the epoch that its rows are in: gone, or one anew.
//! 2. It moves no watermark and wakes no partition. It counts in the windows that are not closed, as if it had been read
//!    before what closed them; those that it missed make it a late row.

use std::sync::atomic::Ordering;

use arrow::buffer::Buffer;
use crossbeam_channel::Sender;

use super::{Error, SourceTask};
use crate::connector::{Decoder, RecordBlock, Span};
use crate::dataflow::actor::Next;
use crate::dataflow::replay::{Replay, Replayed};
use crate::result::{DeadLetter, LetterId, Why};
use crate::time::watermark::{PartitionTime, Rules};

/// A request under way.
pub(super) struct Replaying {
    /// Not yet taken; the next one is the last.
    letters: Vec<(LetterId, DeadLetter)>,
    /// Of its own: what others know of schemas may be out of date.
    decoder: Box<dyn Decoder>,
    replayed: Replayed,
    reply: Sender<Replayed>,
}

impl Replaying {
    /// The next letters, of one partition and at most `n_max`.
    fn take(&mut self, n_max: usize) -> Vec<(LetterId, DeadLetter)> {
        let Some((first, _)) = self.letters.last() else { return Vec::new() };
        let partition = first.partition;
        let of_partition = self.letters.iter().rev().take(n_max);
        let n = of_partition.take_while(|(id, _)| id.partition == partition).count();
        let mut taken = self.letters.split_off(self.letters.len() - n);
        taken.reverse();
        taken
    }
}

impl SourceTask {
    /// Takes a request. Another one that is under way goes on; then nobody gets an answer to this one.
    pub(super) fn begin_replay(&mut self, replay: Replay) -> Result<(), Error> {
        if self.state.replaying.is_none() {
            let Replay { mut letters, reply } = replay;
            letters.reverse();
            let decoder = self.source.decoder(&self.plan.scan)?;
            self.state.replaying = Some(Replaying { letters, decoder, replayed: Replayed::default(), reply });
        }
        Ok(())
    }

    /// Runs the next letters again.
    pub(super) fn run_again(&mut self, mut replaying: Replaying) -> Result<Next, Error> {
        self.meter().busy.begin(self.clock.monotonic_ns());
        let taken = replaying.take(self.state.records_max);
        let (ids, letters): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        let block = block(&letters);
        let decoded = replaying.decoder.decode(&block, 0)?;
        let is_new = |record: &&u32| letters[**record as usize].reason.is_of_decoding();
        let n_rows = decoded.records.iter().filter(is_new).count() as u64;
        let n_letters = self.state.report.dead_letters.len();
        self.state.again = letters;
        self.state.report.counters.rows_in += n_rows;
        self.state.report.schemas.extend(decoded.schemas.iter().cloned());
        for rejected in &decoded.rejected {
            self.dead_letter(&block, rejected.record, Why::new(rejected.reason, rejected.detail.clone()));
        }
        // No time has passed but what closed windows.
        let rules = Rules { delay_ms: i64::MAX, ..self.rules };
        let mut time = PartitionTime { watermark_ms: None, floor_ms: self.partitions.closed_ms() };
        self.judge_by(&block, &decoded, &rules, &mut time)?;
        self.state.again.clear();
        self.put_ready()?;
        let n_again = (self.state.report.dead_letters.len() - n_letters) as u64;
        let n_taken = decoded.next as u64;
        self.state.report.replayed.extend(&ids[..decoded.next]);
        self.state.report.counters.dead_letters_replayed += n_taken - n_again;
        self.shared.letters_replayed_total.fetch_add(n_taken - n_again, Ordering::Relaxed);
        self.activity.store(true, Ordering::Relaxed);
        replaying.replayed.taken += n_taken;
        replaying.replayed.again += n_again;
        replaying.replayed.stopped = decoded.blocked;
        if replaying.letters.is_empty() || replaying.replayed.stopped.is_some() {
            self.state.report.answer = Some((replaying.reply, replaying.replayed));
        } else {
            self.state.replaying = Some(replaying);
        }
        self.meter().busy.end(self.clock.monotonic_ns());
        Ok(Next::Step)
    }
}

/// The letters' records, as their reader gave them.
fn block(letters: &[DeadLetter]) -> RecordBlock {
    let mut data = Vec::new();
    let mut span = |bytes: &Option<Vec<u8>>| {
        let Some(bytes) = bytes else { return Span::NULL };
        let fits = "letters of one request are far below 4 GiB";
        let start = u32::try_from(data.len()).expect(fits);
        data.extend_from_slice(bytes);
        Span::new(start, u32::try_from(bytes.len()).expect(fits))
    };
    let keys = letters.iter().map(|letter| span(&letter.key)).collect();
    let values = letters.iter().map(|letter| span(&letter.payload)).collect();
    RecordBlock {
        partition: letters.first().and_then(|letter| letter.partition).unwrap_or(0),
        data: Buffer::from(data),
        offsets: letters.iter().map(|letter| letter.offset.unwrap_or(0)).collect(),
        timestamps_ms: letters.iter().map(|letter| letter.record_time_ms.unwrap_or(-1)).collect(),
        keys,
        values,
    }
}
