//! What happens to each row before any aggregation: window columns, filters, projections, and the
//! keys and arguments that the aggregation needs.
//!
//! Runs on the source subtask's thread. A row on which an expression fails is handed back with the
//! reason; the others go on.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions,
};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt32Type,
};
use datafusion::common::cast::as_boolean_array;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;

use crate::aggregate::ARRIVAL;
use crate::dataflow::plan::{Aggregate, Key, Plan, WindowColumn};
use crate::operator::expand::SourceRows;
use crate::operator::rows::{Rows, halve, run_steps, spread};
use crate::result::TimedRows;

/// The name of the system column of result tables.
pub const FINAL: &str = "_final";

/// Rows after the stateless steps.
#[derive(Debug)]
pub enum Prepared {
    /// For the aggregation. All arrays have `panes.len()` entries; `panes` are starts of panes in ms,
    /// `sides` is as in [`SourceRows`].
    Grouped {
        panes: Int64Array,
        sides: Option<Int64Array>,
        keys: Vec<ArrayRef>,
        args: Vec<Vec<ArrayRef>>,
        filters: Vec<Option<BooleanArray>>,
    },
    /// For the result table, `_final` included.
    Appended(TimedRows),
}

impl Prepared {
    /// How many rows there are.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Grouped { panes, .. } => panes.len(),
            Self::Appended(timed) => timed.rows.num_rows(),
        }
    }
}

/// A row that failed: the index of its record in its block, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRow {
    pub record: u32,
    pub detail: String,
}

/// The stateless part of a plan.
#[derive(Debug)]
pub struct Stateless {
    plan: Arc<Plan>,
    /// Scan columns, then window columns.
    input_schema: SchemaRef,
    /// Output columns, then `_final`.
    result_schema: SchemaRef,
    /// Whether a call orders its rows by arrival.
    by_arrival: bool,
}

impl Stateless {
    /// The stateless part of `plan`.
    #[must_use]
    pub fn new(plan: &Arc<Plan>) -> Self {
        let mut fields: Vec<_> = plan.scan_schema.fields().iter().cloned().collect();
        if let Some(window) = &plan.window {
            let time_type = plan.scan_schema.field(plan.event_time).data_type();
            fields.extend(
                window
                    .columns
                    .iter()
                    .map(|column| Arc::new(Field::new(name_of(*column), time_type.clone(), false))),
            );
        }
        Self {
            plan: Arc::clone(plan),
            input_schema: Arc::new(Schema::new(fields)),
            result_schema: result_schema(&plan.output),
            by_arrival: plan.aggregate.iter().flat_map(|a| &a.calls).any(|call| call.function.by_arrival()),
        }
    }

    /// Runs one decoded batch of a partition; `offsets` has one entry per record of its block.
    ///
    /// # Errors
    /// Broken logic only: a batch that does not fit the plan.
    pub fn run(
        &self,
        source: SourceRows,
        partition: i32,
        offsets: &[i64],
    ) -> Result<(Vec<Prepared>, Vec<FailedRow>), DataFusionError> {
        let SourceRows { batch, panes, sides, times_ms, records } = source;
        let mut columns = batch.columns().to_vec();
        if let Some(window) = &self.plan.window {
            let time_type = batch.column(self.plan.event_time).data_type();
            for column in &window.columns {
                columns.push(window_column(*column, &panes, window.size_ms, time_type)?);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.input_schema), columns, &options)?;
        let time_tag = if self.plan.aggregate.is_some() { panes } else { times_ms };
        let mut tags: Vec<ArrayRef> = vec![Arc::new(time_tag), Arc::new(records.clone())];
        if self.by_arrival {
            let offsets = records.values().iter().map(|record| offsets[*record as usize]);
            tags.push(cast(batch.column(self.plan.event_time), &DataType::Int64)?);
            tags.push(Arc::new(Int32Array::from_value(partition, batch.num_rows())));
            tags.push(Arc::new(Int64Array::from_iter_values(offsets)));
        }
        tags.extend(sides.map(|sides| Arc::new(sides) as ArrayRef));
        let rows = Rows { batch, tags };
        let halved = halve(rows, &|rows| self.prepare(rows));
        let failed = halved
            .failed
            .into_iter()
            .map(|(row, detail)| FailedRow {
                record: row.tags[1].as_primitive::<UInt32Type>().value(0),
                detail,
            })
            .collect();
        Ok((halved.results.into_iter().flatten().collect(), failed))
    }

    fn prepare(&self, rows: Rows) -> Result<Option<Prepared>, DataFusionError> {
        let rows = run_steps(&self.plan.before, rows)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let times = rows.tags[0].as_primitive::<Int64Type>().clone();
        Ok(Some(match &self.plan.aggregate {
            Some(aggregate) => {
                let n_arrival = if self.by_arrival { ARRIVAL.len() } else { 0 };
                let (arrival, sides) = rows.tags[2..].split_at(n_arrival);
                let sides = sides.first().map(|sides| sides.as_primitive::<Int64Type>().clone());
                grouped(aggregate, &rows.batch, times, sides, arrival)?
            }
            None => Prepared::Appended(TimedRows {
                rows: with_final(&rows.batch, &self.result_schema, true)?,
                times_ms: times,
            }),
        }))
    }
}

/// The schema of a result table: the SELECT's columns, then `_final`.
#[must_use]
pub fn result_schema(output: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<_> = output.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(FINAL, DataType::Boolean, false)));
    Arc::new(Schema::new(fields))
}

/// `batch` with the column `_final`.
///
/// # Errors
/// Where the batch does not have the columns of `result_schema`.
pub fn with_final(
    batch: &RecordBatch,
    result_schema: &SchemaRef,
    is_final: bool,
) -> Result<RecordBatch, DataFusionError> {
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(BooleanArray::from(vec![is_final; batch.num_rows()])));
    Ok(RecordBatch::try_new(Arc::clone(result_schema), columns)?)
}

/// How many units of a timestamp type make a millisecond; `None` for other types and for seconds,
/// in which window bounds can't be told.
#[must_use]
pub fn units_per_ms(time_type: &DataType) -> Option<i64> {
    match time_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1_000_000),
        _ => None,
    }
}

/// Times in milliseconds as a timestamp array of `time_type`.
///
/// # Errors
/// Where `time_type` has no [`units_per_ms`].
pub fn timestamps(times_ms: &Int64Array, time_type: &DataType) -> Result<ArrayRef, DataFusionError> {
    fn make<T: ArrowTimestampType>(times_ms: &Int64Array, per_ms: i64, time_type: &DataType) -> ArrayRef {
        let values = times_ms.unary::<_, T>(|ms| ms.saturating_mul(per_ms));
        let array: PrimitiveArray<T> = values.with_data_type(time_type.clone());
        Arc::new(array)
    }
    let per_ms = units_per_ms(time_type)
        .ok_or_else(|| DataFusionError::Internal(format!("{time_type} can't hold window bounds")))?;
    Ok(match time_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            make::<TimestampMicrosecondType>(times_ms, per_ms, time_type)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            make::<TimestampNanosecondType>(times_ms, per_ms, time_type)
        }
        _ => make::<TimestampMillisecondType>(times_ms, per_ms, time_type),
    })
}

fn name_of(column: WindowColumn) -> &'static str {
    match column {
        WindowColumn::Start => "window_start",
        WindowColumn::End => "window_end",
        WindowColumn::Time => "window_time",
    }
}

fn window_column(
    column: WindowColumn,
    panes: &Int64Array,
    size_ms: i64,
    time_type: &DataType,
) -> Result<ArrayRef, DataFusionError> {
    let shift = match column {
        WindowColumn::Start => 0,
        WindowColumn::End => size_ms,
        WindowColumn::Time => size_ms - 1,
    };
    timestamps(&panes.unary::<_, Int64Type>(|start| start.saturating_add(shift)), time_type)
}

fn grouped(
    aggregate: &Aggregate,
    batch: &RecordBatch,
    panes: Int64Array,
    sides: Option<Int64Array>,
    arrival: &[ArrayRef],
) -> Result<Prepared, DataFusionError> {
    let evaluate = |expr: &Arc<dyn PhysicalExpr>| spread(expr.evaluate(batch)?, batch.num_rows());
    let mut keys = Vec::new();
    for key in &aggregate.keys {
        if let Key::Expr(expr) = key {
            keys.push(evaluate(expr)?);
        }
    }
    let mut args = Vec::with_capacity(aggregate.calls.len());
    let mut filters = Vec::with_capacity(aggregate.calls.len());
    for call in &aggregate.calls {
        let filter = call
            .filter
            .as_ref()
            .map(|expr| Ok::<_, DataFusionError>(as_boolean_array(&evaluate(expr)?)?.clone()));
        let filter = filter.transpose()?;
        let argument = |expr| argument(expr, batch, filter.as_ref());
        let mut call_args = call.args.iter().map(argument).collect::<Result<Vec<_>, _>>()?;
        if call.function.by_arrival() {
            call_args.extend(arrival.iter().cloned());
        }
        args.push(call_args);
        filters.push(filter);
    }
    Ok(Prepared::Grouped { panes, sides, keys, args, filters })
}

/// An argument of a call. Rows that its FILTER keeps from it don't fail: for them it is null.
fn argument(
    expr: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    filter: Option<&BooleanArray>,
) -> Result<ArrayRef, DataFusionError> {
    let value = match (expr.evaluate(batch), filter) {
        (Err(_), Some(filter)) if filter.null_count() == 0 => expr.evaluate_selection(batch, filter)?,
        (Err(_), Some(filter)) => expr.evaluate_selection(batch, &prep_null_mask_filter(filter))?,
        (value, _) => value?,
    };
    spread(value, batch.num_rows())
}
