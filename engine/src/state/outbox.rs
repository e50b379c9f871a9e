//! The outbox on disk: rows that were committed with an epoch and that a sink has not yet acknowledged.
//!
//! ```text
//! Transaction(N): part 0, part 1 … of each sink ─► commit ─► read_outbox(after P) ─► delivered(up to Q)
//! ```
//!
//! A part is a frame: flags u8 (1: keys to delete, 2: last part of its epoch), rows u32, bytes in
//! memory u32 (both little-endian), then an Arrow IPC stream.
//!
//! Invariants:
//! 1. Parts are written with their epoch and never change: the same rows are at the same position after
//!    a restart, so that a sink's progress says exactly which rows it has.
//! 2. That parts were delivered is written without a sync. If it is lost, the sink's own progress
//!    tells; so nothing is delivered twice and no delivery costs a sync.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::frame::{self, Kind};
use super::key;
use super::memory::RESULT;
use super::record;
use super::store::Store;
use super::transaction::Transaction;
use super::{ipc, raw_bytes};
use crate::connector::{Batching, Change, Position};
use crate::time::Epoch;

const DELETES: u8 = 1;
const LAST_PART: u8 = 2;
const HEADER: usize = 9;

/// What the folder knows of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SinkRecord {
    /// The last epoch that the sink may have got from this folder; `None`: it is being delivered to,
    /// so it may have got any that is committed. A sink that is further got its rows from elsewhere.
    pub(crate) may_have: Option<Epoch>,
    /// The last part that was delivered, as far as was noted.
    pub(crate) delivered: Option<Position>,
}

impl SinkRecord {
    /// The last epoch of which the sink has every row, `waiting_rows` being in its outbox.
    pub(crate) fn delivered_epoch(&self, waiting_rows: u64, committed: Epoch) -> Epoch {
        match self.delivered {
            _ if waiting_rows == 0 => committed,
            Some(Position { epoch, last_part: true, .. }) => epoch,
            Some(Position { epoch, .. }) => Epoch(epoch.0.saturating_sub(1)),
            None => Epoch(0),
        }
    }
}

/// A part of an epoch's rows for one sink.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) size: Size,
    pub(crate) change: Change,
}

/// How much an outbox, or a part of it, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    /// On disk, before RocksDB's own compression.
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// What stands before the rows of a part.
struct Header {
    flags: u8,
    rows: u32,
    memory_bytes: u32,
}

impl Header {
    /// Splits what [`frame::open`] gave, or the same bytes behind a frame's own header.
    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rows) = payload.split_first_chunk::<HEADER>()?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        Some((Self { flags: header[0], rows: number(1), memory_bytes: number(5) }, rows))
    }
}

impl Transaction {
    /// Adds a part of the epoch's rows for a sink. Parts count from 0; a change has rows.
    pub(crate) fn put_outbox(
        &mut self,
        sink: &str,
        part: u32,
        last_part: bool,
        change: &Change,
    ) -> Result<Size, Error> {
        let rows = change.rows();
        let is_delete = matches!(change, Change::Deletes(_));
        let flags = if is_delete { DELETES } else { 0 } | if last_part { LAST_PART } else { 0 };
        let mut payload = frame::begin(Kind::Outbox);
        payload.push(flags);
        payload.extend_from_slice(&saturate(rows.num_rows()).to_le_bytes());
        payload.extend_from_slice(&saturate(raw_bytes(rows)).to_le_bytes());
        ipc::write(rows, &mut payload).map_err(Error::arrow("write rows for a sink"))?;
        let bytes = frame::seal(payload);
        let size = Size { rows: rows.num_rows() as u64, bytes: bytes.len() as u64 };
        let key = key::outbox(sink, self.epoch(), part);
        self.put_result(&key, &bytes);
        Ok(size)
    }
}

impl Store {
    /// Every sink that rows are kept for.
    pub(crate) fn sinks(&self) -> Result<BTreeMap<String, SinkRecord>, Error> {
        let mut sinks = BTreeMap::new();
        self.each(key::SINKS, |key, bytes| {
            let name = String::from_utf8_lossy(&key[key::SINKS.len()..]).into_owned();
            sinks.insert(name, record::decode(Kind::Sink, bytes, "what is known of a sink")?);
            Ok(())
        })?;
        Ok(sinks)
    }

    /// Notes what is known of a sink; `sync`: it is on disk when this returns.
    pub(crate) fn set_sink(&self, sink: &str, known: &SinkRecord, sync: bool) -> Result<(), Error> {
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(key::sink(sink), record::encode(Kind::Sink, known));
        self.write_noting(batch, sync)
    }

    /// Forgets a sink and its rows.
    pub(crate) fn remove_sink(&self, sink: &str) -> Result<(), Error> {
        let mut batch = rocksdb::WriteBatch::default();
        batch.delete(key::sink(sink));
        let prefix = key::outboxes(sink);
        batch.delete_range_cf(self.family(RESULT), prefix.clone(), key::after(&prefix));
        self.write_noting(batch, false)
    }

    /// How much a sink's outbox holds. Reads all of it once.
    pub(crate) fn outbox_size(&self, sink: &str) -> Result<Size, Error> {
        let mut size = Size::default();
        self.each_part(sink, None, |position, bytes| {
            // The checksum is looked at when the rows are read.
            let header = bytes.get(frame::HEADER..).and_then(Header::split);
            let (header, _) = header.ok_or_else(|| cut(sink, position))?;
            size += Size { rows: header.rows.into(), bytes: bytes.len() as u64 };
            Ok(true)
        })?;
        Ok(size)
    }

    /// The parts behind `after`, as many as `limits` allow and at least one if there is one.
    pub(crate) fn read_outbox(
        &self,
        sink: &str,
        after: Option<Position>,
        limits: Batching,
    ) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut n_rows, mut n_bytes) = (0, 0);
        self.each_part(sink, after, |(epoch, part), bytes| {
            let what = || part_name(sink, (epoch, part));
            let payload = frame::open(Kind::Outbox, bytes, what)?;
            let (header, rows) = Header::split(payload).ok_or_else(|| cut(sink, (epoch, part)))?;
            n_rows += header.rows as usize;
            n_bytes += header.memory_bytes as usize;
            let fits = n_rows <= limits.rows_max && n_bytes <= limits.bytes_max;
            if !fits && !entries.is_empty() {
                return Ok(false);
            }
            let rows = ipc::read(rows, None)
                .map_err(|error| Error::Damaged { what: what(), detail: error.to_string() })?;
            let is_delete = header.flags & DELETES != 0;
            entries.push(Entry {
                position: Position { epoch, part, last_part: header.flags & LAST_PART != 0 },
                size: Size { rows: header.rows.into(), bytes: bytes.len() as u64 },
                change: if is_delete { Change::Deletes(rows) } else { Change::Upserts(rows) },
            });
            Ok(fits)
        })?;
        Ok(entries)
    }

    /// Drops parts that the sink has, and notes how far it is. Not synced.
    pub(crate) fn delivered(
        &self,
        sink: &str,
        parts: impl Iterator<Item = Position>,
        known: &SinkRecord,
    ) -> Result<(), Error> {
        let mut batch = rocksdb::WriteBatch::default();
        for part in parts {
            batch.delete_cf(self.family(RESULT), key::outbox(sink, part.epoch, part.part));
        }
        batch.put(key::sink(sink), record::encode(Kind::Sink, known));
        self.write_noting(batch, false)
    }

    /// Drops the parts up to a position that the sink has already; returns how much they held.
    pub(crate) fn drop_outbox_to(&self, sink: &str, upto: Position) -> Result<Size, Error> {
        let mut batch = rocksdb::WriteBatch::default();
        let mut size = Size::default();
        self.each_part(sink, None, |(epoch, part), bytes| {
            if (upto.epoch, upto.part) < (epoch, part) {
                return Ok(false);
            }
            let header = bytes.get(frame::HEADER..).and_then(Header::split);
            let (header, _) = header.ok_or_else(|| cut(sink, (epoch, part)))?;
            size += Size { rows: header.rows.into(), bytes: bytes.len() as u64 };
            batch.delete_cf(self.family(RESULT), key::outbox(sink, epoch, part));
            Ok(true)
        })?;
        self.write_noting(batch, false)?;
        Ok(size)
    }

    /// Hands over the parts behind `after`, in order, until `each` returns false.
    fn each_part(
        &self,
        sink: &str,
        after: Option<Position>,
        mut each: impl FnMut((Epoch, u32), &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let prefix = key::outboxes(sink);
        // Starts behind what was deleted: passing over it would cost more with each delivery.
        let from =
            after.map_or_else(|| prefix.clone(), |after| key::outbox_after(sink, after.epoch, after.part));
        self.each_result(&from, &key::after(&prefix), |key, bytes| {
            let part = key::outbox_part(key).ok_or_else(|| Error::Damaged {
                what: format!("the outbox of sink \"{sink}\""),
                detail: format!("a key has {} bytes", key.len()),
            })?;
            each(part, bytes)
        })
    }
}

fn part_name(sink: &str, (epoch, part): (Epoch, u32)) -> String {
    format!("part {part} of epoch {epoch} in the outbox of sink \"{sink}\"")
}

fn cut(sink: &str, part: (Epoch, u32)) -> Error {
    Error::Damaged { what: part_name(sink, part), detail: "its header is cut".to_owned() }
}

fn saturate(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
