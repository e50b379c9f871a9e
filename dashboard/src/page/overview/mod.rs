//! The page `/`: one sentence that says whether all is well, all pipelines worst first, all dashboards.

mod boards;
mod line;

use leptos::prelude::*;

use super::shell::{ListState, Live, Route, sql_again};
use crate::protocol::Wanted;
use crate::view::pipelines::{self, EPOCHS_QUERY, Extras, SINKS_QUERY};

use boards::Boards;
use line::Line;

#[component]
pub(super) fn Overview(live: Live, route: Route) -> impl IntoView {
    live.want(Wanted::default());
    let epochs = sql_again(live, 3.0, Memo::new(|_| EPOCHS_QUERY.to_owned()));
    let sinks = sql_again(live, 3.0, Memo::new(|_| SINKS_QUERY.to_owned()));
    let extras = Memo::new(move |_| {
        let mut extras = Extras::default();
        epochs.with(|answer| answer.into_iter().for_each(|answer| extras.read_epochs(answer)));
        sinks.with(|answer| answer.into_iter().for_each(|answer| extras.read_sinks(answer)));
        extras
    });
    let rows = Memo::new(move |_| {
        let now_ms = live.now_ms();
        extras.with(|extras| live.read(|store| pipelines::rows(store, extras, now_ms)))
    });
    let names =
        Memo::new(move |_| rows.with(|rows| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>()));
    let has_sinks = move || rows.with(|rows| rows.iter().any(|row| !row.sinks.is_empty()));
    let summary = Memo::new(move |_| rows.with(|rows| pipelines::summary(rows)));
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
    view! {
        <h1 class="verdict" data-testid="pipelines-summary" data-kind=kind>{sentence}</h1>
        <section class="overview" aria-labelledby="pipelines" hidden=Signal::derive(move || names.with(Vec::is_empty))>
            <h2 id="pipelines" class="unseen">"Pipelines"</h2>
            <table class="pipelines" class:no-sinks=Signal::derive(move || !has_sinks())>
                <thead>
                    <tr>
                        <th scope="col">"Pipeline"</th>
                        <th scope="col" class="num">"Rows/s"</th>
                        <th scope="col" class="spark-head"><span class="unseen">"Rates of the last minute"</span></th>
                        <th scope="col" class="num" title="How far the watermark is behind the clock">"Watermark lag"</th>
                        <th scope="col" class="num" title="Records in Kafka that are not yet read">"To read"</th>
                        <th scope="col" class="num" title="Mean time from a barrier to the end of the synced write">"Epoch time"</th>
                        <th scope="col" class="num">"Late rows"</th>
                        <th scope="col" class="num" title="Late rows included">"Dead letters"</th>
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
