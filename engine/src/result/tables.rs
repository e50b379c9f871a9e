//! The tables of one pipeline as the committing thread holds them: its results and dead letters.
//!
//! Each epoch: [`Tables::apply`] into the epoch's transaction, commit, [`Tables::publish`]. After
//! an error of either, or a failed commit, they are of no use: open them anew.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use super::block::Meta;
use super::dead_letter::{self, DeadLetter, ID_COLUMNS, LetterId, dead_letter_schema};
use super::overlay::Overlay;
use super::series::Series;
use super::snapshot::Snapshot;
use crate::facts::Facts;
use crate::state::{Error, Series as Name, Store, Transaction};

/// How many dead letters of a pipeline are kept: the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LettersKept {
    /// For so long, in processing time.
    pub age_ms: i64,
    /// At most so many bytes on disk.
    pub bytes: u64,
}

impl LettersKept {
    /// Seven days and 1 GiB. Tests have less to write.
    pub const DEFAULT: Self =
        Self { age_ms: 7 * 24 * 3_600_000, bytes: if cfg!(test) { 4 << 20 } else { 1 << 30 } };
}

/// What a pipeline's result table looks like.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// The SELECT's columns, then `_final` Boolean.
    pub schema: SchemaRef,
    /// Positions of the key columns; empty: rows are appended.
    pub key: Vec<usize>,
    /// Of final rows, in event time behind the watermark; 0: no result table.
    pub retention_ms: i64,
    /// Whether provisional rows are shown.
    pub provisional: bool,
    pub letters: LettersKept,
}

/// Rows of a table with their times.
#[derive(Debug, Clone)]
pub struct TimedRows {
    /// Under [`TableSpec::schema`].
    pub rows: RecordBatch,
    /// Per row its `window_end`, else its event time, in milliseconds since 1970; no nulls. What
    /// retention and `last` go by.
    pub times_ms: Int64Array,
}

/// What an epoch changes. A key is in one of `finals`, `provisionals`, `deletes`, and once.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Rows that became final.
    pub finals: Vec<TimedRows>,
    /// Rows of open windows that are new or have changed.
    pub provisionals: Vec<TimedRows>,
    /// Key columns, in the order of the key, of groups without a row now.
    pub deletes: Vec<RecordBatch>,
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters of earlier epochs that were run again. Those that failed again are in `dead_letters`, too.
    pub replayed: Vec<LetterId>,
}

/// What became of an epoch's changes, beside the finals and provisionals.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Of the deletes those whose key had a provisional row.
    pub deletes: Vec<RecordBatch>,
    /// The epoch's dead letters as rows.
    pub dead_letters: Vec<RecordBatch>,
    /// Dead letters that are kept no longer.
    pub letters_expired: u64,
}

/// The result table and the dead letters of one pipeline.
pub struct Tables {
    store: Store,
    spec: Arc<TableSpec>,
    finals: Series,
    dead_letters: Series,
    /// `None` where no provisional rows are shown.
    overlay: Option<Overlay>,
}

impl Tables {
    /// Lists what is on disk; rows are read later. The overlay is empty.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`], [`Error::Storage`]; [`Error::Arrow`] for a key
    /// of a type that can't be one.
    pub fn open(store: &Store, spec: TableSpec) -> Result<Self, Error> {
        let has_overlay = spec.provisional && !spec.key.is_empty() && 0 < spec.retention_ms;
        let overlay = has_overlay.then(|| Overlay::new(&spec.schema, &spec.key)).transpose();
        Ok(Self {
            store: store.clone(),
            finals: Series::open(store, Name::Finals, &spec.schema, &spec.key)?,
            dead_letters: Series::open(
                store,
                Name::DeadLetters,
                &dead_letter_schema(),
                &[dead_letter::EPOCH],
            )?,
            overlay: overlay.map_err(Error::arrow("make the provisional rows' index"))?,
            spec: Arc::new(spec),
        })
    }

    /// Whether provisional rows are known here, and with them which deletes are of rows that exist.
    #[must_use]
    pub fn shows_provisionals(&self) -> bool {
        self.overlay.is_some()
    }

    /// Sets the provisional rows as recomputed from recovered state: they are not on disk.
    ///
    /// # Errors
    /// [`Error::Arrow`] where the rows are not those of the table.
    pub fn seed_overlay(&mut self, provisionals: &[TimedRows]) -> Result<(), Error> {
        let Some(overlay) = &mut self.overlay else { return Ok(()) };
        provisionals
            .iter()
            .try_for_each(|TimedRows { rows, times_ms }| overlay.upsert(rows, times_ms))
            .map_err(Error::arrow("take in provisional rows"))
    }

    /// Takes in an epoch: finals and dead letters into the transaction, provisional rows into
    /// memory. Rows past the retention or the bounds of dead letters go; small blocks of earlier
    /// epochs are merged. `committed_at_ms` is the epoch's processing time.
    ///
    /// # Errors
    /// [`Error::Arrow`] where rows are not those of the table; [`Error::Damaged`] and
    /// [`Error::Storage`] where a block that is to be merged can't be read.
    pub fn apply(
        &mut self,
        tx: &mut Transaction,
        changes: &Changes,
        watermark_ms: Option<i64>,
        committed_at_ms: i64,
    ) -> Result<Applied, Error> {
        self.finals.collect_garbage(tx);
        self.dead_letters.collect_garbage(tx);
        // Expire first, so that rows about to go are not merged; merge before new rows are
        // appended, since those can't be read yet.
        let after_ms = visible_after(&self.spec, watermark_ms);
        let no_table = self.spec.retention_ms == 0;
        self.finals
            .expire(tx, |block| no_table || after_ms.is_some_and(|after_ms| block.time_max_ms <= after_ms));
        let letters_expired = self.expire_dead_letters(tx, committed_at_ms);
        self.finals.merge(tx)?;
        if self.remove_replayed(tx, &changes.replayed)? == 0 {
            self.dead_letters.merge(tx)?;
        }

        if 0 < self.spec.retention_ms {
            for TimedRows { rows, times_ms } in &changes.finals {
                self.finals.append(tx, rows, times_ms)?;
            }
        }
        let dead_letters = dead_letter::batches(&changes.dead_letters, tx.epoch())?;
        for rows in &dead_letters {
            let times_ms = Int64Array::from_value(committed_at_ms, rows.num_rows());
            self.dead_letters.append(tx, rows, &times_ms)?;
        }
        let applied = self.apply_overlay(changes).map_err(Error::arrow("take in provisional rows"))?;
        Ok(Applied { dead_letters, letters_expired, ..applied })
    }

    /// Makes what was applied and committed visible: what readers get until the next epoch.
    #[must_use]
    pub fn publish(&mut self, facts: Facts) -> Arc<Snapshot> {
        let parts = self.overlay.as_ref().map(Overlay::parts).unwrap_or_default();
        Arc::new(Snapshot::new(&self.store, &self.spec, facts, &self.finals, parts, &self.dead_letters))
    }

    fn apply_overlay(&mut self, changes: &Changes) -> Result<Applied, arrow::error::ArrowError> {
        let mut applied = Applied::default();
        let Some(overlay) = &mut self.overlay else { return Ok(applied) };
        for keys in &changes.deletes {
            let removed = overlay.remove(keys.columns())?;
            let keys = filter_record_batch(keys, &removed)?;
            if keys.num_rows() != 0 {
                applied.deletes.push(keys);
            }
        }
        for TimedRows { rows, .. } in &changes.finals {
            overlay.remove(&overlay.key_columns(rows))?;
        }
        for TimedRows { rows, times_ms } in &changes.provisionals {
            overlay.upsert(rows, times_ms)?;
        }
        Ok(applied)
    }

    /// Takes out the letters that were run again. Returns how many.
    fn remove_replayed(&mut self, tx: &mut Transaction, replayed: &[LetterId]) -> Result<u64, Error> {
        if replayed.is_empty() {
            return Ok(0);
        }
        let mut ids = replayed.to_vec();
        ids.sort_unstable();
        let range_columns = self.dead_letters.range_columns().to_vec();
        let may_have = |meta: &Meta| dead_letter::may_have(&ids, &range_columns, meta);
        self.dead_letters.remove(tx, may_have, &ID_COLUMNS, |columns| dead_letter::none_of(&ids, columns))
    }

    /// Returns how many are kept no longer.
    fn expire_dead_letters(&mut self, tx: &mut Transaction, committed_at_ms: i64) -> u64 {
        let LettersKept { age_ms, bytes } = self.spec.letters;
        let after_ms = committed_at_ms.saturating_sub(age_ms);
        let blocks = self.dead_letters.blocks();
        let mut kept_bytes = 0;
        let first_fitting = blocks.iter().rev().find_map(|block| {
            kept_bytes += block.meta.stored_bytes;
            (bytes < kept_bytes).then_some(block.meta.order + 1)
        });
        drop(blocks);
        let first_fitting = first_fitting.unwrap_or(0);
        self.dead_letters.expire(tx, |block| block.time_max_ms <= after_ms || block.order < first_fitting)
    }
}

/// The time that a row of the table must be later than.
pub(super) fn visible_after(spec: &TableSpec, watermark_ms: Option<i64>) -> Option<i64> {
    watermark_ms.map(|watermark_ms| watermark_ms.saturating_sub(spec.retention_ms))
}
