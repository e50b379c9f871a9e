//! Time: epochs, clocks, watermarks, windows and lateness, as pure functions of their arguments.
//!
//! All event times inside the engine are milliseconds since 1970-01-01T00:00Z (`i64`), rounded down
//! from the column's own unit. Window bounds are whole milliseconds, so rounding down changes neither
//! the window of a row nor whether it is late.

mod clock;
pub mod watermark;
pub mod window;

pub use clock::{Clock, ManualClock};

use serde::{Deserialize, Serialize};

/// The number of an epoch: from 1, never reused. `Epoch(0)` is the state before the first commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
