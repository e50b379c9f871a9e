//! Keys as bytes in one arena: text, mixed columns, nested types.
//!
//! ```text
//! table entry: tag (8 bytes), short, group (4 bytes)       arena: │key of 0│key of 1│ …
//! ```
//!
//! A key of at most 8 bytes is its tag, so a hit touches one cache line; for a longer one the tag is
//! its hash and the arena has the bytes.
//!
//! Invariants:
//! 1. Growing the table reads the table only.
//! 2. The encodings are for equality in one process: they are never ordered and never stored.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, MutableBuffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::utils::normalize_float_zero;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Error;
use crate::aggregate::column::{Column, Values, fixed_array, fixed_width, is_plain, text_array};

const HASHER: FixedState = FixedState::with_seed(0x5745_4952);

/// How the columns of a key become bytes.
#[derive(Clone)]
enum Codec {
    /// One column of text: the bytes themselves; null has a group of its own.
    Text(DataType),
    /// Several plain columns: a bit per column for null, the columns of fixed width, then each
    /// text with its length in 4 bytes before it.
    Mixed(Arc<[DataType]>),
    /// Arrow's row format.
    Rows(Arc<RowConverter>),
}

pub(super) struct BytesInterner {
    codec: Codec,

    table: ByteTable,
    null_group: Option<u32>,
    /// Scratch: one encoded key.
    scratch: Vec<u8>,
}

impl BytesInterner {
    pub(super) fn new(types: &[DataType]) -> Result<Self, Error> {
        let codec = match types {
            [data_type @ (DataType::Utf8 | DataType::Binary)] => Codec::Text(data_type.clone()),
            _ if types.iter().all(is_plain) => Codec::Mixed(types.into()),
            _ => {
                let fields =
                    types.iter().map(|data_type| SortField::new(data_type.clone())).collect::<Vec<_>>();
                if !RowConverter::supports_fields(&fields) {
                    let types = types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    return Err(Error::Unsupported { function: "GROUP BY".to_owned(), types });
                }
                Codec::Rows(Arc::new(RowConverter::new(fields)?))
            }
        };
        Ok(Self::with_codec(codec))
    }

    pub(super) fn fresh(&self) -> Self {
        Self::with_codec(self.codec.clone())
    }

    fn with_codec(codec: Codec) -> Self {
        Self { codec, table: ByteTable::default(), null_group: None, scratch: Vec::new() }
    }

    pub(super) fn intern(
        &mut self,
        n_rows: usize,
        keys: &[ArrayRef],
        groups: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if let Codec::Rows(converter) = &self.codec {
            let keys: Vec<_> = keys.iter().map(normalize_float_zero).collect();
            let rows = converter.convert_columns(&keys)?;
            groups.extend(rows.iter().map(|row| self.table.find_or_insert(row.data())));
            return Ok(());
        }
        let mut columns = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(column) = Column::new(key) else {
                let found = key.data_type().to_string();
                return Err(Error::Mismatch { expected: "plain key columns".to_owned(), found });
            };
            columns.push(column);
        }
        match (&self.codec, &columns[..]) {
            (Codec::Text(_), [Column { values: Values::Text { offsets, bytes }, nulls }]) => {
                let lengths = offsets.windows(2).enumerate();
                groups.extend(lengths.map(|(row, ends)| match nulls {
                    Some(nulls) if nulls.is_null(row) => {
                        *self.null_group.get_or_insert_with(|| self.table.push_unlisted())
                    }
                    _ => self.table.find_or_insert_at(bytes, ends[0] as usize, ends[1] as usize),
                }));
            }
            _ => {
                for row in 0..n_rows {
                    encode_row(&columns, row, &mut self.scratch);
                    groups.push(self.table.find_or_insert(&self.scratch));
                }
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.table.starts.len()
    }

    pub(super) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, Error> {
        let keys = groups.iter().map(|group| self.table.key(*group));
        match &self.codec {
            Codec::Text(data_type) => {
                let values = groups
                    .iter()
                    .map(|group| (Some(*group) != self.null_group).then(|| self.table.key(*group)));
                Ok(vec![text_array(data_type, values)?])
            }
            Codec::Mixed(types) => decode_rows(types, &keys.collect::<Vec<_>>()),
            Codec::Rows(converter) => {
                let parser = converter.parser();
                Ok(converter.convert_rows(keys.map(|key| parser.parse(key)))?)
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.scratch.capacity()
    }

    pub(super) fn release_scratch(&mut self) {
        self.scratch = Vec::new();
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.null_group = None;
    }
}

/// Byte strings, numbered in order of first appearance.
#[derive(Default)]
struct ByteTable {
    table: HashTable<Tag>,
    arena: Vec<u8>,
    /// Where each key starts in the arena; it ends where the next one starts.
    starts: Vec<usize>,
}

struct Tag {
    /// The key, filled up with zeros; of a long key its hash.
    tag: u64,
    /// The key's length, or [`LONG`].
    short: u32,
    group: u32,
}

/// Length of keys that do not fit into their tag.
const LONG: u32 = 9;

impl Tag {
    fn hash(tag: u64, short: u32) -> u64 {
        if short == LONG { tag } else { HASHER.hash_one(u128::from(tag) | u128::from(short) << 64) }
    }
}

impl ByteTable {
    fn key(&self, group: u32) -> &[u8] {
        key_of(&self.arena, &self.starts, group)
    }

    fn find_or_insert(&mut self, key: &[u8]) -> u32 {
        self.find_or_insert_at(key, 0, key.len())
    }

    /// The group of `bytes[start..end]`.
    fn find_or_insert_at(&mut self, bytes: &[u8], start: usize, end: usize) -> u32 {
        let key = &bytes[start..end];
        let (tag, short) = if key.len() < LONG as usize {
            (load_short(bytes, start, key), key.len() as u32)
        } else {
            let mut hasher = HASHER.build_hasher();
            hasher.write(key);
            (hasher.finish(), LONG)
        };
        let (arena, starts) = (&self.arena, &self.starts);
        let entry = self.table.entry(
            Tag::hash(tag, short),
            |entry| {
                entry.tag == tag
                    && entry.short == short
                    && (short != LONG || key_of(arena, starts, entry.group) == key)
            },
            |entry| Tag::hash(entry.tag, entry.short),
        );
        match entry {
            Entry::Occupied(entry) => entry.get().group,
            Entry::Vacant(entry) => {
                let group = self.starts.len() as u32;
                entry.insert(Tag { tag, short, group });
                self.starts.push(self.arena.len());
                self.arena.extend_from_slice(key);
                group
            }
        }
    }

    /// A number of its own that no key has.
    fn push_unlisted(&mut self) -> u32 {
        let group = self.starts.len() as u32;
        self.starts.push(self.arena.len());
        group
    }

    fn memory_bytes(&self) -> usize {
        self.table.allocation_size() + self.arena.capacity() + self.starts.capacity() * size_of::<usize>()
    }

    fn clear(&mut self) {
        self.table.clear();
        self.arena.clear();
        self.starts.clear();
    }
}

fn key_of<'a>(arena: &'a [u8], starts: &[usize], group: u32) -> &'a [u8] {
    let group = group as usize;
    let end = starts.get(group + 1).copied().unwrap_or(arena.len());
    &arena[starts[group]..end]
}

/// A key of at most 8 bytes as a word: read in one go where 8 bytes are there, which is nearly
/// always, since copying a few bytes of unknown number costs a call.
#[inline]
fn load_short(bytes: &[u8], start: usize, key: &[u8]) -> u64 {
    if key.is_empty() {
        return 0;
    }
    if let Some((word, _)) = bytes[start..].split_first_chunk::<8>() {
        return u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * key.len()));
    }
    let mut word = [0; 8];
    word[..key.len()].copy_from_slice(key);
    u64::from_le_bytes(word)
}

/// [`Codec::Mixed`] of one row.
fn encode_row(columns: &[Column], row: usize, out: &mut Vec<u8>) {
    out.clear();
    out.resize(columns.len().div_ceil(8), 0);
    for (i, column) in columns.iter().enumerate() {
        let is_null = column.is_null(row);
        out[i / 8] |= u8::from(is_null) << (i % 8);
        match &column.values {
            Values::Fixed { width, .. } if is_null => out.resize(out.len() + width, 0),
            Values::Fixed { width, bytes } => out.extend_from_slice(&bytes[row * width..(row + 1) * width]),
            Values::Bits(bits) => out.push(u8::from(!is_null && bits.value(row))),
            Values::Text { .. } => {}
        }
    }
    for column in columns {
        if let Values::Text { offsets, bytes } = &column.values {
            let text = match column.is_null(row) {
                true => &[][..],
                false => &bytes[offsets[row] as usize..offsets[row + 1] as usize],
            };
            // Offsets are 31 bits, so the length fits.
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
    }
}

/// The inverse of [`encode_row`], for many rows.
fn decode_rows(types: &[DataType], keys: &[&[u8]]) -> Result<Vec<ArrayRef>, Error> {
    let n_rows = keys.len();
    let valid = |i: usize| {
        let bits = BooleanBuffer::collect_bool(n_rows, |row| keys[row][i / 8] >> (i % 8) & 1 == 0);
        Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
    };
    let mut columns: Vec<Option<ArrayRef>> = vec![None; types.len()];
    let mut at = types.len().div_ceil(8);
    for (i, data_type) in types.iter().enumerate() {
        if *data_type == DataType::Boolean {
            let bits = BooleanBuffer::collect_bool(n_rows, |row| keys[row][at] != 0);
            columns[i] = Some(Arc::new(BooleanArray::new(bits, valid(i))));
            at += 1;
        } else if let Some(width) = fixed_width(data_type) {
            let mut bytes = MutableBuffer::with_capacity(n_rows * width);
            keys.iter().for_each(|key| bytes.extend_from_slice(&key[at..at + width]));
            columns[i] = Some(fixed_array(data_type, n_rows, bytes.into(), valid(i))?);
            at += width;
        }
    }
    let mut rests: Vec<&[u8]> = keys.iter().map(|key| &key[at..]).collect();
    for (i, data_type) in types.iter().enumerate() {
        if columns[i].is_some() {
            continue;
        }
        let texts: Vec<Option<&[u8]>> = rests
            .iter_mut()
            .zip(keys)
            .map(|(rest, key)| {
                let (text, after) = split_text(rest);
                *rest = after;
                (key[i / 8] >> (i % 8) & 1 == 0).then_some(text)
            })
            .collect();
        columns[i] = Some(text_array(data_type, texts.into_iter())?);
    }
    Ok(columns.into_iter().flatten().collect())
}

/// The text at the start of `rest`, and what follows it.
fn split_text(rest: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = rest.split_first_chunk::<4>().expect("encode_row wrote the length");
    rest.split_at(u32::from_le_bytes(*length) as usize)
}
