//! The registry's listener: media types, limits and the same guard as everywhere; paths are the registry's.
//!
//! Invariant: every answer is JSON of Confluent's media types, errors `{"error_code", "message"}` too.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use weir_schemas::registry::EmbeddedRegistry;

use crate::http::{Access, accepted, check, preflight, read_body, serve_router};
use crate::problem::Fault;

/// Answers are of the first one that the client takes; bodies may be of any.
const MEDIA_TYPES: [&str; 3] =
    ["application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json"];
const OCTETS: &str = "application/octet-stream";
/// Largest body: a schema has 4 MiB at most, its references included, and more as a text in JSON.
const BODY_BYTES_MAX: usize = 6 << 20;
/// Larger bodies are read a few at a time, so that many together stay bounded.
const SMALL_BODY_BYTES: u64 = 64 << 10;
const LARGE_BODIES_MAX: usize = 16;
/// Requests that are worked on at a time; others wait.
const AT_WORK_MAX: usize = 16;
/// How long they wait.
const WAIT_MAX: Duration = Duration::from_secs(15);

struct Shared {
    registry: EmbeddedRegistry,
    access: Access,
    large_bodies: Semaphore,
    at_work: Arc<Semaphore>,
}

/// An HTTP status and what a person reads.
struct Refused(StatusCode, String);

/// Serves the registry until `shutdown` is done.
pub async fn serve(
    listener: TcpListener,
    registry: EmbeddedRegistry,
    access: Access,
    shutdown: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared {
        registry,
        access,
        large_bodies: Semaphore::new(LARGE_BODIES_MAX),
        at_work: Arc::new(Semaphore::new(AT_WORK_MAX)),
    });
    let router = Router::new().fallback(answer).with_state(shared);
    serve_router(listener, router, shutdown, || {}).await;
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let accept = request.headers().get(header::ACCEPT).map(|value| value.to_str().unwrap_or_default());
    let media_type = accepted(accept, &MEDIA_TYPES);
    let (answer, foreign) = match check(&request, &shared.access) {
        Ok(foreign) => {
            let asks_before = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            if foreign.is_some() && request.method() == Method::OPTIONS && asks_before {
                let allowed = preflight("GET, POST, PUT, DELETE", "content-type, accept");
                return with_headers(allowed, foreign);
            }
            (ask(&shared, media_type.is_some(), request).await, foreign)
        }
        Err(fault) => (Err(fault.into()), None),
    };
    let (status, json) = answer.unwrap_or_else(|Refused(status, message)| {
        (status, json!({ "error_code": status.as_u16(), "message": message }))
    });
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type.unwrap_or(MEDIA_TYPES[0]));
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    with_headers(response, foreign)
}

async fn ask(shared: &Shared, is_acceptable: bool, request: Request) -> Result<(StatusCode, Value), Refused> {
    if !is_acceptable {
        return Err(Refused(StatusCode::NOT_ACCEPTABLE, "HTTP 406 Not Acceptable".to_owned()));
    }
    let (parts, body) = request.into_parts();
    let has_body = matches!(parts.method, Method::POST | Method::PUT);
    if has_body {
        check_type(&parts.headers)?;
    }
    let bytes = if has_body {
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let is_small =
            length.and_then(|value| value.parse().ok()).is_some_and(|n: u64| n <= SMALL_BODY_BYTES);
        let _permit = if is_small { None } else { Some(turn(shared.large_bodies.acquire()).await?) };
        read_body(&parts, body, BODY_BYTES_MAX).await?
    } else {
        Bytes::new()
    };
    let permit = turn(Arc::clone(&shared.at_work).acquire_owned()).await?;
    let registry = shared.registry.clone();
    let work = move || {
        let _permit = permit;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let handle = || registry.handle(parts.method.as_str(), path, &bytes);
        std::panic::catch_unwind(AssertUnwindSafe(handle))
    };
    // It goes on where the client has gone: a change that was begun is made.
    let (status, json) = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => {
            let message = "the registry made a mistake, its log says more".to_owned();
            return Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, message));
        }
    };
    Ok((StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), json))
}

/// Waits for a turn, not for ever.
async fn turn<T>(turn: impl Future<Output = Result<T, tokio::sync::AcquireError>>) -> Result<T, Refused> {
    match timeout(WAIT_MAX, turn).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "the registry is busy: try again".to_owned())),
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if MEDIA_TYPES.iter().chain([&OCTETS]).any(|known| known.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let message = format!("HTTP 415 Unsupported Media Type: send one of {}", MEDIA_TYPES.join(", "));
    Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

fn with_headers(mut response: Response, foreign: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = HeaderName::from_static("cross-origin-resource-policy");
    let policy = if foreign.is_some() { "cross-origin" } else { "same-origin" };
    headers.insert(name, HeaderValue::from_static(policy));
    if let Some(origin) = foreign {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        let problem = fault.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let hint = problem.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
        Self(status, format!("{}{hint}", problem.detail))
    }
}
