//! Requests from the browser, answers as the types of the wire.

use js_sys::futures::JsFuture;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, Headers, RequestInit, RequestRedirect, Response};

pub use super::failure::Failure;
use super::wire::{self, Wire};

/// Gets a JSON answer.
///
/// # Errors
/// See [`Failure`].
pub async fn get<T: Wire>(path: &str) -> Result<T, Failure> {
    get_tagged(path).await.map(|(answer, _)| answer)
}

/// As [`get`], with the entity tag of what is there.
///
/// # Errors
/// See [`Failure`].
pub async fn get_tagged<T: Wire>(path: &str) -> Result<(T, Option<String>), Failure> {
    let init = RequestInit::new();
    init.set_headers(&headers("application/json", None)?);
    let response = send(path, &init).await?;
    let tag = response.headers().get("etag").ok().flatten();
    Ok((read(response).await?, tag))
}

/// Posts JSON and gets a JSON answer; `signal` ends it early, as [`Failure::Unreachable`].
///
/// # Errors
/// See [`Failure`].
pub async fn post<T: Wire>(path: &str, body: &impl Serialize, signal: &AbortSignal) -> Result<T, Failure> {
    send_json(path, body, Some(signal)).await
}

/// As [`post`], to its end.
///
/// # Errors
/// See [`Failure`].
pub async fn post_alone<T: Wire>(path: &str, body: &impl Serialize) -> Result<T, Failure> {
    send_json(path, body, None).await
}

/// Puts a text where it belongs, unless something else than `tag` names is there; nothing comes back.
///
/// # Errors
/// See [`Failure`].
pub async fn put(path: &str, media_type: &str, text: &str, tag: Option<&str>) -> Result<(), Failure> {
    let init = RequestInit::new();
    init.set_method("PUT");
    init.set_body(&JsValue::from_str(text));
    let headers = headers("application/json", Some(media_type))?;
    if let Some(tag) = tag {
        headers.unchecked_ref::<Headers>().set("if-match", tag).map_err(unusable)?;
    }
    init.set_headers(&headers);
    send(path, &init).await.map(drop)
}

async fn send_json<T: Wire>(
    path: &str,
    body: &impl Serialize,
    signal: Option<&AbortSignal>,
) -> Result<T, Failure> {
    read(send(path, &json_request("application/json", body, signal)?).await?).await
}

/// A request that posts JSON.
pub(super) fn json_request(
    accept: &str,
    body: &impl Serialize,
    signal: Option<&AbortSignal>,
) -> Result<RequestInit, Failure> {
    let text = serde_json::to_string(body).map_err(|error| Failure::Unreadable(error.to_string()))?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(&text));
    init.set_signal(signal);
    init.set_headers(&headers(accept, Some("application/json"))?);
    Ok(init)
}

/// The headers of a request.
pub(super) fn headers(accept: &str, content_type: Option<&str>) -> Result<JsValue, Failure> {
    let headers = Headers::new().map_err(unusable)?;
    headers.set("accept", accept).map_err(unusable)?;
    if let Some(content_type) = content_type {
        headers.set("content-type", content_type).map_err(unusable)?;
    }
    Ok(headers.into())
}

fn unusable(_: JsValue) -> Failure {
    Failure::Unreadable("a header was not accepted".into())
}

/// Sends a request; an answer that is not a success becomes the problem it carries.
pub(super) async fn send(path: &str, init: &RequestInit) -> Result<Response, Failure> {
    let window = web_sys::window().ok_or(Failure::Unreachable)?;
    // A gate's page for the sign-in is no answer of ours, and often one of another origin: not followed, it has status 0.
    init.set_redirect(RequestRedirect::Manual);
    let promise = window.fetch_with_str_and_init(path, init);
    let response = JsFuture::from(promise).await.map_err(|_| Failure::Unreachable)?;
    let response: Response = response.unchecked_into();
    if response.ok() {
        return Ok(response);
    }
    let body = text(&response).await.unwrap_or_default();
    Err(Failure::of_answer(response.status(), &response.status_text(), &body))
}

async fn read<T: Wire>(response: Response) -> Result<T, Failure> {
    wire::read(&text(&response).await?).map_err(Failure::Unreadable)
}

/// The server's clock, in milliseconds since 1970, where it says it.
pub(super) fn date_ms(response: &Response) -> Option<f64> {
    let date = response.headers().get("date").ok().flatten();
    date.map(|date| js_sys::Date::parse(&date)).filter(|ms| ms.is_finite())
}

pub(super) async fn text(response: &Response) -> Result<String, Failure> {
    let promise = response.text().map_err(|_| Failure::Unreachable)?;
    let text = JsFuture::from(promise).await.map_err(|_| Failure::Unreachable)?;
    text.as_string().ok_or_else(|| Failure::Unreadable("it is not text".into()))
}
