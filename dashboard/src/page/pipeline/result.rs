//! The result table: its chart and its newest rows, as far as there are any.

use leptos::prelude::*;

use super::chart::Chart;
use super::windows::Windows;
use crate::chart::series;
use crate::page::shell::{Live, Route, Theme};
use crate::protocol::{Wanted, time};
use crate::view::address::{Address, Range, SPANS};
use crate::view::detail::{Stage, StageView};
use crate::view::late::Late;
use crate::view::zone::Zone;

#[component]
pub(super) fn ResultTable(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
    stage: Memo<StageView>,
    is_unknown: Memo<bool>,
    late: Memo<Late>,
) -> impl IntoView {
    let last_ms = Memo::new(move |_| route.with(Address::last_ms));
    Effect::new(move |_| {
        let tables = if is_unknown.get() { Vec::new() } else { vec![name.get()] };
        live.want(Wanted { tables, last_ms: last_ms.get() });
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
    let shows = move |wanted: Stage| stage.with(|stage| stage.stage == wanted);
    view! {
        <section class="detail" aria-labelledby="rows" hidden=Signal::derive(move || shows(Stage::Nothing))>
            <div class="section-head">
                <h2 id="rows">"Result"</h2>
                <Controls route measures measure last_ms />
            </div>
            <div class="panes" class:no-chart=Signal::derive(move || !shows(Stage::Windows))>
                <Chart live theme zone name measure />
                <Windows live zone name late />
            </div>
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
            <label hidden=Signal::derive(move || measures.with(Vec::is_empty))>
                <span class="unseen">"Measure"</span>
                <select data-testid="measure" on:change=choose>{options}</select>
            </label>
            <nav class="segments" aria-label="How far back">{spans.collect_view()}</nav>
        </div>
    }
}
