//! The page `/sql`: a query, its answer as a grid, a chart or a plan, its error at its place, the queries before.
//!
//! ```text
//! Editor ──► Desk ── POST sql, rows as they come ──► Answer ──► Grid, Chart, Plan
//!   ▲          │                                        └────► Tools: copy, save, pin, link
//!   ├─ Tables  └──► Trouble, Past
//!   └─ TableTree
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

use super::shell::{Live, Route, Theme};
use crate::protocol::Wanted;
use crate::view::address::Page;
use crate::view::explain;
use crate::view::history::headline;
use crate::view::query;
use crate::view::zone::Zone;

use catalog::Tables;
use chart::ChartOf;
use desk::Desk;
use editor::{Editor, Wish};
use grid::Grid;
use past::Past;
use plan::PlanOf;
use tables::TableTree;
use tools::Tools;
use trouble::Trouble;

/// What a live query needs of the stream: that its tables have other epochs, not their rows.
const LIVE_LAST_MS: i64 = 1;

#[component]
pub(super) fn Query(live: Live, route: Route, theme: Theme, zone: Memo<Zone>) -> impl IntoView {
    let desk = Desk::of_tab();
    let tables = Tables::of_tab();
    let wish = RwSignal::new(None::<Wish>);
    untrack(|| follow(desk, route));
    suggest(desk, tables);
    keep_live(desk, live);
    tables.look_up(live);
    view! {
        <div class="query-page">
            <section class="query" aria-labelledby="query">
                <div class="section-head">
                    <h1 id="query">"SQL"</h1>
                    <p class="quiet">
                        "SELECT, EXPLAIN, SHOW TABLES and DESCRIBE over the results of pipelines and the system tables in " <code>"weir"</code> "."
                    </p>
                </div>
                <Editor desk route tables wish />
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
                    <p class="quiet figure" role="status" data-testid="sql-summary">{Signal::derive(move || desk.sentence(live))}</p>
                </div>
                <Trouble desk wish />
                <AnswerOf desk live route tables theme zone />
            </section>
            <TableTree desk route tables wish />
            <Past desk route live />
        </div>
    }
}

/// The answer, and what can be done with it.
#[component]
fn AnswerOf(
    desk: Desk,
    live: Live,
    route: Route,
    tables: Tables,
    theme: Theme,
    zone: Memo<Zone>,
) -> impl IntoView {
    let plans = Memo::new(move |_| {
        desk.number();
        desk.with(explain::plans)
    });
    let shows_grid = Memo::new(move |_| desk.number() != 0 && plans.with(Option::is_none));
    let looks_old = Memo::new(move |_| desk.looks_old());
    view! {
        <div class="sql-answer" class:old=looks_old>
            <div class="old-note" data-testid="sql-old" hidden=Signal::derive(move || !looks_old.get())>
                <p>"Below is still the answer to another query: " <code>{move || headline(&desk.answered())}</code></p>
                <button type="button" class="small" data-testid="sql-old-return" on:click=move |_| desk.return_to_answer(route)>"Back to that query"</button>
            </div>
            <Tools
                desk
                tables
                live
                route
                is_plan=Signal::derive(move || plans.with(Option::is_some))
                hidden=Signal::derive(move || desk.number() == 0 || looks_old.get())
            />
            {move || plans.get().map(|plans| view! { <PlanOf plans /> })}
            {move || (shows_grid.get() && desk.is_drawn.get()).then(|| view! { <ChartOf desk theme zone /> })}
            {move || shows_grid.get().then(|| view! { <Grid desk zone /> })}
        </div>
    }
}

/// Takes the query that the address names: from a link, a reload, or the way back. It runs, unless it has run.
fn follow(desk: Desk, route: Route) {
    let asked = desk.asked();
    if route.with(|address| address.query.is_none()) && !asked.is_empty() {
        // Who comes back finds everything as it was, and its address.
        route.replace(|address| address.query = Some(asked));
    }
    let named = Memo::new(move |_| route.with(|address| address.query.clone()));
    if let Some(query) = named.get_untracked()
        && !desk.has_run(&query)
        && !desk.has_answer(&query)
    {
        desk.awaited.set(Some(route.with_untracked(|address| address.look.clone())));
    }
    // The address follows what is chosen here, so that a reload and a link give the same.
    let look = Memo::new(move |_| desk.look());
    Effect::new(move |_| {
        let Some(look) = look.get() else { return };
        // Once more while the page goes, for another one's address.
        if route.with_untracked(|address| address.page == Page::Sql && address.look != look) {
            route.replace(|address| address.look = look);
        }
    });
    Effect::new(move |_| match named.get() {
        Some(query) if desk.has_run(&query) => {}
        Some(query) if desk.has_answer(&query) => desk.return_to_answer(route),
        Some(query) => desk.open(query, route.with_untracked(|address| address.look.clone())),
        None => {}
    });
}

/// Offers a query for the newest rows of the first result, unless there is a query already.
fn suggest(desk: Desk, tables: Tables) {
    Effect::new(move |was_offered: Option<bool>| {
        let offered = tables.catalog.with(|catalog| {
            let first = catalog.results().find(|table| catalog.columns.contains_key(*table));
            let table = first.map_or("weir.pipelines", String::as_str);
            (!catalog.tables.is_empty()).then(|| {
                query::newest(table, catalog.columns.get(table).map(Vec::as_slice).unwrap_or_default())
            })
        });
        match offered {
            Some(offered) if was_offered != Some(true) => {
                if desk.text.with_untracked(String::is_empty) && !is_being_written() {
                    desk.text.set(offered);
                }
                true
            }
            _ => was_offered.unwrap_or(false),
        }
    });
}

/// Whether somebody is about to write: what is offered then would be in their way.
fn is_being_written() -> bool {
    let active = document().active_element();
    active.is_some_and(|active| active.matches("textarea, .codemirror").unwrap_or(false))
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
