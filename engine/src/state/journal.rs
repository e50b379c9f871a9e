//! A log of entries in a RocksDB of its own: appended one by one, each synced, read back in order.
//!
//! ```text
//! default  number u64 big-endian      an entry, from 0, none left out
//! ```
//!
//! What an entry says is its owner's business; here it is bytes in a frame.
//!
//! Invariants:
//! 1. An entry whose [`Journal::append`] returned is there after any crash.
//! 2. An entry whose append failed may be there after a crash, as long as no other took its place.

use std::fmt;
use std::path::{Path, PathBuf};

use rocksdb::{DB, ReadOptions};

use super::error::Error;
use super::frame::{self, Kind};
use super::memory::Memory;
use super::store::{open_error, synced};

/// A folder with a log, open and locked until this is dropped.
pub struct Journal {
    path: PathBuf,
    db: DB,
    /// The number of the next entry.
    next: u64,
}

impl Journal {
    /// Opens the folder, made if missing, and hands its entries to `each`, in order.
    ///
    /// # Errors
    /// What `each` returns; [`Error::Locked`] where another process has the folder open,
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] where an entry is not what was written.
    pub fn open<E: From<Error>>(
        dir: &Path,
        memory: &Memory,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Folder { path: dir.to_owned(), source })?;
        let db = DB::open(&memory.database(true), dir).map_err(|source| open_error(dir, source))?;
        let mut journal = Self { path: dir.to_owned(), db, next: 0 };
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut entries = journal.db.raw_iterator_opt(options);
        entries.seek_to_first();
        while let Some((key, bytes)) = entries.item() {
            let number = journal.next;
            let what = || format!("entry {number} of the log in {}", dir.display());
            if key != number.to_be_bytes() {
                return Err(Error::Damaged { what: what(), detail: "it is missing".to_owned() }.into());
            }
            each(frame::open(Kind::JournalEntry, bytes, what)?)?;
            journal.next += 1;
            entries.next();
        }
        entries.status().map_err(|source| journal.storage("read", source))?;
        drop(entries);
        Ok(journal)
    }

    /// Appends an entry; on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn append(&mut self, entry: &[u8]) -> Result<(), Error> {
        let mut framed = frame::begin(Kind::JournalEntry);
        framed.extend_from_slice(entry);
        let written = self.db.put_opt(self.next.to_be_bytes(), frame::seal(framed), &synced());
        written.map_err(|source| self.storage("append to the log in", source))?;
        self.next += 1;
        Ok(())
    }

    fn storage(&self, action: &'static str, source: rocksdb::Error) -> Error {
        Error::Storage { action, path: self.path.clone(), source }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory::new(1 << 20, 4 << 20)
    }

    fn open(dir: &Path) -> Result<(Journal, Vec<Vec<u8>>), Error> {
        let mut entries = Vec::new();
        let journal = Journal::open(dir, &memory(), |entry| {
            entries.push(entry.to_vec());
            Ok::<_, Error>(())
        })?;
        Ok((journal, entries))
    }

    #[test]
    fn entries_come_back_in_order_and_the_folder_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let expected: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        for (i, chunk) in expected.chunks(100).enumerate() {
            let (mut journal, entries) = open(dir.path()).unwrap();
            assert_eq!(entries, expected[..i * 100]);
            assert!(matches!(open(dir.path()), Err(Error::Locked { .. })));
            chunk.iter().for_each(|entry| journal.append(entry).unwrap());
        }
        assert_eq!(open(dir.path()).unwrap().1, expected);
    }

    #[test]
    fn damage_is_named_and_nothing_is_read_past_it() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |change: &dyn Fn(&DB)| {
            let folder = dir.path().join("log");
            std::fs::remove_dir_all(&folder).ok();
            let (mut journal, _) = open(&folder).unwrap();
            (0..3).for_each(|n| journal.append(&[n]).unwrap());
            change(&journal.db);
            drop(journal);
            open(&folder).expect_err("it is damaged").to_string().replace(&folder.display().to_string(), "F")
        };
        let refused = refusal(&|db| db.delete(1_u64.to_be_bytes()).unwrap());
        assert_eq!(refused, "entry 1 of the log in F is damaged: it is missing");
        let refused = refusal(&|db| db.put(2_u64.to_be_bytes(), b"\x01\x20\x02????").unwrap());
        assert!(refused.starts_with("entry 2 of the log in F is damaged: its checksum is"), "{refused}");
        let refused = refusal(&|db| db.put(0_u64.to_be_bytes(), b"\x02").unwrap());
        assert!(refused.starts_with("entry 0 of the log in F has format version 2"), "{refused}");
    }

    #[test]
    fn what_the_owner_refuses_is_the_error() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap().0.append(b"x").unwrap();
        let refused = Journal::open(dir.path(), &memory(), |_| Err::<(), _>(Refused::Owner));
        assert!(matches!(refused, Err(Refused::Owner)));
    }

    #[derive(Debug)]
    enum Refused {
        Owner,
        Storage,
    }

    impl From<Error> for Refused {
        fn from(_: Error) -> Self {
            Self::Storage
        }
    }
}
