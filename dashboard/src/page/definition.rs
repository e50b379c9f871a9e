//! What the chosen pipeline is: its SQL, and how far each partition of its sources has been read.
//!
//! Asked for only while it is open, once a second.

use leptos::prelude::*;
use weir_api::PipelineDetail;

use super::live::Live;
use crate::protocol::{http, percent_encode};
use crate::view::partitions::{self, PartitionRow};

#[component]
pub(super) fn Definition(live: Live, chosen: Memo<Option<String>>) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let answer = RwSignal::new(None::<Result<PipelineDetail, String>>);
    let is_asked_for = StoredValue::new(false);
    Effect::new(move |_| {
        live.now_ms();
        let Some(name) = chosen.get().filter(|_| is_open.get()) else { return };
        if is_asked_for.get_value() {
            return;
        }
        is_asked_for.set_value(true);
        js_sys::futures::spawn_local(async move {
            let path = format!("/api/v1/pipelines/{}", percent_encode(&name));
            let detail = http::get::<PipelineDetail>(&path).await.map_err(|failure| failure.sentence());
            is_asked_for.set_value(false);
            // The answer may be late for what is chosen by now.
            if chosen.get_untracked().as_ref() == Some(&name) {
                answer.set(Some(detail));
            }
        });
    });
    let detail = move |name: &str| {
        answer.with(|answer| match answer {
            Some(Ok(detail)) if detail.pipeline.name == name => Some(detail.clone()),
            _ => None,
        })
    };
    let sql = Memo::new(move |_| chosen.get().and_then(|name| detail(&name)).map(|detail| detail.sql));
    let rows = Memo::new(move |_| {
        let detail = chosen.get().and_then(|name| detail(&name));
        detail.map(|detail| partitions::rows(&detail.partitions, live.now_ms())).unwrap_or_default()
    });
    let sentence = move || match answer.get() {
        Some(Err(reason)) => Some(format!("The definition can't be shown: {reason}.")),
        Some(Ok(_)) if sql.with(Option::is_some) => None,
        _ => Some("Asking the server.".to_owned()),
    };
    let toggled = move |event: web_sys::Event| {
        let element: web_sys::Element = event_target(&event);
        is_open.set(element.has_attribute("open"));
    };
    view! {
        <details class="definition" data-testid="definition" on:toggle=toggled>
            <summary>"Definition and partitions"</summary>
            <p class="message" hidden=move || sentence().is_none()>{sentence}</p>
            <div class="definition-panes" hidden=move || sql.with(Option::is_none)>
                <pre class="sql" data-testid="pipeline-sql">{move || sql.get()}</pre>
                <div class="scroll">
                    <table class="partitions" data-testid="partitions">
                        <thead>
                            <tr>
                                <th scope="col">"Partition"</th>
                                <th scope="col" class="num">"Next offset"</th>
                                <th scope="col" class="num">"To read"</th>
                                <th scope="col" class="num">"Watermark"</th>
                                <th scope="col" class="num">"Behind"</th>
                            </tr>
                        </thead>
                        <tbody>{move || rows.get().into_iter().map(line).collect_view()}</tbody>
                    </table>
                </div>
            </div>
        </details>
    }
}

fn line(row: PartitionRow) -> impl IntoView {
    view! {
        <tr class:holds-back=row.holds_back>
            <td>{row.name}</td>
            <td class="num figure">{row.next_offset}</td>
            <td class="num figure">{row.lag_records}</td>
            <td class="num figure">{row.watermark}</td>
            <td class="num figure">{row.behind}</td>
        </tr>
    }
}
