//! All groups of one pane: interner, accumulators and which groups have changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;

use super::accumulator::{Accumulator, Input};
use super::column::cast_to;
use super::interner::Interner;
use super::{Error, Layout};

/// The group has changed since [`Groups::clear_changed`].
const CHANGED: u8 = 1;
/// Scratch of [`Groups::replace`]: a later row of the same batch names this group. Never set
/// outside of it.
const NAMED: u8 = 2;

/// State read at once, where a group's can be large. Far below the 2 GiB that a column of text can hold.
const RUN_BYTES: usize = 64 << 20;

/// All groups of one pane. Group indices are dense, from 0 in order of first appearance, and stay
/// what they are until [`Self::clear`].
pub struct Groups {
    layout: Arc<Layout>,

    interner: Interner,
    accumulators: Vec<Box<dyn Accumulator>>,
    /// One byte per group.
    flags: Vec<u8>,
    /// Whether any group may have changed: most panes get no row for many epochs.
    is_changed: bool,
    /// Scratch: the group of each row of a batch.
    row_groups: Vec<u32>,
}

/// Results of some groups.
#[derive(Debug)]
pub struct Evaluated {
    /// One column per call, in the type of its field; row `i` is `groups[i]`.
    pub columns: Vec<ArrayRef>,
    /// `(position in groups, detail)` of results that could not be computed and are null in
    /// `columns`: ascending, one entry per such result.
    pub failed: Vec<(u32, String)>,
}

impl Groups {
    /// No groups.
    #[must_use]
    pub fn new(layout: &Arc<Layout>) -> Self {
        Self {
            layout: Arc::clone(layout),
            interner: layout.interner.fresh(),
            accumulators: layout.accumulators.iter().map(|accumulator| accumulator.fresh()).collect(),
            flags: Vec::new(),
            is_changed: false,
            row_groups: Vec::new(),
        }
    }

    /// Adds rows. `keys`: evaluated key columns. `args[c]`: evaluated arguments of call `c`.
    /// `filters[c]`: its FILTER result, where null counts as false. All of `n_rows` rows.
    ///
    /// Every group with a row here counts as changed, even if a FILTER takes all its rows away: the
    /// group itself may be new.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the columns are not those of the layout: nothing was added. After
    /// any other error some calls have the rows and some do not: give the pane up.
    pub fn update(
        &mut self,
        n_rows: usize,
        keys: &[ArrayRef],
        args: &[Vec<ArrayRef>],
        filters: &[Option<BooleanArray>],
    ) -> Result<(), Error> {
        let n_calls = self.layout.calls.len();
        if args.len() != n_calls || filters.len() != n_calls {
            return Err(mismatch(
                format!("{n_calls} calls"),
                format!("{} and {}", args.len(), filters.len()),
            ));
        }
        let all = keys.iter().chain(args.iter().flatten()).map(|array| array.len());
        let filter_rows = filters.iter().flatten().map(|filter| filter.len());
        if let Some(found) = all.chain(filter_rows).find(|len| *len != n_rows) {
            return Err(mismatch(format!("columns of {n_rows} rows"), format!("{found} rows")));
        }
        let layout = Arc::clone(&self.layout);
        let args = layout.calls.iter().zip(args).map(|(call, args)| {
            if call.args.len() != args.len() {
                return Err(mismatch(format!("{} arguments", call.args.len()), args.len().to_string()));
            }
            let types = call.args.iter().map(|arg| arg.field.data_type());
            args.iter().zip(types).map(|(array, data_type)| cast_to(array, data_type)).collect()
        });
        let args = args.collect::<Result<Vec<Vec<ArrayRef>>, Error>>()?;

        self.intern(n_rows, keys)?;
        for ((accumulator, args), filter) in self.accumulators.iter_mut().zip(&args).zip(filters) {
            let filter = filter.as_ref().map(true_bits);
            accumulator.update(&Input { groups: &self.row_groups, args, filter: filter.as_ref() })?;
        }
        self.mark();
        Ok(())
    }

    /// Adds partial states: a batch of [`Layout::state_schema`]. Its groups count as changed.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn merge(&mut self, states: &RecordBatch) -> Result<(), Error> {
        self.check_states(states)?;
        let (keys, columns) = states.columns().split_at(self.layout.keys.len());
        self.intern(states.num_rows(), keys)?;
        self.merge_columns(columns)?;
        self.mark();
        Ok(())
    }

    /// Replaces the named groups by these states, a batch of [`Layout::state_schema`]; of several
    /// rows for one group the last counts. For recovery, where later blocks override earlier ones:
    /// does not mark the groups as changed.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn replace(&mut self, states: &RecordBatch) -> Result<(), Error> {
        self.check_states(states)?;
        let (keys, columns) = states.columns().split_at(self.layout.keys.len());
        self.intern(states.num_rows(), keys)?;

        let mut last_rows: Vec<u32> = Vec::with_capacity(self.row_groups.len());
        for row in (0..self.row_groups.len()).rev() {
            let group = self.row_groups[row];
            let flag = &mut self.flags[group as usize];
            if *flag & NAMED == 0 {
                *flag |= NAMED;
                last_rows.push(row as u32);
            }
        }
        for group in &self.row_groups {
            self.flags[*group as usize] &= !NAMED;
        }
        for accumulator in &mut self.accumulators {
            accumulator.reset(&self.row_groups)?;
        }
        if last_rows.len() == self.row_groups.len() {
            return self.merge_columns(columns);
        }
        last_rows.reverse();
        self.row_groups = last_rows.iter().map(|row| self.row_groups[*row as usize]).collect();
        let rows = UInt32Array::from(last_rows);
        let columns = columns.iter().map(|column| take(column, &rows, None));
        self.merge_columns(&columns.collect::<Result<Vec<_>, _>>()?)
    }

    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are no groups.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// The groups that have changed since [`Self::clear_changed`], ascending.
    #[must_use]
    pub fn changed(&self) -> Vec<u32> {
        if !self.is_changed {
            return Vec::new();
        }
        let changed = (0_u32..).zip(&self.flags).filter(|(_, flag)| **flag & CHANGED != 0);
        changed.map(|(group, _)| group).collect()
    }

    /// From here on no group has changed. Memory that only rows need is given back: most panes get
    /// none for long.
    pub fn clear_changed(&mut self) {
        self.flags.fill(0);
        self.is_changed = false;
        self.row_groups = Vec::new();
        self.interner.release_scratch();
    }

    /// All groups, ascending.
    #[must_use]
    pub fn all(&self) -> Vec<u32> {
        (0_u32..).zip(&self.flags).map(|(group, _)| group).collect()
    }

    /// `groups` in runs that may be read at once: of at most `n_max` groups, and about 64 MiB of state
    /// where a group's state is large.
    #[must_use]
    pub fn runs<'a>(&self, groups: &'a [u32], n_max: usize) -> Vec<&'a [u32]> {
        if !self.layout.has_large_groups() {
            return groups.chunks(n_max).collect();
        }
        let mut runs = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, group) in groups.iter().enumerate() {
            if n_max <= at - start || RUN_BYTES < bytes {
                runs.push(&groups[start..at]);
                (start, bytes) = (at, 0);
            }
            bytes += self.accumulators.iter().map(|calls| calls.state_bytes(*group)).sum::<usize>();
        }
        if start < groups.len() {
            runs.push(&groups[start..]);
        }
        runs
    }

    /// The keys of `groups`, in the types of the key fields.
    ///
    /// # Errors
    /// [`Error::TooLarge`]: ask for fewer groups at once.
    pub fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, Error> {
        let stored = self.interner.keys(groups)?;
        let types = self.layout.keys.iter().map(|key| &key.data_type);
        stored.iter().zip(types).map(|(array, data_type)| cast_to(array, data_type)).collect()
    }

    /// The results of `groups`, as they are now.
    ///
    /// # Errors
    /// [`Error::TooLarge`]: ask for fewer groups at once. What is wrong with a single result is in
    /// [`Evaluated::failed`].
    pub fn evaluate(&mut self, groups: &[u32]) -> Result<Evaluated, Error> {
        let mut failed = Vec::new();
        let mut columns = Vec::with_capacity(self.accumulators.len());
        for (accumulator, call) in self.accumulators.iter_mut().zip(&self.layout.calls) {
            let mut failures = Vec::new();
            let column = accumulator.evaluate(groups, &mut failures)?;
            columns.push(cast_to(&column, call.field.data_type())?);
            let name = call.field.name();
            failed.extend(failures.into_iter().map(|(at, why)| (at, format!("\"{name}\": {why}"))));
        }
        failed.sort_by_key(|(at, _)| *at);
        Ok(Evaluated { columns, failed })
    }

    /// The states of `groups`, as they are now: a batch of [`Layout::state_schema`].
    ///
    /// # Errors
    /// [`Error::TooLarge`]: ask for fewer groups at once.
    pub fn state(&mut self, groups: &[u32]) -> Result<RecordBatch, Error> {
        let mut columns = self.interner.keys(groups)?;
        for accumulator in &mut self.accumulators {
            accumulator.state(groups, &mut columns)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        Ok(RecordBatch::try_new_with_options(self.layout.state_schema(), columns, &options)?)
    }

    /// Bytes allocated, used or not.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let accumulators: usize =
            self.accumulators.iter().map(|accumulator| accumulator.memory_bytes()).sum();
        self.interner.memory_bytes() + accumulators + self.flags.capacity() + 4 * self.row_groups.capacity()
    }

    /// Forgets all groups but keeps the memory, for the next pane.
    pub fn clear(&mut self) {
        self.interner.clear();
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.clear());
        self.flags.clear();
        self.is_changed = false;
        self.row_groups.clear();
    }

    /// Fills `row_groups` and makes room for new groups. Groups of an unsuccessful call stay, empty.
    fn intern(&mut self, n_rows: usize, keys: &[ArrayRef]) -> Result<(), Error> {
        let expected = &self.layout.keys;
        if keys.len() != expected.len() {
            return Err(mismatch(format!("{} keys", expected.len()), keys.len().to_string()));
        }
        if u32::try_from(self.len() + n_rows).is_err() {
            return Err(Error::TooManyGroups);
        }
        let stored = keys.iter().zip(expected).map(|(array, key)| cast_to(array, &key.stored));
        self.interner.intern(n_rows, &stored.collect::<Result<Vec<_>, _>>()?, &mut self.row_groups)?;
        self.flags.resize(self.interner.len(), 0);
        for accumulator in &mut self.accumulators {
            accumulator.grow(self.flags.len())?;
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.is_changed |= !self.row_groups.is_empty();
        mark(&mut self.flags, &self.row_groups);
    }

    fn merge_columns(&mut self, columns: &[ArrayRef]) -> Result<(), Error> {
        let n_keys = self.layout.keys.len();
        for (accumulator, range) in self.accumulators.iter_mut().zip(&self.layout.state_columns) {
            accumulator.merge(&self.row_groups, &columns[range.start - n_keys..range.end - n_keys])?;
        }
        Ok(())
    }

    fn check_states(&self, states: &RecordBatch) -> Result<(), Error> {
        let expected = self.layout.state_schema();
        let types = |fields: &arrow::datatypes::Fields| -> Vec<_> {
            fields.iter().map(|field| field.data_type().clone()).collect()
        };
        let (expected, found) = (types(expected.fields()), types(states.schema_ref().fields()));
        if expected == found {
            return Ok(());
        }
        Err(mismatch(format!("state columns {expected:?}"), format!("{found:?}")))
    }
}

fn mark(flags: &mut [u8], row_groups: &[u32]) {
    each_group(row_groups, |group| flags[group] |= CHANGED);
}

/// Does so for the group of each row; four rows at a time, since the loop itself takes as much as what is done.
#[inline]
pub(super) fn each_group(groups: &[u32], mut act: impl FnMut(usize)) {
    let (fours, rest) = groups.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|group| act(*group as usize));
    }
    rest.iter().for_each(|group| act(*group as usize));
}

/// The rows for which the filter is true: not false, not null.
fn true_bits(filter: &BooleanArray) -> BooleanBuffer {
    match filter.nulls() {
        Some(nulls) => filter.values() & nulls.inner(),
        None => filter.values().clone(),
    }
}

fn mismatch(expected: String, found: String) -> Error {
    Error::Mismatch { expected, found }
}
