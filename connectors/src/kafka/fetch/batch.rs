//! A partition's part of an answer: record batches (format 2) in, blocks of records out.
//!
//! ```text
//! answer ─► scan: whole batches, next offset ─► open: checksum, transactions, decompression ─► Records ─► block
//! ```
//!
//! Invariants:
//! 1. Records of control batches and of aborted transactions are never in a block.
//! 2. A batch's checksum is compared before anything behind it is believed.
//! 3. A block's data is the answer itself, or what its batches were decompressed to; never a copy.

use arrow::buffer::Buffer;
use weir_engine::connector::RecordBlock;

use super::compression::Codec;
use super::messages::Aborted;
use super::records::{Columns, Records};

/// Bytes in front of a batch's records.
const HEADER_BYTES: usize = 61;
/// Bytes in front of what a batch's length counts.
const LENGTH_BYTES: usize = 12;
/// Decompressed batches are put into one block until it has this: enough for a block to be worth its
/// while, little enough for a processor's cache.
const BLOCK_BYTES: usize = 1 << 20;
/// The fewest bytes that a record has.
const RECORD_BYTES_MIN: usize = 7;

const IS_APPEND_TIME: i16 = 1 << 3;
const IS_TRANSACTIONAL: i16 = 1 << 4;
const IS_CONTROL: i16 = 1 << 5;

/// Bytes that are not what they should be; to be fetched again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Damaged {
    pub(super) detail: String,
    /// It is no damage but a format that this reader does not know.
    pub(super) is_old_format: bool,
}

impl Damaged {
    #[cold]
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), is_old_format: false }
    }

    #[cold]
    pub(super) fn cut() -> Self {
        Self::new("a batch ends within a record")
    }
}

/// A batch's header.
#[derive(Debug, Clone)]
struct Header {
    base_offset: i64,
    /// Of the whole batch, header included.
    n_bytes: usize,
    checksum: u32,
    attributes: i16,
    last_delta: i64,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    producer_id: i64,
    n_records: u32,
}

impl Header {
    /// `None` where the batch is not whole.
    fn read(data: &[u8]) -> Result<Option<Self>, Damaged> {
        let (Some(length), Some(magic)) = (data.get(8..LENGTH_BYTES), data.get(16)) else {
            return Ok(None);
        };
        if *magic < 2 {
            let detail = format!("its records are in the old message format {magic}");
            return Err(Damaged { detail, is_old_format: true });
        }
        if *magic > 2 {
            return Err(Damaged::new(format!("a batch has the unknown format {magic}")));
        }
        let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let n_bytes = length + LENGTH_BYTES;
        if n_bytes < HEADER_BYTES || i32::MAX as usize <= length {
            return Err(Damaged::new("a batch's length is wrong"));
        }
        if data.len() < n_bytes {
            return Ok(None);
        }
        let header = Self {
            base_offset: i64::from_be_bytes(fixed(data, 0)),
            n_bytes,
            checksum: u32::from_be_bytes(fixed(data, 17)),
            attributes: i16::from_be_bytes(fixed(data, 21)),
            last_delta: i64::from(i32::from_be_bytes(fixed(data, 23))),
            base_timestamp_ms: i64::from_be_bytes(fixed(data, 27)),
            max_timestamp_ms: i64::from_be_bytes(fixed(data, 35)),
            producer_id: i64::from_be_bytes(fixed(data, 43)),
            n_records: u32::from_be_bytes(fixed(data, 57)),
        };
        if header.base_offset < 0 || header.last_delta < 0 || i64::MAX - (1 << 32) < header.base_offset {
            return Err(Damaged::new("a batch's offsets are wrong"));
        }
        Ok(Some(header))
    }

    fn next_offset(&self) -> i64 {
        self.base_offset + self.last_delta + 1
    }

    fn has(&self, flag: i16) -> bool {
        self.attributes & flag != 0
    }
}

fn fixed<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| data.get(at + i).copied().unwrap_or(0))
}

/// Batches that have been fetched and not yet taken.
#[derive(Debug)]
pub(super) struct Batches {
    /// Whole batches, from `position` on to `end`.
    answer: Buffer,
    position: usize,
    end: usize,
    /// Ascending by first offset; those before `n_aborted` have begun.
    aborted: Vec<Aborted>,
    n_aborted: usize,
    /// Producers whose records are aborted ones at `position`.
    aborting: Vec<i64>,
    /// A batch of which some records were taken.
    open: Option<(Buffer, Records)>,
}

/// What [`Batches::scan`] found.
pub(super) struct Scanned {
    pub(super) batches: Batches,
    /// The offset behind the last batch.
    pub(super) next_offset: i64,
}

impl Batches {
    /// Looks at the headers of the batches in `answer[start..end]`, which were asked for from
    /// `from_offset` on. A batch at the end that is not whole is left out. `None`: there is nothing.
    ///
    /// # Errors
    /// Where the first batch is damaged. Damage behind it is found when it is asked for.
    pub(super) fn scan(
        answer: &Buffer,
        (start, end): (usize, usize),
        mut aborted: Vec<Aborted>,
        from_offset: i64,
    ) -> Result<Option<Scanned>, Damaged> {
        if start == end {
            return Ok(None);
        }
        let data = answer.get(start..end).ok_or_else(Damaged::cut)?;
        let (mut length, mut next_offset) = (0, None::<i64>);
        loop {
            let header = match Header::read(&data[length..]) {
                Ok(Some(header)) => header,
                Ok(None) if length == 0 => return Err(Damaged::new("a batch is larger than the answer")),
                Err(damaged) if length == 0 => return Err(damaged),
                Ok(None) | Err(_) => break,
            };
            if next_offset.is_some_and(|next| header.base_offset < next) {
                break;
            }
            next_offset = Some(header.next_offset());
            length += header.n_bytes;
        }
        aborted.sort_unstable_by_key(|aborted| aborted.first_offset);
        let next_offset = next_offset.unwrap_or(from_offset).max(from_offset);
        let (aborting, open) = (Vec::new(), None);
        let (position, end) = (start, start + length);
        let answer = answer.clone();
        let batches = Self { answer, position, end, aborted, n_aborted: 0, aborting, open };
        Ok(Some(Scanned { batches, next_offset }))
    }

    /// Whether everything was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.position == self.end
    }

    /// Takes a block of at most `n_max` records from `from_offset` on. `None`: there are no more.
    ///
    /// # Errors
    /// [`Damaged`] where the next record can't be had: records in front of the damage come first.
    pub(super) fn take(
        &mut self,
        partition: i32,
        from_offset: i64,
        n_max: usize,
    ) -> Result<Option<RecordBlock>, Damaged> {
        let mut columns = Columns::default();
        if let Some((data, mut records)) = self.open.take() {
            records.take(&data, from_offset, n_max, &mut columns)?;
            if records.n_left > 0 {
                self.open = Some((data.clone(), records));
            }
            if columns.len() > 0 {
                return Ok(Some(block(partition, data, columns)));
            }
        }
        let mut decompressed = None;
        let result = self.fill(from_offset, n_max, &mut columns, &mut decompressed);
        if columns.len() == 0 {
            return result.map(|()| None);
        }
        // The batch of damage that comes behind records is still there, to be found again.
        let data = decompressed.map_or_else(|| self.answer.clone(), Buffer::from_vec);
        if let Ok(()) = &result
            && let Some((open, _)) = &mut self.open
        {
            *open = data.clone();
        }
        Ok(Some(block(partition, data, columns)))
    }

    /// Appends the records of batches of one kind, compressed ones or others. A batch that is left
    /// open gets its data from the caller.
    fn fill(
        &mut self,
        from_offset: i64,
        n_max: usize,
        columns: &mut Columns,
        decompressed: &mut Option<Vec<u8>>,
    ) -> Result<(), Damaged> {
        let answer = self.answer.clone();
        while columns.len() < n_max && self.position < self.end {
            let data = &answer.as_slice()[self.position..self.end];
            let header = Header::read(data)?.ok_or_else(Damaged::cut)?;
            let batch = &data[..header.n_bytes];
            let codec = Codec::of(header.attributes).map_err(Damaged::new)?;
            let is_full = decompressed.as_ref().is_some_and(|data| BLOCK_BYTES < data.len());
            if columns.len() == 0 {
                *decompressed = None;
            } else if codec.is_some() != decompressed.is_some() || is_full {
                break;
            }
            if crc32c::crc32c(&batch[21..]) != header.checksum {
                return Err(Damaged::new("a batch's checksum is wrong"));
            }
            let start = self.position + HEADER_BYTES;
            let is_wanted =
                Self::is_wanted(&header, batch, &self.aborted, &mut self.n_aborted, &mut self.aborting);
            if !is_wanted || header.next_offset() <= from_offset {
                self.position += header.n_bytes;
                continue;
            }
            let (data, mut records) = match codec {
                None => (answer.as_slice(), header.records(start, self.position + header.n_bytes)?),
                Some(codec) => {
                    let data = decompressed.get_or_insert_default();
                    let start = data.len();
                    let done = codec.decompress(&batch[HEADER_BYTES..], data).map_err(Damaged::new);
                    if let Err(damaged) = done {
                        data.truncate(start);
                        return Err(damaged);
                    }
                    let end = data.len();
                    (data.as_slice(), header.records(start, end)?)
                }
            };
            if columns.len() == 0 {
                // What there is if the batches behind it are like this one: growing would copy.
                let n_batches = (self.end - self.position).div_ceil(header.n_bytes);
                columns.reserve(n_max.min(n_batches.saturating_mul(records.n_left as usize)));
            }
            records.take(data, from_offset, n_max - columns.len(), columns)?;
            self.position += header.n_bytes;
            if records.n_left > 0 {
                self.open = Some((Buffer::default(), records));
                break;
            }
        }
        Ok(())
    }

    /// Whether a batch has records of committed transactions, or of none.
    ///
    /// Free of `self`, since the batch is borrowed from it.
    fn is_wanted(
        header: &Header,
        batch: &[u8],
        aborted: &[Aborted],
        n_aborted: &mut usize,
        aborting: &mut Vec<i64>,
    ) -> bool {
        while let Some(next) = aborted.get(*n_aborted).filter(|next| next.first_offset < header.next_offset())
        {
            if !aborting.contains(&next.producer_id) {
                aborting.push(next.producer_id);
            }
            *n_aborted += 1;
        }
        if header.has(IS_CONTROL) {
            // An abort's marker ends what its producer began.
            aborting
                .retain(|producer_id| *producer_id != header.producer_id || !is_abort_marker(header, batch));
            return false;
        }
        !(header.has(IS_TRANSACTIONAL) && aborting.contains(&header.producer_id))
    }

    /// Lets go of the answer, which other partitions' records may be most of.
    pub(super) fn detach(&mut self) {
        if let Some((data, records)) = &mut self.open {
            let rest = data.as_slice().get(records.position..records.end).unwrap_or_default().to_vec();
            (records.position, records.end) = (0, rest.len());
            *data = Buffer::from_vec(rest);
        }
        let rest = self.answer.as_slice()[self.position..self.end].to_vec();
        (self.position, self.end) = (0, rest.len());
        self.answer = Buffer::from_vec(rest);
    }
}

impl Header {
    fn records(&self, position: usize, end: usize) -> Result<Records, Damaged> {
        if (end - position) / RECORD_BYTES_MIN < self.n_records as usize {
            return Err(Damaged::new("a batch's number of records is wrong"));
        }
        Ok(Records {
            position,
            end,
            n_left: self.n_records,
            base_offset: self.base_offset,
            delta_min: 0,
            delta_max: self.last_delta,
            base_timestamp_ms: self.base_timestamp_ms,
            append_time_ms: self.has(IS_APPEND_TIME).then_some(self.max_timestamp_ms),
        })
    }
}

/// Whether a control batch is the marker of an abort: its record's key is a version, then 0.
fn is_abort_marker(header: &Header, batch: &[u8]) -> bool {
    let mut columns = Columns::default();
    let read = header
        .records(HEADER_BYTES, batch.len())
        .and_then(|mut records| records.take(batch, 0, 1, &mut columns));
    let key = columns.keys.first().and_then(|key| key.of(batch));
    read.is_ok() && key.is_some_and(|key| key.get(2..4) == Some(&[0, 0]))
}

fn block(partition: i32, data: Buffer, columns: Columns) -> RecordBlock {
    let Columns { offsets, timestamps_ms, keys, values } = columns;
    RecordBlock { partition, data, offsets, timestamps_ms, keys, values }
}
