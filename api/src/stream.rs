//! Server-sent events of `GET /api/v1/stream`, and the same events from `GET /api/v1/poll`.
//!
//! Invariants:
//! 1. An event's `id` is opaque and distinct; it goes back as `Last-Event-ID` or `?after=`.
//! 2. A table's first event is a [`Snapshot`], or the [`Delta`] that follows the id that came back.
//! 3. Epochs of a table only grow.

use serde::{Deserialize, Serialize};

use crate::{Column, PipelineState, Row};

/// Replaces all that the client has of this table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub table: String,
    pub epoch: u64,
    /// Null until the pipeline has one.
    pub watermark: Option<String>,
    /// `_final` is the last one.
    pub columns: Vec<Column>,
    /// Names of the key's columns; empty for a table that is appended to.
    pub key: Vec<String>,
    /// At most 10,000, the newest ones.
    pub rows: Vec<Row>,
    /// Whether older rows were left out; absent from the JSON where not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

/// One or more committed epochs, merged per key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub table: String,
    /// The last of the merged epochs.
    pub epoch: u64,
    pub watermark: Option<String>,
    /// Whole rows; a row whose key the client has replaces it. Without a key: rows to append.
    pub upserts: Vec<Row>,
    /// Key values, in the order of the snapshot's `key`.
    pub deletes: Vec<Row>,
}

/// How a pipeline is doing, about once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub pipeline: String,
    pub state: PipelineState,
    pub epoch: u64,
    pub watermark: Option<String>,
    /// Null until the broker has said where the partitions end.
    pub lag_records: Option<u64>,
    pub rows_per_second: f64,
    pub late_rows: u64,
    /// Late rows included.
    pub dead_letters: u64,
    /// What it waits for, or why it failed.
    pub error: Option<String>,
}

/// What the `event:` line names and the `data:` line holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "lowercase")]
pub enum Event {
    Snapshot(Snapshot),
    Delta(Delta),
    Status(Status),
}

impl Event {
    /// The names of all events, as on the `event:` line.
    pub const NAMES: [&str; 3] = ["snapshot", "delta", "status"];

    /// The name on the `event:` line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => Self::NAMES[0],
            Self::Delta(_) => Self::NAMES[1],
            Self::Status(_) => Self::NAMES[2],
        }
    }

    /// Reads an event from its `event:` line and its `data:`. `None` for a name that this version does not know:
    /// events may be added.
    ///
    /// # Errors
    /// `data` is not what `name` promises. The stream can't be trusted any more: begin anew with a snapshot.
    pub fn parse(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "snapshot" => Self::Snapshot(serde_json::from_str(data)?),
            "delta" => Self::Delta(serde_json::from_str(data)?),
            "status" => Self::Status(serde_json::from_str(data)?),
            _ => return Ok(None),
        }))
    }

    /// The text of the `data:` line, on one line.
    ///
    /// # Errors
    /// None in practice: every value in an event is JSON already.
    pub fn data(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Snapshot(snapshot) => serde_json::to_string(snapshot),
            Self::Delta(delta) => serde_json::to_string(delta),
            Self::Status(status) => serde_json::to_string(status),
        }
    }
}

/// The answer to `GET /api/v1/poll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PollResponse {
    /// What to send as `after` next time; the same as before where there is nothing new.
    pub id: String,
    pub events: Vec<PollEvent>,
}

/// An event of the stream with its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PollEvent {
    pub id: String,
    #[serde(flatten)]
    pub event: Event,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Reads `json`, writes it again and asserts that both mean the same.
#[cfg(test)]
pub(crate) fn round_trip<T: Serialize + serde::de::DeserializeOwned>(json: &str) -> T {
    let value: T = serde_json::from_str(json).expect("documented JSON");
    let written = serde_json::to_value(&value).expect("serializable");
    let expected: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(written, expected);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = r#"{"table":"revenue","epoch":7,"watermark":"2026-11-22T12:00:05.000Z","columns":[{"name":"window_start","type":"TIMESTAMP(3) WITH TIME ZONE","nullable":false},{"name":"orders","type":"BIGINT","nullable":false},{"name":"_final","type":"BOOLEAN","nullable":false}],"key":["window_start"],"rows":[["2026-11-22T12:00:00.000Z",4,false]]}"#;
    const DELTA: &str = r#"{"table":"revenue","epoch":8,"watermark":null,"upserts":[["2026-11-22T12:00:00.000Z",5,true]],"deletes":[["2026-11-22T11:00:00.000Z"]]}"#;
    const STATUS: &str = r#"{"pipeline":"revenue","state":"running","epoch":8,"watermark":null,"lag_records":null,"rows_per_second":1250.5,"late_rows":1,"dead_letters":2,"error":null}"#;

    #[test]
    fn events_have_the_documented_shapes() {
        let whole: Snapshot = round_trip(SNAPSHOT);
        assert!(!whole.truncated);
        let cut = SNAPSHOT.replacen('{', r#"{"truncated":true,"#, 1);
        assert!(round_trip::<Snapshot>(&cut).truncated);
        round_trip::<Delta>(DELTA);
        round_trip::<Status>(STATUS);
    }

    #[test]
    fn event_is_chosen_by_its_name() {
        for (name, data) in [("snapshot", SNAPSHOT), ("delta", DELTA), ("status", STATUS)] {
            let event = Event::parse(name, data).expect("documented data").expect("a known name");
            assert_eq!(event.name(), name);
            let again = Event::parse(name, &event.data().expect("serializable"));
            assert_eq!(again.expect("own data"), Some(event));
        }
        assert_eq!(Event::parse("added_later", "?").expect("ignored"), None);
        assert!(Event::parse("delta", STATUS).is_err());
    }

    #[test]
    fn poll_carries_the_events_of_the_stream() {
        let answer: PollResponse = round_trip(&format!(
            r#"{{"id":"9","events":[{{"event":"delta","id":"8","data":{DELTA}}},{{"event":"status","id":"9","data":{STATUS}}}]}}"#
        ));
        assert_eq!(answer.events[1].event.name(), "status");
        assert_eq!(answer.events[0].id, "8");
    }
}
