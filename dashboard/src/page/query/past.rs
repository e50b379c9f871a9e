//! The queries that were run in this browser.

use leptos::prelude::*;

use super::desk::Desk;
use crate::page::shell::{Live, Route};
use crate::protocol::time::{self, MILLISECOND};
use crate::view::history::{Entry, age, headline};

/// Lines at most; finding narrows them.
const LINES_MAX: usize = 50;

#[component]
pub(super) fn Past(desk: Desk, route: Route, live: Live) -> impl IntoView {
    let sought = RwSignal::new(String::new());
    let found = Memo::new(move |_| desk.history.with(|history| sought.with(|sought| history.find(sought))));
    let n_all = move || desk.history.with(|history| history.entries().len());
    let line = move |entry: Entry| {
        let query = entry.query.clone();
        let use_it = move |_| {
            desk.text.set(query.clone());
            desk.start(route);
        };
        let query = entry.query.clone();
        let forget = move |_| {
            desk.history.update(|history| history.remove(&query));
            desk.keep_history();
        };
        let age = Memo::new(move |_| {
            live.now_ms();
            age(js_sys::Date::now() - entry.at_ms)
        });
        let at = time::instant_text(entry.at_ms as i64 * MILLISECOND);
        view! {
            <li>
                <button type="button" class="plain past-query" data-testid="sql-past-query" title=entry.query.clone() on:click=use_it>
                    <code>{headline(&entry.query)}</code>
                    <span class="quiet figure">{entry.outcome.clone()}</span>
                </button>
                <span class="quiet figure" title=at>{age}</span>
                <button type="button" class="plain forget" aria-label="Forget this query" title="Forget" on:click=forget>"×"</button>
            </li>
        }
    };
    view! {
        <section class="past" aria-labelledby="past" hidden=Signal::derive(move || n_all() == 0)>
            <div class="section-head">
                <h2 id="past">"Queries before"</h2>
                <p class="quiet">"Kept in this browser only. A click runs one again."</p>
                <input
                    type="search"
                    aria-label="Find a query"
                    placeholder="Find"
                    data-testid="sql-past-find"
                    prop:value=Signal::derive(move || sought.get())
                    on:input=move |event| sought.set(event_target_value(&event))
                />
            </div>
            <ul data-testid="sql-past">
                <For each=move || found.get().into_iter().take(LINES_MAX) key=|entry| (entry.query.clone(), entry.at_ms.to_bits()) children=line />
            </ul>
        </section>
    }
}
