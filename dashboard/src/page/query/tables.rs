//! The tables that a query may read, for who has none in mind yet.

use leptos::prelude::*;

use super::catalog::Tables;
use super::desk::Desk;
use crate::page::cell::breaking;
use crate::page::shell::Route;

/// Open until there is an answer or an error: then the place is theirs, and the list is a click away.
#[component]
pub(super) fn TableLinks(desk: Desk, route: Route, tables: Tables) -> impl IntoView {
    let (results, system) = (links(desk, route, tables, false), links(desk, route, tables, true));
    let is_idle = Memo::new(move |_| desk.number() == 0 && desk.wrong.with(Option::is_none));
    let has_any = move || tables.catalog.with(|catalog| !catalog.tables.is_empty());
    view! {
        <section class="tables" data-testid="sql-tables" hidden=Signal::derive(move || !has_any())>
            <details prop:open=is_idle>
                <summary>
                    <h2>"Tables"</h2>
                    <span class="quiet">"A click shows 100 rows of one, the newest first."</span>
                </summary>
                <h3>"Results of pipelines"</h3>
                {results}
                <h3>"What Weir says of itself"</h3>
                {system}
            </details>
        </section>
    }
}

/// Those of the schema `weir`, or all others, with their columns as far as they are known.
fn links(desk: Desk, route: Route, tables: Tables, is_system: bool) -> impl IntoView {
    let link = move |(name, columns): (String, String)| {
        let label = breaking(&name).into_any();
        let read = move |_| {
            desk.text.set(untrack(|| tables.suggestion(Some(&name))));
            desk.start(route);
        };
        view! {
            <li>
                <button type="button" class="small" on:click=read>{label}</button>
                <span class="quiet">{columns}</span>
            </li>
        }
    };
    let shown = Memo::new(move |_| {
        tables.catalog.with(|catalog| {
            let fits = catalog.tables.iter().filter(|name| name.starts_with("weir.") == is_system);
            fits.map(|name| (name.clone(), catalog.column_names(name))).collect::<Vec<_>>()
        })
    });
    view! { <ul class:with-columns=!is_system class="choices">{move || shown.get().into_iter().map(link).collect_view()}</ul> }
}
