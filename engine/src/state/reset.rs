//! Starting over: everything of a pipeline goes but its place in the count of epochs.
//!
//! Invariants:
//! 1. It is one atomic, synced write: a pipeline is as it was, or has forgotten all of it.
//! 2. Epoch numbers are never reused, and an incarnation's number neither: whoever delivered an epoch
//!    of the old incarnation can tell it from one of the new.

use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, WriteBatch};

use super::error::Error;
use super::frame::Kind;
use super::key;
use super::memory::{RESULT, STATE};
use super::record::{self, Head, Recovered};
use super::store::Store;
use crate::facts::Facts;
use crate::time::Epoch;

/// Past every key: none has so many bytes of 0xff.
const AFTER_ALL: [u8; 32] = [u8::MAX; 32];

/// What is left of a pipeline that was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The next epoch is the one after it.
    pub epoch: Epoch,
    /// Of the next start.
    pub incarnation: u64,
}

impl Store {
    /// The incarnation of this pipeline: that of its identity, or of its next start.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`], [`Error::Storage`].
    pub fn incarnation(&self) -> Result<u64, Error> {
        match self.identity()? {
            Some(identity) => Ok(identity.incarnation),
            None => Ok(self.left_incarnation()?.unwrap_or(1)),
        }
    }

    /// Forgets identity, state, results, dead letters and whatever else is kept of the pipeline. Its
    /// next start is the first one of a new incarnation, whose epochs go on counting.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] where even the incarnation can't be read,
    /// [`Error::Storage`].
    pub fn forget(&self) -> Result<Forgotten, Error> {
        let incarnation = self.incarnation()? + 1;
        let kept = self.recovered().map(|last| Recovered {
            facts: Facts { epoch: last.facts.epoch, ..Facts::default() },
            settings: last.settings,
        });
        let families = [DEFAULT_COLUMN_FAMILY_NAME, STATE, RESULT].map(|name| self.family(name));
        let mut batch = WriteBatch::default();
        for family in families {
            batch.delete_range_cf(family, &[][..], &AFTER_ALL[..]);
        }
        batch.put(key::INCARNATION, record::encode(Kind::Incarnation, &incarnation));
        if let Some(kept) = &kept {
            batch.put(key::HEAD, record::encode(Kind::Head, &Head::of(&kept.facts, kept.settings)));
        }
        self.write(batch)?;
        for family in families {
            // Gives the space back at once. Readers of what was are gone: the folder is locked.
            self.database().compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
        let epoch = kept.as_ref().map_or(Epoch(0), |kept| kept.facts.epoch);
        *self.last() = kept;
        Ok(Forgotten { epoch, incarnation })
    }
}
