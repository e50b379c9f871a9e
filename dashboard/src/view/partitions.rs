//! The partitions of a pipeline on one time axis: how far each is, and which one holds the others back.
//!
//! Invariants:
//! 1. The axis ends at the clock with a span of few steps, so that it stands still while time goes by.
//! 2. Who holds the others back stands apart from them by a twelfth of the axis at least: where the clock is too far away for
//!    that, as on data that are years old, the axis ends at the partition that is furthest.

use weir_api::Partition;

use super::number::{grouped, span, whole_span};
use super::waiting::{STEP_OUT, mark, partition_name};
use super::zone::Zone;
use crate::protocol::time::MILLISECOND;

/// Partitions shown; beyond, the slowest ones.
pub const MAX_ROWS: usize = 48;
/// An axis that ends at the clock and is more than so many times as long as the partitions are apart shows them in one place.
const FAR: f64 = 12.0;
/// The spans of the axis, in seconds.
const SPANS_S: [f64; 14] = [
    10.0,
    20.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1_800.0,
    3_600.0,
    7_200.0,
    21_600.0,
    86_400.0,
    259_200.0,
    604_800.0,
    2_592_000.0,
];

/// One partition, as text and place.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionRow {
    /// Topic and number.
    pub name: String,
    pub next_offset: String,
    pub lag_records: String,
    pub watermark: String,
    /// How far its watermark is behind the end of the axis, or that it is idle.
    pub behind: String,
    /// Its watermark is the pipeline's: windows wait for it.
    pub holds_back: bool,
    pub idle: bool,
    /// Where its watermark stands on the axis, 0 (left) to 1 (the end); `None`: no row yet. A place beside the axis is that
    /// of its nearer end.
    pub place: Option<f64>,
}

/// What stands at the right end of the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    #[default]
    Clock,
    /// The active partition that is furthest.
    Furthest,
}

impl End {
    /// As the label of the last tick.
    fn label(self) -> &'static str {
        match self {
            Self::Clock => "now",
            Self::Furthest => "furthest",
        }
    }

    /// As the head of the column of distances to it.
    pub fn head(self) -> &'static str {
        match self {
            Self::Clock => "Behind",
            Self::Furthest => "Behind furthest",
        }
    }
}

/// All partitions on their axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Places and labels of the ticks, left to right.
    pub ticks: Vec<(f64, String)>,
    /// Where the pipeline's watermark stands.
    pub watermark: Option<f64>,
    pub end: End,
    pub rows: Vec<PartitionRow>,
    /// What is not shown; empty: nothing.
    pub note: String,
}

/// The partitions in the server's order. `now_ms` is the server's clock, `watermark` the pipeline's in microseconds.
pub fn axis(partitions: &[Partition], watermark: Option<i64>, now_ms: f64, zone: &Zone) -> Axis {
    let active = || partitions.iter().filter(|partition| !partition.idle);
    // One not yet heard of holds back all others.
    let least = active().map(mark).min();
    let most = active().map(mark).max();
    let apart = least.flatten().zip(most.flatten()).map(|(least, most)| most - least);
    let differs = apart.map_or(least != most, |apart| STEP_OUT <= apart);
    let now = (now_ms * 1_000.0) as i64;
    let marks = || active().filter_map(mark).chain(watermark);
    let span_up_to = |end: i64| {
        let needed = marks().map(|mark| seconds(end - mark)).fold(0.0, f64::max) * 1.1;
        SPANS_S.into_iter().find(|span_s| needed <= *span_s).unwrap_or(needed)
    };
    let (mut end, mut at_end, mut span_s) = (End::Clock, now, span_up_to(now));
    if let Some((furthest, apart)) = most.flatten().zip(apart)
        && differs
        && seconds(apart) * FAR < span_s
    {
        (end, at_end, span_s) = (End::Furthest, furthest, span_up_to(furthest));
    }
    let place = |instant: i64| (1.0 - seconds(at_end - instant) / span_s).clamp(0.0, 1.0);
    let row = |partition: &Partition| {
        let own = mark(partition);
        PartitionRow {
            name: partition_name(partition),
            next_offset: grouped(&partition.next_offset.to_string()),
            lag_records: partition.lag_records.map_or_else(|| "–".into(), |lag| grouped(&lag.to_string())),
            watermark: own.map_or_else(|| "–".into(), |own| zone.clock(own)),
            behind: match own {
                _ if partition.idle => "idle".to_owned(),
                Some(own) => span(seconds(at_end - own) * 1_000.0),
                None => "no row yet".to_owned(),
            },
            holds_back: differs && !partition.idle && Some(own) == least,
            idle: partition.idle,
            place: own.map(place),
        }
    };
    let ticks = (0..=4).map(|quarter| {
        let share = f64::from(quarter) / 4.0;
        let label = match quarter {
            4 => end.label().to_owned(),
            _ => format!("−{}", short_span(span_s * (1.0 - share))),
        };
        (share, label)
    });
    let (shown, mut note) = shown(partitions);
    if end == End::Furthest {
        let further = whole_span(seconds(now - at_end) * 1_000.0);
        note.insert_str(0, &format!("The clock is {further} further than the furthest partition. "));
    }
    Axis {
        ticks: ticks.collect(),
        watermark: watermark.map(place),
        end,
        rows: shown.into_iter().map(row).collect(),
        note,
    }
}

/// Of a stretch in microseconds; none, where it is negative.
fn seconds(micros: i64) -> f64 {
    (micros / MILLISECOND).max(0) as f64 / 1_000.0
}

/// All partitions, or the slowest ones.
fn shown(partitions: &[Partition]) -> (Vec<&Partition>, String) {
    let mut shown: Vec<&Partition> = partitions.iter().collect();
    if shown.len() <= MAX_ROWS {
        return (shown, String::new());
    }
    shown.sort_by_key(|partition| (partition.idle, mark(partition), partition.partition));
    shown.truncate(MAX_ROWS);
    (shown, format!("The {MAX_ROWS} slowest of {} partitions.", partitions.len()))
}

/// A span in its largest unit where that is enough: `30 s`, `2.5 min`, `1 h`.
fn short_span(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 60.0 => (s, "s"),
        s if s < 3_600.0 => (s / 60.0, "min"),
        s if s < 86_400.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    let text = format!("{value:.1}");
    if text.len() > 5 {
        return whole_span(seconds * 1_000.0);
    }
    format!("{} {unit}", text.trim_end_matches(".0"))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::time;

    /// `second` of 1970-01-01T00:00:00Z; `None`: no row yet.
    pub(in crate::view) fn partition(number: i32, second: Option<i64>, idle: bool) -> Partition {
        Partition {
            pipeline: "revenue".into(),
            source: "orders".into(),
            topic: "shop.orders".into(),
            partition: number,
            next_offset: 1_234,
            end_offset: None,
            lag_records: None,
            watermark: second.map(|second| time::instant_text(second * time::SECOND)),
            idle,
        }
    }

    fn axis_of(partitions: &[Partition]) -> Axis {
        axis(partitions, Some(10 * time::SECOND), 30_000.0, &Zone::default())
    }

    #[test]
    fn slowest_active_partition_holds_back() {
        let axis = axis_of(&[
            partition(0, Some(5), true),
            partition(1, Some(20), false),
            partition(2, Some(10), false),
        ]);
        let seen: Vec<(&str, bool)> = axis.rows.iter().map(|row| (&*row.behind, row.holds_back)).collect();
        assert_eq!(seen, [("idle", false), ("10 s", false), ("20 s", true)]);
        let unheard = axis_of(&[partition(0, None, false), partition(1, Some(20), false)]);
        let seen: Vec<(&str, bool)> = unheard.rows.iter().map(|row| (&*row.behind, row.holds_back)).collect();
        assert_eq!(seen, [("no row yet", true), ("10 s", false)]);
    }

    #[test]
    fn partitions_in_step_hold_nobody_back() {
        let axis = axis_of(&[partition(0, Some(20), false), partition(1, Some(21), false)]);
        assert!(axis.rows.iter().all(|row| !row.holds_back));
    }

    #[test]
    fn places_are_shares_of_the_axis_up_to_the_clock() {
        let axis = axis_of(&[partition(0, Some(30), false), partition(1, Some(0), true)]);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(labels, ["−1 min", "−45 s", "−30 s", "−15 s", "now"]);
        assert_eq!(axis.rows[0].place, Some(1.0));
        assert_eq!(axis.rows[1].place, Some(0.5));
        assert!((axis.watermark.expect("one") - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn who_holds_back_old_data_stands_apart_from_the_others() {
        let old =
            [partition(0, Some(1_000), false), partition(1, Some(970), false), partition(2, Some(10), true)];
        let three_years_later_ms = 3.0 * 365.0 * 86_400_000.0;
        let axis = axis(&old, Some(970 * time::SECOND), three_years_later_ms, &Zone::default());
        assert_eq!(axis.end, End::Furthest);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(labels, ["−1 min", "−45 s", "−30 s", "−15 s", "furthest"]);
        let seen: Vec<_> = axis.rows.iter().map(|row| (row.place, &*row.behind, row.holds_back)).collect();
        assert_eq!(
            seen,
            [(Some(1.0), "0.0 s", false), (Some(0.5), "30 s", true), (Some(0.0), "idle", false)]
        );
        assert_eq!(axis.note, "The clock is 1094 d 23 h further than the furthest partition. ");
    }

    proptest! {
        /// Invariant 2, and what is idle moves nothing.
        #[test]
        fn who_holds_back_is_seen(
            seconds in prop::collection::vec((0..100_000_i64, any::<bool>()), 1..6),
            now_s in 0.0..1e9_f64,
        ) {
            let partitions: Vec<Partition> =
                (0..).zip(&seconds).map(|(at, (second, idle))| partition(at, Some(*second), *idle)).collect();
            let axis = axis(&partitions, None, now_s.max(100_000.0) * 1_000.0, &Zone::default());
            let active = || axis.rows.iter().filter(|row| !row.idle);
            let furthest = active().filter_map(|row| row.place).fold(0.0, f64::max);
            for row in active().filter(|row| row.holds_back) {
                let apart = furthest - row.place.expect("it has a row");
                prop_assert!(1.0 / 12.0 <= apart, "{apart} {axis:?}");
            }
        }
    }

    #[test]
    fn of_many_the_slowest_are_shown() {
        let many: Vec<Partition> =
            (0..100).map(|number| partition(number, Some(100 - i64::from(number)), false)).collect();
        let axis = axis_of(&many);
        assert_eq!(axis.rows.len(), MAX_ROWS);
        assert_eq!(axis.rows[0].name, "shop.orders 99");
        assert_eq!(axis.note, "The 48 slowest of 100 partitions.");
    }
}
