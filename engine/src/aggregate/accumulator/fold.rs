//! Aggregates whose state is one value, added to row by row: sums and extremes.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::DataType;

use super::{Accumulator, Input, each_value, gather, primitive, selection, unseen_nulls};
use crate::aggregate::Error;

/// What [`Fold`] does with values.
pub(super) trait Op: Send + Sync + 'static {
    type Arg: ArrowPrimitiveType;
    type State: ArrowPrimitiveType;
    type Result: ArrowPrimitiveType;

    /// The name of the state column.
    const NAME: &'static str;
    /// The state of a group without values.
    const EMPTY: StateOf<Self>;

    fn state_type(&self) -> DataType;
    fn result_type(&self) -> DataType;
    fn add(state: &mut StateOf<Self>, value: <Self::Arg as ArrowPrimitiveType>::Native);
    /// `other` into an empty state gives `other`.
    fn merge(state: &mut StateOf<Self>, other: StateOf<Self>);
    /// The result, or why there is none.
    fn finish(&self, state: StateOf<Self>) -> Result<<Self::Result as ArrowPrimitiveType>::Native, String>;
}

pub(super) type StateOf<O> = <<O as Op>::State as ArrowPrimitiveType>::Native;

pub(super) struct Fold<O: Op> {
    op: Arc<O>,

    values: Vec<StateOf<O>>,
    /// Whether the group has a value; without, its result is null.
    seen: Vec<bool>,
}

impl<O: Op> Fold<O> {
    pub(super) fn new(op: O) -> Self {
        Self::with_op(Arc::new(op))
    }

    fn with_op(op: Arc<O>) -> Self {
        Self { op, values: Vec::new(), seen: Vec::new() }
    }
}

impl<O: Op> Accumulator for Fold<O> {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![(O::NAME.to_owned(), self.op.state_type())]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::with_op(Arc::clone(&self.op)))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.values.resize(n_groups, O::EMPTY);
        self.seen.resize(n_groups, false);
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let array = primitive::<O::Arg>(&input.args[0])?;
        let selected = selection(array, input.filter);
        // As many as there are values, which saves a look at each.
        let values = &mut self.values[..];
        let seen = &mut self.seen[..values.len()];
        each_value(input.groups, array.values(), selected.as_ref(), |group, value| {
            O::add(&mut values[group], value);
            seen[group] = true;
        });
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let array = primitive::<O::State>(&states[0])?;
        let selected = selection(array, None);
        let (values, seen) = (&mut self.values[..], &mut self.seen[..]);
        each_value(groups, array.values(), selected.as_ref(), |group, value| {
            O::merge(&mut values[group], value);
            seen[group] = true;
        });
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            self.values[*group as usize] = O::EMPTY;
            self.seen[*group as usize] = false;
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let result = |(at, group): (u32, &u32)| {
            let group = *group as usize;
            if !self.seen[group] {
                return None;
            }
            match self.op.finish(self.values[group]) {
                Ok(value) => Some(value),
                Err(detail) => {
                    failed.push((at, detail));
                    None
                }
            }
        };
        let array: PrimitiveArray<O::Result> = (0_u32..).zip(groups).map(result).collect();
        Ok(Arc::new(array.with_data_type(self.op.result_type())))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let values = gather(groups, &self.values);
        let array = PrimitiveArray::<O::State>::new(values.into(), unseen_nulls(groups, &self.seen));
        columns.push(Arc::new(array.with_data_type(self.op.state_type())));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<StateOf<O>>() + self.seen.capacity()
    }

    fn clear(&mut self) {
        self.values.clear();
        self.seen.clear();
    }
}
