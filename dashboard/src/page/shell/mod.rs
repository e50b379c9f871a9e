//! What stands around every page: the address, the head with its navigation, the connection, the theme.
//!
//! ```text
//! App ─┬─ Header          navigation, project, connection, theme
//!      └─ main ── Page of the address: overview, pipeline, dashboard, query, …
//! ```
//!
//! Invariants:
//! 1. A page is made anew when the kind of page changes, never for another name or another query of it.
//! 2. All but the overview are parts: their code is loaded when they are first shown.

mod again;
mod boards;
mod command;
mod header;
mod link;
mod live;
mod part;
mod refusal;
mod route;
mod tabs;
mod theme;
mod zone;

use leptos::prelude::*;

pub(super) use again::{Again, get_again, late_again, sql_again};
pub(super) use live::{ListState, Live};
pub(super) use part::{NotLoaded, part};
pub(super) use route::Route;
pub(super) use theme::Theme;

use command::{Command, CommandWindow};
use refusal::Refusal;

use super::{overview, parts};
use crate::protocol::Wanted;
use crate::view::address::Page;

#[component]
pub(super) fn App() -> impl IntoView {
    let live = Live::start();
    let route = Route::start();
    let theme = Theme::start();
    let zone = zone::follow(route);
    let command = Command::start();
    let page = Memo::new(move |_| route.with(|address| address.page.clone()));
    Effect::new(move |_| {
        let parts = [Some(title(&page.get())), live.project(), Some("Weir".to_owned())];
        document().set_title(&parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    });
    let kind = Memo::new(move |_| page.with(std::mem::discriminant));
    let name = Memo::new(move |_| page.with(|page| page.name().unwrap_or_default().to_owned()));
    let body = move || {
        // Read, not only tracked: a memo that nobody reads follows nothing.
        kind.with(|_| ());
        match page.get_untracked() {
            Page::Overview => view! { <overview::Overview live route /> }.into_any(),
            Page::Pipeline(_) => {
                part(parts::load_pipeline, move || parts::pipeline(live, route, theme, zone, name))
            }
            Page::Sql => part(parts::load_sql, move || parts::sql(live, route, theme, zone)),
            Page::Board(_) => part(parts::load_board, move || parts::board(live, route, theme, zone, name)),
            Page::Letters => part(parts::load_letters, move || parts::letters(live, route, zone)),
            Page::Missing(_) => view! { <Missing live route /> }.into_any(),
        }
    };
    view! {
        <div class="app" class:stale=Signal::derive(move || live.health().is_stale)>
            <a class="skip" href="#main">"Skip to the content"</a>
            <header::Header live route theme zone page command />
            <main id="main" tabindex="-1">
                <div hidden=Signal::derive(move || refusal::is_whole(live))>{body}</div>
                <Refusal live />
            </main>
            <CommandWindow command live route theme />
        </div>
    }
}

/// An address that is none of ours: the server answers with the page where a browser asks for one.
#[component]
fn Missing(live: Live, route: Route) -> impl IntoView {
    // As everywhere: the head says whether the server is there.
    live.want(Wanted::default());
    let path = move || route.with(|address| address.page.path());
    view! {
        <section class="empty">
            <h1>"There is no page here"</h1>
            <p class="message">
                "Nothing is at " <code>{path}</code> ". The " <a href=Signal::derive(move || route.link_to(Page::Overview))>"overview"</a>
                " has all pipelines and dashboards."
            </p>
        </section>
    }
}

fn title(page: &Page) -> String {
    match page {
        Page::Overview => "Overview".to_owned(),
        Page::Pipeline(name) | Page::Board(name) => name.clone(),
        Page::Sql => "SQL".to_owned(),
        Page::Letters => "Dead letters".to_owned(),
        Page::Missing(_) => "No page".to_owned(),
    }
}
