//! One pipeline's line in the list.

use leptos::prelude::*;

use crate::page::cell::breaking;
use crate::page::shell::Route;
use crate::view::address::Page;
use crate::view::pipelines::{PipelineRow, SinkRow};

/// `view::pipelines::RECENT_MINUTES`, as a title.
const RECENTLY: &str = "in the last 15 minutes";

#[component]
pub(super) fn Line(rows: Memo<Vec<PipelineRow>>, route: Route, name: String) -> impl IntoView {
    let row = {
        let name = name.clone();
        Memo::new(move |_| rows.with(|rows| rows.iter().find(|row| row.name == name).cloned()))
    };
    let text = move |part: fn(&PipelineRow) -> &str| {
        Signal::derive(move || {
            row.with(|row| row.as_ref().map(|row| part(row).to_owned()).unwrap_or_default())
        })
    };
    let href = {
        let name = name.clone();
        move || route.link_to(Page::Pipeline(name.clone()))
    };
    let go = {
        let name = name.clone();
        // The whole line is a target; a click on the link itself is the link's, with all the keys that belong to it.
        move |event: web_sys::MouseEvent| {
            let target: web_sys::Element = event_target(&event);
            if target.tag_name() != "A" {
                route.go_to(Page::Pipeline(name.clone()));
            }
        }
    };
    let is_slow = Signal::derive(move || row.with(|row| row.as_ref().is_some_and(|row| row.lag_is_long)));
    let sinks = move || {
        let sinks = row.with(|row| row.as_ref().map(|row| row.sinks.clone()).unwrap_or_default());
        sinks.into_iter().map(sink).collect_view()
    };
    view! {
        <tr class="pipeline" data-testid=format!("pipeline-row-{name}") on:click=go>
            <th scope="row">
                <a href=href>{breaking(&name)}</a>
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
            <td class="num figure" class:warn=is_slow data-label="Watermark lag" data-testid="pipeline-lag">
                {text(|row| &row.watermark_lag)}
            </td>
            <td class="num figure" data-label="Records to read">{text(|row| &row.lag_records)}</td>
            <td class="num figure" data-label="Epoch time" data-testid="pipeline-epoch">{text(|row| &row.epoch_time)}</td>
            <td class="num figure" data-label="Late rows" data-testid="pipeline-late">
                {counter(text(|row| &row.late_rows), text(|row| &row.late_rows_recent))}
            </td>
            <td class="num figure" data-label="All dead letters" data-testid="pipeline-dead">
                {counter(text(|row| &row.dead_letters), text(|row| &row.dead_letters_recent))}
            </td>
            <td class="sinks" data-label="Sinks" data-testid="pipeline-sinks">{sinks}</td>
        </tr>
    }
}

/// A counter of the pipeline's life, quiet while it is zero, and what the last minutes added.
fn counter(total: Signal<String>, recent: Signal<String>) -> impl IntoView {
    view! {
        <span class="recent warn" title=RECENTLY>{recent}</span>
        <span class:zero=Signal::derive(move || total.with(|total| total == "0"))>{total}</span>
    }
}

fn sink(sink: SinkRow) -> impl IntoView {
    let title = sink.error.unwrap_or_default();
    view! {
        <span class="sink" class:bad=sink.is_bad title=title>
            {sink.name} " " <span class="quiet">{sink.state}</span>
            {(!sink.waiting.is_empty()).then(|| view! { <span class="waiting figure">{sink.waiting}</span> })}
        </span>
    }
}
