//! The page `/sql`: a query, its answer as a grid, a chart or a plan, its error at its place, the queries before.
//!
//! ```text
//! Editor ──► Desk ── POST sql, rows as they come ──► Answer ──► Grid, Chart, Plan
//!   ▲          │                                        └────► Tools: copy, save, pin, link
//!   └─ Catalog └──► Trouble, Past
//! ```

mod catalog;
mod chart;
mod desk;
mod editor;
mod grid;
mod past;
mod plan;
mod tables;
mod tools;
mod trouble;

use leptos::prelude::*;

use super::shell::{ListState, Live, Route, Theme};
use crate::protocol::Wanted;
use crate::view::explain;
use crate::view::history::headline;
use crate::view::zone::Zone;

use catalog::Tables;
use chart::ChartOf;
use desk::Desk;
use editor::{Editor, Place};
use grid::Grid;
use past::Past;
use plan::PlanOf;
use tables::TableLinks;
use tools::Tools;
use trouble::Trouble;

/// What a live query needs of the stream: that its tables have other epochs, not their rows.
const LIVE_LAST_MS: i64 = 1;

#[component]
pub(super) fn Query(live: Live, route: Route, theme: Theme, zone: Memo<Zone>) -> impl IntoView {
    let desk = Desk::of_tab();
    let tables = Tables::of_tab();
    let place = RwSignal::new(None::<Place>);
    untrack(|| follow(desk, route));
    suggest(desk, live, tables);
    keep_live(desk, live);
    tables.look_up(desk.text);
    let plans = Memo::new(move |_| {
        desk.number();
        desk.with(explain::plans)
    });
    let shows_grid = Memo::new(move |_| desk.number() != 0 && plans.with(Option::is_none));
    let is_outdated = Memo::new(move |_| desk.is_outdated());
    // A quick query's own answer comes before one could read what is said of the old one.
    let is_left = Memo::new(move |_| is_outdated.get() && !desk.is_running.get());
    view! {
        <section class="query" aria-labelledby="query">
            <div class="section-head">
                <h1 id="query">"SQL"</h1>
                <p class="quiet">"One SELECT, EXPLAIN, SHOW or DESCRIBE, over result tables and the system tables of the schema " <code>"weir"</code> "."</p>
            </div>
            <Editor desk route tables place />
            <div class="actions">
                <button type="button" class="primary" data-testid="sql-run" on:click=move |_| desk.start(route)>
                    "Run"
                </button>
                <kbd>"Ctrl+Enter"</kbd>
                <button
                    type="button"
                    data-testid="sql-cancel"
                    hidden=Signal::derive(move || !desk.is_running.get() || desk.is_live.get())
                    on:click=move |_| desk.cancel()
                >
                    "Cancel"
                </button>
                <p class="quiet figure" role="status" data-testid="sql-summary">{Signal::derive(move || desk.sentence())}</p>
            </div>
            <Trouble desk place />
            <Tools desk tables is_plan=Signal::derive(move || plans.with(Option::is_some)) live route hidden=Signal::derive(move || desk.number() == 0 || is_left.get()) />
            <p class="outdated-note" data-testid="sql-outdated" hidden=Signal::derive(move || !is_left.get())>
                "Below is still the answer to the query before: "
                <code>{move || headline(&desk.answered())}</code>
            </p>
            <div class:outdated=is_outdated>
                {move || plans.get().map(|plans| view! { <PlanOf plans /> })}
                {move || (shows_grid.get() && desk.is_drawn.get()).then(|| view! { <ChartOf desk theme zone /> })}
                {move || shows_grid.get().then(|| view! { <Grid desk zone /> })}
            </div>
        </section>
        <TableLinks desk route tables />
        <Past live desk route />
    }
}

/// Takes the query that the address names: from a link, a reload, or the way back. It runs, unless it has run.
fn follow(desk: Desk, route: Route) {
    let answered = desk.answered();
    if route.with(|address| address.query.is_none()) && !answered.is_empty() {
        // Who comes back finds the answer as it was, and its address.
        route.replace(|address| address.query = Some(answered));
    }
    let named = Memo::new(move |_| route.with(|address| address.query.clone()));
    Effect::new(move |_| {
        if let Some(query) = named.get()
            && !desk.knows(&query)
        {
            desk.text.set(query);
            desk.start(route);
        }
    });
}

/// Offers a query for the first pipeline, unless there is one already: the newest rows, as soon as it is known which those are.
fn suggest(desk: Desk, live: Live, tables: Tables) {
    Effect::new(move |offered: Option<Option<String>>| {
        if live.list() == ListState::Loading {
            return None;
        }
        let first = untrack(|| live.read(|store| store.pipelines().first().map(|first| first.name.clone())));
        let is_ours =
            desk.text.with_untracked(|text| text.is_empty() || offered.flatten().as_ref() == Some(text));
        if !is_ours {
            return None;
        }
        let query = tables.suggestion(first.as_deref());
        desk.text.set(query.clone());
        Some(query)
    });
}

/// Runs a live query again with each epoch of what it reads, when the run before has ended.
fn keep_live(desk: Desk, live: Live) {
    let read = Memo::new(move |_| match desk.is_live.get() {
        true => desk.with(|answer| answer.epochs().keys().cloned().collect()),
        false => Vec::new(),
    });
    Effect::new(move |_| live.want(Wanted { tables: read.get(), last_ms: LIVE_LAST_MS }));
    Effect::new(move |_| {
        live.track();
        // The clock, too: what reads no result table has no epochs.
        live.now_ms();
        desk.is_running.track();
        desk.refresh(live);
    });
    // Epochs that ended while a run was under way, or sooner after it than it may run again.
    let every = std::time::Duration::from_millis(125);
    let look = move || {
        if !document().hidden() {
            untrack(|| desk.refresh(live));
        }
    };
    if let Ok(handle) = set_interval_with_handle(look, every) {
        on_cleanup(move || handle.clear());
    }
}
