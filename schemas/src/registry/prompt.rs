//! Asks about schema ids on threads of their own: whoever decodes waits for a moment, whatever hangs.
//!
//! Invariant: a question that was not answered in time is not asked a second time; its answer is there for
//! who asks again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::wire::SchemaId;

/// Longest wait for what an id is. Longer, and a source subtask stands still for as long, the epoch and a
/// stop with it; shorter, and an answer that is on its way is looked for again and again.
const WAIT: Duration = Duration::from_secs(1);

/// A registry whose [`SchemaRegistry::by_id`] never takes long. All else is asked as it is.
pub struct PromptRegistry {
    registry: Arc<dyn SchemaRegistry>,
    answers: Arc<Answers>,
    /// Of the id that was answered last.
    subjects: Mutex<Option<(SchemaId, Subjects)>>,
}

type Schema = Result<Arc<SchemaText>, RegistryError>;
type Subjects = Result<Vec<SubjectVersion>, RegistryError>;

#[derive(Default)]
struct Answers {
    /// `None`: it is being asked for.
    by_id: Mutex<HashMap<SchemaId, Option<(Schema, Subjects)>>>,
    changed: Condvar,
}

impl PromptRegistry {
    /// Asks `registry`.
    #[must_use]
    pub fn new(registry: Arc<dyn SchemaRegistry>) -> Self {
        Self { registry, answers: Arc::default(), subjects: Mutex::default() }
    }

    fn ask(&self, id: SchemaId) {
        let (registry, answers) = (Arc::clone(&self.registry), Arc::clone(&self.answers));
        let ask = move || {
            let schema = registry.by_id(id);
            let subjects = if schema.is_ok() { registry.subjects_of(id) } else { Ok(Vec::new()) };
            answers.lock().insert(id, Some((schema, subjects)));
            answers.changed.notify_all();
        };
        self.answers.lock().insert(id, None);
        if std::thread::Builder::new().name("schema".to_owned()).spawn(ask).is_err() {
            // Asked for again with the next record.
            self.answers.lock().remove(&id);
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, HashMap<SchemaId, Option<(Schema, Subjects)>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchemaRegistry for PromptRegistry {
    fn by_id(&self, id: SchemaId) -> Schema {
        if !self.answers.lock().contains_key(&id) {
            self.ask(id);
        }
        let answers = self.answers.lock();
        let waited = self
            .answers
            .changed
            .wait_timeout_while(answers, WAIT, |answers| answers.get(&id).is_some_and(Option::is_none));
        let (mut answers, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match answers.remove(&id) {
            Some(Some((schema, subjects))) => {
                *self.subjects.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, subjects));
                schema
            }
            Some(None) => {
                answers.insert(id, None);
                Err(RegistryError::unavailable(format!("it has not yet said what schema {id} is")))
            }
            None => Err(RegistryError::unavailable("there is no thread to ask it on")),
        }
    }

    fn subjects_of(&self, id: SchemaId) -> Subjects {
        let known = self.subjects.lock().unwrap_or_else(PoisonError::into_inner).take();
        match known.filter(|(known, _)| *known == id) {
            Some((_, subjects)) => subjects,
            None => self.registry.subjects_of(id),
        }
    }

    fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        self.registry.latest(subject)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        self.registry.versions(subject)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
        self.registry.version(subject, version)
    }

    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        self.registry.register(subject, schema)
    }
}

impl fmt::Debug for PromptRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Instant;

    use super::*;
    use crate::registry::EmbeddedRegistry;

    /// Answers questions about ids when told to.
    #[derive(Debug)]
    struct Slow {
        known: EmbeddedRegistry,
        answers: Barrier,
    }

    impl SchemaRegistry for Slow {
        fn by_id(&self, id: SchemaId) -> Schema {
            self.answers.wait();
            self.known.by_id(id)
        }

        fn subjects_of(&self, id: SchemaId) -> Subjects {
            self.known.subjects_of(id)
        }

        fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
            self.known.latest(subject)
        }

        fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
            self.known.versions(subject)
        }

        fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
            self.known.version(subject, version)
        }

        fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
            self.known.register(subject, schema)
        }
    }

    #[test]
    fn a_registry_that_hangs_is_waited_for_a_moment_and_its_answer_is_not_lost() {
        let slow = Arc::new(Slow { known: EmbeddedRegistry::new(), answers: Barrier::new(2) });
        let id = slow.register("s", r#"{"type": "record", "name": "r", "fields": []}"#).expect("a schema");
        let registry = PromptRegistry::new(Arc::clone(&slow) as Arc<dyn SchemaRegistry>);
        for _ in 0..2 {
            let asked = Instant::now();
            let refused = registry.by_id(id).expect_err("nobody answers");
            assert!(matches!(refused, RegistryError::Unavailable { .. }), "{refused}");
            assert!(asked.elapsed() < 3 * WAIT, "{:?}", asked.elapsed());
        }
        slow.answers.wait();
        assert_eq!(registry.by_id(id), slow.known.by_id(id), "asked once");
        assert_eq!(registry.subjects_of(id).expect("it is registered")[0].subject, "s");
        // It may be asked for anew, as by a decoder that has forgotten it.
        let again = std::thread::scope(|scope| {
            scope.spawn(|| slow.answers.wait());
            registry.by_id(id)
        });
        assert_eq!(again, slow.known.by_id(id));
    }
}
