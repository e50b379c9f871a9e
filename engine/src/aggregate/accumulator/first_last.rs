//! `first_value` and `last_value`: of each group the one row that is first or last in the call's order.
//!
//! Invariant: rows are ordered totally (ORDER BY, event time, partition, offset), so that neither batches
//! nor the order of merging decide which row it is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::Rows;

use super::codec::RowCodec;
use super::{Accumulator, Input, selection};
use crate::aggregate::{CallSpec, Error, Order};

pub(super) struct FirstLast {
    codec: Arc<RowCodec>,
    last: bool,
    ignore_nulls: bool,

    /// The row of each group; empty without one. Its allocation is reused by the next row.
    rows: Vec<Vec<u8>>,
    /// Capacities of `rows`' elements.
    heap_bytes: usize,
}

impl FirstLast {
    /// # Errors
    /// [`Error::Unsupported`] where rows of these types can't be sorted.
    pub(super) fn new(call: &CallSpec, order: &Order, last: bool, ignore_nulls: bool) -> Result<Self, Error> {
        Ok(Self::with_codec(Arc::new(RowCodec::new(call, order)?), last, ignore_nulls))
    }

    fn with_codec(codec: Arc<RowCodec>, last: bool, ignore_nulls: bool) -> Self {
        Self { codec, last, ignore_nulls, rows: Vec::new(), heap_bytes: 0 }
    }

    fn add(&mut self, groups: &[u32], rows: &Rows, selected: Option<&BooleanBuffer>) {
        let mut add = |row: usize| {
            let kept = &mut self.rows[groups[row] as usize];
            let row = rows.row(row);
            let row = row.data();
            let better = kept.is_empty() || if self.last { &kept[..] < row } else { row < &kept[..] };
            if better {
                self.heap_bytes -= kept.capacity();
                kept.clear();
                kept.extend_from_slice(row);
                self.heap_bytes += kept.capacity();
            }
        };
        match selected {
            None => (0..groups.len()).for_each(&mut add),
            Some(selected) => selected.set_indices().for_each(&mut add),
        }
    }

    /// The columns of the groups' rows, all null for a group without one.
    fn columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, Error> {
        let rows = groups.iter().map(|group| &self.rows[*group as usize][..]);
        let columns = self.codec.decode(rows.clone().filter(|row| !row.is_empty()))?;
        let mut next = 0..;
        let indices: UInt32Array = rows.map(|row| if row.is_empty() { None } else { next.next() }).collect();
        if indices.null_count() == 0 {
            return Ok(columns);
        }
        Ok(columns.iter().map(|column| take(column, &indices, None)).collect::<Result<_, _>>()?)
    }
}

impl Accumulator for FirstLast {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        self.codec.columns().iter().map(|column| (column.name.clone(), column.data_type.clone())).collect()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::with_codec(Arc::clone(&self.codec), self.last, self.ignore_nulls))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.rows.resize(n_groups, Vec::new());
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let selected = match self.ignore_nulls {
            true => selection(&input.args[0], input.filter),
            false => input.filter.cloned(),
        };
        let rows = self.codec.encode(input.args)?;
        self.add(input.groups, &rows, selected.as_ref());
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let rows = self.codec.encode_columns(states)?;
        // Event times are never null in a row.
        let arrival = self.codec.arrival();
        self.add(groups, &rows, selection(&states[arrival], None).as_ref());
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            let row = std::mem::take(&mut self.rows[*group as usize]);
            self.heap_bytes -= row.capacity();
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], _: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let columns = self.columns(groups)?;
        let mut values = self.codec.values(&columns).map(|(_, column)| Arc::clone(column));
        Ok(values.next().expect("a row has the function's first argument"))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        columns.extend(self.columns(groups)?);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Vec<u8>>() + self.heap_bytes
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.heap_bytes = 0;
    }
}
