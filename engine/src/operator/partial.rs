//! Partial aggregation on the source subtask: rows become states before they are exchanged.
//!
//! It pays only while it makes few groups of many rows. Where flushed groups are more than a quarter
//! of the rows, rows go through as they are for a while, and then it tries again. Where a call keeps all
//! rows, it never pays.
//!
//! Invariant: held groups are bounded by `GROUPS_MAX`, large ones by `BYTES_MAX`, and nothing is held across
//! a barrier.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::{self, take};

use crate::aggregate::{Groups, Layout};
use crate::operator::{Batch, Error, PaneRows};
use crate::time::window::PaneId;

/// Groups held before they are flushed early. Larger: more cache misses; smaller: less saved.
const GROUPS_MAX: usize = 16_384;
/// Rows that go through untouched after partial aggregation was found not to pay.
const BYPASS_ROWS: usize = 1 << 20;
/// Rows after which a flush says whether it pays.
const PROBE_ROWS: usize = 4_096;
/// Held bytes after which they are flushed early, where states may be large.
const BYTES_MAX: usize = 16 << 20;
/// Cleared panes kept for reuse.
const SPARE_MAX: usize = 8;

/// Partial aggregates of the current epoch, by pane.
pub struct Partial {
    layout: Arc<Layout>,
    panes: BTreeMap<PaneId, Groups>,
    spare: Vec<Groups>,
    n_groups: usize,
    /// Rows aggregated since the last flush.
    n_rows: usize,
    bypass_rows: usize,
}

impl Partial {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(layout: &Arc<Layout>) -> Self {
        Self {
            layout: Arc::clone(layout),
            panes: BTreeMap::new(),
            spare: Vec::new(),
            n_groups: 0,
            n_rows: 0,
            bypass_rows: 0,
        }
    }

    /// Takes rows; appends to `out` what is ready for the exchange.
    ///
    /// # Errors
    /// As the accumulators'.
    pub fn add(&mut self, rows: PaneRows, out: &mut Vec<Batch>) -> Result<(), Error> {
        if self.layout.keeps_rows() {
            out.push(Batch::Rows(rows));
            return Ok(());
        }
        if 0 < self.bypass_rows {
            self.bypass_rows = self.bypass_rows.saturating_sub(rows.n_rows);
            out.push(Batch::Rows(rows));
            return Ok(());
        }
        let groups = self
            .panes
            .entry(rows.pane)
            .or_insert_with(|| self.spare.pop().unwrap_or_else(|| Groups::new(&self.layout)));
        let n_before = groups.len();
        groups.update(rows.n_rows, &rows.keys, &rows.args, &rows.filters)?;
        self.n_groups += groups.len() - n_before;
        self.n_rows += rows.n_rows;
        if GROUPS_MAX < self.n_groups || (PROBE_ROWS <= self.n_rows && self.is_waste()) || self.is_large() {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Hands over all that is held: at a barrier, or when there are too many groups.
    ///
    /// # Errors
    /// As the accumulators'.
    pub fn flush(&mut self, out: &mut Vec<Batch>) -> Result<(), Error> {
        if self.is_waste() && PROBE_ROWS <= self.n_rows {
            self.bypass_rows = BYPASS_ROWS;
        }
        while let Some((pane, mut groups)) = self.panes.pop_first() {
            if !groups.is_empty() {
                let all = groups.all();
                for run in groups.runs(&all, all.len()) {
                    out.push(Batch::States { pane, states: groups.state(run)? });
                }
            }
            if self.spare.len() < SPARE_MAX {
                groups.clear();
                self.spare.push(groups);
            }
        }
        (self.n_groups, self.n_rows) = (0, 0);
        Ok(())
    }

    fn is_large(&self) -> bool {
        let bytes = || self.panes.values().map(Groups::memory_bytes).sum::<usize>();
        self.layout.has_large_groups() && BYTES_MAX < bytes()
    }

    fn is_waste(&self) -> bool {
        self.n_rows < self.n_groups * 4
    }
}

/// Splits rows by pane, each pane's rows in their order. `panes[i]` is the start of the pane of row
/// `i`; where `sides` is there, `sides[i]` is the first window that reads it, or null: all do.
///
/// # Errors
/// Where Arrow has no `take` for a column's type.
pub fn split_by_pane(
    panes: &Int64Array,
    sides: Option<&Int64Array>,
    keys: Vec<ArrayRef>,
    args: Vec<Vec<ArrayRef>>,
    filters: Vec<Option<BooleanArray>>,
) -> Result<Vec<PaneRows>, Error> {
    let (Some(first), Some(last)) = (compute::min(panes), compute::max(panes)) else { return Ok(Vec::new()) };
    let pane_of = |row: usize| {
        let side_ms = sides.and_then(|sides| sides.is_valid(row).then(|| sides.value(row)));
        PaneId { start_ms: panes.value(row), side_ms }
    };
    let whole = PaneRows { pane: PaneId::whole(first), n_rows: panes.len(), keys, args, filters };
    if first == last && sides.is_none() {
        return Ok(vec![whole]);
    }
    // Neighbours mostly share their pane: where no pane comes twice, its rows need not be copied.
    let mut rows_of: BTreeMap<PaneId, Vec<Range<usize>>> = BTreeMap::new();
    let mut from = 0;
    while from < panes.len() {
        let pane = pane_of(from);
        let n_rows = (from..panes.len()).take_while(|row| pane_of(*row) == pane).count();
        rows_of.entry(pane).or_default().push(from..from + n_rows);
        from += n_rows;
    }
    let part = |(pane, runs): (PaneId, Vec<Range<usize>>)| match runs.as_slice() {
        [run] => Ok(slice_rows(&whole, pane, run)),
        _ => take_rows(&whole, pane, runs.into_iter().flatten().map(|row| row as u32).collect()),
    };
    rows_of.into_iter().map(part).collect()
}

fn slice_rows(whole: &PaneRows, pane: PaneId, run: &Range<usize>) -> PaneRows {
    let (from, n_rows) = (run.start, run.len());
    let slice = |arrays: &[ArrayRef]| arrays.iter().map(|array| array.slice(from, n_rows)).collect();
    PaneRows {
        pane,
        n_rows,
        keys: slice(&whole.keys),
        args: whole.args.iter().map(|args| slice(args)).collect(),
        filters: whole.filters.iter().map(|filter| filter.as_ref().map(|f| f.slice(from, n_rows))).collect(),
    }
}

/// The rows at `indices` of `whole`.
///
/// # Errors
/// Where Arrow has no `take` for a column's type.
pub fn take_rows(whole: &PaneRows, pane: PaneId, indices: Vec<u32>) -> Result<PaneRows, Error> {
    let indices = UInt32Array::from(indices);
    let pick = |arrays: &[ArrayRef]| -> Result<Vec<ArrayRef>, Error> {
        arrays.iter().map(|array| Ok(take(array, &indices, None)?)).collect()
    };
    let filters = whole.filters.iter().map(|filter| {
        let Some(filter) = filter else { return Ok(None) };
        let taken = take(filter, &indices, None)?;
        Ok(Some(BooleanArray::from(taken.to_data())))
    });
    Ok(PaneRows {
        pane,
        n_rows: indices.len(),
        keys: pick(&whole.keys)?,
        args: whole.args.iter().map(|args| pick(args)).collect::<Result<_, _>>()?,
        filters: filters.collect::<Result<_, Error>>()?,
    })
}
