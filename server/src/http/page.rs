//! The page: files of `dashboard/dist` that were built into the binary.
//!
//! Files are embedded as they are. Where there is a `.br` beside a file (or instead of it) and the
//! client accepts brotli, that one is sent.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::respond::with_type;
use crate::problem::{Code, Fault};

#[derive(RustEmbed)]
#[folder = "../dashboard/dist/"]
#[allow_missing = true]
struct Dist;

/// Shown where the binary was built without the page.
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Weir</title>\
<h1>Weir is running</h1>\
<p>This binary was built without the page. Build the page with <code>cargo xtask page</code>, then build the server again.</p>\
<p>The API is here: <a href=\"/api/v1/pipelines\">/api/v1/pipelines</a>, <a href=\"/metrics\">/metrics</a>.</p></html>";

/// The page, at each of its addresses: which one it is, the page's program reads from the address.
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Fault> {
    match file("index.html", &headers) {
        Some(response) => response,
        None => Ok(with_type("text/html; charset=utf-8", MISSING)),
    }
}

/// Any other file. Other paths are not there, whatever the method; who reads pages gets one that says so.
pub(super) async fn asset(
    method: Method,
    Path(path): Path<String>,
    mut headers: HeaderMap,
) -> Result<Response, Fault> {
    let missing = || Fault::new(Code::NotFound, format!("there is nothing at \"/{path}\""));
    let reads = matches!(method, Method::GET | Method::HEAD) && reads_pages(&path, &headers);
    // Names that start with a dot are the build's own; `.br` is not an address but an encoding.
    if path.ends_with(".br") || path.split('/').any(|part| part.starts_with('.')) {
        return Err(missing());
    }
    let found = match file(&path, &headers) {
        Some(found) => found?,
        None if reads => {
            // Who has it gets it all the same: "not modified" would be another status.
            headers.remove(IF_NONE_MATCH);
            let mut page = index(headers).await?;
            *page.status_mut() = StatusCode::NOT_FOUND;
            page.extensions_mut().insert(Lost);
            return Ok(page);
        }
        None => return Err(missing()),
    };
    match method {
        Method::GET | Method::HEAD => Ok(found),
        _ => {
            let fault = Fault::new(Code::MethodNotAllowed, "files can only be read").hint("use GET or HEAD");
            let mut refused = fault.into_response();
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
            Ok(refused)
        }
    }
}

/// Marks the page that says that there is none.
#[derive(Clone, Copy)]
struct Lost;

/// Whether a refusal is a page for a person.
pub(super) fn is_page(response: &Response) -> bool {
    response.extensions().get::<Lost>().is_some()
}

/// Whether a person follows a link, or wrote an address: only browsers ask for HTML by its name. Under `/api` are none.
fn reads_pages(path: &str, headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !path.starts_with("api/") && accepted.split(',').any(|kind| kind.trim().starts_with("text/html"))
}

fn file(path: &str, headers: &HeaderMap) -> Option<Result<Response, Fault>> {
    let plain = Dist::get(path);
    let packed = Dist::get(&format!("{path}.br"));
    let (file, is_packed) = match (plain, packed) {
        (_, Some(packed)) if accepts_brotli(headers) => (packed, true),
        (Some(plain), _) => (plain, false),
        (None, Some(_)) => {
            let detail = format!("\"/{path}\" is only there in brotli");
            return Some(Err(Fault::new(Code::NotAcceptable, detail).hint("send Accept-Encoding: br")));
        }
        (None, None) => return None,
    };
    Some(Ok(respond(path, file, is_packed, headers)))
}

fn respond(path: &str, file: EmbeddedFile, is_packed: bool, headers: &HeaderMap) -> Response {
    let hash: String =
        file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known =
        known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let body = match file.data {
        _ if is_known => Body::empty(),
        Cow::Borrowed(data) => Body::from(Bytes::from_static(data)),
        Cow::Owned(data) => Body::from(data),
    };
    let mut response = Response::new(body);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    out.insert(VARY, HeaderValue::from_static("accept-encoding"));
    let cache = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    out.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if is_packed {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(ETAG, etag);
    }
    response
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        is_brotli && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Whether a file's name holds a hash of its content, as `weir-0a1b2c3d4e5f6789.js`: such a file never changes.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_hash = |part: &str| 8 <= part.len() && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.split(['-', '.', '_']).any(is_hash)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "webmanifest") => "application/json",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_immutable() {
        assert!(is_hashed("weir-0a1b2c3d4e5f6789_bg.wasm"));
        assert!(is_hashed("assets/app.deadbeef.js"));
        assert!(!is_hashed("index.html"));
        assert!(!is_hashed("dashboard-page.js"));
    }

    #[test]
    fn only_who_asks_for_pages_reads_them() {
        let reads = |path: &str, accepted: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accepted));
            reads_pages(path, &headers)
        };
        assert!(reads("nothing", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!reads("nothing", "*/*") && !reads("nothing", "application/json"));
        assert!(!reads("api/v1/nothing", "text/html"));
        assert!(!reads_pages("nothing", &HeaderMap::new()));
    }

    #[test]
    fn brotli_is_sent_only_to_who_accepts_it() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_brotli(&headers)
        };
        assert!(accepts("gzip, deflate, br"));
        assert!(accepts("BR;q=0.5"));
        assert!(!accepts("gzip"));
        assert!(!accepts("br;q=0, gzip"));
        assert!(!accepts_brotli(&HeaderMap::new()));
    }
}
