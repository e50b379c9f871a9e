//! Event ids: where a client stands behind an event, so that it can go on exactly there.
//!
//! Invariants:
//! 1. An id of another process, or one that we did not write, is none: its client gets snapshots.
//!    So what a restart or a reset changed can never be mixed with what a client has.
//! 2. Events of a process have different ids, whichever clients they go to: each has a number of its own.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// A client's place in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// The process that wrote it.
    pub(super) process: u64,
    /// The event's number in its process; 0: behind no event.
    pub(super) number: u64,
    /// The version of the statuses that the client has; 0: none.
    pub(super) statuses: u64,
    /// The client's `last`, in milliseconds: with another one it needs other rows.
    pub(super) last_ms: Option<i64>,
    /// By table number: the epoch that the client has.
    pub(super) epochs: BTreeMap<u32, u64>,
}

impl Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}-", self.process, self.number, self.statuses)?;
        if let Some(last_ms) = self.last_ms {
            write!(f, "{last_ms:x}")?;
        }
        for (i, (table, epoch)) in self.epochs.iter().enumerate() {
            write!(f, "{}{table:x}.{epoch:x}", if i == 0 { '-' } else { '_' })?;
        }
        Ok(())
    }
}

impl Position {
    /// Reads an id; `None` for what is not one.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut parts = id.split('-');
        let process = hex(parts.next()?)?;
        let number = hex(parts.next()?)?;
        let statuses = hex(parts.next()?)?;
        let last_ms = match parts.next()? {
            "" => None,
            last => Some(i64::from_str_radix(last, 16).ok()?),
        };
        let mut epochs = BTreeMap::new();
        for entry in parts.next().unwrap_or_default().split('_').filter(|entry| !entry.is_empty()) {
            let (table, epoch) = entry.split_once('.')?;
            epochs.insert(u32::from_str_radix(table, 16).ok()?, hex(epoch)?);
        }
        parts.next().is_none().then_some(Self { process, number, statuses, last_ms, epochs })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn id_reads_back(
            process: u64,
            number: u64,
            statuses: u64,
            last_ms in proptest::option::of(0..i64::MAX),
            epochs in proptest::collection::btree_map(any::<u32>(), any::<u64>(), 0..5),
        ) {
            let position = Position { process, number, statuses, last_ms, epochs };
            prop_assert_eq!(Position::parse(&position.to_string()), Some(position));
        }

        #[test]
        fn any_text_is_read_without_panic(id in ".{0,40}") {
            let _ = Position::parse(&id);
        }
    }
}
