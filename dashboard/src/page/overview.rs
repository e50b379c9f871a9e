//! All pipelines with their figures, and one sentence that says whether all is well.

use leptos::prelude::*;

use super::live::{ListState, Live};
use super::route::Route;
use crate::view::pipelines::{self, PipelineRow};

#[component]
pub(super) fn Overview(live: Live, route: Route, chosen: Memo<Option<String>>) -> impl IntoView {
    let rows = Memo::new(move |_| {
        let now_ms = live.now_ms();
        live.read(|store| pipelines::rows(store, now_ms))
    });
    let names =
        Memo::new(move |_| rows.with(|rows| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>()));
    let sentence = Memo::new(move |_| match live.list() {
        ListState::Loading => "Asking the server for its pipelines.".to_owned(),
        ListState::Ready => live.read(|store| pipelines::summary(store.pipelines())),
        ListState::Failed(reason) => format!("No pipelines yet: {reason}. Trying again."),
    });
    view! {
        <section class="overview" aria-labelledby="pipelines">
            <div class="section-head">
                <h2 id="pipelines">"Pipelines"</h2>
                <p class="quiet" data-testid="pipelines-summary">{sentence}</p>
            </div>
            <table class="pipelines" hidden=move || names.with(Vec::is_empty)>
                <thead>
                    <tr>
                        <th scope="col">"Pipeline"</th>
                        <th scope="col" class="num">"Rows/s"</th>
                        <th scope="col" class="spark-head"><span class="unseen">"Rates of the last minute"</span></th>
                        <th scope="col" class="num" title="How far the watermark is behind the clock">"Watermark lag"</th>
                        <th scope="col" class="num" title="Records in Kafka that are not yet read">"To read"</th>
                        <th scope="col" class="num">"Late rows"</th>
                        <th scope="col" class="num" title="Late rows included">"Dead letters"</th>
                        <th scope="col" class="num" title="The last committed one">"Epoch"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || names.get() key=Clone::clone let:name>
                        <Line rows route chosen name />
                    </For>
                </tbody>
            </table>
        </section>
    }
}

#[component]
fn Line(
    rows: Memo<Vec<PipelineRow>>,
    route: Route,
    chosen: Memo<Option<String>>,
    name: String,
) -> impl IntoView {
    let row = {
        let name = name.clone();
        Memo::new(move |_| rows.with(|rows| rows.iter().find(|row| row.name == name).cloned()))
    };
    let text = move |part: fn(&PipelineRow) -> &str| {
        move || row.with(|row| row.as_ref().map(|row| part(row).to_owned()).unwrap_or_default())
    };
    let is_chosen = {
        let name = name.clone();
        move || chosen.with(|chosen| chosen.as_deref() == Some(&name))
    };
    let href = {
        let name = name.clone();
        move || route.link(Route::to_pipeline(&name))
    };
    let go = {
        let name = name.clone();
        // The whole line is a target; a click on the link itself is the link's, with all the keys that belong to it.
        move |event: web_sys::MouseEvent| {
            let target: web_sys::Element = event_target(&event);
            if target.tag_name() != "A" {
                route.go(Route::to_pipeline(&name));
            }
        }
    };
    let has_warning = move || row.with(|row| row.as_ref().is_some_and(|row| row.lag_is_long));
    let has_late = move || row.with(|row| row.as_ref().is_some_and(|row| row.late_rows != "0"));
    let has_dead = move || row.with(|row| row.as_ref().is_some_and(|row| row.dead_letters != "0"));
    let current = is_chosen.clone();
    view! {
        <tr
            class="pipeline"
            class:chosen=is_chosen
            data-testid=format!("pipeline-row-{name}")
            on:click=go
        >
            <th scope="row">
                <a href=href aria-current=move || current().then_some("true")>{name.clone()}</a>
                <span class="state" data-testid="pipeline-state" data-state=text(|row| row.state)>
                    <span class="dot" aria-hidden="true"></span>
                    {text(|row| row.state)}
                </span>
                <span class="error">{text(|row| row.error.as_deref().unwrap_or(""))}</span>
            </th>
            <td class="num figure" data-label="Rows/s" data-testid="pipeline-rate">{text(|row| &row.rows_per_second)}</td>
            <td class="spark" aria-hidden="true">
                <svg viewBox="0 0 60 16" preserveAspectRatio="none">
                    <polyline points=text(|row| &row.spark) />
                </svg>
            </td>
            <td class="num figure" class:warn=has_warning data-label="Lag" data-testid="pipeline-lag">
                {text(|row| &row.watermark_lag)}
            </td>
            <td class="num figure" data-label="To read">{text(|row| &row.lag_records)}</td>
            <td class="num figure" class:zero=move || !has_late() data-label="Late rows" data-testid="pipeline-late">
                {text(|row| &row.late_rows)}
            </td>
            <td class="num figure" class:zero=move || !has_dead() data-label="Dead letters" data-testid="pipeline-dead">
                {text(|row| &row.dead_letters)}
            </td>
            <td class="num figure" data-label="Epoch" data-testid="pipeline-epoch">{text(|row| &row.epoch)}</td>
        </tr>
    }
}
