//! Starts the threads of a pipeline, and ends them.
//!
//! Invariant: however a thread ends (its work is done, an error, a panic), the coordinator hears of
//! it, lets go of its channels, and every other thread ends by that.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::connector::{Source, SourceError};
use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::live::Shared;
use crate::dataflow::message::Event;
use crate::panics::panic_text;

/// Starts a thread that tells the coordinator if it fails.
///
/// # Errors
/// The operating system has no thread to give.
pub fn spawn<E: Error + 'static>(
    name: String,
    events: Sender<Event>,
    work: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        let reason = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(panic) => format!("thread {name} panicked: {}", panic_text(&*panic)),
        };
        // Fails only where the coordinator is gone, and then nobody needs the reason.
        drop(events.send(Event::Failed(reason)));
    })
}

/// The error and what caused it, once each, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.ends_with(&own) {
            text = format!("{text}: {own}");
        }
        cause = error.source();
    }
    text
}

/// How often the broker is asked for new partitions; they are found within 30 s.
const DISCOVER_EVERY: Duration = Duration::from_secs(10);
/// First and last wait where the broker or the topic is not there.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Asks the broker for the topic's partitions, again and again.
pub struct Discovery {
    pub source: Arc<dyn Source>,
    pub shared: Arc<Shared>,
    pub events: Sender<Event>,
    /// Ends the discovery when the other side is let go of.
    pub stop: Receiver<()>,

    pub state: DiscoveryState,
}

/// What changes while partitions are looked for.
#[derive(Debug, Default)]
pub struct DiscoveryState {
    /// The broker was asked before.
    asked: bool,
    /// Times in a row that the broker did not answer.
    n_failed: u32,
    /// The coordinator has just been told.
    told: bool,
    unsaid: Option<Event>,
    /// What it waits for, as last told to the log.
    logged: Option<String>,
}

impl Actor for Discovery {
    type Error = SourceError;

    fn step(&mut self) -> Result<Next, SourceError> {
        if let Err(TryRecvError::Disconnected) = self.stop.try_recv() {
            return Ok(Next::End);
        }
        if std::mem::take(&mut self.state.told) {
            return Ok(Next::Wait(Some(DISCOVER_EVERY)));
        }
        if !std::mem::replace(&mut self.state.asked, true) {
            let topic = self.source.topic();
            let asks = format!("topic \"{topic}\": the broker has not answered yet");
            self.shared.set_trouble("topic", 0, Some(asks));
        }
        let event = match self.state.unsaid.take() {
            Some(event) => event,
            None => match self.source.discover() {
                Ok(topology) => Event::Topology(topology),
                Err(SourceError::Retry(detail)) => {
                    if self.state.logged.as_ref() != Some(&detail) {
                        tracing::info!(source = self.source.name(), waits_for = detail, "source waits");
                        self.state.logged = Some(detail.clone());
                    }
                    self.shared.set_trouble("topic", 0, Some(detail));
                    let wait = RETRY_FIRST.saturating_mul(1 << self.state.n_failed.min(16)).min(RETRY_MAX);
                    self.state.n_failed += 1;
                    return Ok(Next::Wait(Some(wait)));
                }
                Err(other) => return Err(other),
            },
        };
        self.shared.set_trouble("topic", 0, None);
        (self.state.n_failed, self.state.logged) = (0, None);
        Ok(match actor::try_send(&self.events, event) {
            Sent::Yes => {
                self.state.told = true;
                Next::Step
            }
            Sent::Gone => Next::End,
            Sent::Full(event) => {
                self.state.unsaid = Some(event);
                Next::Blocked
            }
        })
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        actor::wait_for_message(&self.stop, timeout);
    }

    fn wait_for_room(&mut self) {
        actor::wait_for_room(&self.events);
    }
}
