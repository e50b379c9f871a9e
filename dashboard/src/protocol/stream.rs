//! The bytes of the event stream, by fetch.
//!
//! Not `EventSource`: that hides comments (the heartbeat of a quiet server) and the reason of a refusal, and reconnects
//! by its own clock.

use js_sys::futures::JsFuture;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, ReadableStreamDefaultReader, RequestInit};

use super::http::{self, Failure};

/// Reads the stream at `path` until it ends, `signal` ends it, or a callback does.
///
/// `on_open` gets the server's clock, in milliseconds since 1970, where it says it. `on_bytes` gets each chunk and
/// returns why the stream must end, if it must.
///
/// # Errors
/// Always: a stream has no good end. The text is the reason.
pub async fn read(
    path: &str,
    signal: &AbortSignal,
    on_open: impl FnOnce(Option<f64>),
    mut on_bytes: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), Failure> {
    let init = RequestInit::new();
    init.set_signal(Some(signal));
    init.set_headers(&http::headers("text/event-stream", None)?);
    let response = http::send(path, &init).await?;
    on_open(http::date_ms(&response));
    let body = response.body().ok_or_else(|| Failure::Unreadable("it has no body".into()))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    loop {
        let chunk = JsFuture::from(reader.read()).await.map_err(|_| Failure::Unreachable)?;
        let member =
            |name: &str| Reflect::get(&chunk, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
        if member("done").is_truthy() {
            return Err(Failure::Unreachable);
        }
        let bytes = member("value").unchecked_into::<Uint8Array>().to_vec();
        on_bytes(&bytes).map_err(Failure::Unreadable)?;
    }
}
