//! A stretch of time by its bounds, for who knows them; a drag over a chart does the same for who sees it.

use leptos::html;
use leptos::prelude::*;

use super::Board;
use super::controls::bounds;
use crate::page::dropdown::Dropdown;
use crate::view::board::span::{bound, bound_text, zoomed};

#[component]
pub(super) fn Between(board: Board) -> impl IntoView {
    let menu = Dropdown::new();
    let (from, to) = (NodeRef::<html::Input>::new(), NodeRef::<html::Input>::new());
    let is_wrong = RwSignal::new(false);
    // What is shown now, to start from.
    let fill = move |_| {
        let Some((first, last)) = untrack(|| bounds(board)) else { return };
        is_wrong.set(false);
        for (field, instant) in [(from, first), (to, last)] {
            if let Some(field) = field.get_untracked() {
                field.set_value(&board.zone.with_untracked(|zone| bound_text(instant, zone)));
            }
        }
    };
    let read = move |field: NodeRef<html::Input>| {
        let text = field.get_untracked()?.value();
        board.zone.with_untracked(|zone| bound(&text, zone))
    };
    let show = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let range = read(from).zip(read(to)).filter(|(from, to)| from < to);
        let range = range.and_then(|(from, to)| zoomed(from as f64, to as f64));
        is_wrong.set(range.is_none());
        if range.is_some() {
            board.route.go(|address| address.range = range);
            menu.close();
        }
    };
    let field = move |label: &'static str, field: NodeRef<html::Input>, testid: &'static str| {
        view! {
            <label>
                <span>{label}</span>
                <input node_ref=field type="datetime-local" step="1" required data-testid=testid />
            </label>
        }
    };
    view! {
        <details
            class="menu between"
            node_ref=menu.details
            on:toggle=fill
            on:keydown=move |event| menu.key(&event)
            on:focusout=move |event| menu.leave(&event)
        >
            <summary data-testid="between">"From – to"</summary>
            <form class="menu-items" on:submit=show>
                {field("From", from, "between-from")}
                {field("To", to, "between-to")}
                <p class="quiet">{move || board.zone.with(|zone| format!("Times are {}.", zone.label))}</p>
                <p class="warn" role="status">{move || is_wrong.get().then_some("From has to be before To.")}</p>
                <button type="submit" class="primary" data-testid="between-show">"Show"</button>
            </form>
        </details>
    }
}
