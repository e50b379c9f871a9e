//! What can be done with a panel.

use leptos::prelude::*;

use super::export;
use super::inspect::sql_of;
use super::panel::{Content, Source};
use crate::chart::kind::{self, Way};
use crate::page::dropdown::Dropdown;
use crate::view::address::Page;
use crate::view::board::grid::csv;

#[component]
pub(super) fn Menu(
    source: Source,
    content: Memo<Content>,
    title: Memo<String>,
    complete: Signal<String>,
    as_table: RwSignal<bool>,
    enlarged: Memo<Option<usize>>,
) -> impl IntoView {
    let menu = Dropdown::new();
    view! {
        <details
            class="menu"
            node_ref=menu.details
            on:keydown=move |event| menu.key(&event)
            on:focusout=move |event| menu.leave(&event)
        >
            <summary data-testid="panel-menu" aria-label=move || format!("Actions of {}", title.get()) title="Actions">
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                    <circle class="filled" cx="4" cy="10" r="1.6" />
                    <circle class="filled" cx="10" cy="10" r="1.6" />
                    <circle class="filled" cx="16" cy="10" r="1.6" />
                </svg>
            </summary>
            <Items source content title complete as_table enlarged menu />
        </details>
    }
}

#[component]
fn Items(
    source: Source,
    content: Memo<Content>,
    title: Memo<String>,
    complete: Signal<String>,
    as_table: RwSignal<bool>,
    enlarged: Memo<Option<usize>>,
    menu: Dropdown,
) -> impl IntoView {
    let board = source.board;
    let way = move || source.panel.with(|panel| panel.as_ref().map(|panel| kind::of(panel.chart).way));
    let is_canvas = move || matches!(way(), Some(Way::Canvas { .. }));
    let is_table = move || matches!(way(), Some(Way::Rows));
    let save_csv = move |_| {
        menu.close();
        if let Some(grid) = untrack(|| source.grid()) {
            export::save(&export::file_name(&title.get_untracked(), "csv"), "text/csv", &csv(&grid));
        }
    };
    let save_png = move |_| {
        menu.close();
        export::save_png(source, content, &title.get_untracked(), &complete.get_untracked());
    };
    let sql_href = move || {
        let mut address = board.route.address().at(Page::Sql);
        address.query = sql_of(source);
        address.href()
    };
    let enlarge_href = move || {
        let is_enlarged = enlarged.get() == Some(source.at);
        board.route.link(|address| address.panel = (!is_enlarged).then_some(source.at + 1))
    };
    view! {
        <div class="menu-items">
            <button
                type="button"
                data-testid="panel-as-table"
                hidden=is_table
                aria-pressed=Signal::derive(move || if as_table.get() { "true" } else { "false" })
                on:click=move |_| {
                    menu.close();
                    as_table.update(|as_table| *as_table = !*as_table);
                }
            >
                {move || if as_table.get() { "Show the chart" } else { "Show as a table" }}
            </button>
            <a href=enlarge_href data-testid="panel-enlarge" on:click=move |_| menu.close()>
                {move || if enlarged.get() == Some(source.at) { "Show all panels" } else { "Enlarge" }}
            </a>
            <button
                type="button"
                data-testid="panel-inspect"
                on:click=move |_| {
                    menu.close();
                    board.inspected.set(Some(source));
                }
            >
                "Inspect"
            </button>
            <a href=sql_href data-testid="panel-sql">"Open in SQL"</a>
            <button type="button" data-testid="panel-csv" on:click=save_csv>"Save as CSV"</button>
            <button type="button" data-testid="panel-png" hidden=move || !is_canvas() on:click=save_png>"Save as PNG"</button>
        </div>
    }
}
