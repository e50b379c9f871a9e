//! From the groups of a window to result rows: evaluate, run the steps behind the aggregation.
//!
//! Invariants:
//! 1. Evaluating reads the accumulators and changes nothing: provisional rows cost no exactness.
//! 2. A group makes one row, or is `gone`; of a final window a group that fails is a dead letter.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef, UInt32Type};

use crate::aggregate::{Groups, Layout};
use crate::dataflow::plan::{Aggregate, Key, Plan, Step};
use crate::operator::key_json;
use crate::operator::pane::CHUNK_GROUPS;
use crate::operator::rows::{Rows, halve, run_steps};
use crate::operator::stateless::{result_schema, timestamps, with_final};
use crate::operator::{Error, FailedGroup, Output};
use crate::result::TimedRows;

/// What is behind the aggregation of a plan.
pub(super) struct Emitter {
    plan: Arc<Plan>,
    pub(super) aggregate: Aggregate,
    size_ms: i64,
    provisional: bool,
    result_schema: SchemaRef,
    time_type: DataType,
}

/// Layout of a plan's aggregation: its keys other than the window's, and its calls. `group_bytes_max`: what
/// a call that keeps rows keeps of a group.
///
/// # Errors
/// Where a call has no accumulator.
pub fn layout_of(aggregate: &Aggregate, group_bytes_max: usize) -> Result<Arc<Layout>, Error> {
    let fields = aggregate.schema.fields();
    let keys = aggregate.keys.iter().zip(fields).filter(|(key, _)| matches!(key, Key::Expr(_)));
    let keys = keys.map(|(_, field)| Arc::clone(field)).collect();
    Ok(Layout::with_group_bytes(keys, &aggregate.calls, group_bytes_max)?)
}

impl Emitter {
    /// # Panics
    /// If the plan has no window or no aggregation.
    pub(super) fn new(plan: &Arc<Plan>, provisional: bool) -> Self {
        let aggregate =
            plan.aggregate.clone().expect("only plans with an aggregation have a window operator");
        let window = plan.window.as_ref().expect("the planner refuses an aggregation without a window");
        Self {
            size_ms: window.size_ms,
            provisional,
            result_schema: result_schema(&plan.output),
            time_type: plan.scan_schema.field(plan.event_time).data_type().clone(),
            plan: Arc::clone(plan),
            aggregate,
        }
    }

    /// Turns groups into result rows, and into `gone` where HAVING or an error leaves them none.
    pub(super) fn emit(
        &self,
        window_ms: i64,
        groups: &mut Groups,
        which: &[u32],
        is_final: bool,
        output: &mut Output,
    ) -> Result<(), Error> {
        for chunk in groups.runs(which, CHUNK_GROUPS) {
            let evaluated = groups.evaluate(chunk)?;
            let keys = self.key_columns(window_ms, groups.keys(chunk)?, chunk.len())?;
            let mut columns = keys.clone();
            columns.extend(evaluated.columns);
            let batch = RecordBatch::try_new(Arc::clone(&self.aggregate.schema), columns)?;
            let mut outcome = self.after(batch, &evaluated.failed)?;
            let end_ms = window_ms.saturating_add(self.size_ms);
            for rows in outcome.rows {
                let timed = TimedRows {
                    times_ms: Int64Array::from_value(end_ms, rows.num_rows()),
                    rows: with_final(&rows, &self.result_schema, is_final)?,
                };
                if is_final { output.finals.push(timed) } else { output.provisionals.push(timed) }
            }
            if is_final {
                for (position, detail) in outcome.failed.drain(..) {
                    let (key_json, detail) =
                        (self.key_json(&keys, position)?, self.plan.shown_failure(detail));
                    output.failed.push(FailedGroup { key_json, detail });
                }
            }
            if self.provisional && !outcome.gone.is_empty() {
                output.gone.push(self.gone(&keys, outcome.gone)?);
            }
        }
        Ok(())
    }

    /// The GROUP BY columns in their order, the window's included.
    fn key_columns(&self, window_ms: i64, others: Vec<ArrayRef>, n: usize) -> Result<Vec<ArrayRef>, Error> {
        let mut others = others.into_iter();
        let mut columns = Vec::with_capacity(self.aggregate.keys.len());
        for key in &self.aggregate.keys {
            let bound_ms = match key {
                Key::WindowStart => window_ms,
                Key::WindowEnd => window_ms.saturating_add(self.size_ms),
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
