//! Functions whose result can be far larger than their arguments, with a limit on it.
//!
//! DataFusion's memory pool counts what operators keep, not what a scalar function allocates:
//! `repeat('x', 2000000000)` would take its two gigabytes unseen.
//!
//! Invariants:
//! 1. No call of these functions allocates more than about [`BYTES_MAX`].
//! 2. They are computed when the query runs, never when it is planned: folded into one constant of
//!    allowed size, a result would be copied once per row of a batch, unseen.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::kernels::aggregate::{max, min};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Most bytes that one call may make of one batch. Far above what a chart or a report needs, and
/// below a query's share of memory.
const BYTES_MAX: u128 = 64 << 20;

/// How large a function's result gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first argument, as many times as the second says.
    Times,
    /// As many characters or items as the second argument says, in each row.
    UpTo,
    /// The integers between the arguments, in each row.
    Range,
    /// The first argument, its letters replaced by the third.
    Replaced,
    /// All arguments, one behind the other.
    Joined,
}

/// Replacements up to this many bytes are never refused: they grow a text, but not without bound.
const REPLACEMENT_BYTES_MIN: u128 = 64;

/// Puts the limit around the functions that need one.
pub(super) fn bounded(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let bound = |function: Arc<ScalarUDF>| {
        let growth = match function.name() {
            "repeat" | "array_repeat" => Growth::Times,
            "lpad" | "rpad" | "array_resize" => Growth::UpTo,
            "range" | "generate_series" | "gen_series" => Growth::Range,
            "replace" | "regexp_replace" => Growth::Replaced,
            "concat" | "concat_ws" | "array_concat" => Growth::Joined,
            _ => return function,
        };
        let signature = Signature { volatility: Volatility::Volatile, ..function.signature().clone() };
        Arc::new(ScalarUDF::new_from_impl(Bounded { inner: function, signature, growth }))
    };
    functions.into_iter().map(bound).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    /// That of `inner`, but volatile: planning leaves it alone.
    signature: Signature,
    growth: Growth,
}

impl Bounded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let rows = args.number_rows.max(1) as u128;
        let magnitude = |arg: Option<&ColumnarValue>| -> Result<(i128, i128)> {
            match arg {
                Some(arg) => bounds(arg),
                None => Ok((0, 0)),
            }
        };
        let bytes = match self.growth {
            Growth::Times => {
                let bytes = args.args.first().map_or(0, |arg| size_bytes(arg, args.number_rows));
                bytes * magnitude(args.args.get(1))?.1.max(0).unsigned_abs()
            }
            Growth::UpTo => rows * 8 * magnitude(args.args.get(1))?.1.max(0).unsigned_abs(),
            Growth::Range => {
                let (start, end) = match args.args.as_slice() {
                    [end] => ((0, 0), bounds(end)?),
                    [start, end, ..] => (bounds(start)?, bounds(end)?),
                    [] => ((0, 0), (0, 0)),
                };
                let widest = (end.1 - start.0).unsigned_abs().max((start.1 - end.0).unsigned_abs());
                rows * 8 * widest
            }
            Growth::Replaced => {
                let text = args.args.first().map_or(0, |arg| size_bytes(arg, args.number_rows));
                match args.args.get(2).map_or(0, longest_bytes) {
                    replacement if replacement <= REPLACEMENT_BYTES_MIN => 0,
                    replacement => text * replacement,
                }
            }
            Growth::Joined => args.args.iter().map(|arg| size_bytes(arg, args.number_rows)).sum(),
        };
        if BYTES_MAX < bytes {
            return Err(DataFusionError::Execution(format!(
                "the result of {} would be too large: more than {} MiB",
                self.inner.name(),
                BYTES_MAX >> 20
            )));
        }
        Ok(())
    }
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

/// At least the length of the longest text, at most that of all together.
fn longest_bytes(arg: &ColumnarValue) -> u128 {
    match arg {
        ColumnarValue::Array(array) => match array.as_string_opt::<i32>() {
            Some(texts) => texts.offsets().lengths().max().unwrap_or(0) as u128,
            None => array.get_array_memory_size() as u128,
        },
        ColumnarValue::Scalar(scalar) => {
            scalar.try_as_str().flatten().map_or(scalar.size(), str::len) as u128
        }
    }
}

fn size_bytes(arg: &ColumnarValue, rows: usize) -> u128 {
    match arg {
        ColumnarValue::Array(array) => array.get_array_memory_size() as u128,
        ColumnarValue::Scalar(scalar) => scalar.size() as u128 * rows.max(1) as u128,
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.invoke_with_args(args)
    }
}
