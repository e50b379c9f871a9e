//! What every part of a running pipeline is: a state machine that does one thing at a time.
//!
//! ```text
//! thread:      run(actor):  step ─► step ─► wait ─► step …     one actor per thread
//! simulation:  any actor's step, as a seed decides             all actors on one thread
//! ```
//!
//! Invariants:
//! 1. A step waits for no other actor: what does not fit into a channel is kept, and nothing else is
//!    done before it has been sent. So a step never deadlocks, and what is kept is one step's work.
//! 2. A step that says [`Next::Wait`] or [`Next::Blocked`] has sent nothing: who waits for this actor need
//!    not look. It may be stepped too early: it looks again.

use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

/// What an actor can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It may have something to do.
    Step,
    /// It asked the source, which has nothing and waited for it already.
    Polled,
    /// It has nothing to do before a message comes or this long has passed.
    Wait(Option<Duration>),
    /// A channel that it sends to is full.
    Blocked,
    /// It has ended.
    End,
}

/// A source or window subtask, the committer, the coordinator, the discovery of partitions.
pub trait Actor {
    /// Why it can't go on.
    type Error;

    /// Does one piece of work.
    ///
    /// # Errors
    /// What makes going on impossible for the pipeline.
    fn step(&mut self) -> Result<Next, Self::Error>;

    /// Waits for a message, at most `timeout`.
    fn wait(&mut self, timeout: Option<Duration>);

    /// Waits until the channel that was full has room, or whoever reads it is gone.
    fn wait_for_room(&mut self);
}

/// Runs an actor on this thread until it ends.
///
/// # Errors
/// The actor's.
pub fn run<A: Actor>(mut actor: A) -> Result<(), A::Error> {
    loop {
        match actor.step()? {
            Next::Step | Next::Polled => {}
            Next::Wait(timeout) => actor.wait(timeout),
            Next::Blocked => actor.wait_for_room(),
            Next::End => return Ok(()),
        }
    }
}

/// What became of a message that was to be sent.
pub(super) enum Sent<T> {
    Yes,
    /// The channel is full: here it is again.
    Full(T),
    /// Nobody reads the channel any more.
    Gone,
}

/// Sends without waiting.
pub(super) fn try_send<T>(channel: &Sender<T>, message: T) -> Sent<T> {
    match channel.try_send(message) {
        Ok(()) => Sent::Yes,
        Err(TrySendError::Full(message)) => Sent::Full(message),
        Err(TrySendError::Disconnected(_)) => Sent::Gone,
    }
}

/// Waits until a message can be sent; also returns when nobody reads the channel any more.
pub(super) fn wait_for_room<T>(channel: &Sender<T>) {
    let mut select = crossbeam_channel::Select::new();
    select.send(channel);
    select.ready();
}

/// Waits until a message can be received; also returns when nobody sends any more.
pub(super) fn wait_for_message<T>(channel: &crossbeam_channel::Receiver<T>, timeout: Option<Duration>) {
    let mut select = crossbeam_channel::Select::new();
    select.recv(channel);
    wait_ready(&mut select, timeout);
}

/// Waits until any of the operations can be done.
pub(super) fn wait_ready(select: &mut crossbeam_channel::Select<'_>, timeout: Option<Duration>) {
    match timeout {
        None => {
            select.ready();
        }
        // What is ready, or that nothing is, the next step finds out.
        Some(timeout) => drop(select.ready_timeout(timeout)),
    }
}
