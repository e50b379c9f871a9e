//! The dashboards in the head: a link where there is one, a menu where there are several.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Live, Route};
use crate::view::address::Page;

#[component]
pub(super) fn BoardLinks(live: Live, route: Route, page: Memo<Page>) -> impl IntoView {
    let boards = Memo::new(move |_| live.dashboards().unwrap_or_default());
    let is_here = move || page.with(|page| matches!(page, Page::Board(_)));
    let menu = NodeRef::<html::Details>::new();
    let close = move || {
        if let Some(menu) = menu.get_untracked() {
            menu.set_open(false);
        }
    };
    // Going somewhere closes it, as do Escape and leaving it.
    Effect::new(move |_| {
        page.with(|_| ());
        close();
    });
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            close();
        }
    };
    let on_leave = move |event: web_sys::FocusEvent| {
        let to = event.related_target().and_then(|target| target.dyn_into::<web_sys::Node>().ok());
        let stays = menu.get_untracked().is_some_and(|menu| menu.contains(to.as_ref()));
        if to.is_some() && !stays {
            close();
        }
    };
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
                    <details class="menu pages-menu" node_ref=menu on:keydown=on_key on:focusout=on_leave>
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
