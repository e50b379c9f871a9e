//! The project's dashboards.

use leptos::prelude::*;

use crate::page::shell::{Live, Route};
use crate::view::address::Page;

#[component]
pub(super) fn Boards(live: Live, route: Route) -> impl IntoView {
    let boards = Memo::new(move |_| live.dashboards());
    let list = move || {
        let boards = boards.get()?;
        if boards.is_empty() {
            let text = "No dashboards yet. A file in the project's folder dashboards makes one: its panels show the result tables of pipelines.";
            return Some(view! { <p class="message">{text}</p> }.into_any());
        }
        let item = |board: weir_api::DashboardEntry| {
            let page = Page::Board(board.name.clone());
            view! {
                <li>
                    <a href=Signal::derive(move || route.link_to(page.clone()))>{board.title}</a>
                    <span class="quiet">{board.name}</span>
                </li>
            }
        };
        Some(view! { <ul>{boards.into_iter().map(item).collect_view()}</ul> }.into_any())
    };
    view! {
        <section class="boards" aria-labelledby="boards" data-testid="boards" hidden=Signal::derive(move || boards.with(Option::is_none))>
            <h2 id="boards">"Dashboards"</h2>
            {list}
        </section>
    }
}
