//! What the pipeline is: its SQL, and how far each partition of its sources has been read.
//!
//! Asked for only while it is open, once a second.

use leptos::prelude::*;
use weir_api::PipelineDetail;

use crate::page::shell::{Live, get_again};
use crate::protocol::percent_encode;
use crate::view::partitions::{self, PartitionRow};

#[component]
pub(super) fn Definition(live: Live, name: Memo<String>) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let path = Memo::new(move |_| match is_open.get() {
        true => name.with(|name| format!("/api/v1/pipelines/{}", percent_encode(name))),
        false => String::new(),
    });
    let detail = get_again::<PipelineDetail>(live, 1.0, path);
    let sql = Memo::new(move |_| detail.with(|detail| detail.map(|detail| detail.sql.clone())));
    let rows = Memo::new(move |_| {
        let now_ms = live.now_ms();
        let rows = |detail: &PipelineDetail| partitions::rows(&detail.partitions, now_ms);
        detail.with(|detail| detail.map(rows).unwrap_or_default())
    });
    let sentence = move || match detail.failure() {
        Some(reason) => Some(format!("The definition can't be shown: {reason}.")),
        None if sql.with(Option::is_some) => None,
        None => Some("Asking the server.".to_owned()),
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
