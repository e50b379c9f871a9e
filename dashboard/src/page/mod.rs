//! The components: what is on the screen and what a click does.
//!
//! ```text
//! App ─┬─ Header      project, connection, theme
//!      ├─ Overview    all pipelines
//!      ├─ Detail      the chosen one: chart, newest windows, definition
//!      └─ Query       SQL and its answer
//! ```
//!
//! Invariants:
//! 1. Components hold no server state: they read [`live::Live`] through the functions of `view` and `chart`.
//! 2. No style attribute and no inline script: looks are classes of `static/style.css`.
//! 3. The number of elements does not depend on how much data there is.

#![expect(unreachable_pub, reason = "the component macro writes `pub` for the components of private modules")]

mod chart;
mod definition;
mod detail;
mod header;
mod live;
mod overview;
mod query;
mod route;
mod theme;
mod windows;

use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

use live::Live;
use route::Route;
use theme::Theme;

/// Runs the page; called by the browser when the program is loaded.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| say_broken(&panic.to_string())));
    if let Some(boot) = document().get_element_by_id("boot") {
        boot.remove();
    }
    mount_to_body(App);
}

/// A program that stopped must not leave numbers behind that look alive.
fn say_broken(reason: &str) {
    web_sys::console::error_1(&reason.into());
    if let Some(body) = document().body() {
        body.set_text_content(Some("The page has failed and shows nothing more. Please reload it."));
    }
}

#[component]
fn App() -> impl IntoView {
    let live = Live::start();
    let route = Route::start();
    let theme = Theme::start();
    // The first pipeline is as good a start as any; an address that names none means it.
    let chosen = Memo::new(move |_| {
        let named = route.address().pipeline;
        named.or_else(|| live.read(|store| store.pipelines().first().map(|first| first.name.clone())))
    });
    Effect::new(move |_| {
        let parts = [chosen.get(), live.project(), Some("Weir".to_owned())];
        document().set_title(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    });
    view! {
        <div class="app" class:stale=move || live.health().is_stale>
            <header::Header live theme />
            <main>
                <overview::Overview live route chosen />
                <detail::Detail live route theme chosen />
                <query::Query live chosen />
            </main>
        </div>
    }
}
