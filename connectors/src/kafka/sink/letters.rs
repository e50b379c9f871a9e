//! A dead letter as a record: key and value as they were read, and as headers what is known of it.
//!
//! Invariant: whatever a record's size was, its letter is written, if need be without what does not fit: no record
//! that can't be used ends a pipeline.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use weir_engine::connector::{Header, SinkError};

use super::producer::Producer;
use crate::error::chain;
use crate::kafka::native::Topic;

/// Each header with the column of `weir.dead_letters` whose text it has. Where that is null, there is no header.
const HEADERS: [(&str, &str); 11] = [
    ("weir.source", "source"),
    ("weir.topic", "topic"),
    ("weir.partition", "partition"),
    ("weir.offset", "offset"),
    ("weir.time", "record_time"),
    ("weir.schema_id", "schema_id"),
    ("weir.reason", "reason"),
    ("weir.detail", "detail"),
    ("weir.operator", "operator"),
    ("weir.epoch", "epoch"),
    ("weir.replays", "replays"),
];
const PIPELINE: &str = "weir.pipeline";
/// Names what is not there, since the record would be larger than the client may send.
const OMITTED: &str = "weir.omitted";

/// Adds the letters of a batch to the transaction. `rows` has the columns of
/// [`dead_letter_schema`](weir_engine::result::dead_letter_schema).
pub(super) fn send(
    producer: &Producer,
    topic: &Topic,
    pipeline: &str,
    rows: &RecordBatch,
) -> Result<(), SinkError> {
    (0..rows.num_rows()).try_for_each(|row| {
        let letter = Letter::read(rows, row, pipeline);
        letter.map_err(|error| SinkError::Fatal(chain(&error)))?.send(producer, topic)
    })
}

/// A letter's record.
#[derive(Debug, PartialEq)]
struct Letter<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// Of the record that it was.
    own: Vec<Header>,
    /// What Weir says of it.
    added: Vec<Header>,
}

impl<'a> Letter<'a> {
    fn read(rows: &'a RecordBatch, row: usize, pipeline: &str) -> Result<Self, ArrowError> {
        let column = |name| rows.column_by_name(name).filter(|column| column.is_valid(row));
        let bytes = |name| Some(column(name)?.as_binary_opt::<i32>()?.value(row));
        let mut added = vec![(PIPELINE.to_owned(), Some(pipeline.as_bytes().to_vec()))];
        for (header, name) in HEADERS {
            if let Some(column) = column(name) {
                added.push((header.to_owned(), Some(array_value_to_string(column, row)?.into_bytes())));
            }
        }
        let own = column("headers").and_then(|maps| maps.as_map_opt()).map(|maps| {
            let entries = maps.value(row);
            let (names, values) =
                (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
            let header = |(name, value): (Option<&str>, Option<&[u8]>)| {
                (name.unwrap_or_default().to_owned(), value.map(<[u8]>::to_vec))
            };
            names.iter().zip(values).map(header).collect()
        });
        Ok(Self { key: bytes("key"), value: bytes("payload"), own: own.unwrap_or_default(), added })
    }

    /// Its own headers come first: of two with one name, clients that ask for the last one get Weir's.
    fn send(mut self, producer: &Producer, topic: &Topic) -> Result<(), SinkError> {
        let whole = [self.own.as_slice(), &self.added].concat();
        if producer.send_if_it_fits(|| topic.produce_with(self.key, self.value, &whole))? {
            return Ok(());
        }
        let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        self.omit(&format!("value of {} bytes", size(self.value)));
        let without_value = [self.own.as_slice(), &self.added].concat();
        if producer.send_if_it_fits(|| topic.produce_with(self.key, None, &without_value))? {
            return Ok(());
        }
        let (n_key, n_value, n_own) = (size(self.key), size(self.value), self.own.len());
        self.added.pop();
        self.omit(&format!("key of {n_key} bytes, value of {n_value} bytes, {n_own} headers"));
        if producer.send_if_it_fits(|| topic.produce_with(None, None, &self.added))? {
            return Ok(());
        }
        Err(SinkError::Fatal(
            "what is said of a dead letter makes a record that is larger than the connection's property \
             \"message.max.bytes\" allows: raise it"
                .to_owned(),
        ))
    }

    fn omit(&mut self, what: &str) {
        self.added.push((OMITTED.to_owned(), Some(what.as_bytes().to_vec())));
    }
}
