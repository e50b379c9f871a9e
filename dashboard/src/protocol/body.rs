//! The bytes of an answer, as they come.

use js_sys::futures::JsFuture;
use js_sys::{Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, ReadableStreamDefaultReader, Response};

use super::http::{self, Failure};

/// Hands each chunk of an answer to `on_bytes` until the end, or until that says `false` or why it must end.
///
/// # Errors
/// The connection broke, or the reason that `on_bytes` gave.
pub(super) async fn read(
    response: Response,
    mut on_bytes: impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), Failure> {
    let body = response.body().ok_or_else(|| Failure::Unreadable("it has no body".into()))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    loop {
        let chunk = JsFuture::from(reader.read()).await.map_err(|_| Failure::Unreachable)?;
        let member =
            |name: &str| Reflect::get(&chunk, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
        if member("done").is_truthy() {
            return Ok(());
        }
        let bytes = member("value").unchecked_into::<Uint8Array>().to_vec();
        if !on_bytes(&bytes).map_err(Failure::Unreadable)? {
            return Ok(());
        }
    }
}

/// Posts JSON and reads the answer as it comes; `signal` ends it early, as [`Failure::Unreachable`].
///
/// # Errors
/// See [`Failure`].
pub async fn post(
    path: &str,
    accept: &str,
    body: &impl Serialize,
    signal: &AbortSignal,
    on_bytes: impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), Failure> {
    let init = http::json_request(accept, body, Some(signal))?;
    read(http::send(path, &init).await?, on_bytes).await
}
