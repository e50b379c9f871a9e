//! Runs one process of a simulation: all its actors on this thread, one step at a time.
//!
//! ```text
//! who can do something now? ─► one of them, as the seed says ─► step ─► it is busy for a while
//!            └── nobody: the clock goes on to the next moment at which somebody can
//! ```
//!
//! Invariants:
//! 1. Time passes only where nobody can do anything; a step takes no time, but its actor is busy
//!    for as long as the seed says, while the others go on.
//! 2. Whoever waits for a message or for room is looked at again whenever another has done something.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::case::{Case, End, Life};
use super::random::Random;
use super::replay::Replayer;
use super::world::SimClock;
use crate::dataflow::actor::{Actor, Next};
use crate::dataflow::live::lock;
use crate::dataflow::message::Event;
use crate::dataflow::sink::SinkTask;
use crate::dataflow::threads::chain;
use crate::pipeline::assembly::Assembly;
use crate::state::failpoint::simulated::Died;

/// Steps after which a process is taken to run in circles.
const STEPS_MAX: u64 = 2_000_000;
/// Lines of the trace that a failure shows.
const LINES_KEPT: usize = 200;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Killed,
    Stopped,
}

/// What happened, in order: its hash, and its end for a person.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(super) fn note(&mut self, line: String) {
        for byte in line.bytes() {
            // FNV-1a.
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self.lines.push_back(line);
        if LINES_KEPT < self.lines.len() {
            self.lines.pop_front();
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// An actor whose error is text.
pub(super) trait Step {
    fn step(&mut self) -> Result<Next, String>;
}

impl<A: Actor<Error: std::error::Error>> Step for A {
    fn step(&mut self) -> Result<Next, String> {
        Actor::step(self).map_err(|error| chain(&error))
    }
}

/// The thread of a sink, which may go on when its process is taken for dead.
pub(super) type Sink = Rc<RefCell<SinkTask>>;

impl Step for Sink {
    fn step(&mut self) -> Result<Next, String> {
        Step::step(&mut *self.borrow_mut())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Window,
    Committer,
    Coordinator,
    Discovery,
    Sink,
    /// Somebody who has dead letters run again.
    Replayer,
    /// A sink's thread of a process that was taken for dead.
    LateSink,
}

struct Slot {
    role: Role,
    subtask: usize,
    actor: Box<dyn Step>,
    busy_until_ns: u64,
    /// What the last step said.
    next: Next,
    /// When it goes on even without a message.
    wake_ns: Option<u64>,
    /// Number of the last step of anybody that it has looked at.
    looked_at: u64,
}

/// A process that runs.
pub(super) struct Driver<'a> {
    case: &'a Case,
    life: &'a Life,
    random: &'a mut Random,
    trace: &'a mut Trace,
    clock: Arc<SimClock>,

    now_ns: u64,
    slots: Vec<Slot>,
    sinks: Vec<Sink>,
    /// Steps that changed something for others.
    n_done: u64,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        case: &'a Case,
        life: &'a Life,
        random: &'a mut Random,
        trace: &'a mut Trace,
        now_ns: u64,
    ) -> Self {
        let clock = Arc::clone(&case.world.clock);
        Self { case, life, random, trace, clock, now_ns, slots: Vec::new(), sinks: Vec::new(), n_done: 0 }
    }

    /// Sinks of an earlier process that go on beside this one.
    pub(super) fn beside(mut self, late: &[Sink]) -> Self {
        for (i, sink) in late.iter().enumerate() {
            self.add(Role::LateSink, i, Box::new(Rc::clone(sink)));
        }
        self
    }

    /// Runs the actors until the process ends, as its life says. Returns how, when, and its sinks.
    pub(super) fn run(mut self, assembly: Assembly, read_all: &[i64]) -> (Ended, u64, Vec<Sink>) {
        let (how, now_ns) = self.run_actors(assembly, read_all);
        (how, now_ns, self.sinks)
    }

    fn run_actors(&mut self, assembly: Assembly, read_all: &[i64]) -> (Ended, u64) {
        let Assembly { coordinator, discovery, sources, windows, committer, .. } = assembly;
        let Assembly { sinks, stopping, stop_sinks: _open_sinks, .. } = assembly;
        let Assembly { stop_discovery: _open, latest, events, .. } = assembly;
        if self.case.world.is_mended.load(Ordering::Relaxed) {
            let plan = Arc::clone(&sources[0].plan);
            self.add(Role::Replayer, 0, Box::new(Replayer::new(&latest, &events, plan)));
        }
        for mut source in sources {
            source.epoch_bytes_max = self.case.epoch_bytes_max;
            self.add(Role::Source, source.subtask, Box::new(source));
        }
        for window in windows {
            self.add(Role::Window, window.subtask, Box::new(window));
        }
        self.add(Role::Committer, 0, Box::new(committer));
        self.add(Role::Coordinator, 0, Box::new(coordinator));
        self.add(Role::Discovery, 0, Box::new(discovery));
        for (i, sink) in sinks.into_iter().enumerate() {
            let sink = Rc::new(RefCell::new(sink));
            self.sinks.push(Rc::clone(&sink));
            self.add(Role::Sink, i, Box::new(sink));
        }
        let (kill_ns, mut stop_ns) = self.ends_ns();
        // Long after everything is there, even if it is read slowly.
        let patience_ms = 600_000 + 400 * self.life.epoch_ms as i64 + self.case.slowness.iter().sum::<i64>();
        let deadline_ns = self.now_ns.max(nanos(self.case.world.last_ms())) + nanos(patience_ms);
        for _ in 0..STEPS_MAX {
            if kill_ns.is_some_and(|at| at <= self.now_ns) {
                return (Ended::Killed, self.now_ns);
            }
            let waits = matches!(self.life.end, End::AllRead) && !self.life.bounded && stop_ns.is_none();
            if waits
                && lock(&latest)
                    .facts()
                    .partitions
                    .iter()
                    .map(|fact| fact.next_offset)
                    .eq(read_all.iter().copied())
            {
                stop_ns = Some(self.now_ns);
            }
            if stop_ns.is_some_and(|at| at <= self.now_ns) && events.try_send(Event::Stop).is_ok() {
                (stop_ns, self.n_done) = (Some(u64::MAX), self.n_done + 1);
            }
            assert!(self.now_ns < deadline_ns, "stuck: {:?}", lock(&latest).facts());
            let able: Vec<usize> = (0..self.slots.len()).filter(|slot| self.can_step(*slot)).collect();
            if able.is_empty() {
                self.pass_time(kill_ns.or(stop_ns.filter(|at| *at != u64::MAX)));
                continue;
            }
            let slot = able[self.random.below(able.len() as i64) as usize];
            match self.step(slot) {
                None => return (Ended::Killed, self.now_ns),
                Some(Next::End) if self.slots[slot].role == Role::Coordinator => {
                    stopping.set();
                    self.await_sinks();
                    return (Ended::Stopped, self.now_ns);
                }
                Some(next) => {
                    let may_end = next != Next::End || self.slots[slot].role == Role::LateSink;
                    assert!(may_end, "only the coordinator ends by itself");
                }
            }
        }
        panic!("it runs in circles: {:?}", lock(&latest).facts());
    }

    /// When the process is killed, and when it is told to stop.
    fn ends_ns(&self) -> (Option<u64>, Option<u64>) {
        match self.life.end {
            End::Killed(after_ms) => (Some(self.now_ns + nanos(after_ms)), None),
            End::KilledAt(_, _, after_ms) | End::Stopped(after_ms) => {
                (None, Some(self.now_ns + nanos(after_ms)))
            }
            End::AllRead => (None, None),
        }
    }

    /// The pipeline is stopped: its sinks end with the next step.
    fn await_sinks(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.role == Role::Sink) {
            assert_eq!(slot.actor.step(), Ok(Next::End));
        }
    }

    fn add(&mut self, role: Role, subtask: usize, actor: Box<dyn Step>) {
        let busy_until_ns = self.now_ns;
        let (next, wake_ns, looked_at) = (Next::Step, None, 0);
        self.slots.push(Slot { role, subtask, actor, busy_until_ns, next, wake_ns, looked_at });
    }

    fn can_step(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        let wakes = slot.wake_ns.is_some_and(|at| at <= self.now_ns);
        // Neither a poll of the source nor a question to the broker ends because of others.
        let looks = slot.role != Role::Discovery && slot.looked_at < self.n_done;
        slot.busy_until_ns <= self.now_ns
            && match slot.next {
                Next::Step => true,
                Next::Polled => wakes,
                Next::Wait(_) => wakes || looks,
                Next::Blocked => slot.looked_at < self.n_done,
                Next::End => false,
            }
    }

    /// Lets time pass until somebody can do something, or the process is to end.
    fn pass_time(&mut self, end_ns: Option<u64>) {
        let moment = |slot: &Slot| match slot.next {
            Next::End => None,
            _ if self.now_ns < slot.busy_until_ns => Some(slot.busy_until_ns),
            _ => slot.wake_ns,
        };
        let next_ns = self.slots.iter().filter_map(moment).chain(end_ns).min();
        self.now_ns = next_ns.expect("deadlock: nobody can do anything, and no time will change that");
        self.clock.set_ns(self.now_ns);
    }

    /// `None`: the process died in it.
    fn step(&mut self, index: usize) -> Option<Next> {
        let n_done = self.n_done;
        let slot = &mut self.slots[index];
        let next = match catch_unwind(AssertUnwindSafe(|| slot.actor.step())) {
            Ok(Err(reason)) if slot.role == Role::LateSink => {
                self.trace
                    .note(format!("{} us a process taken for dead failed: {reason}", self.now_ns / 1_000));
                Next::End
            }
            Ok(next) => next.unwrap_or_else(|reason| panic!("the pipeline failed: {reason}")),
            Err(panic) => match panic.downcast::<Died>() {
                Ok(_) if slot.role == Role::LateSink => Next::End,
                Ok(died) => {
                    self.trace.note(format!("{} us died at {}", self.now_ns / 1_000, died.0.name()));
                    return None;
                }
                Err(panic) => resume_unwind(panic),
            },
        };
        let Slot { role, subtask, .. } = *slot;
        self.trace.note(format!("{} us {role:?} {subtask}: {next:?}", self.now_ns / 1_000));
        slot.next = next;
        slot.looked_at = n_done;
        let busy_us = match role {
            Role::Source => self.case.slowness[0],
            Role::Window => self.case.slowness[1],
            Role::Committer => self.case.slowness[2],
            Role::Coordinator | Role::Discovery | Role::Sink | Role::LateSink | Role::Replayer => 200,
        };
        let busy_us = match role {
            Role::Sink | Role::LateSink => self.case.systems[subtask].take_busy_us() as i64,
            _ if next == Next::Step => self.random.below(busy_us),
            _ => 0,
        };
        slot.busy_until_ns = self.now_ns + busy_us as u64 * 1_000;
        slot.wake_ns = match next {
            Next::Wait(timeout) => timeout.map(|timeout| self.now_ns + timeout.as_nanos() as u64),
            Next::Polled => {
                let longest_us = self.life.poll_ms_max() * 1_000;
                Some(self.now_ns + self.random.between(1, longest_us) as u64 * 1_000)
            }
            Next::Step | Next::Blocked | Next::End => None,
        };
        if next == Next::Step {
            self.n_done += 1;
        }
        Some(next)
    }
}

fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0) * 1_000_000
}
