//! Columns under construction, that can give back the entries of a record that turned out bad.
//!
//! Arrow's builders can't be shortened, hence these.
//!
//! Invariants:
//! 1. All columns of a record have the same number of entries whenever a record has been read or
//!    given back.

use std::mem;
use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayRef, ListArray, MapArray, NullArray, StructArray, UnionArray, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, TimeUnit, i256};
use arrow::error::ArrowError;

use super::bytes::{Bytes, Strings};
use super::layout::{Layout, Place, map_entries};
use super::take;

/// All slots of a [`Layout`] with the entries read so far.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) layout: Arc<Layout>,
    pub(crate) slots: Vec<Slot>,
}

/// A slot with the entries read so far.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Which entries are null, ascending; of a slot without nulls none.
    nulls: Vec<u32>,
    is_nullable: bool,
    pub(crate) values: Values,
    /// The memory of the last batch's values.
    spare: Option<Buffer>,
}

/// The entries, a null taking the place of a value that nobody looks at.
#[derive(Debug)]
pub(crate) enum Values {
    Null(usize),
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    Long(Longs),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Bytes),
    Text(Strings),
    Fixed {
        size: usize,
        n_entries: usize,
        data: Vec<u8>,
    },
    Decimal128(Vec<i128>),
    Decimal256(Vec<i256>),
    List {
        offsets: Vec<i32>,
        item: usize,
    },
    Map {
        offsets: Vec<i32>,
        keys: usize,
        values: usize,
    },
    /// As many entries as each of its columns has; counted only where it has none.
    Struct {
        n_entries: usize,
        columns: Vec<usize>,
    },
    /// Of each entry its branch; a null is one of the branch at `null`.
    Union {
        chosen: Vec<i8>,
        null: usize,
        branches: Vec<usize>,
    },
}

/// Numbers as they are on the wire, up to eight bytes of each: their bits are joined when the batch is
/// complete, all in one go, which takes a third of the time.
#[derive(Debug)]
pub(crate) struct Longs {
    pub(crate) words: Vec<i64>,
    /// Those of more than eight bytes, by their index, ascending.
    pub(crate) late: Vec<(usize, i64)>,
}

/// The column has reached the 2 GiB that its offsets can address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full;

impl Longs {
    /// The number that is next.
    #[inline(always)]
    pub(crate) fn push_next(&mut self, rest: &mut &[u8]) -> Option<()> {
        let word = match take::word(rest) {
            Some(word) => word.cast_signed(),
            None => take::any_word(rest, &mut self.late, self.words.len())?,
        };
        self.words.push(word);
        Some(())
    }

    fn truncate(&mut self, n: usize) {
        self.words.truncate(n);
        self.late.truncate(self.late.partition_point(|(entry, _)| *entry < n));
    }

    fn finish(&mut self) -> Vec<i64> {
        let mut longs = mem::take(&mut self.words);
        longs.iter_mut().for_each(|word| *word = take::zigzag(take::join_sevens(word.cast_unsigned())));
        self.late.drain(..).for_each(|(entry, long)| longs[entry] = long);
        longs
    }
}

impl Columns {
    /// # Errors
    /// [`ArrowError::SchemaError`] for a type that reader schemas do not make.
    pub(crate) fn new(layout: Arc<Layout>) -> Result<Self, ArrowError> {
        let slots = layout.slots.iter().map(Slot::new).collect::<Result<_, _>>()?;
        Ok(Self { layout, slots })
    }

    /// Makes room for `n_rows` rows more, in the memory of the last batch if nobody has that any more.
    pub(crate) fn reserve(&mut self, n_rows: usize) {
        for (slot, place) in self.slots.iter_mut().zip(&self.layout.slots) {
            slot.reserve(if place.is_by_row { n_rows } else { 0 });
        }
    }

    /// Forgets all rows but the first `n_rows`.
    pub(crate) fn truncate(&mut self, n_rows: usize) {
        for &root in &self.layout.roots {
            truncate(&mut self.slots, root, n_rows);
        }
    }

    /// Gives the columns that were asked for as arrays and starts over, with room for as much.
    ///
    /// # Errors
    /// What Arrow has against them: a bug here.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let layout = Arc::clone(&self.layout);
        layout.roots.iter().map(|&root| finish(&mut self.slots, &layout, root)).collect()
    }
}

impl Slot {
    fn new(place: &Place) -> Result<Self, ArrowError> {
        let child = |i: usize| {
            let child = place.children.get(i).copied();
            child.ok_or_else(|| ArrowError::SchemaError(format!("no column in a {}", place.data_type)))
        };
        let values = match &place.data_type {
            DataType::Null => Values::Null(0),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int32 | DataType::Date32 | DataType::Time32(TimeUnit::Millisecond) => {
                Values::Int(Vec::new())
            }
            DataType::Int64 | DataType::Time64(TimeUnit::Microsecond) | DataType::Timestamp(_, _) => {
                Values::Long(Longs { words: Vec::new(), late: Vec::new() })
            }
            DataType::Float32 => Values::Float(Vec::new()),
            DataType::Float64 => Values::Double(Vec::new()),
            DataType::Utf8 => Values::Text(Strings::default()),
            DataType::Binary => Values::Bytes(Bytes::default()),
            DataType::FixedSizeBinary(size) => {
                let size =
                    usize::try_from(*size).map_err(|error| ArrowError::SchemaError(error.to_string()))?;
                Values::Fixed { size, n_entries: 0, data: Vec::new() }
            }
            DataType::Decimal128(_, _) => Values::Decimal128(Vec::new()),
            DataType::Decimal256(_, _) => Values::Decimal256(Vec::new()),
            DataType::List(_) => Values::List { offsets: vec![0], item: child(0)? },
            DataType::Map(_, _) => Values::Map { offsets: vec![0], keys: child(0)?, values: child(1)? },
            DataType::Struct(_) => Values::Struct { n_entries: 0, columns: place.children.clone() },
            DataType::Union(fields, _) => {
                let null = fields.iter().position(|(_, field)| *field.data_type() == DataType::Null);
                let branches = place.children.clone();
                Values::Union { chosen: Vec::new(), null: null.unwrap_or(0), branches }
            }
            other => return Err(ArrowError::SchemaError(format!("no column of type {other}"))),
        };
        Ok(Self { nulls: Vec::new(), is_nullable: place.is_nullable, values, spare: None })
    }

    /// Of a struct with columns, see [`len`].
    fn len(&self) -> usize {
        match &self.values {
            Values::Null(n_entries) | Values::Fixed { n_entries, .. } | Values::Struct { n_entries, .. } => {
                *n_entries
            }
            Values::Boolean(values) => values.len(),
            Values::Union { chosen, .. } => chosen.len(),
            Values::Int(values) => values.len(),
            Values::Long(values) => values.words.len(),
            Values::Float(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Decimal128(values) => values.len(),
            Values::Decimal256(values) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Text(values) => values.len(),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Appends a null, or in a slot without nulls a value of no meaning; to a slot without others inside it.
    pub(crate) fn push_null(&mut self) {
        self.push_null_as(self.len());
    }

    /// The same, which becomes that entry; not to what is inside a struct.
    fn push_null_as(&mut self, entry: usize) {
        if self.is_nullable {
            self.nulls.push(u32::try_from(entry).unwrap_or(u32::MAX));
        }
        match &mut self.values {
            Values::Null(n) => *n += 1,
            Values::Boolean(values) => values.push(false),
            Values::Int(values) => values.push(0),
            Values::Long(values) => values.words.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Fixed { size, n_entries, data } => {
                *n_entries += 1;
                data.resize(*n_entries * *size, 0);
            }
            Values::Decimal128(values) => values.push(0),
            Values::Decimal256(values) => values.push(i256::ZERO),
            Values::Bytes(values) => values.push_empty(),
            Values::Text(values) => values.push_empty(),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
            }
            Values::Struct { n_entries, .. } => *n_entries += 1,
            Values::Union { chosen, null, .. } => chosen.push(type_id(*null)),
        }
    }

    fn reserve(&mut self, n: usize) {
        let spare = &mut self.spare;
        match &mut self.values {
            Values::Null(_) | Values::Struct { .. } => {}
            Values::Boolean(values) => values.reserve(n),
            Values::Union { chosen, .. } => chosen.reserve(n),
            Values::Int(values) => reserve(values, n, spare),
            Values::Long(values) => reserve(&mut values.words, n, spare),
            Values::Float(values) => reserve(values, n, spare),
            Values::Double(values) => reserve(values, n, spare),
            Values::Decimal128(values) => reserve(values, n, spare),
            Values::Decimal256(values) => reserve(values, n, spare),
            Values::Fixed { size, data, .. } => reserve(data, n * *size, spare),
            Values::Bytes(values) => values.reserve(n),
            Values::Text(values) => values.reserve(n),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => offsets.reserve(n),
        }
    }
}

/// Makes room for `n` values in the memory of those before, or else in as much.
pub(super) fn reserve<T: ArrowNativeType>(values: &mut Vec<T>, n: usize, spare: &mut Option<Buffer>) {
    if let Some(buffer) = spare.take().filter(|_| values.is_empty()) {
        *values =
            buffer.into_vec().unwrap_or_else(|shared| Vec::with_capacity(shared.len() / size_of::<T>()));
        values.clear();
    }
    values.reserve(n);
}

/// How many entries a slot has, between two of them.
pub(crate) fn len(slots: &[Slot], slot: usize) -> usize {
    match &slots[slot].values {
        Values::Struct { columns, .. } if !columns.is_empty() => len(slots, columns[0]),
        _ => slots[slot].len(),
    }
}

/// Appends a null to a slot, or, if it has none (below a null record), a value of no meaning.
pub(crate) fn push_null(slots: &mut [Slot], slot: usize) {
    let entry = len(slots, slot);
    slots[slot].push_null_as(entry);
    let Some(columns) = take_columns(slots, slot) else { return };
    columns.iter().for_each(|&column| push_null(slots, column));
    put_back(slots, slot, columns);
}

/// Appends an entry to a union, all but the value of the branch that is chosen.
pub(crate) fn push_variant(slots: &mut [Slot], slot: usize, branch: usize) {
    if let Values::Union { chosen, .. } = &mut slots[slot].values {
        chosen.push(type_id(branch));
    }
    let Some(branches) = take_columns(slots, slot) else { return };
    let others = branches.iter().enumerate().filter(|(index, _)| *index != branch);
    others.for_each(|(_, &column)| push_null(slots, column));
    put_back(slots, slot, branches);
}

/// Arrow's number of a branch: its index, of which a column has 127 at most.
fn type_id(branch: usize) -> i8 {
    i8::try_from(branch).unwrap_or(i8::MAX)
}

/// Takes the columns out of a struct or a union, while their slots are worked on; others have none.
#[inline]
fn take_columns(slots: &mut [Slot], slot: usize) -> Option<Vec<usize>> {
    match &mut slots[slot].values {
        Values::Struct { columns, .. } | Values::Union { branches: columns, .. } => Some(mem::take(columns)),
        _ => None,
    }
}

/// Gives a struct or a union its columns again.
fn put_back(slots: &mut [Slot], slot: usize, taken: Vec<usize>) {
    if let Values::Struct { columns, .. } | Values::Union { branches: columns, .. } = &mut slots[slot].values
    {
        *columns = taken;
    }
}

/// Ends an entry of a list or a map behind the items that there are.
pub(crate) fn push_end(slots: &mut [Slot], slot: usize) -> Result<(), Full> {
    let items = match &slots[slot].values {
        Values::List { item, .. } => *item,
        Values::Map { keys, .. } => *keys,
        _ => return Ok(()),
    };
    let end = i32::try_from(len(slots, items)).map_err(|_| Full)?;
    if let Values::List { offsets, .. } | Values::Map { offsets, .. } = &mut slots[slot].values {
        offsets.push(end);
    }
    Ok(())
}

/// Forgets all entries of a slot, and of those inside it, but the first `n`.
fn truncate(slots: &mut [Slot], slot: usize, n: usize) {
    let Slot { nulls, values, .. } = &mut slots[slot];
    nulls.truncate(nulls.partition_point(|null| (*null as usize) < n));
    match values {
        Values::Null(n_entries) => *n_entries = n.min(*n_entries),
        Values::Boolean(values) => values.truncate(n),
        Values::Int(values) => values.truncate(n),
        Values::Long(values) => values.truncate(n),
        Values::Float(values) => values.truncate(n),
        Values::Double(values) => values.truncate(n),
        Values::Decimal128(values) => values.truncate(n),
        Values::Decimal256(values) => values.truncate(n),
        Values::Bytes(values) => values.truncate(n),
        Values::Text(values) => values.truncate(n),
        Values::Fixed { size, n_entries, data } => {
            *n_entries = n.min(*n_entries);
            data.truncate(*n_entries * *size);
        }
        Values::List { offsets, item } => {
            let (item, n_items) = (*item, cut(offsets, n));
            truncate(slots, item, n_items);
        }
        Values::Map { offsets, keys, values } => {
            let (keys, values, n_items) = (*keys, *values, cut(offsets, n));
            truncate(slots, keys, n_items);
            truncate(slots, values, n_items);
        }
        Values::Struct { n_entries, .. } => {
            *n_entries = n.min(*n_entries);
            truncate_columns(slots, slot, n);
        }
        Values::Union { chosen, .. } => {
            chosen.truncate(n);
            truncate_columns(slots, slot, n);
        }
    }
}

fn truncate_columns(slots: &mut [Slot], slot: usize, n: usize) {
    let Some(columns) = take_columns(slots, slot) else { return };
    columns.iter().for_each(|&column| truncate(slots, column, n));
    put_back(slots, slot, columns);
}

/// Shortens offsets to `n_entries` entries and says where the last of them ends.
fn cut(offsets: &mut Vec<i32>, n_entries: usize) -> usize {
    offsets.truncate(n_entries + 1);
    let end = offsets.last().copied().unwrap_or(0);
    usize::try_from(end).expect("offsets only grow from 0")
}

fn finish(slots: &mut [Slot], layout: &Layout, slot: usize) -> Result<ArrayRef, ArrowError> {
    let place = &layout.slots[slot];
    let data_type = &place.data_type;
    let n_entries = len(slots, slot);
    let Slot { nulls, values, .. } = &mut slots[slot];
    let nulls = null_buffer(nulls, n_entries);
    let buffer = match values {
        Values::Null(n) => return Ok(Arc::new(NullArray::new(mem::take(n)))),
        Values::Boolean(values) => BooleanBuffer::from(take_vec(values)).into_inner(),
        Values::Int(values) => Buffer::from_vec(mem::take(values)),
        Values::Long(values) => Buffer::from_vec(values.finish()),
        Values::Float(values) => Buffer::from_vec(mem::take(values)),
        Values::Double(values) => Buffer::from_vec(mem::take(values)),
        Values::Decimal128(values) => Buffer::from_vec(mem::take(values)),
        Values::Decimal256(values) => Buffer::from_vec(mem::take(values)),
        Values::Fixed { n_entries, data, .. } => {
            *n_entries = 0;
            Buffer::from_vec(mem::take(data))
        }
        Values::Bytes(values) => return values.finish(nulls),
        Values::Text(values) => return values.finish(nulls),
        Values::List { offsets, item } => {
            let (offsets, item) = (take_offsets(offsets), *item);
            return finish_list(data_type, offsets, finish(slots, layout, item)?, nulls);
        }
        Values::Map { offsets, keys, values } => {
            let (offsets, keys, values) = (take_offsets(offsets), *keys, *values);
            let entries = vec![finish(slots, layout, keys)?, finish(slots, layout, values)?];
            return finish_map(data_type, offsets, entries, nulls);
        }
        Values::Struct { n_entries: own, .. } => {
            *own = 0;
            let columns: Result<_, _> =
                place.children.iter().map(|&column| finish(slots, layout, column)).collect();
            return finish_struct(data_type, n_entries, columns?, nulls);
        }
        Values::Union { chosen, .. } => {
            let chosen = mem::take(chosen);
            let branches: Result<_, _> =
                place.children.iter().map(|&branch| finish(slots, layout, branch)).collect();
            return finish_union(data_type, chosen, branches?);
        }
    };
    slots[slot].spare = Some(buffer.clone());
    leaf(data_type, n_entries, vec![buffer], nulls)
}

/// Which entries are not null; `None` where all are not. Starts the list over.
fn null_buffer(nulls: &mut Vec<u32>, n_entries: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = MutableBuffer::new(n_entries.div_ceil(8)).with_bitset(n_entries.div_ceil(8), true);
    let bytes = bits.as_slice_mut();
    nulls.drain(..).for_each(|null| bytes[null as usize / 8] &= !(1 << (null % 8)));
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, n_entries)))
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

fn leaf(
    data_type: &DataType,
    n_entries: usize,
    buffers: Vec<Buffer>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let data = ArrayData::builder(data_type.clone()).len(n_entries).buffers(buffers).nulls(nulls);
    Ok(make_array(data.build()?))
}

fn finish_list(
    data_type: &DataType,
    offsets: Vec<i32>,
    items: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::List(field) = data_type else {
        return Err(wrong_type(data_type));
    };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, nulls)?))
}

fn finish_map(
    data_type: &DataType,
    offsets: Vec<i32>,
    entries: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(field, sorted) = data_type else {
        return Err(wrong_type(data_type));
    };
    let entries = StructArray::try_new(map_entries(field)?.clone(), entries, None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
}

fn finish_struct(
    data_type: &DataType,
    n_entries: usize,
    columns: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = data_type else {
        return Err(wrong_type(data_type));
    };
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, n_entries)?))
}

fn finish_union(
    data_type: &DataType,
    chosen: Vec<i8>,
    branches: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Union(fields, _) = data_type else {
        return Err(wrong_type(data_type));
    };
    Ok(Arc::new(UnionArray::try_new(fields.clone(), chosen.into(), None, branches)?))
}

fn wrong_type(data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("a column under construction is not of its type {data_type}"))
}
