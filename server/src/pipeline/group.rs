//! Tells Kafka how far a pipeline is, as the offsets of a consumer group: for tools that show lag. Weir
//! itself reads none of it, and goes on the same where it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_connectors::chain;
use weir_connectors::kafka::KafkaSource;
use weir_engine::pipeline::State;

use super::Entry;

/// How often offsets are told. More often makes work for the broker, more seldom makes lag look longer.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often to look whether the pipeline has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often it is tried once the pipeline has ended: a group that is new takes Kafka a moment.
const LAST_TRIES: u32 = 20;

/// Tells what is committed until the pipeline ends, and once more then. `wait` waits that long, and says
/// whether to leave.
pub(super) fn tell(entry: &Entry, source: &KafkaSource, wait: impl Fn(Duration) -> bool) {
    let mut told = BTreeMap::new();
    let mut waited = Duration::ZERO;
    let mut n_last = 0;
    let mut failure: Option<String> = None;
    loop {
        let has_ended = matches!(entry.state().0, State::Stopped | State::Failed);
        if has_ended || TELL_EVERY <= waited {
            waited = Duration::ZERO;
            let new = committed(entry, &told);
            let done = if new.is_empty() { Ok(()) } else { source.tell_group(&new) };
            n_last += u32::from(has_ended);
            match done {
                Ok(()) if has_ended => return,
                Ok(()) => {
                    told.extend(new);
                    failure = None;
                }
                Err(error) => {
                    let error = entry.spec().redactor.apply(&chain(&error));
                    // Once, however long it lasts.
                    if failure.as_ref() != Some(&error) {
                        tracing::info!(pipeline = entry.name(), error, "lag tools do not see how far it is");
                        failure = Some(error);
                    }
                }
            }
        }
        if LAST_TRIES <= n_last || wait(LOOK_EVERY) {
            return;
        }
        waited += LOOK_EVERY;
    }
}

/// The committed next offsets that are not told yet.
fn committed(entry: &Entry, told: &BTreeMap<i32, i64>) -> Vec<(i32, i64)> {
    let Some(snapshot) = entry.snapshot() else { return Vec::new() };
    let offsets = snapshot.facts().partitions.iter().map(|fact| (fact.partition, fact.next_offset));
    offsets.filter(|(partition, next)| 0 <= *next && told.get(partition) != Some(next)).collect()
}
