//! Asks a registry on threads of their own: whoever decodes waits for a moment, whatever hangs.
//!
//! Invariant: a question that was not answered in time is not asked a second time; its answer is there for
//! who asks again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::wire::SchemaId;

/// Longest wait for an answer. Longer, and a source subtask stands still for as long, the epoch and a
/// stop with it; shorter, and an answer that is on its way is looked for again and again.
const WAIT: Duration = Duration::from_secs(1);

/// Questions that are being asked, and answers that nobody has taken.
#[derive(Debug)]
pub(super) struct Prompt<Q, A> {
    /// `None`: it is being asked.
    answers: Mutex<HashMap<Q, Option<A>>>,
    changed: Condvar,
}

impl<Q, A> Default for Prompt<Q, A> {
    fn default() -> Self {
        Self { answers: Mutex::default(), changed: Condvar::new() }
    }
}

impl<Q: Copy + Eq + Hash + Send + 'static, A: Send + 'static> Prompt<Q, A> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Q, Option<A>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `ask` find the answer, unless somebody is finding it, and waits for it.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`] where it is not there in time: `what` has not been said.
    pub(super) fn ask(
        self: &Arc<Self>,
        question: Q,
        what: impl fmt::Display,
        ask: impl FnOnce() -> A + Send + 'static,
    ) -> Result<A, RegistryError> {
        let mut answers = self.lock();
        if let Entry::Vacant(vacant) = answers.entry(question) {
            let this = Arc::clone(self);
            let thread = move || {
                let answer = ask();
                this.lock().insert(question, Some(answer));
                this.changed.notify_all();
            };
            if std::thread::Builder::new().name("schema".to_owned()).spawn(thread).is_err() {
                // Asked again with the next record.
                return Err(RegistryError::unavailable("there is no thread to ask it on"));
            }
            // It answers when it can have the lock.
            vacant.insert(None);
        }
        let waited = self
            .changed
            .wait_timeout_while(answers, WAIT, |answers| answers.get(&question).is_some_and(Option::is_none));
        let (mut answers, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match answers.remove(&question) {
            Some(Some(answer)) => Ok(answer),
            still => {
                still.into_iter().for_each(|none| drop(answers.insert(question, none)));
                Err(RegistryError::unavailable(format!("it has not yet said {what}")))
            }
        }
    }
}

/// A registry whose [`SchemaRegistry::by_id`] never takes long. All else is asked as it is.
pub struct PromptRegistry {
    registry: Arc<dyn SchemaRegistry>,
    by_id: Arc<Prompt<SchemaId, (Schema, Subjects)>>,
    /// Of the id that was answered last.
    subjects: Mutex<Option<(SchemaId, Subjects)>>,
}

type Schema = Result<Arc<SchemaText>, RegistryError>;
type Subjects = Result<Vec<SubjectVersion>, RegistryError>;

impl PromptRegistry {
    /// Asks `registry`.
    #[must_use]
    pub fn new(registry: Arc<dyn SchemaRegistry>) -> Self {
        Self { registry, by_id: Arc::default(), subjects: Mutex::default() }
    }
}

impl SchemaRegistry for PromptRegistry {
    fn by_id(&self, id: SchemaId) -> Schema {
        if self.is_missing(id) {
            return Err(RegistryError::NotFound { what: format!("schema of id {id}") });
        }
        let registry = Arc::clone(&self.registry);
        let (schema, subjects) = self.by_id.ask(id, format_args!("what schema {id} is"), move || {
            let schema = registry.by_id(id);
            let subjects = if schema.is_ok() { registry.subjects_of(id) } else { Ok(Vec::new()) };
            (schema, subjects)
        })?;
        *self.subjects.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, subjects));
        schema
    }

    fn is_missing(&self, id: SchemaId) -> bool {
        self.registry.is_missing(id)
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
