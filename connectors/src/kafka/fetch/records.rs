//! The records of one batch as columns: the loop that every record passes.
//!
//! Invariants:
//! 1. No record costs an allocation, none is copied: spans point into the batch.
//! 2. Offsets grow strictly, and none is past what the batch's header says.

use weir_engine::connector::Span;

use super::batch::Damaged;

/// The columns of a block that is being built.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) offsets: Vec<i64>,
    pub(super) timestamps_ms: Vec<i64>,
    pub(super) keys: Vec<Span>,
    pub(super) values: Vec<Span>,
}

impl Columns {
    pub(super) fn reserve(&mut self, n_records: usize) {
        self.offsets.reserve(n_records);
        self.timestamps_ms.reserve(n_records);
        self.keys.reserve(n_records);
        self.values.reserve(n_records);
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }
}

/// The records of a batch that have not been taken yet.
#[derive(Debug, Clone)]
pub(super) struct Records {
    /// Where the next one starts, and where the last one ends, in the block's data.
    pub(super) position: usize,
    pub(super) end: usize,
    pub(super) n_left: u32,
    pub(super) base_offset: i64,
    /// What the next record's offset is at least, and what the last one's is at most, from the base.
    pub(super) delta_min: i64,
    pub(super) delta_max: i64,
    pub(super) base_timestamp_ms: i64,
    /// The time of all records, where the broker set it.
    pub(super) append_time_ms: Option<i64>,
}

impl Records {
    /// Appends at most `n_max` records with offsets from `from_offset` on.
    ///
    /// # Errors
    /// [`Damaged`]; what was appended is whole.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        from_offset: i64,
        n_max: usize,
        columns: &mut Columns,
    ) -> Result<(), Damaged> {
        let data = data.get(..self.end).ok_or_else(Damaged::cut)?;
        let n_end = columns.len() + n_max;
        columns.reserve(n_max.min(self.n_left as usize));
        while self.n_left > 0 && columns.len() < n_end {
            let record = record(data, self.position).ok_or_else(Damaged::cut)?;
            let Record { end, timestamp_delta, delta, key, value } = record;
            if delta < self.delta_min || self.delta_max < delta {
                return Err(Damaged::new("the offsets of a batch are not in order"));
            }
            self.position = end;
            self.n_left -= 1;
            self.delta_min = delta + 1;
            let offset = self.base_offset + delta;
            if from_offset <= offset {
                columns.offsets.push(offset);
                columns.timestamps_ms.push(self.timestamp_ms(timestamp_delta));
                columns.keys.push(key);
                columns.values.push(value);
            }
        }
        if self.n_left == 0 && self.position != self.end {
            return Err(Damaged::new("a batch has bytes behind its last record"));
        }
        Ok(())
    }

    #[inline]
    fn timestamp_ms(&self, delta: i64) -> i64 {
        match self.append_time_ms {
            Some(time_ms) => time_ms,
            None if self.base_timestamp_ms < 0 => -1,
            None => self.base_timestamp_ms.wrapping_add(delta).max(-1),
        }
    }
}

/// What is used of a record.
struct Record {
    /// Where it ends.
    end: usize,
    timestamp_delta: i64,
    delta: i64,
    key: Span,
    value: Span,
}

/// The record at `at`; `None`: it is cut. An error, made and dropped, would cost more than the rest.
#[inline]
fn record(data: &[u8], at: usize) -> Option<Record> {
    let (length, at) = varint(data, at)?;
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let data = data.get(..end)?;
    // The attributes are not used, by nobody.
    let (timestamp_delta, at) = varint(data, at + 1)?;
    let (delta, at) = varint(data, at)?;
    let (key, at) = span(data, at)?;
    let (value, _) = span(data, at)?;
    Some(Record { end, timestamp_delta, delta, key, value })
}

#[inline]
pub(in crate::kafka) fn span(record: &[u8], at: usize) -> Option<(Span, usize)> {
    let (length, at) = varint(record, at)?;
    if length == -1 {
        return Some((Span::NULL, at));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= record.len() - at)?;
    Some((Span::new(u32::try_from(at).ok()?, u32::try_from(length).ok()?), at + length))
}

/// A zigzag number and where it ends. One and two bytes are almost all there are.
#[inline]
pub(in crate::kafka) fn varint(data: &[u8], at: usize) -> Option<(i64, usize)> {
    match data.get(at..) {
        Some([first, ..]) if *first < 0x80 => Some((zigzag(u64::from(*first)), at + 1)),
        Some([first, second, ..]) if *second < 0x80 => {
            Some((zigzag(u64::from(*first & 0x7f) | u64::from(*second) << 7), at + 2))
        }
        _ => long_varint(data, at),
    }
}

#[cold]
fn long_varint(data: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut value = 0u64;
    for (i, byte) in data.iter().skip(at).take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Some((zigzag(value), at + i + 1));
        }
    }
    None
}

#[inline]
fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
