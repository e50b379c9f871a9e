//! The rows of an answer, however many: only those in sight are on the page.
//!
//! ```text
//! scroll, size ──► layout ──► rows and columns in sight ──► Rows (made anew only where others come into sight)
//! keys, pointer ──► Selection ──► Marks, what is copied, the whole text of the active cell
//! ```
//!
//! Invariants:
//! 1. The number of elements depends on the size of the box, not on the answer.
//! 2. Lengths that depend on the answer are set through the object model (the content security policy allows that, and
//!    no style attribute in markup): [`Place`].

mod rows;
mod scroll;
mod state;

use leptos::html;
use leptos::prelude::*;

use super::desk::Desk;
use crate::view::grid::layout::{self, ROW_HEIGHT};
use crate::view::grid::select::Move;
use crate::view::zone::Zone;

use rows::{Head, Marks, Rows};
use scroll::{Place, px};
use state::State;

#[component]
pub(super) fn Grid(desk: Desk, zone: Memo<Zone>) -> impl IntoView {
    let body = NodeRef::<html::Div>::new();
    let state = State::follow(desk, zone, body);
    let State { n_rows, columns, selection, space, .. } = state;
    Place::follow(space, move || {
        let height = n_rows.get() as f64 * ROW_HEIGHT;
        columns.with(|columns| [("height", px(height)), ("width", px(layout::width(columns)))])
    });
    // As high as its rows, where those are few.
    Place::follow(body, move || [("--whole", px(layout::height(n_rows.get())))]);
    let is_empty = move || n_rows.get() == 0 && !desk.is_running.get();
    let on_down = move |event: web_sys::PointerEvent| {
        if event.button() == 0 {
            state.choose_at(&event, event.shift_key());
        }
    };
    let on_move = move |event: web_sys::PointerEvent| {
        // A finger that moves scrolls.
        if event.buttons() == 1 && event.pointer_type() == "mouse" {
            state.choose_at(&event, true);
        }
    };
    let text = move || {
        let (name, text) = state.active_text()?;
        Some(view! { <b>{name}</b> " " {text} })
    };
    let active_id = move || selection.get().map(|it| rows::cell_id(it.active.row, it.active.column));
    view! {
        <div
            class="grid"
            node_ref=body
            role="grid"
            tabindex="0"
            aria-label="Answer. Arrows choose a cell, Ctrl+C copies, S orders by the column"
            aria-rowcount=move || (n_rows.get() + 1).to_string()
            aria-colcount=move || columns.with(|columns| columns.len().to_string())
            aria-activedescendant=active_id
            data-testid="sql-result"
            on:keydown=move |event| state.on_key(&event)
        >
            <Head state />
            <div class="grid-space" role="presentation" node_ref=space on:pointerdown=on_down on:pointermove=on_move>
                <Marks state />
                <Rows state />
            </div>
        </div>
        <p class="message" data-testid="sql-empty" hidden=Signal::derive(move || !is_empty())>
            "No rows: nothing fits the query. A condition may be too narrow, or nothing has come yet; weir.partitions has how far each topic has been read."
        </p>
        <div class="grid-foot">
            <p class="quiet figure" data-testid="sql-place">{move || state.place()}</p>
            <button type="button" class="small" data-testid="sql-first" hidden=Signal::derive(move || !state.is_cut()) on:click=move |_| state.jump(Move::First)>"First row"</button>
            <button type="button" class="small" data-testid="sql-last" hidden=Signal::derive(move || !state.is_cut()) on:click=move |_| state.jump(Move::Last)>"Last row"</button>
            <p class="copied" role="status" data-testid="sql-copied">{state.copied}</p>
        </div>
        <p class="grid-cell figure" data-testid="sql-cell" hidden=Signal::derive(move || selection.with(Option::is_none))>{text}</p>
    }
}
