//! The topics that a sink writes to, made if missing.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use weir_engine::connector::{SinkError, Stopping};

use super::producer::Patience;
use crate::kafka::BROKER_TIMEOUT;
use crate::kafka::native::{Client, Topic};

/// How long to wait for an answer before asking again.
const ASK: Duration = Duration::from_secs(1);

/// Between two questions whether a new topic has leaders.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until each partition of `topic` has a leader, and makes the topic if there is none. Returns its
/// partitions.
pub(super) fn ensure(
    client: &Arc<Client>,
    bootstrap_servers: &str,
    topic: &CStr,
    n_partitions: usize,
    settings: &[(&str, &str)],
    stopping: &Stopping,
) -> Result<Vec<i32>, SinkError> {
    let name = topic.to_string_lossy();
    let asked = Topic::new(Arc::clone(client), topic).map_err(|failure| SinkError::Fatal(failure.detail))?;
    let mut patience = Patience::of(BROKER_TIMEOUT, stopping);
    let mut is_made = false;
    loop {
        let failure = match asked.leaders(ASK) {
            Ok(leaders) if !leaders.is_empty() && leaders.iter().all(|(_, leader)| 0 <= *leader) => {
                return Ok(leaders.into_iter().map(|(partition, _)| partition).collect());
            }
            Ok(_) => "a partition has no leader".to_owned(),
            Err(failure) if failure.is_unknown_topic() && !is_made => {
                let made = client.create_topic(topic, n_partitions, settings, BROKER_TIMEOUT);
                made.map_err(|failure| {
                    SinkError::Reopen(format!(
                        "could not make topic \"{name}\" at \"{bootstrap_servers}\": {}",
                        failure.detail
                    ))
                })?;
                tracing::info!(topic = &*name, n_partitions, "made the topic");
                (is_made, patience) = (true, Patience::new(stopping));
                continue;
            }
            Err(failure) => client.cause().unwrap_or(failure.detail),
        };
        if patience.is_over() {
            return Err(SinkError::Reopen(format!(
                "could not ask the broker at \"{bootstrap_servers}\" about topic \"{name}\": {failure}"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}
