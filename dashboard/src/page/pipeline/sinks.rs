//! Where the rows go: each sink with what waits for it and what went wrong last.

use leptos::prelude::*;
use weir_api::PipelineDetail;

use crate::page::cell::breaking;
use crate::page::shell::Again;
use crate::view::pipelines::SinkRow;

#[component]
pub(super) fn Sinks(detail: Again<PipelineDetail>) -> impl IntoView {
    let sinks = Memo::new(move |_| {
        detail.with(|detail| detail.map(|detail| detail.sinks.iter().map(SinkRow::from).collect::<Vec<_>>()))
    });
    let sentence = Signal::derive(move || match sinks.with(|sinks| sinks.as_ref().map(Vec::len)) {
        None => Some("Asking the server."),
        Some(0) => Some(
            "No sink: the rows are kept in the result table only. A file in the project's folder sinks sends them on.",
        ),
        Some(_) => None,
    });
    let line = |sink: SinkRow| {
        let waiting = if sink.waiting.is_empty() { "nothing".to_owned() } else { sink.waiting };
        view! {
            <tr class="sink-row" class:bad=sink.is_bad>
                <th scope="row">{breaking(&sink.name)}</th>
                <td>{sink.state}</td>
                <td class="num figure">{waiting}</td>
                <td class="num figure">{sink.delivered}</td>
            </tr>
            {sink.error.map(|error| view! { <tr><td colspan="4" class="error">{error}</td></tr> })}
        }
    };
    view! {
        <section class="sinks-of" aria-labelledby="sinks" data-testid="sinks">
            <div class="section-head">
                <h2 id="sinks">"Sinks"</h2>
            </div>
            <p class="message" hidden=Signal::derive(move || sentence.with(Option::is_none))>{sentence}</p>
            <table hidden=Signal::derive(move || sentence.with(Option::is_some))>
                <thead>
                    <tr>
                        <th scope="col">"Sink"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="num">"Waiting"</th>
                        <th scope="col" class="num">"Delivered up to epoch"</th>
                    </tr>
                </thead>
                <tbody>{move || sinks.get().unwrap_or_default().into_iter().map(line).collect_view()}</tbody>
            </table>
        </section>
    }
}
