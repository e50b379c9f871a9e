//! The changes of one committed epoch as JSON rows, made once and shared by all clients.
//!
//! Invariants:
//! 1. Rows are encoded when the first client needs them, and then never again; an epoch that nobody
//!    needs costs no encoding.
//! 2. A key is in an epoch at most once, so the order of its rows does not matter.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::ROWS_MAX;
use crate::encode::Rows;

/// Where a row's time is: `window_end`, or `window_start` and the window's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeColumn {
    pub(super) column: usize,
    pub(super) add_ms: i64,
}

impl TimeColumn {
    /// The times of a batch's rows, in milliseconds since 1970; null is older than everything.
    pub(super) fn of(self, batch: &RecordBatch) -> Vec<i64> {
        let column = batch.column(self.column);
        let millis = match column.data_type() {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.clone())
            }
            other => other.clone(),
        };
        let cast = arrow::compute::cast(column, &millis)
            .and_then(|millis| arrow::compute::cast(&millis, &DataType::Int64));
        match cast {
            Ok(times) => {
                let times = times.as_primitive::<Int64Type>();
                times
                    .iter()
                    .map(|time| time.map_or(i64::MIN, |time| time.saturating_add(self.add_ms)))
                    .collect()
            }
            Err(_) => vec![i64::MAX; batch.num_rows()],
        }
    }
}

/// One committed epoch of a table.
pub(super) struct EpochRows {
    pub(super) epoch: u64,
    pub(super) watermark_ms: Option<i64>,
    /// Positions of the key in a row; empty: rows are appended.
    key: Arc<Vec<usize>>,
    n_rows: usize,

    content: Mutex<Content>,
    bytes: std::sync::atomic::AtomicUsize,
}

enum Content {
    Batches { upserts: Vec<RecordBatch>, deletes: Vec<RecordBatch> },
    Rows(Arc<EncodedRows>),
}

/// Rows as text.
pub(super) struct EncodedRows {
    /// All rows and keys, one behind the other.
    text: Vec<u8>,
    rows: Vec<Row>,
    /// The time of the oldest row; `i64::MAX` without rows or time column.
    pub(super) time_ms_min: i64,
    /// The delta of this epoch alone, without rows left out by age.
    pub(super) delta: OnceLock<Bytes>,
}

/// Places in the text.
#[derive(Debug, Clone, Copy)]
struct Row {
    row: (usize, usize),
    key: (usize, usize),
    time_ms: i64,
    is_delete: bool,
}

/// A row as a client sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowRef<'a> {
    /// The JSON array of the row; of a delete, that of its key.
    pub(super) row: &'a [u8],
    /// The JSON array of the key; empty for a table without one.
    pub(super) key: &'a [u8],
    pub(super) time_ms: i64,
    pub(super) is_delete: bool,
}

impl EpochRows {
    pub(super) fn new(
        epoch: u64,
        watermark_ms: Option<i64>,
        key: Arc<Vec<usize>>,
        upserts: Vec<RecordBatch>,
        deletes: Vec<RecordBatch>,
    ) -> Self {
        let batches = || upserts.iter().chain(&deletes);
        let n_rows = batches().map(RecordBatch::num_rows).sum();
        let bytes: usize = batches().map(RecordBatch::get_array_memory_size).sum();
        Self {
            epoch,
            watermark_ms,
            key,
            n_rows,
            content: Mutex::new(Content::Batches { upserts, deletes }),
            bytes: (bytes + size_of::<Self>()).into(),
        }
    }

    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether its rows do not fit into one event.
    pub(super) fn is_too_large(&self) -> bool {
        ROWS_MAX < self.n_rows
    }

    /// Its rows, if they were encoded before.
    pub(super) fn encoded(&self) -> Option<Arc<EncodedRows>> {
        match &*self.content.lock().unwrap_or_else(PoisonError::into_inner) {
            Content::Rows(rows) => Some(rows.clone()),
            Content::Batches { .. } => None,
        }
    }

    /// Its rows. The first call encodes them; others wait for it.
    pub(super) fn encode(&self, time: Option<TimeColumn>) -> Arc<EncodedRows> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = match &*content {
            Content::Rows(rows) => return rows.clone(),
            Content::Batches { upserts, deletes } => {
                Arc::new(EncodedRows::of(&self.key, time, upserts, deletes))
            }
        };
        let bytes = rows.text.len() + rows.rows.len() * size_of::<Row>() + size_of::<Self>();
        // The delta's text may be made too.
        self.bytes.store(2 * bytes, std::sync::atomic::Ordering::Relaxed);
        *content = Content::Rows(rows.clone());
        rows
    }
}

impl EncodedRows {
    fn of(key: &[usize], time: Option<TimeColumn>, upserts: &[RecordBatch], deletes: &[RecordBatch]) -> Self {
        let mut text = Vec::new();
        let mut rows = Vec::new();
        let mut time_ms_min = i64::MAX;
        for batch in upserts {
            let writer = Rows::new(batch);
            let times = time.map(|time| time.of(batch));
            for i in 0..batch.num_rows() {
                let start = text.len();
                writer.array(i, &mut text);
                let row = (start, text.len());
                if !key.is_empty() {
                    writer.array_of(i, key, &mut text);
                }
                let time_ms = times.as_ref().map_or(i64::MAX, |times| times[i]);
                time_ms_min = time_ms_min.min(time_ms);
                rows.push(Row { row, key: (row.1, text.len()), time_ms, is_delete: false });
            }
        }
        for batch in deletes {
            let writer = Rows::new(batch);
            for i in 0..batch.num_rows() {
                let start = text.len();
                writer.array(i, &mut text);
                let key = (start, text.len());
                rows.push(Row { row: key, key, time_ms: i64::MAX, is_delete: true });
            }
        }
        Self { text, rows, time_ms_min, delta: OnceLock::new() }
    }

    /// The rows in the order of the epoch.
    pub(super) fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        self.rows.iter().map(|row| RowRef {
            row: &self.text[row.row.0..row.row.1],
            key: &self.text[row.key.0..row.key.1],
            time_ms: row.time_ms,
            is_delete: row.is_delete,
        })
    }
}
