//! The exchange: from a source subtask to the window subtasks, by hash of the key.
//!
//! Invariants:
//! 1. All rows of a key reach the same window subtask, whatever run, process or machine.
//! 2. A full channel blocks the sender: that is the back-pressure, and its time is measured.
//! 3. Messages to all window subtasks leave in the order in which they were made.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use crossbeam_channel::Sender;

use crate::aggregate::hash_keys;
use crate::dataflow::actor::{self, Next, Sent};
use crate::dataflow::live::Shared;
use crate::dataflow::message::Message;
use crate::operator::partial::take_rows;
use crate::operator::{Barrier, Batch, Error};
use crate::time::Clock;

/// Messages that may wait between two subtasks: enough that a short stall on one side does not stop
/// the other, few enough that what is in flight stays in cache-sized memory.
pub const CHANNEL_MESSAGES: usize = 8;

/// The window subtask that a key with this hash belongs to.
#[must_use]
pub fn subtask_of(hash: u64, n_subtasks: usize) -> usize {
    let scaled = (u128::from(hash) * n_subtasks as u128) >> 64;
    usize::try_from(scaled).expect("smaller than n_subtasks")
}

/// Splits a batch of states by window subtask. The first `n_keys` columns are the key.
///
/// # Errors
/// Where a key's type can't be hashed.
pub fn split_states(
    states: &RecordBatch,
    n_keys: usize,
    n_subtasks: usize,
) -> Result<Vec<RecordBatch>, Error> {
    if n_subtasks == 1 {
        return Ok(vec![states.clone()]);
    }
    let rows = rows_per_subtask(states.num_rows(), &states.columns()[..n_keys], n_subtasks)?;
    rows.into_iter().map(|rows| Ok(take_record_batch(states, &UInt32Array::from(rows))?)).collect()
}

fn rows_per_subtask(n_rows: usize, keys: &[ArrayRef], n_subtasks: usize) -> Result<Vec<Vec<u32>>, Error> {
    let mut hashes = Vec::with_capacity(n_rows);
    hash_keys(n_rows, keys, &mut hashes)?;
    let mut rows = vec![Vec::new(); n_subtasks];
    for (row, hash) in (0u32..).zip(&hashes) {
        rows[subtask_of(*hash, n_subtasks)].push(row);
    }
    Ok(rows)
}

/// The sending side of one source subtask.
pub struct Exchange {
    subtask: usize,
    n_keys: usize,
    senders: Vec<Sender<Message>>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,

    /// Not yet sent, in order, with the window subtask that it is for.
    unsent: VecDeque<(usize, Message)>,
}

/// The receiving side is gone: the pipeline is ending, for a reason that others report.
#[derive(Debug)]
pub struct Closed;

impl Exchange {
    /// `senders[i]` leads to window subtask `i`.
    #[must_use]
    pub fn new(
        subtask: usize,
        n_keys: usize,
        senders: Vec<Sender<Message>>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { subtask, n_keys, senders, shared, clock, unsent: VecDeque::new() }
    }

    /// Splits a batch by where its keys belong; rows without key stay with their subtask. What it
    /// becomes waits for [`Self::send`].
    ///
    /// # Errors
    /// Where a key's type can't be hashed.
    pub fn put(&mut self, batch: Batch) -> Result<(), Error> {
        let n_subtasks = self.senders.len();
        match batch {
            Batch::Append(_) => self.put_for(self.subtask, batch),
            _ if n_subtasks == 1 => self.put_for(0, batch),
            Batch::States { pane, states } => {
                for (target, states) in
                    split_states(&states, self.n_keys, n_subtasks)?.into_iter().enumerate()
                {
                    if 0 < states.num_rows() {
                        self.put_for(target, Batch::States { pane, states });
                    }
                }
            }
            Batch::Rows(whole) => {
                let rows = rows_per_subtask(whole.n_rows, &whole.keys, n_subtasks)?;
                for (target, rows) in rows.into_iter().enumerate() {
                    if !rows.is_empty() {
                        let part = take_rows(&whole, whole.pane, rows)?;
                        self.put_for(target, Batch::Rows(part));
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts the barrier behind all that every window subtask has been given.
    pub fn put_barrier(&mut self, barrier: Barrier) {
        self.unsent.extend((0..self.senders.len()).map(|target| (target, Message::Barrier(barrier))));
    }

    /// Sends as much as there is room for. `None`: there was nothing to send.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn send(&mut self) -> Result<Option<Next>, Closed> {
        let mut next = None;
        while let Some((target, message)) = self.unsent.pop_front() {
            match actor::try_send(&self.senders[target], message) {
                Sent::Yes => next = Some(Next::Step),
                Sent::Gone => return Err(Closed),
                Sent::Full(message) => {
                    self.unsent.push_front((target, message));
                    return Ok(next.or(Some(Next::Blocked)));
                }
            }
        }
        Ok(next)
    }

    /// Whether all is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Waits until [`Self::send`] gets on. Returns at once where all is sent.
    pub fn wait_for_room(&self) {
        let Some((target, _)) = self.unsent.front() else { return };
        let blocked = &self.shared.sources[self.subtask].blocked;
        blocked.begin(self.clock.monotonic_ns());
        actor::wait_for_room(&self.senders[*target]);
        blocked.end(self.clock.monotonic_ns());
    }

    fn put_for(&mut self, target: usize, batch: Batch) {
        let n_rows = batch.n_rows() as u64;
        self.shared.sources[self.subtask].rows_out.fetch_add(n_rows, Ordering::Relaxed);
        self.unsent.push_back((target, Message::Batch(batch)));
    }
}
