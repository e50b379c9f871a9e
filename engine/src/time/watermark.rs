//! Watermarks: what each partition has promised, row by row, and what the pipeline makes of it.
//!
//! ```text
//! rows of one partition ─► PartitionTime::judge ─► verdict per row, watermark, floor
//! watermarks of all partitions ─► pipeline_watermark ─► the barrier's W
//! ```
//!
//! Invariants:
//! 1. The verdict on a row depends on its own partition up to that row, and on the floor that was
//!    recorded when the partition became active: never on batch sizes or on other partitions.
//! 2. Watermarks and floors never go back.
//! 3. A row without a usable event time does not move the watermark.

use crate::time::window::tumbling_start;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    OnTime,
    /// Its window's end plus `lateness` is not after its partition's watermark, or its window's end
    /// is not after the floor.
    Late,
    /// Null, or more than `max_ahead` past the record's Kafka timestamp.
    BadEventTime,
}

/// What judging needs of the configuration. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub delay_ms: i64,
    pub max_ahead_ms: i64,
    pub lateness_ms: i64,
    /// `(size, offset)` of a tumbling window; `None`: no row is late.
    pub window: Option<(i64, i64)>,
}

/// The time of one partition. Milliseconds since 1970; `None` before the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionTime {
    pub watermark_ms: Option<i64>,
    pub floor_ms: Option<i64>,
}

impl PartitionTime {
    /// Judges consecutive rows of the partition and moves its watermark.
    ///
    /// `times[i]` is the event time of row `i` (`None`: null), `record_times[i]` the Kafka timestamp
    /// of its record (-1: none). Appends one entry per row to `verdicts` and to `panes`: the start of
    /// the row's window, or its event time where there is no window; 0 for a bad event time.
    pub fn judge(
        &mut self,
        rules: &Rules,
        times: impl Iterator<Item = Option<i64>>,
        record_times: impl Iterator<Item = i64>,
        verdicts: &mut Vec<Verdict>,
        panes: &mut Vec<i64>,
    ) {
        let mut watermark = self.watermark_ms.unwrap_or(i64::MIN);
        let floor = self.floor_ms.unwrap_or(i64::MIN);
        // The last row's window: neighbours mostly share it, and a division costs more than the rest.
        let (mut start, mut end) = (0, 0);
        for (time, record_time) in times.zip(record_times) {
            let Some(time) = time.filter(|time| !is_ahead(*time, record_time, rules.max_ahead_ms)) else {
                verdicts.push(Verdict::BadEventTime);
                panes.push(0);
                continue;
            };
            watermark = watermark.max(time.saturating_sub(rules.delay_ms));
            let Some((size, offset)) = rules.window else {
                verdicts.push(Verdict::OnTime);
                panes.push(time);
                continue;
            };
            if time < start || end <= time {
                start = tumbling_start(time, size, offset);
                end = start.saturating_add(size);
            }
            let late = end.saturating_add(rules.lateness_ms) <= watermark || end <= floor;
            verdicts.push(if late { Verdict::Late } else { Verdict::OnTime });
            panes.push(start);
        }
        if watermark != i64::MIN {
            self.watermark_ms = Some(watermark);
        }
    }

    /// Raises the floor to `closed_ms`, up to which windows have been closed without this partition.
    /// Returns whether that decides anything: a floor that the watermark has passed anyway does not.
    pub fn raise_floor(&mut self, closed_ms: Option<i64>, lateness_ms: i64) -> bool {
        let Some(closed) = closed_ms.filter(|closed| self.floor_ms.is_none_or(|floor| floor < *closed))
        else {
            return false;
        };
        if self.watermark_ms.is_some_and(|watermark| closed <= watermark.saturating_sub(lateness_ms)) {
            return false;
        }
        self.floor_ms = Some(closed);
        true
    }
}

fn is_ahead(time_ms: i64, record_time_ms: i64, max_ahead_ms: i64) -> bool {
    0 <= record_time_ms && record_time_ms.saturating_add(max_ahead_ms) < time_ms
}

/// The pipeline's watermark: the minimum over active partitions, never below `last`.
///
/// `partitions` yields `(watermark, idle)`. An active partition that was never heard of holds the
/// watermark where it is; so do partitions that are all idle.
#[must_use]
pub fn pipeline_watermark(
    last: Option<i64>,
    partitions: impl Iterator<Item = (Option<i64>, bool)>,
) -> Option<i64> {
    let mut slowest: Option<i64> = None;
    for (watermark, idle) in partitions {
        if idle {
            continue;
        }
        let Some(watermark) = watermark else { return last };
        slowest = Some(slowest.map_or(watermark, |slowest| slowest.min(watermark)));
    }
    slowest.max(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { delay_ms: 5, max_ahead_ms: 1_000, lateness_ms: 0, window: Some((10, 0)) };

    fn judge(time: &mut PartitionTime, rules: &Rules, times: &[Option<i64>]) -> Vec<Verdict> {
        let (mut verdicts, mut panes) = (Vec::new(), Vec::new());
        let record_times = std::iter::repeat_n(100, times.len());
        time.judge(rules, times.iter().copied(), record_times, &mut verdicts, &mut panes);
        verdicts
    }

    #[test]
    fn a_row_is_late_once_its_window_end_is_passed() {
        use Verdict::{BadEventTime, Late, OnTime};
        let mut time = PartitionTime::default();
        let verdicts =
            judge(&mut time, &RULES, &[Some(3), Some(14), Some(9), Some(15), Some(9), None, Some(1_101)]);
        assert_eq!(verdicts, [OnTime, OnTime, OnTime, OnTime, Late, BadEventTime, BadEventTime]);
        assert_eq!(time.watermark_ms, Some(10));
    }

    #[test]
    fn a_floor_makes_rows_of_closed_windows_late() {
        let mut time = PartitionTime::default();
        assert!(time.raise_floor(Some(20), 0));
        assert_eq!(judge(&mut time, &RULES, &[Some(19), Some(20)]), [Verdict::Late, Verdict::OnTime]);
        assert!(!time.raise_floor(Some(10), 0), "floors never go back");
    }

    #[test]
    fn a_silent_partition_holds_the_watermark_and_an_idle_one_does_not() {
        let silent = [(Some(10), false), (None, false)];
        assert_eq!(pipeline_watermark(Some(3), silent.into_iter()), Some(3));
        let idle = [(Some(10), false), (None, true), (Some(4), true)];
        assert_eq!(pipeline_watermark(Some(3), idle.into_iter()), Some(10));
        assert_eq!(pipeline_watermark(Some(30), idle.into_iter()), Some(30));
        assert_eq!(pipeline_watermark(Some(3), [(Some(9), true)].into_iter()), Some(3));
    }

    proptest! {
        #[test]
        fn verdicts_do_not_depend_on_batches(
            times in prop::collection::vec(prop::option::weighted(0.95, -50i64..2_000), 1..80),
            cut in 0usize..80,
            lateness in 0i64..30,
            floor in prop::option::of(0i64..100),
        ) {
            let rules = Rules { lateness_ms: lateness, ..RULES };
            let new = PartitionTime { watermark_ms: None, floor_ms: floor };
            let (mut whole, mut split) = (new, new);
            let cut = cut.min(times.len());
            let once = judge(&mut whole, &rules, &times);
            let mut twice = judge(&mut split, &rules, &times[..cut]);
            twice.extend(judge(&mut split, &rules, &times[cut..]));
            prop_assert_eq!(once, twice);
            prop_assert_eq!(whole, split);
        }
    }
}
