//! Watermarks: what each partition has promised, row by row, and what the pipeline makes of it.
//!
//! ```text
//! rows of one partition ─► PartitionTime::judge ─► verdict per row, watermark, floor
//! watermarks of all partitions ─► PipelineTime::pass ─► the barrier's W
//! ```
//!
//! Invariants:
//! 1. The verdict on a row depends on its own partition up to that row, and on the floor that was
//!    recorded when the partition became active: never on batch sizes or on other partitions.
//! 2. Watermarks and floors never go back.
//! 3. A row without a usable event time does not move the watermark.

use crate::time::window::Windows;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    OnTime,
    /// Late for the earliest of its windows, not for all of them.
    PartlyLate,
    /// The end of its last window plus `lateness` is not after its partition's watermark, or that
    /// end is not after the floor.
    Late,
    /// Null, more than `max_ahead` past the record's Kafka timestamp, or beyond [`Rules::reach_ms`].
    BadEventTime,
}

/// What judging needs of the configuration. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub delay_ms: i64,
    pub max_ahead_ms: i64,
    pub lateness_ms: i64,
    /// How far from 1970 an event time may be, see [`reach_ms`].
    pub reach_ms: u64,
    /// `None`: no row is late.
    pub windows: Option<Windows>,
}

/// How far from 1970 an event time may be so that the bounds of its windows are times, too, in
/// milliseconds and in its column's unit, of which there are `per_ms` in one.
#[must_use]
pub fn reach_ms(per_ms: i64, windows: Option<&Windows>) -> u64 {
    // Delay and lateness have the other half of the milliseconds to themselves.
    let most_ms = (i64::MAX / per_ms).min(i64::MAX / 2);
    let around_ms = windows.map_or(0, |windows| windows.size_ms.saturating_mul(2));
    u64::try_from(most_ms.saturating_sub(around_ms)).unwrap_or(0)
}

/// What became of consecutive rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// One per row.
    pub verdicts: Vec<Verdict>,
    /// One per row: the start of its pane, or its event time where there is no window; 0 for a bad
    /// event time.
    pub panes: Vec<i64>,
    /// Rows that are partly late, ascending, with the start of the first window that is open to them.
    pub sides: Vec<(usize, i64)>,
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
    /// of its record (-1: none). Appends to `judged`, whose rows are numbered on.
    pub fn judge(
        &mut self,
        rules: &Rules,
        times: impl Iterator<Item = Option<i64>>,
        record_times: impl Iterator<Item = i64>,
        judged: &mut Judged,
    ) {
        let n_rows = times.size_hint().0;
        judged.verdicts.reserve(n_rows);
        judged.panes.reserve(n_rows);
        let mut watermark = self.watermark_ms.unwrap_or(i64::MIN);
        let floor = self.floor_ms.unwrap_or(i64::MIN);
        // The last row's pane: neighbours mostly share it, and a division costs more than the rest.
        let (mut start, mut end, mut first_end) = (0, 0, 0);
        for (time, record_time) in times.zip(record_times) {
            let is_usable = |time: &i64| {
                time.unsigned_abs() <= rules.reach_ms && !is_ahead(*time, record_time, rules.max_ahead_ms)
            };
            let Some(time) = time.filter(is_usable) else {
                judged.verdicts.push(Verdict::BadEventTime);
                judged.panes.push(0);
                continue;
            };
            watermark = watermark.max(time.saturating_sub(rules.delay_ms));
            let Some(windows) = &rules.windows else {
                judged.verdicts.push(Verdict::OnTime);
                judged.panes.push(time);
                continue;
            };
            if time < start || end <= time {
                start = windows.pane(time);
                end = start.saturating_add(windows.slide_ms);
                first_end = windows.end(windows.first(start));
            }
            judged.panes.push(start);
            // Windows that end at or before it are closed to this row.
            let closed = watermark.saturating_sub(rules.lateness_ms).max(floor);
            judged.verdicts.push(if closed < first_end {
                Verdict::OnTime
            } else if windows.end(start) <= closed {
                Verdict::Late
            } else {
                judged.sides.push((judged.verdicts.len(), windows.first_after(closed)));
                Verdict::PartlyLate
            });
        }
        if watermark != i64::MIN {
            self.watermark_ms = Some(watermark);
        }
    }

    /// Whether all of these consecutive rows are on time and, with windows, in one pane. Moves the
    /// watermark if so; otherwise nothing has happened, and [`Self::judge`] tells more. Much the most
    /// batches are like this, and this looks at no row twice.
    pub fn are_on_time(
        &mut self,
        rules: &Rules,
        times: &[i64],
        record_times: impl Iterator<Item = i64>,
    ) -> bool {
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return false };
        let mut any_bad = rules.reach_ms < first.unsigned_abs().max(last.unsigned_abs());
        for (time, record_time) in times.iter().zip(record_times) {
            any_bad |= is_ahead(*time, record_time, rules.max_ahead_ms);
        }
        let watermark = self.watermark_ms.unwrap_or(i64::MIN).max(last.saturating_sub(rules.delay_ms));
        let closed = watermark.saturating_sub(rules.lateness_ms).max(self.floor_ms.unwrap_or(i64::MIN));
        let is_open = rules.windows.is_none_or(|windows| {
            let start = windows.pane(*first);
            // What the last row has not closed, none of the others has.
            *last < start.saturating_add(windows.slide_ms) && closed < windows.end(windows.first(start))
        });
        if any_bad || !is_open {
            return false;
        }
        if watermark != i64::MIN {
            self.watermark_ms = Some(watermark);
        }
        true
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

/// A partition at a barrier.
#[derive(Debug, Clone, Copy)]
pub struct AtBarrier {
    pub watermark_ms: Option<i64>,
    pub idle: bool,
    /// It was active at some moment since the last barrier.
    pub was_active: bool,
}

/// The pipeline's watermark, from barrier to barrier.
#[derive(Debug, Clone, Copy, Default)]
pub struct PipelineTime {
    pub watermark_ms: Option<i64>,
    /// What it would be without the partitions that were never heard of.
    heard_ms: Option<i64>,
}

impl PipelineTime {
    /// Goes on from a committed watermark and those of the partitions; `None`: never heard of.
    #[must_use]
    pub fn recovered(watermark_ms: Option<i64>, partitions: impl Iterator<Item = Option<i64>>) -> Self {
        // It may have been later, without partitions that were idle; never earlier.
        Self { watermark_ms, heard_ms: partitions.flatten().min().max(watermark_ms) }
    }

    /// Moves to the minimum over active partitions, never back.
    ///
    /// An active partition that was never heard of holds the watermark where it is; so do partitions that are all idle.
    /// Whether a partition falls idle shortly before another one or behind it, and whether a barrier comes between, does
    /// not matter: one that is active only until this barrier has moved the watermark before, and those that were never
    /// heard of have held nothing back once all are idle. (Without the latter, windows of a topic that one partition
    /// alone gets records of would stay open when its records end.)
    pub fn pass(&mut self, partitions: impl Iterator<Item = AtBarrier> + Clone) {
        self.watermark_ms = passed(self.watermark_ms, partitions.clone());
        self.heard_ms = passed(self.heard_ms, partitions.clone().filter(|each| each.watermark_ms.is_some()));
        if partitions.clone().all(|each| each.idle) {
            self.watermark_ms = self.watermark_ms.max(self.heard_ms);
        }
    }
}

/// The watermark while all that were active in the epoch still were, and then with those that still are.
fn passed(last: Option<i64>, partitions: impl Iterator<Item = AtBarrier> + Clone) -> Option<i64> {
    let meanwhile = partitions.clone().map(|each| (each.watermark_ms, each.idle && !each.was_active));
    slowest(slowest(last, meanwhile), partitions.map(|each| (each.watermark_ms, each.idle)))
}

/// The minimum over active partitions, given as `(watermark, idle)`, never below `last`.
fn slowest(last: Option<i64>, partitions: impl Iterator<Item = (Option<i64>, bool)>) -> Option<i64> {
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

    const TUMBLE: Windows = Windows { size_ms: 10, slide_ms: 10, offset_ms: 0 };
    const RULES: Rules =
        Rules { delay_ms: 5, max_ahead_ms: 1_000, lateness_ms: 0, reach_ms: 1 << 62, windows: Some(TUMBLE) };

    fn judge_into(time: &mut PartitionTime, rules: &Rules, times: &[Option<i64>], judged: &mut Judged) {
        let record_times = std::iter::repeat_n(100, times.len());
        time.judge(rules, times.iter().copied(), record_times, judged);
    }

    fn judge(time: &mut PartitionTime, rules: &Rules, times: &[Option<i64>]) -> Vec<Verdict> {
        let mut judged = Judged::default();
        judge_into(time, rules, times, &mut judged);
        judged.verdicts
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
    fn an_event_time_whose_windows_would_have_no_bounds_is_bad() {
        for per_ms in [1, 1_000, 1_000_000] {
            let windows = Windows { size_ms: 60_000, slide_ms: 20_000, offset_ms: 7 };
            let reach_ms = reach_ms(per_ms, Some(&windows));
            let rules = Rules { reach_ms, max_ahead_ms: i64::MAX, windows: Some(windows), ..RULES };
            let reach = i64::try_from(reach_ms).unwrap();
            let verdict = |time| judge(&mut PartitionTime::default(), &rules, &[Some(time)])[0];
            for time in [-reach, reach] {
                assert_eq!(verdict(time), Verdict::OnTime);
                let pane = windows.pane(time);
                assert!(pane <= time && time < pane + windows.slide_ms);
                let bounds = [windows.first(pane), windows.end(pane)];
                assert!(bounds.iter().all(|bound| bound.checked_mul(per_ms).is_some()), "{per_ms}");
            }
            for time in [i64::MIN, -reach - 1, reach + 1, i64::MAX] {
                assert_eq!(verdict(time), Verdict::BadEventTime);
            }
        }
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
        assert_eq!(slowest(Some(3), silent.into_iter()), Some(3));
        let idle = [(Some(10), false), (None, true), (Some(4), true)];
        assert_eq!(slowest(Some(3), idle.into_iter()), Some(10));
        assert_eq!(slowest(Some(30), idle.into_iter()), Some(30));
        assert_eq!(slowest(Some(3), [(Some(9), true)].into_iter()), Some(3));
    }

    /// `(watermark, idle)` of a partition at a barrier.
    type Seen = (Option<i64>, bool);

    /// The watermarks after each of some barriers.
    fn after_barriers<const N: usize>(barriers: &[[Seen; N]]) -> Vec<Option<i64>> {
        let (mut time, mut before) = (PipelineTime::default(), [(None, false); N]);
        let pass = |now: &[Seen; N]| {
            let at = |(now, before): (&Seen, &Seen)| AtBarrier {
                watermark_ms: now.0,
                idle: now.1,
                was_active: !before.1 || before.0 != now.0,
            };
            let partitions: Vec<_> = now.iter().zip(&before).map(at).collect();
            time.pass(partitions.into_iter());
            before = *now;
            time.watermark_ms
        };
        barriers.iter().map(pass).collect()
    }

    #[test]
    fn the_order_in_which_partitions_fall_idle_does_not_keep_windows_open() {
        let (heard, silent) = ((Some(10), false), (None, false));
        let (heard_idle, silent_idle) = ((Some(10), true), (None, true));
        for between in [[heard, silent_idle], [heard_idle, silent], [heard_idle, silent_idle]] {
            let all_idle = [heard_idle, silent_idle];
            let watermarks = after_barriers(&[[heard, silent], between, all_idle, all_idle]);
            assert_eq!((watermarks[0], &watermarks[2..]), (None, &[Some(10); 2][..]), "{between:?}");
        }
        // Those that were heard of stay where they are.
        let (slow, fast) = ((Some(10), false), (Some(20), false));
        let both_idle = [(Some(10), true), (Some(20), true)];
        assert_eq!(after_barriers(&[[slow, fast], both_idle, both_idle]), [Some(10); 3]);
        // What was read and fell silent within one epoch has moved the watermark all the same.
        assert_eq!(after_barriers(&[[(Some(10), true)]]), [Some(10)]);
    }

    #[test]
    fn a_restart_keeps_what_was_heard() {
        let partitions = [(Some(10), true), (None, true)];
        let watermarks = partitions.iter().map(|(watermark, _)| *watermark);
        let mut time = PipelineTime::recovered(None, watermarks);
        let at = |(watermark_ms, idle)| AtBarrier { watermark_ms, idle, was_active: false };
        time.pass([partitions[0], (None, false)].map(at).into_iter());
        assert_eq!(time.watermark_ms, None, "the other one may still speak");
        time.pass(partitions.map(at).into_iter());
        assert_eq!(time.watermark_ms, Some(10));
    }

    #[test]
    fn a_partition_never_heard_of_holds_others_only_until_all_are_idle() {
        // The second one has fallen silent while the third held the watermark; the first goes on.
        let going_on = [
            [(Some(30), false), (Some(10), false), (None, false)],
            [(Some(40), false), (Some(10), true), (None, false)],
        ];
        assert_eq!(after_barriers(&going_on), [None; 2]);
        // A partition that is active has promised no more than its own watermark.
        let woken = [[(Some(40), true), (None, false)], [(Some(41), false), (None, true)]];
        assert_eq!(after_barriers(&woken), [None, Some(41)]);
    }

    proptest! {
        #[test]
        fn a_batch_that_is_on_time_at_once_is_so_row_by_row(
            times in prop::collection::vec((0i64..12, prop::sample::select(vec![-1i64, 0, 5])), 1..6),
            watermark_ms in prop::option::of(-5i64..15),
            floor_ms in prop::option::of(-5i64..15),
            max_ahead_ms in 0i64..12,
            reach_ms in 6u64..40,
            has_windows: bool,
        ) {
            let windows = has_windows.then_some(Windows { size_ms: 20, slide_ms: 10, offset_ms: 0 });
            let rules = Rules { max_ahead_ms, reach_ms, windows, ..RULES };
            let mut at_once = PartitionTime { watermark_ms, floor_ms };
            let (mut by_row, mut judged, before) = (at_once, Judged::default(), at_once);
            let (times, record_times): (Vec<i64>, Vec<i64>) = times.into_iter().unzip();
            by_row.judge(&rules, times.iter().copied().map(Some), record_times.iter().copied(), &mut judged);
            let is_on_time = judged.verdicts.iter().all(|verdict| *verdict == Verdict::OnTime);
            let is_one_pane = !has_windows || judged.panes.iter().all(|pane| *pane == judged.panes[0]);
            let told = at_once.are_on_time(&rules, &times, record_times.iter().copied());
            prop_assert_eq!(told, is_on_time && is_one_pane);
            prop_assert_eq!(at_once, if told { by_row } else { before });
        }

        #[test]
        fn verdicts_do_not_depend_on_batches(
            times in prop::collection::vec(prop::option::weighted(0.95, -50i64..2_000), 1..80),
            cut in 0usize..80,
            lateness in 0i64..30,
            floor in prop::option::of(0i64..100),
            n in 1i64..5,
        ) {
            let windows = Windows { size_ms: 10 * n, slide_ms: 10, offset_ms: 3 };
            let rules = Rules { lateness_ms: lateness, windows: Some(windows), ..RULES };
            let new = PartitionTime { watermark_ms: None, floor_ms: floor };
            let (mut whole, mut split) = (new, new);
            let cut = cut.min(times.len());
            let (mut once, mut twice) = (Judged::default(), Judged::default());
            judge_into(&mut whole, &rules, &times, &mut once);
            judge_into(&mut split, &rules, &times[..cut], &mut twice);
            judge_into(&mut split, &rules, &times[cut..], &mut twice);
            prop_assert_eq!(&once, &twice);
            prop_assert_eq!(whole, split);

            // Window by window, as the rule is written.
            let mut watermark = i64::MIN;
            for (row, time) in times.iter().enumerate() {
                let Some(time) = time.filter(|time| *time <= 1_100) else { continue };
                watermark = watermark.max(time - rules.delay_ms);
                let starts = (0..n).map(|i| windows.pane(time) - i * 10);
                let is_open = |start: &i64| {
                    let end = start + windows.size_ms;
                    watermark < end + lateness && floor.is_none_or(|floor| floor < end)
                };
                let open: Vec<i64> = starts.filter(is_open).collect();
                let expected = match open.len() as i64 {
                    0 => Verdict::Late,
                    open if open == n => Verdict::OnTime,
                    _ => Verdict::PartlyLate,
                };
                prop_assert_eq!(once.verdicts[row], expected);
                let side = once.sides.iter().find(|(at, _)| *at == row).map(|(_, first)| *first);
                let first = open.last().copied().filter(|_| expected == Verdict::PartlyLate);
                prop_assert_eq!(side, first);
            }
        }
    }
}
