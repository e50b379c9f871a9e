//! What a reader of the simulated pipeline has seen, over all its lives, and what must hold of it.
//!
//! What is checked at every epoch: epochs grow by one; watermarks, next offsets and counters never go
//! back; the watermark is that of the slowest active partition; a final row comes once.
//! At the end of a life: the table is the recomputation up to the committed offsets, open windows
//! provisional; so are counters and dead letters; a partition was idle only if it really was silent.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};

use super::case::Case;
use super::oracle::{Expected, Key, Rows, recompute};
use super::world::{Value, World};
use crate::dataflow::commit::Committed;
use crate::facts::{Facts, PartitionFact};
use crate::result::Snapshot;
use crate::time::watermark::PipelineTime;

/// What a stopped pipeline leaves.
struct Table {
    finals: Rows,
    provisionals: Rows,
    /// Partition, offset, reason.
    dead_letters: Vec<(i32, i64, String)>,
}

pub(super) struct Seen {
    appends: bool,
    /// Of the newest committed epoch.
    pub(super) facts: Facts,
    /// Of the process that runs.
    time: PipelineTime,
    /// Final rows that were told of.
    finals: Rows,
    /// Of the last life that stopped by itself.
    table: Option<Table>,
    /// A bounded run has closed windows before their time: floors have that reason, too.
    bounded: bool,
}

impl Seen {
    pub(super) fn new(case: &Case) -> Self {
        Self {
            appends: case.query.windows.is_none(),
            facts: Facts::default(),
            time: PipelineTime::default(),
            finals: Rows::new(),
            table: None,
            bounded: false,
        }
    }

    /// A process has started. It may have committed one epoch more than it told of.
    pub(super) fn recovered(&mut self, snapshot: &Snapshot, bounded: bool) {
        self.bounded |= bounded;
        let facts = snapshot.facts();
        assert!(facts.epoch == self.facts.epoch || facts.epoch == self.facts.epoch.next(), "{facts:?}");
        self.follow(facts);
        let watermarks = facts.partitions.iter().map(|fact| fact.watermark_ms);
        self.time = PipelineTime::recovered(facts.watermark_ms, watermarks);
    }

    /// An epoch was committed.
    pub(super) fn take(&mut self, epoch: &Committed) {
        let facts = epoch.snapshot.facts();
        assert_eq!(facts.epoch, self.facts.epoch.next());
        let before =
            |fact: &PartitionFact| self.facts.partitions.iter().find(|b| b.partition == fact.partition);
        let at_barrier: Vec<_> = facts.partitions.iter().map(|fact| fact.at_barrier(before(fact))).collect();
        self.time.pass(at_barrier.into_iter());
        assert_eq!(facts.watermark_ms, self.time.watermark_ms, "{facts:?}");
        self.follow(facts);
        let (finals, _) = rows(&epoch.finals, self.appends);
        for (key, rows) in finals {
            let before = self.finals.entry(key.clone()).or_default();
            assert!(self.appends || before.is_empty(), "{key:?} is final twice");
            before.extend(rows);
        }
    }

    fn follow(&mut self, facts: &Facts) {
        let before = &self.facts;
        assert!(before.watermark_ms <= facts.watermark_ms && before.closed_ms <= facts.closed_ms);
        for fact in before.partitions.iter() {
            let now = facts.partitions.iter().find(|now| now.partition == fact.partition);
            let now = now.expect("a partition stays");
            assert!(fact.next_offset <= now.next_offset && fact.watermark_ms <= now.watermark_ms);
            assert!(fact.floor_ms <= now.floor_ms, "floors never go back");
        }
        let (then, now) = (&before.counters, &facts.counters);
        assert!(then.rows_in <= now.rows_in && then.rows_out <= now.rows_out);
        assert!(then.late_rows <= now.late_rows && then.dead_letters <= now.dead_letters);
        self.facts = facts.clone();
    }

    /// The process has stopped by itself, and this is what it leaves.
    pub(super) fn stopped(&mut self, snapshot: &Snapshot) {
        assert_eq!(snapshot.facts().epoch, self.facts.epoch, "all that is committed was told of");
        let scan = |scan: crate::result::Scan| scan.map(|batch| batch.expect("it reads")).collect::<Vec<_>>();
        let (finals, provisionals) = rows(&scan(snapshot.scan(None, None).expect("a table")), self.appends);
        let letters = scan(snapshot.dead_letters(None).expect("dead letters"));
        let dead_letters = letters.iter().flat_map(dead_letters).collect();
        self.table = Some(Table { finals, provisionals, dead_letters });
    }

    /// The table of a process that stopped by itself is what the records up to its offsets come to.
    pub(super) fn check_table(&self, case: &Case) {
        let table = self.table.as_ref().expect("it has stopped");
        let Table { finals, provisionals, dead_letters: letters } = table;
        let mut next_offsets = vec![0; case.world.partitions.len()];
        for fact in self.facts.partitions.iter() {
            next_offsets[fact.partition as usize] = fact.next_offset.max(0);
        }
        let expected = recompute(case, &self.facts.floors, &next_offsets);
        let Expected { rows, dead_letters, counters } = expected;
        let closed_ms = self.facts.closed_ms;
        let is_final = |key: &Key| match case.query.windows {
            None => true,
            Some(windows) => closed_ms.is_some_and(|closed_ms| windows.end(key.0) <= closed_ms),
        };
        // Of overlapping windows the one that closes next.
        let is_shown = |key: &Key| match case.query.windows {
            Some(windows) if windows.slide_ms < windows.size_ms => {
                closed_ms.is_some_and(|closed_ms| windows.first_after(closed_ms) == key.0)
            }
            _ => true,
        };
        let (mut closed, mut open) = (rows.clone(), rows);
        closed.retain(|key, _| is_final(key));
        open.retain(|key, _| !is_final(key) && case.provisional && is_shown(key));
        for system in &case.systems {
            system.check(finals, false);
        }
        assert_eq!(*finals, closed, "final rows");
        assert_eq!(*provisionals, open, "provisional rows");
        let mut letters: Vec<_> = letters.iter().map(|(p, o, reason)| (*p, *o, reason.as_str())).collect();
        letters.sort_unstable();
        assert_eq!(letters, dead_letters, "dead letters");
        let rows_out = closed.values().map(|rows| rows.len() as u64).sum();
        assert_eq!(self.facts.counters, crate::facts::Counters { rows_out, ..counters });
        if !self.bounded {
            check_floors(&case.world, &self.facts, case.lives[0].poll_ms_max());
        }
    }

    /// Every record was read; after a bounded run every window is closed.
    pub(super) fn check_all_read(&self, case: &Case, bounded: bool) {
        for (fact, log) in self.facts.partitions.iter().zip(&case.world.partitions) {
            assert_eq!(fact.next_offset, log.entries.len() as i64);
        }
        let Table { finals, provisionals, .. } = self.table.as_ref().expect("it has stopped");
        assert!(!bounded || provisionals.is_empty());
        for system in case.systems.iter().filter(|_| bounded) {
            system.check(finals, true);
        }
        for (key, rows) in &self.finals {
            // An epoch that was committed right before a death was never told of.
            let table = &finals[key];
            assert!(rows.iter().all(|row| table.contains(row)), "{key:?}: {rows:?} became {table:?}");
        }
    }
}

/// Final and provisional rows; all are final where there is no column that tells.
pub(super) fn rows(batches: &[RecordBatch], appends: bool) -> (Rows, Rows) {
    let (mut finals, mut provisionals) = (Rows::new(), Rows::new());
    for batch in batches {
        let number = |name: &str| -> Option<ArrayRef> {
            batch.column_by_name(name).map(|column| cast(column, &DataType::Int64).expect("a number"))
        };
        let value = |column: &ArrayRef, row: usize| column.as_primitive::<Int64Type>().value(row);
        let starts = number(if appends { "at" } else { "window_start" }).expect("a time");
        let keys = number("key");
        let names = batch.column_by_name("name");
        let columns: &[&str] = if appends { &["amount"] } else { &["n", "total", "low", "high"] };
        let columns: Vec<ArrayRef> = columns.iter().filter_map(|name| number(name)).collect();
        let is_final = batch.column_by_name("_final").map(|column| column.as_boolean());
        for row in 0..batch.num_rows() {
            let name = names.filter(|names| names.is_valid(row));
            let name = name.map(|names| names.as_string::<i32>().value(row).to_owned());
            let key = (value(&starts, row), keys.as_ref().map(|keys| value(keys, row)), name);
            let numbers = columns.iter().map(|column| value(column, row)).collect();
            let rows = if is_final.is_none_or(|is_final| is_final.value(row)) {
                &mut finals
            } else {
                &mut provisionals
            };
            let of_key = rows.entry(key.clone()).or_default();
            assert!(appends || of_key.is_empty(), "{key:?} has two rows");
            of_key.push(numbers);
        }
    }
    finals.values_mut().for_each(|rows| rows.sort());
    (finals, provisionals)
}

fn dead_letters(batch: &RecordBatch) -> Vec<(i32, i64, String)> {
    let column = |name| batch.column_by_name(name).expect("a column of dead letters");
    let partitions = column("partition").as_primitive::<Int32Type>();
    let offsets = column("offset").as_primitive::<Int64Type>();
    let reasons = column("reason").as_string::<i32>();
    let letter = |row| (partitions.value(row), offsets.value(row), reasons.value(row).to_owned());
    (0..batch.num_rows()).map(letter).collect()
}

/// A partition that got a floor had been silent for as long as it takes to be idle. It gets one when it
/// wakes, or earlier: at a restart, if it was committed idle.
fn check_floors(world: &World, facts: &Facts, poll_ms_max: i64) {
    for floor in facts.floors.iter() {
        let entries = &world.partitions[floor.partition as usize].entries;
        let offset = floor.next_offset as usize;
        // Only rows wake a partition; what else comes before the next one leaves it idle.
        let is_row = |i: &usize| matches!(entries[*i].value, Value::Row { .. });
        let Some(last_row) = (0..offset).rev().find(is_row) else { continue };
        let is_record = |i: &usize| !matches!(entries[*i].value, Value::Gap);
        // A restart may find a gap at its offset: the silence lasts until a record comes, if one does.
        let Some(next_record) = (offset..entries.len()).find(is_record) else { continue };
        let records = (last_row..=next_record).filter(is_record);
        let visible: Vec<i64> = records.map(|i| world.visible_ms(floor.partition, i)).collect();
        let silent_ms = visible.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let timeout_ms = world.watermark.idle_timeout_ms;
        // The source may have been deaf for so long, and the next polls may have been others'.
        let deaf_ms = 1_000.min(timeout_ms / 2) + 3 * poll_ms_max;
        assert!(
            timeout_ms <= silent_ms + deaf_ms,
            "{floor:?} after {silent_ms} ms, idle after {timeout_ms} ms"
        );
    }
}
