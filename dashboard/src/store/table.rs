//! The rows of one result table as of one committed epoch.
//!
//! Invariants:
//! 1. Folding a snapshot and the deltas behind it gives the rows that the server has at that epoch, however the deltas
//!    were merged, repeated or interrupted by another snapshot.
//! 2. A row leaves when its window ends at or before the watermark − `last`; the server does not say so.
//! 3. At most [`MAX_ROWS`] rows: beyond, the oldest leave and the table is [`Table::truncated`].

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;
use weir_api::{Column, Delta, Row, Snapshot};

use super::FoldError;
use crate::protocol::json;
use crate::protocol::time::{self, MILLISECOND};

/// Twice the rows of the largest event: room for a snapshot and as many new rows, about 10 MB.
pub const MAX_ROWS: usize = 20_000;

/// Where a column that the page treats specially stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places {
    pub window_start: Option<usize>,
    pub window_end: Option<usize>,
    pub window_time: Option<usize>,
    pub is_final: Option<usize>,
}

/// A row, and what its values say as instants and numbers: read once, however often it is drawn.
#[derive(Debug, Clone)]
pub struct Kept {
    row: Row,
    read: Box<[Read]>,
}

#[derive(Debug, Clone, Copy)]
enum Read {
    Neither,
    Instant(i64),
    Number(f64),
}

impl Kept {
    fn new(row: Row, columns: &[Column]) -> Self {
        let read = row.iter().zip(columns).map(|(value, column)| {
            if column.sql_type.starts_with("TIMESTAMP") {
                instant(value).map_or(Read::Neither, Read::Instant)
            } else {
                json::number(value).map_or(Read::Neither, Read::Number)
            }
        });
        Self { read: read.collect(), row }
    }

    /// Microseconds since 1970 in a column, if it is one of instants.
    pub fn instant(&self, at: usize) -> Option<i64> {
        match self.read[at] {
            Read::Instant(instant) => Some(instant),
            Read::Neither | Read::Number(_) => None,
        }
    }

    /// The number in a column, if there is one.
    pub fn number(&self, at: usize) -> Option<f64> {
        match self.read[at] {
            Read::Number(number) => Some(number),
            Read::Neither | Read::Instant(_) => None,
        }
    }
}

impl Deref for Kept {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    /// Indexes of the key's columns; empty for a table that is appended to.
    key: Vec<usize>,
    places: Places,
    last: i64,

    epoch: u64,
    watermark: Option<i64>,
    truncated: bool,
    /// By time and key; the time is that of [`Table::time_of`], 0 for a table without windows.
    rows: BTreeMap<(i64, Arc<str>), Kept>,
    /// The time under which a key's row stands.
    times: BTreeMap<Arc<str>, i64>,
    n_appended: u64,
}

impl Table {
    /// A table as the snapshot has it; rows stay for `last_ms` behind the watermark.
    ///
    /// # Errors
    /// The snapshot contradicts itself.
    pub fn new(snapshot: Snapshot, last_ms: i64) -> Result<Self, FoldError> {
        let place = |name: &str| snapshot.columns.iter().position(|column| column.name == name);
        let key = snapshot.key.iter().map(|name| {
            let missing = || FoldError::KeyColumn { table: snapshot.table.clone(), column: name.clone() };
            place(name).ok_or_else(missing)
        });
        let mut table = Self {
            key: key.collect::<Result<_, _>>()?,
            places: Places {
                window_start: place("window_start"),
                window_end: place("window_end"),
                window_time: place("window_time"),
                is_final: place("_final"),
            },
            name: snapshot.table,
            columns: snapshot.columns,
            last: last_ms.saturating_mul(MILLISECOND),
            epoch: snapshot.epoch,
            watermark: parse_watermark(snapshot.watermark.as_deref()),
            truncated: snapshot.truncated,
            rows: BTreeMap::new(),
            times: BTreeMap::new(),
            n_appended: 0,
        };
        table.check(&snapshot.rows, table.columns.len())?;
        table.upsert(snapshot.rows);
        table.shrink();
        Ok(table)
    }

    /// Folds a delta. One of an epoch that is folded already changes nothing.
    ///
    /// # Errors
    /// A row or key has the wrong number of values; nothing has changed.
    pub fn fold(&mut self, delta: Delta) -> Result<(), FoldError> {
        if delta.epoch <= self.epoch {
            return Ok(());
        }
        self.check(&delta.upserts, self.columns.len())?;
        self.check(&delta.deletes, self.key.len())?;
        for key in &delta.deletes {
            self.remove(&key_text(key.iter()));
        }
        self.upsert(delta.upserts);
        self.epoch = delta.epoch;
        self.watermark = parse_watermark(delta.watermark.as_deref()).max(self.watermark);
        self.shrink();
        Ok(())
    }

    /// The table as a server would send it whole.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            table: self.name.clone(),
            epoch: self.epoch,
            watermark: self.watermark.map(time::instant_text),
            columns: self.columns.clone(),
            key: self.key.iter().map(|&at| self.columns[at].name.clone()).collect(),
            rows: self.rows.values().map(|kept| kept.row.clone()).collect(),
            truncated: self.truncated,
        }
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Indexes of the key's columns.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    pub fn places(&self) -> Places {
        self.places
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// In microseconds since 1970.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    /// The span that is kept behind the watermark, in microseconds.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// From when to when rows are kept, in microseconds: up to the watermark.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.watermark.map(|watermark| (watermark.saturating_sub(self.last), watermark))
    }

    /// Whether older rows within the span were left out.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows with the time they are ordered by, oldest first; within one time by key, in a fixed order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (i64, &Kept)> {
        self.rows.iter().map(|((time, _), row)| (*time, row))
    }

    /// Whether a row's numbers will not change any more.
    pub fn is_final(&self, row: &Row) -> bool {
        self.places.is_final.is_none_or(|place| row[place] == Value::Bool(true))
    }

    /// The end of the newest window that is final: all numbers before it are complete.
    pub fn complete_until(&self) -> Option<i64> {
        let place = self.places.window_end.or(self.places.window_start)?;
        let mut finals = self.rows.values().rev().filter(|row| self.is_final(row));
        finals.next().and_then(|row| row.instant(place))
    }

    /// The column that decides when a row leaves. A table without windows has none here (its event time need not be
    /// among its columns): it is only bounded in rows.
    fn time_place(&self) -> Option<usize> {
        self.places.window_end.or(self.places.window_time).or(self.places.window_start)
    }

    fn time_of(&self, row: &Kept) -> i64 {
        self.time_place().and_then(|place| row.instant(place)).unwrap_or(0)
    }

    fn check(&self, rows: &[Row], expected: usize) -> Result<(), FoldError> {
        match rows.iter().find(|row| row.len() != expected) {
            Some(row) => Err(FoldError::Shape { table: self.name.clone(), expected, found: row.len() }),
            None => Ok(()),
        }
    }

    fn upsert(&mut self, rows: Vec<Row>) {
        for row in rows {
            let key: Arc<str> = if self.key.is_empty() {
                self.n_appended += 1;
                format!("{:020}", self.n_appended).into()
            } else {
                key_text(self.key.iter().map(|&place| &row[place])).into()
            };
            let kept = Kept::new(row, &self.columns);
            let time = self.time_of(&kept);
            self.remove(&key);
            self.times.insert(Arc::clone(&key), time);
            self.rows.insert((time, key), kept);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, time)) = self.times.remove_entry(key) {
            self.rows.remove(&(time, key));
        }
    }

    fn shrink(&mut self) {
        let horizon = match (self.time_place(), self.watermark) {
            (Some(_), Some(watermark)) => watermark.saturating_sub(self.last),
            _ => i64::MIN,
        };
        while let Some(first) = self.rows.first_entry() {
            let aged = first.key().0 <= horizon;
            if !aged && self.times.len() <= MAX_ROWS {
                break;
            }
            self.truncated |= !aged;
            let ((_, key), _) = first.remove_entry();
            self.times.remove(&key);
        }
    }
}

/// The instant in a value, if it is one.
pub fn instant(value: &Value) -> Option<i64> {
    value.as_str().and_then(time::parse_instant)
}

fn parse_watermark(text: Option<&str>) -> Option<i64> {
    text.and_then(time::parse_instant)
}

/// A text that is the same for the same key values, and only for them.
fn key_text<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let mut text = String::new();
    for value in values {
        json::push(&mut text, value);
        text.push(',');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MINUTE: i64 = 60_000_000;
    const LAST_MS: i64 = 10 * 60_000;

    /// The text of an instant; whole minutes suffice here.
    fn minute_text(minute: i64) -> String {
        format!("2026-11-22T{:02}:{:02}:00.000Z", minute / 60, minute % 60)
    }

    fn column(name: &str) -> Column {
        let sql_type = if name.starts_with("window_") { "TIMESTAMP(3) WITH TIME ZONE" } else { "BIGINT" };
        Column { name: name.into(), sql_type: sql_type.into(), nullable: false }
    }

    /// What a server knows: the rows by window and key, its epoch and its watermark (in minutes).
    #[derive(Debug, Clone, Default)]
    struct Model {
        rows: BTreeMap<(i64, u8), u32>,
        epoch: u64,
        watermark: i64,
    }

    /// The changes of one epoch: `None` deletes.
    #[derive(Debug, Clone)]
    struct Change {
        changes: Vec<((i64, u8), Option<u32>)>,
        advance: i64,
    }

    impl Model {
        fn commit(&mut self, change: &Change) {
            self.epoch += 1;
            self.watermark += change.advance;
            for &((ahead, key), value) in &change.changes {
                let window = self.watermark + ahead;
                match value {
                    Some(value) => self.rows.insert((window, key), value),
                    None => self.rows.remove(&(window, key)),
                };
            }
        }

        fn row(&self, (window, key): (i64, u8), value: u32) -> Row {
            let is_final = window < self.watermark;
            vec![
                json!(minute_text(window)),
                json!(minute_text(window + 1)),
                json!(key),
                json!(value),
                json!(is_final),
            ]
        }

        fn wanted_rows(&self) -> Vec<Row> {
            let horizon = self.watermark - LAST_MS / 60_000;
            let rows = self.rows.iter().filter(|((window, _), _)| horizon < window + 1);
            rows.map(|(&key, &value)| self.row(key, value)).collect()
        }

        fn watermark_text(&self) -> Option<String> {
            Some(minute_text(self.watermark))
        }

        fn snapshot(&self) -> Snapshot {
            Snapshot {
                table: "t".into(),
                epoch: self.epoch,
                watermark: self.watermark_text(),
                columns: ["window_start", "window_end", "k", "n", "_final"].map(column).into(),
                key: ["window_start", "window_end", "k"].map(String::from).into(),
                rows: self.wanted_rows(),
                truncated: false,
            }
        }

        /// Everything that differs between `before` and now, merged per key.
        fn delta_since(&self, before: &Model) -> Delta {
            let upserts = self.rows.iter().filter(|(key, value)| {
                let was_final = key.0 < before.watermark;
                before.rows.get(key) != Some(value) || was_final != (key.0 < self.watermark)
            });
            let deletes = before.rows.keys().filter(|key| !self.rows.contains_key(key));
            Delta {
                table: "t".into(),
                epoch: self.epoch,
                watermark: self.watermark_text(),
                upserts: upserts.map(|(&key, &value)| self.row(key, value)).collect(),
                deletes: deletes
                    .map(|&(window, key)| {
                        vec![json!(minute_text(window)), json!(minute_text(window + 1)), json!(key)]
                    })
                    .collect(),
            }
        }
    }

    fn rows_of(table: &Table) -> Vec<Row> {
        let mut rows: Vec<Row> = table.rows().map(|(_, row)| row.to_vec()).collect();
        rows.sort_by_key(|row| (row[0].to_string(), row[2].to_string()));
        rows
    }

    fn change() -> impl Strategy<Value = Change> {
        let one = ((-2..3_i64, 0..4_u8), prop::option::weighted(0.8, any::<u32>()));
        (prop::collection::vec(one, 0..6), 0..4_i64)
            .prop_map(|(changes, advance)| Change { changes, advance })
    }

    /// What the connection does between two epochs.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// The server merges this epoch into the next delta.
        Conflate,
        Deliver,
        /// Delivered, and once more after a reconnect.
        DeliverTwice,
        /// The server no longer has what follows the id.
        SnapshotAnew,
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_state_of_the_server(
            epochs in prop::collection::vec(
                (
                    change(),
                    prop::sample::select(vec![Step::Conflate, Step::Deliver, Step::DeliverTwice, Step::SnapshotAnew]),
                ),
                1..40,
            ),
        ) {
            let mut server = Model { watermark: 60, ..Model::default() };
            let mut folded = server.clone();
            let mut table = Table::new(server.snapshot(), LAST_MS).expect("a snapshot fits");
            for (change, step) in &epochs {
                server.commit(change);
                match step {
                    Step::Conflate => continue,
                    Step::SnapshotAnew => {
                        table = Table::new(server.snapshot(), LAST_MS).expect("a snapshot fits");
                    }
                    Step::Deliver | Step::DeliverTwice => {
                        let delta = server.delta_since(&folded);
                        table.fold(delta.clone()).expect("a delta fits");
                        if matches!(step, Step::DeliverTwice) {
                            table.fold(delta).expect("a repeated delta fits");
                        }
                    }
                }
                folded = server.clone();
                let mut expected = server.wanted_rows();
                expected.sort_by_key(|row| (row[0].to_string(), row[2].to_string()));
                prop_assert_eq!(rows_of(&table), expected);
                prop_assert_eq!(table.epoch(), server.epoch);
                prop_assert_eq!(table.times.len(), table.rows.len());
            }
        }
    }

    #[test]
    fn appended_rows_are_kept_in_order_and_bounded() {
        let append = |epoch, range: std::ops::Range<u32>| Delta {
            table: "t".into(),
            epoch,
            watermark: None,
            upserts: range.map(|n| vec![json!(n), json!(true)]).collect(),
            deletes: Vec::new(),
        };
        let snapshot = Snapshot {
            table: "t".into(),
            epoch: 1,
            watermark: None,
            columns: ["n", "_final"].map(column).into(),
            key: Vec::new(),
            rows: Vec::new(),
            truncated: false,
        };
        let mut table = Table::new(snapshot, LAST_MS).expect("a snapshot fits");
        table.fold(append(2, 0..2)).expect("fits");
        table.fold(append(2, 0..2)).expect("a repeated delta is not appended twice");
        assert_eq!((table.len(), table.truncated()), (2, false));
        let many = u32::try_from(MAX_ROWS).expect("small");
        table.fold(append(3, 2..many + 1)).expect("fits");
        assert_eq!((table.len(), table.truncated()), (MAX_ROWS, true));
        assert_eq!(table.rows().next().map(|(_, row)| &row[0]), Some(&json!(1)));
        assert_eq!(table.rows().next_back().map(|(_, row)| &row[0]), Some(&json!(many)));
    }

    #[test]
    fn complete_until_is_the_end_of_the_newest_final_window() {
        let mut server = Model { watermark: 60, ..Model::default() };
        server.rows.extend([((58, 0), 1), ((59, 0), 2), ((60, 0), 3), ((61, 1), 4)]);
        let table = Table::new(server.snapshot(), LAST_MS).expect("a snapshot fits");
        assert_eq!(table.complete_until(), table.watermark());
        assert_eq!(table.watermark().map(|watermark| watermark % MINUTE), Some(0));
        let open =
            Table::new(Model { watermark: 50, ..server }.snapshot(), LAST_MS).expect("a snapshot fits");
        assert_eq!(open.complete_until(), None);
    }
}
