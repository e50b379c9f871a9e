//! The rows of a result table as series of points, one per combination of the key's other columns.
//!
//! Invariants:
//! 1. At most [`MAX_SERIES`] series: those with the greatest sums. What is left out is counted and said; where series stand on
//!    top of each other and may be added, it is one more, `others`, so that the whole has its height.
//! 2. A series keeps its slot, hence its colour and mark, for as long as it is drawn: [`Slots`].

use std::collections::{BTreeMap, BTreeSet};

use weir_api::Row;

use crate::store::table::Table;
pub use crate::view::board::cells::Axis;
use crate::view::board::unit::Unit;
use crate::view::number;

/// As many as a person can tell apart by colour and mark together.
pub const MAX_SERIES: usize = 24;
/// The slot of `others`.
pub const OTHERS_SLOT: usize = MAX_SERIES;
/// Colours of the palette; marks are as many.
pub const N_COLOURS: usize = 8;

/// One window of one series. Times in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub start: i64,
    pub end: i64,
    pub value: f64,
    pub is_final: bool,
    /// Of a value of several windows that is not final, what it comes to without those that are open; 0 elsewhere.
    pub firm: f64,
}

/// A line, or the bars, of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The key's other columns; the measure's name where there are none.
    pub label: String,
    /// Index of its colour and mark, below [`MAX_SERIES`]; or [`OTHERS_SLOT`].
    pub slot: usize,
    /// Ascending by start.
    pub points: Vec<Point>,
}

/// What the chart draws.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChartData {
    pub series: Vec<Series>,
    /// Series that the table has.
    pub n_series_total: usize,
    /// What becomes of those that are not drawn.
    pub rest: Rest,
    /// What the starts of points are.
    pub axis: Axis,
    /// The size of a window, or the smallest step between starts where the table has no ends.
    pub step: i64,
    /// Points further apart than this are not joined by a line.
    pub joins: i64,
    pub watermark: Option<i64>,
    /// The span that is asked for.
    pub last: i64,
    /// The stretch of time that was chosen, if one was.
    pub domain: Option<(i64, i64)>,
    pub unit: Unit,
    /// Bars stand right of their start; else marks stand on it.
    pub as_bars: bool,
    /// Values stand on top of each other.
    pub is_stacked: bool,
    /// Nothing tells which values are final: an answer without that column.
    pub is_unsaid: bool,
}

/// What becomes of the series that are not drawn each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rest {
    /// They are left out: lines are not added.
    #[default]
    LeftOut,
    /// They are drawn as one, the last series.
    AsOne,
    /// They are left out where the drawn ones stand on top of each other: what they measure can't be added.
    NotAdded,
}

impl ChartData {
    /// How many series are drawn each for itself.
    pub fn n_drawn(&self) -> usize {
        self.series.len() - usize::from(self.rest == Rest::AsOne)
    }

    /// The start of the window at a value of the horizontal axis: for lines the nearest one, for bars the one around
    /// it. `None` where that is further away than half a window.
    pub fn start_near(&self, place: f64) -> Option<i64> {
        self.start_around(self.shared(place))
    }

    /// Tells whether a line leads from the window that starts at one instant to the next one: not over a gap, as a window
    /// without a row makes, and not to the newest window while the watermark has not reached it. That has only just begun to
    /// fill: a line to it would be a fall that did not happen.
    pub fn joined(&self) -> impl Fn(i64, i64) -> bool + use<> {
        let newest =
            self.series.iter().filter_map(|series| series.points.last()).map(|point| point.start).max();
        let has_windows = self.joins != i64::MAX;
        let young = newest.filter(|newest| has_windows && self.watermark.is_some_and(|it| it <= *newest));
        let joins = self.joins;
        move |left, right| right.saturating_sub(left) <= joins && young != Some(right)
    }

    /// The place in the windows themselves of a value of the horizontal axis: a mark at a window's start stands for all of it.
    /// All charts have it in common, however they draw their windows.
    pub fn shared(&self, place: f64) -> f64 {
        place - self.centre(0) + self.step as f64 / 2.0
    }

    /// The start of the window around a place that is [shared](Self::shared).
    pub fn start_around(&self, shared: f64) -> Option<i64> {
        let half = self.step as f64 / 2.0;
        let centre = shared - half;
        let distance = |start: i64| (start as f64 - centre).abs();
        let nearest = self.series.iter().filter_map(|series| {
            let at = series.points.partition_point(|point| (point.start as f64) < centre);
            let around = series.points.get(at.saturating_sub(1)..series.points.len().min(at + 1))?;
            let starts = around.iter().map(|point| point.start);
            starts.min_by(|left, right| distance(*left).total_cmp(&distance(*right)))
        });
        let nearest = nearest.min_by(|left, right| distance(*left).total_cmp(&distance(*right)))?;
        (distance(nearest) <= half * 1.001).then_some(nearest)
    }

    /// The starts of all windows, each once, ascending.
    pub fn starts(&self) -> Vec<i64> {
        let starts = self.series.iter().flat_map(|series| &series.points).map(|point| point.start);
        starts.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The value of the horizontal axis at which [`ChartData::start_near`] is surest to find the window of `start`.
    pub fn centre(&self, start: i64) -> f64 {
        let is_right_of_start = self.as_bars || self.axis != Axis::Time;
        start as f64 + if is_right_of_start { self.step as f64 / 2.0 } else { 0.0 }
    }
}

/// Which series has which slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slots {
    labels: [Option<String>; MAX_SERIES],
}

impl Slots {
    /// Gives each label a slot: the one it has, or the first free one. Labels that are gone free theirs.
    /// At most [`MAX_SERIES`] labels.
    pub fn assign(&mut self, labels: &[String]) -> Vec<usize> {
        for slot in &mut self.labels {
            if slot.as_ref().is_some_and(|label| !labels.contains(label)) {
                *slot = None;
            }
        }
        let slots = labels.iter().map(|label| {
            let held = self.labels.iter().position(|slot| slot.as_ref() == Some(label));
            let slot = held.or_else(|| self.labels.iter().position(Option::is_none)).unwrap_or(0);
            self.labels[slot] = Some(label.clone());
            slot
        });
        slots.collect()
    }
}

/// The columns that can be drawn: numeric and not part of the key; none in a table without windows.
pub fn measures(table: &Table) -> Vec<String> {
    if table.places().window_start.or(table.places().window_end).is_none() {
        return Vec::new();
    }
    let columns = table.columns().iter().enumerate();
    let numeric = columns.filter(|(at, column)| number::is_numeric(column) && !table.key().contains(at));
    numeric.map(|(_, column)| column.name.clone()).collect()
}

/// The series of `measure`, ordered by label; `None` where the table has no windows or no such column.
pub fn build(table: &Table, measure: &str, slots: &mut Slots) -> Option<ChartData> {
    let places = table.places();
    let start_place = places.window_start.or(places.window_end)?;
    let measure_place = table.columns().iter().position(|column| column.name == measure)?;
    let windows = [places.window_start, places.window_end, places.window_time];
    let label_places: Vec<usize> =
        table.key().iter().copied().filter(|&at| !windows.contains(&Some(at))).collect();

    let mut by_label: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for (_, row) in table.rows() {
        let Some(start) = row.instant(start_place) else { continue };
        let points = by_label.entry(label_of(row, &label_places, measure)).or_default();
        // A null makes no point, as no row does: the line has a gap there.
        if let Some(value) = row.number(measure_place) {
            let end = places.window_end.and_then(|place| row.instant(place)).unwrap_or(start);
            points.push(Point { start, end, value, is_final: table.is_final(row), firm: 0.0 });
        }
    }
    let n_series_total = by_label.len();
    let (mut series, _) = greatest(by_label.into_iter().collect(), MAX_SERIES);
    let labels: Vec<String> = series.iter().map(|(label, _)| label.clone()).collect();
    let slots = slots.assign(&labels);
    let step = step_of(series.iter().flat_map(|(_, points)| points));
    let series = series.drain(..).zip(slots).map(|((label, mut points), slot)| {
        points.sort_by_key(|point| point.start);
        Series { label, slot, points }
    });
    Some(ChartData {
        series: series.collect(),
        n_series_total,
        step,
        joins: step + step / 2,
        watermark: table.watermark(),
        last: table.last(),
        as_bars: label_places.is_empty(),
        unit: Unit::of(None, Some(measure)),
        ..ChartData::default()
    })
}

fn label_of(row: &Row, places: &[usize], measure: &str) -> String {
    if places.is_empty() {
        return measure.to_owned();
    }
    let parts: Vec<String> = places.iter().map(|&place| number::exact_cell(&row[place])).collect();
    parts.join(" · ")
}

/// The points of a series, and its label.
pub(super) type Labelled = (String, Vec<Point>);

/// At most `n_max` series, those with the greatest sums of absolute values, ordered by label; and the rest.
pub(super) fn greatest(mut series: Vec<Labelled>, n_max: usize) -> (Vec<Labelled>, Vec<Labelled>) {
    let mut rest = Vec::new();
    if n_max < series.len() {
        let size = |points: &[Point]| points.iter().map(|point| point.value.abs()).sum::<f64>();
        series.sort_by(|(_, left), (_, right)| size(right).total_cmp(&size(left)));
        rest = series.split_off(n_max);
        series.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    (series, rest)
}

/// The sum of some series, window by window; final where all of a window is. `drawn` has the labels that are taken.
pub(super) fn others(rest: &[Labelled], drawn: &[Labelled]) -> Series {
    let mut sums: BTreeMap<i64, Point> = BTreeMap::new();
    for point in rest.iter().flat_map(|(_, points)| points) {
        let sum = sums.entry(point.start).or_insert(Point { value: 0.0, firm: 0.0, ..*point });
        sum.value += point.value;
        sum.end = sum.end.max(point.end);
        sum.is_final &= point.is_final;
        sum.firm += point.firm;
    }
    let mut label = "all others".to_owned();
    while drawn.iter().any(|(taken, _)| *taken == label) {
        label.push('…');
    }
    Series { label, slot: OTHERS_SLOT, points: sums.into_values().collect() }
}

fn step_of<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> i64 {
    let size = points.clone().map(|point| point.end - point.start).max().unwrap_or(0);
    if size != 0 {
        return size;
    }
    let mut starts: Vec<i64> = points.map(|point| point.start).collect();
    starts.sort_unstable();
    starts.dedup();
    starts.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use weir_api::{Column, Snapshot};

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn table(rows: &[(i64, &str, serde_json::Value, bool)]) -> Table {
        let column = |name: &str, sql_type: &str| Column {
            name: name.into(),
            sql_type: sql_type.into(),
            nullable: true,
        };
        let at = |second: i64| json!(format!("1970-01-01T00:00:{second:02}Z"));
        let snapshot = Snapshot {
            table: "t".into(),
            epoch: 1,
            watermark: Some("1970-01-01T00:00:20.000Z".into()),
            columns: vec![
                column("window_start", "TIMESTAMP(3) WITH TIME ZONE"),
                column("window_end", "TIMESTAMP(3) WITH TIME ZONE"),
                column("country", "VARCHAR"),
                column("revenue", "DECIMAL(18,2)"),
                column("_final", "BOOLEAN"),
            ],
            key: ["window_start", "window_end", "country"].map(String::from).into(),
            rows: rows
                .iter()
                .map(|(second, country, value, is_final)| {
                    vec![at(*second), at(*second + 10), json!(country), value.clone(), json!(is_final)]
                })
                .collect(),
            truncated: false,
        };
        Table::new(snapshot, 60_000).expect("a snapshot fits")
    }

    #[test]
    fn rows_become_points_of_their_key() {
        let table = table(&[
            (10, "DE", json!("2.50"), false),
            (0, "DE", json!("1.00"), true),
            (0, "FR", json!(null), true),
        ]);
        assert_eq!(measures(&table), ["revenue"]);
        let data = build(&table, "revenue", &mut Slots::default()).expect("a windowed table");
        assert_eq!((data.step, data.n_series_total, data.as_bars), (10 * SECOND, 2, false));
        let point = |start: i64, value, is_final| Point {
            start: start * SECOND,
            end: (start + 10) * SECOND,
            value,
            is_final,
            firm: 0.0,
        };
        assert_eq!(data.series[0].points, [point(0, 1.0, true), point(10, 2.5, false)]);
        assert!(data.series[1].points.is_empty(), "null is no point");
        assert_eq!(build(&table, "no_such_column", &mut Slots::default()), None);
    }

    #[test]
    fn greatest_series_are_drawn_and_the_others_counted() {
        let labels: Vec<String> = (0..30).map(|n| format!("k{n:02}")).collect();
        let rows: Vec<_> =
            labels.iter().enumerate().map(|(n, label)| (0, label.as_str(), json!(n), true)).collect();
        let data = build(&table(&rows), "revenue", &mut Slots::default()).expect("a windowed table");
        assert_eq!(data.n_series_total, 30);
        let drawn: Vec<&str> = data.series.iter().map(|series| &*series.label).collect();
        assert_eq!(drawn, &labels[6..]);
    }

    #[test]
    fn others_are_final_where_all_of_them_are() {
        let point = |start, value, is_final| Point { start, end: start + 10, value, is_final, firm: 0.0 };
        let rest = [
            ("a".to_owned(), vec![point(0, 1.0, true), point(10, 2.0, true)]),
            ("b".to_owned(), vec![point(10, -0.5, false), point(20, 4.0, false)]),
        ];
        let sum = others(&rest, &[("all others".to_owned(), Vec::new())]);
        assert_eq!((&*sum.label, sum.slot), ("all others…", OTHERS_SLOT), "no two series share a label");
        assert_eq!(sum.points, [point(0, 1.0, true), point(10, 1.5, false), point(20, 4.0, false)]);
    }

    proptest! {
        /// However many series there are, what is drawn and the others come to the same in every window as all of them.
        #[test]
        fn nothing_of_the_whole_is_lost(values in prop::collection::vec(prop::collection::btree_map(0..4_i64, -100..100_i32, 0..4), 0..40), n_max in 0..30_usize) {
            let point = |(start, value): (i64, i32)| Point { start, end: start + 1, value: f64::from(value), is_final: true, firm: 0.0 };
            let all: Vec<Labelled> = (0..).zip(values).map(|(n, points)| (format!("{n:02}"), points.into_iter().map(point).collect())).collect();
            let total = |series: &[Point], start: i64| series.iter().filter(|point| point.start == start).map(|point| point.value).sum::<f64>();
            let (drawn, rest) = greatest(all.clone(), n_max);
            prop_assert_eq!(drawn.len(), all.len().min(n_max));
            let sum = others(&rest, &drawn);
            for start in 0..4 {
                let whole: f64 = all.iter().map(|(_, points)| total(points, start)).sum();
                let shown: f64 = drawn.iter().map(|(_, points)| total(points, start)).sum::<f64>() + total(&sum.points, start);
                prop_assert_eq!(whole, shown);
            }
            prop_assert!(sum.points.is_sorted_by_key(|point| point.start));
        }
    }

    #[test]
    fn series_keeps_its_slot_when_others_come_and_go() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut slots = Slots::default();
        assert_eq!(slots.assign(&labels(&["b", "c"])), [0, 1]);
        assert_eq!(slots.assign(&labels(&["a", "b", "c"])), [2, 0, 1]);
        assert_eq!(slots.assign(&labels(&["a", "c", "d"])), [2, 1, 0]);
    }
}
