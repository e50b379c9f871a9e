//! The page of one pipeline: how complete its numbers are, its chart, its newest windows, its definition.

mod chart;
mod definition;
mod windows;

use chart::Chart;
use definition::Definition;
use leptos::prelude::*;
use windows::Windows;

use super::shell::{Live, Route, Theme};
use crate::chart::series;
use crate::protocol::{Wanted, time};
use crate::view::address::{Address, Range, SPANS};
use crate::view::detail::{self, Stage};

#[component]
pub(super) fn PipelinePage(live: Live, route: Route, theme: Theme, name: Memo<String>) -> impl IntoView {
    let last_ms = Memo::new(move |_| route.with(Address::last_ms));
    Effect::new(move |_| {
        live.want(Wanted { tables: vec![name.get()], last_ms: last_ms.get() });
    });
    let measures = Memo::new(move |_| {
        live.read(|store| name.with(|name| store.table(name).map(series::measures).unwrap_or_default()))
    });
    let measure = Memo::new(move |_| {
        let named = route.with(|address| address.measure.clone());
        measures.with(|measures| {
            let known = measures.iter().find(|measure| Some(*measure) == named.as_ref());
            known.or(measures.first()).cloned()
        })
    });
    let stage = Memo::new(move |_| live.read(|store| name.with(|name| detail::stage(store, name))));
    let facts = Memo::new(move |_| live.read(|store| name.with(|name| detail::facts(store, name))));
    let sentence = move || stage.with(|stage| stage.sentence.clone());
    let shows = move |wanted: Stage| stage.with(|stage| stage.stage == wanted);
    let has_rows = move || shows(Stage::Windows) || shows(Stage::Rows);
    view! {
        <section class="detail" aria-labelledby="detail">
            <div class="section-head">
                <h2 id="detail" data-testid="detail-name">{name}</h2>
                <p class="complete figure" data-testid="complete-until">{move || facts.with(|facts| facts.complete.clone())}</p>
                <p class="quiet figure">{move || facts.with(|facts| facts.small_print.clone())}</p>
                <Controls route measures measure last_ms />
            </div>
            <p class="message" data-testid="detail-message" hidden=move || sentence().is_empty()>
                {sentence}
            </p>
            <div class="panes" class:no-chart=move || !shows(Stage::Windows) hidden=move || !has_rows()>
                <Chart live theme name measure />
                <Windows live name />
            </div>
            <Definition live name />
        </section>
    }
}

/// Which column is drawn, and how far back.
#[component]
fn Controls(
    route: Route,
    measures: Memo<Vec<String>>,
    measure: Memo<Option<String>>,
    last_ms: Memo<i64>,
) -> impl IntoView {
    let choose = move |event| {
        let name = event_target_value(&event);
        route.go(|address| address.measure = Some(name));
    };
    let options = move || {
        let options = measures.get().into_iter().map(|name| {
            let is_chosen = {
                let name = name.clone();
                move || measure.with(|measure| measure.as_ref() == Some(&name))
            };
            view! { <option value=name.clone() selected=is_chosen>{name.clone()}</option> }
        });
        options.collect_view()
    };
    let spans = SPANS.map(|text| {
        let span_ms = time::parse_duration_ms(text).unwrap_or_default();
        let href = move || route.link(|address| address.range = Some(Range::Last(span_ms)));
        let current = move || (last_ms.get() == span_ms).then_some("true");
        view! { <a href=href aria-current=current data-testid=format!("span-{text}")>{text}</a> }
    });
    view! {
        <div class="controls">
            <label hidden=move || measures.with(Vec::is_empty)>
                <span class="unseen">"Measure"</span>
                <select data-testid="measure" on:change=choose>{options}</select>
            </label>
            <nav class="segments" aria-label="How far back">{spans.collect_view()}</nav>
        </div>
    }
}
