//! `GET /api/v1/stream`: server-sent events; `GET /api/v1/poll`: the same events, asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures::stream::unfold;

use super::AppState;
use super::params::{accepted, duration};
use super::respond::with_type;
use crate::problem::{Code, Fault};
use crate::stream::{Client, Subscription};

const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
/// Networks that cut streams cut long waits, too.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Opens a stream.
pub(super) async fn stream(
    State(app): State<Arc<AppState>>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let accept = headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
    if accepted(accept, &[EVENT_STREAM]).is_none() {
        return Err(Fault::new(Code::NotAcceptable, "a stream is text/event-stream"));
    }
    let Asked { mut wanted, .. } = asked(query, &["table", "last", "after"])?;
    // A browser that reconnects keeps the address, and says in the header what it has seen since.
    if let Some(id) = headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        wanted.after = Some(id.to_owned());
    }
    let client = app.hub.subscribe(app.catalog.as_ref(), wanted)?;
    let mut response = with_type(EVENT_STREAM, Body::from_stream(pieces(client)));
    // Proxies such as nginx would hold events back otherwise.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

/// Answers with the events behind `after`, or waits for one.
pub(super) async fn poll(
    State(app): State<Arc<AppState>>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let accept = headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
    if accepted(accept, &[JSON]).is_none() {
        return Err(Fault::new(Code::NotAcceptable, "a poll is answered with application/json"));
    }
    let Asked { wanted, wait } = asked(query, &["table", "last", "after", "wait"])?;
    let after = wanted.after.clone();
    let client = app.hub.subscribe(app.catalog.as_ref(), wanted)?;
    Ok(with_type(JSON, client.poll(after.as_deref(), wait).await))
}

type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

struct Asked {
    wanted: Subscription,
    wait: Duration,
}

/// Reads the parameters; those that are not `known` are refused.
fn asked(query: Parameters, known: &[&str]) -> Result<Asked, Fault> {
    let Query(parameters) =
        query.map_err(|e| Fault::new(Code::BadRequest, format!("the parameters can't be read: {e}")))?;
    let mut asked = Asked { wanted: Subscription::default(), wait: Duration::ZERO };
    let Asked { wanted, wait } = &mut asked;
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in parameters {
        if name != "table" && seen.contains(&name) {
            return Err(Fault::new(Code::BadRequest, format!("parameter \"{name}\" is given twice")));
        }
        seen.push(name.clone());
        match name.as_str() {
            unknown if !known.contains(&unknown) => {
                let detail = format!("unknown parameter \"{name}\"");
                return Err(
                    Fault::new(Code::BadRequest, detail).hint(format!("known are {}", known.join(", ")))
                );
            }
            "table" => wanted.tables.push(value),
            "last" => {
                let last = duration("last", &value)?;
                wanted.last_ms = Some(i64::try_from(last.as_millis()).unwrap_or(i64::MAX));
            }
            "wait" => {
                *wait = if value == "0s" { Duration::ZERO } else { duration("wait", &value)? };
                if WAIT_MAX < *wait {
                    let detail = format!("wait is longer than {} s, the longest allowed", WAIT_MAX.as_secs());
                    return Err(Fault::new(Code::BadRequest, detail));
                }
            }
            _ => wanted.after = Some(value),
        }
    }
    Ok(asked)
}

fn pieces(client: Client) -> impl futures::Stream<Item = Result<bytes::Bytes, Infallible>> {
    unfold(client, async |mut client| client.next().await.map(|piece| (Ok(piece), client)))
}
