//! From a data folder to operators and tables as they were at the last committed epoch.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{Builder, ScopedJoinHandle};

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, bounded};

use super::{PipelineOptions, StartError};
use crate::dataflow::exchange::split_states;
use crate::dataflow::plan::Plan;
use crate::facts::Facts;
use crate::operator::append::AppendOperator;
use crate::operator::hop::HopOperator;
use crate::operator::stateless::result_schema;
use crate::operator::window::WindowOperator;
use crate::operator::{self, Operator, WindowOptions, WindowState};
use crate::result::{TableSpec, Tables, TimedRows};
use crate::state::{Recovered, Settings, Store};
use crate::time::window::PaneId;

/// Blocks that wait for the thread of a subtask while the next ones are read: enough that neither waits for the
/// other, of up to a few MB each.
const BLOCKS_AHEAD: usize = 4;

/// A pipeline as it was at its last committed epoch.
pub(super) struct Restored {
    pub(super) operators: Vec<Box<dyn Operator>>,
    pub(super) tables: Tables,
    pub(super) facts: Facts,
    pub(super) settings: Settings,
    /// The blocks on disk belong to another parallelism.
    pub(super) replace_blocks: bool,
    /// There are windows that are not closed.
    pub(super) any_open: bool,
    /// What the last epoch was computed with is no longer what is wanted.
    pub(super) settings_changed: bool,
}

/// Puts operators, result tables and facts back as they were committed.
///
/// # Errors
/// What is on disk can't be read, or does not fit the plan.
pub(super) fn restore(
    store: &Store,
    plan: &Arc<Plan>,
    options: &PipelineOptions,
    recovered: Option<Recovered>,
) -> Result<Restored, StartError> {
    let settings = Settings {
        parallelism: options.parallelism,
        lateness_ms: options.lateness_ms,
        provisional: options.provisional,
        retention_ms: options.retention_ms,
        group_bytes_max: options.group_bytes_max,
        dead_letters_kept_ms: options.letters.age_ms,
    };
    let spec = TableSpec {
        schema: result_schema(&plan.output),
        key: plan.key.clone(),
        retention_ms: options.retention_ms,
        provisional: options.provisional,
        letters: options.letters,
    };
    let mut tables = Tables::open(store, spec)?;
    let (mut replace_blocks, mut any_open) = (false, false);
    let settings_changed = recovered.as_ref().is_some_and(|recovered| recovered.settings != settings);
    let mut operators: Vec<Box<dyn Operator>> = Vec::new();
    if plan.aggregate.is_none() {
        operators.extend(
            (0..options.parallelism).map(|_| Box::new(AppendOperator::default()) as Box<dyn Operator>),
        );
    } else {
        let kept = recovered.as_ref().map(|recovered| recovered.settings.parallelism);
        replace_blocks = kept.is_some_and(|kept| kept != options.parallelism);
        let closed_ms = recovered.as_ref().and_then(|recovered| recovered.facts.closed_ms);
        let Windows { operators: windows, overlay, any_open: open } =
            restore_windows(store, plan, options, closed_ms, replace_blocks)?;
        tables.seed_overlay(&overlay)?;
        any_open = open;
        operators.extend(windows.into_iter().map(|window| window as Box<dyn Operator>));
    }
    let facts = recovered.map(|recovered| recovered.facts).unwrap_or_default();
    Ok(Restored { operators, tables, facts, settings, replace_blocks, any_open, settings_changed })
}

struct Windows {
    /// By subtask.
    operators: Vec<Box<dyn WindowState>>,
    overlay: Vec<TimedRows>,
    any_open: bool,
}

fn restore_windows(
    store: &Store,
    plan: &Arc<Plan>,
    options: &PipelineOptions,
    closed_ms: Option<i64>,
    replace_blocks: bool,
) -> Result<Windows, StartError> {
    let aggregate = plan.aggregate.as_ref().expect("only plans with an aggregation have windows");
    let n_keys = aggregate.n_exprs();
    let mut windows = (0..options.parallelism)
        .map(|_| new_operator(plan, options, closed_ms))
        .collect::<Result<Vec<_>, _>>()?;
    let mut any_open = false;
    let overlay = std::thread::scope(|scope| {
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for (subtask, window) in windows.iter_mut().enumerate() {
            let (sender, blocks) = bounded(BLOCKS_AHEAD);
            let work = move || restore_window(window.as_mut(), &blocks, replace_blocks);
            threads.push(Builder::new().name(format!("restore {subtask}")).spawn_scoped(scope, work)?);
            senders.push(sender);
        }
        // Where nobody takes a block, restoring has failed: the thread says why.
        let send = |subtask: usize, pane, states| drop(senders[subtask].send((pane, states)));
        let mut split = Ok(());
        let loaded = store.load_panes(&mut |block| {
            any_open = true;
            let subtask = usize::from(block.subtask);
            if !replace_blocks && subtask < senders.len() {
                send(subtask, block.pane, block.states);
                return Ok(());
            }
            match split_states(&block.states, n_keys, senders.len()) {
                Ok(parts) => {
                    let parts = parts.into_iter().enumerate().filter(|(_, part)| 0 < part.num_rows());
                    parts.for_each(|(subtask, part)| send(subtask, block.pane, part));
                }
                Err(error) => split = Err(error),
            }
            Ok(())
        });
        drop(senders);
        let restored: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        loaded?;
        split?;
        let mut overlay = Vec::new();
        for rows in restored {
            overlay.extend(rows.unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok::<_, StartError>(overlay)
    })?;
    Ok(Windows { operators: windows, overlay, any_open })
}

/// Puts back the blocks of one subtask. Returns what readers saw of open windows.
fn restore_window(
    window: &mut dyn WindowState,
    blocks: &Receiver<(PaneId, RecordBatch)>,
    replace_blocks: bool,
) -> Result<Vec<TimedRows>, operator::Error> {
    for (pane, states) in blocks {
        window.restore(pane, &states)?;
    }
    if replace_blocks {
        window.rewrite_all();
    }
    window.provisional_rows()
}

/// The operator of one window subtask, without rows.
///
/// # Errors
/// Where a call has no accumulator.
pub(super) fn new_operator(
    plan: &Arc<Plan>,
    options: &PipelineOptions,
    closed_ms: Option<i64>,
) -> Result<Box<dyn WindowState>, operator::Error> {
    let &PipelineOptions { lateness_ms, provisional, group_bytes_max, .. } = options;
    let window_options = WindowOptions { lateness_ms, provisional, group_bytes_max };
    let overlap = plan.window.as_ref().is_some_and(|window| window.slide_ms < window.size_ms);
    Ok(if overlap && !plan.expands() {
        Box::new(HopOperator::new(plan, window_options, closed_ms)?)
    } else {
        Box::new(WindowOperator::new(plan, window_options, closed_ms)?)
    })
}
