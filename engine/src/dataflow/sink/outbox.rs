//! The committer's side: an epoch's rows for each sink, cut into parts, into the epoch's transaction.
//!
//! Invariant: a part has at most about `ROWS_MAX` rows and `BYTES_MAX` bytes, whatever the size of the
//! epoch, so that a delivery can be as small as a sink wants it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

use super::status::Status;
use crate::connector::{Change, Emit, Sink};
use crate::result::{Applied, Changes, TimedRows};
use crate::state::{Error, Size, Transaction, raw_bytes};
use crate::time::Epoch;

/// Rows and bytes in memory of a part. More makes one transaction of a sink large, less makes many.
const ROWS_MAX: usize = 50_000;
const BYTES_MAX: usize = 8 << 20;

/// The outboxes of a pipeline's sinks.
#[derive(Default)]
pub struct Outboxes(pub Vec<Outbox>);

/// The outbox of one sink.
pub struct Outbox {
    pub sink: Arc<dyn Sink>,
    pub status: Arc<Status>,
    /// Columns of the SELECT: the result table's without `_final`.
    pub n_columns: usize,
}

impl Outboxes {
    /// Puts the epoch's rows into its transaction. `applied` is what came of the changes, `gone` are the keys whose
    /// row vanished. Returns what [`Self::committed`] wants to know.
    ///
    /// # Errors
    /// [`Error::Arrow`] where rows can't be written.
    pub(crate) fn put(
        &self,
        tx: &mut Transaction,
        changes: &Changes,
        applied: &Applied,
        gone: &[RecordBatch],
    ) -> Result<Vec<Size>, Error> {
        self.0.iter().map(|outbox| outbox.put(tx, changes, applied, gone)).collect()
    }

    /// The epoch is durable.
    pub(crate) fn committed(&self, epoch: Epoch, added: &[Size]) {
        for (outbox, added) in self.0.iter().zip(added) {
            if outbox.sink.only_counts() {
                outbox.status.counted(epoch, added.rows);
            } else {
                outbox.status.committed(epoch, *added);
            }
        }
    }
}

impl Outbox {
    fn put(
        &self,
        tx: &mut Transaction,
        changes: &Changes,
        applied: &Applied,
        gone: &[RecordBatch],
    ) -> Result<Size, Error> {
        let gone = if self.sink.emit() == Emit::Updates { gone } else { &[] };
        let upserts = self.upserts(changes, applied).map_err(arrow_error())?;
        if self.sink.only_counts() {
            let rows = upserts.iter().chain(gone);
            return Ok(Size { rows: rows.map(|rows| rows.num_rows() as u64).sum(), bytes: 0 });
        }
        let upserts = parts(&upserts).map_err(arrow_error())?;
        let deletes = parts(gone).map_err(arrow_error())?;
        let all: Vec<Change> = upserts
            .into_iter()
            .map(Change::Upserts)
            .chain(deletes.into_iter().map(Change::Deletes))
            .collect();
        let mut size = Size::default();
        for (part, change) in (0u32..).zip(&all) {
            let last_part = part as usize + 1 == all.len();
            size += tx.put_outbox(self.sink.name(), part, last_part, change)?;
        }
        Ok(size)
    }

    /// What the sink wants of the epoch. A key is in one of finals and provisionals, and once: their order does not
    /// matter.
    fn upserts(&self, changes: &Changes, applied: &Applied) -> Result<Vec<RecordBatch>, ArrowError> {
        let columns: Vec<usize> = (0..self.n_columns).collect();
        let rows = |timed: &[TimedRows]| timed.iter().map(|timed| timed.rows.clone()).collect::<Vec<_>>();
        match self.sink.emit() {
            Emit::Final => changes.finals.iter().map(|timed| timed.rows.project(&columns)).collect(),
            Emit::Updates => Ok([rows(&changes.finals), rows(&changes.provisionals)].concat()),
            Emit::DeadLetters => Ok(applied.dead_letters.clone()),
        }
    }
}

fn arrow_error() -> impl FnOnce(ArrowError) -> Error {
    Error::arrow("cut rows for a sink")
}

/// The same rows in the same order, in batches that are neither larger than a part nor many.
fn parts(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let (mut parts, mut gathered) = (Vec::new(), Gathered::default());
    for batch in batches {
        let (n_rows, n_bytes) = (batch.num_rows(), raw_bytes(batch));
        let n_pieces = n_rows.div_ceil(ROWS_MAX).max(n_bytes.div_ceil(BYTES_MAX)).clamp(1, n_rows.max(1));
        let step = n_rows.div_ceil(n_pieces);
        for at in (0..n_rows).step_by(step.max(1)) {
            let piece = batch.slice(at, step.min(n_rows - at));
            gathered.add(piece, n_bytes / n_pieces, &mut parts)?;
        }
    }
    gathered.finish(&mut parts)?;
    Ok(parts)
}

/// Batches that will be one part.
#[derive(Default)]
struct Gathered {
    batches: Vec<RecordBatch>,
    n_rows: usize,
    n_bytes: usize,
}

impl Gathered {
    fn add(
        &mut self,
        batch: RecordBatch,
        n_bytes: usize,
        parts: &mut Vec<RecordBatch>,
    ) -> Result<(), ArrowError> {
        if ROWS_MAX < self.n_rows + batch.num_rows() || BYTES_MAX < self.n_bytes + n_bytes {
            self.finish(parts)?;
        }
        self.n_rows += batch.num_rows();
        self.n_bytes += n_bytes;
        self.batches.push(batch);
        Ok(())
    }

    fn finish(&mut self, parts: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        (self.n_rows, self.n_bytes) = (0, 0);
        let batches = std::mem::take(&mut self.batches);
        match &batches[..] {
            [] => {}
            [only] => parts.push(only.clone()),
            [first, ..] => parts.push(concat_batches(first.schema_ref(), &batches)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    fn batch(from: i64, n_rows: i64, width: usize) -> RecordBatch {
        let text = "x".repeat(width);
        let ids = Arc::new(Int64Array::from_iter_values(from..from + n_rows)) as ArrayRef;
        let texts = StringArray::from_iter_values((0..n_rows).map(|_| &text));
        RecordBatch::try_from_iter([("id", ids), ("text", Arc::new(texts) as ArrayRef)]).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn parts_hold_all_rows_in_order_and_are_bounded(
            sizes in prop::collection::vec((0i64..120_000, prop::sample::select(vec![0usize, 10, 400])), 0..6)
        ) {
            let mut next = 0;
            let batches: Vec<RecordBatch> = sizes
                .iter()
                .map(|(n_rows, width)| {
                    next += n_rows;
                    batch(next - n_rows, *n_rows, *width)
                })
                .collect();
            let parts = parts(&batches).unwrap();
            let ids = parts.iter().flat_map(|part| part.column(0).as_primitive::<Int64Type>().values().to_vec());
            prop_assert!(ids.eq(0..next));
            for part in &parts {
                prop_assert!(0 < part.num_rows() && part.num_rows() <= ROWS_MAX);
                prop_assert!(raw_bytes(part) <= BYTES_MAX + BYTES_MAX / 8, "{} bytes", raw_bytes(part));
            }
            let n_least = (next as usize).div_ceil(ROWS_MAX).max(batches.iter().map(raw_bytes).sum::<usize>() / BYTES_MAX);
            prop_assert!(parts.len() <= 3 * n_least + 1, "{} parts", parts.len());
        }
    }
}
