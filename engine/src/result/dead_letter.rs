//! Dead letters: records that could not be processed, with the reason and their origin.
//!
//! Invariant: of a record there is at most one dead letter, whose [`LetterId`] changes whenever it is run again and
//! becomes one anew. So an id that is still there names a letter that nobody has run again since.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Int32Array, Int64Array, MapBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use arrow::error::ArrowError;

use super::block::Meta;
use super::range::Range;
use crate::connector::{Header, Reason};
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
    /// In the record's order.
    pub headers: Vec<Header>,
    /// Which operator could not process it; `None`: kept by a version that did not say so.
    pub operator: Option<String>,
    /// How often it was run again, and became one anew.
    pub replays: u32,
    /// Of a late row: when the first of the windows that it missed starts, and when the last one ends, in milliseconds
    /// since 1970.
    pub missed_ms: Option<(i64, i64)>,
}

/// Why a record became a dead letter.
#[derive(Debug)]
pub(crate) struct Why {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    pub(crate) missed_ms: Option<(i64, i64)>,
}

impl Why {
    pub(crate) fn new(reason: Reason, detail: String) -> Self {
        Self { reason, detail, missed_ms: None }
    }
}

/// Which dead letter of a pipeline: whose record, and the epoch in which it became one, or did so anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    pub epoch: Epoch,
    pub partition: i32,
    pub offset: i64,
}

impl DeadLetter {
    /// The same record, run again and of no use again.
    pub(crate) fn again(&self, why: Why, operator: &str) -> Self {
        let Why { reason, detail, missed_ms } = why;
        let operator = Some(operator.to_owned());
        let replays = self.replays.saturating_add(1);
        Self { reason, detail, missed_ms, operator, replays, ..self.clone() }
    }

    /// Its bytes in memory, about.
    pub(crate) fn n_bytes(&self) -> usize {
        let header = |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len) + 64;
        let headers: usize = self.headers.iter().map(header).sum();
        let parts = [&self.key, &self.payload].into_iter().flatten();
        parts.map(Vec::len).sum::<usize>() + headers + self.detail.len() + 128
    }
}

/// Position of column `epoch`.
pub(super) const EPOCH: usize = 10;

/// The columns of `weir.dead_letters`, without `pipeline`. Those that are added come last.
#[must_use]
pub fn dead_letter_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let header =
            vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Binary, true)];
        let header = Field::new("entries", DataType::Struct(header.into()), false);
        let columns = [
            ("source", DataType::Utf8, false),
            ("topic", DataType::Utf8, false),
            ("partition", DataType::Int32, true),
            ("offset", DataType::Int64, true),
            ("record_time", time.clone(), true),
            ("schema_id", DataType::Int64, true),
            ("reason", DataType::Utf8, false),
            ("detail", DataType::Utf8, false),
            ("key", DataType::Binary, true),
            ("payload", DataType::Binary, true),
            ("epoch", DataType::Int64, false),
            ("headers", DataType::Map(Arc::new(header), false), true),
            ("operator", DataType::Utf8, true),
            ("replays", DataType::Int64, false),
            ("window_start", time.clone(), true),
            ("window_end", time, true),
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
                n_bytes += letter.n_bytes();
                n_bytes <= BATCH_BYTES_MAX
            })
            .count();
        let (now, later) = rest.split_at(n_fitting.max(1));
        batches.push(batch(now, epoch).map_err(Error::arrow("make rows of dead letters"))?);
        rest = later;
    }
    Ok(batches)
}

fn batch(letters: &[DeadLetter], epoch: Epoch) -> Result<RecordBatch, ArrowError> {
    fn texts<'a>(letters: &'a [DeadLetter], text: fn(&'a DeadLetter) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(letters.iter().map(text)))
    }
    fn times(letters: &[DeadLetter], time: fn(&DeadLetter) -> Option<i64>) -> ArrayRef {
        Arc::new(letters.iter().map(time).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    }
    let epoch = i64::try_from(epoch.0).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        texts(letters, |letter| &letter.source),
        texts(letters, |letter| &letter.topic),
        Arc::new(letters.iter().map(|letter| letter.partition).collect::<Int32Array>()),
        Arc::new(letters.iter().map(|letter| letter.offset).collect::<Int64Array>()),
        times(letters, |letter| letter.record_time_ms),
        Arc::new(letters.iter().map(|l| l.schema_id.map(i64::from)).collect::<Int64Array>()),
        texts(letters, |letter| letter.reason.as_str()),
        texts(letters, |letter| &letter.detail),
        Arc::new(letters.iter().map(|letter| letter.key.as_deref()).collect::<BinaryArray>()),
        Arc::new(letters.iter().map(|letter| letter.payload.as_deref()).collect::<BinaryArray>()),
        Arc::new(Int64Array::from_value(epoch, letters.len())),
        headers(letters)?,
        Arc::new(letters.iter().map(|letter| letter.operator.as_deref()).collect::<StringArray>()),
        Arc::new(letters.iter().map(|letter| Some(i64::from(letter.replays))).collect::<Int64Array>()),
        times(letters, |letter| letter.missed_ms.map(|(start_ms, _)| start_ms)),
        times(letters, |letter| letter.missed_ms.map(|(_, end_ms)| end_ms)),
    ];
    RecordBatch::try_new(dead_letter_schema(), columns)
}

/// Null where a record has none.
fn headers(letters: &[DeadLetter]) -> Result<ArrayRef, ArrowError> {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), BinaryBuilder::new());
    for letter in letters {
        for (name, value) in &letter.headers {
            maps.keys().append_value(name);
            maps.values().append_option(value.as_deref());
        }
        maps.append(!letter.headers.is_empty())?;
    }
    Ok(Arc::new(maps.finish()))
}

/// Whether any of `ids`, ascending, may be in a block whose ranges are of these columns.
pub(super) fn may_have(ids: &[LetterId], range_columns: &[usize], block: &Meta) -> bool {
    let nth = range_columns.iter().position(|column| *column == EPOCH);
    let epochs = nth.and_then(|nth| block.ranges.get(nth)?.as_ref());
    let Some(Range::Int(first, last)) = epochs else { return !ids.is_empty() };
    let epoch = |id: &LetterId| i64::try_from(id.epoch.0).unwrap_or(i64::MAX);
    let from = ids.partition_point(|id| epoch(id) < *first);
    ids.get(from).is_some_and(|id| epoch(id) <= *last)
}

/// Which of the rows of `partition`, `offset` and `epoch` are none of `ids`, which are ascending.
pub(super) fn none_of(ids: &[LetterId], columns: &[ArrayRef]) -> BooleanArray {
    let rows = 0..columns.first().map_or(0, |column| column.len());
    let is_none = |row| id(columns, row).is_none_or(|id| ids.binary_search(&id).is_err());
    rows.map(|row| Some(is_none(row))).collect()
}

/// Of the columns `partition`, `offset`, `epoch`; `None`: a group's row.
fn id(columns: &[ArrayRef], row: usize) -> Option<LetterId> {
    let [partition, offset, epoch] = columns else { return None };
    (partition.is_valid(row) && offset.is_valid(row)).then(|| LetterId {
        epoch: Epoch(epoch.as_primitive::<Int64Type>().value(row).unsigned_abs()),
        partition: partition.as_primitive::<Int32Type>().value(row),
        offset: offset.as_primitive::<Int64Type>().value(row),
    })
}

/// The columns that [`none_of`] reads.
pub(super) const ID_COLUMNS: [usize; 3] = [2, 3, EPOCH];

/// The letter of a row under [`dead_letter_schema`], with its id; `None`: it is none of `ids`, which are ascending.
pub(super) fn read(rows: &RecordBatch, row: usize, ids: &[LetterId]) -> Option<(LetterId, DeadLetter)> {
    let column = |at: usize| Some(rows.column(at)).filter(|column| column.is_valid(row));
    let text = |at| Some(column(at)?.as_string::<i32>().value(row).to_owned());
    let bytes = |at| Some(column(at)?.as_binary::<i32>().value(row).to_vec());
    let number = |at| Some(column(at)?.as_primitive::<Int64Type>().value(row));
    let time = |at| Some(column(at)?.as_primitive::<TimestampMillisecondType>().value(row));
    let id = id(&ID_COLUMNS.map(|at| Arc::clone(rows.column(at))), row)?;
    ids.binary_search(&id).ok()?;
    let headers = column(11).map(|maps| {
        let entries = maps.as_map().value(row);
        let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
        let header = |(name, value): (Option<&str>, Option<&[u8]>)| {
            (name.unwrap_or_default().to_owned(), value.map(<[u8]>::to_vec))
        };
        names.iter().zip(values).map(header).collect()
    });
    let letter = DeadLetter {
        source: text(0)?,
        topic: text(1)?,
        partition: Some(id.partition),
        offset: Some(id.offset),
        record_time_ms: time(4),
        schema_id: number(5).and_then(|id| u32::try_from(id).ok()),
        reason: Reason::of(&text(6)?)?,
        detail: text(7)?,
        key: bytes(8),
        payload: bytes(9),
        headers: headers.unwrap_or_default(),
        operator: text(12),
        replays: number(13).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        missed_ms: time(14).zip(time(15)),
    };
    Some((id, letter))
}
