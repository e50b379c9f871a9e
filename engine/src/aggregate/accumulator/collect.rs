//! Aggregates whose result depends on the order of rows, on all of them, or on the different ones: the
//! rows are kept, and the aggregate runs over them, sorted, when it is read.
//!
//! Invariants:
//! 1. Rows are given in an order that is the same in every run: by ORDER BY and arrival, or, where only
//!    the values count, by value. So the result is the same whatever the batches and the parallelism.
//! 2. A group keeps a bounded number of bytes. One that had more keeps nothing and has no result; which
//!    groups those are depends on their rows only.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::utils::normalize_float_zero;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::scalar::ScalarValue;

use super::adapter::{column_of, function_of};
use super::codec::RowCodec;
use super::kept::{Kept, Limit};
use super::{Accumulator, Downcast, Input, selection};
use crate::aggregate::column::cast_to;
use crate::aggregate::{CallSpec, Error, Order, size_text};

pub(super) struct Collect {
    call: Arc<Collected>,

    groups: Vec<Kept>,
    /// Capacities of the groups.
    heap_bytes: usize,
}

/// What all panes share.
struct Collected {
    codec: RowCodec,
    function: Over,
    /// Of the function's arguments: type, and value where it is a constant.
    args: Vec<(DataType, Option<ScalarValue>)>,
    ignore_nulls: bool,
    limit: Limit,
    row_fields: Fields,
}

/// What runs over the rows of a group.
enum Over {
    /// DataFusion's row accumulator, in the rows' order.
    Rows(Box<AggregateFunctionExpr>),
    /// An accumulator of ours, without groups.
    Values(Box<dyn Accumulator>),
}

impl Collect {
    /// A DataFusion aggregate over rows in `order`; a group keeps `bytes_max` of them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where rows of these types can't be sorted, or DataFusion has no such
    /// aggregate.
    pub(super) fn new(
        call: &CallSpec,
        udf: &Arc<AggregateUDF>,
        order: &Order,
        ignore_nulls: bool,
        bytes_max: usize,
    ) -> Result<Self, Error> {
        let within = match order {
            Order::Value { descending: true } => Some(SortOptions::new(true, true)),
            _ => None,
        };
        let function = Over::Rows(Box::new(function_of(call, Arc::clone(udf), within)?));
        Self::over(call, function, order, ignore_nulls, bytes_max)
    }

    /// `accumulator`, an empty one of the call without DISTINCT, over the different values.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where values of these types can't be sorted.
    pub(super) fn distinct(
        call: &CallSpec,
        accumulator: Box<dyn Accumulator>,
        bytes_max: usize,
    ) -> Result<Self, Error> {
        let order = Order::Distinct(SortOptions::default());
        Self::over(call, Over::Values(accumulator), &order, true, bytes_max)
    }

    fn over(
        call: &CallSpec,
        function: Over,
        order: &Order,
        ignore_nulls: bool,
        bytes_max: usize,
    ) -> Result<Self, Error> {
        let codec = RowCodec::new(call, order)?;
        let args = &call.args[..call.n_values()];
        let args = args.iter().map(|arg| (arg.field.data_type().clone(), arg.constant.clone()));
        let args = args.collect();
        let field = |(name, data_type): (&str, &DataType)| Field::new(name, data_type.clone(), true);
        let columns = codec.columns().iter();
        let row_fields = columns.map(|column| field((&column.name, &column.data_type))).collect();
        let limit = Limit { bytes_max, distinct: matches!(order, Order::Distinct(_)) };
        let call = Collected { codec, function, args, ignore_nulls, limit, row_fields };
        Ok(Self { call: Arc::new(call), groups: Vec::new(), heap_bytes: 0 })
    }

    /// Changes one group.
    fn change(&mut self, group: u32, change: impl FnOnce(&mut Kept, Limit)) {
        let group = &mut self.groups[group as usize];
        self.heap_bytes -= group.heap_bytes();
        change(group, self.call.limit);
        self.heap_bytes += group.heap_bytes();
    }

    /// The rows of the groups as columns, group after group, each group's sorted; and where each group
    /// ends.
    fn rows_of(&mut self, groups: &[u32]) -> Result<(Vec<ArrayRef>, Vec<usize>), Error> {
        for group in groups {
            self.change(*group, Kept::settle);
        }
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

    /// The results of groups whose rows end at `ends`.
    fn evaluate(
        &self,
        args: &[ArrayRef],
        ends: &[usize],
        failed: &mut Vec<(u32, String)>,
    ) -> Result<ArrayRef, Error> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let ranges = (0_u32..).zip(starts.zip(ends));
        match &self.function {
            Over::Values(accumulator) => {
                let mut accumulator = accumulator.fresh();
                accumulator.grow(ends.len())?;
                let of_group =
                    |(group, (start, end)): (u32, (usize, &usize))| std::iter::repeat_n(group, *end - start);
                let groups: Vec<u32> = ranges.flat_map(of_group).collect();
                accumulator.update(&Input { groups: &groups, args, filter: None })?;
                let all: Vec<u32> = (0_u32..).zip(ends).map(|(group, _)| group).collect();
                accumulator.evaluate(&all, failed)
            }
            Over::Rows(function) => {
                let result_type = function.field().data_type().clone();
                let mut values = Vec::with_capacity(ends.len());
                for (at, (start, end)) in ranges {
                    values.push(match evaluate_rows(function, args, start, *end - start) {
                        Ok(value) => value,
                        Err(detail) => {
                            failed.push((at, detail));
                            ScalarValue::try_from(&result_type)?
                        }
                    });
                }
                column_of(&result_type, values)
            }
        }
    }

    fn lost(&self) -> String {
        let what = if self.limit.distinct { "its different values" } else { "its rows" };
        format!(
            "{what} in this group were more than \"group_memory\", now {}: add a column to GROUP BY, make the windows smaller, or raise it for groups to come",
            size_text(self.limit.bytes_max)
        )
    }
}

/// DataFusion's result over the rows `[start, start + len)` of `args`.
fn evaluate_rows(
    function: &AggregateFunctionExpr,
    args: &[ArrayRef],
    start: usize,
    len: usize,
) -> Result<ScalarValue, String> {
    let plain = |error: datafusion::error::DataFusionError| error.strip_backtrace();
    let mut accumulator = function.create_accumulator().map_err(plain)?;
    if 0 < len {
        let args: Vec<_> = args.iter().map(|arg| arg.slice(start, len)).collect();
        accumulator.update_batch(&args).map_err(plain)?;
    }
    accumulator.evaluate().map_err(plain)
}

impl Accumulator for Collect {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("rows".to_owned(), DataType::List(self.row_field()))]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self { call: Arc::clone(&self.call), groups: Vec::new(), heap_bytes: 0 })
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.groups.resize(n_groups, Kept::default());
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let selected = match self.call.ignore_nulls {
            true => selection(&input.args[0], input.filter),
            false => input.filter.cloned(),
        };
        let rows = match self.call.limit.distinct {
            // As GROUP BY does.
            true => {
                let args: Vec<_> = input.args.iter().map(normalize_float_zero).collect();
                self.call.codec.encode(&args)?
            }
            false => self.call.codec.encode(input.args)?,
        };
        let mut add = |row: usize| {
            self.change(input.groups[row], |group, limit| group.add(rows.row(row).data(), limit));
        };
        match selected {
            None => (0..input.groups.len()).for_each(&mut add),
            Some(selected) => selected.set_indices().for_each(&mut add),
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let lists: &ListArray = states[0].downcast_ref_or_mismatch()?;
        let rows = self.call.codec.encode_columns(lists.values().as_struct().columns())?;
        let offsets = lists.value_offsets();
        for (i, group) in groups.iter().enumerate() {
            let rows = (offsets[i] as usize..offsets[i + 1] as usize).map(|row| rows.row(row));
            self.change(*group, |group, limit| match lists.is_null(i) {
                true => group.lose(),
                false => rows.for_each(|row| group.add(row.data(), limit)),
            });
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            self.change(*group, |group, _| *group = Kept::default());
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let (columns, ends) = self.rows_of(groups)?;
        let args = self.call.arguments(&columns, ends.last().copied().unwrap_or(0))?;
        for (at, group) in (0_u32..).zip(groups) {
            if self.groups[*group as usize].is_lost() {
                failed.push((at, self.call.lost()));
            }
        }
        self.call.evaluate(&args, &ends, failed)
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let (rows, ends) = self.rows_of(groups)?;
        let n_rows = ends.last().copied().unwrap_or(0);
        let offsets = std::iter::once(0).chain(ends).map(i32::try_from).collect::<Result<Vec<_>, _>>();
        let offsets = offsets.map_err(|_| Error::TooLarge { bytes: n_rows })?;
        let rows = StructArray::try_new_with_length(self.call.row_fields.clone(), rows, None, n_rows)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = NullBuffer::from_iter(groups.iter().map(|group| !self.groups[*group as usize].is_lost()));
        columns.push(Arc::new(ListArray::try_new(self.row_field(), offsets, Arc::new(rows), Some(nulls))?));
        Ok(())
    }

    fn state_bytes(&self, group: u32) -> usize {
        self.groups[group as usize].heap_bytes()
    }

    fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Kept>() + self.heap_bytes
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.heap_bytes = 0;
    }
}
