//! The page of one pipeline: how complete its numbers are and what they wait for, how rows flow, what was lost, where
//! they go, what it is.
//!
//! ```text
//! stream ──► Result (chart, newest rows)          GET pipelines/NAME ──► Waiting, Flow, Sinks, Definition
//!                                                 SQL over weir.*    ──► Epochs, Losses, Definition
//! ```

mod chart;
mod definition;
mod epochs;
mod flow;
mod losses;
mod result;
mod sinks;
mod waiting;
mod windows;

use leptos::prelude::*;
use weir_api::PipelineDetail;

use super::shell::{Again, ListState, Live, Route, Theme, get_again, late_again};
use crate::protocol::percent_encode;
use crate::store::table::Table;
use crate::view::address::Page;
use crate::view::detail;
use crate::view::late::{self, Late};
use crate::view::zone::Zone;

use definition::Definition;
use epochs::Epochs;
use flow::Flow;
use losses::LossesOf;
use result::ResultTable;
use sinks::Sinks;
use waiting::WaitingFor;

/// Whether there will be an answer soon. All that it tells of appears in one go then: nothing is pushed down by what stands
/// above it.
fn is_awaited(detail: Again<PipelineDetail>) -> bool {
    detail.with(|answer| answer.is_none()) && detail.failure().is_none()
}

/// Where the server tells of a pipeline: asked for while it is not known that there is none.
fn path(name: &str) -> String {
    format!("/api/v1/pipelines/{}", percent_encode(name))
}

/// What is said while it is not known whether there is such a pipeline; `None`: that is known.
fn unknown(list: &ListState, name: &str) -> Option<String> {
    match list {
        ListState::Loading => Some(format!("Asking the server for {name}.")),
        ListState::Failed(reason) => Some(format!("{name} can't be shown: {reason}.")),
        ListState::Ready => None,
    }
}

#[component]
pub(super) fn PipelinePage(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
) -> impl IntoView {
    let is_unknown = Memo::new(move |_| {
        let is_known = |name: &String| live.read(|store| store.pipelines().iter().any(|it| it.name == *name));
        live.list() == ListState::Ready && !name.with(is_known)
    });
    let path =
        Memo::new(move |_| if is_unknown.get() { String::new() } else { name.with(|name| path(name)) });
    let detail = get_again::<PipelineDetail>(live, 1.0, path);
    let stage = Memo::new(move |_| live.read(|store| name.with(|name| detail::stage(store, name))));
    let facts = Memo::new(move |_| {
        zone.with(|zone| live.read(|store| name.with(|name| detail::facts(store, name, zone))))
    });
    let late = late_again(live, Memo::new(move |_| vec![name.get()]));
    let state = Memo::new(move |_| {
        let state = |name: &String| {
            live.read(|store| {
                store.pipelines().iter().find(|it| it.name == *name).map(|it| it.state.as_str())
            })
        };
        name.with(state).unwrap_or("")
    });
    let answer = waiting::answer(zone, detail);
    let waits = Signal::derive(move || {
        answer.with(|answer| answer.as_ref().map(|answer| answer.headline.clone()).unwrap_or_default())
    });
    let is_held_up =
        Signal::derive(move || answer.with(|it| it.as_ref().is_some_and(|it| it.culprit.is_some())));
    let is_known = Memo::new(move |_| !state.with(|state| state.is_empty()));
    let sentence = Memo::new(move |_| {
        let unknown = name.with(|name| unknown(&live.list(), name)).filter(|_| !is_known.get());
        unknown.unwrap_or_else(|| stage.with(|stage| stage.sentence.clone()))
    });
    view! {
        <div class="title">
            <h1 data-testid="detail-name">{name}</h1>
            <span class="state" data-testid="detail-state" data-state=state hidden=Signal::derive(move || !is_known.get())>
                <span class="dot" aria-hidden="true"></span>
                {state}
            </span>
            <p class="complete figure" data-testid="complete-until">{Signal::derive(move || facts.with(|facts| facts.complete.clone()))}</p>
            <WithoutLate live route name late />
            <p class="figure" class:quiet=move || !is_held_up.get() class:warn=is_held_up data-testid="waits-for">{waits}</p>
            <p class="quiet figure">{Signal::derive(move || facts.with(|facts| facts.small_print.clone()))}</p>
        </div>
        <section class="notice" aria-label="State" hidden=Signal::derive(move || sentence.with(String::is_empty))>
            <p data-testid="detail-message">
                {sentence}
                " "
                <a href=Signal::derive(move || route.link_to(Page::Overview)) hidden=is_known>"To the overview"</a>
            </p>
        </section>
        <ResultTable live route theme zone name stage is_unknown late />
        <div class="sections" hidden=Signal::derive(move || !is_known.get() || is_awaited(detail))>
            <WaitingFor live zone detail answer />
            <Flow detail />
            <Epochs live zone name />
            <div class="halves">
                <LossesOf live route zone name />
                <Sinks detail />
            </div>
            <Definition live route name detail />
        </div>
    }
}

/// How many late rows the numbers that are kept are without, and the way to them.
#[component]
fn WithoutLate(live: Live, route: Route, name: Memo<String>, late: Memo<Late>) -> impl IntoView {
    let without = Memo::new(move |_| {
        let shown = |name: &String| live.read(|store| store.table(name).and_then(Table::span));
        let n_late = |name: &String| {
            shown(name).map_or(0, |(from, to)| late.with(|late| late.between(name, from, to)))
        };
        late::without(name.with(n_late))
    });
    let href = Signal::derive(move || {
        route.link(|address| {
            *address = address.at(Page::Letters);
            address.letters.pipeline = Some(name.get());
            address.letters.reason = Some("late_row".to_owned());
        })
    });
    view! {
        <p class="figure" hidden=Signal::derive(move || without.with(String::is_empty))>
            <a href=href data-testid="without-late">{without}</a>
        </p>
    }
}
