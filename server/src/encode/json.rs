//! One column's values as JSON text, or as plain text for CSV and tables.
//!
//! A [`Cell`] owns its (reference-counted) array, typed once per batch, so that a row costs one
//! dynamic call per column and no allocation.

use std::fmt::{self, Debug, Display, Write as _};
use std::io::Write as _;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, DictionaryArray, OffsetSizeTrait,
    PrimitiveArray, StringViewArray,
};
use arrow::array::{
    BinaryViewArray, FixedSizeBinaryArray, GenericBinaryArray, GenericStringArray, UnionArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::time;

/// How text-like values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// JSON: text-like values are quoted and escaped.
    Json,
    /// The bare text, at the top level; nested values stay JSON.
    Plain,
}

/// The values of one column.
pub trait Cell: Send {
    /// Appends the value of row `row`. Null: appends nothing and returns false.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool;
}

/// Appends a value as JSON, `null` included.
pub(super) fn value(cell: &dyn Cell, row: usize, out: &mut Vec<u8>) {
    if !cell.write(row, out) {
        out.extend_from_slice(b"null");
    }
}

/// Appends formatted text.
pub(super) fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

/// A string as JSON, quotes included.
#[must_use]
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    string(text, Style::Json, &mut out);
    out
}

fn string(text: &str, style: Style, out: &mut Vec<u8>) {
    match style {
        Style::Json => serde_json::to_writer(out, text).expect("a string is JSON, and memory does not fail"),
        Style::Plain => out.extend_from_slice(text.as_bytes()),
    }
}

/// Appends what `write` writes, which needs no escaping, in quotes if JSON.
fn text(style: Style, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if style == Style::Json {
        out.push(b'"');
    }
    write(out);
    if style == Style::Json {
        out.push(b'"');
    }
}

/// A cell from a closure that writes values that are not null.
struct Written<F> {
    nulls: Option<NullBuffer>,
    write: F,
}

impl<F: Fn(usize, &mut Vec<u8>) + Send> Cell for Written<F> {
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return false;
        }
        (self.write)(row, out);
        true
    }
}

fn written(array: &dyn Array, write: impl Fn(usize, &mut Vec<u8>) + Send + 'static) -> Box<dyn Cell> {
    Box::new(Written { nulls: array.nulls().cloned(), write })
}

/// The cell of a column.
#[must_use]
pub fn cell(array: &ArrayRef, style: Style) -> Box<dyn Cell> {
    use DataType as T;
    match array.data_type() {
        T::Null => Box::new(Null),
        T::Boolean => boolean(array.as_boolean().clone()),
        T::Int8 => integer(array.as_primitive::<Int8Type>().clone()),
        T::Int16 => integer(array.as_primitive::<Int16Type>().clone()),
        T::Int32 => integer(array.as_primitive::<Int32Type>().clone()),
        T::Int64 => integer(array.as_primitive::<Int64Type>().clone()),
        T::UInt8 => integer(array.as_primitive::<UInt8Type>().clone()),
        T::UInt16 => integer(array.as_primitive::<UInt16Type>().clone()),
        T::UInt32 => integer(array.as_primitive::<UInt32Type>().clone()),
        T::UInt64 => integer(array.as_primitive::<UInt64Type>().clone()),
        T::Float16 => float(array.as_primitive::<Float16Type>().clone(), style, |v| v.to_f32()),
        T::Float32 => float(array.as_primitive::<Float32Type>().clone(), style, |v| v),
        T::Float64 => float(array.as_primitive::<Float64Type>().clone(), style, |v| v),
        T::Decimal32(..) => decimal(array.as_primitive::<Decimal32Type>().clone(), style),
        T::Decimal64(..) => decimal(array.as_primitive::<Decimal64Type>().clone(), style),
        T::Decimal128(..) => decimal(array.as_primitive::<Decimal128Type>().clone(), style),
        T::Decimal256(..) => decimal(array.as_primitive::<Decimal256Type>().clone(), style),
        T::Utf8 => varchar::<i32>(array.as_string().clone(), style),
        T::LargeUtf8 => varchar::<i64>(array.as_string().clone(), style),
        T::Utf8View => varchar_view(array.as_string_view().clone(), style),
        T::Binary => varbinary::<i32>(array.as_binary().clone(), style),
        T::LargeBinary => varbinary::<i64>(array.as_binary().clone(), style),
        T::BinaryView => varbinary_view(array.as_binary_view().clone(), style),
        T::FixedSizeBinary(_) => varbinary_fixed(array.as_fixed_size_binary().clone(), style),
        T::Date32 | T::Date64 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) => temporal(array, style),
        T::List(_) => list(array, array.as_list::<i32>().values(), array.as_list::<i32>().offsets()),
        T::LargeList(_) => list(array, array.as_list::<i64>().values(), array.as_list::<i64>().offsets()),
        T::FixedSizeList(_, len) => fixed_list(array, usize::try_from(*len).unwrap_or(0)),
        T::Struct(_) => structure(array),
        T::Map(..) => map(array),
        T::Union(..) => union(array.as_union().clone(), style),
        T::ListView(item) => plainly(array, &T::List(item.clone()), style),
        T::LargeListView(item) => plainly(array, &T::LargeList(item.clone()), style),
        T::RunEndEncoded(_, values) => plainly(array, values.data_type(), style),
        T::Dictionary(key, _) => dictionary(array, key, style),
        T::Duration(_) | T::Interval(_) => displayed(array, style),
    }
}

struct Null;

impl Cell for Null {
    fn write(&self, _row: usize, _out: &mut Vec<u8>) -> bool {
        false
    }
}

fn boolean(array: BooleanArray) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    let write = move |row: usize, out: &mut Vec<u8>| {
        out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
    };
    Box::new(Written { nulls, write })
}

fn integer<T: ArrowPrimitiveType>(array: PrimitiveArray<T>) -> Box<dyn Cell>
where
    T::Native: Display,
{
    let nulls = array.nulls().cloned();
    let write = move |row: usize, out: &mut Vec<u8>| put(out, format_args!("{}", array.value(row)));
    Box::new(Written { nulls, write })
}

/// Shortest digits that read back as the same number; what JSON has no number for is a string.
fn float<T: ArrowPrimitiveType, V: Debug + Into<f64> + Copy>(
    array: PrimitiveArray<T>,
    style: Style,
    convert: impl Fn(T::Native) -> V + Send + 'static,
) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    let write = move |row: usize, out: &mut Vec<u8>| {
        let number = convert(array.value(row));
        let wide: f64 = number.into();
        if wide.is_nan() {
            string("NaN", style, out);
        } else if wide.is_infinite() {
            string(if 0.0 < wide { "Infinity" } else { "-Infinity" }, style, out);
        } else {
            put(out, format_args!("{number:?}"));
        }
    };
    Box::new(Written { nulls, write })
}

fn decimal<T: DecimalType>(array: PrimitiveArray<T>, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    let write = move |row: usize, out: &mut Vec<u8>| string(&array.value_as_string(row), style, out);
    Box::new(Written { nulls, write })
}

fn varchar<O: OffsetSizeTrait>(array: GenericStringArray<O>, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    Box::new(Written {
        nulls,
        write: move |row: usize, out: &mut Vec<u8>| string(array.value(row), style, out),
    })
}

fn varchar_view(array: StringViewArray, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    Box::new(Written {
        nulls,
        write: move |row: usize, out: &mut Vec<u8>| string(array.value(row), style, out),
    })
}

fn base64(bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    text(style, out, |out| out.extend_from_slice(STANDARD.encode(bytes).as_bytes()));
}

fn varbinary<O: OffsetSizeTrait>(array: GenericBinaryArray<O>, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    Box::new(Written {
        nulls,
        write: move |row: usize, out: &mut Vec<u8>| base64(array.value(row), style, out),
    })
}

fn varbinary_view(array: BinaryViewArray, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    Box::new(Written {
        nulls,
        write: move |row: usize, out: &mut Vec<u8>| base64(array.value(row), style, out),
    })
}

fn varbinary_fixed(array: FixedSizeBinaryArray, style: Style) -> Box<dyn Cell> {
    let nulls = array.nulls().cloned();
    Box::new(Written {
        nulls,
        write: move |row: usize, out: &mut Vec<u8>| base64(array.value(row), style, out),
    })
}

fn ticks<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    style: Style,
    write: impl Fn(i64, &mut Vec<u8>) + Send + 'static,
) -> Box<dyn Cell>
where
    T::Native: Into<i64>,
{
    let array = array.as_primitive::<T>().clone();
    let nulls = array.nulls().cloned();
    let write =
        move |row: usize, out: &mut Vec<u8>| text(style, out, |out| write(array.value(row).into(), out));
    Box::new(Written { nulls, write })
}

fn temporal(array: &ArrayRef, style: Style) -> Box<dyn Cell> {
    use TimeUnit as U;
    let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let stamp = |unit: U| move |v: i64, out: &mut Vec<u8>| time::timestamp(v, unit, zoned, out);
    let clock = |unit: U| move |v: i64, out: &mut Vec<u8>| time::time(v, unit, out);
    match array.data_type() {
        DataType::Date32 => ticks::<Date32Type>(array, style, time::date),
        DataType::Date64 => {
            ticks::<Date64Type>(array, style, |ms, out| time::date(ms.div_euclid(86_400_000), out))
        }
        DataType::Time32(U::Second) => ticks::<Time32SecondType>(array, style, clock(U::Second)),
        DataType::Time32(_) => ticks::<Time32MillisecondType>(array, style, clock(U::Millisecond)),
        DataType::Time64(U::Microsecond) => {
            ticks::<Time64MicrosecondType>(array, style, clock(U::Microsecond))
        }
        DataType::Time64(_) => ticks::<Time64NanosecondType>(array, style, clock(U::Nanosecond)),
        DataType::Timestamp(U::Second, _) => ticks::<TimestampSecondType>(array, style, stamp(U::Second)),
        DataType::Timestamp(U::Millisecond, _) => {
            ticks::<TimestampMillisecondType>(array, style, stamp(U::Millisecond))
        }
        DataType::Timestamp(U::Microsecond, _) => {
            ticks::<TimestampMicrosecondType>(array, style, stamp(U::Microsecond))
        }
        _ => ticks::<TimestampNanosecondType>(array, style, stamp(U::Nanosecond)),
    }
}

fn items(values: &dyn Cell, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, item) in range.enumerate() {
        if i != 0 {
            out.push(b',');
        }
        value(values, item, out);
    }
    out.push(b']');
}

fn list<O: OffsetSizeTrait>(array: &ArrayRef, values: &ArrayRef, offsets: &OffsetBuffer<O>) -> Box<dyn Cell> {
    let (values, offsets) = (cell(values, Style::Json), offsets.clone());
    written(array, move |row, out| {
        items(values.as_ref(), offsets[row].as_usize()..offsets[row + 1].as_usize(), out);
    })
}

fn fixed_list(array: &ArrayRef, len: usize) -> Box<dyn Cell> {
    let values = cell(array.as_fixed_size_list().values(), Style::Json);
    written(array, move |row, out| items(values.as_ref(), row * len..(row + 1) * len, out))
}

fn structure(array: &ArrayRef) -> Box<dyn Cell> {
    let members = array.as_struct();
    let cells: Vec<_> = members
        .fields()
        .iter()
        .zip(members.columns())
        .map(|(field, column)| (quoted(field.name()), cell(column, Style::Json)))
        .collect();
    written(array, move |row, out| {
        out.push(b'{');
        for (i, (name, cell)) in cells.iter().enumerate() {
            if i != 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            value(cell.as_ref(), row, out);
        }
        out.push(b'}');
    })
}

/// Keys that are not text are the text of their JSON.
fn map(array: &ArrayRef) -> Box<dyn Cell> {
    let map = array.as_map();
    let (keys, values) = (cell(map.keys(), Style::Plain), cell(map.values(), Style::Json));
    let offsets = map.offsets().clone();
    written(array, move |row, out| {
        let mut key = Vec::new();
        out.push(b'{');
        for (i, entry) in (offsets[row].as_usize()..offsets[row + 1].as_usize()).enumerate() {
            if i != 0 {
                out.push(b',');
            }
            key.clear();
            keys.write(entry, &mut key);
            string(&String::from_utf8_lossy(&key), Style::Json, out);
            out.push(b':');
            value(values.as_ref(), entry, out);
        }
        out.push(b'}');
    })
}

/// The value of the branch that the row chose, without its name.
struct Union {
    array: UnionArray,
    /// Indexed by type id.
    branches: Vec<Option<Box<dyn Cell>>>,
}

impl Cell for Union {
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        let branch = usize::try_from(self.array.type_id(row)).ok().and_then(|id| self.branches.get(id));
        match branch {
            Some(Some(cell)) => cell.write(self.array.value_offset(row), out),
            _ => false,
        }
    }
}

fn union(array: UnionArray, style: Style) -> Box<dyn Cell> {
    let mut branches = Vec::new();
    if let DataType::Union(fields, _) = array.data_type() {
        for (id, _) in fields.iter() {
            let Ok(at) = usize::try_from(id) else { continue };
            branches.resize_with(branches.len().max(at + 1), || None);
            branches[at] = Some(cell(array.child(id), style));
        }
    }
    Box::new(Union { array, branches })
}

/// Rare encodings: decoded to the plain one first.
fn plainly(array: &ArrayRef, plain: &DataType, style: Style) -> Box<dyn Cell> {
    match cast(array, plain) {
        Ok(plain) => cell(&plain, style),
        Err(_) => displayed(array, style),
    }
}

fn dictionary(array: &ArrayRef, key: &DataType, style: Style) -> Box<dyn Cell> {
    fn indexed<K: ArrowDictionaryKeyType>(array: &DictionaryArray<K>, style: Style) -> Box<dyn Cell>
    where
        K::Native: TryInto<usize>,
    {
        let (values, keys) = (cell(array.values(), style), array.keys().clone());
        Box::new(Indexed { values, keys })
    }
    match key {
        DataType::Int8 => indexed(array.as_dictionary::<Int8Type>(), style),
        DataType::Int16 => indexed(array.as_dictionary::<Int16Type>(), style),
        DataType::Int32 => indexed(array.as_dictionary::<Int32Type>(), style),
        DataType::Int64 => indexed(array.as_dictionary::<Int64Type>(), style),
        DataType::UInt8 => indexed(array.as_dictionary::<UInt8Type>(), style),
        DataType::UInt16 => indexed(array.as_dictionary::<UInt16Type>(), style),
        DataType::UInt32 => indexed(array.as_dictionary::<UInt32Type>(), style),
        _ => indexed(array.as_dictionary::<UInt64Type>(), style),
    }
}

/// A dictionary's row: null if its key or the value it points to is.
struct Indexed<K: ArrowDictionaryKeyType> {
    values: Box<dyn Cell>,
    keys: PrimitiveArray<K>,
}

impl<K: ArrowDictionaryKeyType> Cell for Indexed<K>
where
    K::Native: TryInto<usize>,
{
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.keys.is_null(row) {
            return false;
        }
        self.keys.value(row).try_into().is_ok_and(|index| self.values.write(index, out))
    }
}

/// Intervals and durations, as Arrow prints them.
fn displayed(array: &ArrayRef, style: Style) -> Box<dyn Cell> {
    let owned = array.clone();
    written(array, move |row, out| {
        let mut shown = String::new();
        match array_value_to_string(&owned, row) {
            Ok(value) => shown = value,
            Err(error) => {
                write!(shown, "{error}").expect("writing to memory does not fail");
            }
        }
        string(&shown, style, out);
    })
}
