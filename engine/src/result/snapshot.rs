//! A committed epoch, for readers.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;

use super::dead_letter::{self, DeadLetter, LetterId, dead_letter_schema};
use super::overlay::Part;
use super::provider::ResultTable;
use super::scan::{Input, Scan};
use super::series::{Blocks, Series};
use super::tables::{TableSpec, visible_after};
use crate::facts::Facts;
use crate::state::{Error, Series as Name, Store};
use crate::time::Epoch;

/// A committed epoch of one pipeline: it never changes and blocks nobody.
#[derive(Debug)]
pub struct Snapshot {
    store: Store,
    spec: Arc<TableSpec>,
    facts: Facts,
    finals: Blocks,
    overlay: Vec<Part>,
    dead_letters: Blocks,
    /// Columns whose ranges the blocks of either series know.
    range_columns: Vec<usize>,
    dead_letter_range_columns: Vec<usize>,
}

impl Snapshot {
    pub(super) fn new(
        store: &Store,
        spec: &Arc<TableSpec>,
        facts: Facts,
        finals: &Series,
        overlay: Vec<Part>,
        dead_letters: &Series,
    ) -> Self {
        Self {
            store: store.clone(),
            spec: Arc::clone(spec),
            facts,
            finals: finals.blocks(),
            overlay,
            dead_letters: dead_letters.blocks(),
            range_columns: finals.range_columns().to_vec(),
            dead_letter_range_columns: dead_letters.range_columns().to_vec(),
        }
    }

    /// What the pipeline knew of itself at this epoch.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The committed epoch; 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.facts.epoch
    }

    /// The pipeline's watermark, in milliseconds since 1970.
    #[must_use]
    pub fn watermark_ms(&self) -> Option<i64> {
        self.facts.watermark_ms
    }

    /// The columns of the result table, `_final` last.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.spec.schema
    }

    /// Positions of the key columns in [`Self::schema`]; empty for a table that is appended to.
    #[must_use]
    pub fn key(&self) -> &[usize] {
        &self.spec.key
    }

    /// Whether there is a result table at all: not with a retention of 0.
    #[must_use]
    pub fn has_table(&self) -> bool {
        0 < self.spec.retention_ms
    }

    /// Reads the rows within the retention whose time is later than `after_ms`: final ones in the
    /// order they were written, then provisional ones. Batches have the columns of
    /// [`Self::schema`] at `projection`, in that order, and some thousand rows at most.
    ///
    /// # Errors
    /// [`Error::Arrow`] where `projection` names a column that is not there.
    pub fn scan(&self, projection: Option<&[usize]>, after_ms: Option<i64>) -> Result<Scan, Error> {
        let projection = projection.map(<[usize]>::to_vec);
        Scan::new(self.input(), self.finals.to_vec(), projection, after_ms)
    }

    /// As [`Self::scan`], the newest rows first: provisional ones, then final ones, batch by batch
    /// from the end; within a batch rows are in the order they were written.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_newest_first(
        &self,
        projection: Option<&[usize]>,
        after_ms: Option<i64>,
    ) -> Result<Scan, Error> {
        Ok(self.scan(projection, after_ms)?.newest_first())
    }

    /// Reads the dead letters, oldest first, as [`Self::scan`] does rows; the columns are those of
    /// [`dead_letter_schema`].
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn dead_letters(&self, projection: Option<&[usize]>) -> Result<Scan, Error> {
        let projection = projection.map(<[usize]>::to_vec);
        Scan::new(self.dead_letter_input(), self.dead_letters.to_vec(), projection, None)
    }

    /// Of the letters `ids`, ascending, those that are here, by partition and offset. It reads the blocks that they are
    /// in, oldest first, until these have more than `bytes_max` in memory: then the rest is left out.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn letters(&self, ids: &[LetterId], bytes_max: u64) -> Result<Vec<(LetterId, DeadLetter)>, Error> {
        let mut n_bytes = 0;
        let mut letters = Vec::new();
        for block in self.dead_letters.iter() {
            if !dead_letter::may_have(ids, &self.dead_letter_range_columns, &block.meta) {
                continue;
            }
            if bytes_max < n_bytes && !letters.is_empty() {
                break;
            }
            for rows in Scan::new(self.dead_letter_input(), vec![Arc::clone(block)], None, None)? {
                let rows = rows?;
                let found = (0..rows.num_rows()).filter_map(|row| dead_letter::read(&rows, row, ids));
                letters.extend(found);
            }
            n_bytes += block.meta.raw_bytes;
        }
        letters.sort_unstable_by_key(|(id, _)| (id.partition, id.offset));
        Ok(letters)
    }

    /// The result table for DataFusion.
    #[must_use]
    pub fn provider(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        Arc::new(ResultTable::new(Arc::clone(self)))
    }

    /// What a scan of the result table reads but for its blocks.
    pub(super) fn input(&self) -> Input {
        Input {
            store: self.store.clone(),
            series: Name::Finals,
            schema: Arc::clone(&self.spec.schema),
            overlay: self.overlay.clone(),
            visible_after_ms: visible_after(&self.spec, self.facts.watermark_ms),
        }
    }

    /// What a scan of the dead letters reads but for its blocks.
    pub(super) fn dead_letter_input(&self) -> Input {
        let committed_at_ms = self.facts.committed_at_ms;
        Input {
            store: self.store.clone(),
            series: Name::DeadLetters,
            schema: dead_letter_schema(),
            overlay: Vec::new(),
            visible_after_ms: committed_at_ms.map(|at| at.saturating_sub(self.spec.letters.age_ms)),
        }
    }

    /// The blocks of either series with the columns whose ranges they know.
    pub(super) fn ranged_blocks(&self, series: Name) -> (&Blocks, &[usize]) {
        match series {
            Name::Finals => (&self.finals, &self.range_columns),
            Name::DeadLetters => (&self.dead_letters, &self.dead_letter_range_columns),
        }
    }
}
