//! What every request passes, and every answer gets.
//!
//! A web page that the user visits can make their browser send requests to `127.0.0.1`. It gives
//! itself away by its Origin, or, if its own name resolves to this address (DNS rebinding), by its
//! Host. Both are checked before anything else looks at a request.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use weir_api::CONTENT_TYPE_PROBLEM;

use super::{Access, AppState, page};
use crate::problem::{Code, Fault};

/// Longest path and query. A stream of a hundred tables fits.
const URI_BYTES_MAX: usize = 8 * 1024;
/// Most bytes and number of headers. `serve` reads a little more and then gives up.
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The middleware around all routes.
pub(super) async fn guard(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let path = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "none".to_owned(),
    };
    let foreign = match check(&request, &app.access) {
        Ok(foreign) => foreign,
        Err(fault) => {
            return finish(&app, fault.into_response(), None, (method, &path, started));
        }
    };
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let response = if foreign.is_some() && is_preflight {
        preflight("GET, POST, PUT", "content-type, last-event-id")
    } else {
        // A panic is a bug; it costs its request and no other.
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => Fault::new(Code::Internal, "the server made a mistake")
                .hint("its log says more")
                .into_response(),
        }
    };
    finish(&app, response, foreign, (method, &path, started))
}

/// Adds headers and counts the request.
fn finish(
    app: &AppState,
    mut response: Response,
    foreign: Option<HeaderValue>,
    (method, path, started): (&'static str, &str, Instant),
) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    if is_refusal && !is_problem(&response) && !page::is_page(&response) {
        response = as_problem(response);
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(origin) = foreign {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let name = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(name, HeaderValue::from_static("cross-origin"));
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    app.metrics.request(method, path, response.status().as_u16(), started.elapsed());
    response
}

fn is_problem(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    media_type.is_some_and(|media_type| media_type.as_bytes() == CONTENT_TYPE_PROBLEM.as_bytes())
}

/// What the router or an extractor refused on its own, as a problem of the same status.
fn as_problem(response: Response) -> Response {
    let code = match response.status() {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        status if status.is_client_error() => Code::BadRequest,
        _ => Code::Internal,
    };
    Fault::new(code, "the request can't be read").into_response()
}

/// Sizes, Host and Origin. The origin, if it is another one that is allowed.
///
/// # Errors
/// [`Code::Forbidden`], [`Code::UriTooLong`], [`Code::HeadersTooLarge`].
pub(crate) fn check(request: &Request, access: &Access) -> Result<Option<HeaderValue>, Fault> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if URI_BYTES_MAX < uri_bytes {
        let detail = format!("the address has {uri_bytes} bytes, at most {URI_BYTES_MAX} are allowed");
        return Err(Fault::new(Code::UriTooLong, detail));
    }
    let headers = request.headers();
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if HEADER_BYTES_MAX < header_bytes || HEADERS_MAX < headers.len() {
        let detail = format!(
            "{} headers of {header_bytes} bytes, at most {HEADERS_MAX} of {HEADER_BYTES_MAX} are allowed",
            headers.len()
        );
        return Err(Fault::new(Code::HeadersTooLarge, detail));
    }
    let host = host(request.uri(), headers)?;
    if !is_allowed_host(&host, &access.hosts) {
        let detail = format!("host \"{host}\" is not allowed");
        return Err(Fault::new(Code::Forbidden, detail)
            .hint("ask for localhost or 127.0.0.1, or start weir with --allow-host"));
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(None) };
    if origins.next().is_none() {
        let text = origin.to_str().unwrap_or_default();
        if is_same_origin(text, &host) {
            return Ok(None);
        }
        if access.origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(text)) {
            return Ok(Some(origin.clone()));
        }
    }
    let detail = format!("origin {origin:?} is not allowed");
    Err(Fault::new(Code::Forbidden, detail).hint("start weir with --allow-origin to let that web page in"))
}

/// The one host that a request names.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Fault> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        _ => None,
    };
    let host = host.ok_or_else(|| Fault::new(Code::Forbidden, "the request has no valid Host header"))?;
    // A request line may name a host too (`GET http://…`); both must agree.
    match uri.authority() {
        Some(authority) if *authority != host => {
            Err(Fault::new(Code::Forbidden, "the request names two hosts"))
        }
        _ => Ok(host),
    }
}

fn is_allowed_host(host: &Authority, allowed: &[String]) -> bool {
    if host.as_str().contains('@') {
        return false;
    }
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    // A name may end with the dot of the root.
    let is_localhost = name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case("localhost");
    is_localhost
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        || allowed.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host.as_str())
                || allowed.eq_ignore_ascii_case(host.host())
                || allowed.eq_ignore_ascii_case(name)
        })
}

/// Whether an origin is this server under the name that the request used.
fn is_same_origin(origin: &str, host: &Authority) -> bool {
    let (scheme_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (80, authority),
        // A proxy in front may speak TLS.
        Some(("https", authority)) => (443, authority),
        _ => return false,
    };
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(scheme_port);
    authority.host().eq_ignore_ascii_case(host.host()) && port(&authority) == port(host)
}

/// What a browser wants to know before it lets a page of an allowed origin ask.
pub(crate) fn preflight(methods: &'static str, headers: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(headers));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Only known methods become labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_allowed_hosts_pass() {
        let allowed = ["weir.example.com".to_owned(), "10.0.0.5:8080".to_owned()];
        let passes = |host: &str| host.parse().is_ok_and(|host| is_allowed_host(&host, &allowed));
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "127.0.0.2:8080",
            "127.255.1.1",
            "[::ffff:127.0.0.1]",
            "localhost.:8080",
            "weir.example.com:1",
            "10.0.0.5:8080",
        ] {
            assert!(passes(host), "{host}");
        }
        for host in [
            "evil.example",
            "128.0.0.1",
            "10.0.0.5:81",
            "localhost.evil.example",
            "localhost..",
            ".localhost",
            "127.0.0.1.",
            "127.1",
            "a@localhost",
            "0.0.0.0",
        ] {
            assert!(!passes(host), "{host}");
        }
    }

    #[test]
    fn origin_is_the_same_with_the_same_host_and_port_only() {
        let same = |origin: &str, host: &str| is_same_origin(origin, &host.parse().expect("a host"));
        assert!(same("http://localhost:8080", "localhost:8080"));
        assert!(same("https://weir.example.com", "weir.example.com"));
        assert!(same("http://[::1]:80", "[::1]"));
        for origin in
            ["http://localhost:3000", "http://127.0.0.1:8080", "null", "", "file://", "localhost:8080"]
        {
            assert!(!same(origin, "localhost:8080"), "{origin}");
        }
    }
}
