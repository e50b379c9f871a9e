//! How many windows the rows of an epoch are in.
//!
//! A window takes memory and time however few rows it has, and all windows of an epoch may close at its
//! barrier: where rows are far apart, these count and not the rows.

use std::collections::BTreeSet;

use crate::dataflow::plan::Plan;
use crate::time::window::Windows;

/// The panes of an epoch's rows, and the windows that read them.
#[derive(Debug)]
pub(super) struct Touched {
    windows: Windows,

    panes: BTreeSet<i64>,
    n_windows: i64,
}

impl Touched {
    /// `None` where the plan has no window.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let windows = plan.window.as_ref()?.windows();
        // A row that was made once for each window is in one.
        let size_ms = if plan.expands() { windows.slide_ms } else { windows.size_ms };
        Some(Self::new(Windows { size_ms, ..windows }))
    }

    fn new(windows: Windows) -> Self {
        Self { windows, panes: BTreeSet::new(), n_windows: 0 }
    }

    /// Windows that read a pane.
    pub(super) fn n_per_pane(&self) -> i64 {
        self.windows.n_per_row()
    }

    /// A pane has rows.
    pub(super) fn add(&mut self, pane_ms: i64) {
        if !self.panes.insert(pane_ms) {
            return;
        }
        let (n, slide_ms) = (self.windows.n_per_row(), self.windows.slide_ms);
        let n_between = |from_ms: i64, to_ms: i64| (to_ms.saturating_sub(from_ms) / slide_ms).min(n);
        let before = self.panes.range(..pane_ms).next_back();
        let after = self.panes.range(pane_ms..).nth(1);
        // Its windows are those that end with it and before it: the first are the pane's before as well, the
        // last that of the pane after.
        let n_new = before.map_or(n, |before_ms| n_between(*before_ms, pane_ms));
        let n_shared = n - after.map_or(n, |after_ms| n_between(pane_ms, *after_ms));
        self.n_windows += n_new - n_shared.min(n_new);
    }

    pub(super) fn n_windows(&self) -> i64 {
        self.n_windows
    }

    /// A new epoch begins.
    pub(super) fn clear(&mut self) {
        self.panes.clear();
        self.n_windows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_of_panes_are_counted_once(
            slide_ms in 1i64..5,
            n in 1i64..12,
            panes in prop::collection::vec(-60i64..60, 0..30),
        ) {
            let windows = Windows { size_ms: slide_ms * n, slide_ms, offset_ms: 0 };
            let mut touched = Touched::new(windows);
            let mut expected = BTreeSet::new();
            for pane in panes {
                let pane_ms = pane * slide_ms;
                touched.add(pane_ms);
                expected.extend((0..n).map(|i| windows.first(pane_ms) + i * slide_ms));
                prop_assert_eq!(touched.n_windows(), expected.len() as i64);
            }
            touched.clear();
            prop_assert_eq!(touched.n_windows(), 0);
        }
    }
}
