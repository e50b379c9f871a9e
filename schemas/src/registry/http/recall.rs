//! What a client remembers of its registry: schemas, missing ids, and failures with their back-off.
//!
//! Time comes in as an argument; all three are bounded.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::SchemaText;
use crate::wire::SchemaId;

/// Entries of each kind, ids that nobody knows among them; beyond them the oldest knowledge is thrown away and asked for again.
const MAX_ENTRIES: usize = 10_000;

/// So many ids may turn out to be unknown at once, and then one in each of these times. Fewer: records of garbage wait, and
/// what is behind them in their partitions. More: a registry that others need says no all the time.
const UNKNOWN_BURST: u32 = 1_000;
pub(super) const UNKNOWN_EVERY: Duration = Duration::from_millis(10);

/// The wait after a first failure, and the longest one. Shorter: a registry that starts is flooded.
/// Longer: records wait although it is back.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    schemas: HashMap<SchemaId, Arc<SchemaText>>,
    missing: HashMap<SchemaId, Instant>,
    /// When the unknown ids of so far would have been asked for, had they come evenly.
    unknown_until: Option<Instant>,
    failures: HashMap<String, Failure>,
}

#[derive(Debug)]
struct Failure {
    detail: String,
    n_attempts: u32,
    until: Instant,
}

impl Memory {
    pub(super) fn schema(&self, id: SchemaId) -> Option<Arc<SchemaText>> {
        self.schemas.get(&id).cloned()
    }

    pub(super) fn keep_schema(&mut self, id: SchemaId, schema: &Arc<SchemaText>) {
        make_room(&mut self.schemas);
        self.schemas.insert(id, Arc::clone(schema));
    }

    pub(super) fn is_missing(&self, id: SchemaId, now: Instant) -> bool {
        self.missing.get(&id).is_some_and(|until| now < *until)
    }

    pub(super) fn keep_missing(&mut self, id: SchemaId, now: Instant, until: Instant) {
        make_room(&mut self.missing);
        self.missing.insert(id, until);
        self.unknown_until = Some(self.unknown_until.map_or(now, |until| until.max(now)) + UNKNOWN_EVERY);
    }

    /// Whether an id may be asked for that may be unknown, too.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        let ahead = self.unknown_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        ahead < UNKNOWN_EVERY * UNKNOWN_BURST
    }

    /// Why `question` is not to be asked now.
    pub(super) fn failure(&self, question: &str, now: Instant) -> Option<String> {
        self.failures
            .get(question)
            .filter(|failure| now < failure.until)
            .map(|failure| failure.detail.clone())
    }

    pub(super) fn failed(&mut self, question: &str, detail: &str, now: Instant) {
        let n_attempts = self.failures.get(question).map_or(0, |failure| failure.n_attempts);
        let wait = backoff(n_attempts, RandomState::new().hash_one(question));
        make_room(&mut self.failures);
        let failure = Failure {
            detail: detail.to_owned(),
            n_attempts: n_attempts.saturating_add(1),
            until: now + wait,
        };
        self.failures.insert(question.to_owned(), failure);
    }

    pub(super) fn answered(&mut self, question: &str) {
        self.failures.remove(question);
    }
}

/// Twice as long after each failure, up to half of it left out at random so that many clients do
/// not come back at once.
fn backoff(n_attempts: u32, random: u64) -> Duration {
    let full = BACKOFF_MIN.saturating_mul(1 << n_attempts.min(16)).min(BACKOFF_MAX);
    let thousandths = u32::try_from(random % 500).expect("below 500");
    full - full * thousandths / 1000
}

fn make_room<K, V>(entries: &mut HashMap<K, V>) {
    if entries.len() >= MAX_ENTRIES {
        entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_within_its_bounds() {
        for random in [0, 1, 499, u64::MAX] {
            assert!(BACKOFF_MIN / 2 <= backoff(0, random) && backoff(0, random) <= BACKOFF_MIN);
            assert!(BACKOFF_MAX / 2 <= backoff(u32::MAX, random) && backoff(u32::MAX, random) <= BACKOFF_MAX);
        }
        assert_eq!(backoff(3, 0), BACKOFF_MIN * 8);
    }

    #[test]
    fn failed_question_waits_and_others_do_not() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.failed("a", "away", now);
        assert_eq!(memory.failure("a", now).as_deref(), Some("away"));
        assert_eq!(memory.failure("b", now), None);
        assert_eq!(memory.failure("a", now + BACKOFF_MIN), None);
        memory.failed("a", "away", now);
        assert!(memory.failure("a", now + BACKOFF_MIN - Duration::from_millis(1)).is_some());
        memory.answered("a");
        assert_eq!(memory.failure("a", now), None);
    }

    #[test]
    fn missing_id_is_asked_for_again_when_its_time_is_over() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.keep_missing(SchemaId(7), now, now + Duration::from_secs(5));
        assert!(memory.is_missing(SchemaId(7), now));
        assert!(!memory.is_missing(SchemaId(7), now + Duration::from_secs(5)));
    }

    #[test]
    fn unknown_ids_are_asked_for_at_once_until_they_are_a_flood() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        let mut ids = (1..).map(SchemaId);
        let mut ask_all = |now| {
            let asked = ids.by_ref().take_while(|id| {
                let may_ask = memory.may_ask(now);
                if may_ask {
                    memory.keep_missing(*id, now, now + Duration::from_secs(1));
                }
                may_ask
            });
            asked.count()
        };
        assert_eq!(ask_all(start), 1_000);
        assert_eq!(ask_all(start), 0);
        assert_eq!(ask_all(start + Duration::from_secs(1)), 100);
        assert_eq!(ask_all(start + Duration::from_secs(3_600)), 1_000, "no more than at first");
    }
}
