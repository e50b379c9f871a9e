//! What a panel of a draft is dragged by: one handle moves it to another's place, one at its corner resizes it in whole cells of
//! the grid. Both take the arrow keys, and all that they do has a button too.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent, PointerEvent};

use super::strip::{MAX_HEIGHT, MAX_WIDTH, resize, size};
use crate::page::board::Board;
use crate::view::board::place::resized;

/// Moves a panel.
#[component]
pub(super) fn MoveGrip(board: Board, at: usize) -> impl IntoView {
    let draft = board.draft;
    let is_held = StoredValue::new(false);
    let let_go = move || {
        is_held.set_value(false);
        draft.target.set(None);
    };
    let down = move |event: PointerEvent| {
        if event.button() == 0 {
            event.prevent_default();
            is_held.set_value(hold(&event));
        }
    };
    let over = move |event: PointerEvent| {
        if is_held.get_value() {
            let target = panel_at(f64::from(event.client_x()), f64::from(event.client_y()));
            let target = target.filter(|target| *target != at);
            if draft.target.get_untracked() != target {
                draft.target.set(target);
            }
        }
    };
    let up = move |_: PointerEvent| {
        let target = draft.target.get_untracked().filter(|_| is_held.get_value());
        let_go();
        if let Some(to) = target {
            draft.shift(at, to);
        }
    };
    let key = move |event: KeyboardEvent| {
        let to = match &*event.key() {
            "ArrowLeft" | "ArrowUp" => at.checked_sub(1),
            "ArrowRight" | "ArrowDown" => Some(at + 1),
            "Escape" => return let_go(),
            _ => return,
        };
        event.prevent_default();
        if let Some(to) = to.filter(|to| *to < draft.n_panels()) {
            draft.shift(at, to);
            focus(to);
        }
    };
    view! {
        <button
            type="button"
            class="grip"
            data-testid="grip-move"
            aria-label=format!("Move panel {}: drag it, or use the arrow keys", at + 1)
            title="Move: drag, or the arrow keys"
            on:pointerdown=down
            on:pointermove=over
            on:pointerup=up
            on:pointercancel=move |_| let_go()
            on:keydown=key
        >
            <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                <path d="M10 2v16M2 10h16M7.5 4.5L10 2l2.5 2.5M7.5 15.5L10 18l2.5-2.5M4.5 7.5L2 10l2.5 2.5M15.5 7.5L18 10l-2.5 2.5" />
            </svg>
        </button>
    }
}

/// Where a panel was taken by its corner: the pointer, the panel's size in pixels and in cells.
#[derive(Clone, Copy)]
struct Held {
    from: (f64, f64),
    pixels: (f64, f64),
    cells: (u8, u8),
}

/// Resizes a panel.
#[component]
pub(in crate::page::board) fn ResizeGrip(board: Board, at: usize) -> impl IntoView {
    let held = StoredValue::new(None::<Held>);
    let down = move |event: PointerEvent| {
        let Some(panel) = target(&event).and_then(|grip| grip.closest(".panel").ok().flatten()) else {
            return;
        };
        let Some(cells) = board.draft.panel(at).map(|panel| size(&panel)) else { return };
        if event.button() == 0 && hold(&event) {
            event.prevent_default();
            let pixels = panel.get_bounding_client_rect();
            let from = (f64::from(event.client_x()), f64::from(event.client_y()));
            held.set_value(Some(Held { from, pixels: (pixels.width(), pixels.height()), cells }));
        }
    };
    let over = move |event: PointerEvent| {
        let Some(Held { from, pixels, cells }) = held.get_value() else { return };
        let moved = (f64::from(event.client_x()) - from.0, f64::from(event.client_y()) - from.1);
        let width = resized(cells.0, pixels.0, moved.0, MAX_WIDTH);
        resize(board.draft, at, width, resized(cells.1, pixels.1, moved.1, MAX_HEIGHT));
    };
    let key = move |event: KeyboardEvent| {
        let (wider, higher) = match &*event.key() {
            "ArrowLeft" => (-1, 0),
            "ArrowRight" => (1, 0),
            "ArrowUp" => (0, -1),
            "ArrowDown" => (0, 1),
            _ => return,
        };
        event.prevent_default();
        let Some((width, height)) = board.draft.panel(at).map(|panel| size(&panel)) else { return };
        resize(board.draft, at, width.saturating_add_signed(wider), height.saturating_add_signed(higher));
    };
    view! {
        <button
            type="button"
            class="grip corner"
            data-testid="grip-resize"
            aria-label=format!("Resize panel {}: drag it, or use the arrow keys", at + 1)
            title="Resize: drag, or the arrow keys"
            on:pointerdown=down
            on:pointermove=over
            on:pointerup=move |_| held.set_value(None)
            on:pointercancel=move |_| held.set_value(None)
            on:keydown=key
        >
            <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                <path d="M17 7L7 17M17 13l-4 4" />
            </svg>
        </button>
    }
}

fn target(event: &PointerEvent) -> Option<HtmlElement> {
    event.current_target()?.dyn_into().ok()
}

/// All that the pointer does is told to the handle until it is let go of, wherever it is.
fn hold(event: &PointerEvent) -> bool {
    target(event).is_some_and(|grip| grip.set_pointer_capture(event.pointer_id()).is_ok())
}

/// The number of the panel at a place of the window.
fn panel_at(x: f64, y: f64) -> Option<usize> {
    let panel = document().element_from_point(x as f32, y as f32)?.closest("[data-panel]").ok()??;
    panel.get_attribute("data-panel")?.parse().ok()
}

/// Gives the focus to the handle of a panel that was moved there.
fn focus(at: usize) {
    request_animation_frame(move || {
        let handle = document().query_selector(&format!("[data-panel='{at}'] .grip")).ok().flatten();
        if let Some(handle) = handle.and_then(|handle| handle.dyn_into::<HtmlElement>().ok()) {
            // Refused only to what can't have it, which a button can.
            drop(handle.focus());
        }
    });
}
