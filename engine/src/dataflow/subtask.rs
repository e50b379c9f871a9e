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
//! 3. State of all subtasks that is larger than `state_bytes_max` ends the pipeline before the machine has
//!    no memory left; nothing of the epoch is committed. What counts is the memory now, in whatever epoch
//!    each subtask is: of the others it is known as it was at most `CHECK_ROWS` rows ago.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError};

use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::live::Shared;
use crate::dataflow::message::{Message, Part};
use crate::operator::{Barrier, Error, Operator};
use crate::state::failpoint::{self, Point};
use crate::time::Clock;

/// Rows after which the size of the state is looked at within an epoch. It costs some 50 ns a pane and call.
const CHECK_ROWS: usize = 16_384;

/// Everything a window subtask is made of.
pub struct WindowTask {
    pub subtask: usize,
    pub operator: Box<dyn Operator>,
    /// One per source subtask.
    pub inputs: Vec<Receiver<Message>>,
    pub committer: Sender<Part>,
    /// Of the state of all window subtasks.
    pub state_bytes_max: usize,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,

    pub state: WindowState,
}

/// What changes while a window subtask runs.
#[derive(Debug)]
pub struct WindowState {
    /// Inputs on which the barrier of the epoch has arrived.
    aligned: Vec<bool>,
    /// The input to look at first: each gets its turn.
    turn: usize,
    /// Since the size of the state was looked at.
    n_unchecked_rows: usize,
    /// Handed over by the operator, not yet sent.
    unsent: Option<Part>,
}

impl WindowState {
    /// Before the first message of any of `n_inputs`.
    #[must_use]
    pub fn new(n_inputs: usize) -> Self {
        Self { aligned: vec![false; n_inputs], turn: 0, n_unchecked_rows: 0, unsent: None }
    }
}

impl Actor for WindowTask {
    type Error = Error;

    fn step(&mut self) -> Result<Next, Error> {
        if let Some(part) = self.state.unsent.take() {
            match actor::try_send(&self.committer, part) {
                Sent::Yes => return Ok(Next::Step),
                Sent::Gone => return Ok(Next::End),
                Sent::Full(part) => {
                    self.state.unsent = Some(part);
                    return Ok(Next::Blocked);
                }
            }
        }
        match self.next() {
            Ok((input, message)) => self.take(input, message),
            Err(TryRecvError::Empty) => Ok(Next::Wait(None)),
            Err(TryRecvError::Disconnected) => Ok(Next::End),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        let mut select = Select::new();
        for (input, aligned) in self.inputs.iter().zip(&self.state.aligned) {
            if !aligned {
                select.recv(input);
            }
        }
        actor::wait_ready(&mut select, timeout);
    }

    fn wait_for_room(&mut self) {
        let blocked = &self.shared.windows[self.subtask].blocked;
        blocked.begin(self.clock.monotonic_ns());
        actor::wait_for_room(&self.committer);
        blocked.end(self.clock.monotonic_ns());
    }
}

impl WindowTask {
    /// The next message of an input that is not held.
    fn next(&mut self) -> Result<(usize, Message), TryRecvError> {
        let n_inputs = self.inputs.len();
        for input in (self.state.turn..n_inputs).chain(0..self.state.turn) {
            if self.state.aligned[input] {
                continue;
            }
            match self.inputs[input].try_recv() {
                Ok(message) => {
                    self.state.turn = (input + 1) % n_inputs;
                    return Ok((input, message));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(TryRecvError::Disconnected),
            }
        }
        Err(TryRecvError::Empty)
    }

    fn take(&mut self, input: usize, message: Message) -> Result<Next, Error> {
        match message {
            Message::Batch(batch) => {
                let meter = &self.shared.windows[self.subtask];
                meter.rows_in.fetch_add(batch.n_rows() as u64, Ordering::Relaxed);
                meter.busy.begin(self.clock.monotonic_ns());
                self.state.n_unchecked_rows += batch.n_rows();
                self.operator.batch(batch)?;
                if CHECK_ROWS <= self.state.n_unchecked_rows {
                    self.check_size()?;
                }
                self.shared.windows[self.subtask].busy.end(self.clock.monotonic_ns());
            }
            Message::Barrier(barrier) => {
                self.state.aligned[input] = true;
                if self.state.aligned.iter().all(|aligned| *aligned) {
                    self.state.aligned.fill(false);
                    self.end_epoch(&barrier)?;
                }
            }
        }
        Ok(Next::Step)
    }

    fn end_epoch(&mut self, barrier: &Barrier) -> Result<(), Error> {
        self.shared.windows[self.subtask].busy.begin(self.clock.monotonic_ns());
        let output = self.operator.barrier(barrier)?;
        self.check_size()?;
        let meter = &self.shared.windows[self.subtask];
        meter.busy.end(self.clock.monotonic_ns());
        let n_rows: usize =
            output.finals.iter().chain(&output.provisionals).map(|timed| timed.rows.num_rows()).sum();
        meter.rows_out.fetch_add(n_rows as u64, Ordering::Relaxed);
        failpoint::pass(Point::HandOver);
        self.state.unsent = Some(Part::Output { subtask: self.subtask, epoch: barrier.epoch, output });
        Ok(())
    }

    fn check_size(&mut self) -> Result<(), Error> {
        self.state.n_unchecked_rows = 0;
        let max_bytes = self.state_bytes_max;
        if max_bytes / 2 < self.measure() {
            // It is needed for windows that are open, here or in another subtask.
            self.operator.release_spare();
            if max_bytes < self.measure() {
                return Err(Error::StateTooLarge { max_bytes });
            }
        }
        Ok(())
    }

    /// Bytes of the state of all subtasks.
    fn measure(&self) -> usize {
        let meters = &self.shared.windows;
        meters[self.subtask].state_bytes.store(self.operator.state_bytes(), Ordering::Relaxed);
        meters.iter().map(|meter| meter.state_bytes.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::exchange::Exchange;
    use crate::operator::{Batch, Output, PaneRows};
    use crate::time::{Epoch, ManualClock};
    use crossbeam_channel::{bounded, unbounded};

    fn pane_rows(n_rows: usize) -> Batch {
        let pane = crate::time::window::PaneId::whole(0);
        Batch::Rows(PaneRows { pane, n_rows, keys: vec![], args: vec![], filters: vec![] })
    }

    fn rows(n_rows: usize) -> Message {
        Message::Batch(pane_rows(n_rows))
    }

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

    /// Works for 600 ms on each batch.
    struct Slow(Arc<ManualClock>);

    impl Operator for Slow {
        fn batch(&mut self, _batch: Batch) -> Result<(), Error> {
            self.0.advance(600);
            Ok(())
        }
        fn barrier(&mut self, _barrier: &Barrier) -> Result<Output, Error> {
            Ok(Output::default())
        }
        fn state_bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn a_slow_operator_is_busy_and_who_sends_to_a_full_channel_is_blocked() {
        let clock = Arc::new(ManualClock::new(0));
        let shared = Arc::new(Shared::new("t", "window", 1));
        let (sender, input) = bounded(1);
        let (committer, parts) = bounded(1);
        let mut window = WindowTask {
            subtask: 0,
            operator: Box::new(Slow(Arc::clone(&clock))),
            inputs: vec![input],
            committer,
            state_bytes_max: usize::MAX,
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            state: WindowState::new(1),
        };
        let clock_of_exchange = Arc::clone(&clock) as Arc<dyn Clock>;
        let mut exchange = Exchange::new(0, 0, vec![sender], Arc::clone(&shared), clock_of_exchange);
        let measure = |elapsed_ms: u64| {
            let meters = shared.sources.iter().chain(&shared.windows);
            meters.for_each(|meter| meter.measure(clock.monotonic_ns(), elapsed_ms * 1_000_000));
            let live = shared.live();
            let ratios = |i: usize| (live.operators[i].busy_ratio, live.operators[i].blocked_ratio);
            (ratios(0), ratios(1))
        };
        // Two batches: the channel has room for one, so the source waits while the window works.
        exchange.put(pane_rows(1)).unwrap();
        exchange.put(pane_rows(1)).unwrap();
        assert_eq!(exchange.send().unwrap(), Some(Next::Step));
        let source = std::thread::spawn(move || {
            exchange.wait_for_room();
            exchange
        });
        while !shared.sources[0].blocked.is_going_on() {
            std::thread::yield_now();
        }
        clock.advance(400);
        assert_eq!(measure(400), ((0.0, 1.0), (0.0, 0.0)), "it waits, and nobody works");
        assert_eq!(window.step().unwrap(), Next::Step);
        let mut exchange = source.join().unwrap();
        clock.advance(400);
        assert_eq!(measure(1_000).1, (0.6, 0.0), "the window has worked");
        // The committer takes nothing: the window's second epoch has to wait.
        exchange.send().unwrap();
        assert_eq!(window.step().unwrap(), Next::Step);
        for n in 1..=2 {
            exchange.put_barrier(Barrier { epoch: Epoch(n), watermark_ms: None, close_all: false });
            exchange.send().unwrap();
            assert_eq!(window.step().unwrap(), Next::Step);
            if n == 1 {
                assert_eq!(window.step().unwrap(), Next::Step, "there is room for the first");
            }
        }
        assert_eq!(window.step().unwrap(), Next::Blocked);
        measure(1_000);
        let window = std::thread::spawn(move || window.wait_for_room());
        while !shared.windows[0].blocked.is_going_on() {
            std::thread::yield_now();
        }
        clock.advance(500);
        assert_eq!(measure(1_000), ((0.0, 0.0), (0.0, 0.5)));
        drop(parts);
        window.join().unwrap();
    }

    /// Each row takes ten bytes until the barrier, and half of them are kept for the next epoch.
    #[derive(Default)]
    struct Hoarding {
        n_rows: usize,
        n_spare: usize,
    }

    impl Operator for Hoarding {
        fn batch(&mut self, batch: Batch) -> Result<(), Error> {
            self.n_rows += batch.n_rows();
            Ok(())
        }
        fn barrier(&mut self, _barrier: &Barrier) -> Result<Output, Error> {
            self.n_spare = std::mem::take(&mut self.n_rows) / 2;
            Ok(Output::default())
        }
        fn state_bytes(&self) -> usize {
            10 * (self.n_rows + self.n_spare)
        }
        fn release_spare(&mut self) {
            self.n_spare = 0;
        }
    }

    #[test]
    fn the_bound_is_of_the_memory_of_all_subtasks_now_whatever_their_epochs() {
        let state_bytes_max = 100 * CHECK_ROWS;
        let shared = Arc::new(Shared::new("t", "window", 2));
        let (committer, _parts) = unbounded();
        let (senders, mut windows): (Vec<_>, Vec<_>) = (0..2)
            .map(|subtask| {
                let (sender, input) = unbounded();
                let window = WindowTask {
                    subtask,
                    operator: Box::new(Hoarding::default()),
                    inputs: vec![input],
                    committer: committer.clone(),
                    state_bytes_max,
                    shared: Arc::clone(&shared),
                    clock: Arc::new(ManualClock::new(0)),
                    state: WindowState::new(1),
                };
                (sender, window)
            })
            .unzip();
        let mut take = |subtask: usize, message: Message| {
            senders[subtask].send(message).unwrap();
            let window = &mut windows[subtask];
            let mut step = || window.step().map(|_| ());
            step().and_then(|()| step())
        };
        let bytes = || shared.live().operators.iter().map(|one| one.state_bytes as usize).sum::<usize>();
        let barrier = |n| Message::Barrier(Barrier { epoch: Epoch(n), watermark_ms: None, close_all: false });
        take(0, rows(4 * CHECK_ROWS)).unwrap();
        take(1, rows(4 * CHECK_ROWS)).unwrap();
        assert_eq!(bytes(), 80 * CHECK_ROWS);
        // The first one is an epoch ahead: what it no longer has is free for the other, kept memory too.
        take(0, barrier(1)).unwrap();
        assert_eq!(bytes(), 40 * CHECK_ROWS, "more than half of the bound is taken: nothing is kept");
        take(1, rows(6 * CHECK_ROWS)).unwrap();
        assert_eq!(bytes(), 100 * CHECK_ROWS);
        // What it takes in its next epoch is memory, too, though the other has not ended the first.
        take(0, rows(CHECK_ROWS - 1)).unwrap();
        assert!(matches!(take(0, rows(1)), Err(Error::StateTooLarge { .. })));
    }

    #[test]
    fn rows_behind_a_barrier_wait_for_the_other_input() {
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
            state_bytes_max: usize::MAX,
            shared: Arc::new(Shared::new("t", "window", 1)),
            clock: Arc::new(ManualClock::new(0)),
            state: WindowState::new(2),
        };
        actor::run(task).unwrap();
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
