//! Columns seen as plain bytes, whatever their type: what interning and hashing work on.
//!
//! Invariants:
//! 1. Equal values have equal bytes: dictionaries are unpacked, text has one representation,
//!    `-0.0` is `0.0`.
//! 2. The bytes of a null are not looked at.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, make_array};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::utils::normalize_float_zero;

use super::Error;

/// The type that values of `data_type` are kept in: no dictionary, one representation of text.
pub(super) fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => stored_type(values),
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// `array` as a column of `data_type`; no copy where it is one already.
pub(super) fn cast_to(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, Error> {
    if array.data_type() == data_type { Ok(Arc::clone(array)) } else { Ok(cast(array, data_type)?) }
}

/// The values of a column as bytes, with its nulls.
pub(super) struct Column {
    pub(super) values: Values,
    pub(super) nulls: Option<NullBuffer>,
}

pub(super) enum Values {
    /// `width` bytes per row, in the machine's byte order.
    Fixed {
        width: usize,
        bytes: Buffer,
    },
    Bits(BooleanArray),
    Text {
        offsets: OffsetBuffer<i32>,
        bytes: Buffer,
    },
}

impl Column {
    /// `None` for types that are not plain: nested ones, `Null`. `array` has a stored type.
    pub(super) fn new(array: &ArrayRef) -> Option<Self> {
        let array = normalize_float_zero(array);
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let values = match array.data_type() {
            DataType::Boolean => Values::Bits(array.as_boolean().clone()),
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Values::Text { offsets: array.offsets().clone(), bytes: array.values().clone() }
            }
            DataType::Binary => {
                let array = array.as_binary::<i32>();
                Values::Text { offsets: array.offsets().clone(), bytes: array.values().clone() }
            }
            other => {
                let width = fixed_width(other)?;
                let data = array.to_data();
                let bytes = data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
                Values::Fixed { width, bytes }
            }
        };
        Some(Self { values, nulls })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// Bytes per value of types whose values are bytes of one length.
pub(super) fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok().filter(|width| *width > 0),
        other => other.primitive_width(),
    }
}

/// Whether [`Column::new`] takes columns of this stored type.
pub(super) fn is_plain(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean | DataType::Utf8 | DataType::Binary)
        || fixed_width(data_type).is_some()
}

/// A column of `data_type` from one buffer of values. The inverse of [`Values::Fixed`].
pub(super) fn fixed_array(
    data_type: &DataType,
    n_rows: usize,
    bytes: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Error> {
    let data = arrow::array::ArrayData::builder(data_type.clone())
        .len(n_rows)
        .add_buffer(bytes)
        .nulls(nulls)
        .build()?;
    Ok(make_array(data))
}

/// A column of `data_type`, a type of text or bytes, from values; `None` is null.
pub(super) fn text_array<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'a [u8]>> + Clone,
) -> Result<ArrayRef, Error> {
    let n_bytes: usize = values.clone().flatten().map(<[u8]>::len).sum();
    let stored = stored_type(data_type);
    if i32::try_from(n_bytes).is_err() {
        return Err(Error::TooLarge { bytes: n_bytes });
    }
    let mut builder = arrow::array::BinaryBuilder::with_capacity(values.size_hint().0, n_bytes);
    values.for_each(|value| builder.append_option(value));
    let binary: ArrayRef = Arc::new(builder.finish());
    cast_to(&cast_to(&binary, &stored)?, data_type)
}
