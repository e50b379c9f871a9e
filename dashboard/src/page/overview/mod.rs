//! The page `/`: one sentence that says whether all is well, all pipelines worst first, all dashboards.

mod boards;
mod line;

use std::cell::RefCell;

use leptos::prelude::*;

use super::shell::{ListState, Live, Route, sql_again};
use crate::protocol::Wanted;
use crate::view::address::Page;
use crate::view::pipelines::{self, Extras, LIVES_QUERY, Lives, SINKS_QUERY};

use boards::Boards;
use line::Line;

thread_local! {
    /// What was known when the page was left, and when that was, in milliseconds: to come back to it is not to begin anew.
    static KNOWN: RefCell<Option<(f64, Extras)>> = const { RefCell::new(None) };
}

/// Older knowledge is none.
const KNOWN_FOR_MS: f64 = 60_000.0;

#[component]
pub(super) fn Overview(live: Live, route: Route) -> impl IntoView {
    live.want(Wanted::default());
    let extras = ask(live);
    let rows = Memo::new(move |_| {
        let now_ms = live.now_ms();
        extras.with(|extras| live.read(|store| pipelines::rows(store, extras, now_ms)))
    });
    let names =
        Memo::new(move |_| rows.with(|rows| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>()));
    let has_sinks = move || rows.with(|rows| rows.iter().any(|row| !row.sinks.is_empty()));
    let summary =
        Memo::new(move |_| rows.with(|rows| extras.with(|extras| pipelines::summary(rows, extras))));
    let sentence = move || match live.list() {
        ListState::Loading => "Asking the server for its pipelines.".to_owned(),
        ListState::Ready => summary.with(|summary| summary.text.clone()),
        ListState::Failed(reason) => format!("No pipelines yet: {reason}. Trying again."),
    };
    let kind = move || match live.list() {
        ListState::Loading => "none",
        ListState::Ready => summary.with(|summary| summary.kind),
        ListState::Failed(_) => "bad",
    };
    let note = Memo::new(move |_| summary.with(|summary| summary.note.clone()));
    view! {
        <h1 class="verdict" data-testid="pipelines-summary" data-kind=kind>{sentence}</h1>
        <p class="verdict-note" data-testid="pipelines-note" hidden=Signal::derive(move || note.with(String::is_empty))>
            {note} " "
            <a href=Signal::derive(move || route.link_to(Page::Letters))>"Look into them"</a>
        </p>
        <section class="overview" aria-labelledby="pipelines" hidden=Signal::derive(move || names.with(Vec::is_empty))>
            <h2 id="pipelines" class="unseen">"Pipelines"</h2>
            <table class="pipelines" class:no-sinks=Signal::derive(move || !has_sinks())>
                <thead>
                    <tr>
                        <th scope="col">"Pipeline"</th>
                        <th scope="col" class="num" title="Rows that are read from Kafka">"Rows/s"</th>
                        <th scope="col" class="spark-head"><span class="unseen">"Rates of the last minute"</span></th>
                        <th scope="col" class="num" title="How far the watermark is behind the clock: windows that end before it are complete">"Watermark lag"</th>
                        <th scope="col" class="num" title="Records in Kafka that are not yet read">"Records to read"</th>
                        <th scope="col" class="num" title="Mean time from a barrier to the end of the synced write">"Epoch time"</th>
                        <th scope="col" class="num" title="Rows that came when their window was closed; they are among the dead letters">"Late rows"</th>
                        <th scope="col" class="num" title="Records that were not counted, late rows included">"All dead letters"</th>
                        <th scope="col" class="sinks-head">"Sinks"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || names.get() key=Clone::clone let:name>
                        <Line rows route name />
                    </For>
                </tbody>
            </table>
        </section>
        <Boards live route />
    }
}

/// Asks for what statuses do not say.
fn ask(live: Live) -> Memo<Extras> {
    let is_young = |(at_ms, _): &(f64, Extras)| js_sys::Date::now() - at_ms < KNOWN_FOR_MS;
    let known = KNOWN.take().filter(is_young).map(|(_, extras)| extras);
    let lives = sql_again(live, 3.0, Memo::new(|_| LIVES_QUERY.to_owned()));
    let sinks = sql_again(live, 3.0, Memo::new(|_| SINKS_QUERY.to_owned()));
    let told = Memo::new(move |before: Option<&Extras>| {
        // Of each question that is not answered yet, what was known.
        let mut extras = before.or(known.as_ref()).cloned().unwrap_or_default();
        lives.with(|answer| answer.into_iter().for_each(|answer| extras.lives = Lives::read(answer)));
        sinks.with(|answer| answer.into_iter().for_each(|answer| extras.read_sinks(answer)));
        extras
    });
    // Asked once it is known which epochs are new.
    let losses = sql_again(live, 5.0, Memo::new(move |_| told.with(|extras| extras.lives.losses_query())));
    Memo::new(move |before: Option<&Extras>| {
        let mut extras = told.get().with_losses_of(before);
        losses.with(|answer| answer.into_iter().for_each(|answer| extras.read_losses(answer)));
        KNOWN.set(Some((js_sys::Date::now(), extras.clone())));
        extras
    })
}
