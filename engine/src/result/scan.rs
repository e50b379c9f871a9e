//! Reading a snapshot: one block in memory at a time, rows past their time left out.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cmp::gt;
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;

use super::block::Block;
use super::overlay::Part;
use super::stored;
use crate::state::{Error, Series as Name, Store};

/// Rows of one item of a scan: a block is handed over in slices, so that who wants a few rows, or
/// gives up, soon gets a word in.
const SLICE_ROWS: usize = 8_192;

/// What a scan reads but for the blocks.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) store: Store,
    pub(super) series: Name,
    /// Of the table: stored rows have their time behind it.
    pub(super) schema: SchemaRef,
    pub(super) overlay: Vec<Part>,
    /// Only rows with a later time are there.
    pub(super) visible_after_ms: Option<i64>,
}

/// An iterator over the rows of a snapshot. It ends at the first error.
#[derive(Debug)]
pub struct Scan {
    store: Store,
    series: Name,
    /// Positions in the table's columns.
    projection: Vec<usize>,
    /// The table's columns, then the time.
    stored: SchemaRef,
    schema: SchemaRef,
    after_ms: Option<i64>,
    newest_first: bool,

    sources: VecDeque<Source>,
    slices: VecDeque<RecordBatch>,
}

#[derive(Debug)]
enum Source {
    Block(Arc<Block>),
    Overlay(Part),
}

impl Scan {
    pub(super) fn new(
        input: Input,
        blocks: Vec<Arc<Block>>,
        projection: Option<Vec<usize>>,
        after_ms: Option<i64>,
    ) -> Result<Self, Error> {
        let projection = projection.unwrap_or_else(|| (0..input.schema.fields().len()).collect());
        let schema = input.schema.project(&projection).map_err(Error::arrow("read a table"))?;
        let after_ms = after_ms.max(input.visible_after_ms);
        let is_visible =
            |block: &Arc<Block>| after_ms.is_none_or(|after_ms| after_ms < block.meta.time_max_ms);
        let blocks = blocks.into_iter().filter(is_visible).map(Source::Block);
        Ok(Self {
            store: input.store,
            series: input.series,
            projection,
            stored: stored::schema(&input.schema),
            schema: Arc::new(schema),
            after_ms,
            newest_first: false,
            sources: blocks.chain(input.overlay.into_iter().map(Source::Overlay)).collect(),
            slices: VecDeque::new(),
        })
    }

    pub(super) fn newest_first(self) -> Self {
        Self { newest_first: true, ..self }
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The visible rows of the next source; `None` at the end.
    fn read(&mut self) -> Option<Result<RecordBatch, Error>> {
        let source = match self.newest_first {
            false => self.sources.pop_front(),
            true => self.sources.pop_back(),
        }?;
        Some(match source {
            Source::Block(block) => self.read_block(&block),
            Source::Overlay(part) => self.read_overlay(&part).map_err(Error::arrow("read provisional rows")),
        })
    }

    fn read_block(&self, block: &Block) -> Result<RecordBatch, Error> {
        let partly = self.after_ms.filter(|after_ms| block.meta.time_min_ms <= *after_ms);
        let mut wanted = self.projection.clone();
        if partly.is_some() {
            wanted.push(self.stored.fields().len() - 1);
        }
        let (mut columns, n_rows) = stored::read(&self.store, self.series, &self.stored, block, &wanted)?;
        let times = partly.and_then(|_| columns.pop());
        let visible = partly.zip(times).map(|(after_ms, times)| later(&times, after_ms));
        self.batch(columns, n_rows)
            .and_then(|batch| match visible {
                Some(visible) => filter_record_batch(&batch, &visible?),
                None => Ok(batch),
            })
            .map_err(Error::arrow("fit a block to the columns of its table"))
    }

    fn read_overlay(&self, part: &Part) -> Result<RecordBatch, ArrowError> {
        let mut visible = part.mask();
        if let Some(after_ms) = self.after_ms {
            visible = and(&visible, &gt(&part.times_ms, &Int64Array::new_scalar(after_ms))?)?;
        }
        let columns = self.projection.iter().map(|i| Arc::clone(part.rows.column(*i))).collect();
        filter_record_batch(&self.batch(columns, part.rows.num_rows())?, &visible)
    }

    fn batch(&self, columns: Vec<ArrayRef>, n_rows: usize) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let slice = match self.newest_first {
                false => self.slices.pop_front(),
                true => self.slices.pop_back(),
            };
            if let Some(slice) = slice {
                return Some(Ok(slice));
            }
            match self.read()? {
                Ok(rows) => {
                    let starts = (0..rows.num_rows()).step_by(SLICE_ROWS);
                    let slice = |at| rows.slice(at, SLICE_ROWS.min(rows.num_rows() - at));
                    self.slices.extend(starts.map(slice));
                }
                Err(error) => {
                    self.sources.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn later(times_ms: &dyn Array, after_ms: i64) -> Result<BooleanArray, ArrowError> {
    gt(times_ms.as_primitive::<Int64Type>(), &Int64Array::new_scalar(after_ms))
}
