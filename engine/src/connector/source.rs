//! The traits that sources implement, and the blocks of records they hand over.
//!
//! A source gives *blocks of records* (payload slices of one kept-alive buffer, offsets and Kafka
//! timestamps as columns), never client objects, so that another client can replace librdkafka
//! behind the same trait. A decoder turns a block into one Arrow batch of the columns a plan uses.
//!
//! Invariants:
//! 1. Within a partition blocks arrive in offset order, without a gap that is not reported.
//! 2. A record is decoded, rejected with a reason, or a tombstone: nothing vanishes.
//! 3. No call here panics on what a record holds.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

/// A byte range of a [`RecordBlock`]'s buffer, or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The null value; not the same as an empty one.
    pub const NULL: Self = Self { start: 0, len: u32::MAX };

    /// The `len` bytes from `start` on.
    #[must_use]
    pub fn new(start: u32, len: u32) -> Self {
        debug_assert!(len < u32::MAX, "a length of u32::MAX marks null");
        Self { start, len }
    }

    /// How many bytes it has; null has none.
    #[must_use]
    pub fn n_bytes(self) -> usize {
        if self == Self::NULL { 0 } else { self.len as usize }
    }

    /// Where it ends; `None` if null.
    #[must_use]
    pub fn end(self) -> Option<usize> {
        (self != Self::NULL).then(|| self.start as usize + self.len as usize)
    }

    /// Where it starts; `None` if null.
    #[must_use]
    pub fn start(self) -> Option<usize> {
        (self != Self::NULL).then_some(self.start as usize)
    }

    /// The bytes of this span in `data`; `None` if null.
    #[must_use]
    pub fn of(self, data: &[u8]) -> Option<&[u8]> {
        let start = self.start as usize;
        (self.len != u32::MAX).then(|| &data[start..start + self.len as usize])
    }
}

/// Consecutive records of one partition, in offset order. All `Vec`s have one entry per record.
#[derive(Debug, Clone)]
pub struct RecordBlock {
    pub partition: i32,
    /// What `keys` and `values` point into.
    pub data: Buffer,
    pub offsets: Vec<i64>,
    /// Kafka timestamps in milliseconds since 1970; -1 where the record has none.
    pub timestamps_ms: Vec<i64>,
    pub keys: Vec<Span>,
    pub values: Vec<Span>,
}

impl RecordBlock {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Drops the records from offset `end` on.
    pub fn truncate_at(&mut self, end: i64) {
        let n_kept = self.offsets.partition_point(|offset| *offset < end);
        self.offsets.truncate(n_kept);
        self.timestamps_ms.truncate(n_kept);
        self.keys.truncate(n_kept);
        self.values.truncate(n_kept);
    }

    /// The value of record `i`; `None` for a tombstone.
    #[must_use]
    pub fn value(&self, i: usize) -> Option<&[u8]> {
        self.values[i].of(self.data.as_slice())
    }

    /// The key of record `i`, if it has one.
    #[must_use]
    pub fn key(&self, i: usize) -> Option<&[u8]> {
        self.keys[i].of(self.data.as_slice())
    }
}

/// Why a record became a dead letter. The names are those of the `reason` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    BadFraming,
    UnknownSchema,
    IncompatibleSchema,
    BadPayload,
    BadEventTime,
    EvaluationError,
    LateRow,
}

impl Reason {
    /// Every reason, in the order of the data path.
    pub const ALL: [Self; 7] = [
        Self::BadFraming,
        Self::UnknownSchema,
        Self::IncompatibleSchema,
        Self::BadPayload,
        Self::BadEventTime,
        Self::EvaluationError,
        Self::LateRow,
    ];

    /// Its position in [`Self::ALL`], for figures kept per reason.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The reason of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Whether the record became no row at all.
    #[must_use]
    pub fn is_of_decoding(self) -> bool {
        self < Self::BadEventTime
    }

    /// The value of the `reason` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFraming => "bad_framing",
            Self::UnknownSchema => "unknown_schema",
            Self::IncompatibleSchema => "incompatible_schema",
            Self::BadPayload => "bad_payload",
            Self::BadEventTime => "bad_event_time",
            Self::EvaluationError => "evaluation_error",
            Self::LateRow => "late_row",
        }
    }
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Index of the record in its block.
    pub record: u32,
    pub reason: Reason,
    /// For a person: what was expected, what was found.
    pub detail: String,
}

/// A writer schema seen for the first time by a decoder, at a partition's offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaSeen {
    pub schema_id: u32,
    pub subject: Option<String>,
    pub version: Option<u32>,
    pub partition: i32,
    pub first_offset: i64,
    pub compatible: bool,
    /// Why it is not compatible, or what else is to be said of it; else empty.
    pub detail: String,
    /// The columns that the source's table has from here on, where the source follows its writers; empty: no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<TableColumn>,
}

/// A column of a source's table, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableColumn {
    pub name: String,
    /// A name of SQL.
    pub sql_type: String,
    pub nullable: bool,
}

/// What became of the records `[from, next)` of a block.
#[derive(Debug)]
pub struct Decoded {
    /// One row per decoded record, with the columns that were asked for, in that order.
    pub batch: RecordBatch,
    /// `records[i]` is the index in the block of the record behind row `i`; ascending.
    pub records: Vec<u32>,
    /// Ascending by record.
    pub rejected: Vec<Rejected>,
    pub tombstones: u64,
    /// First record not dealt with: the block's length, unless `blocked`.
    pub next: usize,
    /// Why record `next` can't be decoded now (the registry is away). Ask again later.
    pub blocked: Option<String>,
    pub schemas: Vec<SchemaSeen>,
}

/// Turns records into rows. One per source subtask; never shared.
pub trait Decoder: Send {
    /// Decodes the records of `block` from index `from` on.
    ///
    /// # Errors
    /// Only what makes going on impossible for the pipeline; what is wrong with a record is in
    /// [`Decoded::rejected`], what is wrong with the registry in [`Decoded::blocked`].
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError>;

    /// The writer schema's id in a record value, if it has one.
    fn schema_id(&self, value: &[u8]) -> Option<u32>;
}

/// Where a partition is read from when there is no committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first record whose Kafka timestamp is at or after this, in milliseconds since 1970.
    At(i64),
    /// A committed next offset.
    Offset(i64),
}

/// A partition as the broker knows it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionInfo {
    pub partition: i32,
    /// First offset that still exists.
    pub begin_offset: i64,
    /// First offset that a `read_committed` reader cannot read yet: the last stable offset.
    pub end_offset: i64,
}

/// The topic as the broker knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Changes when the topic is deleted and made anew; `None` where the broker has no such id.
    pub topic_id: Option<String>,
    /// Ascending by partition.
    pub partitions: Vec<PartitionInfo>,
}

/// What a reader has to say after a poll.
#[derive(Debug)]
pub enum ReaderEvent {
    Block(RecordBlock),
    /// The partition has been read to its end: `next_offset` is the end, control records included.
    End {
        partition: i32,
        next_offset: i64,
    },
    /// The broker's end offset of a partition, as far as the client knows.
    HighWatermark {
        partition: i32,
        end_offset: i64,
    },
    /// Something is wrong and being retried by the client; for a person. Until [`Self::Recovered`]
    /// no partition is taken for idle.
    Trouble {
        detail: String,
    },
    /// All of it works again. Follows every [`Self::Trouble`], when it is over.
    Recovered,
}

/// A record's header: its name, and its value if it has one. A name may come twice.
pub type Header = (String, Option<Vec<u8>>);

/// Reads the partitions given to one source subtask. Lives on that subtask's thread.
pub trait Reader: Send {
    /// Starts to read a partition and returns the offset that `start` means (the first offset that
    /// exists for `Earliest`, the end for `Latest` or a time after the last record). Blocks for a second
    /// or two at most. Calling it for an assigned partition is an error of the caller.
    ///
    /// # Errors
    /// [`SourceError::Retry`] where the broker did not answer: the partition is then not assigned.
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError>;

    /// Stops taking records of an assigned partition, or goes on; others are left alone. What is queued is kept, not fetched again.
    fn set_paused(&mut self, partition: i32, paused: bool);

    /// Goes on with an assigned partition at `offset`, because what comes before was deleted
    /// ([`SourceError::Lost`]).
    ///
    /// # Errors
    /// [`SourceError::Fatal`] where the client can't.
    fn skip_to(&mut self, partition: i32, offset: i64) -> Result<(), SourceError> {
        Err(SourceError::Fatal(format!("this source can't go on with partition {partition} at {offset}")))
    }

    /// The headers of record `i` of a block that this reader gave. Asked of few records.
    fn headers(&self, _block: &RecordBlock, _i: usize) -> Vec<Header> {
        Vec::new()
    }

    /// Takes at most about `max_records` records, waiting at most `max_wait` for the first.
    ///
    /// Not calling it is back-pressure: the client's bounded queue fills and it stops fetching.
    ///
    /// # Errors
    /// [`SourceError::Lost`] and [`SourceError::Fatal`] end the pipeline; the rest is retried
    /// inside and reported as [`ReaderEvent::Trouble`].
    fn poll(
        &mut self,
        max_records: usize,
        max_wait: Duration,
        events: &mut Vec<ReaderEvent>,
    ) -> Result<(), SourceError>;
}

/// Bounds of event time, of a source file's `watermark` key. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkOptions {
    pub delay_ms: i64,
    pub idle_timeout_ms: i64,
    pub max_ahead_ms: i64,
    pub max_drift_ms: i64,
}

/// One source file: a topic, or what else has partitions with offsets, as a table. Shared by the subtasks of a pipeline.
pub trait Source: Send + Sync {
    /// The source file's name: the table's name in SQL.
    fn name(&self) -> &str;
    fn topic(&self) -> &str;
    /// The reader schema's columns, then the metadata columns.
    fn schema(&self) -> SchemaRef;
    /// Position in [`Self::schema`] of the event time: a timestamp column.
    fn event_time(&self) -> usize;
    fn watermark(&self) -> WatermarkOptions;
    /// `start` of the source file.
    fn start(&self) -> Start;
    /// Text that, with the SQL, decides what state means: topic, event time and reader schema.
    fn identity(&self) -> String;

    /// Told once, before anything is read: the names of the partitions that were committed, by [`Self::partition_name`].
    fn recall(&self, _names: &[(i32, &str)]) {}

    /// What a partition is known by at the next start, where numbers are given by the source itself; what stands before
    /// its last `#` is for people. `None`: the number says it all.
    fn partition_name(&self, _partition: i32) -> Option<String> {
        None
    }

    /// Where the records of a partition are, for a person: the `topic` of its dead letters.
    fn place(&self, _partition: i32) -> String {
        self.topic().to_owned()
    }

    /// Asks the broker for the partitions of the topic. Blocks for some seconds at most.
    ///
    /// # Errors
    /// [`SourceError::Retry`] where the broker or the topic is not there (yet).
    fn discover(&self) -> Result<Topology, SourceError>;

    /// A reader without partitions.
    ///
    /// # Errors
    /// [`SourceError::Fatal`] where the client refuses its configuration.
    fn reader(&self) -> Result<Box<dyn Reader>, SourceError>;

    /// A decoder to the columns at `columns`, positions in [`Self::schema`].
    ///
    /// # Errors
    /// [`SourceError::Fatal`] where the columns can't be decoded.
    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError>;
}

/// What is wrong with a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Try again later: the broker, the registry or the topic is not there.
    #[error("{0}")]
    Retry(String),
    /// Records that had not been read were deleted. Give up, or start with `--skip-lost`.
    #[error(
        "records {next_offset} to {} of partition {partition} were deleted before they were read: start with \
         --skip-lost to go on without them, or start this pipeline over with \"weir reset\"", .begin_offset - 1
    )]
    Lost { partition: i32, next_offset: i64, begin_offset: i64 },
    /// Give up: it will never work as configured.
    #[error("{0}")]
    Fatal(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_at_its_index() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), i, "{}", reason.as_str());
        }
    }
}
