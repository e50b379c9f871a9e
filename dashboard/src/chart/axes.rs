//! What all charts with two axes share: lines and labels, the watermark, what follows the pointer.

use super::draw::{Align, Dash, Fill, Ink, Shape, crisp, text_width};
use super::frame::Frame;
use super::legend::point_at;
use super::series::{Axis, ChartData};
use crate::view::zone::Zone;

/// Lines of the vertical axis, labels of both.
pub fn axes(data: &ChartData, frame: &Frame) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for &tick in &frame.y_ticks {
        let y = crisp(frame.y.place(tick));
        shapes.push(Shape::hairline(vec![(frame.x.start, y), (frame.x.end, y)], Ink::Grid));
        shapes.push(Shape::text(frame.x.start - 8.0, y, data.unit.short(tick), Ink::Quiet, Align::Right));
    }
    for (place, label) in &frame.x_ticks {
        let x = crisp(frame.x.place(*place));
        shapes.push(Shape::hairline(vec![(x, frame.y.start), (x, frame.y.start + 4.0)], Ink::Grid));
        // A label that would be cut at the edge says nothing.
        let half = text_width(label) / 2.0;
        if frame.x.start - 30.0 <= x - half && x + half <= frame.width {
            shapes.push(Shape::text(x, frame.y.start + 14.0, label, Ink::Quiet, Align::Centre));
        }
    }
    let unit = data.unit.axis_text();
    if !unit.is_empty() {
        shapes.push(Shape::text(frame.x.start - 8.0, 9.0, unit, Ink::Quiet, Align::Right));
    }
    shapes
}

/// The line behind which everything is complete, and a tint over what still counts.
pub fn watermark(data: &ChartData, frame: &Frame, zone: &Zone) -> Vec<Shape> {
    let Some(watermark) = data.watermark.filter(|_| data.axis == Axis::Time) else { return Vec::new() };
    let place = frame.x.place(watermark as f64);
    if place < frame.x.start || frame.x.end + 1.0 < place {
        return Vec::new();
    }
    let x = crisp(place);
    let tint = [x, frame.y.end, (frame.x.end - x).max(0.0), frame.y.start - frame.y.end];
    let label = format!("watermark {}", zone.clock(watermark));
    let width = text_width(&label);
    let from = (x + 5.0).min(frame.width - width - 2.0);
    let crosses = from < x + 4.0;
    let align = if crosses { Align::Right } else { Align::Left };
    vec![
        Shape::Boxes { boxes: vec![tint], ink: Ink::Accent, fill: Fill::Solid, alpha: 0.06 },
        Shape::hairline(vec![(x, frame.y.end - 6.0), (x, frame.y.start)], Ink::Accent),
        Shape::text(if crosses { x - 5.0 } else { from }, 9.0, label, Ink::Accent, align),
    ]
}

/// A line through the window that starts at `start`, and a ring around each of its values that is drawn as a mark.
pub fn crosshair(data: &ChartData, frame: &Frame, start: i64) -> Vec<Shape> {
    let half = if data.as_bars { data.step / 2 } else { 0 };
    let x = crisp(frame.x.place((start + half) as f64 + frame.half));
    if x < frame.x.start || frame.x.end + 1.0 < x {
        return Vec::new();
    }
    let points = vec![(x, frame.y.end), (x, frame.y.start)];
    let mut shapes =
        vec![Shape::Line { points, ink: Ink::Text, width: 1.0, dash: Dash::Pointer, alpha: 1.0 }];
    if !data.as_bars && !data.is_stacked {
        let marks = data.series.iter().filter_map(|series| Some(frame.mark(point_at(series, start)?)));
        shapes.extend(marks.map(|(x, y)| Shape::Ring { x, y, ink: Ink::Text }));
    }
    shapes
}

/// What a drag has covered so far, between two places.
pub fn selection(frame: &Frame, one: f64, other: f64) -> Vec<Shape> {
    let inside = |place: f64| place.clamp(frame.x.start, frame.x.end);
    let (left, right) = (inside(one.min(other)), inside(one.max(other)));
    let (top, bottom) = (frame.y.end, frame.y.start);
    let edge = |x: f64| Shape::hairline(vec![(crisp(x), top), (crisp(x), bottom)], Ink::Accent);
    let boxes = vec![[left, top, right - left, bottom - top]];
    vec![Shape::Boxes { boxes, ink: Ink::Accent, fill: Fill::Solid, alpha: 0.16 }, edge(left), edge(right)]
}
