//! `sum` of ad-hoc queries: DataFusion's, which wraps, over a type so wide that it can't, and back.
//!
//! Invariants:
//! 1. A sum that does not fit its type fails the query; what comes back into range on the way fits.
//! 2. Partial sums travel in the wide type.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// `functions`, with a `sum` that fails instead of wrapping.
#[must_use]
pub fn exact(functions: Vec<Arc<AggregateUDF>>) -> Vec<Arc<AggregateUDF>> {
    let exact = |function: Arc<AggregateUDF>| match function.name() {
        "sum" => Arc::new(AggregateUDF::from(ExactSum { inner: function })),
        _ => function,
    };
    functions.into_iter().map(exact).collect()
}

/// In which a sum of this type never overflows; `None` for floats and durations.
fn wide(result: &DataType) -> Option<DataType> {
    match result {
        DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal128(38, 0)),
        DataType::Decimal128(_, scale) => Some(DataType::Decimal256(76, *scale)),
        _ => None,
    }
}

fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    inner: Arc<AggregateUDF>,
}

impl ExactSum {
    fn types(args: &AccumulatorArgs<'_>) -> Option<(FieldRef, DataType)> {
        let result = args.return_field.data_type();
        Some((Arc::new(Field::new(args.name, wide(result)?, true)), result.clone()))
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some((field, result)) = Self::types(&args) else { return self.inner.accumulator(args) };
        let wide = field.data_type().clone();
        let inner = self.inner.accumulator(AccumulatorArgs { return_field: field, ..args })?;
        Ok(Box::new(Widened { inner, wide, result }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some((field, result)) = Self::types(&args) else {
            return self.inner.create_sliding_accumulator(args);
        };
        let wide = field.data_type().clone();
        let of_all = AccumulatorArgs { return_field: field, is_distinct: false, ..args };
        let inner = self.inner.create_sliding_accumulator(of_all)?;
        let inner = Widened { inner, wide, result };
        Ok(if args.is_distinct {
            Box::new(Distinct { inner, counts: HashMap::new() })
        } else {
            Box::new(inner)
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        match wide(args.return_field.data_type()) {
            Some(wide) => {
                let return_field = Arc::new(Field::new(args.name, wide, true));
                self.inner.state_fields(StateFieldsArgs { return_field, ..args })
            }
            None => self.inner.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let Some((field, result)) = Self::types(&args) else {
            return self.inner.create_groups_accumulator(args);
        };
        let wide = field.data_type().clone();
        let inner = self.inner.create_groups_accumulator(AccumulatorArgs { return_field: field, ..args })?;
        Ok(Box::new(Widened { inner, wide, result }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// An accumulator of the wide type whose result is of another.
#[derive(Debug)]
struct Widened<T> {
    inner: T,
    wide: DataType,
    result: DataType,
}

impl<T> Widened<T> {
    fn widened(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(|array| converted(array, &self.wide)).collect()
    }
}

impl Accumulator for Widened<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.widened(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = converted(&self.inner.evaluate()?.to_array()?, &self.result)?;
        ScalarValue::try_from_array(&sum, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// A sum over a frame that moves, in which equal values count once.
#[derive(Debug)]
struct Distinct {
    inner: Widened<Box<dyn Accumulator>>,
    /// How often each value is in the frame.
    counts: HashMap<ScalarValue, usize>,
}

impl Distinct {
    /// Values that are not null.
    fn values(columns: &[ArrayRef]) -> impl Iterator<Item = Result<(usize, ScalarValue)>> {
        let column = &columns[0];
        let is_there = |row: &usize| column.is_valid(*row);
        (0..column.len()).filter(is_there).map(|row| Ok((row, ScalarValue::try_from_array(column, row)?)))
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in Self::values(values) {
            let (row, value) = value?;
            let count = self.counts.entry(value).or_default();
            *count += 1;
            if *count == 1 {
                self.inner.update_batch(&[values[0].slice(row, 1)])?;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in Self::values(values) {
            let (row, value) = value?;
            let Some(count) = self.counts.get_mut(&value) else {
                return internal_err!("{value} was never in the frame");
            };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
                self.inner.retract_batch(&[values[0].slice(row, 1)])?;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        self.inner.size() + self.counts.capacity() * size_of::<(ScalarValue, usize)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame is not computed in parts")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("a frame is not computed in parts")
    }
}

impl GroupsAccumulator for Widened<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.widened(values)?, group_indices, filter, n_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        converted(&self.inner.evaluate(emit_to)?, &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], n_groups: usize) -> Result<()> {
        self.inner.merge_batch(states, group_indices, n_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
