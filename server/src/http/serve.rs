//! Accepts connections, within limits, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::socket::Socket;
use super::{AppState, router};

/// Connections at the same time: those of all streams, and of others beside them. Each takes some tens of
/// kilobytes.
const CONNECTIONS_MAX: usize = 10_240;
/// A request's headers have to arrive within this; an idle connection is closed after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a request, and kept of an answer, before the rest waits. Larger headers are refused
/// and end the connection.
const BUFFER_BYTES: usize = 64 * 1024;
/// Headers that are parsed; `guard` refuses a smaller number with a reason.
const HEADERS_MAX: usize = 256;
/// The kernel's send buffer. Small: what waits there for a slow client is old when it arrives.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Answers that are on their way at a shutdown get this long.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
connection: close\r\nretry-after: 1\r\ncontent-length: 110\r\n\r\n\
{\"type\":\"urn:weir:error:E0503\",\"title\":\"not ready\",\"status\":503,\"detail\":\"too many connections are open here\"}";

/// Serves until `shutdown` is done, then ends streams, lets other answers finish for some seconds,
/// and returns.
pub async fn serve(listener: TcpListener, app: Arc<AppState>, shutdown: impl Future<Output = ()>) {
    let sampling = tokio::spawn(app.hub.clone().sample(app.catalog.clone()));
    let hub = app.hub.clone();
    serve_router(listener, router(app), shutdown, || hub.close()).await;
    sampling.abort();
}

/// Serves until `shutdown` is done, calls `closing`, lets answers finish for some seconds, and returns.
/// A failed connection is no error.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    closing: impl FnOnce(),
) {
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS_MAX);
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as too many open files: others may close theirs.
                tracing::warn!(%error, "could not accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            refuse(stream);
            continue;
        };
        prepare(&stream);
        let connection = http.serve_connection(TokioIo::new(Socket::new(stream)), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    closing();
    if timeout(SHUTDOWN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers were cut off by the shutdown");
    }
}

/// Only tuning: a connection works without it.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    if let Err(error) =
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).and_then(|()| socket.set_tcp_nodelay(true))
    {
        tracing::debug!(%error, "could not tune a connection");
    }
}

fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        // The client may be gone; there is nothing more to do for it.
        timeout(Duration::from_secs(1), stream.write_all(TOO_MANY)).await.ok();
    });
}
