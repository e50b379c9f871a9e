//! `GET /api/v1/stream`: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

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

/// Opens a stream.
pub(super) async fn stream(
    State(app): State<Arc<AppState>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let accept = headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
    if accepted(accept, &[EVENT_STREAM]).is_none() {
        return Err(Fault::new(Code::NotAcceptable, "a stream is text/event-stream"));
    }
    let Query(parameters) =
        query.map_err(|e| Fault::new(Code::BadRequest, format!("the parameters can't be read: {e}")))?;
    let mut wanted = subscription(parameters)?;
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

fn subscription(parameters: Vec<(String, String)>) -> Result<Subscription, Fault> {
    let mut wanted = Subscription::default();
    for (name, value) in parameters {
        match name.as_str() {
            "table" => wanted.tables.push(value),
            "last" => {
                let last = duration("last", &value)?;
                wanted.last_ms = Some(i64::try_from(last.as_millis()).unwrap_or(i64::MAX));
            }
            "after" => wanted.after = Some(value),
            _ => {
                let detail = format!("unknown parameter \"{name}\"");
                return Err(Fault::new(Code::BadRequest, detail).hint("known are table, last and after"));
            }
        }
    }
    Ok(wanted)
}

fn pieces(client: Client) -> impl futures::Stream<Item = Result<bytes::Bytes, Infallible>> {
    unfold(client, async |mut client| client.next().await.map(|piece| (Ok(piece), client)))
}
