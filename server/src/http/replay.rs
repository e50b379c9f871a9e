//! `POST pipelines/{name}/replay`: dead letters are run again, where `weir run --edit` says so.
//!
//! Invariants:
//! 1. What is answered is committed. A client that goes away ends it behind the letters that are under way.
//! 2. Letters are chosen as they were when the request came: one that fails again is not tried again.

use std::sync::Arc;

use axum::extract::{Path as Segment, Request, State};
use axum::response::Response;
use weir_api::{ReplayRequest, ReplayResponse, SqlResponse};
use weir_engine::Epoch;
use weir_engine::connector::Reason;
use weir_engine::pipeline::{ReplayError, Replayed, runs_again};
use weir_engine::result::LetterId;

use super::AppState;
use super::api::missing;
use super::body::{BODY_BYTES_MAX, check_type, read_body};
use super::respond::json;
use super::sql::whole;
use crate::catalog::PipelineView;
use crate::problem::{Code, Fault};
use crate::sql::{Format, condition};

/// Letters that are looked for at a time.
const IDS_MAX: usize = 10_000;

/// Runs the letters that fit again, all of them, and tells what came of it.
pub(super) async fn replay(
    State(app): State<Arc<AppState>>,
    Segment(name): Segment<String>,
    request: Request,
) -> Result<Response, Fault> {
    if !app.boards.are_editable() {
        return Err(Fault::new(Code::Forbidden, "this server runs no dead letters again")
            .hint("start it with weir run --edit"));
    }
    let (parts, body) = request.into_parts();
    check_type(&parts, "application/json")?;
    let request = parse(&read_body(&parts, body, BODY_BYTES_MAX).await?)?;
    let views = app.catalog.pipelines();
    let Some(view) = views.iter().find(|view| view.name == name) else {
        return Err(missing("pipeline", &name, views.iter().map(|view| view.name.as_str())));
    };
    let query = query(view, &request)?;
    let mut answer = ReplayResponse::default();
    loop {
        let ids = choose(&app, &query).await?;
        if ids.is_empty() {
            break;
        }
        let Replayed { taken, again, stopped } =
            run(&app, &name, ids).await.map_err(|fault| partly(&answer, fault))?;
        answer.replayed += taken - again;
        answer.failed_again += again;
        answer.stopped = stopped;
        if taken == 0 || answer.stopped.is_some() {
            break;
        }
    }
    let ReplayResponse { replayed, failed_again, stopped } = &answer;
    tracing::info!(pipeline = name, replayed, failed_again, stopped, "dead letters were run again");
    json(&answer)
}

/// Reads the body. An object only: for serde, a list of its values in order would do as well.
fn parse(body: &[u8]) -> Result<ReplayRequest, Fault> {
    let wrong = |why: &dyn std::fmt::Display| {
        Fault::new(Code::BadRequest, format!("the body does not say which dead letters: {why}"))
            .hint(r#"send {} for all of them, or {"reason": "bad_payload", "where": "\"offset\" > 7"}"#)
    };
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong(&"it is not a JSON object"));
    }
    let request: ReplayRequest = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
    match request.reason.as_deref().filter(|reason| Reason::of(reason).is_none()) {
        Some(reason) => Err(wrong(&format!("\"{reason}\" is no reason"))),
        None => Ok(request),
    }
}

/// Asks for the letters that fit now.
fn query(view: &PipelineView, request: &ReplayRequest) -> Result<String, Fault> {
    let not_yet = || Fault::new(Code::NotReady, format!("pipeline \"{}\" is not running", view.name));
    let plan = view.plan.as_ref().ok_or_else(not_yet)?;
    let epoch = view.facts().ok_or_else(not_yet)?.epoch.0;
    let reasons = Reason::ALL.into_iter().filter(|reason| {
        runs_again(plan, *reason)
            && request.reason.as_ref().is_none_or(|wanted| wanted.as_str() == reason.as_str())
    });
    let reasons: Vec<String> = reasons.map(|reason| format!("'{}'", reason.as_str())).collect();
    if reasons.is_empty() {
        let reason = request.reason.as_deref().unwrap_or_default();
        let detail = format!("dead letters of reason {reason} are not run again");
        return Err(Fault::new(Code::BadRequest, detail)
            .hint("their records may count in some windows, or missed windows that are closed"));
    }
    let fits = match &request.condition {
        Some(text) => format!(" AND ({})", condition(text)?),
        None => String::new(),
    };
    Ok(format!(
        "SELECT epoch, partition, \"offset\" FROM weir.dead_letters WHERE pipeline = '{}' AND epoch <= {epoch} \
         AND partition IS NOT NULL AND reason IN ({}){fits} LIMIT {IDS_MAX}",
        view.name,
        reasons.join(", "),
    ))
}

async fn choose(app: &AppState, query: &str) -> Result<Vec<LetterId>, Fault> {
    let longest = app.queries.limits().timeout_max;
    let views = app.catalog.pipelines();
    let answer = app
        .queries
        .run(views, query.to_owned(), Some(longest), Format::Json)
        .await
        .map_err(Fault::nowhere)?;
    let answer: SqlResponse = serde_json::from_slice(&whole(answer).await?)
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    let id = |row: &weir_api::Row| {
        let [epoch, partition, offset] = row.as_slice() else { return None };
        Some(LetterId {
            epoch: Epoch(epoch.as_u64()?),
            partition: i32::try_from(partition.as_i64()?).ok()?,
            offset: offset.as_i64()?,
        })
    };
    Ok(answer.rows.iter().filter_map(id).collect())
}

async fn run(app: &AppState, name: &str, ids: Vec<LetterId>) -> Result<Replayed, Fault> {
    let not_ready = |why: String| Fault::new(Code::NotReady, why);
    let pipeline = app.catalog.running(name);
    let pipeline = pipeline.ok_or_else(|| not_ready(format!("pipeline \"{name}\" is not running")))?;
    // It goes on to its end, also where nobody waits for the answer any more.
    let replayed = tokio::task::spawn_blocking(move || pipeline.replay(&ids)).await;
    match replayed.map_err(|_| Fault::new(Code::Internal, "the dead letters could not be run again"))? {
        Ok(replayed) => Ok(replayed),
        Err(error @ ReplayError::State(_)) => {
            tracing::error!(pipeline = name, %error, "dead letters could not be read");
            Err(Fault::new(Code::Internal, error.to_string()))
        }
        Err(error) => Err(not_ready(error.to_string()).hint("ask again: what was done is not done twice")),
    }
}

/// A fault behind letters that were run again.
fn partly(answer: &ReplayResponse, fault: Fault) -> Fault {
    match answer.replayed + answer.failed_again {
        0 => fault,
        n => fault.hint(format!("{n} dead letters had been run again before; ask again for the rest")),
    }
}
