//! TIME plus or minus an INTERVAL: within the day, or an error. DataFusion's goes round the clock, and
//! forgets the interval's days and months.
//!
//! Invariant: the result is a time of the same day. Parts of the interval finer than the time are rounded
//! down, as they are for timestamps.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::Operator;

const NS_PER_DAY: i128 = 86_400_000_000_000;

/// Whether this module has the operator for operands of these types.
pub(super) fn has(left: &DataType, op: Operator, right: &DataType) -> bool {
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Time32(_) | DataType::Time64(_));
    let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
    match op {
        Operator::Plus => is_time(left) && is_interval(right) || is_interval(left) && is_time(right),
        Operator::Minus => is_time(left) && is_interval(right),
        _ => false,
    }
}

/// `left op right`, row by row; both have the same length.
///
/// # Errors
/// Where a result is of another day.
pub(super) fn shift(left: &ArrayRef, op: Operator, right: &ArrayRef) -> Result<ArrayRef> {
    let is_turned = matches!(left.data_type(), DataType::Interval(_));
    let (times, intervals) = if is_turned { (right, left) } else { (left, right) };
    let (DataType::Time32(unit) | DataType::Time64(unit)) = times.data_type() else {
        return internal_err!("{} is no time of day", times.data_type());
    };
    let ns_per_unit: i128 = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let counts = cast(times, &DataType::Int64)?;
    let counts = counts.as_primitive::<Int64Type>();
    let wide = cast(intervals, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let deltas = wide.as_primitive::<IntervalMonthDayNanoType>();
    let shifted = |row: usize| -> Result<Option<i64>> {
        if counts.is_null(row) || deltas.is_null(row) {
            return Ok(None);
        }
        let delta = deltas.value(row);
        let delta_ns = i128::from(delta.days) * NS_PER_DAY + i128::from(delta.nanoseconds);
        let delta_ns = if op == Operator::Minus { -delta_ns } else { delta_ns };
        let ns = i128::from(counts.value(row)) * ns_per_unit + delta_ns;
        if delta.months == 0 && (0..NS_PER_DAY).contains(&ns) {
            return Ok(i64::try_from(ns / ns_per_unit).ok());
        }
        let (time, interval) = (array_value_to_string(times, row), array_value_to_string(intervals, row)?);
        // A time that is none can't be shown.
        let time = time.unwrap_or_else(|_| counts.value(row).to_string());
        let message = format!("Overflow happened on: {time} {op} {interval}: it is not of the same day");
        Err(ArrowError::ArithmeticOverflow(message).into())
    };
    let shifted = (0..times.len()).map(shifted).collect::<Result<Int64Array>>()?;
    let shifted = match times.data_type() {
        DataType::Time32(_) => cast(&shifted, &DataType::Int32)?,
        _ => std::sync::Arc::new(shifted),
    };
    Ok(cast(&shifted, times.data_type())?)
}
