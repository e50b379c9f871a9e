//! Dead letters: records that could not be processed, with the reason and their origin.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::connector::Reason;
use crate::state::Error;
use crate::time::Epoch;

/// One record that could not be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub source: String,
    pub topic: String,
    /// `None`: not one record but a group's row, whose key columns are in `payload` as JSON.
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    /// The record's Kafka timestamp, in milliseconds since 1970.
    pub record_time_ms: Option<i64>,
    pub schema_id: Option<u32>,
    pub reason: Reason,
    /// For a person: what was expected, what was found.
    pub detail: String,
    pub key: Option<Vec<u8>>,
    /// The whole record value.
    pub payload: Option<Vec<u8>>,
}

/// The columns of `weir.dead_letters`, without `pipeline`.
#[must_use]
pub fn dead_letter_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let columns = [
            ("source", DataType::Utf8, false),
            ("topic", DataType::Utf8, false),
            ("partition", DataType::Int32, true),
            ("offset", DataType::Int64, true),
            ("record_time", time, true),
            ("schema_id", DataType::Int64, true),
            ("reason", DataType::Utf8, false),
            ("detail", DataType::Utf8, false),
            ("key", DataType::Binary, true),
            ("payload", DataType::Binary, true),
            ("epoch", DataType::Int64, false),
        ];
        let field = |(name, data_type, nullable)| Field::new(name, data_type, nullable);
        Arc::new(Schema::new(columns.map(field).to_vec()))
    });
    Arc::clone(&SCHEMA)
}

/// Keys and payloads of one batch stay under this, far below what its offsets can address.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// The dead letters of an epoch as rows, in few batches.
pub(super) fn batches(letters: &[DeadLetter], epoch: Epoch) -> Result<Vec<RecordBatch>, Error> {
    let mut batches = Vec::new();
    let mut rest = letters;
    while !rest.is_empty() {
        let mut n_bytes = 0;
        let n_fitting = rest
            .iter()
            .take_while(|letter| {
                let parts = [letter.key.as_deref(), letter.payload.as_deref()];
                n_bytes += parts.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
                n_bytes <= BATCH_BYTES_MAX
            })
            .count();
        let (now, later) = rest.split_at(n_fitting.max(1));
        batches.push(batch(now, epoch)?);
        rest = later;
    }
    Ok(batches)
}

fn batch(letters: &[DeadLetter], epoch: Epoch) -> Result<RecordBatch, Error> {
    fn texts<'a>(letters: &'a [DeadLetter], text: fn(&'a DeadLetter) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(letters.iter().map(text)))
    }
    let record_times: TimestampMillisecondArray = letters.iter().map(|l| l.record_time_ms).collect();
    let epoch = i64::try_from(epoch.0).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        texts(letters, |letter| &letter.source),
        texts(letters, |letter| &letter.topic),
        Arc::new(letters.iter().map(|letter| letter.partition).collect::<Int32Array>()),
        Arc::new(letters.iter().map(|letter| letter.offset).collect::<Int64Array>()),
        Arc::new(record_times.with_timezone("UTC")),
        Arc::new(letters.iter().map(|l| l.schema_id.map(i64::from)).collect::<Int64Array>()),
        texts(letters, |letter| letter.reason.as_str()),
        texts(letters, |letter| &letter.detail),
        Arc::new(letters.iter().map(|letter| letter.key.as_deref()).collect::<BinaryArray>()),
        Arc::new(letters.iter().map(|letter| letter.payload.as_deref()).collect::<BinaryArray>()),
        Arc::new(Int64Array::from_value(epoch, letters.len())),
    ];
    RecordBatch::try_new(dead_letter_schema(), columns).map_err(Error::arrow("make rows of dead letters"))
}
