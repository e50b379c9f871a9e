//! Pipelines and dashboards as JSON.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use weir_api::{
    DashboardEntry, DashboardList, Graph, GraphEdge, GraphNode, PipelineDetail, PipelinesResponse,
};
use weir_engine::dataflow::plan::Plan;

use super::AppState;
use super::respond::json;
use crate::catalog::PipelineView;
use crate::problem::{Code, Fault, nearest};

/// All pipelines.
pub(super) async fn pipelines(State(app): State<Arc<AppState>>) -> Result<Response, Fault> {
    let views = app.catalog.pipelines();
    json(&PipelinesResponse {
        project: Some(app.catalog.project().to_owned()),
        pipelines: views.iter().map(PipelineView::summary).collect(),
    })
}

/// One pipeline with its dataflow.
pub(super) async fn pipeline(
    State(app): State<Arc<AppState>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let views = app.catalog.pipelines();
    let Some(view) = views.iter().find(|view| view.name == name) else {
        return Err(missing("pipeline", &name, views.iter().map(|view| view.name.as_str())));
    };
    json(&PipelineDetail {
        pipeline: view.summary(),
        sql: view.sql.clone(),
        sources: vec![view.source.clone()],
        sinks: Vec::new(),
        partitions: view.partitions(),
        graph: graph(view),
    })
}

/// `poll` comes with the dashboard.
pub(super) async fn poll() -> Fault {
    Fault::new(Code::NotFound, "poll is not supported yet").hint("use /api/v1/stream")
}

/// All dashboards.
pub(super) async fn dashboards(State(app): State<Arc<AppState>>) -> Result<Response, Fault> {
    let entry = |(name, dashboard): &(String, weir_api::Dashboard)| DashboardEntry {
        name: name.clone(),
        title: dashboard.title.clone(),
    };
    json(&DashboardList { dashboards: app.dashboards.iter().map(entry).collect() })
}

/// One dashboard file.
pub(super) async fn dashboard(
    State(app): State<Arc<AppState>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    match app.dashboards.iter().find(|(known, _)| *known == name) {
        Some((_, dashboard)) => json(dashboard),
        None => Err(missing("dashboard", &name, app.dashboards.iter().map(|(name, _)| name.as_str()))),
    }
}

fn missing<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Fault {
    let fault = Fault::new(Code::NotFound, format!("no {what} \"{name}\""));
    match nearest(name, names) {
        Some(meant) => fault.hint(format!("did you mean \"{meant}\"?")),
        None => fault,
    }
}

/// The operators in the order of the data path, their subtasks together, then the result table.
fn graph(view: &PipelineView) -> Graph {
    let mut nodes: Vec<GraphNode> = Vec::new();
    for live in &view.live.operators {
        if nodes.iter().all(|node| node.id != live.operator) {
            let label = view.plan.as_deref().map_or_else(String::new, |plan| label(live.kind, plan, view));
            nodes.push(GraphNode {
                id: live.operator.clone(),
                kind: live.kind.to_owned(),
                label,
                ..GraphNode::default()
            });
        }
        let Some(node) = nodes.iter_mut().find(|node| node.id == live.operator) else { continue };
        node.subtasks = Some(node.subtasks.unwrap_or(0) + 1);
        node.rows_in = Some(node.rows_in.unwrap_or(0) + live.rows_in);
        node.rows_out = Some(node.rows_out.unwrap_or(0) + live.rows_out);
        node.state_bytes = Some(node.state_bytes.unwrap_or(0) + live.state_bytes);
        node.busy_ratio = Some(node.busy_ratio.unwrap_or(0.0).max(live.busy_ratio));
        node.blocked_ratio = Some(node.blocked_ratio.unwrap_or(0.0).max(live.blocked_ratio));
    }
    if !nodes.is_empty() && view.retained {
        let rows_out = view.facts().map(|facts| facts.counters.rows_out);
        let label = view.name.clone();
        let kind = "result".to_owned();
        nodes.push(GraphNode { id: "result".to_owned(), kind, label, rows_out, ..GraphNode::default() });
    }
    let edge = |pair: &[GraphNode]| GraphEdge {
        from: pair[0].id.clone(),
        to: pair[1].id.clone(),
        rows: pair[0].rows_out,
        rows_per_second: None,
    };
    Graph { edges: nodes.windows(2).map(edge).collect(), nodes }
}

/// What an operator of a kind does in this plan, for people.
fn label(kind: &str, plan: &Plan, view: &PipelineView) -> String {
    match kind {
        "source" => format!("{} ({})", view.source, view.topic),
        "stateless" => format!("{} steps", plan.before.len()),
        "partial" | "window" | "aggregate" | "final" => match (&plan.window, &plan.aggregate) {
            (Some(window), Some(aggregate)) => {
                let calls: Vec<&str> =
                    aggregate.calls.iter().map(|call| call.field.name().as_str()).collect();
                format!("{} in windows of {} s", calls.join(", "), window.size_ms as f64 / 1_000.0)
            }
            _ => String::new(),
        },
        _ => String::new(),
    }
}
