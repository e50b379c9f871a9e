//! HTTP: the API under `/api/v1`, the page, probes and metrics.
//!
//! ```text
//! socket ─► serve (limits) ─► guard (Host, Origin, sizes, panics, headers) ─► router ─► a handler
//! ```
//!
//! Invariants:
//! 1. Every error is RFC 9457 `application/problem+json`: also where hyper refuses what is no HTTP, or
//!    larger than it reads, which no handler ever sees: `socket` puts the problem into its bare answer. One exception: a
//!    browser that asks for a page where there is none gets one that says so.
//! 2. No web page of another origin reaches a handler, and every answer carries the security headers.
//! 3. Nothing here computes for long: queries run on their own threads, streams when there is room.

mod api;
mod boards;
mod body;
mod graph;
mod guard;
mod page;
mod params;
mod probes;
mod replay;
mod respond;
mod serve;
mod socket;
mod sources;
mod sql;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};

pub use boards::Boards;
pub(crate) use body::read_body;
pub(crate) use guard::{check, preflight};
pub(crate) use params::accepted;
pub use serve::serve;
pub(crate) use serve::serve_router;
pub use sources::{Origin, Origins};

use crate::catalog::Catalog;
use crate::metrics::Metrics;
use crate::problem::{Code, Fault};
use crate::sql::Queries;
use crate::stream::Hub;

/// What the handlers answer from.
pub struct AppState {
    pub catalog: Arc<dyn Catalog>,
    pub hub: Arc<Hub>,
    pub queries: Queries,
    pub metrics: Arc<Metrics>,
    pub boards: Boards,
    pub origins: Origins,
    pub access: Access,
}

/// Who may ask, apart from loopback and the same origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `--allow-host`: names or addresses, with or without a port.
    pub hosts: Vec<String>,
    /// `--allow-origin`: such as `https://charts.example.com`.
    pub origins: Vec<String>,
}

/// All routes with their guard.
fn router(app: Arc<AppState>) -> Router {
    Router::new()
        .route("/api/v1/sql", post(sql::query))
        .route("/api/v1/pipelines", get(api::pipelines))
        .route("/api/v1/pipelines/{name}", get(api::pipeline))
        .route("/api/v1/pipelines/{name}/replay", post(replay::replay))
        .route("/api/v1/stream", get(stream::stream))
        .route("/api/v1/poll", get(stream::poll))
        .route("/api/v1/dashboards", get(boards::dashboards))
        .route("/api/v1/dashboards/{name}", get(boards::dashboard).put(boards::write))
        .route("/api/v1/sources/{name}", get(sources::source))
        .route("/api/v1/sources/{name}/schemas/{id}", get(sources::schema))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .route("/", get(page::index))
        .route("/pipelines/{name}", get(page::index))
        .route("/d/{name}", get(page::index))
        .route("/sql", get(page::index))
        .route("/dead-letters", get(page::index))
        .route("/{*path}", any(page::asset))
        .fallback(async || Fault::new(Code::NotFound, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Fault::new(Code::MethodNotAllowed, "this path does not take that method")
                .hint("the Allow header names those it takes")
        })
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

#[cfg(test)]
mod tests;
