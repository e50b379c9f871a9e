//! The key of a group as a JSON object: the payload of the dead letter that its row became.
//!
//! Invariant: every key column is there, null ones too, and as HTTP writes it: decimals and times are
//! strings, as are numbers that JSON does not have.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// Row `row` of the named columns, in their order.
///
/// # Errors
/// Where Arrow can't show a column's type.
pub(super) fn object<'a>(
    columns: impl Iterator<Item = (&'a str, &'a ArrayRef)>,
    row: usize,
) -> Result<String, ArrowError> {
    let members = columns
        .map(|(name, column)| Ok(format!("{}:{}", Value::from(name), value(column, row)?)))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    Ok(format!("{{{}}}", members.join(",")))
}

fn value(column: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let text = || shown(column, row);
    Ok(match column.data_type() {
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Float32 => number(f64::from(column.as_primitive::<Float32Type>().value(row)), text()?),
        DataType::Float64 => number(column.as_primitive::<Float64Type>().value(row), text()?),
        integer if integer.is_integer() => text()?.parse().map_or(Value::Null, Value::Number),
        _ => Value::from(text()?),
    })
}

/// `text` is the number's shortest.
fn number(value: f64, text: String) -> Value {
    if value.is_nan() {
        return Value::from("NaN");
    }
    if value.is_infinite() {
        return Value::from(if value < 0.0 { "-Infinity" } else { "Infinity" });
    }
    text.parse().map_or_else(|_| Value::from(text), Value::Number)
}

fn shown(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let (zoned, local) = match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => ("%Y-%m-%dT%H:%M:%S%.6fZ", "%Y-%m-%dT%H:%M:%S%.6f"),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ("%Y-%m-%dT%H:%M:%S%.9fZ", "%Y-%m-%dT%H:%M:%S%.9f"),
        _ => ("%Y-%m-%dT%H:%M:%S%.3fZ", "%Y-%m-%dT%H:%M:%S%.3f"),
    };
    let options =
        FormatOptions::new().with_timestamp_tz_format(Some(zoned)).with_timestamp_format(Some(local));
    Ok(ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{
        Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
        TimestampMillisecondArray,
    };

    #[test]
    fn every_type_is_written_as_over_http() {
        let columns: [(&str, ArrayRef); 8] = [
            ("at", Arc::new(TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC"))),
            ("local", Arc::new(TimestampMicrosecondArray::from(vec![-1]))),
            ("id", Arc::new(Int64Array::from(vec![i64::MIN]))),
            ("none", Arc::new(Int64Array::from(vec![None]))),
            ("price", Arc::new(Decimal128Array::from(vec![250]).with_precision_and_scale(5, 2).unwrap())),
            ("x", Arc::new(Float64Array::from(vec![0.1]))),
            ("y", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
            ("te\"xt", Arc::new(StringArray::from(vec!["a\nb"]))),
        ];
        let json = object(columns.iter().map(|(name, column)| (*name, column)), 0).unwrap();
        let expected = "{\"at\":\"1970-01-01T00:00:01.500Z\",\"local\":\"1969-12-31T23:59:59.999999\",\
             \"id\":-9223372036854775808,\"none\":null,\"price\":\"2.50\",\"x\":0.1,\"y\":\"-Infinity\",\
             \"te\\\"xt\":\"a\\nb\"}";
        assert_eq!(json, expected);
    }
}
