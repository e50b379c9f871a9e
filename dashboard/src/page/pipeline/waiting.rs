//! Why the next window is still open, and all partitions on one time axis.

use leptos::prelude::*;
use weir_api::PipelineDetail;

use crate::page::shell::{Again, Live};
use crate::protocol::time;
use crate::view::partitions::{self, Axis, PartitionRow};
use crate::view::waiting::{self, Waiting};
use crate::view::zone::Zone;

/// The pipeline's watermark, microseconds.
fn watermark(detail: &PipelineDetail) -> Option<i64> {
    detail.pipeline.watermark.as_deref().and_then(time::parse_instant)
}

/// What the next window waits for; `None`: no window, or nothing known yet.
pub(super) fn answer(zone: Memo<Zone>, detail: Again<PipelineDetail>) -> Memo<Option<Waiting>> {
    Memo::new(move |_| {
        let of = |detail: &PipelineDetail| {
            let timing = detail.timing.as_ref()?;
            timing.window_size_ms?;
            if let Some(rest) = waiting::at_rest(&detail.pipeline) {
                return Some(rest);
            }
            zone.with(|zone| waiting::waiting(timing, &detail.partitions, watermark(detail), zone))
        };
        detail.with(|detail| detail.and_then(of))
    })
}

#[component]
pub(super) fn WaitingFor(
    live: Live,
    zone: Memo<Zone>,
    detail: Again<PipelineDetail>,
    answer: Memo<Option<Waiting>>,
) -> impl IntoView {
    let axis = Memo::new(move |_| {
        let now_ms = live.now_ms();
        let of = |detail: &PipelineDetail| {
            zone.with(|zone| partitions::axis(&detail.partitions, watermark(detail), now_ms, zone))
        };
        detail.with(|detail| detail.map(of).unwrap_or_default())
    });
    let sentence = Memo::new(move |_| {
        answer.with(|answer| answer.as_ref().map(|answer| answer.sentence.clone()).unwrap_or_default())
    });
    let n_rows = Memo::new(move |_| axis.with(|axis| axis.rows.len()));
    let empty = Signal::derive(move || match detail.failure() {
        Some(reason) => format!("The partitions can't be shown: {reason}."),
        None if detail.with(|detail| detail.is_none()) => "Asking the server.".to_owned(),
        None => "No partition is known yet: the broker has not been heard of.".to_owned(),
    });
    view! {
        <section class="waiting" aria-labelledby="waiting">
            <div class="section-head">
                <h2 id="waiting">"What windows wait for"</h2>
            </div>
            <p
                class="answer figure"
                class:held-up=Signal::derive(move || answer.with(|answer| answer.as_ref().is_some_and(|answer| answer.culprit.is_some())))
                data-testid="why-open"
                hidden=Signal::derive(move || sentence.with(String::is_empty))
            >
                {sentence}
            </p>
            <p class="message" hidden=Signal::derive(move || n_rows.get() != 0)>{empty}</p>
            <div class="scroll" tabindex="0" role="region" aria-label="Partitions" hidden=Signal::derive(move || n_rows.get() == 0)>
                <table class="partitions" data-testid="partitions">
                    <thead>
                        <tr>
                            <th scope="col">"Partition"</th>
                            <th scope="col" class="axis"><Ticks axis /></th>
                            <th scope="col" class="num">"Watermark"</th>
                            <th scope="col" class="num">{Signal::derive(move || axis.with(|axis| axis.end.head()))}</th>
                            <th scope="col" class="num">"To read"</th>
                            <th scope="col" class="num">"Next offset"</th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || 0..n_rows.get() key=|at| *at let:at>
                            <Line axis at />
                        </For>
                    </tbody>
                </table>
            </div>
            <p class="quiet">{Signal::derive(move || axis.with(|axis| axis.note.clone()))}</p>
        </section>
    }
}

/// The labels of the axis; their number never changes.
#[component]
fn Ticks(axis: Memo<Axis>) -> impl IntoView {
    let tick = move |at: usize| {
        let label = move || axis.with(|axis| axis.ticks.get(at).map(|(_, label)| label.clone()));
        view! { <span>{label}</span> }
    };
    view! {
        <span class="unseen">"Watermark on a time axis"</span>
        <span class="ticks" aria-hidden="true">{[0, 1, 2, 3, 4].map(tick).collect_view()}</span>
    }
}

#[component]
fn Line(axis: Memo<Axis>, at: usize) -> impl IntoView {
    let row = Memo::new(move |_| axis.with(|axis| axis.rows.get(at).cloned()));
    let text = move |part: fn(&PartitionRow) -> &str| {
        Signal::derive(move || {
            row.with(|row| row.as_ref().map(|row| part(row).to_owned()).unwrap_or_default())
        })
    };
    let is = move |part: fn(&PartitionRow) -> bool| {
        Signal::derive(move || row.with(|row| row.as_ref().is_some_and(part)))
    };
    let percent = |share: f64| format!("{:.2}%", share * 100.0);
    let place = Signal::derive(move || {
        row.with(|row| row.as_ref().and_then(|row| row.place).map_or_else(|| "0%".to_owned(), percent))
    });
    let watermark = Signal::derive(move || axis.with(|axis| axis.watermark.map(percent).unwrap_or_default()));
    view! {
        <tr class:holds-back=is(|row| row.holds_back) class:idle=is(|row| row.idle) data-testid="partition-row">
            <td>
                {text(|row| &row.name)} " "
                <span class="blame">{Signal::derive(move || if is(|row| row.holds_back).get() { "holds the others back" } else { "" })}</span>
            </td>
            <td class="axis" aria-hidden="true">
                <svg class="track">
                    <line class="rail" x1="0" x2="100%" y1="50%" y2="50%" />
                    <rect class="reach" x="0" y="11" height="6" width=place />
                    <line class="watermark" class:none=move || watermark.with(String::is_empty) x1=watermark x2=watermark y1="0" y2="100%" />
                    <circle class="mark" cx=place cy="50%" r="4.5" class:none=is(|row| row.place.is_none()) />
                </svg>
            </td>
            <td class="num figure">{text(|row| &row.watermark)}</td>
            <td class="num figure">{text(|row| &row.behind)}</td>
            <td class="num figure">{text(|row| &row.lag_records)}</td>
            <td class="num figure">{text(|row| &row.next_offset)}</td>
        </tr>
    }
}
