//! The pages, and the command palette, whose code is loaded when they are first shown: each function is a part of the program, and what it alone
//! reaches is in the part's file.
//!
//! Invariant: called by [`shell::part`](super::shell) only, which loads the code first.

use leptos::prelude::*;
use leptos::wasm_split::wasm_split;

use super::shell::{Live, NotLoaded, Route, Theme};
use super::{board, letters, locale, palette, pipeline, query};
use crate::view::zone::Zone;

#[wasm_split(pipeline, wasm_split_path = leptos::wasm_split, preload(load_pipeline), fallible)]
pub(super) fn pipeline(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
) -> Result<AnyView, NotLoaded> {
    locale::times();
    Ok(view! { <pipeline::PipelinePage live route theme zone name /> }.into_any())
}

#[wasm_split(board, wasm_split_path = leptos::wasm_split, preload(load_board), fallible)]
pub(super) fn board(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
) -> Result<AnyView, NotLoaded> {
    locale::times();
    Ok(view! { <board::BoardPage live route theme zone name /> }.into_any())
}

#[wasm_split(palette, wasm_split_path = leptos::wasm_split, preload(load_palette), fallible)]
pub(super) fn palette(
    live: Live,
    route: Route,
    theme: Theme,
    close: Callback<()>,
) -> Result<AnyView, NotLoaded> {
    Ok(view! { <palette::Palette live route theme close /> }.into_any())
}

#[wasm_split(sql, wasm_split_path = leptos::wasm_split, preload(load_sql), fallible)]
pub(super) fn sql(live: Live, route: Route, theme: Theme, zone: Memo<Zone>) -> Result<AnyView, NotLoaded> {
    locale::times();
    Ok(view! { <query::Query live route theme zone /> }.into_any())
}

#[wasm_split(letters, wasm_split_path = leptos::wasm_split, preload(load_letters), fallible)]
pub(super) fn letters(live: Live, route: Route, zone: Memo<Zone>) -> Result<AnyView, NotLoaded> {
    locale::times();
    Ok(view! { <letters::Letters live route zone /> }.into_any())
}
