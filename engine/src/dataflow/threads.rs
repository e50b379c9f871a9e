//! Starts the threads of a pipeline, and ends them.
//!
//! Invariant: however a thread ends (its work is done, an error, a panic), the coordinator hears of
//! it, lets go of its channels, and every other thread ends by that.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::connector::{Source, SourceError};
use crate::dataflow::live::Shared;
use crate::dataflow::message::Event;

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

/// What a thread said when it panicked.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// How often the broker is asked for new partitions; they are found within 30 s.
const DISCOVER_EVERY: Duration = Duration::from_secs(10);
/// First and last wait where the broker or the topic is not there.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Asks the broker for the topic's partitions, again and again, until `stop` is let go of.
///
/// # Errors
/// Only what asking again will not cure.
pub fn discover(
    source: &dyn Source,
    shared: &Shared,
    events: &Sender<Event>,
    stop: &Receiver<()>,
) -> Result<(), SourceError> {
    let mut retry = RETRY_FIRST;
    loop {
        let wait = match source.discover() {
            Ok(topology) => {
                shared.set_trouble("topic", 0, None);
                retry = RETRY_FIRST;
                if events.send(Event::Topology(topology)).is_err() {
                    return Ok(());
                }
                DISCOVER_EVERY
            }
            Err(SourceError::Retry(detail)) => {
                shared.set_trouble("topic", 0, Some(detail));
                let wait = retry;
                retry = (retry * 2).min(RETRY_MAX);
                wait
            }
            Err(other) => return Err(other),
        };
        match stop.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
