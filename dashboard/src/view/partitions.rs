//! The partitions of a pipeline on one time axis: how far each is, and which one holds the others back.
//!
//! Invariant: the axis is "behind the clock" with a span of few steps, so that it stands still while time goes by.

use weir_api::Partition;

use super::number::{grouped, span, whole_span};
use super::waiting::{STEP_OUT, mark, partition_name};
use super::zone::Zone;
use crate::protocol::time::MILLISECOND;

/// Partitions shown; beyond, the slowest ones.
pub const MAX_ROWS: usize = 48;
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
    /// How far its watermark is behind the clock, or that it is idle.
    pub behind: String,
    /// Its watermark is the pipeline's: windows wait for it.
    pub holds_back: bool,
    pub idle: bool,
    /// Where its watermark stands on the axis, 0 (left) to 1 (the clock); `None`: no row yet. A place left of the axis
    /// is 0.
    pub place: Option<f64>,
}

/// All partitions on their axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Places and labels of the ticks, left to right.
    pub ticks: Vec<(f64, String)>,
    /// Where the pipeline's watermark stands.
    pub watermark: Option<f64>,
    pub rows: Vec<PartitionRow>,
    /// What is not shown; empty: nothing.
    pub note: String,
}

/// The partitions in the server's order. `now_ms` is the server's clock, `watermark` the pipeline's in microseconds.
pub fn axis(partitions: &[Partition], watermark: Option<i64>, now_ms: f64, zone: &Zone) -> Axis {
    let behind_s = |instant: i64| ((now_ms - (instant / MILLISECOND) as f64) / 1_000.0).max(0.0);
    let active = || partitions.iter().filter(|partition| !partition.idle);
    let marks = || active().filter_map(mark).chain(watermark);
    let needed = marks().map(behind_s).fold(0.0, f64::max) * 1.1;
    let span_s = SPANS_S.into_iter().find(|span_s| needed <= *span_s).unwrap_or(needed);
    let place = |instant: i64| (1.0 - behind_s(instant) / span_s).clamp(0.0, 1.0);

    // One not yet heard of holds back all others.
    let least = active().map(mark).min();
    let most = active().map(mark).max();
    let differs = match (least, most) {
        (Some(Some(least)), Some(Some(most))) => STEP_OUT <= most - least,
        (least, most) => least != most,
    };
    let row = |partition: &Partition| {
        let own = mark(partition);
        PartitionRow {
            name: partition_name(partition),
            next_offset: grouped(&partition.next_offset.to_string()),
            lag_records: partition.lag_records.map_or_else(|| "–".into(), |lag| grouped(&lag.to_string())),
            watermark: own.map_or_else(|| "–".into(), |own| zone.clock(own)),
            behind: match own {
                _ if partition.idle => "idle".to_owned(),
                Some(own) => span(behind_s(own) * 1_000.0),
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
            4 => "now".to_owned(),
            _ => format!("−{}", short_span(span_s * (1.0 - share))),
        };
        (share, label)
    });
    let (shown, note) = shown(partitions);
    Axis {
        ticks: ticks.collect(),
        watermark: watermark.map(place),
        rows: shown.into_iter().map(row).collect(),
        note,
    }
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
    fn of_many_the_slowest_are_shown() {
        let many: Vec<Partition> =
            (0..100).map(|number| partition(number, Some(100 - i64::from(number)), false)).collect();
        let axis = axis_of(&many);
        assert_eq!(axis.rows.len(), MAX_ROWS);
        assert_eq!(axis.rows[0].name, "shop.orders 99");
        assert_eq!(axis.note, "The 48 slowest of 100 partitions.");
    }
}
