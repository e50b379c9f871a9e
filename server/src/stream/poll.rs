//! The same events as a stream's, for networks that cut streams: a client asks again and again.
//!
//! Nothing is kept of a client between two polls: its place is in the id that it sends back, the same
//! as a stream's. So a client may go on by stream where it polled, and the other way round.
//!
//! Invariants:
//! 1. What an answer holds lies behind `after`, and its id says exactly what the client then has.
//! 2. An answer has at most about [`BYTES_MAX`] bytes of events beyond the last one; the rest comes
//!    with the next poll.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::BYTES_MAX;
use super::client::{Client, Event};
use crate::encode::quoted;

impl Client {
    /// Takes the events that there are; where there is none, waits up to `wait` for one. The answer
    /// as JSON, as `weir_api::PollResponse`. `after` is what the client sent.
    pub async fn poll(mut self, after: Option<&str>, wait: Duration) -> Bytes {
        let until = Instant::now() + wait;
        let mut events = self.ready().await;
        while events.is_empty() && !self.is_closing() {
            if timeout_at(until, self.changed()).await.is_err() {
                break;
            }
            events = self.ready().await;
        }
        // Nothing new: the same id, whoever wrote it.
        let id = match (events.last(), after) {
            (Some(last), _) => last.id.to_string(),
            (None, Some(after)) => after.to_owned(),
            (None, None) => self.position().to_string(),
        };
        answer(&id, &events)
    }

    /// The events that there are now.
    async fn ready(&mut self) -> Vec<Event> {
        self.take_new_statuses();
        let mut events = Vec::new();
        let mut n_bytes = 0;
        while n_bytes < BYTES_MAX
            && let Some(event) = self.event().await
        {
            n_bytes += event.data.len();
            events.push(event);
        }
        events
    }
}

fn answer(id: &str, events: &[Event]) -> Bytes {
    let mut out = b"{\"id\":".to_vec();
    out.append(&mut quoted(id));
    out.extend_from_slice(b",\"events\":[");
    for (i, Event { name, id, data }) in events.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        out.extend_from_slice(
            format!("{separator}{{\"event\":\"{name}\",\"id\":\"{id}\",\"data\":").as_bytes(),
        );
        out.extend_from_slice(data);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out.into()
}
