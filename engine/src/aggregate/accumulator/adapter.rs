//! Any DataFusion aggregate: a row accumulator per group.
//!
//! Invariant: DataFusion's `evaluate` reads an accumulator, but its `state` consumes it; so every
//! `state` here rebuilds the accumulator from what was taken.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::logical_expr::{Accumulator as RowAccumulator, AggregateUDF};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::scalar::ScalarValue;

use super::{Accumulator, Input};
use crate::aggregate::column::cast_to;
use crate::aggregate::{CallSpec, Error};

pub(super) struct Adapter {
    function: Arc<AggregateFunctionExpr>,
    state_fields: Vec<FieldRef>,
    result_type: DataType,

    groups: Vec<Box<dyn RowAccumulator>>,
    /// Sizes of the accumulators, as of their last change.
    heap_bytes: usize,
}

/// DataFusion's aggregate over the function's own arguments of a call. `within`: the order of WITHIN
/// GROUP.
///
/// # Errors
/// [`Error::Unsupported`] where DataFusion has no such accumulator.
pub(super) fn function_of(
    call: &CallSpec,
    udf: Arc<AggregateUDF>,
    within: Option<SortOptions>,
) -> Result<AggregateFunctionExpr, Error> {
    let own = &call.args[..call.n_values()];
    let fields = own.iter().enumerate().map(|(i, arg)| {
        Field::new(format!("arg_{i}"), arg.field.data_type().clone(), arg.field.is_nullable())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let args = own.iter().enumerate().map(|(i, arg)| match &arg.constant {
        Some(value) => Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>,
        None => Arc::new(Column::new(&format!("arg_{i}"), i)),
    });
    let args: Vec<_> = args.collect();
    let order_by =
        within.zip(args.first()).map(|(options, arg)| PhysicalSortExpr::new(Arc::clone(arg), options));
    let builder = AggregateExprBuilder::new(udf, args).schema(schema).alias("call");
    let function =
        builder.order_by(order_by.into_iter().collect()).build().map_err(|_| call.unsupported())?;
    function.create_accumulator().map_err(|_| call.unsupported())?;
    Ok(function)
}

/// Values as a column of `data_type`; some may be of another type of the same meaning.
pub(super) fn column_of(data_type: &DataType, values: Vec<ScalarValue>) -> Result<ArrayRef, Error> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    let same = values.iter().all(|value| value.data_type() == values[0].data_type());
    if same {
        return Ok(ScalarValue::iter_to_array(values)?);
    }
    let values = values.iter().map(|value| value.cast_to(data_type)).collect::<Result<Vec<_>, _>>()?;
    Ok(ScalarValue::iter_to_array(values)?)
}

impl Adapter {
    /// # Errors
    /// [`Error::Unsupported`] where DataFusion has no such accumulator.
    pub(super) fn new(call: &CallSpec, udf: Arc<AggregateUDF>) -> Result<Self, Error> {
        let function = Arc::new(function_of(call, udf, None)?);
        let state_fields = function.state_fields().map_err(|_| call.unsupported())?;
        let result_type = function.field().data_type().clone();
        Ok(Self::with_function(function, state_fields, result_type))
    }

    fn with_function(
        function: Arc<AggregateFunctionExpr>,
        state_fields: Vec<FieldRef>,
        result_type: DataType,
    ) -> Self {
        Self { function, state_fields, result_type, groups: Vec::new(), heap_bytes: 0 }
    }

    /// Gives each group its rows of `columns`, as one call each.
    fn for_each_group(
        &mut self,
        groups: &[u32],
        selected: Option<&BooleanBuffer>,
        columns: &[ArrayRef],
        add: impl Fn(&mut dyn RowAccumulator, &[ArrayRef]) -> datafusion::error::Result<()>,
    ) -> Result<(), Error> {
        let mut sorted: Vec<(u32, u32)> = match selected {
            None => (0_u32..).zip(groups).map(|(row, group)| (*group, row)).collect(),
            Some(selected) => selected.set_indices_u32().map(|row| (groups[row as usize], row)).collect(),
        };
        sorted.sort_unstable();
        let rows = UInt32Array::from_iter_values(sorted.iter().map(|(_, row)| *row));
        let columns: Vec<_> =
            columns.iter().map(|column| take(column, &rows, None)).collect::<Result<_, _>>()?;
        let mut start = 0;
        for rows in sorted.chunk_by(|a, b| a.0 == b.0) {
            let group = &mut self.groups[rows[0].0 as usize];
            let slices: Vec<_> = columns.iter().map(|column| column.slice(start, rows.len())).collect();
            start += rows.len();
            let size_before = group.size();
            add(group.as_mut(), &slices)?;
            self.heap_bytes = self.heap_bytes.saturating_sub(size_before) + group.size();
        }
        Ok(())
    }
}

impl Accumulator for Adapter {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        let field = |(i, field): (usize, &FieldRef)| (format!("state_{i}"), field.data_type().clone());
        self.state_fields.iter().enumerate().map(field).collect()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        let fields = self.state_fields.clone();
        Box::new(Self::with_function(Arc::clone(&self.function), fields, self.result_type.clone()))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        while self.groups.len() < n_groups {
            let group = self.function.create_accumulator()?;
            self.heap_bytes += group.size();
            self.groups.push(group);
        }
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        self.for_each_group(input.groups, input.filter, input.args, |group, args| group.update_batch(args))
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        self.for_each_group(groups, None, states, |group, states| group.merge_batch(states))
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for index in groups {
            let group = &mut self.groups[*index as usize];
            self.heap_bytes = self.heap_bytes.saturating_sub(group.size());
            *group = self.function.create_accumulator()?;
            self.heap_bytes += group.size();
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let mut values = Vec::with_capacity(groups.len());
        for (at, index) in (0_u32..).zip(groups) {
            match self.groups[*index as usize].evaluate() {
                Ok(value) => values.push(value),
                Err(error) => {
                    failed.push((at, error.strip_backtrace()));
                    values.push(ScalarValue::try_from(&self.result_type)?);
                }
            }
        }
        column_of(&self.result_type, values)
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let mut fields: Vec<Vec<ScalarValue>> =
            vec![Vec::with_capacity(groups.len()); self.state_fields.len()];
        for index in groups {
            let group = &mut self.groups[*index as usize];
            let size_before = group.size();
            let state = group.state()?;
            let arrays = state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>, _>>()?;
            *group = self.function.create_accumulator()?;
            group.merge_batch(&arrays)?;
            self.heap_bytes = self.heap_bytes.saturating_sub(size_before) + group.size();
            fields.iter_mut().zip(state).for_each(|(values, value)| values.push(value));
        }
        for (values, field) in fields.into_iter().zip(&self.state_fields) {
            columns.push(cast_to(&column_of(field.data_type(), values)?, field.data_type())?);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Box<dyn RowAccumulator>>() + self.heap_bytes
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.heap_bytes = 0;
    }
}
