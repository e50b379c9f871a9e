//! `bool_and` and `bool_or`; `min` and `max` of booleans are the same.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;

use super::{Accumulator, Downcast, Input, selection};
use crate::aggregate::Error;

/// Bits of a group's state.
const SEEN_FALSE: u8 = 1;
const SEEN_TRUE: u8 = 2;

pub(super) struct Bools {
    /// The value that decides the result as soon as it was seen: false for "and".
    decisive: bool,

    seen: Vec<u8>,
}

impl Bools {
    pub(super) fn and() -> Self {
        Self { decisive: false, seen: Vec::new() }
    }

    pub(super) fn or() -> Self {
        Self { decisive: true, seen: Vec::new() }
    }

    fn add(&mut self, groups: &[u32], array: &ArrayRef, filter: Option<&BooleanBuffer>) -> Result<(), Error> {
        let array: &BooleanArray = array.downcast_ref_or_mismatch()?;
        let values = array.values();
        let mut add = |row: usize| {
            let seen = if values.value(row) { SEEN_TRUE } else { SEEN_FALSE };
            self.seen[groups[row] as usize] |= seen;
        };
        match selection(array, filter) {
            None => (0..groups.len()).for_each(&mut add),
            Some(selected) => selected.set_indices().for_each(&mut add),
        }
        Ok(())
    }

    fn results(&self, groups: &[u32]) -> ArrayRef {
        let seen = |i: usize| self.seen[groups[i] as usize];
        let decisive = if self.decisive { SEEN_TRUE } else { SEEN_FALSE };
        let values =
            BooleanBuffer::collect_bool(groups.len(), |i| (seen(i) & decisive != 0) == self.decisive);
        let valid = BooleanBuffer::collect_bool(groups.len(), |i| seen(i) != 0);
        Arc::new(BooleanArray::new(values, Some(NullBuffer::new(valid))))
    }
}

impl Accumulator for Bools {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("value".to_owned(), DataType::Boolean)]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self { decisive: self.decisive, seen: Vec::new() })
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.seen.resize(n_groups, 0);
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        self.add(input.groups, &input.args[0], input.filter)
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        self.add(groups, &states[0], None)
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        groups.iter().for_each(|group| self.seen[*group as usize] = 0);
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], _: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        Ok(self.results(groups))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        columns.push(self.results(groups));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.seen.capacity()
    }

    fn clear(&mut self) {
        self.seen.clear();
    }
}
