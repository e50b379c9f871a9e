//! How far reading is, told to Kafka as a consumer group's offsets: for tools that show lag. Nothing here
//! reads them back, and a pipeline goes on the same where they can't be told.

use std::ffi::CString;
use std::time::Duration;

use weir_engine::connector::SourceError;

use super::native::{Client, Group};
use super::{KafkaSource, properties};
use crate::error::chain;

/// The consumer group of one pipeline, which nobody ever joins.
pub struct ConsumerGroup {
    group: Group,
    topic: CString,
    /// For messages.
    bootstrap_servers: String,
    name: String,
}

impl KafkaSource {
    /// The group that bears the name of the source's clients. It has connections of its own: whatever befalls
    /// them, reading does not notice.
    ///
    /// # Errors
    /// [`SourceError::Fatal`] where there can be no client.
    pub(super) fn group(&self) -> Result<ConsumerGroup, SourceError> {
        let name = &self.config.client_id;
        let conf = properties::group_conf(&self.connection, name)
            .map_err(|error| SourceError::Fatal(chain(&error)))?;
        let client = Client::new(conf).map_err(|failure| {
            SourceError::Fatal(format!("the Kafka client refuses its configuration: {}", failure.detail))
        })?;
        Ok(ConsumerGroup {
            group: Group::new(client),
            topic: self.topic.clone(),
            bootstrap_servers: self.connection.bootstrap_servers.clone(),
            name: name.clone(),
        })
    }
}

impl ConsumerGroup {
    /// Tells the next offsets of partitions; waits for the broker, `timeout` at most.
    ///
    /// # Errors
    /// [`SourceError::Retry`] where the broker is away or refuses. Those told later count.
    pub fn tell(&mut self, offsets: &[(i32, i64)], timeout: Duration) -> Result<(), SourceError> {
        self.group.commit(&self.topic, offsets, timeout).map_err(|failure| {
            SourceError::Retry(format!(
                "could not tell the broker at \"{}\" the offsets of consumer group \"{}\": {}",
                self.bootstrap_servers, self.name, failure.detail
            ))
        })
    }
}
