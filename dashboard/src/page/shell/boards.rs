//! The dashboards in the head: a link where there is one, a menu where there are several.

use leptos::prelude::*;

use super::{Live, Route};
use crate::page::dropdown::Dropdown;
use crate::view::address::Page;

#[component]
pub(super) fn BoardLinks(live: Live, route: Route, page: Memo<Page>) -> impl IntoView {
    let boards = Memo::new(move |_| live.dashboards().unwrap_or_default());
    let is_here = move || page.with(|page| matches!(page, Page::Board(_)));
    let menu = Dropdown::new();
    // Going somewhere closes it, too.
    Effect::new(move |_| {
        page.with(|_| ());
        menu.close();
    });
    let link = move |name: String, text: String, is_one: bool| {
        let here = name.clone();
        let current = move || {
            page.with(|page| matches!(page, Page::Board(name) if *name == here || is_one)).then_some("page")
        };
        let to = Page::Board(name);
        view! {
            <a href=Signal::derive(move || route.link_to(to.clone())) aria-current=current>{text}</a>
        }
    };
    move || {
        let mut boards = boards.get();
        match boards.len() {
            0 => None,
            1 => Some(link(boards.remove(0).name, "Dashboard".to_owned(), true).into_any()),
            _ => Some(
                view! {
                    <details
                        class="menu pages-menu"
                        node_ref=menu.details
                        on:keydown=move |event| menu.key(&event)
                        on:focusout=move |event| menu.leave(&event)
                    >
                        <summary class:here=is_here data-testid="boards-menu">"Dashboards"</summary>
                        <div class="menu-items">
                            {boards.into_iter().map(|board| link(board.name, board.title, false)).collect_view()}
                        </div>
                    </details>
                }
                .into_any(),
            ),
        }
    }
}
