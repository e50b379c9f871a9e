//! The dataflow as a drawing: boxes for steps, lines for rows, and a sentence that names who holds them up.

use leptos::html;
use leptos::prelude::*;
use weir_api::PipelineDetail;

use crate::page::shell::Again;
use crate::page::size::follow_size;
use crate::view::dataflow::{self, Counts, EdgeView, FlowView, NodeView};

#[component]
pub(super) fn Flow(detail: Again<PipelineDetail>) -> impl IntoView {
    let counts = RwSignal::new(Counts::default());
    Effect::new(move |_| {
        detail.with(|detail| match detail {
            Some(detail) => counts.update(|counts| counts.take(&detail.graph, js_sys::Date::now())),
            // Another pipeline: its edges may have the same names.
            None => counts.set(Counts::default()),
        });
    });
    let host = NodeRef::<html::Div>::new();
    let size = follow_size(host);
    let room = Memo::new(move |_| size.get().0);
    let flow = Memo::new(move |_| {
        let room = room.get();
        let of = |detail: &PipelineDetail| {
            counts.with(|counts| dataflow::flow(&detail.graph, counts, &detail.sinks, room))
        };
        detail.with(|detail| detail.map(of).unwrap_or_default())
    });
    let nodes = Memo::new(move |_| {
        flow.with(|flow| flow.nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>())
    });
    let edges = Memo::new(move |_| {
        flow.with(|flow| flow.edges.iter().map(|edge| edge.key.clone()).collect::<Vec<_>>())
    });
    let extent = Memo::new(move |_| flow.with(|flow| (flow.width, flow.height)));
    let sentence = Memo::new(move |_| flow.with(|flow| flow.sentence.clone()));
    view! {
        <section class="flow" aria-labelledby="flow" hidden=Signal::derive(move || nodes.with(Vec::is_empty))>
            <div class="section-head">
                <h2 id="flow">"Dataflow"</h2>
            </div>
            <p class="answer figure" class:held-up=Signal::derive(move || flow.with(|flow| flow.is_held_up)) data-testid="back-pressure">
                {sentence}
            </p>
            <div class="scroll" node_ref=host tabindex="0" role="region" aria-label="Drawing of the dataflow">
                <svg
                    class="dataflow"
                    data-testid="dataflow"
                    role="img"
                    aria-label=Signal::derive(move || described(&flow.get()))
                    width=Signal::derive(move || extent.get().0)
                    height=Signal::derive(move || extent.get().1)
                >
                    <For each=move || edges.get() key=Clone::clone let:key>
                        <Edge flow key />
                    </For>
                    <For each=move || nodes.get() key=Clone::clone let:id>
                        <Node flow id />
                    </For>
                </svg>
            </div>
        </section>
    }
}

/// The drawing in words.
fn described(flow: &FlowView) -> String {
    let step = |node: &NodeView| format!("{} ({}) {}", node.kind, node.label, node.load);
    let steps: Vec<String> = flow.nodes.iter().map(step).collect();
    format!("Steps, in the order of the data path: {}", steps.join("; "))
}

#[component]
fn Node(flow: Memo<FlowView>, id: String) -> impl IntoView {
    let node = Memo::new(move |_| flow.with(|flow| flow.nodes.iter().find(|node| node.id == id).cloned()));
    let text = move |part: fn(&NodeView) -> String| {
        Signal::derive(move || node.with(|node| node.as_ref().map(part).unwrap_or_default()))
    };
    // A flat box has it beside its kind, where others have their subtasks.
    let load_x = text(|node| if node.is_flat { node.width - 12.0 } else { 12.0 }.to_string());
    let load_y = text(|node| if node.is_flat { "22" } else { "78" }.to_owned());
    let load_anchor = text(|node| if node.is_flat { "end" } else { "start" }.to_owned());
    let kind = text(|node| if node.is_culprit { "node culprit".to_owned() } else { "node".to_owned() });
    let bar = text(|node| if node.busy.is_some() { String::new() } else { "none".to_owned() });
    let busy = text(|node| format!("{:.1}", bar_widths(node).0));
    let blocked = text(|node| format!("{:.1}", bar_widths(node).1));
    let blocked_from = text(|node| format!("{:.1}", 12.0 + bar_widths(node).0));
    view! {
        <g class=kind transform=text(|node| format!("translate({} {})", node.x, node.y))>
            <rect class="box" width=text(|node| node.width.to_string()) height=text(|node| node.height.to_string()) rx="6" />
            <text class="kind" x="12" y="22">{text(|node| node.kind.clone())}</text>
            <text class="small" x=text(|node| (node.width - 12.0).to_string()) y="22" text-anchor="end">{text(|node| node.subtasks.clone())}</text>
            <text class="small" x="12" y="41">{text(|node| node.short_label.clone())}</text>
            <g class=bar>
                <rect class="rail" x="12" y="53" width=text(|node| bar_width(node).to_string()) height="6" rx="3" />
                <rect class="busy" x="12" y="53" width=busy height="6" rx="3" />
                <rect class="blocked" x=blocked_from y="53" width=blocked height="6" rx="3" />
            </g>
            <text class="small figure" x=load_x y=load_y text-anchor=load_anchor>{text(|node| node.load.clone())}</text>
            <text class="small figure" x="12" y="95">{text(|node| node.state.clone())}</text>
        </g>
    }
}

fn bar_width(node: &NodeView) -> f64 {
    node.width - 24.0
}

/// Both shares of one time: what does not fit beside the other is not drawn.
fn bar_widths(node: &NodeView) -> (f64, f64) {
    let whole = bar_width(node);
    let width = |share: Option<f64>| whole * share.unwrap_or(0.0).clamp(0.0, 1.0);
    let busy = width(node.busy);
    (busy, width(node.blocked).min(whole - busy))
}

#[component]
fn Edge(flow: Memo<FlowView>, key: String) -> impl IntoView {
    let edge = Memo::new(move |_| flow.with(|flow| flow.edges.iter().find(|edge| edge.key == key).cloned()));
    let text = move |part: fn(&EdgeView) -> String| {
        Signal::derive(move || edge.with(|edge| edge.as_ref().map(part).unwrap_or_default()))
    };
    view! {
        <g class="edge">
            <path class="line" d=text(|edge| edge.path.clone()) />
            <path class="tip" d=text(|edge| edge.tip.clone()) />
            <text class="small figure" text-anchor="middle" x=text(|edge| edge.label_x.to_string()) y=text(|edge| edge.label_y.to_string())>
                {text(|edge| edge.rate.clone())}
            </text>
        </g>
    }
}
