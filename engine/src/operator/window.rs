//! The windowed aggregation of one window subtask where a pane is a window: tumbling windows, and
//! overlapping ones whose rows were made one for each window.
//!
//! ```text
//! rows, states ─► panes: start ─► Groups          barrier(N, W):  end + lateness <= W ─► final rows
//!                                                                 changed groups      ─► provisional rows
//!                                                                 changed groups      ─► state blocks
//! ```
//!
//! Invariants:
//! 1. A window's rows become final once, at the first barrier whose watermark has passed its end plus
//!    `lateness`; its state goes in the same epoch.
//! 2. Of overlapping windows only the one that closes next has provisional rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::aggregate::{Groups, Layout};
use crate::dataflow::plan::Plan;
use crate::operator::emit::{Emitter, layout_of};
use crate::operator::pane::{Pane, SPARE_MAX};
use crate::operator::{Barrier, Batch, Error, Operator, Output, WindowOptions, WindowState};
use crate::result::TimedRows;
use crate::time::window::{PaneId, Windows};

/// The operator of one window subtask.
pub struct WindowOperator {
    emitter: Emitter,
    windows: Windows,
    lateness_ms: i64,
    provisional: bool,
    layout: Arc<Layout>,

    panes: BTreeMap<i64, Pane>,
    /// The first window that is open; `None` before the first watermark.
    next_ms: Option<i64>,
    spare: Vec<Groups>,
    /// Write every pane whole at the next barrier: its blocks belong to another parallelism.
    rewrite: bool,
}

impl WindowOperator {
    /// An operator without open windows. Windows that end at or before `closed_ms` are closed.
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
        Ok(Self {
            layout: layout_of(&emitter.aggregate, group_bytes_max)?,
            emitter,
            lateness_ms,
            provisional,
            panes: BTreeMap::new(),
            next_ms: closed_ms.map(|closed_ms| windows.first_after(closed_ms)),
            spare: Vec::new(),
            rewrite: false,
            windows,
        })
    }

    fn pane(&mut self, id: PaneId) -> &mut Pane {
        debug_assert!(id.side_ms.is_none(), "a row that is late for a window is not in its pane");
        self.panes
            .entry(id.start_ms)
            .or_insert_with(|| Pane::new(self.spare.pop().unwrap_or_else(|| Groups::new(&self.layout))))
    }

    fn closes(&self, window_ms: i64, barrier: &Barrier) -> bool {
        let end = self.windows.end(window_ms);
        barrier.close_all || barrier.watermark_ms.is_some_and(|w| end.saturating_add(self.lateness_ms) <= w)
    }

    /// Whether readers see the open window.
    fn is_shown(&self, window_ms: i64) -> bool {
        let overlap = self.windows.slide_ms < self.windows.size_ms;
        self.provisional && (!overlap || self.next_ms == Some(window_ms))
    }

    fn close(&mut self, window_ms: i64, pane: Pane, output: &mut Output) -> Result<(), Error> {
        let mut groups = pane.groups;
        let all = groups.all();
        self.emitter.emit(window_ms, &mut groups, &all, true, output)?;
        output.closed_panes.push(PaneId::whole(window_ms));
        output.closed_ms = output.closed_ms.max(Some(self.windows.end(window_ms)));
        if self.spare.len() < SPARE_MAX {
            groups.clear();
            self.spare.push(groups);
        }
        Ok(())
    }
}

impl WindowState for WindowOperator {
    fn restore(&mut self, pane: PaneId, states: &RecordBatch) -> Result<(), Error> {
        Ok(self.pane(pane).restore(states)?)
    }

    fn rewrite_all(&mut self) {
        self.rewrite = true;
    }

    fn provisional_rows(&mut self) -> Result<Vec<TimedRows>, Error> {
        let mut output = Output::default();
        let mut panes = std::mem::take(&mut self.panes);
        for (window_ms, pane) in &mut panes {
            if self.is_shown(*window_ms) {
                let all = pane.groups.all();
                self.emitter.emit(*window_ms, &mut pane.groups, &all, false, &mut output)?;
            }
        }
        self.panes = panes;
        Ok(output.provisionals)
    }
}

impl Operator for WindowOperator {
    fn batch(&mut self, batch: Batch) -> Result<(), Error> {
        match batch {
            Batch::Rows(rows) => {
                self.pane(rows.pane).groups.update(rows.n_rows, &rows.keys, &rows.args, &rows.filters)?;
            }
            Batch::States { pane, states } => self.pane(pane).groups.merge(&states)?,
            Batch::Append(_) => unreachable!("a plan with an aggregation appends no rows"),
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier) -> Result<Output, Error> {
        let mut output = Output::default();
        let mut panes = std::mem::take(&mut self.panes);
        while let Some(entry) = panes.first_entry() {
            if !self.closes(*entry.key(), barrier) {
                break;
            }
            let (window_ms, pane) = entry.remove_entry();
            self.close(window_ms, pane, &mut output)?;
        }
        let shown_before = self.next_ms;
        let closed_ms = barrier.watermark_ms.map(|w| w.saturating_sub(self.lateness_ms));
        self.next_ms = self.next_ms.max(closed_ms.map(|closed_ms| self.windows.first_after(closed_ms)));
        for (window_ms, pane) in &mut panes {
            if self.is_shown(*window_ms) {
                let is_new = self.windows.slide_ms < self.windows.size_ms && self.next_ms != shown_before;
                let which = if is_new { pane.groups.all() } else { pane.groups.changed() };
                self.emitter.emit(*window_ms, &mut pane.groups, &which, false, &mut output)?;
            }
            pane.persist(PaneId::whole(*window_ms), self.rewrite, &mut output)?;
        }
        self.panes = panes;
        self.rewrite = false;
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        let panes = self.panes.values().map(|pane| &pane.groups);
        panes.chain(&self.spare).map(Groups::memory_bytes).sum()
    }

    fn release_spare(&mut self) {
        self.spare = Vec::new();
    }
}
