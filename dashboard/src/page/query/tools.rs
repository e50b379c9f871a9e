//! What can be done with an answer: keep it live, copy its link, save it, make a panel of it.

use leptos::prelude::*;

use super::catalog::Tables;
use super::desk::Desk;
use crate::page::copy::{CopyButton, save};
use crate::page::shell::{Live, Route};
use crate::view::address::Page;
use crate::view::board::yaml;
use crate::view::grid::export::{self, Form};
use crate::view::grid::sort;
use crate::view::pin::{self, Pin};

#[component]
pub(super) fn Tools(
    desk: Desk,
    tables: Tables,
    live: Live,
    route: Route,
    is_plan: Signal<bool>,
    hidden: Signal<bool>,
) -> impl IntoView {
    let pinned = RwSignal::new(false);
    let pressed = move |is_on: bool| if is_on { "true" } else { "false" };
    let save_as = move |form: Form| {
        desk.with(|answer| {
            let order = sort::order(answer, desk.sort.get_untracked());
            let bytes = export::file(answer, order.as_deref(), form);
            save(&form.file_name(answer, desk.answered_at_ms()), form.media_type(), &bytes);
        });
    };
    // At once: what is seen of it follows where that lasts.
    let is_old = Signal::derive(move || desk.is_old());
    let panel = Memo::new(move |_| {
        let query = desk.answered();
        pinned.get().then(|| {
            desk.with(|answer| {
                tables.catalog.with(|catalog| {
                    let columns = answer.epochs().keys().next().and_then(|table| catalog.columns.get(table));
                    pin::pin(&query, answer, columns.map(Vec::as_slice))
                })
            })
        })
    });
    let link = move |()| window().location().href().unwrap_or_default();
    view! {
        <div class="tools" role="toolbar" aria-label="Answer" hidden=hidden>
            <button type="button" class="small" data-testid="sql-live" disabled=is_old hidden=is_plan aria-pressed=move || pressed(desk.is_live.get()) title="Runs again with each epoch of the tables that it reads" on:click=move |_| desk.is_live.update(|is_live| *is_live = !*is_live)>
                "Live"
            </button>
            <button type="button" class="small" data-testid="sql-draw" disabled=is_old hidden=is_plan aria-pressed=move || pressed(desk.is_drawn.get()) title="Draws the answer above its rows" on:click=move |_| desk.is_drawn.update(|is_drawn| *is_drawn = !*is_drawn)>
                "Chart"
            </button>
            <CopyButton label="Copy link" text=link testid="sql-copy-link" />
            <button type="button" class="small" data-testid="sql-save-csv" disabled=is_old on:click=move |_| save_as(Form::Csv)>"Save CSV"</button>
            <button type="button" class="small" data-testid="sql-save-ndjson" disabled=is_old on:click=move |_| save_as(Form::Ndjson)>"Save NDJSON"</button>
            <button type="button" class="small" data-testid="sql-pin" disabled=is_old hidden=is_plan aria-expanded=move || pressed(pinned.get()) on:click=move |_| pinned.update(|pinned| *pinned = !*pinned)>
                "Pin to dashboard"
            </button>
        </div>
        {move || panel.get().filter(|_| !hidden.get()).map(|pin| view! { <PanelOf live route pin /> })}
    }
}

/// What the panel is, and the dashboards whose draft may have it.
#[component]
fn PanelOf(live: Live, route: Route, pin: Pin) -> impl IntoView {
    let Pin { panel, sentence } = pin;
    let panel = panel.map(|panel| {
        let json = serde_json::to_string(&panel).unwrap_or_default();
        let text = yaml::item(&panel);
        let copied = text.clone();
        let board = move |board: weir_api::DashboardEntry| {
            let json = json.clone();
            let href = move || {
                route.link(|address| {
                    *address = address.at(Page::Board(board.name.clone()));
                    address.pin = Some(json.clone());
                })
            };
            view! { <a class="button" data-testid="sql-pin-to" href=Signal::derive(href)>{board.title}</a> }
        };
        let boards = move || live.dashboards().unwrap_or_default().into_iter().map(board.clone()).collect_view();
        let has_boards = move || live.dashboards().is_some_and(|boards| !boards.is_empty());
        view! {
            <p class="actions" hidden=Signal::derive(move || !has_boards())>"Into the draft of" {boards}</p>
            <p class="quiet">"Or put it under panels: in a file of dashboards/, which is read at the next start."</p>
            <pre tabindex="0" role="region" aria-label="Panel" data-testid="sql-panel">{text}</pre>
            <CopyButton label="Copy the panel" text=move |()| copied.clone() testid="sql-copy-panel" />
        }
    });
    let is_whole = sentence.is_empty();
    view! {
        <div class="pin">
            <p class="quiet" hidden=is_whole>{sentence}</p>
            {panel}
        </div>
    }
}
