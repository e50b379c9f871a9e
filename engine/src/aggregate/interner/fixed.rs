//! Keys of one or several columns of fixed width, packed into one word of 8 or 16 bytes.
//!
//! ```text
//! (i32, bool, i64)  ──►  wide:  [ i64 ][ bool │ i32 ]      wider columns first, so that none
//!                                lane 0      lane 1        crosses a lane
//! ```
//!
//! Invariants:
//! 1. Keys with a null are in a table of their own, with the set of their null columns; nulls take
//!    no bit from the others. The bits of a null are zero.
//! 2. The key is in the table beside the group: a hit touches one cache line, growing none outside.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Error;
use crate::aggregate::column::{Column, Values, fixed_array, fixed_width};

/// Not random: groups get the same order in every run. Keys of one Kafka topic can be chosen to
/// collide by whoever writes it, who can also simply write many different keys.
const HASHER: FixedState = FixedState::with_seed(0x5745_4952);

/// More columns than null sets have bits are not packed.
const MAX_COLUMNS: usize = 32;

/// A word that keys are packed into.
pub(super) trait Word: Copy + Eq + Default {
    /// 64-bit lanes.
    const LANES: usize;
    fn lane(&self, lane: usize) -> u64;
    fn lane_mut(&mut self, lane: usize) -> &mut u64;
    fn hash(self) -> u64;
}

impl Word for u64 {
    const LANES: usize = 1;
    fn lane(&self, _: usize) -> u64 {
        *self
    }
    fn lane_mut(&mut self, _: usize) -> &mut u64 {
        self
    }
    fn hash(self) -> u64 {
        HASHER.hash_one(self)
    }
}

/// 16 bytes. Not a `u128`, whose alignment would make a table entry 32 bytes instead of 24.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wide([u64; 2]);

impl Word for Wide {
    const LANES: usize = 2;
    fn lane(&self, lane: usize) -> u64 {
        self.0[lane]
    }
    fn lane_mut(&mut self, lane: usize) -> &mut u64 {
        &mut self.0[lane]
    }
    fn hash(self) -> u64 {
        HASHER.hash_one(u128::from(self.0[0]) | u128::from(self.0[1]) << 64)
    }
}

/// Where a column is in the word. A column of 128 bits has both lanes.
struct Slot {
    data_type: DataType,
    bits: u32,
    lane: usize,
    shift: u32,
}

impl Slot {
    fn mask(&self) -> u64 {
        if self.bits >= 64 { u64::MAX } else { (1 << self.bits) - 1 }
    }
}

pub(super) struct FixedInterner<W> {
    /// In the order of the key columns.
    slots: Arc<[Slot]>,

    table: HashTable<(W, u32)>,
    /// Keys with a null: word, set of null columns, group.
    null_table: HashTable<(W, u32, u32)>,
    /// The word of each group.
    words: Vec<W>,
    /// The null columns of each group; shorter than `words` where no more follow.
    null_sets: Vec<u32>,
    /// Scratch: the words and null columns of a batch's rows.
    row_words: Vec<W>,
    row_null_sets: Vec<u32>,
}

impl<W: Word> FixedInterner<W> {
    /// `None` where the columns are not of fixed width or do not fit.
    pub(super) fn new(types: &[DataType]) -> Option<Self> {
        let slots = pack(types, 64 * W::LANES as u32)?;
        Some(Self::with_slots(slots.into()))
    }

    pub(super) fn fresh(&self) -> Self {
        Self::with_slots(Arc::clone(&self.slots))
    }

    fn with_slots(slots: Arc<[Slot]>) -> Self {
        Self {
            slots,
            table: HashTable::new(),
            null_table: HashTable::new(),
            words: Vec::new(),
            null_sets: Vec::new(),
            row_words: Vec::new(),
            row_null_sets: Vec::new(),
        }
    }

    pub(super) fn intern(
        &mut self,
        n_rows: usize,
        keys: &[ArrayRef],
        groups: &mut Vec<u32>,
    ) -> Result<(), Error> {
        self.row_words.clear();
        self.row_null_sets.clear();
        for (i, (slot, key)) in self.slots.iter().zip(keys).enumerate() {
            let Some(column) = Column::new(key) else {
                let expected = slot.data_type.to_string();
                return Err(Error::Mismatch { expected, found: key.data_type().to_string() });
            };
            deposit_column(&column.values, slot, &mut self.row_words);
            if let Some(nulls) = &column.nulls {
                self.row_null_sets.resize(n_rows, 0);
                clear_nulls(nulls, i, slot, &mut self.row_words, &mut self.row_null_sets);
            }
        }
        // Where there are no columns.
        self.row_words.resize(n_rows, W::default());
        if self.row_null_sets.is_empty() {
            groups.extend(
                self.row_words.iter().map(|word| find_or_insert(&mut self.table, &mut self.words, *word)),
            );
            return Ok(());
        }
        for row in 0..n_rows {
            let (word, null_set) = (self.row_words[row], self.row_null_sets[row]);
            groups.push(match null_set {
                0 => find_or_insert(&mut self.table, &mut self.words, word),
                _ => self.find_or_insert_null(word, null_set),
            });
        }
        Ok(())
    }

    #[cold]
    fn find_or_insert_null(&mut self, word: W, null_set: u32) -> u32 {
        let hash = |word: W, null_set: u32| word.hash() ^ HASHER.hash_one(null_set);
        let entry = self.null_table.entry(
            hash(word, null_set),
            |entry| entry.0 == word && entry.1 == null_set,
            |entry| hash(entry.0, entry.1),
        );
        match entry {
            Entry::Occupied(entry) => entry.get().2,
            Entry::Vacant(entry) => {
                let group = self.words.len() as u32;
                entry.insert((word, null_set, group));
                self.words.push(word);
                self.null_sets.resize(self.words.len(), 0);
                self.null_sets[group as usize] = null_set;
                group
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, Error> {
        let column = |(i, slot): (usize, &Slot)| {
            let is_valid =
                |group: u32| self.null_sets.get(group as usize).is_none_or(|set| set & 1 << i == 0);
            let nulls = (!self.null_sets.is_empty())
                .then(|| {
                    NullBuffer::new(BooleanBuffer::collect_bool(groups.len(), |row| is_valid(groups[row])))
                })
                .filter(|nulls| nulls.null_count() > 0);
            let words = groups.iter().map(|group| self.words[*group as usize]);
            extract_column(slot, words, nulls)
        };
        self.slots.iter().enumerate().map(column).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
            + self.null_table.allocation_size()
            + (self.words.capacity() + self.row_words.capacity()) * size_of::<W>()
            + 4 * (self.null_sets.capacity() + self.row_null_sets.capacity())
    }

    pub(super) fn release_scratch(&mut self) {
        self.row_words = Vec::new();
        self.row_null_sets = Vec::new();
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.null_table.clear();
        self.words.clear();
        self.null_sets.clear();
    }
}

/// Most rows are of a group that is there: looked for without making room for another one.
#[inline]
fn find_or_insert<W: Word>(table: &mut HashTable<(W, u32)>, words: &mut Vec<W>, word: W) -> u32 {
    let hash = word.hash();
    match table.find(hash, |entry| entry.0 == word) {
        Some((_, group)) => *group,
        None => insert(table, words, word, hash),
    }
}

#[inline(never)]
fn insert<W: Word>(table: &mut HashTable<(W, u32)>, words: &mut Vec<W>, word: W, hash: u64) -> u32 {
    let group = words.len() as u32;
    table.insert_unique(hash, (word, group), |entry| entry.0.hash());
    words.push(word);
    group
}

/// Gives each column its place, or `None` where they do not fit into `capacity` bits.
fn pack(types: &[DataType], capacity: u32) -> Option<Vec<Slot>> {
    if types.len() > MAX_COLUMNS {
        return None;
    }
    let mut slots = Vec::with_capacity(types.len());
    for data_type in types {
        let bits = match data_type {
            DataType::Boolean => 1,
            other => 8 * u32::try_from(fixed_width(other)?).ok()?,
        };
        if !matches!(bits, 1 | 8 | 16 | 32 | 64 | 128) {
            return None;
        }
        slots.push(Slot { data_type: data_type.clone(), bits, lane: 0, shift: 0 });
    }
    // Widths are powers of two: in descending order none crosses a lane.
    let mut order: Vec<_> = (0..slots.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(slots[*i].bits));
    let mut at = 0;
    for i in order {
        (slots[i].lane, slots[i].shift) = ((at / 64) as usize, at % 64);
        at += slots[i].bits;
    }
    (at <= capacity).then_some(slots)
}

/// Puts a column's values into the words, whose bits there are zero.
fn deposit_column<W: Word>(values: &Values, slot: &Slot, words: &mut Vec<W>) {
    match values {
        Values::Bits(bits) => deposit((0..bits.len()).map(|row| u64::from(bits.value(row))), slot, words),
        Values::Fixed { bytes, .. } => match slot.bits {
            8 => deposit(bytes.iter().map(|byte| u64::from(*byte)), slot, words),
            16 => deposit(lanes(bytes, u16::from_ne_bytes), slot, words),
            32 => deposit(lanes(bytes, u32::from_ne_bytes), slot, words),
            64 => deposit(lanes(bytes, u64::from_ne_bytes), slot, words),
            _ => words.extend(bytes.as_chunks::<8>().0.as_chunks::<2>().0.iter().map(|lanes| {
                let mut word = W::default();
                *word.lane_mut(0) = u64::from_ne_bytes(lanes[0]);
                *word.lane_mut(1) = u64::from_ne_bytes(lanes[1]);
                word
            })),
        },
        Values::Text { .. } => debug_assert!(false, "text is not packed"),
    }
}

fn lanes<const N: usize, T: Into<u64>>(
    bytes: &[u8],
    decode: impl Fn([u8; N]) -> T,
) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<N>().0.iter().map(move |bytes| decode(*bytes).into())
}

/// Adds a column's values to the words; those of the first column make them.
fn deposit<W: Word>(values: impl Iterator<Item = u64>, slot: &Slot, words: &mut Vec<W>) {
    if !words.is_empty() {
        for (word, value) in words.iter_mut().zip(values) {
            *word.lane_mut(slot.lane) |= value << slot.shift;
        }
        return;
    }
    words.extend(values.map(|value| {
        let mut word = W::default();
        *word.lane_mut(slot.lane) = value << slot.shift;
        word
    }));
}

/// Zeroes the bits of nulls in column `i`, and adds it to the rows' null columns.
fn clear_nulls<W: Word>(nulls: &NullBuffer, i: usize, slot: &Slot, words: &mut [W], null_sets: &mut [u32]) {
    for row in (!nulls.inner()).set_indices() {
        null_sets[row] |= 1 << i;
        *words[row].lane_mut(slot.lane) &= !(slot.mask() << slot.shift);
        if slot.bits == 128 {
            *words[row].lane_mut(1) = 0;
        }
    }
}

/// The inverse of [`deposit_column`].
fn extract_column<W: Word>(
    slot: &Slot,
    words: impl ExactSizeIterator<Item = W>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Error> {
    let n_rows = words.len();
    if slot.bits == 128 {
        // Native order: a 16-byte value's two lanes are as they were in memory.
        let mut bytes = MutableBuffer::with_capacity(16 * n_rows);
        words.for_each(|word| bytes.extend_from_slice(&[word.lane(0), word.lane(1)]));
        return fixed_array(&slot.data_type, n_rows, bytes.into(), nulls);
    }
    let mut values = words.map(|word| (word.lane(slot.lane) >> slot.shift) & slot.mask());
    let bytes = match slot.bits {
        1 => {
            let bits = BooleanBuffer::collect_bool(n_rows, |_| values.next().is_some_and(|value| value != 0));
            return Ok(Arc::new(BooleanArray::new(bits, nulls)));
        }
        8 => Buffer::from_vec(values.map(|value| value as u8).collect::<Vec<_>>()),
        16 => Buffer::from_vec(values.map(|value| value as u16).collect::<Vec<_>>()),
        32 => Buffer::from_vec(values.map(|value| value as u32).collect::<Vec<_>>()),
        _ => Buffer::from_vec(values.collect::<Vec<_>>()),
    };
    fixed_array(&slot.data_type, n_rows, bytes, nulls)
}
