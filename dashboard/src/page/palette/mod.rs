//! The command palette: one field that finds every page and action, by keyboard alone.
//!
//! Invariant: the focus stays in the field; which offer is chosen is said by `aria-activedescendant`.

use js_sys::{Array, Function, Reflect};
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::shell::{Live, Route, Theme};
use crate::view::palette::{self, Deed, Offer};

#[component]
pub(super) fn Palette(live: Live, route: Route, theme: Theme, close: Callback<()>) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let chosen = RwSignal::new(0_usize);
    let offers = Memo::new(move |_| {
        let boards = live.dashboards().unwrap_or_default();
        let names = |store: &crate::store::Store| -> Vec<String> {
            store.pipelines().iter().map(|pipeline| pipeline.name.clone()).collect()
        };
        let names = live.read(names);
        let offers = palette::offers(names.iter().map(String::as_str), &boards, theme.is_dark());
        offers.into_iter().chain(palette::zones(zones())).collect::<Vec<_>>()
    });
    let meant = Memo::new(move |_| offers.with(|offers| text.with(|text| palette::meant(offers, text))));
    let run = move |at: usize| {
        let Some(offer) = meant.with_untracked(|meant| meant.get(at).cloned()) else { return };
        close.run(());
        match offer.deed {
            Deed::Go(page) => route.go_to(page),
            Deed::SwitchTheme => theme.toggle(),
            Deed::Zone(zone) => route.replace(|address| address.zone = zone),
        }
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        let (key, at) = (event.key(), chosen.get_untracked());
        if key == "Enter" {
            event.prevent_default();
            run(at);
        } else if let Some(next) = next(&key, at, meant.with_untracked(Vec::len)) {
            event.prevent_default();
            chosen.set(next);
            show(next);
        }
    };
    let field = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        // Refused only for a field that can't have the focus, which this one can.
        field.get().iter().for_each(|field| drop(field.focus()));
    });
    let count = Signal::derive(move || match meant.with(Vec::len) {
        0 => "Nothing is called so.".to_owned(),
        1 => "One match.".to_owned(),
        n => format!("{n} matches."),
    });
    view! {
        <input
            node_ref=field
            type="text"
            class="palette-field"
            role="combobox"
            aria-label="Find a pipeline, a dashboard, a page or an action"
            aria-expanded="true"
            aria-controls="palette-offers"
            aria-activedescendant=Signal::derive(move || meant.with(|meant| (chosen.get() < meant.len()).then(|| id(chosen.get()))))
            aria-autocomplete="list"
            placeholder="Pipeline, dashboard, page, action or time zone"
            autocomplete="off"
            spellcheck="false"
            data-testid="palette-field"
            on:input=move |event| {
                text.set(event_target_value(&event));
                chosen.set(0);
            }
            on:keydown=on_key
        />
        <ul id="palette-offers" class="palette-offers" role="listbox" aria-label="Offers" data-testid="palette-offers">
            {move || meant.get().into_iter().enumerate().map(|(at, offer)| line(at, offer, chosen, run)).collect_view()}
        </ul>
        <p class="palette-count quiet" role="status">{count}</p>
    }
}

/// The zones that the browser knows; none where it does not tell.
fn zones() -> Vec<String> {
    let names = || {
        let intl = Reflect::get(&js_sys::global(), &"Intl".into()).ok()?;
        let list: Function = Reflect::get(&intl, &"supportedValuesOf".into()).ok()?.dyn_into().ok()?;
        let names: Array = list.call1(&intl, &"timeZone".into()).ok()?.dyn_into().ok()?;
        Some(names.iter().filter_map(|name| name.as_string()).collect())
    };
    names().unwrap_or_default()
}

/// The offer that an arrow leads to, round and round.
fn next(key: &str, at: usize, n_offers: usize) -> Option<usize> {
    match key {
        "ArrowDown" => Some((at + 1) % n_offers.max(1)),
        "ArrowUp" => Some(at.checked_sub(1).unwrap_or(n_offers.saturating_sub(1))),
        _ => None,
    }
}

fn line(
    at: usize,
    offer: Offer,
    chosen: RwSignal<usize>,
    run: impl Fn(usize) + Copy + 'static,
) -> impl IntoView {
    view! {
        <li
            id=id(at)
            role="option"
            aria-selected=Signal::derive(move || if chosen.get() == at { "true" } else { "false" })
            on:pointermove=move |_| {
                if chosen.get_untracked() != at {
                    chosen.set(at);
                }
            }
            on:click=move |_| run(at)
        >
            <span>{offer.title}</span>
            <span class="quiet">{offer.kind}</span>
        </li>
    }
}

fn id(at: usize) -> String {
    format!("palette-offer-{at}")
}

/// Scrolls the list so that the offer is seen.
fn show(at: usize) {
    let options = web_sys::ScrollIntoViewOptions::new();
    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
    if let Some(line) = document().get_element_by_id(&id(at)) {
        line.scroll_into_view_with_scroll_into_view_options(&options);
    }
}
