//! The smallest and largest value of a column within a block, to skip blocks that a filter excludes.
//!
//! Invariant: a range may be missing and may be too wide, never too narrow. So floats (NaN) and
//! unsigned 64-bit integers have none, nor do columns with long texts.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

/// Longer texts are not worth their place in the metadata of every block.
const TEXT_BYTES_MAX: usize = 64;

/// The bounds of the values of a column that are not null, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Range {
    /// Integers, dates and timestamps in the column's own unit.
    #[serde(rename = "i")]
    Int(i64, i64),
    #[serde(rename = "t")]
    Text(String, String),
}

/// Which columns of a table get ranges: timestamps, and the key as far as its types allow.
pub(super) fn columns(schema: &arrow::datatypes::Schema, key: &[usize]) -> Vec<usize> {
    let is_timestamp = |i: usize| matches!(schema.field(i).data_type(), DataType::Timestamp(..));
    let wanted =
        |i: &usize| bridge(schema.field(*i).data_type()).is_some() && (is_timestamp(*i) || key.contains(i));
    (0..schema.fields().len()).filter(wanted).collect()
}

/// The range of a column; `None` where it has no values, or none that a range can hold.
pub(super) fn of(column: &ArrayRef) -> Result<Option<Range>, ArrowError> {
    let Some(bridge) = bridge(column.data_type()) else { return Ok(None) };
    if bridge == DataType::Utf8 {
        let texts = cast(column, &DataType::Utf8)?;
        let texts: &StringArray = texts.as_string();
        let bounds = min_string(texts).zip(max_string(texts));
        let short = |(min, max): &(&str, &str)| min.len().max(max.len()) <= TEXT_BYTES_MAX;
        return Ok(bounds.filter(short).map(|(min, max)| Range::Text(min.into(), max.into())));
    }
    let ints = cast(&cast(column, &bridge)?, &DataType::Int64)?;
    let ints: &Int64Array = ints.as_primitive::<Int64Type>();
    Ok(min(ints).zip(max(ints)).map(|(min, max)| Range::Int(min, max)))
}

/// One bound per block as an array of the column's type: null where it is not known. `None` where
/// such a column never has ranges.
pub(super) fn bounds<'a>(
    data_type: &DataType,
    ranges: impl Iterator<Item = Option<&'a Range>>,
    upper: bool,
) -> Option<ArrayRef> {
    let bridge = bridge(data_type)?;
    let bounds: ArrayRef = if bridge == DataType::Utf8 {
        let bounds: StringArray = ranges
            .map(|range| match range {
                Some(Range::Text(min, max)) => Some(if upper { max } else { min }.as_str()),
                _ => None,
            })
            .collect();
        std::sync::Arc::new(bounds)
    } else {
        let bounds: Int64Array = ranges
            .map(|range| match range {
                Some(Range::Int(min, max)) => Some(if upper { *max } else { *min }),
                _ => None,
            })
            .collect();
        cast(&bounds, &bridge).ok()?
    };
    cast(&bounds, data_type).ok()
}

/// The type through which a column becomes a range and back, without loss.
fn bridge(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::Timestamp(..)
        | DataType::Date64 => Some(DataType::Int64),
        DataType::Date32 => Some(DataType::Int32),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        _ => None,
    }
}

/// The ranges of `batch` at `columns`, in that order.
pub(super) fn of_columns(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<Option<Range>>, ArrowError> {
    columns.iter().map(|column| of(batch.column(*column))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, TimestampMicrosecondArray, UInt64Array};

    use super::*;

    #[test]
    fn ranges_come_back_in_the_type_of_their_column() {
        let columns: [ArrayRef; 4] = [
            Arc::new(Int64Array::from(vec![None, Some(-3), Some(7)])),
            Arc::new(Date32Array::from(vec![20_000, 19_000])),
            Arc::new(TimestampMicrosecondArray::from(vec![5, 1]).with_timezone("UTC")),
            Arc::new(StringArray::from(vec![Some("b"), None, Some("a")])),
        ];
        for column in columns {
            let range = of(&column).expect("castable").expect("has values");
            for (upper, pick) in [(false, "min"), (true, "max")] {
                let bound =
                    bounds(column.data_type(), [Some(&range), None].into_iter(), upper).expect("has ranges");
                assert_eq!(bound.data_type(), column.data_type());
                assert!(bound.is_null(1), "an unknown {pick} is null");
                let sorted = arrow::compute::sort(&column, None).expect("sortable");
                let at = if upper { column.len() - 1 } else { column.null_count() };
                assert_eq!(&bound.slice(0, 1), &sorted.slice(at, 1), "{pick}");
            }
        }
    }

    #[test]
    fn what_a_range_could_get_wrong_has_none() {
        let long = "x".repeat(65);
        let columns: [ArrayRef; 4] = [
            Arc::new(Float64Array::from(vec![f64::NAN, 1.0])),
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            Arc::new(StringArray::from(vec!["a", long.as_str()])),
            Arc::new(Int64Array::from(vec![None, None])),
        ];
        for column in columns {
            assert_eq!(of(&column).expect("no error"), None, "{:?}", column.data_type());
        }
    }
}
