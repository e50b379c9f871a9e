//! The canvas of a panel, and above it another one for what follows the pointer: the chart is painted once an epoch,
//! whatever the pointer does.

use leptos::html;
use leptos::prelude::*;

use super::Crosshair;
use super::panel::{Content, Source};
use crate::chart::axes;
use crate::chart::draw::Drawing;
use crate::chart::frame::Frame;
use crate::chart::kind::{self, Scene, Way};
use crate::chart::legend::legend;
use crate::chart::paint::{paint_drawing, repaint};
use crate::chart::series::Axis;
use crate::page::size::follow_size;
use crate::view::address::Range;
use crate::view::board::span::zoomed;

/// A drag of fewer pixels is a click.
const DRAG_MIN: f64 = 4.0;

/// What the pointer needs to know of the last painting.
type Painted = RwSignal<Option<Frame>>;

#[component]
pub(super) fn Plot(source: Source, content: Memo<Content>, title: Memo<String>) -> impl IntoView {
    let board = source.board;
    let chart_canvas = NodeRef::<html::Canvas>::new();
    let pointer_canvas = NodeRef::<html::Canvas>::new();
    let size = follow_size(chart_canvas);
    let painted: Painted = RwSignal::new(None);
    // From where to where the pointer was drawn, in pixels.
    let drag = RwSignal::new(None::<(f64, f64)>);
    paint_chart(source, content, painted, chart_canvas, size);
    paint_pointer(source, content, painted, pointer_canvas, size, drag);
    let label = move || label(source, content, title);
    let place = move |event: &web_sys::PointerEvent| f64::from(event.offset_x());
    let moved = move |event: web_sys::PointerEvent| {
        point(source, content, painted, Some(place(&event)));
        if let Some((from, _)) = drag.get_untracked() {
            drag.set(Some((from, place(&event))));
        }
    };
    let pressed = move |event: web_sys::PointerEvent| {
        point(source, content, painted, Some(place(&event)));
        let is_time = content.with_untracked(|content| content.data.axis == Axis::Time);
        if event.button() == 0 && is_time && painted.with_untracked(Option::is_some) {
            if let Some(canvas) = pointer_canvas.get_untracked() {
                // Refused for a pointer that is gone: then nothing follows it anyway.
                drop(canvas.set_pointer_capture(event.pointer_id()));
            }
            drag.set(Some((place(&event), place(&event))));
        }
    };
    let released = move |_: web_sys::PointerEvent| {
        let Some((from, to)) = drag.get_untracked() else { return };
        drag.set(None);
        let range = painted.with_untracked(|frame| {
            let frame = frame.as_ref().filter(|_| DRAG_MIN < (to - from).abs())?;
            let inside = |place: f64| frame.x.value(place.clamp(frame.x.start, frame.x.end));
            zoomed(inside(from), inside(to))
        });
        if range.is_some() {
            board.crosshair.set(None);
            board.route.go(|address| address.range = range);
        }
    };
    view! {
        <div class="plot">
            <canvas node_ref=chart_canvas aria-hidden="true"></canvas>
            <canvas
                node_ref=pointer_canvas
                data-testid="panel-chart"
                role="img"
                tabindex="0"
                aria-label=label
                on:pointermove=moved
                on:pointerdown=pressed
                on:pointerup=released
                on:pointercancel=move |_| drag.set(None)
                on:pointerleave=move |_| point(source, content, painted, None)
                on:keydown=move |event| key(source, content, painted, &event)
            ></canvas>
        </div>
    }
}

/// Paints the chart whenever its data, its size or the looks are other ones.
fn paint_chart(
    source: Source,
    content: Memo<Content>,
    painted: Painted,
    chart_canvas: NodeRef<html::Canvas>,
    size: RwSignal<(f64, f64)>,
) {
    let board = source.board;
    // What the canvas shows, and whether in dark colours.
    let shown = StoredValue::new(None::<(Drawing, bool)>);
    Effect::new(move |_| {
        let is_dark = board.theme.is_dark();
        let (width, height) = size.get();
        let Some(canvas) = chart_canvas.get() else { return };
        if let Some(drawing) = drawing(source, content, width, height) {
            shown.with_value(|shown| {
                let before =
                    shown.as_ref().filter(|(_, was_dark)| *was_dark == is_dark).map(|(shown, _)| shown);
                repaint(&canvas, before, &drawing, width, height);
            });
            // For those who measure how old a picture is.
            drop(canvas.set_attribute("data-epoch", &source.epoch().unwrap_or_default().to_string()));
            if painted.with_untracked(|painted| *painted != drawing.frame) {
                painted.set(drawing.frame.clone());
            }
            shown.set_value(Some((drawing, is_dark)));
        }
    });
}

/// Paints what follows the pointer.
fn paint_pointer(
    source: Source,
    content: Memo<Content>,
    painted: Painted,
    pointer_canvas: NodeRef<html::Canvas>,
    size: RwSignal<(f64, f64)>,
    drag: RwSignal<Option<(f64, f64)>>,
) {
    let board = source.board;
    Effect::new(move |was_empty: Option<bool>| {
        board.theme.is_dark();
        let (width, height) = size.get();
        let Some(canvas) = pointer_canvas.get() else { return true };
        let front = painted.with(|frame| {
            let frame = frame.as_ref()?;
            let selection = drag.get().map(|(one, other)| axes::selection(frame, one, other));
            let crosshair = hovered(source, content)
                .map(|start| content.with(|content| axes::crosshair(&content.data, frame, start)));
            Some(selection.into_iter().chain(crosshair).flatten().collect())
        });
        let drawing = Drawing { front: front.unwrap_or_default(), ..Drawing::default() };
        let is_empty = drawing.front.is_empty();
        if !(is_empty && was_empty == Some(true)) {
            paint_drawing(&canvas, &drawing, width, height);
        }
        is_empty
    });
}

/// What is read aloud instead of the picture.
fn label(source: Source, content: Memo<Content>, title: Memo<String>) -> String {
    let said = content.with(|content| source.board.zone.with(|zone| legend(&content.data, None, zone)));
    let values: Vec<String> =
        said.entries.iter().map(|entry| format!("{} {}", entry.label, entry.value)).collect();
    format!(
        "{}, {}: {}. Its menu has the same numbers as a table.",
        title.get(),
        said.window,
        values.join(", ")
    )
}

/// What a panel draws in a box of this many pixels.
pub(super) fn drawing(source: Source, content: Memo<Content>, width: f64, height: f64) -> Option<Drawing> {
    let chart = source.panel.with(|panel| panel.as_ref().map(|panel| panel.chart))?;
    let Way::Canvas { draw, .. } = kind::of(chart).way else { return None };
    if width <= 0.0 || height <= 0.0 {
        return None;
    }
    source.board.zone.with(|zone| {
        source.board.only.with(|only| {
            content.with(|content| {
                Some(draw(&Scene { data: &content.data, width, height, isolated: only.as_deref(), zone }))
            })
        })
    })
}

/// The start of the window, or the category, under the crosshair.
pub(super) fn hovered(source: Source, content: Memo<Content>) -> Option<i64> {
    let crosshair = source.board.crosshair.get()?;
    content.with(|content| {
        let is_ours = match crosshair.panel {
            None => content.data.axis == Axis::Time,
            Some(panel) => panel == source.at,
        };
        content.data.start_around(crosshair.place).filter(|_| is_ours)
    })
}

/// Puts the crosshair to a place in pixels from the left, or takes it away.
fn point(source: Source, content: Memo<Content>, painted: Painted, place: Option<f64>) {
    let is_time = content.with_untracked(|content| content.data.axis == Axis::Time);
    let place = painted.with_untracked(|frame| {
        let (frame, place) = (frame.as_ref()?, place?);
        let is_inside = frame.x.start - 4.0 <= place && place <= frame.x.end + 4.0;
        is_inside.then(|| content.with_untracked(|content| content.data.shared(frame.x.value(place))))
    });
    let panel = (!is_time).then_some(source.at);
    let crosshair = place.map(|place| Crosshair { place, panel });
    if source.board.crosshair.get_untracked() != crosshair {
        source.board.crosshair.set(crosshair);
    }
}

/// Arrows move the crosshair from window to window, `+` and `-` zoom around it, Escape takes it away.
fn key(source: Source, content: Memo<Content>, painted: Painted, event: &web_sys::KeyboardEvent) {
    if event.ctrl_key() || event.alt_key() || event.meta_key() {
        return;
    }
    let board = source.board;
    let now = untrack(|| hovered(source, content));
    let starts = content.with_untracked(|content| content.data.starts());
    let at = now.and_then(|now| starts.binary_search(&now).ok());
    let last = starts.len().saturating_sub(1);
    let go = |at: usize| {
        let Some(start) = starts.get(at) else { return };
        let place = content.with_untracked(|content| content.data.shared(content.data.centre(*start)));
        let is_time = content.with_untracked(|content| content.data.axis == Axis::Time);
        board.crosshair.set(Some(Crosshair { place, panel: (!is_time).then_some(source.at) }));
    };
    match event.key().as_str() {
        "ArrowLeft" => go(at.map_or(last, |at| at.saturating_sub(1))),
        "ArrowRight" => go(at.map_or(last, |at| (at + 1).min(last))),
        "Home" => go(0),
        "End" => go(last),
        "+" | "=" => zoom(source, content, painted, 0.5),
        "-" => zoom(source, content, painted, 2.0),
        "Escape" => board.crosshair.set(None),
        _ => return,
    }
    event.prevent_default();
}

fn zoom(source: Source, content: Memo<Content>, painted: Painted, factor: f64) {
    let is_time = content.with_untracked(|content| content.data.axis == Axis::Time);
    let crosshair = source.board.crosshair.get_untracked().filter(|crosshair| crosshair.panel.is_none());
    let range = painted.with_untracked(|frame| {
        let x = frame.as_ref().filter(|_| is_time)?.x;
        let centre = crosshair.map_or((x.from + x.to) / 2.0, |crosshair| crosshair.place);
        let half = (x.to - x.from) * factor / 2.0;
        zoomed(centre - half, centre + half)
    });
    if let Some(range @ Range::Between { .. }) = range {
        source.board.route.go(|address| address.range = Some(range));
    }
}
