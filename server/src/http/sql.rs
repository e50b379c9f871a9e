//! `POST /api/v1/sql`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::unfold;
use weir_api::{CONTENT_TYPE_ROWS, RowsEnd, SqlRequest};

use super::AppState;
use super::body::{BODY_BYTES_MAX, check_type, read_body};
use super::params::{accepted, duration};
use super::respond::with_type;
use crate::problem::{Code, Fault};
use crate::sql::{Answer, Format};

const FORMATS: [(&str, Format); 5] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::Ndjson),
    (CONTENT_TYPE_ROWS, Format::Rows),
    ("text/csv", Format::Csv),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
];

/// One query, one answer.
pub(super) async fn query(State(app): State<Arc<AppState>>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    check_type(&parts, "application/json")?;
    let format = format(&parts)?;
    let body = read_body(&parts, body, BODY_BYTES_MAX).await?;
    let request = parse(&body)?;
    let timeout = request.timeout.as_deref().map(|text| duration("timeout", text)).transpose()?;
    let longest = app.queries.limits().timeout_max;
    if timeout.is_some_and(|timeout| longest < timeout) {
        let detail = format!("timeout is longer than {} s, the longest allowed", longest.as_secs());
        return Err(Fault::new(Code::BadRequest, detail));
    }
    let answer = app.queries.run(app.catalog.pipelines(), request.query, timeout, format).await?;
    if format == Format::Json {
        let body = whole(answer).await?;
        return Ok(with_type(format.media_type(), Body::from(body)));
    }
    let pieces = streamed(answer);
    if format == Format::Rows {
        return Ok(with_type(
            format.media_type(),
            Body::from_stream(pieces.map(|piece| piece.or_else(ended))),
        ));
    }
    Ok(with_type(format.media_type(), Body::from_stream(pieces)))
}

/// Reads the body. An object only: for serde, a list of its values in order would do as well.
fn parse(body: &[u8]) -> Result<SqlRequest, Fault> {
    let wrong = |why: &dyn std::fmt::Display| {
        Fault::new(Code::BadRequest, format!("the body is not a query: {why}"))
            .hint(r#"send {"query": "SELECT …"}, and perhaps "timeout": "30s""#)
    };
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong(&"it is not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| wrong(&error))
}

fn format(parts: &Parts) -> Result<Format, Fault> {
    let accept = parts.headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
    let offered = FORMATS.map(|(media_type, _)| media_type);
    let chosen = accepted(accept, &offered);
    let format = FORMATS.iter().find(|(media_type, _)| Some(*media_type) == chosen);
    format.map(|(_, format)| *format).ok_or_else(|| {
        Fault::new(Code::NotAcceptable, "none of the accepted formats can be given")
            .hint(format!("accept one of {}", offered.join(", ")))
    })
}

pub(super) async fn whole(mut answer: Answer) -> Result<Bytes, Fault> {
    let mut body = BytesMut::new();
    while let Some(bytes) = answer.next().await? {
        if body.is_empty() {
            match bytes.try_into_mut() {
                Ok(owned) => body = owned,
                Err(shared) => body.extend_from_slice(&shared),
            }
        } else {
            body.extend_from_slice(&bytes);
        }
    }
    Ok(body.freeze())
}

/// The last line of rows whose query failed on the way.
fn ended(fault: Fault) -> Result<Bytes, Fault> {
    let problem = fault.problem().clone();
    let mut line = serde_json::to_vec(&RowsEnd::Failed { problem }).map_err(|_| fault)?;
    line.push(b'\n');
    Ok(line.into())
}

/// The pieces as they are made. A failure on the way breaks the transfer off, so that no client
/// takes a part for the whole.
fn streamed(answer: Answer) -> impl futures::Stream<Item = Result<Bytes, Fault>> {
    unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        match answer.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
            Ok(None) => None,
            Err(fault) => {
                tracing::warn!(error = %fault, "query failed while its answer was being sent");
                Some((Err(fault), None))
            }
        }
    })
}
