//! The head of every page: where one can go, whose numbers these are, whether they are alive, and the theme.

use leptos::prelude::*;

use super::boards::BoardLinks;
use super::command::Command;
use super::{Live, Route, Theme};
use crate::view::address::Page;
use crate::view::zone::{Zone, ZoneName};

#[component]
pub(super) fn Header(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    page: Memo<Page>,
    command: Command,
) -> impl IntoView {
    let theme_label =
        move || if theme.is_dark() { "Switch to the light theme" } else { "Switch to the dark theme" };
    view! {
        <header class="head">
            <a class="brand" href=Signal::derive(move || route.link_to(Page::Overview))>
                <svg viewBox="0 0 20 20" aria-hidden="true">
                    <path d="M1 7c3 0 3-3 6-3v12" />
                    <path d="M7 8c5 0 4 5 12 5M7 12c4 0 4 4 12 4" />
                </svg>
                "Weir"
            </a>
            <p class="project">{Signal::derive(move || live.project())}</p>
            <Navigation live route page />
            <p
                class="health"
                role="status"
                data-testid="connection-state"
                data-state=Signal::derive(move || live.health().kind)
                title=Signal::derive(move || live.health().reason)
            >
                <span class="dot" aria-hidden="true"></span>
                <span>{Signal::derive(move || live.health().text)}</span>
            </p>
            <button
                class="plain find"
                type="button"
                data-testid="palette-open"
                aria-keyshortcuts="Control+K"
                aria-label="Find, Ctrl K"
                title="Find a pipeline, a dashboard, a page or an action"
                on:click=move |_| command.open()
            >
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                    <circle cx="8.5" cy="8.5" r="5" />
                    <path d="M12.5 12.5L17 17" />
                </svg>
                <kbd aria-hidden="true">"Ctrl K"</kbd>
            </button>
            <ZoneSwitch route zone />
            <button
                class="plain"
                type="button"
                data-testid="theme-switch"
                aria-label=theme_label
                title=theme_label
                on:click=move |_| theme.toggle()
            >
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                    <circle cx="10" cy="10" r="6.5" />
                    <path class="filled" d="M10 3.5a6.5 6.5 0 0 1 0 13z" />
                </svg>
            </button>
        </header>
    }
}

/// The pages. A pipeline's page belongs to the overview, from which one comes.
#[component]
fn Navigation(live: Live, route: Route, page: Memo<Page>) -> impl IntoView {
    let item = move |to: Page, text: &'static str, is_here: fn(&Page) -> bool| {
        view! {
            <a href=Signal::derive(move || route.link_to(to.clone())) aria-current=Signal::derive(move || page.with(is_here).then_some("page"))>
                {text}
            </a>
        }
    };
    view! {
        <nav class="pages" aria-label="Pages">
            {item(Page::Overview, "Overview", |page| matches!(page, Page::Overview | Page::Pipeline(_)))}
            <BoardLinks live route page />
            {item(Page::Sql, "SQL", |page| matches!(page, Page::Sql))}
            {item(Page::Letters, "Dead letters", |page| matches!(page, Page::Letters))}
        </nav>
    }
}

/// The zone in which times are shown; a click goes from UTC to the browser's own and back.
#[component]
fn ZoneSwitch(route: Route, zone: Memo<Zone>) -> impl IntoView {
    let switch = move |_| {
        route.replace(|address| {
            address.zone = match address.zone {
                ZoneName::Utc => ZoneName::Local,
                _ => ZoneName::Utc,
            };
        });
    };
    view! {
        <button
            class="plain zone"
            type="button"
            data-testid="zone-switch"
            title="Times are in this zone. Switch between UTC and local time."
            on:click=switch
        >
            <span class="unseen">"Time zone "</span>
            {Signal::derive(move || zone.with(|zone| zone.label.clone()))}
        </button>
    }
}
