//! The versions of a subject by their fingerprints: for records that name no id.
//!
//! Invariants:
//! 1. Nothing is said to be unknown but by a list of versions that was asked for after the record was there: who
//!    writes a record has registered its schema before.
//! 2. Lists are asked for at most every [`PAUSE`], and a version once; whoever decodes waits for a moment only.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::prompt::Prompt;
use super::{Registered, RegistryError, SchemaRegistry};
use crate::wire::{Fingerprint, SchemaId};

/// The shortest time between two lists. Shorter, and garbage that looks like new schemas is a request each; longer,
/// and records of a new schema wait so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Of a subject the newest so many versions are known.
const MAX_VERSIONS: usize = 1_000;

/// The schemas of one subject. Shared by all that decode records of it.
#[derive(Debug)]
pub struct Fingerprints {
    registry: Arc<dyn SchemaRegistry>,
    subject: String,
    list: Arc<Prompt<(), Result<(), RegistryError>>>,

    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of versions with the same fingerprint the oldest.
    by_fingerprint: HashMap<Fingerprint, Registered>,
    versions: HashSet<u32>,
    /// When the newest whole list was asked for.
    listed: Option<Instant>,
}

impl Fingerprints {
    /// The schemas that `registry` has under `subject`. Asks nothing yet.
    #[must_use]
    pub fn new(registry: Arc<dyn SchemaRegistry>, subject: &str) -> Self {
        Self { registry, subject: subject.to_owned(), list: Arc::default(), known: Arc::default() }
    }

    /// The schema that wrote a record which was there at `since`.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] where the subject has no version of this fingerprint;
    /// [`RegistryError::Unavailable`] where that can't be said yet: ask again, with the same `since`.
    pub fn find(&self, fingerprint: Fingerprint, since: Instant) -> Result<Registered, RegistryError> {
        let conclude = |known: &Known| match known.by_fingerprint.get(&fingerprint) {
            Some(found) => Some(Ok(found.clone())),
            None => known.listed.is_some_and(|listed| since <= listed).then(|| {
                let what = format!("schema of fingerprint {fingerprint} under subject \"{}\"", self.subject);
                Err(RegistryError::NotFound { what })
            }),
        };
        let known = self.known();
        if let Some(verdict) = conclude(&known) {
            return verdict;
        }
        let again = || RegistryError::unavailable("its versions were listed a moment ago");
        if known.listed.is_some_and(|listed| listed.elapsed() < PAUSE) {
            return Err(again());
        }
        drop(known);
        let (registry, subject) = (Arc::clone(&self.registry), self.subject.clone());
        let shared = Arc::clone(&self.known);
        let listed = self.list.ask((), format_args!("which versions \"{}\" has", self.subject), move || {
            list(&*registry, &subject, &shared)
        });
        // Whoever else asked may have taken the answer.
        conclude(&self.known()).unwrap_or_else(|| listed?.and_then(|()| Err(again())))
    }

    /// The id of a schema that was found before.
    #[must_use]
    pub fn id(&self, fingerprint: Fingerprint) -> Option<SchemaId> {
        self.known().by_fingerprint.get(&fingerprint).map(|registered| registered.id)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Learns the versions that are new.
fn list(registry: &dyn SchemaRegistry, subject: &str, known: &Mutex<Known>) -> Result<(), RegistryError> {
    let asked = Instant::now();
    let versions = match registry.versions(subject) {
        Err(RegistryError::NotFound { .. }) => Vec::new(),
        versions => versions?,
    };
    for &version in &versions[versions.len().saturating_sub(MAX_VERSIONS)..] {
        if lock(known).versions.contains(&version) {
            continue;
        }
        let registered = match registry.version(subject, version) {
            // Deleted meanwhile.
            Err(RegistryError::NotFound { .. }) => continue,
            registered => registered?,
        };
        let mut known = lock(known);
        known.versions.insert(version);
        // What is no Avro schema wrote no record.
        if let Ok(fingerprint) = Fingerprint::of(&registered.schema) {
            known.by_fingerprint.entry(fingerprint).or_insert(registered);
        }
    }
    lock(known).listed = Some(asked);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::registry::{EmbeddedRegistry, SchemaText, SubjectVersion};

    /// Counts what it is asked.
    #[derive(Debug, Default)]
    struct Counting {
        registry: EmbeddedRegistry,
        n_lists: AtomicUsize,
        n_versions: AtomicUsize,
    }

    impl SchemaRegistry for Counting {
        fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
            self.registry.by_id(id)
        }

        fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
            self.registry.subjects_of(id)
        }

        fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
            self.registry.latest(subject)
        }

        fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
            self.n_lists.fetch_add(1, Ordering::Relaxed);
            self.registry.versions(subject)
        }

        fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
            self.n_versions.fetch_add(1, Ordering::Relaxed);
            self.registry.version(subject, version)
        }

        fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
            self.registry.register(subject, schema)
        }
    }

    const V1: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}"#;
    const V2: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"},
        {"name": "b", "type": "int", "default": 0}]}"#;

    fn of(text: &str) -> Fingerprint {
        Fingerprint::of(&text.into()).expect("a schema")
    }

    #[test]
    fn an_unknown_fingerprint_is_looked_for_once_in_a_list_newer_than_its_record() {
        let registry = Arc::new(Counting::default());
        let id = registry.register("s", V1).expect("a schema");
        let fingerprints = Fingerprints::new(Arc::clone(&registry) as Arc<dyn SchemaRegistry>, "s");
        let asked =
            || (registry.n_lists.load(Ordering::Relaxed), registry.n_versions.load(Ordering::Relaxed));

        let before = Instant::now();
        assert_eq!(fingerprints.id(of(V1)), None);
        assert_eq!(fingerprints.find(of(V1), before).expect("it is registered").id, id);
        assert_eq!((fingerprints.id(of(V1)), asked()), (Some(id), (1, 1)));
        // Records that were there before the list: no further question.
        for garbage in 0..100 {
            let refused = fingerprints.find(Fingerprint(garbage), before).expect_err("nobody registered it");
            assert!(matches!(refused, RegistryError::NotFound { .. }), "{refused}");
        }
        assert_eq!(asked(), (1, 1));

        // A record that came after it may be of a schema that did, too: not refused, and not asked for at once.
        let id = registry.register("s", V2).expect("it is compatible");
        let after = Instant::now();
        let mut found = fingerprints.find(of(V2), after);
        while let Err(RegistryError::Unavailable { .. }) = found {
            std::thread::sleep(PAUSE / 4);
            found = fingerprints.find(of(V2), after);
        }
        assert_eq!(found.expect("it is registered").id, id);
        assert_eq!(asked(), (2, 2), "the first version is known");
    }

    #[test]
    fn a_subject_that_is_not_there_has_no_schemas() {
        let fingerprints = Fingerprints::new(Arc::new(EmbeddedRegistry::new()), "s");
        let refused = fingerprints.find(Fingerprint(7), Instant::now()).expect_err("there is nothing");
        assert_eq!(
            refused.to_string(),
            "the schema registry has no schema of fingerprint 0000000000000007 under subject \"s\""
        );
    }
}
