//! Where everything of a chart stands, in CSS pixels.
//!
//! Invariants:
//! 1. Time runs from the watermark − `last`, or the oldest point where that is later, to the end of the newest window
//!    or the watermark, whichever is later: what is coming is inside, and a young table fills its chart.
//! 2. The vertical axis starts at zero unless values are negative: heights may be compared.

use super::scale::{Scale, nice_domain, ticks, time_ticks};
use super::series::{ChartData, Point};
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
    /// Places and values of the horizontal lines.
    pub y_ticks: Vec<f64>,
    pub x_ticks: Vec<(i64, String)>,
}

impl Frame {
    /// Lays out `data` in a box of CSS pixels; `label_width` is what the labels of the vertical axis need, `zone` says
    /// what clocks show. `None` where there is no point.
    pub fn new(data: &ChartData, width: f64, height: f64, label_width: f64, zone: &Zone) -> Option<Self> {
        let points = || data.series.iter().flat_map(|series| &series.points);
        let oldest = points().map(|point| point.start).min()?;
        let newest = points().map(|point| point.end).max()?;
        let to = newest.max(data.watermark.unwrap_or(newest)).max(oldest + data.step);
        let span_min = data.step.saturating_mul(MIN_WINDOWS);
        let from = oldest.max(data.watermark.unwrap_or(newest).saturating_sub(data.last)).min(to - span_min);

        let values = || points().map(|point| point.value);
        let low = values().fold(0.0, f64::min);
        let high = values().fold(0.0, f64::max);
        // A label every 44 pixels reads well; more would be a ruler.
        let n_lines = ((height - TOP - BOTTOM) / 44.0).clamp(2.0, 8.0) as usize;
        let (low, high, step) = nice_domain(low, high, n_lines);
        let left = label_width + 10.0;
        let x = Scale { from: from as f64, to: to as f64, start: left, end: (width - RIGHT).max(left + 1.0) };
        let y = Scale { from: low, to: high, start: height - BOTTOM, end: TOP };
        let n_labels = ((x.end - x.start) / 84.0).max(1.0) as usize;
        Some(Self {
            width,
            height,
            x,
            y,
            y_ticks: ticks(low, high, step),
            x_ticks: time_ticks(from, to, n_labels, zone),
        })
    }

    /// The left and right edge of a point's window.
    pub fn window_edges(&self, point: &Point) -> (f64, f64) {
        (self.x.place(point.start as f64), self.x.place(point.end as f64))
    }

    /// Where a point's mark stands: at the window's start.
    pub fn mark(&self, point: &Point) -> (f64, f64) {
        (self.x.place(point.start as f64), self.y.place(point.value))
    }

    /// The start of the window under the pointer at `place` pixels from the left: for lines the nearest mark, for bars
    /// the bar above. `None` outside of all.
    pub fn hit(&self, data: &ChartData, place: f64) -> Option<i64> {
        let instant = self.x.value(place);
        let half = data.step as f64 / 2.0;
        // A bar stands right of its start, a mark on it.
        let centre = if data.as_bars { instant - half } else { instant };
        let starts = data.series.iter().flat_map(|series| &series.points).map(|point| point.start);
        let distance = |start: i64| (start as f64 - centre).abs();
        let nearest = starts.min_by(|left, right| distance(*left).total_cmp(&distance(*right)))?;
        (distance(nearest) <= half * 1.001).then_some(nearest)
    }
}

/// Cuts points into runs that are joined by a line: a window without a row ends the run. A run is cut into final and
/// provisional stretches by the caller; its points ascend.
pub fn runs(points: &[Point], step: i64) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(move |left, right| right.start - left.start <= step + step / 2)
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
        };
        ChartData {
            series: vec![Series { label: "a".into(), slot: 0, points: starts.iter().map(point).collect() }],
            n_series_total: 1,
            step: 10 * SECOND,
            watermark: Some(1_000 * SECOND),
            last: 600 * SECOND,
            as_bars,
        }
    }

    #[test]
    fn young_table_fills_its_chart_and_an_old_one_scrolls() {
        let young =
            Frame::new(&data(&[980, 990], false), 800.0, 300.0, 40.0, &Zone::default()).expect("points");
        assert_eq!((young.x.from, young.x.to), (800.0 * 1e6, 1_000.0 * 1e6));
        let old = Frame::new(&data(&[100, 990, 1_010], false), 800.0, 300.0, 40.0, &Zone::default())
            .expect("points");
        assert_eq!((old.x.from, old.x.to), (400.0 * 1e6, 1_020.0 * 1e6));
        assert_eq!(old.y.from, 0.0);
        assert_eq!(Frame::new(&data(&[], false), 800.0, 300.0, 40.0, &Zone::default()), None);
    }

    #[test]
    fn missing_window_breaks_the_line() {
        let data = data(&[0, 10, 30, 40], false);
        let lengths: Vec<usize> = runs(&data.series[0].points, data.step).map(<[Point]>::len).collect();
        assert_eq!(lengths, [2, 2]);
    }

    proptest! {
        #[test]
        fn pointer_on_a_window_finds_it(n in 0..60_i64, inside in 0.05..0.95_f64, as_bars in any::<bool>()) {
            let starts: Vec<i64> = (0..60).map(|n| 400 + n * 10).collect();
            let data = data(&starts, as_bars);
            let frame = Frame::new(&data, 900.0, 300.0, 40.0, &Zone::default()).expect("points");
            let start = starts[usize::try_from(n).expect("small")];
            let offset = if as_bars { inside } else { inside - 0.5 };
            let place = frame.x.place((start * SECOND) as f64 + offset * 10.0 * 1e6);
            prop_assert_eq!(frame.hit(&data, place), Some(start * SECOND));
        }
    }
}
