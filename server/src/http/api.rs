//! Pipelines as JSON.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use weir_api::{PipelineDetail, PipelinesResponse};

use super::AppState;
use super::graph::graph;
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
        sinks: view.sinks(),
        partitions: view.partitions(),
        graph: graph(view),
        timing: view.timing(),
    })
}

pub(super) fn missing<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Fault {
    let fault = Fault::new(Code::NotFound, format!("no {what} \"{name}\""));
    match nearest(name, names) {
        Some(meant) => fault.hint(format!("did you mean \"{meant}\"?")),
        None => fault,
    }
}
