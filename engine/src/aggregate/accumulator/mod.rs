//! Accumulators: the state of one aggregate call for all groups of a pane, a `Vec` per state field.
//!
//! Invariants:
//! 1. `merge` of a state into an empty group restores it exactly.
//! 2. `evaluate` and `state` leave every group as it was.
//! 3. The loops over rows are free functions over slices, one for batches without null and FILTER,
//!    one for the rest.

mod adapter;
mod avg;
mod boolean;
mod codec;
mod collect;
mod count;
mod decimal;
mod first_last;
mod fold;
mod kept;
mod moments;
mod ops;
mod text;

use std::sync::Arc;

use arrow::array::downcast_primitive;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    ArrowNumericType, DECIMAL128_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Int64Type, TimeUnit, UInt64Type,
};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;

use super::{CallSpec, Error, Function};
use adapter::Adapter;
use avg::{Avg, AvgDecimal, AvgFloat};
use boolean::Bools;
use collect::Collect;
use count::Count;
use decimal::Decimal;
use first_last::FirstLast;
use fold::Fold;
use moments::Moments;
use ops::{Max, Min, SumDecimal, SumFloat, SumInteger};
use text::TextExtreme;

/// 128-bit integers in Arrow: nothing checks that they have 38 digits only.
pub(super) const WIDE_INTEGER: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// Rows for the accumulator of one call.
pub(super) struct Input<'a> {
    /// The group of each row.
    pub(super) groups: &'a [u32],
    /// The call's arguments, in the types of the call.
    pub(super) args: &'a [ArrayRef],
    /// The rows that count; all without.
    pub(super) filter: Option<&'a BooleanBuffer>,
}

/// One aggregate call of all groups of a pane.
///
/// `groups` are always indices below what [`Self::grow`] was last told.
pub(super) trait Accumulator: Send + Sync {
    /// Names and types of the state columns.
    fn state_fields(&self) -> Vec<(String, DataType)>;

    /// One of the same call, without groups.
    fn fresh(&self) -> Box<dyn Accumulator>;

    /// Makes room for `n_groups` in all, the new ones empty.
    fn grow(&mut self, n_groups: usize) -> Result<(), Error>;

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error>;

    /// Adds states: row `i` to `groups[i]`.
    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error>;

    /// Makes groups empty.
    fn reset(&mut self, groups: &[u32]) -> Result<(), Error>;

    /// The results; `(position in groups, detail)` goes to `failed` for one that can't be computed.
    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error>;

    /// Appends the state columns.
    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error>;

    /// About how large the state of a group is, where that is not a few bytes.
    fn state_bytes(&self, _group: u32) -> usize {
        0
    }

    /// Bytes allocated.
    fn memory_bytes(&self) -> usize;

    /// Forgets all groups, keeps the memory.
    fn clear(&mut self);
}

/// An accumulator for a call: a native one where there is one for its types, else the adapter. A group of
/// one that keeps rows keeps `group_bytes_max`.
pub(super) fn new(call: &CallSpec, group_bytes_max: usize) -> Result<Box<dyn Accumulator>, Error> {
    let arity_is_right = match &call.function {
        Function::Count | Function::Other { .. } | Function::FirstLast { .. } | Function::Collect { .. } => {
            true
        }
        _ => call.args.len() == 1,
    };
    if !arity_is_right {
        return Err(call.unsupported());
    }
    let native = match &call.function {
        Function::Count => Some(Box::new(Count::default()) as Box<dyn Accumulator>),
        Function::Sum => sum(call),
        Function::Avg => avg(call),
        Function::Min => extreme(call, false),
        Function::Max => extreme(call, true),
        Function::Moments { sample, root } if *call.arg_type() == DataType::Float64 => {
            Some(Box::new(Moments::new(*sample, *root)) as _)
        }
        Function::BoolAnd if *call.arg_type() == DataType::Boolean => Some(Box::new(Bools::and()) as _),
        Function::BoolOr if *call.arg_type() == DataType::Boolean => Some(Box::new(Bools::or()) as _),
        Function::Moments { .. } | Function::BoolAnd | Function::BoolOr => return Err(call.unsupported()),
        Function::FirstLast { last, ignore_nulls, order } => {
            Some(Box::new(FirstLast::new(call, order, *last, *ignore_nulls)?) as _)
        }
        Function::Collect { udf, ignore_nulls, order } => {
            Some(Box::new(Collect::new(call, udf, order, *ignore_nulls, group_bytes_max)?) as _)
        }
        Function::Distinct(function) => {
            let plain = CallSpec { function: (**function).clone(), ..call.clone() };
            let accumulator = new(&plain, group_bytes_max)?;
            Some(Box::new(Collect::distinct(call, accumulator, group_bytes_max)?) as _)
        }
        Function::Other { .. } => None,
    };
    if let Some(native) = native {
        return Ok(native);
    }
    let udf: Arc<AggregateUDF> = match &call.function {
        Function::Sum => sum_udaf(),
        Function::Avg => avg_udaf(),
        Function::Min => min_udaf(),
        Function::Max => max_udaf(),
        Function::Other { udf } => Arc::clone(udf),
        _ => return Err(call.unsupported()),
    };
    Ok(Box::new(Adapter::new(call, udf)?))
}

fn sum(call: &CallSpec) -> Option<Box<dyn Accumulator>> {
    fn integer<T>(call: &CallSpec) -> Option<Box<dyn Accumulator>>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i128> + TryFrom<i128>,
    {
        Some(Box::new(Fold::new(SumInteger::<T>::new(call.arg_type()))))
    }
    fn decimal<T: Decimal>(call: &CallSpec) -> Option<Box<dyn Accumulator>> {
        Some(Box::new(Fold::new(SumDecimal::<T>::new(call.arg_type(), call.field.data_type())?)))
    }
    match call.arg_type() {
        DataType::Int64 => integer::<Int64Type>(call),
        DataType::UInt64 => integer::<UInt64Type>(call),
        DataType::Duration(TimeUnit::Second) => integer::<DurationSecondType>(call),
        DataType::Duration(TimeUnit::Millisecond) => integer::<DurationMillisecondType>(call),
        DataType::Duration(TimeUnit::Microsecond) => integer::<DurationMicrosecondType>(call),
        DataType::Duration(TimeUnit::Nanosecond) => integer::<DurationNanosecondType>(call),
        DataType::Float64 => Some(Box::new(Fold::new(SumFloat))),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(call),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(call),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(call),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(call),
        _ => None,
    }
}

fn avg(call: &CallSpec) -> Option<Box<dyn Accumulator>> {
    fn decimal<T: Decimal>(call: &CallSpec) -> Option<Box<dyn Accumulator>> {
        Some(Box::new(Avg::new(AvgDecimal::<T>::new(call.arg_type(), call.field.data_type())?)))
    }
    match call.arg_type() {
        DataType::Float64 => Some(Box::new(Avg::new(AvgFloat))),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(call),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(call),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(call),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(call),
        _ => None,
    }
}

fn extreme(call: &CallSpec, largest: bool) -> Option<Box<dyn Accumulator>> {
    fn primitive<T: ArrowNumericType>(data_type: &DataType, largest: bool) -> Box<dyn Accumulator> {
        match largest {
            true => Box::new(Fold::new(Max::<T>::new(data_type))),
            false => Box::new(Fold::new(Min::<T>::new(data_type))),
        }
    }
    macro_rules! helper {
        ($t:ty, $data_type:expr) => {
            Some(primitive::<$t>($data_type, largest))
        };
    }
    let data_type = call.arg_type();
    downcast_primitive! {
        data_type => (helper, data_type),
        DataType::Boolean => Some(Box::new(if largest { Bools::or() } else { Bools::and() })),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        | DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Some(Box::new(TextExtreme::new(data_type, largest)))
        }
        _ => None,
    }
}

/// The rows that count: not null, and true in the filter. `None`: all of them.
fn selection(array: &dyn Array, filter: Option<&BooleanBuffer>) -> Option<BooleanBuffer> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    match (nulls, filter) {
        (None, None) => None,
        (None, Some(filter)) => Some(filter.clone()),
        (Some(nulls), None) => Some(nulls.into_inner()),
        (Some(nulls), Some(filter)) => Some(nulls.inner() & filter),
    }
}

/// Calls `add(group, value)` for each selected row.
#[inline]
fn each_value<V: Copy>(
    groups: &[u32],
    values: &[V],
    selection: Option<&BooleanBuffer>,
    mut add: impl FnMut(usize, V),
) {
    match selection {
        None => {
            // Four at a time: the loop itself is a third of what a sum takes.
            let n = groups.len().min(values.len());
            let (fours, groups) = groups[..n].as_chunks::<4>();
            let (their_values, values) = values[..n].as_chunks::<4>();
            for (groups, values) in fours.iter().zip(their_values) {
                groups.iter().zip(values).for_each(|(group, value)| add(*group as usize, *value));
            }
            groups.iter().zip(values).for_each(|(group, value)| add(*group as usize, *value));
        }
        Some(selection) => {
            for row in selection.set_indices() {
                add(groups[row] as usize, values[row]);
            }
        }
    }
}

/// `array` as a primitive array. Types were checked where columns entered; this says so again
/// instead of panicking.
fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>, Error> {
    array.downcast_ref_or_mismatch()
}

/// A downcast that tells what it found.
trait Downcast {
    fn downcast_ref_or_mismatch<A: 'static>(&self) -> Result<&A, Error>;
}

impl Downcast for ArrayRef {
    fn downcast_ref_or_mismatch<A: 'static>(&self) -> Result<&A, Error> {
        self.as_any().downcast_ref().ok_or_else(|| Error::Mismatch {
            expected: std::any::type_name::<A>().to_owned(),
            found: self.data_type().to_string(),
        })
    }
}

/// Nulls where the group has seen no value.
fn unseen_nulls(groups: &[u32], seen: &[bool]) -> Option<NullBuffer> {
    let seen = BooleanBuffer::collect_bool(groups.len(), |i| seen[groups[i] as usize]);
    Some(NullBuffer::new(seen)).filter(|nulls| nulls.null_count() > 0)
}

/// The values of some groups.
fn gather<V: Copy>(groups: &[u32], values: &[V]) -> Vec<V> {
    groups.iter().map(|group| values[*group as usize]).collect()
}
