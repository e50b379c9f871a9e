//! From key to group index: dense, in order of first appearance.
//!
//! | keys | how |
//! | --- | --- |
//! | none | one group |
//! | fixed width, together at most 8 or 16 bytes | the key itself is in the table ([`fixed`]) |
//! | anything else | bytes of the key in one arena, their start or hash in the table ([`bytes`]) |
//!
//! Invariants:
//! 1. Equal keys, and only they, have one group. Null equals null; `-0.0` equals `0.0`; a NaN equals
//!    those with its bits.
//! 2. Growing a table never reads a key outside of it.

mod bytes;
mod fixed;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::Error;
use bytes::BytesInterner;
use fixed::{FixedInterner, Wide};

/// Of one pane; the layout keeps an empty one.
pub(super) struct Interner(Kind);

enum Kind {
    /// No key: there is one group as soon as there is a row.
    Unit {
        seen: bool,
    },
    Narrow(FixedInterner<u64>),
    Wide(FixedInterner<Wide>),
    Bytes(BytesInterner),
}

impl Interner {
    /// An interner for key columns of these stored types.
    pub(super) fn new(types: &[DataType]) -> Result<Self, Error> {
        if types.is_empty() {
            return Ok(Self(Kind::Unit { seen: false }));
        }
        if let Some(interner) = FixedInterner::new(types) {
            return Ok(Self(Kind::Narrow(interner)));
        }
        if let Some(interner) = FixedInterner::new(types) {
            return Ok(Self(Kind::Wide(interner)));
        }
        Ok(Self(Kind::Bytes(BytesInterner::new(types)?)))
    }

    /// An empty one of the same kind.
    pub(super) fn fresh(&self) -> Self {
        Self(match &self.0 {
            Kind::Unit { .. } => Kind::Unit { seen: false },
            Kind::Narrow(interner) => Kind::Narrow(interner.fresh()),
            Kind::Wide(interner) => Kind::Wide(interner.fresh()),
            Kind::Bytes(interner) => Kind::Bytes(interner.fresh()),
        })
    }

    /// Sets `groups` to the group of each row.
    pub(super) fn intern(
        &mut self,
        n_rows: usize,
        keys: &[ArrayRef],
        groups: &mut Vec<u32>,
    ) -> Result<(), Error> {
        groups.clear();
        groups.reserve(n_rows);
        match &mut self.0 {
            Kind::Unit { seen } => {
                *seen |= n_rows > 0;
                groups.resize(n_rows, 0);
                Ok(())
            }
            Kind::Narrow(interner) => interner.intern(n_rows, keys, groups),
            Kind::Wide(interner) => interner.intern(n_rows, keys, groups),
            Kind::Bytes(interner) => interner.intern(n_rows, keys, groups),
        }
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Kind::Unit { seen } => usize::from(*seen),
            Kind::Narrow(interner) => interner.len(),
            Kind::Wide(interner) => interner.len(),
            Kind::Bytes(interner) => interner.len(),
        }
    }

    /// The keys of `groups`, one column per key, in the stored types.
    pub(super) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, Error> {
        match &self.0 {
            Kind::Unit { .. } => Ok(Vec::new()),
            Kind::Narrow(interner) => interner.keys(groups),
            Kind::Wide(interner) => interner.keys(groups),
            Kind::Bytes(interner) => interner.keys(groups),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.0 {
            Kind::Unit { .. } => 0,
            Kind::Narrow(interner) => interner.memory_bytes(),
            Kind::Wide(interner) => interner.memory_bytes(),
            Kind::Bytes(interner) => interner.memory_bytes(),
        }
    }

    /// Gives back the memory that only rows need.
    pub(super) fn release_scratch(&mut self) {
        match &mut self.0 {
            Kind::Unit { .. } => {}
            Kind::Narrow(interner) => interner.release_scratch(),
            Kind::Wide(interner) => interner.release_scratch(),
            Kind::Bytes(interner) => interner.release_scratch(),
        }
    }

    /// Forgets all groups, keeps the memory.
    pub(super) fn clear(&mut self) {
        match &mut self.0 {
            Kind::Unit { seen } => *seen = false,
            Kind::Narrow(interner) => interner.clear(),
            Kind::Wide(interner) => interner.clear(),
            Kind::Bytes(interner) => interner.clear(),
        }
    }
}
