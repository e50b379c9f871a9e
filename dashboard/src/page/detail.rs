//! The chosen pipeline: how complete its numbers are, its chart, its newest windows, its definition.

use leptos::prelude::*;

use super::chart::Chart;
use super::definition::Definition;
use super::live::{ListState, Live};
use super::route::Route;
use super::theme::Theme;
use super::windows::Windows;
use crate::chart::series;
use crate::protocol::{Wanted, time};
use crate::view::address::SPANS;
use crate::view::detail::{self, Stage};

#[component]
pub(super) fn Detail(live: Live, route: Route, theme: Theme, chosen: Memo<Option<String>>) -> impl IntoView {
    let last_ms = Memo::new(move |_| route.address().last_ms);
    Effect::new(move |_| {
        // What the stream shall carry is known once the list is, unless the address says it.
        if chosen.with(Option::is_none) && live.list() == ListState::Loading {
            return;
        }
        live.want(Wanted { tables: chosen.get().into_iter().collect(), last_ms: last_ms.get() });
    });
    let measures = Memo::new(move |_| {
        let name = chosen.get();
        live.read(|store| {
            let table = name.and_then(|name| store.table(&name));
            table.map(series::measures).unwrap_or_default()
        })
    });
    let measure = Memo::new(move |_| {
        let named = route.address().measure;
        measures.with(|measures| {
            let known = measures.iter().find(|measure| Some(*measure) == named.as_ref());
            known.or(measures.first()).cloned()
        })
    });
    let stage = Memo::new(move |_| {
        let name = chosen.get();
        live.read(|store| name.map(|name| detail::stage(store, &name)))
    });
    let facts = Memo::new(move |_| {
        let name = chosen.get();
        live.read(|store| name.map(|name| detail::facts(store, &name)).unwrap_or_default())
    });
    let sentence = move || stage.with(|stage| stage.as_ref().map(|stage| stage.sentence.clone()));
    let shows =
        move |wanted: Stage| stage.with(|stage| stage.as_ref().is_some_and(|stage| stage.stage == wanted));
    let has_rows = move || shows(Stage::Windows) || shows(Stage::Rows);
    view! {
        <section class="detail" aria-labelledby="detail" hidden=move || chosen.with(Option::is_none)>
            <div class="section-head">
                <h2 id="detail" data-testid="detail-name">{move || chosen.get()}</h2>
                <p class="complete figure" data-testid="complete-until">{move || facts.with(|facts| facts.complete.clone())}</p>
                <p class="quiet figure">{move || facts.with(|facts| facts.small_print.clone())}</p>
                <Controls route measures measure last_ms />
            </div>
            <p class="message" data-testid="detail-message" hidden=move || sentence().is_none_or(|text| text.is_empty())>
                {sentence}
            </p>
            <div class="panes" class:no-chart=move || !shows(Stage::Windows) hidden=move || !has_rows()>
                <Chart live theme chosen measure />
                <Windows live chosen />
            </div>
            <Definition live chosen />
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
        let href = move || route.link(|address| address.last_ms = span_ms);
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
