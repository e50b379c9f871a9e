//! `count(*)` and `count(x)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int64Type};

use super::{Accumulator, Input, each_value, gather, primitive, selection};
use crate::aggregate::{Error, each_group};

#[derive(Default)]
pub(super) struct Count {
    counts: Vec<i64>,
}

impl Accumulator for Count {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("count".to_owned(), DataType::Int64)]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::default())
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.counts.resize(n_groups, 0);
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        // Of several arguments none may be null.
        let mut selected = input.filter.cloned();
        for arg in input.args {
            selected = selection(arg, selected.as_ref());
        }
        count_rows(input.groups, selected.as_ref(), &mut self.counts);
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let values = primitive::<Int64Type>(&states[0])?.values();
        let counts = &mut self.counts;
        each_value(groups, values, selection(&states[0], None).as_ref(), |group, count| {
            counts[group] = counts[group].wrapping_add(count);
        });
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        groups.iter().for_each(|group| self.counts[*group as usize] = 0);
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], _: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        Ok(Arc::new(Int64Array::from(gather(groups, &self.counts))))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        columns.push(Arc::new(Int64Array::from(gather(groups, &self.counts))));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }

    fn clear(&mut self) {
        self.counts.clear();
    }
}

/// Adds 1 per selected row.
pub(super) fn count_rows(groups: &[u32], selected: Option<&BooleanBuffer>, counts: &mut [i64]) {
    match selected {
        None => each_group(groups, |group| counts[group] += 1),
        Some(selected) => selected.set_indices().for_each(|row| counts[groups[row] as usize] += 1),
    }
}
