//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::response::Response;
use weir_engine::pipeline::State as PipelineState;

use super::AppState;
use super::respond::with_type;
use crate::catalog::PipelineView;
use crate::metrics::CONTENT_TYPE;
use crate::problem::{Code, Fault};

const PLAIN: &str = "text/plain; charset=utf-8";

/// The process serves.
pub(super) async fn healthz() -> Response {
    with_type(PLAIN, "ok\n")
}

/// Every pipeline is reading, or the reasons why not.
pub(super) async fn readyz(State(app): State<Arc<AppState>>) -> Result<Response, Fault> {
    let reasons: Vec<String> = app.catalog.pipelines().iter().filter_map(unready).collect();
    if reasons.is_empty() {
        return Ok(with_type(PLAIN, "ready\n"));
    }
    Err(Fault::new(Code::NotReady, reasons.join("; ")))
}

/// Why a pipeline is not reading.
fn unready(view: &PipelineView) -> Option<String> {
    let unread = &view.live.unread;
    let why = match (view.state, view.error()) {
        (PipelineState::Running, None) if unread.is_empty() => return None,
        (PipelineState::Running, None) => {
            let unread: Vec<String> = unread.iter().map(i32::to_string).collect();
            let partitions = format!("looks for where to read on in partition {}", unread.join(", "));
            return Some(format!("pipeline \"{}\": {partitions}", view.name));
        }
        (PipelineState::Running, Some(trouble)) => trouble,
        (state, Some(error)) => {
            return Some(format!("pipeline \"{}\" is {}: {error}", view.name, state.as_str()));
        }
        (state, None) => state.as_str(),
    };
    Some(format!("pipeline \"{}\": {why}", view.name))
}

/// The metrics of the process.
pub(super) async fn metrics(State(app): State<Arc<AppState>>) -> Response {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    with_type(CONTENT_TYPE, app.metrics.render(&app.catalog.pipelines(), now_ms))
}
