//! A window subtask: aligns the barriers of its inputs and drives its operator.
//!
//! ```text
//! input 0  ── b4 ─ b3 ─▐5▌─ b2 ─ b1 ─►┐
//!                                     ├─► operator ─► Output 5 ─► committer
//! input 1  ───────────────── b2 ─ b1 ─►┘    held: b3 and b4, until input 1 delivers ▐5▌
//! ```
//!
//! Invariants:
//! 1. No batch behind barrier `N` reaches the operator before barrier `N` has arrived on every input.
//!    Otherwise its rows would be in the state of epoch `N` *and* be read again after recovery.
//! 2. A held input costs no memory here: it is not polled, its channel fills, its sender waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Select, Sender};

use crate::dataflow::live::Shared;
use crate::dataflow::message::{Message, Part};
use crate::operator::{Barrier, Error, Operator};
use crate::time::Clock;

/// Everything a window subtask is made of.
pub struct WindowTask {
    pub subtask: usize,
    pub operator: Box<dyn Operator>,
    /// One per source subtask.
    pub inputs: Vec<Receiver<Message>>,
    pub committer: Sender<Part>,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
}

impl WindowTask {
    /// Runs until its inputs end.
    ///
    /// # Errors
    /// The operator's.
    pub fn run(mut self) -> Result<(), Error> {
        let mut aligned = vec![false; self.inputs.len()];
        while let Some((input, message)) = next(&self.inputs, &aligned) {
            let before = self.clock.monotonic_ns();
            let meter = &self.shared.windows[self.subtask];
            match message {
                Message::Batch(batch) => {
                    meter.rows_in.fetch_add(batch.n_rows() as u64, Ordering::Relaxed);
                    self.operator.batch(batch)?;
                    self.spent(before);
                }
                Message::Barrier(barrier) => {
                    aligned[input] = true;
                    if aligned.iter().all(|aligned| *aligned) {
                        aligned.fill(false);
                        if !self.end_epoch(&barrier)? {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns whether anybody still listens.
    fn end_epoch(&mut self, barrier: &Barrier) -> Result<bool, Error> {
        let before = self.clock.monotonic_ns();
        let output = self.operator.barrier(barrier)?;
        self.spent(before);
        let meter = &self.shared.windows[self.subtask];
        let n_rows: usize =
            output.finals.iter().chain(&output.provisionals).map(|timed| timed.rows.num_rows()).sum();
        meter.rows_out.fetch_add(n_rows as u64, Ordering::Relaxed);
        meter.state_bytes.store(self.operator.state_bytes(), Ordering::Relaxed);
        let part = Part::Output { subtask: self.subtask, epoch: barrier.epoch, output };
        let before = self.clock.monotonic_ns();
        let sent = self.committer.send(part).is_ok();
        let waited = self.clock.monotonic_ns().saturating_sub(before);
        meter.blocked_ns.fetch_add(waited, Ordering::Relaxed);
        Ok(sent)
    }

    fn spent(&self, before_ns: u64) {
        let spent = self.clock.monotonic_ns().saturating_sub(before_ns);
        self.shared.windows[self.subtask].busy_ns.fetch_add(spent, Ordering::Relaxed);
    }
}

/// The next message of an input that is not held; `None` once an input has ended.
fn next(inputs: &[Receiver<Message>], aligned: &[bool]) -> Option<(usize, Message)> {
    if let [only] = inputs {
        return only.recv().ok().map(|message| (0, message));
    }
    let open: Vec<usize> = (0..inputs.len()).filter(|input| !aligned[*input]).collect();
    let mut select = Select::new();
    for input in &open {
        select.recv(&inputs[*input]);
    }
    let ready = select.select();
    let input = open[ready.index()];
    ready.recv(&inputs[input]).ok().map(|message| (input, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Batch, Output, PaneRows};
    use crate::time::{Epoch, ManualClock};
    use crossbeam_channel::unbounded;

    /// Counts the rows of each epoch.
    #[derive(Default)]
    struct Counting(i64);

    impl Operator for Counting {
        fn batch(&mut self, batch: Batch) -> Result<(), Error> {
            self.0 += batch.n_rows() as i64;
            Ok(())
        }
        fn barrier(&mut self, _barrier: &Barrier) -> Result<Output, Error> {
            Ok(Output { closed_ms: Some(std::mem::take(&mut self.0)), ..Output::default() })
        }
        fn state_bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn rows_behind_a_barrier_wait_for_the_other_input() {
        let rows = |n_rows| {
            Message::Batch(Batch::Rows(PaneRows {
                pane_ms: 0,
                n_rows,
                keys: vec![],
                args: vec![],
                filters: vec![],
            }))
        };
        let barrier = |n| Message::Barrier(Barrier { epoch: Epoch(n), watermark_ms: None, close_all: false });
        let (left, left_out) = unbounded();
        let (right, right_out) = unbounded();
        for message in [rows(1), barrier(1), rows(10), barrier(2)] {
            left.send(message).unwrap();
        }
        for message in [rows(100), barrier(1), barrier(2)] {
            right.send(message).unwrap();
        }
        drop((left, right));
        let (committer, parts) = unbounded();
        let task = WindowTask {
            subtask: 0,
            operator: Box::new(Counting::default()),
            inputs: vec![left_out, right_out],
            committer,
            shared: Arc::new(Shared::new("t", "window", 1)),
            clock: Arc::new(ManualClock::new(0)),
        };
        task.run().unwrap();
        let counts: Vec<_> = parts
            .iter()
            .map(|part| match part {
                Part::Output { epoch, output, .. } => (epoch.0, output.closed_ms.unwrap()),
                Part::Sources(_) => unreachable!(),
            })
            .collect();
        assert_eq!(counts, [(1, 101), (2, 10)]);
    }
}
