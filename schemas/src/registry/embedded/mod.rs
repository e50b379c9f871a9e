//! A registry of our own: Confluent's API as functions, in memory, every change in a log first.
//!
//! ```text
//! method, path, body ─► api ─► register, change: decide ─► Entry ─► Journal (synced) ─► model ─► answer
//!                        └────────── reads ◄── model ◄────────────── replay at the start ◄┘
//! ```
//!
//! No HTTP and no disk: whoever has a server calls [`EmbeddedRegistry::handle`], whoever has a disk gives a
//! [`Journal`]. Without one, everything is gone with the process: that is for demos and tests.
//!
//! Invariants:
//! 1. A change is in the log before anybody sees it, and before it is acknowledged.
//! 2. Readers never wait for the disk. One change at a time is decided on, by what was there when it began.
//! 3. What is refused changes nothing, and is in no log.

mod api;
mod canonical;
mod change;
mod compatibility;
mod entry;
mod model;
mod params;
mod refusal;
mod register;

#[cfg(test)]
mod model_test;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use self::entry::Entry;
use self::model::{Choice, Filter, Model};
use self::refusal::Refusal;
use self::register::Proposal;
use super::{Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::wire::SchemaId;

/// Versions of all subjects, and settings of subjects, that a registry holds at most. A large company's
/// has some ten thousand.
const MAX_VERSIONS: usize = 200_000;
/// Texts that it holds at most, in memory, about.
const MAX_BYTES: usize = 1 << 30;
/// References that one schema may have.
const MAX_REFERENCES: usize = 100;
/// Longest name of a subject. A topic's has 249.
const MAX_SUBJECT_BYTES: usize = 1024;
/// Ids and versions are ints of Java.
const MAX_ID: u32 = i32::MAX.cast_unsigned();

/// Where a registry's entries are kept.
pub trait Journal: Send {
    /// Appends an entry; on disk when this returns.
    ///
    /// # Errors
    /// It may be there or not: the next entry takes its place.
    fn append(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A registry in this process; clones share their contents.
#[derive(Clone, Default)]
pub struct EmbeddedRegistry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    model: RwLock<Model>,
    /// Held from a decision to its entry being on disk.
    journal: Mutex<Option<Box<dyn Journal>>>,
}

/// What a request comes to: the change, if it needs one, and the answer once that is made.
#[derive(Debug)]
struct Decision<T> {
    entry: Option<Entry>,
    answer: T,
}

impl<T> Decision<T> {
    fn nothing(answer: T) -> Self {
        Self { entry: None, answer }
    }
}

/// An entry of a log that can't be replayed: not written by this version of Weir, or not in this order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {number} of the schema registry's log can't be replayed: {detail}")]
pub struct ReplayError {
    /// From 0.
    number: u64,
    detail: String,
}

/// A registry that comes back: give it its log, entry by entry.
#[derive(Debug, Default)]
pub struct Replay {
    model: Model,
    n_entries: u64,
}

impl Replay {
    /// Takes the next entry, as [`Journal::append`] got it.
    ///
    /// # Errors
    /// [`ReplayError`]: going on would make another registry of it.
    pub fn entry(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let failed = |detail| ReplayError { number: self.n_entries, detail };
        let entry = serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))?;
        self.model.apply(entry).map_err(failed)?;
        self.n_entries += 1;
        Ok(())
    }

    /// The registry as it was, which goes on in `journal`.
    #[must_use]
    pub fn finish(self, journal: Box<dyn Journal>) -> EmbeddedRegistry {
        let inner = Inner { model: RwLock::new(self.model), journal: Mutex::new(Some(journal)) };
        EmbeddedRegistry { inner: Arc::new(inner) }
    }
}

impl EmbeddedRegistry {
    /// An empty registry without a log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn model(&self) -> RwLockReadGuard<'_, Model> {
        // A change is made by code that does not panic half-way: it was decided on before.
        self.inner.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides, logs, and makes the change.
    fn change<T>(&self, decide: impl FnOnce(&Model) -> Result<Decision<T>, Refusal>) -> Result<T, Refusal> {
        let mut journal = self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Decision { entry, answer } = decide(&self.model())?;
        let Some(entry) = entry else { return Ok(answer) };
        if let Some(journal) = &mut *journal {
            let bytes = serde_json::to_vec(&entry).map_err(Refusal::store)?;
            // What exactly failed is for the owner of the disk, not for a client.
            journal.append(&bytes).map_err(|_| Refusal::store("the change could not be written to disk"))?;
        }
        let mut model = self.inner.model.write().unwrap_or_else(PoisonError::into_inner);
        model.apply(entry).map_err(Refusal::store)?;
        Ok(answer)
    }

    fn registered(&self, subject: &str, choice: Choice) -> Result<Registered, RegistryError> {
        let model = self.model();
        let (version, found) = model.version(subject, choice, Filter::Active)?;
        let schema = Arc::clone(&model.stored(found.id)?.schema);
        Ok(Registered { id: SchemaId(found.id), subject: subject.to_owned(), version, schema })
    }
}

impl SchemaRegistry for EmbeddedRegistry {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        Ok(Arc::clone(&self.model().stored(id.0)?.schema))
    }

    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        let model = self.model();
        let places = model.places(id.0, Filter::Active)?.into_iter();
        Ok(places.map(|(subject, version)| SubjectVersion { subject: subject.to_owned(), version }).collect())
    }

    fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        self.registered(subject, Choice::Latest)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let versions: Vec<u32> =
            self.model().versions(subject, Filter::Active).map(|(number, _)| number).collect();
        match versions.is_empty() {
            true => Err(Refusal::subject_not_found(subject).into()),
            false => Ok(versions),
        }
    }

    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
        self.registered(subject, Choice::Number(version))
    }

    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let proposal = Proposal { text: schema.to_owned(), ..Proposal::default() };
        let place = self.change(|model| model.register(subject, &proposal))?;
        Ok(SchemaId(place.id))
    }
}

impl fmt::Debug for EmbeddedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedRegistry").finish_non_exhaustive()
    }
}
