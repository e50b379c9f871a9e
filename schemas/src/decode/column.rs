//! Columns under construction, that can give back the entries of a record that turned out bad.
//!
//! Arrow's builders can't be shortened, hence these.
//!
//! Invariants:
//! 1. All columns of a record have the same number of entries whenever a record has been read or
//!    given back.
//! 2. Bytes of a column of type Utf8 are UTF-8 per entry; Arrow checks the whole once more, since
//!    skipping that would be `unsafe`.

use std::mem;
use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, BooleanBufferBuilder, ListArray, MapArray, NullArray, NullBufferBuilder,
    StructArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit, i256};
use arrow::error::ArrowError;

/// A column with the entries read so far.
#[derive(Debug)]
pub(crate) struct Column {
    data_type: DataType,
    /// `None` where the column has no nulls, or is of type null.
    validity: Option<NullBufferBuilder>,
    pub(crate) values: Values,
}

/// The entries, a null taking the place of a value that nobody looks at.
#[derive(Debug)]
pub(crate) enum Values {
    Null(usize),
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Bytes),
    Fixed { size: usize, n_entries: usize, data: Vec<u8> },
    Decimal128(Vec<i128>),
    Decimal256(Vec<i256>),
    List { offsets: Vec<i32>, item: Box<Column> },
    Map { offsets: Vec<i32>, keys: Bytes, values: Box<Column> },
    Struct { n_entries: usize, columns: Vec<Column> },
}

/// Entries of any length: entry `i` is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Debug)]
pub(crate) struct Bytes {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

/// The column has reached the 2 GiB that its offsets can address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full;

impl Bytes {
    fn new() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: &[u8]) -> Result<(), Full> {
        let end = i32::try_from(self.data.len() + entry.len()).map_err(|_| Full)?;
        self.data.extend_from_slice(entry);
        self.offsets.push(end);
        Ok(())
    }

    fn repeat_last(&mut self) {
        push_repeat(&mut self.offsets);
    }

    fn truncate(&mut self, n_entries: usize) {
        self.data.truncate(cut(&mut self.offsets, n_entries));
    }

    fn take(&mut self) -> [Buffer; 2] {
        let offsets = take_offsets(&mut self.offsets);
        [Buffer::from_vec(offsets), Buffer::from_vec(take_vec(&mut self.data))]
    }
}

impl Column {
    /// An empty column for `field`.
    ///
    /// # Errors
    /// [`ArrowError::SchemaError`] for a type that reader schemas do not make.
    pub(crate) fn new(field: &Field) -> Result<Self, ArrowError> {
        let data_type = field.data_type().clone();
        let values = match &data_type {
            DataType::Null => Values::Null(0),
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int32 | DataType::Date32 | DataType::Time32(TimeUnit::Millisecond) => {
                Values::Int(Vec::new())
            }
            DataType::Int64 | DataType::Time64(TimeUnit::Microsecond) | DataType::Timestamp(_, _) => {
                Values::Long(Vec::new())
            }
            DataType::Float32 => Values::Float(Vec::new()),
            DataType::Float64 => Values::Double(Vec::new()),
            DataType::Utf8 | DataType::Binary => Values::Bytes(Bytes::new()),
            DataType::FixedSizeBinary(size) => {
                let size =
                    usize::try_from(*size).map_err(|error| ArrowError::SchemaError(error.to_string()))?;
                Values::Fixed { size, n_entries: 0, data: Vec::new() }
            }
            DataType::Decimal128(_, _) => Values::Decimal128(Vec::new()),
            DataType::Decimal256(_, _) => Values::Decimal256(Vec::new()),
            DataType::List(item) => Values::List { offsets: vec![0], item: Box::new(Self::new(item)?) },
            DataType::Map(entries, _) => {
                let values = Box::new(Self::new(&map_entries(entries)?[1])?);
                Values::Map { offsets: vec![0], keys: Bytes::new(), values }
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().map(|field| Self::new(field)).collect::<Result<_, _>>()?;
                Values::Struct { n_entries: 0, columns }
            }
            other => return Err(ArrowError::SchemaError(format!("no column of type {other}"))),
        };
        let has_validity = field.is_nullable() && data_type != DataType::Null;
        Ok(Self { data_type, validity: has_validity.then(|| NullBufferBuilder::new(0)), values })
    }

    /// Says that the next entry is not null; the value must follow.
    #[inline]
    pub(crate) fn push_valid(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.append_non_null();
        }
    }

    /// Appends a null, or in a column without nulls (below a null record) a value of no meaning.
    pub(crate) fn push_null(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.append_null();
        }
        match &mut self.values {
            Values::Null(n) => *n += 1,
            Values::Boolean(values) => values.append(false),
            Values::Int(values) => values.push(0),
            Values::Long(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Bytes(values) => values.repeat_last(),
            Values::Fixed { size, n_entries, data } => {
                *n_entries += 1;
                data.resize(*n_entries * *size, 0);
            }
            Values::Decimal128(values) => values.push(0),
            Values::Decimal256(values) => values.push(i256::ZERO),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => push_repeat(offsets),
            Values::Struct { n_entries, columns } => {
                *n_entries += 1;
                columns.iter_mut().for_each(Self::push_null);
            }
        }
    }

    /// Forgets all entries but the first `n_entries`.
    pub(crate) fn truncate(&mut self, n: usize) {
        if let Some(validity) = &mut self.validity {
            validity.truncate(n);
        }
        match &mut self.values {
            Values::Null(n_entries) => *n_entries = n.min(*n_entries),
            Values::Boolean(values) => values.truncate(n),
            Values::Int(values) => values.truncate(n),
            Values::Long(values) => values.truncate(n),
            Values::Float(values) => values.truncate(n),
            Values::Double(values) => values.truncate(n),
            Values::Bytes(values) => values.truncate(n),
            Values::Fixed { size, n_entries, data } => {
                *n_entries = n.min(*n_entries);
                data.truncate(*n_entries * *size);
            }
            Values::Decimal128(values) => values.truncate(n),
            Values::Decimal256(values) => values.truncate(n),
            Values::List { offsets, item } => item.truncate(cut(offsets, n)),
            Values::Map { offsets, keys, values } => {
                let n_items = cut(offsets, n);
                keys.truncate(n_items);
                values.truncate(n_items);
            }
            Values::Struct { n_entries, columns } => {
                *n_entries = n.min(*n_entries);
                columns.iter_mut().for_each(|column| column.truncate(n));
            }
        }
    }

    /// Gives the entries as an array and starts over, with room for as many.
    ///
    /// # Errors
    /// What Arrow has against them: a bug here.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.validity.as_mut().and_then(NullBufferBuilder::finish);
        let data_type = &self.data_type;
        match &mut self.values {
            Values::Null(n) => Ok(Arc::new(NullArray::new(mem::take(n)))),
            Values::Boolean(values) => {
                let n_entries = values.len();
                leaf(data_type, n_entries, [values.finish().into_inner()], nulls)
            }
            Values::Int(values) => leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls),
            Values::Long(values) => {
                leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls)
            }
            Values::Float(values) => {
                leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls)
            }
            Values::Double(values) => {
                leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls)
            }
            Values::Decimal128(values) => {
                leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls)
            }
            Values::Decimal256(values) => {
                leaf(data_type, values.len(), [Buffer::from_vec(take_vec(values))], nulls)
            }
            Values::Bytes(values) => leaf(data_type, values.offsets.len() - 1, values.take(), nulls),
            Values::Fixed { n_entries, data, .. } => {
                leaf(data_type, mem::take(n_entries), [Buffer::from_vec(take_vec(data))], nulls)
            }
            Values::List { offsets, item } => finish_list(data_type, offsets, item, nulls),
            Values::Map { offsets, keys, values } => finish_map(data_type, offsets, keys, values, nulls),
            Values::Struct { n_entries, columns } => {
                finish_struct(data_type, mem::take(n_entries), columns, nulls)
            }
        }
    }
}

/// Appends the end of a list or map entry that starts where the last one ended.
pub(crate) fn push_offset(offsets: &mut Vec<i32>, n_items: usize) -> Result<(), Full> {
    let start = offsets.last().copied().unwrap_or(0);
    let end = i32::try_from(n_items).ok().and_then(|n_items| start.checked_add(n_items)).ok_or(Full)?;
    offsets.push(end);
    Ok(())
}

fn push_repeat(offsets: &mut Vec<i32>) {
    offsets.push(offsets.last().copied().unwrap_or(0));
}

/// Shortens offsets to `n_entries` entries and says where the last of them ends.
fn cut(offsets: &mut Vec<i32>, n_entries: usize) -> usize {
    offsets.truncate(n_entries + 1);
    let end = offsets.last().copied().unwrap_or(0);
    usize::try_from(end).expect("offsets only grow from 0")
}

fn take_vec<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    mem::replace(values, Vec::with_capacity(capacity))
}

fn take_offsets(offsets: &mut Vec<i32>) -> Vec<i32> {
    let taken = take_vec(offsets);
    offsets.push(0);
    taken
}

fn leaf<const N: usize>(
    data_type: &DataType,
    n_entries: usize,
    buffers: [Buffer; N],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let data = ArrayData::builder(data_type.clone()).len(n_entries).buffers(buffers.into()).nulls(nulls);
    Ok(make_array(data.build()?))
}

fn finish_list(
    data_type: &DataType,
    offsets: &mut Vec<i32>,
    item: &mut Column,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::List(field) = data_type else {
        return Err(wrong_type(data_type));
    };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(take_offsets(offsets)));
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, item.finish()?, nulls)?))
}

fn finish_map(
    data_type: &DataType,
    offsets: &mut Vec<i32>,
    keys: &mut Bytes,
    values: &mut Column,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(field, sorted) = data_type else {
        return Err(wrong_type(data_type));
    };
    let fields = map_entries(field)?.clone();
    let n_items = keys.offsets.len() - 1;
    let keys = leaf(&DataType::Utf8, n_items, keys.take(), None)?;
    let entries = StructArray::try_new(fields, vec![keys, values.finish()?], None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(take_offsets(offsets)));
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
}

fn finish_struct(
    data_type: &DataType,
    n_entries: usize,
    columns: &mut [Column],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = data_type else {
        return Err(wrong_type(data_type));
    };
    let arrays = columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, n_entries)?))
}

fn map_entries(entries: &FieldRef) -> Result<&Fields, ArrowError> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Ok(fields),
        other => Err(wrong_type(other)),
    }
}

fn wrong_type(data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("a column under construction is not of its type {data_type}"))
}
