//! Draws a chart on a canvas. Colours and fonts are those of the style sheet, so that both themes have one source.
//!
//! Invariant: one painting is one pass without reading pixels back; its cost grows with the points, not with the epochs
//! that went by.

use leptos::prelude::RwSignal;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, Path2d};

use super::frame::{Frame, runs};
use super::legend::{mark_path, point_at};
use super::series::{ChartData, MAX_SERIES, Point, Series};
use crate::view::number::si;
use crate::view::zone::Zone;

/// Marks closer than this would be a caterpillar: only provisional ones are drawn then.
const MARK_SPACING_MIN: f64 = 11.0;
const TWO_PI: f64 = std::f64::consts::TAU;

/// What stands out: signals, since both chart and legend set them.
#[derive(Clone, Copy)]
pub struct Emphasis {
    /// The start of the window under the pointer.
    pub hovered: RwSignal<Option<i64>>,
    /// The label of the series that is shown alone.
    pub isolated: RwSignal<Option<String>>,
}

/// The colours of the present theme.
struct Ink {
    text: String,
    quiet: String,
    grid: String,
    surface: String,
    accent: String,
    series: [String; MAX_SERIES],
    font: String,
}

/// One painting.
struct Painter<'a> {
    context: CanvasRenderingContext2d,
    ink: Ink,
    data: &'a ChartData,
    frame: &'a Frame,
    isolated: Option<String>,
    zone: &'a Zone,
}

/// Paints `data` on a canvas of this many CSS pixels, with the clock of `zone`, and returns where everything stands;
/// `None` where there is nothing to paint or no canvas to paint on.
pub fn paint(
    canvas: &HtmlCanvasElement,
    data: &ChartData,
    width: f64,
    height: f64,
    hovered: Option<i64>,
    isolated: Option<String>,
    zone: &Zone,
) -> Option<Frame> {
    let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
    let ratio = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
    // The casts saturate; a canvas is never that large.
    let (pixel_width, pixel_height) = ((width * ratio) as u32, (height * ratio) as u32);
    if canvas.width() != pixel_width || canvas.height() != pixel_height {
        canvas.set_width(pixel_width);
        canvas.set_height(pixel_height);
    }
    context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0).ok()?;
    context.clear_rect(0.0, 0.0, width, height);
    let ink = Ink::read(canvas)?;
    context.set_font(&ink.font);
    let measured = Frame::new(data, width, height, 40.0, zone)?;
    let labels = measured.y_ticks.iter().filter_map(|tick| context.measure_text(&si(*tick)).ok());
    // In steps, so that a digit more does not move the whole chart.
    let label_width = (labels.map(|metrics| metrics.width()).fold(24.0, f64::max) / 8.0).ceil() * 8.0;
    let frame = Frame::new(data, width, height, label_width, zone)?;
    let painter = Painter { context, ink, data, frame: &frame, isolated, zone };
    painter.axes();
    for series in painter.back_to_front() {
        painter.series(series);
    }
    painter.watermark();
    if let Some(start) = hovered {
        painter.crosshair(start);
    }
    Some(frame)
}

impl Ink {
    fn read(canvas: &HtmlCanvasElement) -> Option<Self> {
        let style = web_sys::window()?.get_computed_style(canvas).ok()??;
        let get = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
        Some(Self {
            text: get("--ink"),
            quiet: get("--quiet"),
            grid: get("--line"),
            surface: get("--surface"),
            accent: get("--accent"),
            series: std::array::from_fn(|slot| get(&format!("--series-{slot}"))),
            font: format!("11px {}", get("font-family")),
        })
    }
}

impl Painter<'_> {
    fn axes(&self) {
        let (context, frame) = (&self.context, self.frame);
        context.set_line_width(1.0);
        context.set_stroke_style_str(&self.ink.grid);
        context.set_fill_style_str(&self.ink.quiet);
        context.set_text_baseline("middle");
        context.set_text_align("right");
        for &tick in &frame.y_ticks {
            // Half pixels, so that a line of one pixel is one pixel.
            let y = frame.y.place(tick).round() + 0.5;
            self.line(&[(frame.x.start, y), (frame.x.end, y)]);
            self.text(&si(tick), frame.x.start - 8.0, y);
        }
        context.set_text_align("center");
        for (instant, label) in &frame.x_ticks {
            let x = frame.x.place(*instant as f64).round() + 0.5;
            self.line(&[(x, frame.y.start), (x, frame.y.start + 4.0)]);
            // A label that would be cut at the edge says nothing.
            let half = context.measure_text(label).map_or(0.0, |metrics| metrics.width() / 2.0);
            if frame.x.start - 30.0 <= x - half && x + half <= frame.width {
                self.text(label, x, frame.y.start + 14.0);
            }
        }
    }

    /// The series in the order of drawing: what is isolated comes last.
    fn back_to_front(&self) -> Vec<&Series> {
        let mut series: Vec<&Series> = self.data.series.iter().collect();
        series.sort_by_key(|series| self.isolated.as_ref() == Some(&series.label));
        series
    }

    fn series(&self, series: &Series) {
        let faded = self.isolated.as_ref().is_some_and(|label| *label != series.label);
        self.context.set_global_alpha(if faded { 0.12 } else { 1.0 });
        let visible = |point: &&Point| self.frame.x.from <= point.end as f64;
        let first = series.points.iter().position(|point| visible(&point)).unwrap_or(series.points.len());
        let points = &series.points[first..];
        let colour = &self.ink.series[series.slot % MAX_SERIES];
        if self.data.as_bars {
            points.iter().for_each(|point| self.bar(point, colour));
        } else {
            runs(points, self.data.step).for_each(|run| self.run(run, colour));
            self.marks(points, series.slot, colour);
        }
        self.context.set_global_alpha(1.0);
    }

    /// A final bar is filled, a provisional one hatched.
    fn bar(&self, point: &Point, colour: &str) {
        let (left, right) = self.frame.window_edges(point);
        let gap = ((right - left) * 0.12).min(2.0);
        let (left, width) = (left.max(self.frame.x.start) + gap, (right - left - 2.0 * gap).max(1.0));
        let (zero, top) = (self.frame.y.place(0.0), self.frame.y.place(point.value));
        let (top, height) = (top.min(zero), (zero - top).abs().max(1.0));
        let context = &self.context;
        context.set_fill_style_str(colour);
        if point.is_final {
            context.fill_rect(left, top, width, height);
            return;
        }
        context.save();
        context.set_stroke_style_str(colour);
        context.set_line_width(1.0);
        context.begin_path();
        context.rect(left, top, width, height);
        context.clip();
        context.stroke();
        let mut x = left - height;
        context.begin_path();
        while x < left + width {
            context.move_to(x, top + height);
            context.line_to(x + height, top);
            x += 5.0;
        }
        context.stroke();
        context.restore();
        context.set_stroke_style_str(colour);
        context.set_line_width(1.0);
        context.stroke_rect(left + 0.5, top + 0.5, (width - 1.0).max(0.0), (height - 1.0).max(0.0));
    }

    /// A run of windows without a gap: solid between final ones, dashed from the last final one on.
    fn run(&self, run: &[Point], colour: &str) {
        self.context.set_stroke_style_str(colour);
        self.context.set_line_width(1.75);
        self.context.set_line_join("round");
        let places: Vec<(f64, f64)> = run.iter().map(|point| self.frame.mark(point)).collect();
        let n_final = run.iter().take_while(|point| point.is_final).count();
        self.line(&places[..n_final]);
        self.dash(&[4.0, 4.0]);
        self.line(&places[n_final.saturating_sub(1)..]);
        self.dash(&[]);
    }

    fn marks(&self, points: &[Point], slot: usize, colour: &str) {
        let spacing = self.frame.x.place(self.data.step as f64) - self.frame.x.place(0.0);
        let Ok(path) = Path2d::new_with_path_string(mark_path(slot)) else { return };
        let context = &self.context;
        context.set_line_width(1.5);
        context.set_stroke_style_str(colour);
        let is_alone = points.len() == 1;
        for point in points {
            let (x, y) = self.frame.mark(point);
            if point.is_final && spacing < MARK_SPACING_MIN && !is_alone {
                continue;
            }
            context.save();
            let moved = context.translate(x, y).and_then(|()| context.scale(0.8, 0.8));
            if moved.is_ok() {
                context.set_fill_style_str(if point.is_final { colour } else { &self.ink.surface });
                context.fill_with_path_2d(&path);
                context.stroke_with_path(&path);
            }
            context.restore();
        }
    }

    /// Everything left of the line is complete.
    fn watermark(&self) {
        let Some(watermark) = self.data.watermark else { return };
        let frame = self.frame;
        let x = frame.x.place(watermark as f64).round() + 0.5;
        if x < frame.x.start || frame.x.end + 1.0 < x {
            return;
        }
        let context = &self.context;
        context.set_stroke_style_str(&self.ink.accent);
        context.set_line_width(1.0);
        self.line(&[(x, frame.y.end - 6.0), (x, frame.y.start)]);
        let label = format!("watermark {}", self.zone.clock(watermark));
        let width = context.measure_text(&label).map_or(0.0, |metrics| metrics.width());
        let from = (x + 5.0).min(frame.width - width - 2.0);
        let crosses = from < x + 4.0;
        context.set_fill_style_str(&self.ink.accent);
        context.set_text_align(if crosses { "right" } else { "left" });
        self.text(&label, if crosses { x - 5.0 } else { from }, 9.0);
    }

    /// A line through the window under the pointer, and a ring around each of its values.
    fn crosshair(&self, start: i64) {
        let (context, frame) = (&self.context, self.frame);
        let half = if self.data.as_bars { self.data.step / 2 } else { 0 };
        let x = frame.x.place((start + half) as f64).round() + 0.5;
        context.set_stroke_style_str(&self.ink.text);
        context.set_line_width(1.0);
        self.dash(&[2.0, 3.0]);
        self.line(&[(x, frame.y.end), (x, frame.y.start)]);
        self.dash(&[]);
        if self.data.as_bars {
            return;
        }
        for series in &self.data.series {
            if let Some(point) = point_at(series, start) {
                let (x, y) = frame.mark(point);
                context.begin_path();
                if context.arc(x, y, 6.5, 0.0, TWO_PI).is_ok() {
                    context.stroke();
                }
            }
        }
    }

    fn line(&self, places: &[(f64, f64)]) {
        let Some((&(x, y), rest)) = places.split_first() else { return };
        self.context.begin_path();
        self.context.move_to(x, y);
        for &(x, y) in rest {
            self.context.line_to(x, y);
        }
        self.context.stroke();
    }

    fn dash(&self, lengths: &[f64]) {
        let lengths: js_sys::Array =
            lengths.iter().map(|length| wasm_bindgen::JsValue::from_f64(*length)).collect();
        let accepted = self.context.set_line_dash(&lengths);
        debug_assert!(accepted.is_ok(), "the lengths are finite");
    }

    fn text(&self, text: &str, x: f64, y: f64) {
        let drawn = self.context.fill_text(text, x, y);
        debug_assert!(drawn.is_ok(), "the place is finite");
    }
}
