//! `line`: a line for each series, dashed and with hollow marks where it is provisional.

use weir_api::Chart;

use super::{Key, Kind, Scene, Way, stretches};
use crate::chart::axes;
use crate::chart::draw::{Dash, Drawing, Ink, Shape};
use crate::chart::frame::{Frame, runs};
use crate::chart::series::{Point, Series};
use crate::chart::thin::pick;

pub(super) const KIND: Kind = Kind {
    chart: Chart::Line,
    word: "line",
    way: Way::Canvas { draw, has_legend: true },
    needs: &[Key::X, Key::Y],
    takes: &[Key::Series, Key::Aggregate, Key::Unit],
    size: (6, 2),
};

/// Marks closer than this would be a caterpillar: of final points only one in so many pixels has one then.
const MARK_SPACING_MIN: f64 = 11.0;
const SPARSE_SPACING: f64 = 120.0;

fn draw(scene: &Scene<'_>) -> Drawing {
    let Some(frame) = Frame::new(scene.data, scene.extent(), scene.width, scene.height, scene.zone) else {
        return Drawing::default();
    };
    let mut drawing = Drawing { back: axes::axes(scene.data, &frame), ..Drawing::default() };
    let mut series: Vec<&Series> = scene.data.series.iter().collect();
    series.sort_by_key(|series| scene.is_isolated(series));
    for series in series {
        let alpha = scene.alpha(series);
        for run in runs(scene.data, frame.visible(&series.points)) {
            let (finals, others) = stretches(run);
            drawing.plot.extend(path(&frame, finals, series.slot, Dash::Solid, alpha));
            drawing.plot.extend(path(&frame, others, series.slot, Dash::Provisional, alpha));
        }
        drawing.plot.extend(marks(&frame, series, scene.data.step, alpha));
    }
    drawing.front = axes::watermark(scene.data, &frame, scene.zone);
    drawing.frame = Some(frame);
    drawing
}

/// The line through some points, which are at most four a pixel.
pub(super) fn path(frame: &Frame, points: &[Point], slot: usize, dash: Dash, alpha: f64) -> Option<Shape> {
    if points.len() < 2 {
        return None;
    }
    let (places, values): (Vec<f64>, Vec<f64>) =
        points.iter().map(|point| (frame.mark(point).0, point.value)).unzip();
    let points = pick(&places, &values).into_iter().map(|at| (places[at], frame.y.place(values[at])));
    Some(Shape::Line { points: points.collect(), ink: Ink::Series(slot), width: 1.75, dash, alpha })
}

/// Marks tell series apart without colour. Where points are dense only some have one, always those of the same instants,
/// so that marks do not wander as time goes on.
fn marks(frame: &Frame, series: &Series, step: i64, alpha: f64) -> [Shape; 2] {
    let spacing = frame.x.place(step as f64) - frame.x.place(0.0);
    let stride = if spacing < MARK_SPACING_MIN {
        (SPARSE_SPACING / spacing.max(1e-6)).ceil().clamp(1.0, 1e6)
    } else {
        1.0
    };
    let period = step.saturating_mul(stride as i64).max(1);
    let is_alone = series.points.len() == 1;
    // Series have their marks at different instants, so that they do not hide each other where lines are close.
    let shift = step.saturating_mul((stride as i64 * i64::try_from(series.slot % 8).unwrap_or(0)) / 8);
    let is_marked = |point: &&Point| {
        !point.is_final && MARK_SPACING_MIN <= spacing
            || is_alone
            || point.start.saturating_sub(shift).rem_euclid(period) < step
    };
    let places = |is_final: bool| {
        let points = frame.visible(&series.points).iter();
        let points = points.filter(|point| point.is_final == is_final).filter(is_marked);
        points.map(|point| frame.mark(point)).collect()
    };
    let marks =
        |is_final| Shape::Marks { places: places(is_final), slot: series.slot, is_hollow: !is_final, alpha };
    [marks(true), marks(false)]
}
