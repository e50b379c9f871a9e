//! The bytes of the event stream, by fetch.
//!
//! Not `EventSource`: that hides comments (the heartbeat of a quiet server) and the reason of a refusal, and reconnects
//! by its own clock.

use web_sys::{AbortSignal, RequestInit};

use super::body;
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
    body::read(response, |bytes| on_bytes(bytes).map(|()| true)).await?;
    Err(Failure::Unreachable)
}
