//! The signals that ask a process to stop.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, from now on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Threads named `name`, for what waits for clients, and the signals that end it.
pub(super) fn serving(name: &str) -> io::Result<(Runtime, Signals)> {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build()?;
    let signals = runtime.block_on(async { Signals::new() })?;
    Ok((runtime, signals))
}

impl Signals {
    /// Needs a runtime.
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one, those within `pause` from now left out.
    pub(super) async fn next_after(&mut self, pause: Duration) {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = self.next() => {}
            }
        }
        self.next().await;
    }
}
