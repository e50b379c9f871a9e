//! The components: what is on the screen and what a click does.
//!
//! ```text
//! shell ──► overview           all pipelines, all dashboards
//!       ──► parts ──► pipeline  one pipeline
//!                 ──► board     a dashboard: panels over pipelines
//!                 ──► query     SQL and its answer
//!                 ──► letters   dead letters, record by record
//!                 ──► palette   finds pages and actions
//! ```
//!
//! Invariants:
//! 1. Components hold no server state: they read [`shell::Live`] through the functions of `view` and `chart`.
//! 2. No style attribute and no inline script: looks are classes of `static/style`.
//! 3. The number of elements does not depend on how much data there is.

#![expect(unreachable_pub, reason = "the component macro writes `pub` for the components of private modules")]

mod board;
mod cell;
mod copy;
mod dropdown;
mod letters;
mod locale;
mod overview;
mod palette;
mod parts;
mod pipeline;
mod query;
mod shell;
mod size;

use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs the page; called by the browser when the program is loaded.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| say_broken(&panic.to_string())));
    if let Some(boot) = document().get_element_by_id("boot") {
        boot.remove();
    }
    locale::numbers();
    mount_to_body(shell::App);
}

/// A program that stopped must not leave numbers behind that look alive.
fn say_broken(reason: &str) {
    web_sys::console::error_1(&reason.into());
    if let Some(body) = document().body() {
        body.set_text_content(Some("The page has failed and shows nothing more. Please reload it."));
    }
}
