//! The head of the page: whose numbers these are, whether they are alive, and the theme.

use leptos::prelude::*;

use super::live::Live;
use super::theme::Theme;

#[component]
pub(super) fn Header(live: Live, theme: Theme) -> impl IntoView {
    let theme_label =
        move || if theme.is_dark() { "Switch to the light theme" } else { "Switch to the dark theme" };
    view! {
        <header class="head">
            <h1>
                <svg class="brand" viewBox="0 0 20 20" aria-hidden="true">
                    <path d="M1 7c3 0 3-3 6-3v12" />
                    <path d="M7 8c5 0 4 5 12 5M7 12c4 0 4 4 12 4" />
                </svg>
                "Weir"
            </h1>
            <p class="project">{move || live.project()}</p>
            <p
                class="health"
                role="status"
                data-testid="connection-state"
                data-state=move || live.health().kind
                title=move || live.health().reason
            >
                <span class="dot" aria-hidden="true"></span>
                <span>{move || live.health().text}</span>
            </p>
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
