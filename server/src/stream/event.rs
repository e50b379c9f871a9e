//! The `data:` of events, from epochs and snapshots.
//!
//! Invariants:
//! 1. An event has at most [`ROWS_MAX`] rows and [`BYTES_MAX`] bytes.
//! 2. Folding deltas over a snapshot gives the table at the last delta's epoch: of several epochs
//!    the last row of each key survives.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::DataFusionError;

use super::rows::{EncodedRows, EpochRows, RowRef, TimeColumn};
use super::{BYTES_MAX, ROWS_MAX};
use crate::catalog::Committed;
use crate::encode::{Rows, columns, instant, quoted};

/// The delta of consecutive epochs, the last of which are newest. Rows at or before the last
/// watermark minus `last_ms` are left out. `None`: it would be too large.
pub(super) fn delta(
    table: &str,
    epochs: &[Arc<EpochRows>],
    time: Option<TimeColumn>,
    last_ms: Option<i64>,
) -> Option<Bytes> {
    let last = epochs.last()?;
    if epochs.iter().any(|rows| rows.is_too_large()) {
        return None;
    }
    let encoded: Vec<Arc<EncodedRows>> = epochs.iter().map(|rows| rows.encode(time)).collect();
    let after_ms = after(last.watermark_ms, last_ms);
    let [single] = encoded.as_slice() else {
        return write_delta(table, last, newest_per_key(&encoded).into_iter(), after_ms);
    };
    if !is_for_all(single, after_ms) {
        return write_delta(table, last, single.iter(), after_ms);
    }
    if let Some(shared) = single.delta.get() {
        return Some(shared.clone());
    }
    let text = write_delta(table, last, single.iter(), None)?;
    Some(single.delta.get_or_init(|| text).clone())
}

/// The delta of one epoch, as [`delta`] has it, where it was made before and no row is left out.
pub(super) fn shared_delta(epoch: &EpochRows, last_ms: Option<i64>) -> Option<Bytes> {
    let encoded = epoch.encoded()?;
    encoded.delta.get().filter(|_| is_for_all(&encoded, after(epoch.watermark_ms, last_ms))).cloned()
}

/// Whether no row is left out by its age.
fn is_for_all(rows: &EncodedRows, after_ms: Option<i64>) -> bool {
    after_ms.is_none_or(|after_ms| after_ms < rows.time_ms_min)
}

/// Rows later than this are wanted.
pub(super) fn after(watermark_ms: Option<i64>, last_ms: Option<i64>) -> Option<i64> {
    Some(watermark_ms?.saturating_sub(last_ms?))
}

/// The last row of each key, in the order in which keys first appeared.
fn newest_per_key(epochs: &[Arc<EncodedRows>]) -> Vec<RowRef<'_>> {
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut rows: Vec<RowRef<'_>> = Vec::new();
    for row in epochs.iter().flat_map(|epoch| epoch.iter()) {
        match places.get(row.key) {
            Some(&place) => rows[place] = row,
            None => {
                places.insert(row.key, rows.len());
                rows.push(row);
            }
        }
    }
    rows
}

fn write_delta<'a>(
    table: &str,
    epoch: &EpochRows,
    rows: impl Iterator<Item = RowRef<'a>>,
    after_ms: Option<i64>,
) -> Option<Bytes> {
    let mut out = head(table, epoch.epoch, epoch.watermark_ms);
    let mut deletes = Vec::new();
    let mut n_rows = 0;
    out.extend_from_slice(b",\"upserts\":[");
    for row in rows.filter(|row| after_ms.is_none_or(|after_ms| after_ms < row.time_ms)) {
        n_rows += 1;
        if ROWS_MAX < n_rows || BYTES_MAX < out.len() + deletes.len() + row.row.len() {
            return None;
        }
        let list = if row.is_delete { &mut deletes } else { &mut out };
        list.extend_from_slice(row.row);
        list.push(b',');
    }
    close(&mut out);
    out.extend_from_slice(b",\"deletes\":[");
    out.append(&mut deletes);
    close(&mut out);
    out.push(b'}');
    Some(out.into())
}

/// Ends a list that was written with a comma behind each item.
fn close(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

fn head(table: &str, epoch: u64, watermark_ms: Option<i64>) -> Vec<u8> {
    let mut out = b"{\"table\":".to_vec();
    out.append(&mut quoted(table));
    out.extend_from_slice(format!(",\"epoch\":{epoch},\"watermark\":").as_bytes());
    match watermark_ms {
        Some(ms) => out.append(&mut quoted(&instant(ms))),
        None => out.extend_from_slice(b"null"),
    }
    out
}

/// The snapshot of a table: its newest rows, oldest first.
///
/// # Errors
/// The state could not be read.
pub(super) fn snapshot(
    name: &str,
    table: &dyn Committed,
    time: Option<TimeColumn>,
    last_ms: Option<i64>,
) -> Result<Bytes, DataFusionError> {
    let facts = table.facts();
    let schema = table.schema();
    let (batch, more) = newest_rows(table, time, last_ms)?;
    let key: Vec<&str> = table.key().iter().map(|position| schema.field(*position).name().as_str()).collect();
    let mut out = head(name, facts.epoch.0, facts.watermark_ms);
    for (field, json) in
        [("columns", serde_json::to_vec(&columns(&schema))), ("key", serde_json::to_vec(&key))]
    {
        out.extend_from_slice(format!(",\"{field}\":").as_bytes());
        out.append(&mut json.map_err(|e| DataFusionError::External(Box::new(e)))?);
    }
    let (rows, cut) = match &batch {
        Some(batch) => newest_that_fit(batch, BYTES_MAX.saturating_sub(out.len())),
        None => (Vec::new(), false),
    };
    if more || cut {
        out.extend_from_slice(b",\"truncated\":true");
    }
    out.extend_from_slice(b",\"rows\":[");
    for row in rows.iter().rev() {
        out.extend_from_slice(row);
        out.push(b',');
    }
    close(&mut out);
    out.push(b'}');
    Ok(out.into())
}

/// The rows as text, newest first, as many as fit into `bytes`; and whether some did not.
fn newest_that_fit(batch: &RecordBatch, bytes: usize) -> (Vec<Vec<u8>>, bool) {
    let writer = Rows::new(batch);
    let mut rows = Vec::with_capacity(batch.num_rows());
    let mut used = 0;
    for row in (0..batch.num_rows()).rev() {
        let mut text = Vec::new();
        writer.array(row, &mut text);
        used += text.len() + 1;
        if bytes < used {
            return (rows, true);
        }
        rows.push(text);
    }
    (rows, false)
}

/// The newest [`ROWS_MAX`] rows, oldest first, and whether there are older ones that are wanted.
fn newest_rows(
    table: &dyn Committed,
    time: Option<TimeColumn>,
    last_ms: Option<i64>,
) -> Result<(Option<RecordBatch>, bool), DataFusionError> {
    let mut kept: Vec<RecordBatch> = Vec::new();
    let (mut n_rows, mut more) = (0, false);
    for batch in table.scan_newest_first(after(table.facts().watermark_ms, last_ms))? {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        // Provisional rows are in no order among themselves: all are looked at. Final ones come
        // from the newest back.
        if ROWS_MAX <= n_rows && is_final(&batch) {
            more = true;
            break;
        }
        n_rows += batch.num_rows();
        kept.push(batch);
        if 4 * ROWS_MAX < n_rows {
            kept = vec![newest(&kept, time)?];
            n_rows = ROWS_MAX;
            more = true;
        }
    }
    more |= ROWS_MAX < n_rows;
    let batch = if kept.is_empty() { None } else { Some(newest(&kept, time)?) };
    Ok((batch, more))
}

/// Whether a batch's first row, and so all of them, are final.
fn is_final(batch: &RecordBatch) -> bool {
    let last = batch.columns().last().and_then(|column| column.as_boolean_opt());
    last.is_none_or(|is_final| is_final.value(0))
}

/// The newest rows of `batches` in one, oldest first: by time, then by age of their batch, then in
/// their order. The first batch is the newest.
fn newest(batches: &[RecordBatch], time: Option<TimeColumn>) -> Result<RecordBatch, DataFusionError> {
    let mut places: Vec<(i64, Reverse<usize>, usize)> = Vec::new();
    for (i, batch) in batches.iter().enumerate() {
        let place = |(row, at)| (at, Reverse(i), row);
        match time {
            Some(time) => places.extend(time.of(batch).into_iter().enumerate().map(place)),
            None => places.extend((0..batch.num_rows()).map(|row| place((row, 0)))),
        }
    }
    places.sort_unstable();
    let first = places.len().saturating_sub(ROWS_MAX);
    let places: Vec<(usize, usize)> =
        places[first..].iter().map(|(_, Reverse(batch), row)| (*batch, *row)).collect();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    Ok(interleave_record_batch(&batches, &places)?)
}
