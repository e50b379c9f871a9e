//! Result tables: immutable final blocks, a provisional overlay, snapshots of committed epochs.

use crate::facts::Facts;

/// A committed epoch, for readers: it never changes and blocks nobody.
#[derive(Debug)]
pub struct Snapshot {
    facts: Facts,
}

impl Snapshot {
    /// What the pipeline knew of itself at this epoch.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}
