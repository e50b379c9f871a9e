//! The write of one epoch: collected while its parts arrive, then one atomic synced write.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use rocksdb::WriteBatch;
use serde::Serialize;

use super::error::Error;
use super::failpoint::{self, Point};
use super::frame::{self, Kind};
use super::ipc;
use super::key::{self, PaneKey, Series};
use super::memory::{RESULT, STATE};
use super::record::{self, Head, Recovered, Settings};
use super::store::Store;
use crate::facts::Facts;
use crate::time::Epoch;
use crate::time::window::PaneId;

/// Everything of one epoch. Dropped without [`Self::commit`], nothing of it happened.
pub struct Transaction {
    store: Store,
    epoch: Epoch,
    batch: WriteBatch,
    /// What the next epoch's facts are compared with.
    facts: Option<Recovered>,
}

impl Transaction {
    pub(super) fn new(store: Store, epoch: Epoch) -> Self {
        Self { batch: store.new_batch(), store, epoch, facts: None }
    }

    /// The epoch that is written.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Bytes to be written so far.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.batch.size_in_bytes() as u64
    }

    /// Adds groups of a pane, with their state after the epoch. `seq` tells blocks of the same
    /// subtask, pane and epoch apart. Nothing is written for a batch without rows.
    ///
    /// # Errors
    /// [`Error::Arrow`] where the batch can't be written, such as for a type that IPC does not know.
    pub fn put_pane(
        &mut self,
        subtask: u16,
        pane: PaneId,
        seq: u16,
        states: &RecordBatch,
    ) -> Result<(), Error> {
        if states.num_rows() == 0 {
            return Ok(());
        }
        let bytes = encode_rows(Kind::Pane, states, "write groups")?;
        let key = PaneKey { subtask, pane, epoch: self.epoch, seq }.encode();
        self.batch.put_cf(self.store.family(STATE), key, bytes);
        Ok(())
    }

    /// Deletes a pane that has closed: all its blocks, those of this transaction before it too.
    pub fn delete_pane(&mut self, subtask: u16, pane: PaneId) {
        self.delete_blocks(subtask, pane, Epoch(u64::MAX));
    }

    /// Deletes a pane's blocks of epochs before `epoch`: it has just been written anew, whole.
    pub fn delete_pane_before(&mut self, subtask: u16, pane: PaneId, epoch: Epoch) {
        self.delete_blocks(subtask, pane, epoch);
    }

    /// Deletes all blocks of epochs before `epoch`, whatever their subtask: the parallelism has
    /// changed and every group has just been written anew.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn delete_subtasks_before(&mut self, epoch: Epoch) -> Result<(), Error> {
        for (subtask, pane) in self.store.panes_before(epoch)? {
            self.delete_blocks(subtask, pane, epoch);
        }
        Ok(())
    }

    fn delete_blocks(&mut self, subtask: u16, pane: PaneId, before: Epoch) {
        let from = PaneKey::first(subtask, pane);
        let to = PaneKey { epoch: before, ..from };
        self.batch.delete_range_cf(self.store.family(STATE), from.encode(), to.encode());
    }

    /// Sets what the pipeline knows of itself at this epoch. Of the lists only what differs from
    /// the last commit is written; what they no longer hold is deleted.
    pub fn set_facts(&mut self, facts: &Facts, settings: Settings) {
        debug_assert_eq!(facts.epoch, self.epoch, "facts are those of the epoch");
        let head = record::encode(Kind::Head, &Head::of(facts, settings));
        self.batch.put(key::HEAD, head);
        let last = self.store.recovered().map(|last| last.facts).unwrap_or_default();
        let batch = &mut self.batch;
        if !Arc::ptr_eq(&last.epochs, &facts.epochs) {
            put_epochs(batch, &last, facts);
        }
        if !Arc::ptr_eq(&last.floors, &facts.floors) {
            put_difference(batch, Kind::Floor, &last.floors, &facts.floors, key::floor);
        }
        if !Arc::ptr_eq(&last.schemas, &facts.schemas) {
            put_difference(batch, Kind::Schema, &last.schemas, &facts.schemas, key::schema);
        }
        self.facts = Some(Recovered { facts: facts.clone(), settings });
    }

    /// Writes all of it at once, synced. Returns the bytes of the write.
    ///
    /// # Errors
    /// [`Error::StaleEpoch`], [`Error::Storage`]. After a [`Error::Storage`] it is not known whether
    /// the epoch is committed: open the folder anew.
    ///
    /// # Panics
    /// Where [`Self::set_facts`] was not called: without them the epoch could not be recovered.
    pub fn commit(self) -> Result<u64, Error> {
        let facts = self.facts.expect("an epoch is committed with its facts");
        let committed = self.store.last().as_ref().map_or(Epoch(0), |last| last.facts.epoch);
        if self.epoch <= committed {
            return Err(Error::StaleEpoch { epoch: self.epoch, committed });
        }
        let bytes = self.batch.size_in_bytes() as u64;
        failpoint::pass(Point::BeforeCommit);
        self.store.write(self.batch)?;
        *self.store.last() = Some(facts);
        failpoint::pass(Point::AfterCommit);
        Ok(bytes)
    }

    /// Adds an entry of the result family.
    pub(super) fn put_result(&mut self, key: &[u8], bytes: &[u8]) {
        self.batch.put_cf(self.store.family(RESULT), key, bytes);
    }

    /// Adds the rows of a block and its metadata. Returns the bytes of the rows.
    pub(crate) fn put_block<M: Serialize>(
        &mut self,
        series: Series,
        id: u64,
        rows: &RecordBatch,
        meta: impl FnOnce(u64) -> M,
    ) -> Result<M, Error> {
        let bytes = encode_rows(Kind::Rows, rows, "write results")?;
        let meta = meta(bytes.len() as u64);
        self.batch.put_cf(self.store.family(RESULT), key::rows(series, id), bytes);
        self.batch.put(key::meta(series, id), record::encode(Kind::BlockMeta, &meta));
        Ok(meta)
    }

    /// Takes a block out of its series. Its rows stay for those who still read them.
    pub(crate) fn retire_block(&mut self, series: Series, id: u64) {
        self.batch.delete(key::meta(series, id));
        self.batch.put(key::retired(series, id), frame::seal(frame::begin(Kind::Retired)));
    }

    /// Deletes the rows of a retired block that nobody reads any more.
    pub(crate) fn delete_block(&mut self, series: Series, id: u64) {
        self.batch.delete_cf(self.store.family(RESULT), key::rows(series, id));
        self.batch.delete(key::retired(series, id));
    }
}

fn encode_rows(kind: Kind, rows: &RecordBatch, action: &'static str) -> Result<Vec<u8>, Error> {
    let mut payload = frame::begin(kind);
    ipc::write(rows, &mut payload).map_err(Error::arrow(action))?;
    Ok(frame::seal(payload))
}

/// Writes the epochs at the end that differ, deletes those at the front that are gone: a few of
/// each, whatever the length of the lists.
fn put_epochs(batch: &mut WriteBatch, last: &Facts, facts: &Facts) {
    for fact in facts.epochs.iter().rev() {
        let same_epoch = last.epochs.binary_search_by_key(&fact.epoch, |last| last.epoch);
        if same_epoch.is_ok_and(|i| last.epochs[i] == *fact) {
            break;
        }
        batch.put(key::epoch(fact.epoch), record::encode(Kind::Epoch, fact));
    }
    let first_kept = facts.epochs.front().map_or(Epoch(u64::MAX), |fact| fact.epoch);
    for gone in last.epochs.iter().take_while(|fact| fact.epoch < first_kept) {
        batch.delete(key::epoch(gone.epoch));
    }
}

fn put_difference<T: PartialEq + Serialize>(
    batch: &mut WriteBatch,
    kind: Kind,
    last: &[T],
    current: &[T],
    key: impl Fn(&T) -> Vec<u8>,
) {
    let mut gone: BTreeMap<Vec<u8>, &T> = last.iter().map(|item| (key(item), item)).collect();
    for item in current {
        let key = key(item);
        if gone.remove(&key) != Some(item) {
            batch.put(key, record::encode(kind, item));
        }
    }
    for key in gone.into_keys() {
        batch.delete(key);
    }
}
