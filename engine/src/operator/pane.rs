//! The groups of one pane, and what of them is on disk.
//!
//! Invariant: what is on disk of a pane is at most twice its groups and `BLOCKS_MAX` blocks: then the
//! pane is written whole and older blocks go. So it is where that is hardly more than what changed.

use arrow::array::RecordBatch;

use crate::aggregate::{Error, Groups};
use crate::operator::{Output, PanePut};
use crate::time::window::PaneId;

/// Groups evaluated, merged and written at a time. Bounds the size of a result batch and of a state
/// block.
pub(super) const CHUNK_GROUPS: usize = 65_536;
/// State blocks of a pane after which it is written whole.
const BLOCKS_MAX: usize = 1_024;
/// Groups of a pane that is written whole where at least seven of eight have changed. A small pane is not
/// worth the deletion of its blocks.
const MOSTLY_CHANGED_MIN: usize = 4_096;
/// Closed panes kept, cleared, for the next windows.
pub(super) const SPARE_MAX: usize = 4;

/// A pane in memory.
pub(super) struct Pane {
    pub(super) groups: Groups,
    n_blocks: usize,
    n_groups_on_disk: usize,
}

impl Pane {
    /// A pane of which nothing is on disk.
    pub(super) fn new(groups: Groups) -> Self {
        Self { groups, n_blocks: 0, n_groups_on_disk: 0 }
    }

    /// Puts back a block of state.
    pub(super) fn restore(&mut self, states: &RecordBatch) -> Result<(), Error> {
        self.groups.replace(states)?;
        self.n_blocks += 1;
        self.n_groups_on_disk += states.num_rows();
        Ok(())
    }

    /// Whether there is anything to delete once it goes.
    pub(super) fn is_on_disk(&self) -> bool {
        0 < self.n_blocks
    }

    /// Hands over what changed since the last call; with `rewrite` all there is.
    pub(super) fn persist(&mut self, id: PaneId, rewrite: bool, output: &mut Output) -> Result<(), Error> {
        let changed = self.groups.changed();
        if changed.is_empty() && !rewrite {
            return Ok(());
        }
        let on_disk = self.n_groups_on_disk + changed.len();
        let n_groups = self.groups.len();
        let outgrown = 2 * n_groups + BLOCKS_MAX < on_disk || BLOCKS_MAX <= self.n_blocks;
        let mostly_changed = MOSTLY_CHANGED_MIN <= n_groups && n_groups - changed.len() <= n_groups / 8;
        let whole = rewrite || outgrown || mostly_changed;
        let which = if whole { self.groups.all() } else { changed };
        let runs = self.groups.runs(&which, CHUNK_GROUPS).into_iter();
        let chunks = runs.map(|run| self.groups.state(run)).collect::<Result<Vec<_>, _>>()?;
        self.groups.clear_changed();
        self.n_blocks = chunks.len() + if whole { 0 } else { self.n_blocks };
        self.n_groups_on_disk = which.len() + if whole { 0 } else { self.n_groups_on_disk };
        output.puts.push(PanePut { pane: id, chunks, whole });
        Ok(())
    }
}

/// Adds all groups of `source` to `target`. `source` stays as it is.
pub(super) fn merge_into(target: &mut Groups, source: &mut Groups) -> Result<(), Error> {
    let all = source.all();
    for run in source.runs(&all, CHUNK_GROUPS) {
        target.merge(&source.state(run)?)?;
    }
    Ok(())
}
