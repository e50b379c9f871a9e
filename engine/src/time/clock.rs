//! Processing time as an argument, so that a test decides what time it is.

use std::sync::atomic::{AtomicI64, Ordering};

/// Where the engine gets processing time from. `clippy.toml` bans the real clock inside this crate.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since 1970-01-01T00:00Z; may jump when the machine's clock is set.
    fn wall_ms(&self) -> i64;
    /// Nanoseconds since an arbitrary moment; never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// A clock that stands still until it is told to advance.
#[derive(Debug, Default)]
pub struct ManualClock {
    ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `ms`, in milliseconds since 1970.
    #[must_use]
    pub fn new(ms: i64) -> Self {
        Self { ms: AtomicI64::new(ms) }
    }

    /// Moves both clocks forward by `ms` milliseconds.
    pub fn advance(&self, ms: i64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        self.ms.load(Ordering::SeqCst)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.wall_ms()).unwrap_or(0) * 1_000_000
    }
}
