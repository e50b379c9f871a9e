//! Reading a request's body: bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::timeout;

use crate::problem::{Code, Fault};

/// Largest body of a query or a dashboard.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Of a body that is too large this much is read before it is refused: many clients send all of it before they look for an
/// answer, and a connection that closes with bytes unread takes its answer with it.
const DRAINED_BYTES_MAX: usize = 64 << 20;
/// And for so long: a client that says how much it has and sends nothing gets its answer soon.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// A body has to arrive within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses what is of another type: those that a web page can send anywhere without being asked first.
pub(super) fn check_type(parts: &Parts, taken: &str) -> Result<(), Fault> {
    let value = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(taken) {
        return Ok(());
    }
    Err(Fault::new(Code::UnsupportedMediaType, format!("content type \"{media_type}\" is not taken"))
        .hint(format!("send Content-Type: {taken}")))
}

/// The whole body, of `bytes_max` at most.
///
/// # Errors
/// [`Code::BodyTooLarge`], [`Code::RequestTimeout`], [`Code::BadRequest`] where the client broke it off.
pub(crate) async fn read_body(parts: &Parts, body: Body, bytes_max: usize) -> Result<Bytes, Fault> {
    let too_large = || {
        Fault::new(
            Code::BodyTooLarge,
            format!("the body has more than the {bytes_max} bytes that are allowed"),
        )
    };
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    // A client that asks first waits for the answer before it sends anything.
    let read_max = if parts.headers.contains_key(EXPECT) { bytes_max } else { DRAINED_BYTES_MAX };
    if announced.is_some_and(|bytes| (read_max as u64) < bytes) {
        return Err(too_large());
    }
    let is_too_large = announced.is_some_and(|bytes| (bytes_max as u64) < bytes);
    let reading = async {
        let mut chunks = body.into_data_stream();
        let (mut whole, mut n_bytes) = (BytesMut::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Fault::new(Code::BadRequest, "the body could not be read"))?;
            n_bytes += chunk.len();
            if n_bytes <= bytes_max {
                whole.extend_from_slice(&chunk);
            } else if read_max < n_bytes {
                break;
            }
        }
        if n_bytes <= bytes_max { Ok(whole.freeze()) } else { Err(too_large()) }
    };
    let patience = if is_too_large { DRAIN_TIMEOUT } else { BODY_TIMEOUT };
    timeout(patience, reading).await.unwrap_or_else(|_| {
        if is_too_large {
            return Err(too_large());
        }
        let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
        Err(Fault::new(Code::RequestTimeout, detail))
    })
}
