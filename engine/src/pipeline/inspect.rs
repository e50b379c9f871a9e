//! What a data folder holds, for a person: read, never written.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::path::Path;

use arrow::row::{RowConverter, SortField};
use foldhash::fast::FixedState;

use super::start::kept_plan;
use crate::dataflow::plan::Aggregate;
use crate::facts::Facts;
use crate::result::{Sizes, sizes};
use crate::state::{Error, Identity, PaneBlock, Series, Settings, Size, Store};
use crate::time::Epoch;

/// What is kept of a pipeline.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `None`: it was never started, or not since it was reset.
    pub identity: Option<Identity>,
    /// Of the identity, or of the next start.
    pub incarnation: u64,
    /// Of the last committed epoch; epoch 0 before the first.
    pub facts: Facts,
    /// What the last epoch was computed with.
    pub settings: Option<Settings>,
    /// By subtask: its share of the keys.
    pub key_spaces: Vec<KeySpace>,
    /// The final rows of the result table.
    pub results: Sizes,
    pub dead_letters: Sizes,
    pub sinks: Vec<KeptSink>,
}

/// What is kept of a sink: its outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSink {
    pub sink: String,
    /// Committed rows that it has not got yet, and their bytes on disk.
    pub outbox_rows: u64,
    pub outbox_bytes: u64,
    /// It has every row of this epoch and those before it.
    pub delivered_epoch: Epoch,
}

/// The groups of one window subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeySpace {
    pub subtask: u16,
    pub panes: u64,
    /// Each once per pane. `None`: the kept query can't be planned by this version.
    pub groups: Option<u64>,
    pub blocks: u64,
    pub bytes: u64,
}

/// Looks at a pipeline's folder, which no process may have open.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::UnknownVersion`] name what can't be read; [`Error::Storage`].
pub fn inspect(data_dir: &Path) -> Result<Inspection, Error> {
    let store = Store::open_read_only(data_dir)?;
    let identity = store.identity()?;
    let plan = identity.as_ref().and_then(|identity| kept_plan(identity).ok());
    let n_keys = plan.and_then(|plan| plan.aggregate.as_ref().map(Aggregate::n_exprs));
    let recovered = store.recovered();
    Ok(Inspection {
        incarnation: store.incarnation()?,
        settings: recovered.as_ref().map(|recovered| recovered.settings),
        facts: recovered.map(|recovered| recovered.facts).unwrap_or_default(),
        key_spaces: key_spaces(&store, n_keys)?,
        results: sizes(&store, Series::Finals)?,
        dead_letters: sizes(&store, Series::DeadLetters)?,
        sinks: kept_sinks(&store)?,
        identity,
    })
}

/// What is kept of each sink.
pub(super) fn kept_sinks(store: &Store) -> Result<Vec<KeptSink>, Error> {
    let committed = store.recovered().map(|recovered| recovered.facts.epoch).unwrap_or_default();
    let sinks = store.sinks()?.into_iter().map(|(sink, known)| {
        let Size { rows, bytes } = store.outbox_size(&sink)?;
        let delivered_epoch = known.delivered_epoch(rows, committed);
        Ok(KeptSink { sink, outbox_rows: rows, outbox_bytes: bytes, delivered_epoch })
    });
    sinks.collect()
}

/// `n_keys`: how many of a block's columns, the first ones, are its groups' keys.
fn key_spaces(store: &Store, n_keys: Option<usize>) -> Result<Vec<KeySpace>, Error> {
    let mut spaces: BTreeMap<u16, KeySpace> = BTreeMap::new();
    let hasher = FixedState::default();
    // Of the pane being read: blocks come pane by pane.
    let mut pane = None;
    let mut groups: HashSet<u64> = HashSet::new();
    store.load_panes(&mut |block| {
        let space = spaces.entry(block.subtask).or_default();
        if pane.replace((block.subtask, block.pane)) != Some((block.subtask, block.pane)) {
            groups.clear();
            space.panes += 1;
        }
        space.subtask = block.subtask;
        space.blocks += 1;
        space.bytes += block.stored_bytes as u64;
        if let Some(n_keys) = n_keys {
            let n_before = groups.len();
            add_groups(&block, n_keys, &hasher, &mut groups)
                .map_err(Error::arrow("count the groups of a block of state"))?;
            *space.groups.get_or_insert(0) += (groups.len() - n_before) as u64;
        }
        Ok(())
    })?;
    Ok(spaces.into_values().collect())
}

fn add_groups(
    block: &PaneBlock,
    n_keys: usize,
    hasher: &FixedState,
    groups: &mut HashSet<u64>,
) -> Result<(), arrow::error::ArrowError> {
    let keys = &block.states.columns()[..n_keys.min(block.states.num_columns())];
    if keys.is_empty() {
        groups.insert(0);
        return Ok(());
    }
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(keys)?;
    groups.extend(rows.iter().map(|row| hasher.hash_one(row.data())));
    Ok(())
}
