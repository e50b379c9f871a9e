//! Above each panel of a draft: what moves, resizes and removes it.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use weir_api::Panel;

use super::Draft;
use super::grip::MoveGrip;
use crate::chart::kind;
use crate::page::board::Board;
use crate::page::dropdown::Dropdown;

/// Columns of the grid, and lines that a panel may take.
pub(super) const MAX_WIDTH: u8 = 12;
pub(super) const MAX_HEIGHT: u8 = 6;

#[component]
pub(in crate::page::board) fn Strip(board: Board, at: usize) -> impl IntoView {
    let draft = board.draft;
    let is_selected = move || draft.selected.get() == at;
    let by = move |wider: i8, higher: i8| {
        if let Some((width, height)) = draft.panel(at).map(|panel| size(&panel)) {
            resize(draft, at, width.saturating_add_signed(wider), height.saturating_add_signed(higher));
        }
    };
    let menu = Dropdown::new();
    let item = move |label: &'static str, act: Box<dyn Fn()>| {
        view! { <button type="button" on:click=move |_| act()>{label}</button> }
    };
    // Another panel stands below the menu then.
    let go = move |to: usize| {
        menu.close();
        draft.shift(at, to);
    };
    let remove = move || {
        draft.change(|dashboard| {
            if at < dashboard.panels.len() {
                dashboard.panels.remove(at);
            }
        });
    };
    let copy = move || {
        draft.change(|dashboard| {
            if let Some(panel) = dashboard.panels.get(at).cloned() {
                dashboard.panels.insert(at + 1, panel);
            }
        });
    };
    view! {
        <div class="tools-strip" role="group" aria-label=format!("Panel {}", at + 1) data-testid=format!("strip-{}", at + 1)>
            <MoveGrip board at />
            <button
                type="button"
                data-testid="strip-change"
                aria-pressed=Signal::derive(move || if is_selected() { "true" } else { "false" })
                on:click=move |_| change(draft, at)
            >
                "Change"
            </button>
            <details
                class="menu place-menu"
                node_ref=menu.details
                on:keydown=move |event| menu.key(&event)
                on:focusout=move |event| menu.leave(&event)
            >
                <summary data-testid="strip-place">"Place"</summary>
                <div class="menu-items">
                    {item("Earlier", Box::new(move || go(at.saturating_sub(1))))}
                    {item("Later", Box::new(move || go(at + 1)))}
                    {item("Narrower", Box::new(move || by(-1, 0)))}
                    {item("Wider", Box::new(move || by(1, 0)))}
                    {item("Shorter", Box::new(move || by(0, -1)))}
                    {item("Taller", Box::new(move || by(0, 1)))}
                </div>
            </details>
            <button type="button" class="copy" title="Copy the panel" aria-label="Copy the panel" on:click=move |_| copy()>
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                    <path d="M7 7h10v10H7zM4 13H3V3h10v1" />
                </svg>
            </button>
            <button type="button" title="Remove the panel" aria-label="Remove the panel" on:click=move |_| remove()>
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                    <path d="M5 5l10 10M15 5L5 15" />
                </svg>
            </button>
        </div>
    }
}

/// Shows the form of a panel, which stands above all panels, and goes there.
fn change(draft: Draft, at: usize) {
    draft.selected.set(at);
    let field = document().query_selector("[data-testid=\"field-title\"]").ok().flatten();
    if let Some(field) = field.and_then(|field| field.dyn_into::<web_sys::HtmlElement>().ok()) {
        // Refused only for what can't have the focus.
        drop(field.focus());
        field.scroll_into_view();
    }
}

/// What a panel takes of the grid.
pub(super) fn size(panel: &Panel) -> (u8, u8) {
    let (width, height) = kind::of(panel.chart).size;
    (panel.width.unwrap_or(width), panel.height.unwrap_or(height))
}

/// Gives a panel another size, as near as the grid has one.
pub(super) fn resize(draft: Draft, at: usize, width: u8, height: u8) {
    let (width, height) = (width.clamp(1, MAX_WIDTH), height.clamp(1, MAX_HEIGHT));
    if draft.panel(at).is_some_and(|panel| size(&panel) != (width, height)) {
        draft.change_panel(at, |panel| {
            panel.width = Some(width);
            panel.height = Some(height);
        });
        draft
            .said
            .set(format!("Panel {}: {width} of {MAX_WIDTH} columns wide, {height} lines high.", at + 1));
    }
}
