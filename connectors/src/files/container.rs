//! Avro's object container files: a header, then blocks of records, each with the file's marker behind it.
//!
//! ```text
//! Obj 1 │ metadata: schema, codec │ marker ║ n, size │ records, compressed │ marker ║ n, size │ … ║
//! ```
//!
//! Invariants:
//! 1. What a file holds decides what becomes of it, and nothing else: bytes that are added later change nothing of what
//!    was found before them.
//! 2. No length that a file states makes anything grow past the bounds here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::codec::Codec;

const MAGIC: &[u8] = b"Obj\x01";
/// A header with a larger schema is none.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// Of a block as it is stored: writers end one after some 16 KB to 1 MB.
const BLOCK_BYTES_MAX: i64 = 64 << 20;
/// Of a block without records, compressed or not. With more it had some.
const NOTHING_BYTES_MAX: i64 = 32;
/// Of a block: far more than fit into it.
const BLOCK_RECORDS_MAX: i64 = 1 << 32;
/// Two numbers of ten bytes each.
const SIZES_BYTES_MAX: u64 = 20;
/// Bytes that are looked through at a time.
const SEARCH_BYTES: u64 = 256 << 10;

/// What stands at the end of each block of one file, and in no other file.
pub(super) type Marker = [u8; 16];

/// What a file begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) schema: String,
    pub(super) codec: Codec,
    pub(super) marker: Marker,
    /// Where the first block begins.
    pub(super) len: u64,
}

/// What is at the beginning of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Header(Header),
    /// It is still being written.
    Cut,
    /// It is none of ours, and will never be; why.
    Damaged(String),
}

/// Why bytes can't be read.
enum Fault {
    /// They end too early.
    Cut,
    Bad(&'static str),
}

/// Reads the header of a file.
pub(super) fn begin(file: &File) -> io::Result<Begin> {
    let n_there = file.metadata()?.len();
    let mut data = Vec::new();
    for n_bytes in [64 << 10, HEADER_BYTES_MAX] {
        data.resize(usize::try_from(n_bytes.min(n_there)).unwrap_or(0), 0);
        file.read_exact_at(&mut data, 0)?;
        match header(&data) {
            Ok(found) => return Ok(found),
            Err(Fault::Bad(why)) => return Ok(Begin::Damaged(format!("it is no Avro file: {why}"))),
            Err(Fault::Cut) if n_there <= n_bytes => return Ok(Begin::Cut),
            Err(Fault::Cut) => {}
        }
    }
    Ok(Begin::Damaged("it is no Avro file: its header has more than 4 MiB".to_owned()))
}

fn header(data: &[u8]) -> Result<Begin, Fault> {
    let n_magic = MAGIC.len().min(data.len());
    if data[..n_magic] != MAGIC[..n_magic] {
        return Err(Fault::Bad("it does not begin with \"Obj\" and a 1"));
    }
    let mut at = MAGIC.len();
    let (mut schema, mut codec) = (None, None);
    loop {
        let mut n_entries = long(data, &mut at)?;
        if n_entries == 0 {
            break;
        }
        if n_entries < 0 {
            long(data, &mut at)?;
            n_entries = n_entries.checked_neg().ok_or(Fault::Bad("its metadata has no length"))?;
        }
        for _ in 0..n_entries {
            match (bytes(data, &mut at)?, bytes(data, &mut at)?) {
                (b"avro.schema", value) => schema = Some(value),
                (b"avro.codec", value) => codec = Some(value),
                _ => {}
            }
        }
    }
    let marker = data.get(at..at + 16).and_then(|bytes| bytes.try_into().ok()).ok_or(Fault::Cut)?;
    let schema = schema.ok_or(Fault::Bad("its metadata has no schema"))?;
    let schema = String::from_utf8(schema.to_vec()).map_err(|_| Fault::Bad("its schema is not UTF-8"))?;
    Ok(match Codec::of(codec.unwrap_or(b"null")) {
        Ok(codec) => Begin::Header(Header { schema, codec, marker, len: at as u64 + 16 }),
        Err(why) => Begin::Damaged(why),
    })
}

/// A number as Avro has it.
fn long(data: &[u8], at: &mut usize) -> Result<i64, Fault> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*at).ok_or(Fault::Cut)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(Fault::Bad("a number has more than 64 bits"))
}

fn bytes<'a>(data: &'a [u8], at: &mut usize) -> Result<&'a [u8], Fault> {
    let n = long(data, at)?;
    let n = usize::try_from(n).map_err(|_| Fault::Bad("a length is below 0"))?;
    let end = at.checked_add(n).ok_or(Fault::Bad("a length is too large"))?;
    let found = data.get(*at..end).ok_or(Fault::Cut)?;
    *at = end;
    Ok(found)
}

/// A part of a file behind its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Block(Block),
    Damage(Damage),
}

/// A block whose bounds are as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The offset of its first record.
    pub(super) first: i64,
    pub(super) n_records: i64,
    /// Where its records begin, and how many bytes they have.
    pub(super) at: u64,
    pub(super) n_bytes: usize,
}

/// Bytes that are no block, up to the next marker. They take one offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) offset: i64,
    pub(super) at: u64,
    /// Where reading goes on; `None`: at the next marker, once there is one.
    pub(super) end: Option<u64>,
    pub(super) detail: String,
}

/// Goes through the parts of a file, in their order, without reading the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    marker: Marker,
    /// Where the next part begins.
    at: u64,
    /// The offset of the next record.
    pub(super) next: i64,
    /// Whether there is no marker between the last damage and `at`.
    is_lost: bool,
}

impl Walk {
    /// From the first block on.
    pub(super) fn new(header: &Header) -> Self {
        Self { marker: header.marker, at: header.len, next: 0, is_lost: false }
    }

    /// Where the next part begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next part of a file of `len` bytes; `None` where it is not there, or not whole.
    pub(super) fn step(&mut self, file: &File, len: u64) -> io::Result<Option<Part>> {
        if self.is_lost {
            let Some(end) = self.find_marker(file, self.at, len)? else {
                // All but a marker's first bytes need not be looked through again.
                self.at = self.at.max(len.saturating_sub(15));
                return Ok(None);
            };
            (self.at, self.is_lost) = (end, false);
        }
        if len <= self.at {
            return Ok(None);
        }
        let at = self.at;
        let mut sizes = vec![0; usize::try_from(SIZES_BYTES_MAX.min(len - at)).unwrap_or(0)];
        file.read_exact_at(&mut sizes, at)?;
        let mut n_sizes = 0;
        let read = long(&sizes, &mut n_sizes).and_then(|n| Ok((n, long(&sizes, &mut n_sizes)?)));
        match read {
            Err(Fault::Cut) => Ok(None),
            Ok((n_records, n_bytes))
                if (0..=BLOCK_RECORDS_MAX).contains(&n_records)
                    && (0..=BLOCK_BYTES_MAX).contains(&n_bytes)
                    && (0 < n_records || n_bytes <= NOTHING_BYTES_MAX) =>
            {
                let n_bytes = usize::try_from(n_bytes).unwrap_or(0);
                let block = Block { first: self.next, n_records, at: at + n_sizes as u64, n_bytes };
                self.block(file, len, block)
            }
            Err(Fault::Bad(why)) => self.damage(file, len, format!("it has no size: {why}")),
            Ok((n_records, n_bytes)) => {
                self.damage(file, len, format!("it would have {n_records} records in {n_bytes} bytes"))
            }
        }
    }

    fn block(&mut self, file: &File, len: u64, block: Block) -> io::Result<Option<Part>> {
        let end = block.at + block.n_bytes as u64;
        if len < end + 16 {
            // Cut, unless a marker tells that its size is wrong.
            return match self.find_marker(file, block.at, len)? {
                Some(found) => Ok(Some(self.damaged(Some(found), "its size is wrong".to_owned()))),
                None => Ok(None),
            };
        }
        let mut marker = [0; 16];
        file.read_exact_at(&mut marker, end)?;
        if marker == self.marker {
            self.at = end + 16;
            self.next += block.n_records;
            return Ok(Some(Part::Block(block)));
        }
        match self.find_marker(file, block.at, end + 16)? {
            Some(found) => Ok(Some(self.damaged(Some(found), "its size is wrong".to_owned()))),
            None => self.damage(file, len, "the file's marker does not follow it".to_owned()),
        }
    }

    /// What begins here is no block: reading goes on behind the next marker.
    fn damage(&mut self, file: &File, len: u64, why: String) -> io::Result<Option<Part>> {
        let end = self.find_marker(file, self.at, len)?;
        Ok(Some(self.damaged(end, why)))
    }

    fn damaged(&mut self, end: Option<u64>, why: String) -> Part {
        let detail = format!("the block at byte {} is damaged: {why}", self.at);
        let damage = Damage { offset: self.next, at: self.at, end, detail };
        self.next += 1;
        match end {
            Some(end) => self.at = end,
            None => self.is_lost = true,
        }
        Part::Damage(damage)
    }

    /// The end of the first marker that lies whole between `from` and `to`.
    fn find_marker(&self, file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        let mut data = Vec::new();
        while at + 16 <= to {
            data.resize(usize::try_from(SEARCH_BYTES.min(to - at)).unwrap_or(0), 0);
            file.read_exact_at(&mut data, at)?;
            if let Some(found) = data.windows(16).position(|bytes| *bytes == self.marker) {
                return Ok(Some(at + found as u64 + 16));
            }
            at += data.len() as u64 - 15;
        }
        Ok(None)
    }
}
