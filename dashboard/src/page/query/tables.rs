//! The tables that a query may read, for who has none in mind yet.

use leptos::prelude::*;

use super::catalog::Tables;
use super::desk::Desk;
use crate::page::cell::breaking;
use crate::page::shell::Route;
use crate::view::query;

/// Shown until there is an answer or an error: then the place is theirs.
#[component]
pub(super) fn TableLinks(desk: Desk, route: Route, tables: Tables) -> impl IntoView {
    let (results, system) = (links(desk, route, tables, false), links(desk, route, tables, true));
    let is_idle = move || desk.number() == 0 && desk.wrong.with(Option::is_none);
    let has_any = move || tables.catalog.with(|catalog| !catalog.tables.is_empty());
    view! {
        <section class="tables" aria-labelledby="tables" data-testid="sql-tables" hidden=Signal::derive(move || !is_idle() || !has_any())>
            <div class="section-head">
                <h2 id="tables">"Tables"</h2>
                <p class="quiet">"A click shows 100 rows of one."</p>
            </div>
            <h3>"Results of pipelines"</h3>
            {results}
            <h3>"What Weir says of itself"</h3>
            {system}
        </section>
    }
}

/// Those of the schema `weir`, or all others.
fn links(desk: Desk, route: Route, tables: Tables, is_system: bool) -> impl IntoView {
    let link = move |name: String| {
        let label = breaking(&name).into_any();
        let read = move |_| {
            desk.text.set(query::suggestion(Some(&name)));
            desk.start(route);
        };
        view! { <li><button type="button" class="small" on:click=read>{label}</button></li> }
    };
    let shown = move || {
        let fits = |name: &&String| name.starts_with("weir.") == is_system;
        tables.catalog.with(|catalog| catalog.tables.iter().filter(fits).cloned().collect::<Vec<_>>())
    };
    view! { <ul class="choices">{move || shown().into_iter().map(link).collect_view()}</ul> }
}
