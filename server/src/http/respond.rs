//! Answers: JSON, and problems for every fault.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weir_api::CONTENT_TYPE_PROBLEM;

use crate::problem::{Code, Fault};

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is strings and numbers: it always is JSON.
        let mut response = Response::new(Body::from(serde_json::to_vec(problem).unwrap_or_default()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer that is not to be cached.
pub(super) fn json(value: &impl Serialize) -> Result<Response, Fault> {
    let body = serde_json::to_vec(value).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    Ok(with_type("application/json", Body::from(body)))
}

/// An answer of a fixed media type that is not to be cached.
pub(super) fn with_type(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
