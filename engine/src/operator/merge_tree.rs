//! Merged panes, kept while windows still read all of them: a window of n panes is put together from
//! about log n parts.
//!
//! ```text
//! level 2   [      0 … 3      ][      4 … 7      ]        a window of the panes 1 … 6 is made of
//! level 1   [ 0, 1 ][ 2, 3 ]   [ 4, 5 ][ 6, 7 ]           pane 1, node [2, 3], node [4, 5] and pane 6
//! level 0   the panes
//! ```
//!
//! Panes are numbered by their place on the time line, so that the tree is the same in every run.
//!
//! Invariants:
//! 1. A node is what its panes are: made when they are complete, and given what is still added to one.
//! 2. A node goes with its first pane.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aggregate::{Error, Groups, Layout};
use crate::operator::pane::{Pane, merge_into};

/// With fewer panes in a window nodes save nothing.
const PANES_MIN: i64 = 8;

/// Nodes over the panes of one operator.
pub(super) struct MergeTree {
    layout: Arc<Layout>,
    slide_ms: i64,
    offset_ms: i64,
    /// No nodes are kept.
    is_flat: bool,

    /// By level, from 1 on, and place in it.
    nodes: BTreeMap<(u32, i64), Groups>,
}

/// The panes by start.
pub(super) type Panes = BTreeMap<i64, Pane>;

impl MergeTree {
    pub(super) fn new(layout: &Arc<Layout>, slide_ms: i64, offset_ms: i64, n_panes: i64) -> Self {
        let layout = Arc::clone(layout);
        Self { layout, slide_ms, offset_ms, is_flat: n_panes < PANES_MIN, nodes: BTreeMap::new() }
    }

    /// Adds the panes that start in `[from_ms, to_ms)` to `target`; they are complete.
    pub(super) fn merge_range(
        &mut self,
        panes: &mut Panes,
        from_ms: i64,
        to_ms: i64,
        target: &mut Groups,
    ) -> Result<(), Error> {
        let (mut from, to) = (self.index(from_ms), self.index(to_ms));
        while from < to {
            let level = if self.is_flat { 0 } else { from.trailing_zeros().min((to - from).ilog2()) };
            self.merge_node(panes, level, from >> level, target)?;
            from += 1 << level;
        }
        Ok(())
    }

    /// Adds to all nodes over a pane what is being added to the pane.
    pub(super) fn add(&mut self, pane_ms: i64, added: &mut Groups) -> Result<(), Error> {
        let index = self.index(pane_ms);
        let top = self.nodes.keys().next_back().map_or(0, |(level, _)| *level);
        for level in 1..=top {
            if let Some(node) = self.nodes.get_mut(&(level, index >> level)) {
                merge_into(node, added)?;
            }
        }
        Ok(())
    }

    /// Forgets nodes over panes that start before `from_ms`.
    pub(super) fn forget_before(&mut self, from_ms: i64) {
        let from = self.index(from_ms);
        self.nodes.retain(|(level, place), _| from <= *place << level);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.values().map(Groups::memory_bytes).sum()
    }

    fn merge_node(
        &mut self,
        panes: &mut Panes,
        level: u32,
        place: i64,
        target: &mut Groups,
    ) -> Result<(), Error> {
        let range = self.start_ms(place << level)..self.start_ms((place + 1) << level);
        if panes.range(range.clone()).next().is_none() {
            return Ok(());
        }
        if level == 0 {
            let pane = panes.get_mut(&range.start).expect("the range has one pane, and it is there");
            return merge_into(target, &mut pane.groups);
        }
        let mut node = match self.nodes.remove(&(level, place)) {
            Some(node) => node,
            None => {
                let mut node = Groups::new(&self.layout);
                self.merge_node(panes, level - 1, place << 1, &mut node)?;
                self.merge_node(panes, level - 1, (place << 1) + 1, &mut node)?;
                node.clear_changed();
                node
            }
        };
        merge_into(target, &mut node)?;
        self.nodes.insert((level, place), node);
        Ok(())
    }

    /// Starts of panes differ by whole slides.
    fn index(&self, pane_ms: i64) -> i64 {
        pane_ms.saturating_sub(self.offset_ms).div_euclid(self.slide_ms)
    }

    fn start_ms(&self, index: i64) -> i64 {
        index.saturating_mul(self.slide_ms).saturating_add(self.offset_ms)
    }
}
