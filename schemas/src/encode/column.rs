//! A column of a batch, ready to be written value by value.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, GenericBinaryArray,
    GenericStringArray, StringViewArray, UnionArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Field, Fields, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    UnionFields, i256,
};

use super::{derive, write};
use crate::error::EncodeError;

/// A null where the schema has none.
pub(super) struct NullFound;

/// See the module.
pub(super) struct Column<'a> {
    /// Whether the schema has a union of null and the type.
    is_nullable: bool,
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float16(&'a [<Float16Type as ArrowPrimitiveType>::Native]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal32(&'a [i32]),
    Decimal64(&'a [i64]),
    Decimal128(&'a [i128]),
    Decimal256(&'a [i256]),
    Utf8(&'a GenericStringArray<i32>),
    LargeUtf8(&'a GenericStringArray<i64>),
    Utf8View(&'a StringViewArray),
    Binary(&'a GenericBinaryArray<i32>),
    LargeBinary(&'a GenericBinaryArray<i64>),
    BinaryView(&'a BinaryViewArray),
    Fixed(&'a FixedSizeBinaryArray),
    List(&'a [i32], Box<Column<'a>>),
    LargeList(&'a [i64], Box<Column<'a>>),
    /// Items per list.
    FixedSizeList(usize, Box<Column<'a>>),
    /// Keys, then values.
    Map(&'a [i32], Box<[Column<'a>; 2]>),
    Struct(Vec<Column<'a>>),
    Union(Branches<'a>),
}

/// The branches of a union.
struct Branches<'a> {
    array: &'a UnionArray,
    /// By Arrow's number of the branch; `None` is that of null. Avro's index is one more than how many are in front.
    by_id: Vec<Option<(usize, Column<'a>)>>,
}

impl<'a> Column<'a> {
    /// # Errors
    /// [`EncodeError::Type`] where the array is not of the field's type.
    pub(super) fn bind(field: &Field, array: &'a ArrayRef) -> Result<Self, EncodeError> {
        let refused = || EncodeError::Type {
            column: field.name().clone(),
            found: array.data_type().to_string(),
            expected: field.data_type().to_string(),
        };
        if !field.data_type().equals_datatype(array.data_type()) {
            return Err(refused());
        }
        let values = match nested(field.data_type(), array)? {
            Some(values) => values,
            None => numbers(array).or_else(|| bytes(array)).ok_or_else(refused)?,
        };
        let is_nullable = derive::is_nullable(field) && !matches!(values, Values::Union(_));
        Ok(Self { is_nullable, nulls: array.nulls(), values })
    }

    /// Appends the value of a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), NullFound> {
        let is_null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        match (self.is_nullable, is_null) {
            (true, true) => {
                out.push(0);
                return Ok(());
            }
            (true, false) => out.push(2),
            (false, true) => return Err(NullFound),
            (false, false) => {}
        }
        match &self.values {
            Values::Null => {}
            Values::Boolean(array) => out.push(u8::from(array.value(row))),
            Values::Int8(values) => write::long(values[row].into(), out),
            Values::Int16(values) => write::long(values[row].into(), out),
            Values::Int32(values) => write::long(values[row].into(), out),
            Values::Int64(values) => write::long(values[row], out),
            Values::UInt8(values) => write::long(values[row].into(), out),
            Values::UInt16(values) => write::long(values[row].into(), out),
            Values::UInt32(values) => write::long(values[row].into(), out),
            Values::UInt64(values) => write::decimal(&i128::from(values[row]).to_be_bytes(), out),
            Values::Float16(values) => out.extend_from_slice(&values[row].to_f32().to_le_bytes()),
            Values::Float32(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Float64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Decimal32(values) => write::decimal(&values[row].to_be_bytes(), out),
            Values::Decimal64(values) => write::decimal(&values[row].to_be_bytes(), out),
            Values::Decimal128(values) => write::decimal(&values[row].to_be_bytes(), out),
            Values::Decimal256(values) => write::decimal(&values[row].to_be_bytes(), out),
            Values::Utf8(array) => write::bytes(array.value(row).as_bytes(), out),
            Values::LargeUtf8(array) => write::bytes(array.value(row).as_bytes(), out),
            Values::Utf8View(array) => write::bytes(array.value(row).as_bytes(), out),
            Values::Binary(array) => write::bytes(array.value(row), out),
            Values::LargeBinary(array) => write::bytes(array.value(row), out),
            Values::BinaryView(array) => write::bytes(array.value(row), out),
            Values::Fixed(array) => out.extend_from_slice(array.value(row)),
            Values::List(ends, item) => item.block(ends[row].as_usize(), ends[row + 1].as_usize(), out)?,
            Values::LargeList(ends, item) => {
                item.block(ends[row].as_usize(), ends[row + 1].as_usize(), out)?
            }
            Values::FixedSizeList(n, item) => item.block(row * n, (row + 1) * n, out)?,
            Values::Map(ends, entries) => {
                write_block(&entries[..], ends[row].as_usize(), ends[row + 1].as_usize(), out)?;
            }
            Values::Struct(fields) => fields.iter().try_for_each(|field| field.write(row, out))?,
            Values::Union(branches) => branches.write(row, out)?,
        }
        Ok(())
    }

    fn block(&self, start: usize, end: usize, out: &mut Vec<u8>) -> Result<(), NullFound> {
        write_block(std::slice::from_ref(self), start, end, out)
    }
}

impl<'a> Branches<'a> {
    fn bind(fields: &UnionFields, array: &'a UnionArray) -> Result<Self, EncodeError> {
        let mut by_id = Vec::new();
        let mut index = 0;
        for (id, field) in fields.iter() {
            let at = usize::try_from(id).unwrap_or_default();
            by_id.resize_with(by_id.len().max(at + 1), || None);
            if *field.data_type() != DataType::Null {
                index += 1;
                let mut column = Column::bind(field, array.child(id))?;
                // Its nulls are nulls of the union.
                column.is_nullable = false;
                by_id[at] = Some((index, column));
            }
        }
        Ok(Self { array, by_id })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), NullFound> {
        let at = usize::try_from(self.array.type_id(row)).unwrap_or(usize::MAX);
        let row = self.array.value_offset(row);
        match self.by_id.get(at).and_then(Option::as_ref) {
            Some((index, column)) if column.nulls.is_none_or(|nulls| nulls.is_valid(row)) => {
                write::length(*index, out);
                column.write(row, out)
            }
            _ => {
                out.push(0);
                Ok(())
            }
        }
    }
}

/// The rows `start..end` of some columns, as one block of an array or a map.
fn write_block(columns: &[Column<'_>], start: usize, end: usize, out: &mut Vec<u8>) -> Result<(), NullFound> {
    if start < end {
        write::length(end - start, out);
        for row in start..end {
            columns.iter().try_for_each(|column| column.write(row, out))?;
        }
    }
    out.push(0);
    Ok(())
}

fn slice<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&[T::Native]> {
    array.as_primitive_opt::<T>().map(|array| &**array.values())
}

fn numbers(array: &ArrayRef) -> Option<Values<'_>> {
    Some(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Boolean(array.as_boolean_opt()?),
        DataType::Int8 => Values::Int8(slice::<Int8Type>(array)?),
        DataType::Int16 => Values::Int16(slice::<Int16Type>(array)?),
        DataType::Int32 => Values::Int32(slice::<Int32Type>(array)?),
        DataType::Date32 => Values::Int32(slice::<Date32Type>(array)?),
        DataType::Time32(_) => Values::Int32(slice::<Time32MillisecondType>(array)?),
        DataType::Int64 => Values::Int64(slice::<Int64Type>(array)?),
        DataType::Time64(_) => Values::Int64(slice::<Time64MicrosecondType>(array)?),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Values::Int64(slice::<TimestampMillisecondType>(array)?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Values::Int64(slice::<TimestampMicrosecondType>(array)?)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Values::Int64(slice::<TimestampNanosecondType>(array)?)
        }
        DataType::UInt8 => Values::UInt8(slice::<UInt8Type>(array)?),
        DataType::UInt16 => Values::UInt16(slice::<UInt16Type>(array)?),
        DataType::UInt32 => Values::UInt32(slice::<UInt32Type>(array)?),
        DataType::UInt64 => Values::UInt64(slice::<UInt64Type>(array)?),
        DataType::Float16 => Values::Float16(slice::<Float16Type>(array)?),
        DataType::Float32 => Values::Float32(slice::<Float32Type>(array)?),
        DataType::Float64 => Values::Float64(slice::<Float64Type>(array)?),
        DataType::Decimal32(..) => Values::Decimal32(slice::<Decimal32Type>(array)?),
        DataType::Decimal64(..) => Values::Decimal64(slice::<Decimal64Type>(array)?),
        DataType::Decimal128(..) => Values::Decimal128(slice::<Decimal128Type>(array)?),
        DataType::Decimal256(..) => Values::Decimal256(slice::<Decimal256Type>(array)?),
        _ => return None,
    })
}

fn bytes(array: &ArrayRef) -> Option<Values<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => Values::Utf8(array.as_string_opt()?),
        DataType::LargeUtf8 => Values::LargeUtf8(array.as_string_opt()?),
        DataType::Utf8View => Values::Utf8View(array.as_string_view_opt()?),
        DataType::Binary => Values::Binary(array.as_binary_opt()?),
        DataType::LargeBinary => Values::LargeBinary(array.as_binary_opt()?),
        DataType::BinaryView => Values::BinaryView(array.as_binary_view_opt()?),
        DataType::FixedSizeBinary(_) => Values::Fixed(array.as_fixed_size_binary_opt()?),
        _ => return None,
    })
}

/// `None`: it has nothing inside.
fn nested<'a>(data_type: &DataType, array: &'a ArrayRef) -> Result<Option<Values<'a>>, EncodeError> {
    let inside = |field: &Field, array: &'a ArrayRef| Column::bind(field, array).map(Box::new);
    Ok(Some(match data_type {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            Values::List(list.value_offsets(), inside(item, list.values())?)
        }
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            Values::LargeList(list.value_offsets(), inside(item, list.values())?)
        }
        DataType::FixedSizeList(item, n) => {
            let list = array.as_fixed_size_list();
            Values::FixedSizeList(usize::try_from(*n).unwrap_or(0), inside(item, list.values())?)
        }
        DataType::Map(entries, _) => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else {
                return Ok(None);
            };
            let entries = map.entries();
            let [key, value] = bind_all(fields, entries.columns())?
                .try_into()
                .map_err(|found: Vec<_>| EncodeError::Columns { found: found.len(), expected: 2 })?;
            Values::Map(map.value_offsets(), Box::new([key, value]))
        }
        DataType::Struct(fields) => Values::Struct(bind_all(fields, array.as_struct().columns())?),
        DataType::Union(fields, _) => Values::Union(Branches::bind(fields, array.as_union())?),
        _ => return Ok(None),
    }))
}

fn bind_all<'a>(fields: &Fields, arrays: &'a [ArrayRef]) -> Result<Vec<Column<'a>>, EncodeError> {
    fields.iter().zip(arrays).map(|(field, array)| Column::bind(field, array)).collect()
}
