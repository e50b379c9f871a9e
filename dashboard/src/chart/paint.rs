//! Draws shapes on a canvas. Colours and fonts are those of the style sheet, so that both themes have one source.
//!
//! Invariant: one painting is one pass without reading pixels back; its cost grows with the shapes, not with the epochs
//! that went by.

use leptos::prelude::RwSignal;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, Path2d};

use super::axes;
use super::damage::right_of;
use super::draw::{Align, Dash, Drawing, Fill, Ink, Shape};
use super::frame::Frame;
use super::kind::{self, Scene, Way};
use super::legend::mark_path;
use super::series::{ChartData, N_COLOURS, OTHERS_SLOT};
use crate::view::zone::Zone;

/// Between the lines of a hatching, in pixels.
const HATCH: f64 = 5.0;
const MARK_SCALE: f64 = 0.8;
/// So far a mark, or the edge of a line, reaches from its place.
const MARK_REACH: f64 = 8.0;
/// A line of more points is dense.
const DENSE: usize = 300;
/// How far the hairlines of a dense line are from each other, in pixels of the screen, to the right and down.
const HAIR: (f64, f64) = (0.35, 0.7);

/// What stands out: signals, since both chart and legend set them.
#[derive(Clone, Copy)]
pub struct Emphasis {
    /// The start of the window under the pointer.
    pub hovered: RwSignal<Option<i64>>,
    /// The label of the series that is shown alone.
    pub isolated: RwSignal<Option<String>>,
}

/// Paints `data` on a canvas of this many CSS pixels, as bars or as lines, with the clock of `zone`, and returns where everything stands; `None`
/// where there is nothing to paint or no canvas to paint on.
pub fn paint(
    canvas: &HtmlCanvasElement,
    data: &ChartData,
    width: f64,
    height: f64,
    hovered: Option<i64>,
    isolated: Option<String>,
    zone: &Zone,
) -> Option<Frame> {
    let chart = if data.as_bars { weir_api::Chart::Bar } else { weir_api::Chart::Line };
    let Way::Canvas { draw, .. } = kind::of(chart).way else { return None };
    let mut drawing = draw(&Scene { data, width, height, isolated: isolated.as_deref(), zone });
    let hovered = hovered.zip(drawing.frame.as_ref());
    let crosshair = hovered.map(|(start, frame)| axes::crosshair(data, frame, start));
    drawing.front.extend(crosshair.into_iter().flatten());
    paint_drawing(canvas, &drawing, width, height);
    drawing.frame
}

/// Paints a drawing on a canvas of this many CSS pixels; what was there is gone.
pub fn paint_drawing(canvas: &HtmlCanvasElement, drawing: &Drawing, width: f64, height: f64) {
    repaint(canvas, None, drawing, width, height);
}

/// As [`paint_drawing`], where the canvas shows `before` in the same colours: only what differs is painted.
pub fn repaint(
    canvas: &HtmlCanvasElement,
    before: Option<&Drawing>,
    drawing: &Drawing,
    width: f64,
    height: f64,
) {
    let ratio = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
    // The casts saturate; a canvas is never that large.
    let (pixel_width, pixel_height) = ((width * ratio) as u32, (height * ratio) as u32);
    let is_resized = canvas.width() != pixel_width || canvas.height() != pixel_height;
    if is_resized {
        canvas.set_width(pixel_width);
        canvas.set_height(pixel_height);
    }
    let from = before.filter(|_| !is_resized).and_then(|before| right_of(before, drawing)).unwrap_or(0.0);
    if width <= from {
        return;
    }
    // Whole pixels, so that the seam is none.
    let from = (((from - MARK_REACH).max(0.0) * ratio).floor() / ratio).max(0.0);
    if let Some(mut painter) = Painter::on(canvas, canvas)
        && painter.context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0).is_ok()
    {
        (painter.from, painter.fineness) = (from, ratio);
        let context = &painter.context;
        context.save();
        context.begin_path();
        context.rect(from, 0.0, width - from, height);
        context.clip();
        context.clear_rect(from, 0.0, width - from, height);
        painter.drawing(drawing);
        context.restore();
    }
}

/// Paints a picture on a canvas of its own, in the colours that the style sheet gives `looks`, twice as fine as a screen.
pub fn paint_picture(
    canvas: &HtmlCanvasElement,
    looks: &HtmlCanvasElement,
    drawing: &Drawing,
    width: f64,
    height: f64,
) {
    const FINENESS: f64 = 2.0;
    // The casts saturate; a canvas is never that large.
    canvas.set_width((width * FINENESS) as u32);
    canvas.set_height((height * FINENESS) as u32);
    if let Some(mut painter) = Painter::on(canvas, looks)
        && painter.context.scale(FINENESS, FINENESS).is_ok()
    {
        painter.fineness = FINENESS;
        painter.context.set_fill_style_str(painter.palette.of(Ink::Surface));
        painter.context.fill_rect(0.0, 0.0, width, height);
        painter.drawing(drawing);
    }
}

/// The colours of the present theme.
struct Palette {
    text: String,
    quiet: String,
    grid: String,
    surface: String,
    accent: String,
    series: [String; N_COLOURS],
    font: String,
    title_font: String,
}

impl Palette {
    fn read(of: &HtmlCanvasElement) -> Option<Self> {
        let style = web_sys::window()?.get_computed_style(of).ok()??;
        let get = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
        Some(Self {
            text: get("--ink"),
            quiet: get("--quiet"),
            grid: get("--line"),
            surface: get("--surface"),
            accent: get("--accent"),
            series: std::array::from_fn(|slot| get(&format!("--series-{slot}"))),
            font: format!("11px {}", get("font-family")),
            title_font: format!("600 16px {}", get("font-family")),
        })
    }

    fn of(&self, ink: Ink) -> &str {
        match ink {
            Ink::Text => &self.text,
            Ink::Quiet => &self.quiet,
            Ink::Grid => &self.grid,
            Ink::Surface => &self.surface,
            Ink::Accent => &self.accent,
            Ink::Series(OTHERS_SLOT) => &self.quiet,
            Ink::Series(slot) => &self.series[slot % N_COLOURS],
        }
    }
}

/// One painting.
struct Painter {
    context: CanvasRenderingContext2d,
    palette: Palette,
    /// What lies left of this is there already.
    from: f64,
    /// Pixels of the screen in one of CSS.
    fineness: f64,
}

impl Painter {
    /// Paints on `canvas` with the colours that the style sheet gives `looks`.
    fn on(canvas: &HtmlCanvasElement, looks: &HtmlCanvasElement) -> Option<Self> {
        let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        let palette = Palette::read(looks)?;
        context.set_font(&palette.font);
        context.set_text_baseline("middle");
        Some(Self { context, palette, from: 0.0, fineness: 1.0 })
    }

    fn drawing(&self, drawing: &Drawing) {
        let context = &self.context;
        drawing.back.iter().for_each(|shape| self.shape(shape));
        context.save();
        if let Some(frame) = &drawing.frame {
            context.begin_path();
            // A little more than the axes: marks at the edge are whole.
            context.rect(frame.x.start - 5.0, 0.0, frame.x.end - frame.x.start + 10.0, frame.y.start + 5.0);
            context.clip();
        }
        drawing.plot.iter().for_each(|shape| self.shape(shape));
        context.restore();
        drawing.front.iter().for_each(|shape| self.shape(shape));
    }

    fn shape(&self, shape: &Shape) {
        let context = &self.context;
        match shape {
            Shape::Line { points, ink, width, dash, alpha } => {
                context.set_global_alpha(*alpha);
                context.set_stroke_style_str(self.palette.of(*ink));
                if *dash == Dash::Solid && DENSE < points.len() {
                    self.hairlines(self.rest_of(points), *width);
                } else {
                    context.set_line_width(*width);
                    context.set_line_join("round");
                    self.dash(*dash);
                    self.trace(points);
                    context.stroke();
                    self.dash(Dash::Solid);
                }
            }
            Shape::Area { outline, ink, fill, alpha } => {
                context.set_global_alpha(*alpha);
                self.trace(outline);
                context.close_path();
                self.fill(*ink, *fill, bounds(outline.iter().copied()));
            }
            Shape::Boxes { boxes, ink, fill, alpha } => {
                context.set_global_alpha(*alpha);
                context.begin_path();
                for [left, top, width, height] in boxes {
                    context.rect(*left, *top, *width, *height);
                }
                let corners = boxes
                    .iter()
                    .flat_map(|[left, top, width, height]| [(*left, *top), (left + width, top + height)]);
                self.fill(*ink, *fill, bounds(corners));
                if *fill == Fill::Hatched {
                    self.edges(boxes, *ink);
                }
            }
            Shape::Marks { places, slot, is_hollow, alpha } => self.marks(places, *slot, *is_hollow, *alpha),
            Shape::Ring { x, y, ink } => {
                context.set_global_alpha(1.0);
                context.set_stroke_style_str(self.palette.of(*ink));
                context.set_line_width(1.0);
                context.begin_path();
                if context.arc(*x, *y, 6.5, 0.0, std::f64::consts::TAU).is_ok() {
                    context.stroke();
                }
            }
            Shape::Text { x, y, text, ink, align } => {
                context.set_global_alpha(1.0);
                context.set_fill_style_str(self.palette.of(*ink));
                context.set_text_align(match align {
                    Align::Left => "left",
                    Align::Centre => "center",
                    Align::Right => "right",
                });
                let drawn = context.fill_text(text, *x, *y);
                debug_assert!(drawn.is_ok(), "the place is finite");
            }
            Shape::Title { x, y, text } => {
                context.set_fill_style_str(&self.palette.text);
                context.set_text_align("left");
                context.set_font(&self.palette.title_font);
                let drawn = context.fill_text(text, *x, *y);
                debug_assert!(drawn.is_ok(), "the place is finite");
                context.set_font(&self.palette.font);
            }
        }
        context.set_global_alpha(1.0);
    }

    /// A dense line as some of one pixel of the screen, side by side: without a graphics card a browser draws those
    /// fifteen times as fast as one that is wider.
    fn hairlines(&self, points: &[(f64, f64)], width: f64) {
        let (Ok(path), Some((&(x, y), rest))) = (Path2d::new(), points.split_first()) else { return };
        path.move_to(x, y);
        rest.iter().for_each(|&(x, y)| path.line_to(x, y));
        let context = &self.context;
        let pixel = 1.0 / self.fineness;
        context.set_line_width(pixel);
        context.set_line_join("bevel");
        let n_lines = (width * self.fineness).round().max(1.0) as u32;
        for at in 0..n_lines {
            let aside = (f64::from(at) - f64::from(n_lines - 1) / 2.0) * pixel;
            context.save();
            if context.translate(HAIR.0 * aside, HAIR.1 * aside).is_ok() {
                context.stroke_with_path(&path);
            }
            context.restore();
        }
    }

    /// The points of a dense line that have to be painted: they ascend from left to right.
    fn rest_of<'a>(&self, points: &'a [(f64, f64)]) -> &'a [(f64, f64)] {
        let n_before = points.partition_point(|(x, _)| *x < self.from);
        &points[n_before.saturating_sub(2)..]
    }

    fn trace(&self, points: &[(f64, f64)]) {
        self.context.begin_path();
        let Some((&(x, y), rest)) = points.split_first() else { return };
        self.context.move_to(x, y);
        for &(x, y) in rest {
            self.context.line_to(x, y);
        }
    }

    /// Fills the present path, which lies inside of `left, top, right, bottom`.
    fn fill(&self, ink: Ink, fill: Fill, [left, top, right, bottom]: [f64; 4]) {
        let context = &self.context;
        let colour = self.palette.of(ink);
        if fill == Fill::Solid {
            context.set_fill_style_str(colour);
            context.fill();
            return;
        }
        context.save();
        context.clip();
        context.set_stroke_style_str(colour);
        context.set_line_width(1.0);
        context.begin_path();
        let height = bottom - top;
        // All hatchings of a chart are in step.
        let mut x = ((left - height) / HATCH).floor() * HATCH;
        while x < right {
            context.move_to(x, bottom);
            context.line_to(x + height, top);
            x += HATCH;
        }
        context.stroke();
        context.restore();
    }

    fn edges(&self, boxes: &[[f64; 4]], ink: Ink) {
        self.context.set_stroke_style_str(self.palette.of(ink));
        self.context.begin_path();
        for [left, top, width, height] in boxes {
            self.context.rect(left + 0.5, top + 0.5, (width - 1.0).max(0.0), (height - 1.0).max(0.0));
        }
        self.context.set_line_width(1.0);
        self.context.stroke();
    }

    fn marks(&self, places: &[(f64, f64)], slot: usize, is_hollow: bool, alpha: f64) {
        let Ok(path) = Path2d::new_with_path_string(mark_path(slot)) else { return };
        let context = &self.context;
        let colour = self.palette.of(Ink::Series(slot));
        context.set_global_alpha(alpha);
        context.set_line_width(1.5);
        context.set_stroke_style_str(colour);
        context.set_fill_style_str(if is_hollow { &self.palette.surface } else { colour });
        for (x, y) in places.iter().filter(|(x, _)| self.from - MARK_REACH <= *x) {
            context.save();
            if context.translate(*x, *y).and_then(|()| context.scale(MARK_SCALE, MARK_SCALE)).is_ok() {
                context.fill_with_path_2d(&path);
                context.stroke_with_path(&path);
            }
            context.restore();
        }
    }

    fn dash(&self, dash: Dash) {
        let lengths: &[f64] = match dash {
            Dash::Solid => &[],
            Dash::Provisional => &[4.0, 4.0],
            Dash::Pointer => &[2.0, 3.0],
        };
        let lengths: js_sys::Array = lengths.iter().map(|length| JsValue::from_f64(*length)).collect();
        let accepted = self.context.set_line_dash(&lengths);
        debug_assert!(accepted.is_ok(), "the lengths are finite");
    }
}

fn bounds(places: impl Iterator<Item = (f64, f64)>) -> [f64; 4] {
    places.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |bounds, (x, y)| {
        [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)]
    })
}
