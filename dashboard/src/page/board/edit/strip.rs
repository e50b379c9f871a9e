//! Above each panel of a draft: what moves, resizes and removes it.

use leptos::prelude::*;
use weir_api::Panel;

use super::Draft;
use super::grip::MoveGrip;
use crate::chart::kind;
use crate::page::board::Board;

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
            <MoveGrip board at />
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
            {button("Narrower", "W−", Box::new(move || by(-1, 0)))}
            {button("Wider", "W+", Box::new(move || by(1, 0)))}
            {button("Lower", "H−", Box::new(move || by(0, -1)))}
            {button("Higher", "H+", Box::new(move || by(0, 1)))}
            {button("Copy the panel", "+", Box::new(copy))}
            {button("Remove the panel", "✕", Box::new(remove))}
        </div>
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
