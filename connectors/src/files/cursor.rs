//! One file that is read: block by block, a block's records a few at a time.
//!
//! Invariants:
//! 1. Each offset that [`Walk`] gives is that of a record handed over, or lies behind that of a dead letter in its block.
//! 2. At most one block is in memory, decompressed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use arrow::buffer::Buffer;
use weir_engine::connector::{RecordBlock, Span};
use weir_schemas::SchemaId;
use weir_schemas::Splitter;
use weir_schemas::wire::{HEADER_LEN, header as framing};

use super::container::{Block, Damage, Header, Part, Walk};
use super::folder::{Contents, Found};

/// What is kept of bytes that are no records.
const DAMAGED_BYTES_MAX: u64 = 1 << 20;
/// Records that are handed over together, in bytes: more where a single one is larger.
const CHUNK_BYTES: usize = 4 << 20;

/// See the module.
pub(super) struct Cursor {
    partition: i32,
    found: Found,
    splitter: Option<Splitter>,

    /// `None`: it is read to its end, or was not begun.
    file: Option<File>,
    walk: Option<Walk>,
    /// The next offset that is wanted.
    next: i64,
    open: Option<Open>,
    /// Its length when it was last looked at.
    n_bytes: u64,
}

/// A block of which not all records were handed over.
struct Open {
    data: Vec<u8>,
    at: usize,
    /// The offset of the record that begins at `at`, and the first one behind the block.
    next: i64,
    end: i64,
    /// What stands in front of each of its records.
    framing: [u8; HEADER_LEN],
    /// In front of the block.
    before: Walk,
}

/// What comes next of a file.
pub(super) enum Taken {
    Records(RecordBlock),
    /// One dead letter; why.
    Damaged(RecordBlock, String),
    /// There is nothing more, as yet; the next offset.
    End(i64),
}

impl Cursor {
    /// Reads from the record at `next` on.
    pub(super) fn new(partition: i32, found: Found, splitter: Option<Splitter>, next: i64) -> Self {
        let walk = match &found.contents {
            Contents::Records { header, .. } => Some(Walk::new(header)),
            Contents::Damaged(_) => None,
        };
        Self { partition, found, splitter, file: None, walk, next, open: None, n_bytes: 0 }
    }

    /// The file, for a person.
    pub(super) fn shown(&self) -> &str {
        &self.found.shown
    }

    /// Gives up what is in memory: it is read again.
    pub(super) fn let_go(&mut self) {
        if let Some(open) = self.open.take() {
            self.walk = Some(open.before);
        }
        self.file = None;
    }

    /// Whether a block is in memory.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether there is more than when it was last read to its end.
    pub(super) fn has_grown(&self) -> io::Result<bool> {
        Ok(self.found.path.metadata()?.len() != self.n_bytes)
    }

    /// Takes at most `max_records`.
    pub(super) fn take(&mut self, max_records: usize) -> io::Result<Taken> {
        let Some(mut walk) = self.walk.take() else { return self.take_damaged_file() };
        let before = walk.clone();
        let taken = self.take_records(&mut walk, max_records);
        // What could not be read is tried again: what was handed over before is told by its offsets.
        self.walk = Some(if taken.is_err() { before } else { walk });
        taken
    }

    /// All of it is one dead letter.
    fn take_damaged_file(&mut self) -> io::Result<Taken> {
        let Contents::Damaged(why) = &self.found.contents else { return Ok(Taken::End(self.next)) };
        if 0 < self.next {
            self.n_bytes = self.found.path.metadata().map_or(self.n_bytes, |file| file.len());
            return Ok(Taken::End(1));
        }
        let why = why.to_string();
        let file = File::open(&self.found.path)?;
        let n_bytes = file.metadata()?.len().min(DAMAGED_BYTES_MAX);
        self.next = 1;
        Ok(Taken::Damaged(self.raw(&file, 0, 0, n_bytes)?, why))
    }

    fn take_records(&mut self, walk: &mut Walk, max_records: usize) -> io::Result<Taken> {
        loop {
            if let Some(open) = &self.open {
                if open.next < open.end {
                    let block = self.chunk(max_records);
                    return Ok(Taken::Records(block));
                }
                self.open = None;
            }
            let file = match self.file.take() {
                Some(file) => file,
                None => {
                    let file = File::open(&self.found.path)?;
                    self.n_bytes = file.metadata()?.len();
                    file
                }
            };
            let before = walk.clone();
            match walk.step(&file, self.n_bytes)? {
                // The file is opened anew where it has grown.
                None => return Ok(Taken::End(walk.next.max(self.next))),
                Some(Part::Block(block)) if block.first + block.n_records <= self.next => {}
                Some(Part::Block(block)) => {
                    if let Some((letter, why)) = self.begin(&file, block, before)? {
                        self.file = Some(file);
                        return Ok(Taken::Damaged(letter, why));
                    }
                }
                Some(Part::Damage(damage)) if damage.offset < self.next => {}
                Some(Part::Damage(Damage { offset, at, end, detail })) => {
                    let n_bytes = end.unwrap_or(self.n_bytes).saturating_sub(at).min(DAMAGED_BYTES_MAX);
                    let letter = self.raw(&file, offset, at, n_bytes)?;
                    self.next = offset + 1;
                    self.file = Some(file);
                    return Ok(Taken::Damaged(letter, detail));
                }
            }
            self.file = Some(file);
        }
    }

    /// Reads a block; a dead letter where it can't be used.
    fn begin(
        &mut self,
        file: &File,
        block: Block,
        before: Walk,
    ) -> io::Result<Option<(RecordBlock, String)>> {
        let Contents::Records { header, schema_id } = &self.found.contents else { return Ok(None) };
        let mut stored = vec![0; block.n_bytes];
        file.read_exact_at(&mut stored, block.at)?;
        let end = block.first + block.n_records;
        let data = match decompress(header, &stored, block) {
            Ok(data) => data,
            Err(why) => {
                let n_bytes = (block.n_bytes as u64).min(DAMAGED_BYTES_MAX);
                // It was handed over before, unless what is wanted is its first record.
                let is_new = self.next <= block.first;
                let letter = self.raw(file, block.first, block.at, n_bytes)?;
                self.next = end;
                let n_lost = block.n_records;
                let detail = format!(
                    "the block of {n_lost} records in front of byte {} is damaged: {why}",
                    block.at + block.n_bytes as u64
                );
                return Ok(is_new.then_some((letter, detail)));
            }
        };
        let framing = framing(SchemaId(*schema_id));
        let mut open = Open { data, at: 0, next: block.first, end, framing, before };
        // Those that were handed over before.
        while open.next < self.next && open.next < end {
            // Behind one that does not end there are none.
            let Some(len) = self.record_len(&open) else {
                self.next = end;
                return Ok(None);
            };
            open.at += len;
            open.next += 1;
        }
        self.open = Some(open);
        Ok(None)
    }

    /// The length of the next record; `None` where there is none.
    fn record_len(&self, open: &Open) -> Option<usize> {
        self.splitter.as_ref()?.record_len(&open.data[open.at..])
    }

    /// The next records of the open block, framed. A record that does not end, or the last one with bytes behind it, has
    /// all that is left: the decoder says what is wrong with it.
    fn chunk(&mut self, max_records: usize) -> RecordBlock {
        let mut open = self.open.take().expect("a block is open");
        let mut data = Vec::new();
        let (mut offsets, mut values) = (Vec::new(), Vec::new());
        while open.next < open.end && offsets.len() < max_records && data.len() < CHUNK_BYTES {
            let rest = open.data.len() - open.at;
            let is_last = open.next + 1 == open.end;
            let len = self.record_len(&open).filter(|_| !is_last);
            let start = u32::try_from(data.len()).expect("a chunk and a block are far below 4 GiB");
            let n_bytes = len.unwrap_or(rest);
            data.extend_from_slice(&open.framing);
            data.extend_from_slice(&open.data[open.at..open.at + n_bytes]);
            values.push(Span::new(start, (HEADER_LEN + n_bytes) as u32));
            offsets.push(open.next);
            open.at += n_bytes;
            // Where one does not end nobody knows where the next one begins.
            open.next = if len.is_some() { open.next + 1 } else { open.end };
        }
        self.next = open.next;
        if open.next < open.end {
            self.open = Some(open);
        }
        self.block(data, offsets, values)
    }

    /// A record of bytes as they are in the file.
    fn raw(&self, file: &File, offset: i64, at: u64, n_bytes: u64) -> io::Result<RecordBlock> {
        let mut data = vec![0; usize::try_from(n_bytes).unwrap_or(0)];
        file.read_exact_at(&mut data, at)?;
        let value = Span::new(0, data.len() as u32);
        Ok(self.block(data, vec![offset], vec![value]))
    }

    fn block(&self, data: Vec<u8>, offsets: Vec<i64>, values: Vec<Span>) -> RecordBlock {
        let n = offsets.len();
        RecordBlock {
            partition: self.partition,
            data: Buffer::from(data),
            offsets,
            timestamps_ms: vec![-1; n],
            keys: vec![Span::NULL; n],
            values,
        }
    }
}

fn decompress(header: &Header, stored: &[u8], block: Block) -> Result<Vec<u8>, String> {
    let data = header.codec.decompress(stored)?.into_owned();
    // Records of no fields have no bytes; nobody writes many of them.
    if (data.len() as i64).max(1 << 16) < block.n_records {
        return Err(format!("it has {} bytes", data.len()));
    }
    Ok(data)
}
