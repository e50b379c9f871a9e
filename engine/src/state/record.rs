//! The small records of a pipeline: who it is, and what it knew at its last committed epoch.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::frame::{self, Kind};
use super::ipc;
use crate::facts::{Counters, Facts, PartitionFact};
use crate::time::Epoch;

/// What the state of a pipeline belongs to. Written once, before its first epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the plan: what state means.
    pub fingerprint: u64,
    /// The SQL that the pipeline was first started with.
    pub sql: String,
    /// The same, fit to be shown.
    pub shown_sql: String,
    /// The source table's name.
    pub source: String,
    /// The source's own text for what its rows mean.
    pub source_identity: String,
    /// The reader schema as looked up at the first start: what `schema: latest` keeps.
    pub reader_schema: String,
    /// All columns of the source table.
    pub source_schema: SchemaRef,
    /// Position of the event time in them.
    pub event_time: usize,
    /// The topic's id, where the broker has one.
    pub topic_id: Option<String>,
    /// From 1; one more after each reset.
    pub incarnation: u64,
}

/// What an epoch was computed with, and may differ at the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Window subtasks: the state blocks of subtask i hold the groups that hash to i of that many.
    pub parallelism: usize,
    pub lateness_ms: i64,
    pub provisional: bool,
    pub retention_ms: i64,
    /// What an aggregate call that keeps rows kept of a group.
    #[serde(default = "group_bytes_max")]
    pub group_bytes_max: usize,
    /// How long dead letters are kept.
    #[serde(default = "dead_letters_kept_ms")]
    pub dead_letters_kept_ms: i64,
}

/// What it was before it was a setting.
fn dead_letters_kept_ms() -> i64 {
    7 * 24 * 3_600_000
}

/// What it was before it was a setting.
fn group_bytes_max() -> usize {
    16 << 20
}

/// The last committed epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// Complete, as they were handed to [`super::Transaction::set_facts`].
    pub facts: Facts,
    pub settings: Settings,
}

#[derive(Serialize, Deserialize)]
struct IdentityText<'a> {
    fingerprint: u64,
    sql: Cow<'a, str>,
    /// Where it is another text than `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown_sql: Option<Cow<'a, str>>,
    source: Cow<'a, str>,
    source_identity: Cow<'a, str>,
    reader_schema: Cow<'a, str>,
    event_time: usize,
    topic_id: Option<Cow<'a, str>>,
    incarnation: u64,
}

impl Identity {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let text = IdentityText {
            fingerprint: self.fingerprint,
            sql: Cow::Borrowed(&self.sql),
            shown_sql: (self.shown_sql != self.sql).then_some(Cow::Borrowed(&*self.shown_sql)),
            source: Cow::Borrowed(&self.source),
            source_identity: Cow::Borrowed(&self.source_identity),
            reader_schema: Cow::Borrowed(&self.reader_schema),
            event_time: self.event_time,
            topic_id: self.topic_id.as_deref().map(Cow::Borrowed),
            incarnation: self.incarnation,
        };
        let text = serde_json::to_vec(&text).expect("a struct of strings and numbers");
        let text_len = u32::try_from(text.len()).map_err(|_| Error::Damaged {
            what: "the pipeline's identity".to_owned(),
            detail: format!("it has {} bytes", text.len()),
        })?;
        let mut payload = frame::begin(Kind::Identity);
        payload.extend_from_slice(&text_len.to_le_bytes());
        payload.extend_from_slice(&text);
        ipc::write_schema(&self.source_schema, &mut payload)
            .map_err(Error::arrow("write the source's columns"))?;
        Ok(frame::seal(payload))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let what = || "the pipeline's identity".to_owned();
        let damaged = |detail: String| Error::Damaged { what: what(), detail };
        let payload = frame::open(Kind::Identity, bytes, what)?;
        let (text_len, rest) =
            payload.split_first_chunk().ok_or_else(|| damaged("its text is missing".to_owned()))?;
        let (text, schema) = rest
            .split_at_checked(u32::from_le_bytes(*text_len) as usize)
            .ok_or_else(|| damaged("its text is cut".to_owned()))?;
        let text: IdentityText<'_> =
            serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        let source_schema = ipc::read_schema(schema).map_err(|error| damaged(error.to_string()))?;
        Ok(Self {
            fingerprint: text.fingerprint,
            shown_sql: text.shown_sql.unwrap_or_else(|| text.sql.clone()).into_owned(),
            sql: text.sql.into_owned(),
            source: text.source.into_owned(),
            source_identity: text.source_identity.into_owned(),
            reader_schema: text.reader_schema.into_owned(),
            source_schema,
            event_time: text.event_time,
            topic_id: text.topic_id.map(Cow::into_owned),
            incarnation: text.incarnation,
        })
    }
}

/// What of the facts is written anew in every epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head<'a> {
    epoch: Epoch,
    committed_at_ms: Option<i64>,
    watermark_ms: Option<i64>,
    closed_ms: Option<i64>,
    counters: Counters,
    settings: Settings,
    partitions: Cow<'a, [PartitionFact]>,
}

impl<'a> Head<'a> {
    pub(super) fn of(facts: &'a Facts, settings: Settings) -> Self {
        Self {
            epoch: facts.epoch,
            committed_at_ms: facts.committed_at_ms,
            watermark_ms: facts.watermark_ms,
            closed_ms: facts.closed_ms,
            counters: facts.counters,
            settings,
            partitions: Cow::Borrowed(&facts.partitions),
        }
    }

    /// The epoch behind this head, without the lists that are records of their own.
    pub(super) fn recovered(self) -> Recovered {
        let facts = Facts {
            epoch: self.epoch,
            committed_at_ms: self.committed_at_ms,
            watermark_ms: self.watermark_ms,
            closed_ms: self.closed_ms,
            counters: self.counters,
            partitions: Arc::new(self.partitions.into_owned()),
            ..Facts::default()
        };
        Recovered { facts, settings: self.settings }
    }
}

/// A frame that holds `value` as JSON.
pub(crate) fn encode<T: Serialize>(kind: Kind, value: &T) -> Vec<u8> {
    let mut payload = frame::begin(kind);
    serde_json::to_writer(&mut payload, value).expect("records have string keys, memory never fails");
    frame::seal(payload)
}

/// What [`encode`] wrote. `what` names it in errors.
pub(crate) fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8], what: &str) -> Result<T, Error> {
    let payload = frame::open(kind, bytes, || what.to_owned())?;
    serde_json::from_slice(payload)
        .map_err(|error| Error::Damaged { what: what.to_owned(), detail: error.to_string() })
}
