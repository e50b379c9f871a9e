//! Functions whose result can be far larger than their arguments, with a limit on it.
//!
//! A memory pool counts what operators keep, not what a scalar function allocates:
//! `repeat('x', 2000000000)` would take its two gigabytes unseen, when it runs or when the planner
//! folds it, and `||` doubles a text with each subquery around it.
//!
//! Invariants:
//! 1. No call of these functions makes more than about [`CALL_BYTES_MAX`], and for a pipeline's row no
//!    more than [`ROW_BYTES_MAX`].
//! 2. Whether a row's call fails is decided by the row: a batch that is too large is taken in halves.
//! 3. Ad-hoc queries compute them when they run, never when they are planned: folded into one constant of
//!    allowed size, a result would be copied once per row of a batch, unseen. A pipeline's constants are
//!    bounded by its row's limit, and [`crate::operator::rows`] counts the copies.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::compute::kernels::aggregate::{max, min};
use arrow::datatypes::{ArrowNativeType, DataType, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::delegate::left_to_inner;
use super::strict::strict;

/// Most bytes that one call may make of one batch. Far above what a chart or a report needs, and
/// below a query's share of memory.
const CALL_BYTES_MAX: u128 = 64 << 20;
/// Most bytes that one call may make of one of a pipeline's rows: as many as its SQL may have. A batch has
/// thousands of rows, and all their results are held at once.
const ROW_BYTES_MAX: u128 = 64 << 10;

/// What runs the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// A query, which has an end and fails as a whole.
    Query,
    /// A pipeline, of which a row fails.
    Row,
}

/// How large a function's result gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first argument, as many times as the second says.
    Times,
    /// As many characters or items as the second argument says, in each row.
    UpTo,
    /// The integers between the arguments, in each row.
    Range,
    /// The first argument, each of its parts replaced by the argument at this position, or followed by it.
    Replaced(usize),
    /// All arguments, one behind the other.
    Joined,
}

fn growth(name: &str) -> Option<Growth> {
    Some(match name {
        "repeat" | "array_repeat" => Growth::Times,
        "lpad" | "rpad" | "array_resize" => Growth::UpTo,
        "range" | "generate_series" | "gen_series" => Growth::Range,
        "replace" | "regexp_replace" | "array_replace" | "array_replace_n" | "array_replace_all" => {
            Growth::Replaced(2)
        }
        "array_to_string" => Growth::Replaced(1),
        "concat" | "concat_ws" | "array_concat" | "array_append" | "array_prepend" | "array_union"
        | "make_array" | "overlay" | "struct" | "named_struct" | "map" | "concat_operator" => Growth::Joined,
        _ => return None,
    })
}

/// Puts the limit around the functions that need one, and makes those fail that would not say that they do.
#[must_use]
pub fn bounded(functions: Vec<Arc<ScalarUDF>>, limit: Limit) -> Vec<Arc<ScalarUDF>> {
    let functions = functions.into_iter().map(strict);
    functions.map(|function| bound(&function, limit).unwrap_or(function)).collect()
}

/// The function with its limit; `None` where it needs none or has it.
pub(super) fn bound(function: &Arc<ScalarUDF>, limit: Limit) -> Option<Arc<ScalarUDF>> {
    if is_bounded(function) {
        return None;
    }
    let growth = growth(function.name())?;
    let volatility = match limit {
        Limit::Query => Volatility::Volatile,
        Limit::Row => function.signature().volatility,
    };
    let signature = Signature { volatility, ..function.signature().clone() };
    let bounded = Bounded { inner: Arc::clone(function), signature, growth, limit };
    Some(Arc::new(ScalarUDF::new_from_impl(bounded)))
}

/// Whether a function has a limit.
fn is_bounded(function: &ScalarUDF) -> bool {
    function.inner().is::<Bounded>()
}

/// The function inside its limit, or itself.
pub(super) fn unbounded(function: &Arc<ScalarUDF>) -> &Arc<ScalarUDF> {
    function.inner().downcast_ref::<Bounded>().map_or(function, |bounded| &bounded.inner)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    /// That of `inner`, but for a query's volatility: its planner leaves it alone.
    signature: Signature,
    growth: Growth,
    limit: Limit,
}

impl Bounded {
    /// At least the bytes of the result, and not many times as many.
    fn estimate(&self, args: &ScalarFunctionArgs) -> Result<u128> {
        let rows = args.number_rows.max(1) as u128;
        let n_rows = args.number_rows;
        let first = || args.args.first().map_or(0, |arg| size_bytes(arg, n_rows));
        let second = || args.args.get(1).map_or(Ok((0, 0)), bounds);
        Ok(match self.growth {
            Growth::Times => first() * second()?.1.max(0).unsigned_abs(),
            Growth::UpTo => {
                let item = args.args.get(2).map_or(0, longest_bytes).max(8);
                rows * item * second()?.1.max(0).unsigned_abs()
            }
            Growth::Range => {
                let (start, end) = match args.args.as_slice() {
                    [end] => ((0, 0), bounds(end)?),
                    [start, end, ..] => (bounds(start)?, bounds(end)?),
                    [] => ((0, 0), (0, 0)),
                };
                let widest = (end.1 - start.0).unsigned_abs().max((start.1 - end.0).unsigned_abs());
                rows * 8 * widest
            }
            // A text may have a match behind each character, and one in front.
            Growth::Replaced(by) => (first() + rows) * args.args.get(by).map_or(1, longest_bytes).max(1),
            Growth::Joined => args.args.iter().map(|arg| size_bytes(arg, n_rows)).sum(),
        })
    }

    fn too_large(&self, limit_bytes: u128) -> DataFusionError {
        let limit = if limit_bytes < 1 << 20 {
            format!("{} KiB", limit_bytes >> 10)
        } else {
            format!("{} MiB", limit_bytes >> 20)
        };
        let call = match self.inner.name() {
            "concat_operator" => "||".to_owned(),
            name => format!("{name}(…)"),
        };
        DataFusionError::Execution(format!("the result of {call} would be too large: more than {limit}"))
    }

    /// Runs as many rows at once as are sure to stay within the limit, and adds the results to `made`.
    fn run(&self, args: ScalarFunctionArgs, made: &mut Made) -> Result<()> {
        let n_rows = args.number_rows;
        if self.estimate(&args)? <= CALL_BYTES_MAX {
            let result = self.inner.invoke_with_args(args)?;
            if self.limit == Limit::Row && ROW_BYTES_MAX < longest_bytes(&result) {
                return Err(self.too_large(ROW_BYTES_MAX));
            }
            made.bytes += size_bytes(&result, n_rows);
            if CALL_BYTES_MAX < made.bytes {
                return Err(self.too_large(CALL_BYTES_MAX));
            }
            made.results.push((result, n_rows));
            return Ok(());
        }
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        if n_rows <= 1 || is_constant {
            return Err(self.too_large(match self.limit {
                Limit::Query => CALL_BYTES_MAX,
                Limit::Row => ROW_BYTES_MAX,
            }));
        }
        let middle = n_rows / 2;
        self.run(part(&args, 0, middle), made)?;
        self.run(part(&args, middle, n_rows - middle), made)
    }
}

/// Results of consecutive rows.
#[derive(Default)]
struct Made {
    results: Vec<(ColumnarValue, usize)>,
    bytes: u128,
}

fn part(args: &ScalarFunctionArgs, start: usize, len: usize) -> ScalarFunctionArgs {
    let slice = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, len)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs { args: args.args.iter().map(slice).collect(), number_rows: len, ..args.clone() }
}

/// The least and the greatest value of an integer argument.
fn bounds(arg: &ColumnarValue) -> Result<(i128, i128)> {
    if !arg.data_type().is_integer() && !arg.data_type().is_null() {
        return Err(DataFusionError::Execution(
            "ranges of anything but integers are only supported as a table: FROM generate_series(…)"
                .to_owned(),
        ));
    }
    let values = arg.cast_to(&DataType::Int64, None)?.into_array(1)?;
    let values = values.as_primitive::<Int64Type>();
    Ok((min(values).unwrap_or(0).into(), max(values).unwrap_or(0).into()))
}

/// The length of the longest row.
fn longest_bytes(arg: &ColumnarValue) -> u128 {
    match arg {
        ColumnarValue::Array(array) => longest_of(array),
        ColumnarValue::Scalar(value) => match value.try_as_str() {
            Some(text) => text.map_or(0, |text| text.len() as u128),
            None => value.size() as u128,
        },
    }
}

fn longest_of(array: &ArrayRef) -> u128 {
    let longest = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().offsets().lengths().max(),
        DataType::LargeUtf8 => array.as_string::<i64>().offsets().lengths().max(),
        DataType::Binary => array.as_binary::<i32>().offsets().lengths().max(),
        DataType::LargeBinary => array.as_binary::<i64>().offsets().lengths().max(),
        DataType::Utf8View => array.as_string_view().lengths().max().map(|bytes| bytes as usize),
        DataType::BinaryView => array.as_binary_view().lengths().max().map(|bytes| bytes as usize),
        fixed => match fixed.primitive_width() {
            Some(bytes) => Some(bytes),
            None => (0..array.len()).map(|row| slice_bytes(&array.slice(row, 1))).max(),
        },
    };
    longest.unwrap_or(0) as u128
}

/// What all rows have together; a slice has its own rows only.
fn size_bytes(arg: &ColumnarValue, rows: usize) -> u128 {
    match arg {
        ColumnarValue::Array(array) => slice_bytes(array) as u128,
        ColumnarValue::Scalar(_) => longest_bytes(arg) * rows.max(1) as u128,
    }
}

fn slice_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().offsets();
            offsets[array.len()].as_usize() - offsets[0].as_usize()
        }
        DataType::Utf8View => array.as_string_view().total_bytes_len(),
        DataType::BinaryView => array.as_binary_view().total_bytes_len(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.offsets()[0].as_usize(), list.offsets()[array.len()].as_usize());
            slice_bytes(&list.values().slice(first, last - first))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let (first, last) = (list.offsets()[0].as_usize(), list.offsets()[array.len()].as_usize());
            slice_bytes(&list.values().slice(first, last - first))
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

impl ScalarUDFImpl for Bounded {
    left_to_inner!();

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut made = Made::default();
        self.run(args, &mut made)?;
        if made.results.len() == 1 {
            return Ok(made.results.remove(0).0);
        }
        let arrays = made.results.into_iter().map(|(result, rows)| result.into_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&arrays)?))
    }
}
