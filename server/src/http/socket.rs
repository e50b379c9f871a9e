//! A connection that gives up on a peer that does not read, and that refuses in our words.
//!
//! A peer that keeps its window closed answers the kernel's probes and can hold a connection, and
//! what waits to be written to it, for ever.
//!
//! What is no HTTP, or larger than hyper reads, hyper refuses by itself with an empty answer and closes
//! the connection. Its head alone is such a write and has none of the headers that every answer of ours
//! has; a problem with the same status is written in its stead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use weir_api::CONTENT_TYPE_PROBLEM;

use crate::problem::{Code, Fault};

/// How long a write may make no progress. A laptop's short sleep fits; its browser reconnects.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What hyper's own refusals begin with, and what they come to.
const REFUSALS: [(&[u8], Code, &str); 3] = [
    (b"HTTP/1.1 400 ", Code::BadRequest, "the request is not HTTP/1.1"),
    (b"HTTP/1.1 414 ", Code::UriTooLong, "the address is far too long"),
    (b"HTTP/1.1 431 ", Code::HeadersTooLarge, "the headers are far too large or too many"),
];

/// What a write of hyper's own refusal is to say; `None` where it is anything else.
fn bare_refusal(data: &[u8]) -> Option<Fault> {
    let (_, code, detail) = REFUSALS.iter().find(|(start, _, _)| data.starts_with(start))?;
    let head = data.strip_suffix(b"\r\n\r\n")?;
    let has = |name: &[u8]| head.windows(name.len()).any(|at| at.eq_ignore_ascii_case(name));
    // Ours all have the second one.
    (has(b"\r\ncontent-length: 0") && !has(b"\r\nx-content-type-options:"))
        .then(|| Fault::new(*code, *detail))
}

fn answer(fault: &Fault) -> Bytes {
    let problem = fault.problem();
    // A problem is strings and numbers: it always is JSON.
    let body = serde_json::to_string(problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE_PROBLEM}\r\nconnection: close\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\ncontent-length: {}\r\n\r\n{body}",
        problem.status,
        StatusCode::from_u16(problem.status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default(),
        body.len()
    );
    answer.into()
}

/// A TCP connection whose writes time out.
pub(super) struct Socket {
    stream: TcpStream,

    /// Runs while a write waits for room.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is still to be written in the stead of a bare refusal.
    instead: Option<Bytes>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None, instead: None }
    }

    /// Writes a problem in the stead of `data`, hyper's own refusal; done with it when all is written.
    fn refuse(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
        problem: impl FnOnce() -> Bytes,
    ) -> Poll<io::Result<usize>> {
        let mut left = self.instead.take().unwrap_or_else(problem);
        while !left.is_empty() {
            let result = Pin::new(&mut self.stream).poll_write(context, &left);
            match self.timed(context, result) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => left.advance(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.instead = Some(left);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    /// Lets `result` through if it is progress; else starts or asks the timer.
    fn timed<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(fault) = bare_refusal(data) {
            return self.refuse(context, data, || answer(&fault));
        }
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.timed(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [data] = data
            && let Some(fault) = bare_refusal(data)
        {
            return self.refuse(context, data, || answer(&fault));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.timed(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
