//! `top`: the greatest values, a bar each; hatched where they are provisional.

use weir_api::Chart;

use super::{Key, Kind, Scene, Way};
use crate::chart::draw::{Align, Drawing, Fill, Ink, Shape, fitted, text_width};
use crate::chart::series::Axis;
use crate::view::board::sql::TOP_ROWS;
use crate::view::board::unit::n_decimals;

pub(super) const KIND: Kind = Kind {
    chart: Chart::Top,
    word: "top",
    way: Way::Canvas { draw, has_legend: false },
    needs: &[Key::Y, Key::Series],
    takes: &[Key::Aggregate, Key::Unit],
    size: (6, 2),
};

const GAP: f64 = 10.0;
/// A line is at most so high: three bars do not become walls.
const LINE_MAX: f64 = 32.0;
const BAR: f64 = 12.0;

fn draw(scene: &Scene<'_>) -> Drawing {
    let data = scene.data;
    let (Axis::Categories(names), Some(series)) = (&data.axis, data.series.first()) else {
        return Drawing::default();
    };
    let n_decimals = n_decimals(series.points.iter().map(|point| point.value));
    let values: Vec<String> =
        series.points.iter().map(|point| data.unit.full(point.value, n_decimals)).collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text_width(text)).fold(0.0, f64::max);
    // In steps, so that bars do not move with each digit.
    let in_steps = |width: f64| (width / 24.0).ceil() * 24.0;
    let name_width = in_steps(widest(names)).min(scene.width * 0.4);
    let left = name_width + GAP;
    let room = (scene.width - left - GAP - in_steps(widest(&values))).max(1.0);
    let greatest = series.points.iter().map(|point| point.value.abs()).fold(0.0, f64::max);
    let line = (scene.height / TOP_ROWS as f64).min(LINE_MAX);
    let mut drawing = Drawing::default();
    let (mut finals, mut others) = (Vec::new(), Vec::new());
    for (at, ((point, name), value)) in series.points.iter().zip(names).zip(values).enumerate() {
        let middle = (at as f64 + 0.5) * line;
        let share = if greatest == 0.0 { 0.0 } else { point.value.abs() / greatest };
        let height = BAR.min(line - 2.0);
        let bar = [left, middle - height / 2.0, (room * share).max(1.0), height];
        let firm = if point.value == 0.0 { 0.0 } else { (point.firm / point.value).clamp(0.0, 1.0) * bar[2] };
        match point.is_final {
            true => finals.push(bar),
            false if firm == 0.0 => others.push(bar),
            false => {
                finals.push([bar[0], bar[1], firm, bar[3]]);
                others.push([bar[0] + firm, bar[1], bar[2] - firm, bar[3]]);
            }
        }
        drawing.front.push(Shape::text(
            name_width,
            middle,
            fitted(name, name_width),
            Ink::Text,
            Align::Right,
        ));
        drawing.front.push(Shape::text(left + bar[2] + GAP, middle, value, Ink::Text, Align::Left));
    }
    for (boxes, fill) in [(finals, Fill::Solid), (others, Fill::Hatched)] {
        drawing.back.push(Shape::Boxes { boxes, ink: Ink::Series(series.slot), fill, alpha: 1.0 });
    }
    drawing
}
