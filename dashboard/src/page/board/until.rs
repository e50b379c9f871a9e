//! What a panel's numbers are of, how complete they are, and what is in none of them.

use leptos::prelude::*;

use super::panel::Source;
use crate::view::address::Page;

#[component]
pub(super) fn Until(
    source: Source,
    span: Signal<String>,
    complete: Signal<String>,
    late: Signal<String>,
) -> impl IntoView {
    let href = move || {
        let pipeline = source.panel.with(|panel| panel.as_ref().map(|panel| panel.pipeline.clone()));
        source.board.route.link(|address| {
            *address = address.at(Page::Letters);
            // Whenever they came.
            address.range = None;
            address.letters.pipeline = pipeline;
            address.letters.reason = Some("late_row".to_owned());
        })
    };
    view! {
        <p class="until figure">
            <span class="span" data-testid="panel-span" hidden=Signal::derive(move || span.with(String::is_empty))>{span}</span>
            <span data-testid="panel-complete">{complete}</span>
            <a
                class="late"
                href=Signal::derive(href)
                title="Rows that came after their windows had closed: they are dead letters and not in these numbers"
                data-testid="panel-late"
                hidden=Signal::derive(move || late.with(String::is_empty))
            >
                {late}
            </a>
        </p>
    }
}
