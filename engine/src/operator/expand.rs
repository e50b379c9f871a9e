//! A row for each window: where nothing is aggregated, or an expression on rows uses a window column.
//!
//! Invariant: what is made at a time is bounded by `ROWS_MAX` or by one row's windows, whatever the
//! batch.

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::error::ArrowError;

use crate::time::window::Windows;

/// Rows made at a time, where a row has fewer windows than that.
const ROWS_MAX: i64 = 65_536;

/// Rows in front of the stateless steps.
#[derive(Debug, Clone)]
pub struct SourceRows {
    /// The scan columns.
    pub batch: RecordBatch,
    /// Start of each row's pane; event times where there is no window.
    pub panes: Int64Array,
    /// The first window that counts a row, null: all of its windows do. `None`: null for all rows.
    pub sides: Option<Int64Array>,
    /// Event times.
    pub times_ms: Int64Array,
    /// Indices of the records in their block.
    pub records: UInt32Array,
}

impl SourceRows {
    /// The same rows once for each window that counts them, windows of a row ascending: `panes` are
    /// starts of windows then, and there are no `sides`. Hands them over piece by piece.
    ///
    /// # Errors
    /// What `each` returns; where Arrow has no `take` for a column's type.
    pub fn expand<E: From<ArrowError>>(
        &self,
        windows: &Windows,
        mut each: impl FnMut(SourceRows) -> Result<(), E>,
    ) -> Result<(), E> {
        let n_rows = self.panes.len();
        let piece = usize::try_from((ROWS_MAX / windows.n_per_row()).max(1)).unwrap_or(1);
        for from in (0..n_rows).step_by(piece) {
            let (mut rows, mut starts) = (Vec::new(), Vec::new());
            for row in from..n_rows.min(from + piece) {
                let last = self.panes.value(row);
                let side = self.sides.as_ref().filter(|sides| sides.is_valid(row));
                let mut start = side.map_or_else(|| windows.first(last), |sides| sides.value(row));
                while start <= last {
                    rows.push(u32::try_from(row).expect("a block has fewer than 2^32 records"));
                    starts.push(start);
                    // No window after the end of time.
                    let Some(next) = start.checked_add(windows.slide_ms) else { break };
                    start = next;
                }
            }
            each(self.take(&UInt32Array::from(rows), starts)?)?;
        }
        Ok(())
    }

    fn take(&self, rows: &UInt32Array, starts: Vec<i64>) -> Result<SourceRows, ArrowError> {
        let pick = |array: &dyn Array| -> Result<ArrayRef, ArrowError> { take(array, rows, None) };
        Ok(SourceRows {
            batch: take_record_batch(&self.batch, rows)?,
            panes: Int64Array::from(starts),
            sides: None,
            times_ms: Int64Array::from(pick(&self.times_ms)?.to_data()),
            records: UInt32Array::from(pick(&self.records)?.to_data()),
        })
    }
}
