//! The windowed aggregation of one window subtask: open panes, closed at barriers.
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
//! 2. Evaluating reads the accumulators and changes nothing: provisional rows cost no exactness.
//! 3. What is on disk of a pane is at most twice its groups and `BLOCKS_MAX` blocks: then the pane
//!    is written whole and older blocks go.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef, UInt32Type};

use crate::aggregate::{Groups, Layout};
use crate::dataflow::plan::{Aggregate, Key, Plan, Step};
use crate::operator::key_json;
use crate::operator::rows::{Rows, halve, run_steps};
use crate::operator::stateless::{result_schema, timestamps, with_final};
use crate::operator::{Barrier, Batch, Error, FailedGroup, Operator, Output, PanePut};
use crate::result::TimedRows;

/// Groups evaluated and written at a time. Bounds the size of a result batch and of a state block.
const CHUNK_GROUPS: usize = 65_536;
/// State blocks of a pane after which it is written whole.
const BLOCKS_MAX: usize = 1_024;
/// Closed panes kept, cleared, for the next windows.
const SPARE_MAX: usize = 4;

/// The operator of one window subtask.
pub struct WindowOperator {
    plan: Arc<Plan>,
    aggregate: Aggregate,
    size_ms: i64,
    lateness_ms: i64,
    provisional: bool,
    layout: Arc<Layout>,
    result_schema: SchemaRef,
    time_type: DataType,

    panes: BTreeMap<i64, Pane>,
    spare: Vec<Groups>,
    /// Write every pane whole at the next barrier: its blocks belong to another parallelism.
    rewrite: bool,
}

struct Pane {
    groups: Groups,
    n_blocks: usize,
    n_groups_on_disk: usize,
}

/// Layout of a plan's aggregation: its keys other than the window's, and its calls.
///
/// # Errors
/// Where a call has no accumulator.
pub fn layout_of(aggregate: &Aggregate) -> Result<Arc<Layout>, Error> {
    let fields = aggregate.schema.fields();
    let keys = aggregate.keys.iter().zip(fields).filter(|(key, _)| matches!(key, Key::Expr(_)));
    Ok(Layout::new(keys.map(|(_, field)| Arc::clone(field)).collect(), &aggregate.calls)?)
}

impl WindowOperator {
    /// An operator without open windows.
    ///
    /// # Errors
    /// Where a call has no accumulator.
    ///
    /// # Panics
    /// If the plan has no window or no aggregation.
    pub fn new(plan: &Arc<Plan>, lateness_ms: i64, provisional: bool) -> Result<Self, Error> {
        let aggregate =
            plan.aggregate.clone().expect("only plans with an aggregation have a window operator");
        let window = plan.window.as_ref().expect("the planner refuses an aggregation without a window");
        Ok(Self {
            size_ms: window.size_ms,
            lateness_ms,
            provisional,
            layout: layout_of(&aggregate)?,
            result_schema: result_schema(&plan.output),
            time_type: plan.scan_schema.field(plan.event_time).data_type().clone(),
            plan: Arc::clone(plan),
            aggregate,
            panes: BTreeMap::new(),
            spare: Vec::new(),
            rewrite: false,
        })
    }

    /// Puts back a block of state. Blocks of a pane come in the order in which they were written.
    ///
    /// # Errors
    /// As the accumulators'.
    pub fn restore(&mut self, pane_ms: i64, states: &RecordBatch) -> Result<(), Error> {
        let pane = self.pane(pane_ms);
        pane.groups.replace(states)?;
        pane.n_blocks += 1;
        pane.n_groups_on_disk += states.num_rows();
        Ok(())
    }

    /// Has every pane written whole at the next barrier.
    pub fn rewrite_all(&mut self) {
        self.rewrite = true;
    }

    /// Provisional rows of all open windows: what readers saw of them at the last barrier.
    ///
    /// # Errors
    /// As the accumulators'.
    pub fn provisional_rows(&mut self) -> Result<Vec<TimedRows>, Error> {
        let mut output = Output::default();
        if self.provisional {
            let mut panes = std::mem::take(&mut self.panes);
            for (pane_ms, pane) in &mut panes {
                let all = pane.groups.all();
                self.emit(*pane_ms, &mut pane.groups, &all, false, &mut output)?;
            }
            self.panes = panes;
        }
        Ok(output.provisionals)
    }

    fn pane(&mut self, pane_ms: i64) -> &mut Pane {
        self.panes.entry(pane_ms).or_insert_with(|| Pane {
            groups: self.spare.pop().unwrap_or_else(|| Groups::new(&self.layout)),
            n_blocks: 0,
            n_groups_on_disk: 0,
        })
    }

    fn closes(&self, pane_ms: i64, barrier: &Barrier) -> bool {
        let end = pane_ms.saturating_add(self.size_ms);
        barrier.close_all || barrier.watermark_ms.is_some_and(|w| end.saturating_add(self.lateness_ms) <= w)
    }

    fn close(&mut self, pane_ms: i64, mut groups: Groups, output: &mut Output) -> Result<(), Error> {
        let all = groups.all();
        self.emit(pane_ms, &mut groups, &all, true, output)?;
        output.closed_panes.push(pane_ms);
        output.closed_ms = output.closed_ms.max(Some(pane_ms.saturating_add(self.size_ms)));
        if self.spare.len() < SPARE_MAX {
            groups.clear();
            self.spare.push(groups);
        }
        Ok(())
    }

    /// Turns groups into result rows, and into `gone` where HAVING or an error leaves them none.
    fn emit(
        &self,
        pane_ms: i64,
        groups: &mut Groups,
        which: &[u32],
        is_final: bool,
        output: &mut Output,
    ) -> Result<(), Error> {
        for chunk in which.chunks(CHUNK_GROUPS) {
            let evaluated = groups.evaluate(chunk)?;
            let keys = self.key_columns(pane_ms, groups.keys(chunk)?, chunk.len())?;
            let mut columns = keys.clone();
            columns.extend(evaluated.columns);
            let batch = RecordBatch::try_new(Arc::clone(&self.aggregate.schema), columns)?;
            let mut outcome = self.after(batch, &evaluated.failed)?;
            let end_ms = pane_ms.saturating_add(self.size_ms);
            for rows in outcome.rows {
                let timed = TimedRows {
                    times_ms: Int64Array::from_value(end_ms, rows.num_rows()),
                    rows: with_final(&rows, &self.result_schema, is_final)?,
                };
                if is_final { output.finals.push(timed) } else { output.provisionals.push(timed) }
            }
            if is_final {
                for (position, detail) in outcome.failed.drain(..) {
                    output.failed.push(FailedGroup { key_json: self.key_json(&keys, position)?, detail });
                }
            }
            if self.provisional && !outcome.gone.is_empty() {
                output.gone.push(self.gone(&keys, outcome.gone)?);
            }
        }
        Ok(())
    }

    /// The GROUP BY columns in their order, the window's included.
    fn key_columns(&self, pane_ms: i64, others: Vec<ArrayRef>, n: usize) -> Result<Vec<ArrayRef>, Error> {
        let mut others = others.into_iter();
        let mut columns = Vec::with_capacity(self.aggregate.keys.len());
        for key in &self.aggregate.keys {
            let bound_ms = match key {
                Key::WindowStart => pane_ms,
                Key::WindowEnd => pane_ms.saturating_add(self.size_ms),
                Key::Expr(_) => {
                    columns.push(others.next().expect("the layout has one key per expression"));
                    continue;
                }
            };
            columns.push(timestamps(&Int64Array::from_value(bound_ms, n), &self.time_type)?);
        }
        Ok(columns)
    }

    fn after(&self, batch: RecordBatch, failed: &[(u32, String)]) -> Result<Outcome, Error> {
        let n_groups = u32::try_from(batch.num_rows()).expect("a chunk is smaller than 2^32");
        let positions = UInt32Array::from_iter_values(0..n_groups);
        let mut rows = Rows { batch, tags: vec![Arc::new(positions)] };
        if !failed.is_empty() {
            let mut mask = vec![true; rows.len()];
            for (position, _) in failed {
                mask[*position as usize] = false;
            }
            rows = rows.filter(&mask.into())?;
        }
        let steps: &[Step] = &self.plan.after;
        let halved = halve(rows, &|rows| run_steps(steps, rows));
        let mut outcome = Outcome { rows: Vec::new(), gone: Vec::new(), failed: failed.to_vec() };
        // Two calls of a group may fail: it is one dead letter, for the first.
        outcome.failed.dedup_by_key(|(position, _)| *position);
        for (row, detail) in halved.failed {
            outcome.failed.push((row.tags[0].as_primitive::<UInt32Type>().value(0), detail));
        }
        let mut has_row = vec![false; n_groups as usize];
        for rows in halved.results {
            for position in rows.tags[0].as_primitive::<UInt32Type>().values() {
                has_row[*position as usize] = true;
            }
            if !rows.is_empty() {
                outcome.rows.push(rows.batch);
            }
        }
        outcome.gone = (0..n_groups).filter(|position| !has_row[*position as usize]).collect();
        Ok(outcome)
    }

    fn gone(&self, keys: &[ArrayRef], positions: Vec<u32>) -> Result<RecordBatch, Error> {
        let indices = UInt32Array::from(positions);
        let columns = keys.iter().map(|key| Ok(take(key, &indices, None)?)).collect::<Result<_, Error>>()?;
        Ok(RecordBatch::try_new(self.key_schema()?, columns)?)
    }

    fn key_schema(&self) -> Result<SchemaRef, Error> {
        let positions: Vec<usize> = (0..self.aggregate.keys.len()).collect();
        Ok(Arc::new(self.aggregate.schema.project(&positions)?))
    }

    /// The group's key under the names that the SELECT gave it.
    fn key_json(&self, keys: &[ArrayRef], position: u32) -> Result<String, Error> {
        let output = self.plan.output.fields();
        let names = self.plan.key.iter().map(|column| output[*column].name().as_str());
        Ok(key_json::object(names.zip(keys), position as usize)?)
    }
}

/// Result rows of some groups. Positions are those in the evaluated chunk.
struct Outcome {
    rows: Vec<RecordBatch>,
    /// Groups without a row, the failed ones included.
    gone: Vec<u32>,
    failed: Vec<(u32, String)>,
}

impl Operator for WindowOperator {
    fn batch(&mut self, batch: Batch) -> Result<(), Error> {
        match batch {
            Batch::Rows(rows) => {
                self.pane(rows.pane_ms).groups.update(rows.n_rows, &rows.keys, &rows.args, &rows.filters)?;
            }
            Batch::States { pane_ms, states } => self.pane(pane_ms).groups.merge(&states)?,
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
            let (pane_ms, pane) = entry.remove_entry();
            self.close(pane_ms, pane.groups, &mut output)?;
        }
        for (pane_ms, pane) in &mut panes {
            let changed = pane.groups.changed();
            if self.provisional && !changed.is_empty() {
                self.emit(*pane_ms, &mut pane.groups, &changed, false, &mut output)?;
            }
            pane.persist(*pane_ms, changed, self.rewrite, &mut output)?;
        }
        self.panes = panes;
        self.rewrite = false;
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.panes.values().map(|pane| pane.groups.memory_bytes()).sum()
    }
}

impl Pane {
    fn persist(
        &mut self,
        pane_ms: i64,
        changed: Vec<u32>,
        rewrite: bool,
        output: &mut Output,
    ) -> Result<(), crate::aggregate::Error> {
        if changed.is_empty() && !rewrite {
            return Ok(());
        }
        let on_disk = self.n_groups_on_disk + changed.len();
        let outgrown = 2 * self.groups.len() + BLOCKS_MAX < on_disk || BLOCKS_MAX <= self.n_blocks;
        let whole = rewrite || outgrown;
        let which = if whole { self.groups.all() } else { changed };
        let chunks = which
            .chunks(CHUNK_GROUPS)
            .map(|chunk| self.groups.state(chunk))
            .collect::<Result<Vec<_>, _>>()?;
        self.groups.clear_changed();
        self.n_blocks = chunks.len() + if whole { 0 } else { self.n_blocks };
        self.n_groups_on_disk = which.len() + if whole { 0 } else { self.n_groups_on_disk };
        output.puts.push(PanePut { pane_ms, chunks, whole });
        Ok(())
    }
}
