//! Above each panel of a draft: what moves, resizes and removes it.

use leptos::prelude::*;
use weir_api::Panel;

use crate::chart::kind;
use crate::page::board::Board;

/// Columns of the grid, and lines that a panel may take.
const MAX_WIDTH: u8 = 12;
const MAX_HEIGHT: u8 = 6;

#[component]
pub(in crate::page::board) fn Strip(board: Board, at: usize) -> impl IntoView {
    let draft = board.draft;
    let is_selected = move || draft.selected.get() == at;
    let resize = move |wider: i8, higher: i8| {
        draft.change_panel(at, |panel| {
            let (width, height) = size(panel);
            panel.width = Some(width.saturating_add_signed(wider).clamp(1, MAX_WIDTH));
            panel.height = Some(height.saturating_add_signed(higher).clamp(1, MAX_HEIGHT));
        });
    };
    let button = move |label: &'static str, sign: &'static str, act: Box<dyn Fn()>| {
        view! {
            <button type="button" title=label aria-label=label on:click=move |_| act()>{sign}</button>
        }
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
        <div class="strip" role="group" aria-label=format!("Panel {}", at + 1) data-testid=format!("strip-{}", at + 1)>
            <button
                type="button"
                data-testid="strip-change"
                aria-pressed=Signal::derive(move || if is_selected() { "true" } else { "false" })
                on:click=move |_| draft.selected.set(at)
            >
                "Change"
            </button>
            {button("Move forward", "←", Box::new(move || draft.shift(at, at.saturating_sub(1))))}
            {button("Move back", "→", Box::new(move || draft.shift(at, at + 1)))}
            {button("Narrower", "W−", Box::new(move || resize(-1, 0)))}
            {button("Wider", "W+", Box::new(move || resize(1, 0)))}
            {button("Lower", "H−", Box::new(move || resize(0, -1)))}
            {button("Higher", "H+", Box::new(move || resize(0, 1)))}
            {button("Copy the panel", "+", Box::new(copy))}
            {button("Remove the panel", "✕", Box::new(remove))}
        </div>
    }
}

/// What a panel takes of the grid.
fn size(panel: &Panel) -> (u8, u8) {
    let (width, height) = kind::of(panel.chart).size;
    (panel.width.unwrap_or(width), panel.height.unwrap_or(height))
}
