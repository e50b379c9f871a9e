//! One pipeline's RocksDB: opening, and reading what was committed.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arrow::array::RecordBatch;
use rocksdb::{ColumnFamily, DB, Options, ReadOptions, WriteOptions};
use serde::de::DeserializeOwned;

use super::error::Error;
use super::frame::{self, Kind};
use super::ipc;
use super::key::{self, PaneKey, Series};
use super::memory::{Memory, RESULT, STATE};
use super::record::{self, Head, Identity, Recovered};
use super::transaction::Transaction;
use crate::time::Epoch;
use crate::time::window::PaneId;

/// A pipeline's data folder, open. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// A data folder that may have been closed meanwhile: held by a thread that waits for others, so that
/// its waiting keeps nothing open.
#[derive(Clone)]
pub struct WeakStore {
    inner: Weak<Inner>,
}

impl WeakStore {
    /// The folder, if anybody still has it open.
    #[must_use]
    pub fn upgrade(&self) -> Option<Store> {
        self.inner.upgrade().map(|inner| Store { inner })
    }
}

struct Inner {
    path: PathBuf,
    db: DB,
    /// What the last commit wrote: the next one writes the difference.
    last: Mutex<Option<Recovered>>,
    /// Size of the last commit: the next one is given as much room at once.
    last_bytes: AtomicUsize,
}

/// The groups of one pane that changed in one epoch, or all of them.
#[derive(Debug, Clone)]
pub struct PaneBlock {
    pub pane: PaneId,
    pub subtask: u16,
    pub epoch: Epoch,
    pub states: RecordBatch,
    /// On disk.
    pub stored_bytes: usize,
}

impl Store {
    /// Opens the folder, made if missing, and locks it until the last clone is gone.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it open; [`Error::Damaged`] and
    /// [`Error::UnknownVersion`] where the last epoch's facts can't be read.
    pub fn open(dir: &Path, memory: &Memory) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Folder { path: dir.to_owned(), source })?;
        let db = DB::open_cf_descriptors(&memory.database(true), dir, memory.families());
        Self::opened(dir, db)
    }

    /// Whether there is something to open in a folder that no process has open. Where a crash came
    /// while RocksDB made it, there is nothing yet: it makes one column family after the other, and
    /// all of them before anything is written. [`Self::open`] finishes it then.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        let families = DB::list_cf(&Options::default(), dir);
        families.is_ok_and(|families| [STATE, RESULT].iter().all(|name| families.iter().any(|f| f == name)))
    }

    /// Opens a folder that no process has open, and never writes to it.
    ///
    /// # Errors
    /// [`Error::Storage`] where there is no such folder, else as [`Self::open`].
    pub fn open_read_only(dir: &Path) -> Result<Self, Error> {
        let memory = Memory::new(8 << 20, 64 << 20);
        let options = memory.database(false);
        Self::opened(dir, DB::open_cf_descriptors_read_only(&options, dir, memory.families(), false))
    }

    fn opened(dir: &Path, db: Result<DB, rocksdb::Error>) -> Result<Self, Error> {
        let path = dir.to_owned();
        let db = db.map_err(|source| open_error(dir, source))?;
        let store = Self {
            inner: Arc::new(Inner { path, db, last: Mutex::new(None), last_bytes: AtomicUsize::new(0) }),
        };
        let recovered = store.read_recovered()?;
        *store.last() = recovered;
        Ok(store)
    }

    /// The same folder, without keeping it open.
    #[must_use]
    pub fn downgrade(&self) -> WeakStore {
        WeakStore { inner: Arc::downgrade(&self.inner) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What the state belongs to; `None` before the pipeline's first start.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`], [`Error::Storage`].
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        let bytes = self.inner.db.get_pinned(key::IDENTITY).map_err(self.storage("read"))?;
        bytes.map(|bytes| Identity::decode(&bytes)).transpose()
    }

    /// Writes, synced, what the state belongs to.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn set_identity(&self, identity: &Identity) -> Result<(), Error> {
        let bytes = identity.encode()?;
        self.inner.db.put_opt(key::IDENTITY, bytes, &synced()).map_err(self.storage("write the identity to"))
    }

    /// The last committed epoch; `None` before the first.
    #[must_use]
    pub fn recovered(&self) -> Option<Recovered> {
        self.last().clone()
    }

    /// Hands over all blocks of state, one at a time: those of a pane in ascending order of
    /// epochs. A group in a later block replaces the same group in an earlier one of its pane.
    ///
    /// # Errors
    /// What `each` returns; [`Error::Damaged`], [`Error::UnknownVersion`], [`Error::Storage`].
    pub fn load_panes(&self, each: &mut dyn FnMut(PaneBlock) -> Result<(), Error>) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut blocks = self.inner.db.raw_iterator_cf_opt(self.family(STATE), options);
        blocks.seek_to_first();
        while let Some((key, bytes)) = blocks.item() {
            let what = || format!("the block of state {key:02x?}");
            let damaged = |detail: String| Error::Damaged { what: what(), detail };
            let PaneKey { subtask, pane, epoch, .. } =
                PaneKey::decode(key).ok_or_else(|| damaged(format!("its key has {} bytes", key.len())))?;
            let payload = frame::open(Kind::Pane, bytes, what)?;
            let states = ipc::read(payload, None).map_err(|error| damaged(error.to_string()))?;
            each(PaneBlock { pane, subtask, epoch, states, stored_bytes: bytes.len() })?;
            blocks.next();
        }
        blocks.status().map_err(self.storage("read state from"))
    }

    /// Starts the write of an epoch. One at a time: begin N+1 after N is committed.
    #[must_use]
    pub fn begin(&self, epoch: Epoch) -> Transaction {
        Transaction::new(self.clone(), epoch)
    }

    /// Reads the last committed epoch from disk.
    fn read_recovered(&self) -> Result<Option<Recovered>, Error> {
        let bytes = self.inner.db.get_pinned(key::HEAD).map_err(self.storage("read"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let head: Head<'static> = record::decode(Kind::Head, &bytes, "the last epoch's head")?;
        let mut recovered = head.recovered();
        let facts = &mut recovered.facts;
        let epochs = self.records(key::EPOCHS, Kind::Epoch, "an epoch's figures")?;
        facts.epochs = Arc::new(VecDeque::from(epochs));
        facts.floors = Arc::new(self.records(key::FLOORS, Kind::Floor, "a floor")?);
        facts.schemas = Arc::new(self.records(key::SCHEMAS, Kind::Schema, "a writer schema")?);
        Ok(Some(recovered))
    }

    fn records<T: DeserializeOwned>(&self, prefix: &[u8], kind: Kind, what: &str) -> Result<Vec<T>, Error> {
        let mut records = Vec::new();
        self.each(prefix, |_, bytes| {
            records.push(record::decode(kind, bytes, what)?);
            Ok(())
        })?;
        Ok(records)
    }

    /// Hands over the entries of the default family whose key starts with `prefix`, in key order.
    pub(super) fn each(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key::after(prefix));
        let mut entries = self.inner.db.raw_iterator_opt(options);
        entries.seek(prefix);
        while let Some((key, value)) = entries.item() {
            each(key, value)?;
            entries.next();
        }
        entries.status().map_err(self.storage("read"))
    }

    /// Hands over the entries of the result family from `from` on and before `end`, in key order,
    /// until `each` returns false.
    pub(super) fn each_result(
        &self,
        from: &[u8],
        end: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end);
        options.fill_cache(false);
        let mut entries = self.inner.db.raw_iterator_cf_opt(self.family(RESULT), options);
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            if !each(key, value)? {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(self.storage("read the outbox from"))
    }

    /// The metadata of every block of a series, by ascending id.
    pub(crate) fn each_block<M: DeserializeOwned>(
        &self,
        series: Series,
        mut each: impl FnMut(u64, M),
    ) -> Result<(), Error> {
        let what = format!("the metadata of a block of the {series}");
        self.each(&key::metas(series), |key, bytes| {
            each(block_id(key, &what)?, record::decode(Kind::BlockMeta, bytes, &what)?);
            Ok(())
        })
    }

    /// The ids of the blocks that no series lists and that are still on disk.
    pub(crate) fn retired_blocks(&self, series: Series) -> Result<Vec<u64>, Error> {
        let what = format!("the mark of a retired block of the {series}");
        let mut ids = Vec::new();
        self.each(&key::retireds(series), |key, bytes| {
            frame::open(Kind::Retired, bytes, || what.clone())?;
            ids.push(block_id(key, &what)?);
            Ok(())
        })?;
        Ok(ids)
    }

    /// The ids of the blocks of a series whose rows are on disk.
    #[cfg(test)]
    pub(crate) fn row_blocks(&self, series: Series) -> Result<Vec<u64>, Error> {
        let mut ids = Vec::new();
        let mut blocks = self.inner.db.raw_iterator_cf(self.family(RESULT));
        blocks.seek([series as u8]);
        while let Some(key) = blocks.key().filter(|key| key[0] == series as u8) {
            ids.push(block_id(key, "a block's rows")?);
            blocks.next();
        }
        Ok(ids)
    }

    /// The rows of a block; of its columns those at `projection`, in that order.
    pub(crate) fn read_rows(
        &self,
        series: Series,
        id: u64,
        projection: Option<Vec<usize>>,
    ) -> Result<RecordBatch, Error> {
        let what = || format!("block {id} of the {series}");
        let damaged = |detail: String| Error::Damaged { what: what(), detail };
        let bytes = self
            .inner
            .db
            .get_pinned_cf(self.family(RESULT), key::rows(series, id))
            .map_err(self.storage("read results from"))?
            .ok_or_else(|| damaged("it is missing".to_owned()))?;
        let payload = frame::open(Kind::Rows, &bytes, what)?;
        ipc::read(payload, projection).map_err(|error| damaged(error.to_string()))
    }

    /// Every `(subtask, pane)` that has blocks of state older than `epoch`.
    pub(super) fn panes_before(&self, epoch: Epoch) -> Result<Vec<(u16, PaneId)>, Error> {
        let mut panes = Vec::new();
        let mut blocks = self.inner.db.raw_iterator_cf(self.family(STATE));
        blocks.seek_to_first();
        while let Some(key) = blocks.key() {
            let pane = PaneKey::decode(key).ok_or_else(|| Error::Damaged {
                what: format!("the block of state {key:02x?}"),
                detail: format!("its key has {} bytes", key.len()),
            })?;
            if pane.epoch < epoch {
                panes.push((pane.subtask, pane.pane));
            }
            blocks.seek(PaneKey { epoch: Epoch(u64::MAX), seq: u16::MAX, ..pane }.encode());
        }
        blocks.status().map_err(self.storage("read state from"))?;
        Ok(panes)
    }

    pub(super) fn family(&self, name: &str) -> &ColumnFamily {
        self.inner.db.cf_handle(name).expect("every database is opened with all its families")
    }

    pub(super) fn new_batch(&self) -> rocksdb::WriteBatch {
        rocksdb::WriteBatch::with_capacity_bytes(self.inner.last_bytes.load(Ordering::Relaxed))
    }

    pub(super) fn write(&self, batch: rocksdb::WriteBatch) -> Result<(), Error> {
        self.inner.last_bytes.store(batch.size_in_bytes(), Ordering::Relaxed);
        self.inner.db.write_opt(batch, &synced()).map_err(self.storage("commit an epoch to"))
    }

    /// Opens a copy of it, made in another folder.
    #[cfg(test)]
    pub(crate) fn copied_to(&self, dir: &Path, memory: &Memory) -> Result<Self, Error> {
        let copy = rocksdb::checkpoint::Checkpoint::new(&self.inner.db);
        copy.and_then(|copy| copy.create_checkpoint(dir)).map_err(self.storage("copy"))?;
        Self::open(dir, memory)
    }

    /// Writes what is not part of an epoch.
    pub(super) fn write_noting(&self, batch: rocksdb::WriteBatch, sync: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.inner.db.write_opt(batch, &options).map_err(self.storage("note what sinks have in"))
    }

    pub(super) fn last(&self) -> std::sync::MutexGuard<'_, Option<Recovered>> {
        self.inner.last.lock().expect("nothing panics while it is held")
    }

    /// The incarnation that a reset left for the next start.
    pub(super) fn left_incarnation(&self) -> Result<Option<u64>, Error> {
        let bytes = self.inner.db.get_pinned(key::INCARNATION).map_err(self.storage("read"))?;
        bytes.map(|bytes| record::decode(Kind::Incarnation, &bytes, "the incarnation")).transpose()
    }

    pub(super) fn database(&self) -> &DB {
        &self.inner.db
    }

    pub(super) fn storage(&self, action: &'static str) -> impl FnOnce(rocksdb::Error) -> Error + '_ {
        move |source| Error::Storage { action, path: self.inner.path.clone(), source }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// Why a folder could not be opened.
pub(super) fn open_error(dir: &Path, source: rocksdb::Error) -> Error {
    // RocksDB has no kind of its own for it: "IO error: While lock file: …/LOCK: …" or
    // "IO error: lock hold by current process …".
    let is_locked = source.as_ref().to_ascii_lowercase().contains("error: while lock file")
        || source.as_ref().contains("lock hold by current process");
    match is_locked {
        true => Error::Locked { path: dir.to_owned() },
        false => Error::Storage { action: "open", path: dir.to_owned(), source },
    }
}

pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn block_id(key: &[u8], what: &str) -> Result<u64, Error> {
    key::block_id(key).ok_or_else(|| Error::Damaged {
        what: what.to_owned(),
        detail: format!("its key has {} bytes", key.len()),
    })
}
