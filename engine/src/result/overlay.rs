//! The provisional rows of a table: a map from key to row that readers can keep a copy of.
//!
//! Rows lie in immutable segments, each with a mask of the rows that still count. An epoch appends
//! one segment of what changed and clears the bits of what that replaced; a copy for readers shares
//! the segments and masks, and a mask is copied only when it changes while a reader has it.
//!
//! Invariants:
//! 1. A key has one live row.
//! 2. Every segment has more live rows than all later ones together, and more live than dead ones:
//!    segments are few (about the logarithm of the rows), dead rows a minority.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::{concat, concat_batches, filter, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::bit_util;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Rows and their times, some of which no longer count.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) rows: RecordBatch,
    /// Per row, in milliseconds since 1970.
    pub(super) times_ms: Int64Array,
    /// A bit per row: whether it is the row of its key.
    live: Arc<Vec<u8>>,
    pub(super) n_live: usize,
}

impl Part {
    /// Which rows count.
    pub(super) fn mask(&self) -> BooleanArray {
        let bits = Buffer::from_slice_ref(self.live.as_slice());
        BooleanArray::new(BooleanBuffer::new(bits, 0, self.rows.num_rows()), None)
    }

    fn live_rows(&self) -> Result<(RecordBatch, ArrayRef), ArrowError> {
        let mask = self.mask();
        Ok((filter_record_batch(&self.rows, &mask)?, filter(&self.times_ms, &mask)?))
    }
}

#[derive(Debug)]
struct Segment {
    part: Part,
    /// The key of each row.
    keys: Rows,
}

/// Where a key's row is.
#[derive(Debug, Clone, Copy)]
struct Slot {
    segment: u32,
    row: u32,
}

#[derive(Debug)]
pub(super) struct Overlay {
    schema: SchemaRef,
    /// Positions of the key columns in a row.
    key: Vec<usize>,
    converter: RowConverter,

    index: HashTable<Slot>,
    /// By the number in a [`Slot`]; freed ones are used again.
    segments: Vec<Option<Segment>>,
    /// Numbers of the segments in use, oldest first.
    order: Vec<u32>,
}

impl Overlay {
    pub(super) fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self, ArrowError> {
        let sort_field = |i: &usize| SortField::new(schema.field(*i).data_type().clone());
        Ok(Self {
            schema: Arc::clone(schema),
            key: key.to_vec(),
            converter: RowConverter::new(key.iter().map(sort_field).collect())?,
            index: HashTable::new(),
            segments: Vec::new(),
            order: Vec::new(),
        })
    }

    /// A copy for readers.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.order.iter().map(|number| segment(&self.segments, *number).part.clone()).collect()
    }

    /// Sets the row of each key in `rows`; of rows with the same key the last one counts.
    pub(super) fn upsert(&mut self, rows: &RecordBatch, times_ms: &Int64Array) -> Result<(), ArrowError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        // Rows must fit the schema, or a later merge with other rows would fail.
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())?;
        let number = self.add(rows, times_ms.clone())?;
        let n_rows = segment(&self.segments, number).part.rows.num_rows();
        for row in 0..u32::try_from(n_rows).expect("a batch of an epoch is far smaller") {
            if let Some(replaced) = self.point(Slot { segment: number, row }) {
                clear(&mut self.segments, replaced);
            }
        }
        self.tidy()
    }

    /// Removes the rows of these keys, and says for each whether there was one.
    pub(super) fn remove(&mut self, keys: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        let keys = self.converter.convert_columns(keys)?;
        let removed = keys.iter().map(|key| {
            let key = key.data();
            let found = self
                .index
                .find_entry(FixedState::default().hash_one(key), |slot| key_of(&self.segments, *slot) == key);
            let Ok(found) = found else { return false };
            let (slot, _) = found.remove();
            clear(&mut self.segments, slot);
            true
        });
        let removed = removed.collect::<Vec<_>>().into();
        self.tidy()?;
        Ok(removed)
    }

    /// The key columns of rows of the table.
    pub(super) fn key_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.key.iter().map(|i| Arc::clone(rows.column(*i))).collect()
    }

    /// Takes rows in as the newest segment, all of them live, without pointing the index to them.
    fn add(&mut self, rows: RecordBatch, times_ms: Int64Array) -> Result<u32, ArrowError> {
        let n_rows = rows.num_rows();
        let mut live = vec![0xff; n_rows.div_ceil(8)];
        (n_rows..live.len() * 8).for_each(|bit| bit_util::unset_bit(&mut live, bit));
        let keys = self.converter.convert_columns(&self.key_columns(&rows))?;
        let part = Part { rows, times_ms, live: Arc::new(live), n_live: n_rows };
        let free = self.segments.iter().position(Option::is_none).unwrap_or_else(|| {
            self.segments.push(None);
            self.segments.len() - 1
        });
        self.segments[free] = Some(Segment { part, keys });
        let number = u32::try_from(free).expect("segments are few");
        self.order.push(number);
        Ok(number)
    }

    /// Points the key of this row to it; returns where the key's row was.
    fn point(&mut self, slot: Slot) -> Option<Slot> {
        let segments = &self.segments;
        let key = key_of(segments, slot);
        let hash = |slot: &Slot| FixedState::default().hash_one(key_of(segments, *slot));
        match self.index.entry(hash(&slot), |other| key_of(segments, *other) == key, hash) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), slot)),
            Entry::Vacant(entry) => {
                entry.insert(slot);
                None
            }
        }
    }

    /// Restores invariant 2.
    fn tidy(&mut self) -> Result<(), ArrowError> {
        let mut n_later = 0;
        let mut first_merged = None;
        for (at, number) in self.order.iter().enumerate().rev() {
            let part = &segment(&self.segments, *number).part;
            let crowded = part.n_live * 2 < part.rows.num_rows();
            if crowded || (part.n_live <= n_later) {
                first_merged = Some(at);
            }
            n_later += part.n_live;
        }
        match first_merged {
            Some(first) => self.merge_from(first),
            None => Ok(()),
        }
    }

    /// Replaces the segments from place `first` on by one with their live rows.
    fn merge_from(&mut self, first: usize) -> Result<(), ArrowError> {
        let (mut rows, mut times) = (Vec::new(), Vec::new());
        for number in &self.order[first..] {
            let (live_rows, live_times) = segment(&self.segments, *number).part.live_rows()?;
            rows.push(live_rows);
            times.push(live_times);
        }
        let rows = concat_batches(&self.schema, &rows)?;
        let times = concat(&times.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        let replaced = self.order.split_off(first);
        if rows.num_rows() != 0 {
            // The old segments are still there while the index is pointed from them to the new one.
            let number = self.add(rows, times.as_primitive::<Int64Type>().clone())?;
            let n_rows = segment(&self.segments, number).part.rows.num_rows();
            for row in 0..u32::try_from(n_rows).expect("as many as keys in memory") {
                self.point(Slot { segment: number, row });
            }
        }
        for number in replaced {
            self.segments[number as usize] = None;
        }
        Ok(())
    }
}

fn segment(segments: &[Option<Segment>], number: u32) -> &Segment {
    segments[number as usize].as_ref().expect("a number in use")
}

fn key_of(segments: &[Option<Segment>], slot: Slot) -> &[u8] {
    segment(segments, slot.segment).keys.row(slot.row as usize).data()
}

fn clear(segments: &mut [Option<Segment>], slot: Slot) {
    let part = &mut segments[slot.segment as usize].as_mut().expect("a number in use").part;
    let live: &mut Vec<u8> = Arc::make_mut(&mut part.live);
    bit_util::unset_bit(live, slot.row as usize);
    part.n_live -= 1;
}
