//! `min` and `max` of text and bytes, ordered by their bytes.

use arrow::array::{ArrayRef, BinaryArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;

use super::{Accumulator, Downcast, Input, selection};
use crate::aggregate::Error;
use crate::aggregate::column::{cast_to, text_array};

pub(super) struct TextExtreme {
    data_type: DataType,
    largest: bool,

    /// The extreme of each group; its allocation is reused by the next one.
    values: Vec<Option<Vec<u8>>>,
    /// Capacities of `values`' elements.
    heap_bytes: usize,
}

impl TextExtreme {
    pub(super) fn new(data_type: &DataType, largest: bool) -> Self {
        Self { data_type: data_type.clone(), largest, values: Vec::new(), heap_bytes: 0 }
    }

    fn add(&mut self, groups: &[u32], array: &ArrayRef, filter: Option<&BooleanBuffer>) -> Result<(), Error> {
        let array = cast_to(array, &DataType::Binary)?;
        let array: &BinaryArray = array.downcast_ref_or_mismatch()?;
        let mut add = |row: usize| {
            let value = array.value(row);
            let slot = &mut self.values[groups[row] as usize];
            match slot {
                None => {
                    *slot = Some(value.to_vec());
                    self.heap_bytes += value.len();
                }
                Some(kept) => {
                    let better = if self.largest { value > &kept[..] } else { value < &kept[..] };
                    if better {
                        self.heap_bytes -= kept.capacity();
                        kept.clear();
                        kept.extend_from_slice(value);
                        self.heap_bytes += kept.capacity();
                    }
                }
            }
        };
        match selection(array, filter) {
            None => (0..groups.len()).for_each(&mut add),
            Some(selected) => selected.set_indices().for_each(&mut add),
        }
        Ok(())
    }

    fn results(&self, groups: &[u32]) -> Result<ArrayRef, Error> {
        let values = groups.iter().map(|group| self.values[*group as usize].as_deref());
        text_array(&self.data_type, values)
    }
}

impl Accumulator for TextExtreme {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("value".to_owned(), self.data_type.clone())]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::new(&self.data_type, self.largest))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.values.resize(n_groups, None);
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        self.add(input.groups, &input.args[0], input.filter)
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        self.add(groups, &states[0], None)
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            if let Some(value) = self.values[*group as usize].take() {
                self.heap_bytes -= value.capacity();
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], _: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        self.results(groups)
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        columns.push(self.results(groups)?);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Vec<u8>>>() + self.heap_bytes
    }

    fn clear(&mut self) {
        self.values.clear();
        self.heap_bytes = 0;
    }
}
