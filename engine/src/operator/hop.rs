//! The aggregation of overlapping windows of one window subtask: they share panes.
//!
//! ```text
//! rows, states ─┬─► panes: start ─► Groups ───────────────┬─ merge tree ─► window ─► final rows
//!               ├─► side panes: (first window, start) ────┘  barrier(N, W)
//!               └─► current: the window that closes next ─► changed groups ─► provisional rows
//! ```
//!
//! A side pane holds rows that are late for some of the windows that read their pane. Once all windows
//! before its first one are closed, both panes have the same readers, and it becomes part of the pane.
//!
//! Invariants:
//! 1. A window's rows become final once, at the first barrier whose watermark has passed its end plus
//!    `lateness`.
//! 2. A pane gets no row after its first window has closed; what comes later is in side panes.
//! 3. A pane goes, on disk too, in the epoch in which the last window that reads it closes.
//! 4. `current` is kept up to date with every row of its window, so that closing it merges nothing, and
//!    provisional rows cost what changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::aggregate::{Groups, Layout};
use crate::dataflow::plan::Plan;
use crate::operator::emit::{Emitter, layout_of};
use crate::operator::merge_tree::{MergeTree, Panes};
use crate::operator::pane::{Pane, SPARE_MAX, merge_into};
use crate::operator::{Barrier, Batch, Error, Operator, Output, WindowOptions, WindowState};
use crate::result::TimedRows;
use crate::time::window::{PaneId, Windows};

/// The operator of one window subtask where windows overlap.
pub struct HopOperator {
    emitter: Emitter,
    windows: Windows,
    lateness_ms: i64,
    provisional: bool,
    layout: Arc<Layout>,

    panes: Panes,
    /// By first window, then by start.
    sides: BTreeMap<(i64, i64), Pane>,
    tree: MergeTree,
    /// The first window that is open; `None` before the first watermark.
    next_ms: Option<i64>,
    /// What that window holds, if provisional rows are wanted and there is anything in it.
    current: Option<Groups>,
    spare: Vec<Groups>,
    /// Write every pane whole at the next barrier: its blocks belong to another parallelism.
    rewrite: bool,
}

impl HopOperator {
    /// An operator without rows. Windows that end at or before `closed_ms` are closed.
    ///
    /// # Errors
    /// Where a call has no accumulator.
    ///
    /// # Panics
    /// If the plan has no window or no aggregation.
    pub fn new(plan: &Arc<Plan>, options: WindowOptions, closed_ms: Option<i64>) -> Result<Self, Error> {
        let WindowOptions { lateness_ms, provisional, group_bytes_max } = options;
        let emitter = Emitter::new(plan, provisional);
        let windows = plan.window.as_ref().expect("the planner refuses an aggregation without a window");
        let windows = windows.windows();
        let layout = layout_of(&emitter.aggregate, group_bytes_max)?;
        Ok(Self {
            tree: MergeTree::new(&layout, windows.slide_ms, windows.offset_ms, windows.n_per_row()),
            emitter,
            lateness_ms,
            provisional,
            layout,
            panes: BTreeMap::new(),
            sides: BTreeMap::new(),
            next_ms: closed_ms.map(|closed_ms| windows.first_after(closed_ms)),
            current: None,
            spare: Vec::new(),
            rewrite: false,
            windows,
        })
    }

    fn pane(&mut self, id: PaneId) -> &mut Pane {
        let new = || Pane::new(self.spare.pop().unwrap_or_else(|| Groups::new(&self.layout)));
        match id.side_ms {
            None => self.panes.entry(id.start_ms).or_insert_with(new),
            Some(side_ms) => self.sides.entry((side_ms, id.start_ms)).or_insert_with(new),
        }
    }

    /// The current window's groups, where it reads this pane.
    fn current_of(&mut self, id: PaneId) -> Option<&mut Groups> {
        let next_ms = self.next_ms?;
        let is_read =
            id.side_ms.is_none() && next_ms <= id.start_ms && id.start_ms < self.windows.end(next_ms);
        if !self.provisional || !is_read {
            return None;
        }
        Some(self.current.get_or_insert_with(|| Groups::new(&self.layout)))
    }

    /// The first window from `from_ms` on that has a row.
    fn first_with_rows(&self, from_ms: i64) -> Option<i64> {
        let pane = self.panes.keys().next().map(|start_ms| self.windows.first(*start_ms));
        let side = self.sides.keys().next().map(|(first_ms, _)| *first_ms);
        let first = [pane, side].into_iter().flatten().min();
        first.map(|first_ms| first_ms.max(from_ms))
    }

    /// The first window that stays open behind a barrier.
    fn next_after(&self, barrier: &Barrier) -> Option<i64> {
        if barrier.close_all {
            let pane = self.panes.keys().next_back().copied();
            let side = self.sides.keys().map(|(_, start_ms)| *start_ms).max();
            let last = pane.max(side).map(|last_ms| last_ms.saturating_add(self.windows.slide_ms));
            return last.max(self.next_ms);
        }
        let closed_ms = barrier.watermark_ms.map(|w| w.saturating_sub(self.lateness_ms));
        closed_ms.map(|closed_ms| self.windows.first_after(closed_ms)).max(self.next_ms)
    }

    /// Makes side panes whose earlier windows are all closed part of their panes.
    fn fold_sides(&mut self, next_ms: i64, output: &mut Output) -> Result<(), Error> {
        while let Some(entry) = self.sides.first_entry() {
            let (side_ms, start_ms) = *entry.key();
            if next_ms < side_ms {
                break;
            }
            let mut side = entry.remove();
            self.tree.add(start_ms, &mut side.groups)?;
            merge_into(&mut self.pane(PaneId::whole(start_ms)).groups, &mut side.groups)?;
            if let Some(current) = self.current_of(PaneId::whole(start_ms)) {
                merge_into(current, &mut side.groups)?;
            }
            if side.is_on_disk() {
                output.closed_panes.push(PaneId { start_ms, side_ms: Some(side_ms) });
            }
            self.recycle(side.groups);
        }
        Ok(())
    }

    /// Closes the windows before `end_ms`, and makes that the next one.
    fn close_until(&mut self, end_ms: i64, output: &mut Output) -> Result<(), Error> {
        // Rows of the epoch may be late for windows that were closed before it.
        if let Some(next_ms) = self.next_ms {
            self.fold_sides(next_ms, output)?;
        }
        let mut from_ms = self.next_ms.unwrap_or(i64::MIN);
        while let Some(window_ms) = self.first_with_rows(from_ms).filter(|window_ms| *window_ms < end_ms) {
            if self.next_ms != Some(window_ms) {
                (self.next_ms, self.current) = (Some(window_ms), None);
                self.fold_sides(window_ms, output)?;
                self.current = None;
            }
            self.close(window_ms, output)?;
            from_ms = window_ms.saturating_add(self.windows.slide_ms);
        }
        if self.next_ms != Some(end_ms) {
            (self.next_ms, self.current) = (Some(end_ms), None);
            self.fold_sides(end_ms, output)?;
            self.current = if self.provisional { self.build(end_ms)? } else { None };
        }
        Ok(())
    }

    fn close(&mut self, window_ms: i64, output: &mut Output) -> Result<(), Error> {
        let groups = match self.current.take() {
            Some(groups) => Some(groups),
            None => self.build(window_ms)?,
        };
        if let Some(mut groups) = groups {
            let all = groups.all();
            self.emitter.emit(window_ms, &mut groups, &all, true, output)?;
            output.closed_ms = output.closed_ms.max(Some(self.windows.end(window_ms)));
            self.recycle(groups);
        }
        while let Some(entry) = self.panes.first_entry().filter(|entry| *entry.key() <= window_ms) {
            let (start_ms, pane) = entry.remove_entry();
            if pane.is_on_disk() {
                output.closed_panes.push(PaneId::whole(start_ms));
            }
            self.recycle(pane.groups);
        }
        self.tree.forget_before(window_ms.saturating_add(self.windows.slide_ms));
        Ok(())
    }

    /// What a window holds, all earlier ones being closed and its side panes folded. Of its panes only
    /// the last one may still get rows that are not late.
    fn build(&mut self, window_ms: i64) -> Result<Option<Groups>, Error> {
        let last_ms = window_ms.saturating_add(self.windows.size_ms - self.windows.slide_ms);
        if self.panes.range(window_ms..=last_ms).next().is_none() {
            return Ok(None);
        }
        let mut groups = self.spare.pop().unwrap_or_else(|| Groups::new(&self.layout));
        self.tree.merge_range(&mut self.panes, window_ms, last_ms, &mut groups)?;
        if let Some(last) = self.panes.get_mut(&last_ms) {
            merge_into(&mut groups, &mut last.groups)?;
        }
        Ok(Some(groups))
    }

    fn recycle(&mut self, mut groups: Groups) {
        if self.spare.len() < SPARE_MAX {
            groups.clear();
            self.spare.push(groups);
        }
    }
}

impl WindowState for HopOperator {
    fn restore(&mut self, pane: PaneId, states: &RecordBatch) -> Result<(), Error> {
        Ok(self.pane(pane).restore(states)?)
    }

    fn rewrite_all(&mut self) {
        self.rewrite = true;
    }

    fn provisional_rows(&mut self) -> Result<Vec<TimedRows>, Error> {
        let mut output = Output::default();
        if let Some(next_ms) = self.next_ms.filter(|_| self.provisional) {
            self.current = self.build(next_ms)?;
            if let Some(current) = &mut self.current {
                let all = current.all();
                self.emitter.emit(next_ms, current, &all, false, &mut output)?;
                current.clear_changed();
            }
        }
        Ok(output.provisionals)
    }
}

impl Operator for HopOperator {
    fn batch(&mut self, batch: Batch) -> Result<(), Error> {
        match batch {
            Batch::Rows(rows) => {
                self.pane(rows.pane).groups.update(rows.n_rows, &rows.keys, &rows.args, &rows.filters)?;
                if let Some(current) = self.current_of(rows.pane) {
                    current.update(rows.n_rows, &rows.keys, &rows.args, &rows.filters)?;
                }
            }
            Batch::States { pane, states } => {
                self.pane(pane).groups.merge(&states)?;
                if let Some(current) = self.current_of(pane) {
                    current.merge(&states)?;
                }
            }
            Batch::Append(_) => unreachable!("a plan with an aggregation appends no rows"),
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier) -> Result<Output, Error> {
        let mut output = Output::default();
        if let Some(end_ms) = self.next_after(barrier) {
            self.close_until(end_ms, &mut output)?;
        }
        if let (Some(next_ms), Some(current)) = (self.next_ms, &mut self.current) {
            let changed = current.changed();
            if !changed.is_empty() {
                self.emitter.emit(next_ms, current, &changed, false, &mut output)?;
                current.clear_changed();
            }
        }
        for (start_ms, pane) in &mut self.panes {
            pane.persist(PaneId::whole(*start_ms), self.rewrite, &mut output)?;
        }
        for ((side_ms, start_ms), pane) in &mut self.sides {
            let id = PaneId { start_ms: *start_ms, side_ms: Some(*side_ms) };
            pane.persist(id, self.rewrite, &mut output)?;
        }
        self.rewrite = false;
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        let panes = self.panes.values().chain(self.sides.values()).map(|pane| pane.groups.memory_bytes());
        let current = self.current.as_ref().map_or(0, Groups::memory_bytes);
        let spare = self.spare.iter().map(Groups::memory_bytes).sum::<usize>();
        panes.sum::<usize>() + self.tree.memory_bytes() + current + spare
    }

    fn release_spare(&mut self) {
        self.spare = Vec::new();
    }
}
