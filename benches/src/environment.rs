//! What pipelines are given here: the server's memory, the machine's clock, and nobody to tell.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use weir_engine::Clock;
use weir_engine::pipeline::{Committed, Environment, Observer};
use weir_engine::state::Memory;

/// As the server has them.
const CACHE_BYTES: usize = 64 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// Tells nobody.
pub(crate) struct Silent;

impl Observer for Silent {
    fn committed(&self, _: &Arc<Committed>) {}
}

/// The machine's clock.
#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What the server gives its pipelines.
pub(crate) fn environment() -> Environment {
    Environment {
        clock: Arc::new(SystemClock(Instant::now())),
        memory: Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES),
    }
}
