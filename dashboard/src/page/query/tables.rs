//! The tables that a query may read, and their columns.

use leptos::prelude::*;

use super::catalog::Tables;
use super::desk::Desk;
use super::editor::Wish;
use crate::page::cell::breaking;
use crate::page::shell::Route;
use crate::view::complete::quoted;
use crate::view::query;

#[component]
pub(super) fn TableTree(
    desk: Desk,
    route: Route,
    tables: Tables,
    wish: RwSignal<Option<Wish>>,
) -> impl IntoView {
    let has_any = move || tables.catalog.with(|catalog| !catalog.tables.is_empty());
    let list = move |is_system: bool| {
        let shown = move || {
            let fits = |name: &&String| name.starts_with("weir.") == is_system;
            tables.catalog.with(|catalog| catalog.tables.iter().filter(fits).cloned().collect::<Vec<_>>())
        };
        view! {
            <ul>
                <For each=shown key=String::clone children=move |name| table(name, desk, route, tables, wish) />
            </ul>
        }
    };
    view! {
        <aside class="tables" aria-labelledby="tables" data-testid="sql-tables" hidden=Signal::derive(move || !has_any())>
            <h2 id="tables">"Tables"</h2>
            <p class="quiet">"A name shows the newest rows of its table."</p>
            <h3>"Results of pipelines"</h3>
            {list(false)}
            <h3>"What Weir says of itself"</h3>
            {list(true)}
        </aside>
    }
}

/// A table: its name shows its newest rows, the arrow in front its columns.
fn table(
    name: String,
    desk: Desk,
    route: Route,
    tables: Tables,
    wish: RwSignal<Option<Wish>>,
) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let columns = {
        let name = name.clone();
        Memo::new(move |_| {
            tables.catalog.with(|catalog| catalog.columns.get(&name).cloned().unwrap_or_default())
        })
    };
    let label = breaking(name.rsplit('.').next().unwrap_or(&name)).into_any();
    let described = format!("Columns of {name}");
    let read = move |_| {
        desk.text.set(columns.with_untracked(|columns| query::newest(&name, columns)));
        desk.start(route);
    };
    let column = move |column: weir_api::Column| {
        let written = quoted(&column.name);
        view! {
            <li>
                <button type="button" class="plain" title="Write it into the query" on:click=move |_| wish.set(Some(Wish::Insert(written.clone())))>
                    {breaking(&column.name)}
                </button>
                <span class="quiet">{column.sql_type.to_lowercase()}</span>
            </li>
        }
    };
    view! {
        <li>
            <button type="button" class="plain twist" aria-expanded=move || if is_open.get() { "true" } else { "false" } aria-label=described on:click=move |_| is_open.update(|is_open| *is_open = !*is_open)>
                {move || if is_open.get() { "▾" } else { "▸" }}
            </button>
            <button type="button" class="plain table-name" on:click=read>{label}</button>
            {move || is_open.get().then(|| view! { <ul class="table-columns">{columns.get().into_iter().map(column).collect_view()}</ul> })}
        </li>
    }
}
