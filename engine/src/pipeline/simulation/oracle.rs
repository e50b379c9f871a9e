//! What must come out: the topic recomputed record by record, reading nothing of the pipeline's but
//! the floors that it has recorded.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::case::Case;
use super::world::{BEGIN_MS, Value, name_of};
use crate::facts::{Counters, FloorFact};

/// Result rows: window start (append: event time), key, name → the row's numbers.
pub(super) type Rows = BTreeMap<Key, Vec<Numbers>>;
/// Start, key and name; those not in the query are `None`.
pub(super) type Key = (i64, Option<i64>, Option<String>);
/// Append: the amount. Else count, sum, min, max.
pub(super) type Numbers = Vec<i64>;

/// What the topic comes to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) rows: Rows,
    /// `(partition, offset, reason)`, sorted.
    pub(super) dead_letters: Vec<(i32, i64, &'static str)>,
    pub(super) counters: Counters,
}

/// Recomputes the records before `next_offsets`, one number per partition.
pub(super) fn recompute(case: &Case, floors: &[FloorFact], next_offsets: &[i64]) -> Expected {
    let mut expected = Expected::default();
    for (partition, next_offset) in (0i32..).zip(next_offsets) {
        let mut floor_at: BTreeMap<i64, i64> = BTreeMap::new();
        for floor in floors.iter().filter(|floor| floor.partition == partition) {
            let at = floor_at.entry(floor.next_offset).or_insert(floor.floor_ms);
            *at = (*at).max(floor.floor_ms);
        }
        let log = &case.world.partitions[partition as usize];
        let mut watermark_ms = i64::MIN;
        for (offset, entry) in (0i64..*next_offset).zip(&log.entries) {
            let upto = (Bound::Unbounded, Bound::Included(offset));
            let floor_ms = floor_at.range(upto).map(|(_, floor)| *floor).max().unwrap_or(i64::MIN);
            let record_ms = BEGIN_MS + entry.arrives_ms;
            let reason = expected.record(case, entry.value, record_ms, &mut watermark_ms, floor_ms);
            if let Some(reason) = reason {
                expected.dead_letters.push((partition, offset, reason));
                expected.counters.dead_letters += 1;
            }
        }
    }
    if let Some(n) = case.query.fewer_than.filter(|_| case.query.windows.is_some()) {
        expected.rows.retain(|_, numbers| numbers[0][0] < n);
    }
    expected.counters.rows_out = expected.rows.values().map(|rows| rows.len() as u64).sum();
    expected.rows.values_mut().for_each(|rows| rows.sort());
    expected
}

impl Expected {
    /// Counts a record; returns why it is a dead letter, if it is.
    fn record(
        &mut self,
        case: &Case,
        value: Value,
        record_ms: i64,
        watermark_ms: &mut i64,
        floor_ms: i64,
    ) -> Option<&'static str> {
        let options = case.world.watermark;
        let (at, key, amount) = match value {
            Value::Gap => return None,
            Value::Tombstone => {
                self.counters.tombstones += 1;
                return None;
            }
            Value::Poison | Value::Broken { .. } => return Some("bad_payload"),
            Value::Row { at, key, amount } => (at, key, amount),
        };
        self.counters.rows_in += 1;
        let Some(at) = at.filter(|at| *at <= record_ms + options.max_ahead_ms) else {
            return Some("bad_event_time");
        };
        *watermark_ms = (*watermark_ms).max(at - options.delay_ms);
        let query = &case.query;
        let open = query.windows.map(|windows| {
            let starts =
                (0..windows.n_per_row()).map(|i| windows.first(windows.pane(at)) + i * windows.slide_ms);
            let is_open = |start: &i64| {
                let end = windows.end(*start);
                *watermark_ms < end + case.lateness_ms && floor_ms < end
            };
            starts.filter(is_open).collect::<Vec<_>>()
        });
        let is_late = open
            .as_ref()
            .zip(query.windows)
            .is_some_and(|(open, windows)| (open.len() as i64) < windows.n_per_row());
        let late = is_late.then_some("late_row");
        self.counters.late_rows += u64::from(is_late);
        let counts = open.as_ref().is_none_or(|open| !open.is_empty());
        if !counts || query.above.is_some_and(|above| amount <= above) {
            return late;
        }
        if query.divides && amount == 0 {
            return late.or(Some("evaluation_error"));
        }
        let amount = if query.divides { 1_000 / amount } else { amount };
        let Some(open) = open else {
            self.rows.entry((at, Some(key), None)).or_default().push(vec![amount]);
            return None;
        };
        for start in open {
            let key = (start, query.by_key.then_some(key), name_of(key).filter(|_| query.by_name));
            let rows = self.rows.entry(key).or_insert_with(|| vec![vec![0, 0, i64::MAX, i64::MIN]]);
            let row = &mut rows[0];
            (row[0], row[1], row[2], row[3]) =
                (row[0] + 1, row[1] + amount, row[2].min(amount), row[3].max(amount));
        }
        late
    }
}
