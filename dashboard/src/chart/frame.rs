//! Where everything of a chart stands, in CSS pixels.
//!
//! Invariants:
//! 1. Where a stretch of time is chosen it is what the axis shows. Else time runs from the watermark − `last`, or the oldest point where that is later, to the end of the newest window
//!    or the watermark, whichever is later: what is coming is inside, and a young table fills its chart.
//! 2. The vertical axis starts at zero unless values are negative: heights may be compared.

use super::draw::{fitted, text_width};
use super::scale::{Scale, nice_domain, ticks, time_ticks};
use super::series::{Axis, ChartData, Point};
use crate::view::zone::Zone;

/// Fewer windows than this are drawn as if there were so many: a first window is not as wide as the screen.
const MIN_WINDOWS: i64 = 20;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 24.0;
const RIGHT: f64 = 14.0;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub width: f64,
    pub height: f64,
    /// Microseconds since 1970 to pixels from the left.
    pub x: Scale,
    /// Values to pixels from the top.
    pub y: Scale,
    /// Values of the horizontal lines.
    pub y_ticks: Vec<f64>,
    /// Values and labels of the horizontal axis.
    pub x_ticks: Vec<(f64, String)>,
    /// How far right of its start a point's mark stands: categories have theirs in the middle.
    pub half: f64,
}

impl Frame {
    /// Lays out `data`, whose drawing reaches from `low` to `high`, in a box of CSS pixels; `zone` says what clocks
    /// show. `None` where there is no point.
    pub fn new(
        data: &ChartData,
        (low, high): (f64, f64),
        width: f64,
        height: f64,
        zone: &Zone,
    ) -> Option<Self> {
        let (from, to) = domain(data)?;
        // A label every 44 pixels reads well; more would be a ruler.
        let n_lines = ((height - TOP - BOTTOM) / 44.0).clamp(2.0, 8.0) as usize;
        let (low, high, step) = nice_domain(low.min(0.0), high.max(0.0), n_lines);
        let y_ticks = ticks(low, high, step);
        let labels = y_ticks.iter().map(|tick| text_width(&data.unit.short(*tick)));
        // In steps, so that a digit more does not move the whole chart.
        let left = (labels.fold(24.0, f64::max) / 8.0).ceil() * 8.0 + 10.0;
        let x = Scale { from: from as f64, to: to as f64, start: left, end: (width - RIGHT).max(left + 1.0) };
        let y = Scale { from: low, to: high, start: (height - BOTTOM).max(TOP + 1.0), end: TOP };
        let n_labels = ((x.end - x.start) / 84.0).max(1.0) as usize;
        let (x_ticks, half) = match &data.axis {
            Axis::Time => {
                let ticks = time_ticks(from, to, n_labels, zone).into_iter();
                (ticks.map(|(at, text)| (at as f64, text)).collect(), 0.0)
            }
            Axis::Categories(names) => (name_ticks(names, x.end - x.start), 0.5),
        };
        Some(Self { width, height, x, y, y_ticks, x_ticks, half })
    }

    /// The left and right edge of a point's window.
    pub fn window_edges(&self, point: &Point) -> (f64, f64) {
        (self.x.place(point.start as f64), self.x.place(point.end as f64))
    }

    /// The points of a line that can be seen, and one beyond each edge.
    pub fn visible<'a>(&self, points: &'a [Point]) -> &'a [Point] {
        let n_before = points.partition_point(|point| (point.end as f64) < self.x.from);
        let n_begun = points.partition_point(|point| point.start as f64 <= self.x.to);
        &points[n_before.saturating_sub(1)..(n_begun + 1).min(points.len())]
    }

    /// Where a point's mark stands: at the window's start, in the middle of a category.
    pub fn mark(&self, point: &Point) -> (f64, f64) {
        self.at(point.start, point.value)
    }

    /// Where the mark of a value stands whose window starts at `start`.
    pub fn at(&self, start: i64, value: f64) -> (f64, f64) {
        (self.x.place(start as f64 + self.half), self.y.place(value))
    }

    /// The start of the window under the pointer at `place` pixels from the left: for lines the nearest mark, for bars
    /// the bar above. `None` outside of all.
    pub fn hit(&self, data: &ChartData, place: f64) -> Option<i64> {
        data.start_near(self.x.value(place))
    }
}

/// What the horizontal axis shows; `None` where there is nothing.
fn domain(data: &ChartData) -> Option<(i64, i64)> {
    if let Axis::Categories(names) = &data.axis {
        return i64::try_from(names.len()).ok().filter(|n_names| *n_names != 0).map(|n_names| (0, n_names));
    }
    let points = || data.series.iter().flat_map(|series| &series.points);
    let oldest = points().map(|point| point.start).min()?;
    let newest = points().map(|point| point.end).max()?;
    if data.domain.is_some() {
        return data.domain;
    }
    let to = newest.max(data.watermark.unwrap_or(newest)).max(oldest + data.step);
    let span_min = data.step.saturating_mul(MIN_WINDOWS);
    let from = oldest.max(data.watermark.unwrap_or(newest).saturating_sub(data.last)).min(to - span_min);
    // By whole windows: a chart steps when a window opens, and stands still meanwhile.
    Some((from - from.rem_euclid(data.step.max(1)), to))
}

/// Labels in the middle of their categories on an axis of `width` pixels; where they would touch, only each second, third
/// … one.
fn name_ticks(names: &[String], width: f64) -> Vec<(f64, String)> {
    const GAP: f64 = 10.0;
    const LONGEST: f64 = 110.0;
    let each = width / names.len().max(1) as f64;
    let widest = names.iter().map(|name| text_width(name)).fold(0.0, f64::max).min(LONGEST) + GAP;
    let stride = (widest / each.max(1e-6)).ceil().clamp(1.0, names.len().max(1) as f64) as usize;
    let room = each * stride as f64 - GAP;
    let ticks = names.iter().enumerate().step_by(stride);
    ticks.map(|(at, name)| (at as f64 + 0.5, fitted(name, room))).collect()
}

/// Cuts points into runs that are [joined](ChartData::joined) by a line. A run is cut into final and provisional stretches by
/// the caller; its points ascend.
pub fn runs<'p>(data: &ChartData, points: &'p [Point]) -> impl Iterator<Item = &'p [Point]> + use<'p> {
    let joined = data.joined();
    points.chunk_by(move |left, right| joined(left.start, right.start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chart::series::Series;

    const SECOND: i64 = 1_000_000;

    fn data(starts: &[i64], as_bars: bool) -> ChartData {
        let point = |start: &i64| Point {
            start: start * SECOND,
            end: (start + 10) * SECOND,
            value: *start as f64,
            is_final: true,
            firm: 0.0,
        };
        ChartData {
            series: vec![Series { label: "a".into(), slot: 0, points: starts.iter().map(point).collect() }],
            n_series_total: 1,
            step: 10 * SECOND,
            joins: 15 * SECOND,
            watermark: Some(1_000 * SECOND),
            last: 600 * SECOND,
            as_bars,
            ..ChartData::default()
        }
    }

    #[test]
    fn young_table_fills_its_chart_and_an_old_one_scrolls() {
        let young = Frame::new(&data(&[980, 990], false), (0.0, 1_010.0), 800.0, 300.0, &Zone::default())
            .expect("points");
        assert_eq!((young.x.from, young.x.to), (800.0 * 1e6, 1_000.0 * 1e6));
        let old =
            Frame::new(&data(&[100, 990, 1_010], false), (0.0, 1_010.0), 800.0, 300.0, &Zone::default())
                .expect("points");
        assert_eq!((old.x.from, old.x.to), (400.0 * 1e6, 1_020.0 * 1e6));
        assert_eq!(old.y.from, 0.0);
        assert_eq!(Frame::new(&data(&[], false), (0.0, 1_010.0), 800.0, 300.0, &Zone::default()), None);
    }

    #[test]
    fn a_chosen_stretch_of_time_is_what_the_axis_shows() {
        let chosen = ChartData { domain: Some((7, 9)), ..data(&[980], false) };
        let frame = Frame::new(&chosen, (0.0, 1.0), 800.0, 300.0, &Zone::default()).expect("points");
        assert_eq!((frame.x.from, frame.x.to), (7.0, 9.0));
    }

    #[test]
    fn categories_have_their_marks_in_the_middle() {
        let names = ["rum", "tea"].map(String::from).into();
        let data = ChartData { axis: Axis::Categories(names), ..data(&[0, 1], true) };
        let frame = Frame::new(&data, (0.0, 1.0), 800.0, 300.0, &Zone::default()).expect("points");
        assert_eq!((frame.x.from, frame.x.to), (0.0, 2.0));
        assert_eq!(frame.x_ticks, [(0.5, "rum".to_owned()), (1.5, "tea".to_owned())]);
        assert_eq!(frame.at(1, 0.0).0, frame.x.place(1.5));
    }

    #[test]
    fn missing_window_breaks_the_line() {
        let lengths = |data: &ChartData| -> Vec<usize> {
            runs(data, &data.series[0].points).map(<[Point]>::len).collect()
        };
        let data = data(&[0, 10, 30, 40], false);
        assert_eq!(lengths(&data), [2, 2]);
        let early = ChartData { watermark: Some(29 * SECOND), ..data.clone() };
        assert_eq!(lengths(&early), [2, 1, 1], "a window that has only begun stands alone");
        assert_eq!(lengths(&ChartData { joins: i64::MAX, ..early }), [4], "rows have no windows");
    }

    proptest! {
        #[test]
        fn pointer_on_a_window_finds_it(n in 0..60_i64, inside in 0.05..0.95_f64, as_bars in any::<bool>()) {
            let starts: Vec<i64> = (0..60).map(|n| 400 + n * 10).collect();
            let data = data(&starts, as_bars);
            let frame = Frame::new(&data, (0.0, 1_010.0), 900.0, 300.0, &Zone::default()).expect("points");
            let start = starts[usize::try_from(n).expect("small")];
            let offset = if as_bars { inside } else { inside - 0.5 };
            let place = frame.x.place((start * SECOND) as f64 + offset * 10.0 * 1e6);
            prop_assert_eq!(frame.hit(&data, place), Some(start * SECOND));
            // And so does every other chart of these windows.
            let shared = data.shared(frame.x.value(place));
            let other = ChartData { as_bars: !as_bars, ..data };
            prop_assert_eq!(other.start_around(shared), Some(start * SECOND));
        }
    }
}
