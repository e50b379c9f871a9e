//! The exchange: from a source subtask to the window subtasks, by hash of the key.
//!
//! Invariants:
//! 1. All rows of a key reach the same window subtask, whatever run, process or machine.
//! 2. A full channel blocks the sender: that is the back-pressure, and its time is measured.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use crossbeam_channel::{Sender, TrySendError};

use crate::aggregate::hash_keys;
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
        Self { subtask, n_keys, senders, shared, clock }
    }

    /// Sends a batch to where its keys belong; rows without key stay with their subtask.
    ///
    /// # Errors
    /// Where a key's type can't be hashed. `Ok(Err(Closed))`: nobody listens.
    pub fn send(&self, batch: Batch) -> Result<Result<(), Closed>, Error> {
        let n_subtasks = self.senders.len();
        match batch {
            Batch::Append(_) => return Ok(self.put(self.subtask, batch)),
            _ if n_subtasks == 1 => return Ok(self.put(0, batch)),
            Batch::States { pane_ms, states } => {
                for (target, states) in
                    split_states(&states, self.n_keys, n_subtasks)?.into_iter().enumerate()
                {
                    if 0 < states.num_rows() && self.put(target, Batch::States { pane_ms, states }).is_err() {
                        return Ok(Err(Closed));
                    }
                }
            }
            Batch::Rows(whole) => {
                let rows = rows_per_subtask(whole.n_rows, &whole.keys, n_subtasks)?;
                for (target, rows) in rows.into_iter().enumerate() {
                    if !rows.is_empty() {
                        let part = take_rows(&whole, whole.pane_ms, rows)?;
                        if self.put(target, Batch::Rows(part)).is_err() {
                            return Ok(Err(Closed));
                        }
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    /// Sends the barrier to every window subtask.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn barrier(&self, barrier: Barrier) -> Result<(), Closed> {
        self.senders.iter().try_for_each(|sender| sender.send(Message::Barrier(barrier)).map_err(|_| Closed))
    }

    fn put(&self, target: usize, batch: Batch) -> Result<(), Closed> {
        let meter = &self.shared.sources[self.subtask];
        meter.rows_out.fetch_add(batch.n_rows() as u64, Ordering::Relaxed);
        match self.senders[target].try_send(Message::Batch(batch)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Closed),
            Err(TrySendError::Full(message)) => {
                let before = self.clock.monotonic_ns();
                let sent = self.senders[target].send(message).map_err(|_| Closed);
                let waited = self.clock.monotonic_ns().saturating_sub(before);
                meter.blocked_ns.fetch_add(waited, Ordering::Relaxed);
                sent
            }
        }
    }
}
