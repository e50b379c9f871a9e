//! DataFusion aggregates whose result depends on the order of rows or on all of them: the rows are kept,
//! and the aggregate runs over them, sorted, when it is read.
//!
//! Invariants:
//! 1. Rows are given in an order that is the same in every run: by ORDER BY and arrival, or, where only
//!    the values count, by value. So the result is the same whatever the batches and the parallelism.
//! 2. A group holds at most [`GROUP_BYTES_MAX`]. One that had more in all holds nothing and has no result,
//!    and that depends on its rows only: sums of sizes do not depend on their order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::scalar::ScalarValue;

use super::adapter::{column_of, function_of};
use super::codec::RowCodec;
use super::{Accumulator, Downcast, Input, primitive, selection};
use crate::aggregate::column::cast_to;
use crate::aggregate::{CallSpec, Error, Order};

/// Most bytes of rows that one call keeps of one group. A median over 1.8 million integers fits, or an
/// `array_agg` of some 400,000. Larger: fewer groups go without a result, and a single one takes more of
/// the memory and makes every epoch that changes it slower.
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;
/// What a row takes beside its bytes.
const ROW_OVERHEAD_BYTES: usize = size_of::<u32>();

pub(super) struct Collect {
    call: Arc<Collected>,

    groups: Vec<Group>,
    /// Capacities of the groups.
    heap_bytes: usize,
}

/// What all panes share.
struct Collected {
    codec: RowCodec,
    function: AggregateFunctionExpr,
    /// Of the function's arguments: type, and value where it is a constant.
    args: Vec<(DataType, Option<ScalarValue>)>,
    ignore_nulls: bool,
    row_fields: Fields,
    result_type: DataType,
}

/// The rows of one group, in no order.
#[derive(Default, Clone)]
struct Group {
    bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    ends: Vec<u32>,
    /// Of all its rows, those that were too many included.
    total_bytes: usize,
}

impl Group {
    fn add(&mut self, row: &[u8]) {
        self.total_bytes = self.total_bytes.saturating_add(row.len() + ROW_OVERHEAD_BYTES);
        if self.is_over() {
            (self.bytes, self.ends) = (Vec::new(), Vec::new());
            return;
        }
        self.bytes.extend_from_slice(row);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a group has fewer bytes than 2^32"));
    }

    fn is_over(&self) -> bool {
        GROUP_BYTES_MAX < self.total_bytes
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start as usize..*end as usize])
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

impl Collect {
    /// # Errors
    /// [`Error::Unsupported`] where rows of these types can't be sorted, or DataFusion has no such
    /// aggregate.
    pub(super) fn new(
        call: &CallSpec,
        udf: &Arc<AggregateUDF>,
        order: &Order,
        ignore_nulls: bool,
    ) -> Result<Self, Error> {
        let codec = RowCodec::new(call, order)?;
        let within = match order {
            Order::Value { descending: true } => Some(SortOptions::new(true, true)),
            _ => None,
        };
        let function = function_of(call, Arc::clone(udf), false, within)?;
        let args = &call.args[..call.n_values()];
        let args = args.iter().map(|arg| (arg.field.data_type().clone(), arg.constant.clone()));
        let field = |(name, data_type): (&str, &DataType)| Field::new(name, data_type.clone(), true);
        let columns = codec.columns().iter();
        let row_fields = columns.map(|column| field((&column.name, &column.data_type))).collect();
        let result_type = function.field().data_type().clone();
        let args = args.collect();
        let call = Collected { codec, function, args, ignore_nulls, row_fields, result_type };
        Ok(Self { call: Arc::new(call), groups: Vec::new(), heap_bytes: 0 })
    }

    fn add<'a>(&mut self, group: u32, rows: impl Iterator<Item = &'a [u8]>) {
        let group = &mut self.groups[group as usize];
        self.heap_bytes -= group.heap_bytes();
        rows.for_each(|row| group.add(row));
        self.heap_bytes += group.heap_bytes();
    }

    /// The rows of the groups as columns, group after group, each group's sorted; and where each group
    /// ends.
    fn rows_of(&self, groups: &[u32]) -> Result<(Vec<ArrayRef>, Vec<usize>), Error> {
        let mut rows = Vec::new();
        let mut ends = Vec::with_capacity(groups.len());
        for group in groups {
            let start = rows.len();
            rows.extend(self.groups[*group as usize].rows());
            rows[start..].sort_unstable();
            ends.push(rows.len());
        }
        Ok((self.call.codec.decode(rows)?, ends))
    }

    fn row_field(&self) -> FieldRef {
        Arc::new(Field::new("item", DataType::Struct(self.call.row_fields.clone()), false))
    }
}

impl Collected {
    /// The result over the rows `[start, start + len)` of `args`.
    fn evaluate(&self, args: &[ArrayRef], start: usize, len: usize) -> Result<ScalarValue, String> {
        let plain = |error: datafusion::error::DataFusionError| error.strip_backtrace();
        let mut accumulator = self.function.create_accumulator().map_err(plain)?;
        if 0 < len {
            let args: Vec<_> = args.iter().map(|arg| arg.slice(start, len)).collect();
            accumulator.update_batch(&args).map_err(plain)?;
        }
        accumulator.evaluate().map_err(plain)
    }

    /// The function's arguments from the columns of rows.
    fn arguments(&self, columns: &[ArrayRef], n_rows: usize) -> Result<Vec<ArrayRef>, Error> {
        let arg = |(i, (data_type, constant)): (usize, &(DataType, Option<ScalarValue>))| match self
            .codec
            .values(columns)
            .find(|(position, _)| *position == i)
        {
            Some((_, column)) => cast_to(column, data_type),
            None => match constant {
                Some(constant) => Ok(constant.to_array_of_size(n_rows)?),
                None => unreachable!("an argument that is no constant is part of the row"),
            },
        };
        self.args.iter().enumerate().map(arg).collect()
    }
}

impl Accumulator for Collect {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("bytes".to_owned(), DataType::Int64), ("rows".to_owned(), DataType::List(self.row_field()))]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self { call: Arc::clone(&self.call), groups: Vec::new(), heap_bytes: 0 })
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.groups.resize(n_groups, Group::default());
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let selected = match self.call.ignore_nulls {
            true => selection(&input.args[0], input.filter),
            false => input.filter.cloned(),
        };
        let rows = self.call.codec.encode(input.args)?;
        let mut add = |row: usize| self.add(input.groups[row], std::iter::once(rows.row(row).data()));
        match selected {
            None => (0..input.groups.len()).for_each(&mut add),
            Some(selected) => selected.set_indices().for_each(&mut add),
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let totals = primitive::<Int64Type>(&states[0])?;
        let lists: &ListArray = states[1].downcast_ref_or_mismatch()?;
        let rows = self.call.codec.encode_columns(lists.values().as_struct().columns())?;
        for (i, group) in groups.iter().enumerate() {
            let total = usize::try_from(totals.value(i)).unwrap_or(usize::MAX);
            if GROUP_BYTES_MAX < total {
                // Its rows are not there any more.
                let over = Group { total_bytes: total, ..Group::default() };
                let group = &mut self.groups[*group as usize];
                self.heap_bytes -= group.heap_bytes();
                let total_bytes = group.total_bytes.saturating_add(over.total_bytes);
                *group = Group { total_bytes, ..over };
                continue;
            }
            let offsets = lists.value_offsets();
            let (start, end) = (offsets[i] as usize, offsets[i + 1] as usize);
            self.add(*group, (start..end).map(|row| rows.row(row).data()));
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            let group = std::mem::take(&mut self.groups[*group as usize]);
            self.heap_bytes -= group.heap_bytes();
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let (columns, ends) = self.rows_of(groups)?;
        let args = self.call.arguments(&columns, ends.last().copied().unwrap_or(0))?;
        let mut values = Vec::with_capacity(groups.len());
        let mut start = 0;
        for ((at, group), end) in (0_u32..).zip(groups).zip(ends) {
            let result = match self.groups[*group as usize].is_over() {
                true => Err(format!(
                    "its rows in this group are more than {} MiB: add a column to GROUP BY, or make the windows smaller",
                    GROUP_BYTES_MAX >> 20
                )),
                false => self.call.evaluate(&args, start, end - start),
            };
            start = end;
            values.push(match result {
                Ok(value) => value,
                Err(detail) => {
                    failed.push((at, detail));
                    ScalarValue::try_from(&self.call.result_type)?
                }
            });
        }
        column_of(&self.call.result_type, values)
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let (rows, ends) = self.rows_of(groups)?;
        let n_rows = ends.last().copied().unwrap_or(0);
        let total = |group: &u32| i64::try_from(self.groups[*group as usize].total_bytes).unwrap_or(i64::MAX);
        let totals: Int64Array = groups.iter().map(total).map(Some).collect();
        let offsets = std::iter::once(0).chain(ends).map(i32::try_from).collect::<Result<Vec<_>, _>>();
        let offsets = offsets.map_err(|_| Error::TooLarge { bytes: n_rows })?;
        let rows = StructArray::try_new(self.call.row_fields.clone(), rows, None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        columns.push(Arc::new(totals));
        columns.push(Arc::new(ListArray::try_new(self.row_field(), offsets, Arc::new(rows), None)?));
        Ok(())
    }

    fn state_bytes(&self, group: u32) -> usize {
        self.groups[group as usize].heap_bytes()
    }

    fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.heap_bytes
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.heap_bytes = 0;
    }
}
