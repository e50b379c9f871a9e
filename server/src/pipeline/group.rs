//! Tells Kafka how far a pipeline is, as the offsets of a consumer group: for tools that show lag. Weir
//! itself reads none of it, and goes on the same where it fails.

use std::thread::sleep;
use std::time::{Duration, Instant};

use weir_connectors::TableSource;
use weir_connectors::chain;
use weir_connectors::kafka::ConsumerGroup;
use weir_engine::pipeline::State;

use super::Entry;

/// How often offsets are told. More often makes work for the broker, more seldom makes lag look longer.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often they are where they are still the same: Kafka forgets those of a group that nobody is in, by
/// default after 7 days.
const REMIND_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long is waited for the broker's answer: a stop waits for that, too. Without one, the next time begins by it.
const TELL_WAIT: Duration = Duration::from_millis(300);
/// How often to look whether the pipeline has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the last time may take: a stop is prompt, whatever the broker does; a bounded run may wait for a
/// group that is new, which takes Kafka a moment.
const LAST_WAIT: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(5));
/// The time between two tries at the end.
const AGAIN: Duration = Duration::from_millis(100);

/// Tells what is committed until the pipeline ends, and once more then. `wait` waits that long, or until the
/// process is told to stop, and says whether it is.
pub(super) fn tell(entry: &Entry, source: &dyn TableSource, wait: impl Fn(Duration) -> bool) {
    let group = match source.consumer_group() {
        Ok(Some(group)) => group,
        Ok(None) => return,
        Err(error) => return log(entry, &chain(&error)),
    };
    let mut teller = Teller { entry, group, told: None, failure: None };
    let mut at = Instant::now() + TELL_EVERY;
    let is_stopping = loop {
        let is_stopping = wait(LOOK_EVERY);
        if matches!(entry.state().0, State::Stopped | State::Failed) {
            break is_stopping;
        }
        if is_stopping {
            // It is finishing its epoch.
            sleep(LOOK_EVERY);
        } else if at <= Instant::now() {
            teller.tell(TELL_WAIT);
            at = Instant::now() + TELL_EVERY;
        }
    };
    if is_stopping && teller.failure.is_some() {
        return;
    }
    let until = Instant::now() + if is_stopping { LAST_WAIT.0 } else { LAST_WAIT.1 };
    while !teller.tell(until.saturating_duration_since(Instant::now())) && Instant::now() + AGAIN < until {
        sleep(AGAIN);
    }
}

struct Teller<'a> {
    entry: &'a Entry,
    group: ConsumerGroup,
    told: Option<(Vec<(i32, i64)>, Instant)>,
    /// The last one; told once, however long it lasts.
    failure: Option<String>,
}

impl Teller<'_> {
    /// Tells the committed next offsets, unless that was done. Whether it is now.
    fn tell(&mut self, timeout: Duration) -> bool {
        let Some(snapshot) = self.entry.snapshot() else { return true };
        let offsets = snapshot.facts().partitions.iter().map(|fact| (fact.partition, fact.next_offset));
        let offsets: Vec<_> = offsets.filter(|(_, next)| 0 <= *next).collect();
        let is_told =
            self.told.as_ref().is_some_and(|(told, at)| *told == offsets && at.elapsed() < REMIND_EVERY);
        if offsets.is_empty() || is_told {
            return true;
        }
        match self.group.tell(&offsets, timeout) {
            Ok(()) => {
                self.told = Some((offsets, Instant::now()));
                self.failure = None;
                true
            }
            Err(error) => {
                let error = self.entry.spec().redactor.apply(&chain(&error));
                if self.failure.as_ref() != Some(&error) {
                    log(self.entry, &error);
                    self.failure = Some(error);
                }
                false
            }
        }
    }
}

fn log(entry: &Entry, error: &str) {
    tracing::info!(pipeline = entry.name(), error, "lag tools do not see how far it is");
}
