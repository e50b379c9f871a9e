//! A series of blocks in RocksDB that rows are appended to: the final rows of a table, or its dead
//! letters.
//!
//! Invariants:
//! 1. A block is written, merged and retired only inside an epoch's transaction. After a failed
//!    commit the series is of no use: open it anew.
//! 2. Rows keep the order they were appended in.
//! 3. An epoch merges at most one full block's weight of rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, max, min};
use arrow::datatypes::{Schema, SchemaRef};

use super::block::{Block, Garbage, Meta};
use super::{range, stored, tier};
use crate::state::{Error, Series as Name, Store, Transaction, raw_bytes};

/// A block holds at most so many rows, or about so many bytes in memory.
const BLOCK_ROWS_MAX: usize = tier::WEIGHT_MAX as usize;
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// What a series takes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    pub blocks: u64,
    /// Of a result table: its final rows.
    pub rows: u64,
    /// Compressed.
    pub bytes: u64,
}

/// What a series takes on disk, without reading its rows.
pub(crate) fn sizes(store: &Store, name: Name) -> Result<Sizes, Error> {
    let mut sizes = Sizes::default();
    store.each_block(name, |_, meta: Meta| {
        sizes.blocks += 1;
        sizes.rows += meta.rows;
        sizes.bytes += meta.stored_bytes;
    })?;
    Ok(sizes)
}

/// The blocks of one series, oldest first. A snapshot shares the list.
pub(super) type Blocks = Arc<Vec<Arc<Block>>>;

pub(super) struct Series {
    store: Store,
    name: Name,
    /// The table's columns, then each row's time.
    stored_schema: SchemaRef,
    /// The columns whose ranges are kept.
    range_columns: Vec<usize>,

    blocks: Blocks,
    next_id: u64,
    /// Blocks at the front that are never merged again.
    n_sealed: usize,
    garbage: Garbage,
}

impl Series {
    /// Lists the blocks, without reading their rows, and what retired ones are still on disk.
    pub(super) fn open(store: &Store, name: Name, schema: &Schema, key: &[usize]) -> Result<Self, Error> {
        let garbage: Garbage = Arc::default();
        let (mut blocks, mut next_id) = (Vec::new(), 0);
        store.each_block(name, |id, meta: Meta| {
            next_id = next_id.max(id + 1);
            blocks.push(Arc::new(Block::new(id, meta, Arc::clone(&garbage))));
        })?;
        blocks.sort_unstable_by_key(|block| block.meta.order);
        let mut leaked = store.retired_blocks(name)?;
        next_id = leaked.iter().fold(next_id, |next, id| next.max(id + 1));
        garbage.lock().expect("nothing panics while it is held").append(&mut leaked);
        Ok(Self {
            store: store.clone(),
            name,
            stored_schema: stored::schema(schema),
            range_columns: range::columns(schema, key),
            n_sealed: tier::sealed(blocks.iter().map(|block| block.meta.weight())),
            blocks: Arc::new(blocks),
            next_id,
            garbage,
        })
    }

    pub(super) fn blocks(&self) -> Blocks {
        Arc::clone(&self.blocks)
    }

    pub(super) fn range_columns(&self) -> &[usize] {
        &self.range_columns
    }

    /// Deletes from disk what was retired and is no longer read.
    pub(super) fn collect_garbage(&mut self, tx: &mut Transaction) {
        let ids = std::mem::take(&mut *self.garbage.lock().expect("nothing panics while it is held"));
        for id in ids {
            tx.delete_block(self.name, id);
        }
    }

    /// Merges some neighbouring small blocks, if it is time to.
    pub(super) fn merge(&mut self, tx: &mut Transaction) -> Result<(), Error> {
        let weights =
            |blocks: &[Arc<Block>]| -> Vec<u64> { blocks.iter().map(|block| block.meta.weight()).collect() };
        let unsealed = weights(&self.blocks[self.n_sealed..]);
        let n_newly_sealed = tier::sealed(unsealed.iter().copied());
        self.n_sealed += n_newly_sealed;
        let Some(part) = tier::next(&unsealed[n_newly_sealed..]) else { return Ok(()) };
        let part = self.n_sealed + part.start..self.n_sealed + part.end;
        let mut rows = Vec::with_capacity(part.len());
        for block in &self.blocks[part.clone()] {
            rows.push(self.read(block)?);
        }
        let rows = concat_batches(&self.stored_schema, &rows).map_err(Error::arrow("merge blocks"))?;
        let merged = self.write(tx, &rows, Some(self.blocks[part.start].meta.order))?;
        self.replace(tx, part, merged);
        Ok(())
    }

    /// The rows of a block, with their times.
    fn read(&self, block: &Block) -> Result<RecordBatch, Error> {
        let all: Vec<usize> = (0..self.stored_schema.fields().len()).collect();
        let (columns, _) = stored::read(&self.store, self.name, &self.stored_schema, block, &all)?;
        conform(&self.stored_schema, columns)
    }

    /// Takes rows out: of the blocks that `may_have` some, those that are not `kept`, as the columns at `columns` tell.
    /// Returns how many. Until the epoch is committed, what is left of these blocks can't be read: merge later.
    pub(super) fn remove(
        &mut self,
        tx: &mut Transaction,
        may_have: impl Fn(&Meta) -> bool,
        columns: &[usize],
        kept: impl Fn(&[ArrayRef]) -> BooleanArray,
    ) -> Result<u64, Error> {
        let before = self.blocks();
        let (mut after, mut n_sealed, mut n_removed) = (Vec::with_capacity(before.len()), 0, 0);
        for (i, block) in before.iter().enumerate() {
            let mut left = Some(Arc::clone(block));
            if may_have(&block.meta) {
                let (told, n_rows) =
                    stored::read(&self.store, self.name, &self.stored_schema, block, columns)?;
                let kept = kept(&told);
                let n_kept = kept.true_count();
                if n_kept < n_rows {
                    n_removed += (n_rows - n_kept) as u64;
                    left = (0 < n_kept).then(|| self.keep(tx, block, &kept)).transpose()?;
                    tx.retire_block(self.name, block.id);
                    block.retire();
                }
            }
            n_sealed += usize::from(i < self.n_sealed && left.is_some());
            after.extend(left);
        }
        (self.blocks, self.n_sealed) = (Arc::new(after), n_sealed);
        Ok(n_removed)
    }

    /// Writes what is kept of a block in its place.
    fn keep(
        &mut self,
        tx: &mut Transaction,
        block: &Block,
        kept: &BooleanArray,
    ) -> Result<Arc<Block>, Error> {
        let rows = filter_record_batch(&self.read(block)?, kept)
            .map_err(Error::arrow("take rows out of a block"))?;
        self.write(tx, &rows, Some(block.meta.order))
    }

    fn replace(&mut self, tx: &mut Transaction, part: Range<usize>, merged: Arc<Block>) {
        for block in Arc::make_mut(&mut self.blocks).splice(part, [merged]) {
            tx.retire_block(self.name, block.id);
            block.retire();
        }
    }

    /// Appends rows of the table, `times_ms[i]` the time of row `i`.
    pub(super) fn append(
        &mut self,
        tx: &mut Transaction,
        rows: &RecordBatch,
        times_ms: &Int64Array,
    ) -> Result<(), Error> {
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(times_ms.clone()));
        let rows = conform(&self.stored_schema, columns)?;
        let n_parts = (raw_bytes(&rows) / BLOCK_BYTES_MAX + 1).min(rows.num_rows().max(1));
        let part_rows = rows.num_rows().div_ceil(n_parts).clamp(1, BLOCK_ROWS_MAX);
        for start in (0..rows.num_rows()).step_by(part_rows) {
            let part = rows.slice(start, part_rows.min(rows.num_rows() - start));
            let block = self.write(tx, &part, None)?;
            Arc::make_mut(&mut self.blocks).push(block);
        }
        Ok(())
    }

    /// Retires the blocks that `expired` names. Returns how many rows they have.
    pub(super) fn expire(&mut self, tx: &mut Transaction, expired: impl Fn(&Meta) -> bool) -> u64 {
        let gone = self.blocks.iter().filter(|block| expired(&block.meta));
        let n_rows = gone.map(|block| block.meta.rows).sum();
        if n_rows == 0 {
            return 0;
        }
        let sealed = self.blocks[..self.n_sealed].iter();
        self.n_sealed = sealed.filter(|block| !expired(&block.meta)).count();
        Arc::make_mut(&mut self.blocks).retain(|block| {
            let gone = expired(&block.meta);
            if gone {
                tx.retire_block(self.name, block.id);
                block.retire();
            }
            !gone
        });
        n_rows
    }

    fn write(
        &mut self,
        tx: &mut Transaction,
        rows: &RecordBatch,
        order: Option<u64>,
    ) -> Result<Arc<Block>, Error> {
        let id = self.next_id;
        self.next_id += 1;
        let ranges = range::of_columns(rows, &self.range_columns)
            .map_err(Error::arrow("find the ranges of a block"))?;
        let times = times_of(rows);
        let meta = tx.put_block(self.name, id, rows, |stored_bytes| Meta {
            order: order.unwrap_or(id),
            rows: rows.num_rows() as u64,
            stored_bytes,
            raw_bytes: raw_bytes(rows) as u64,
            time_min_ms: min(times).unwrap_or(i64::MAX),
            time_max_ms: max(times).unwrap_or(i64::MIN),
            ranges,
            columns: rows.num_columns(),
        })?;
        Ok(Arc::new(Block::new(id, meta, Arc::clone(&self.garbage))))
    }
}

fn times_of(rows: &RecordBatch) -> &Int64Array {
    rows.column(rows.num_columns() - 1).as_primitive()
}

/// These columns under this schema: whoever wrote them may have named them otherwise.
fn conform(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(Error::arrow("fit rows to the columns of their table"))
}
