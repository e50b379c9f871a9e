//! TCP proxies before `weir`: one that cuts every connection and keeps one address while the server
//! behind it is restarted; one that holds event streams back, as networks do that wait for the end of an answer; one that is
//! a cable, pulled and put back; one that is a gate and wants a sign-in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Listens until the process ends.
pub(crate) struct Proxy {
    port: u16,
    target: Arc<Mutex<String>>,
}

impl Proxy {
    /// Leads to `url`. Each connection is cut after [`budget`] bytes of answer, wherever that is; a
    /// seed repeats the numbers.
    pub(crate) fn start(url: &str, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let target = Arc::new(Mutex::new(authority(url)));
        let leads_to = Arc::clone(&target);
        thread::spawn(move || {
            let mut random = seed.wrapping_mul(2).wrapping_add(1);
            for client in listener.incoming().flatten() {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let address = leads_to.lock().expect("nobody panics with it").clone();
                // A server that is down looks to the client as it would without a proxy: closed.
                let Ok(server) = TcpStream::connect(address) else { continue };
                pipe(client, server, budget(random >> 33));
            }
        });
        Self { port, target }
    }

    /// Leads to another server from the next connection on.
    pub(crate) fn lead_to(&self, url: &str) {
        *self.target.lock().expect("nobody panics with it") = authority(url);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// From 256 bytes, within the headers of an answer, to 64 KiB, the smaller the more often: most
/// connections are cut soon, and a snapshot gets through now and then.
fn budget(random: u64) -> usize {
    let least = 256 << (random % 8).min(random / 8 % 8);
    least + (random / 64) as usize % least
}

fn authority(url: &str) -> String {
    url.strip_prefix("http://").expect("an http address").to_owned()
}

/// Leads to `url`, on one address; of an event stream only the head comes through. Listens until the process ends.
pub(crate) fn holding_streams(url: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let target = authority(url);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || copy(from, to, usize::MAX));
            thread::spawn(move || hold_streams(server, client));
        }
    });
    format!("http://127.0.0.1:{port}")
}

/// Copies answers until one is an event stream, of which it swallows all behind the head.
fn hold_streams(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 65_536];
    let mut holds = false;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if holds {
            continue;
        }
        let bytes = &buffer[..n];
        let find = |what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
        // The server writes a head at once, in one piece.
        let head = find(b"content-type: text/event-stream").and(find(b"\r\n\r\n")).map(|at| at + 4);
        holds = head.is_some();
        if to.write_all(&bytes[..head.unwrap_or(n)]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

fn pipe(client: TcpStream, server: TcpStream, budget: usize) {
    let copies = [(&client, &server, usize::MAX), (&server, &client, budget)];
    for (from, to, budget) in copies {
        let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        thread::spawn(move || copy(from, to, budget));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut budget: usize) {
    let mut buffer = [0; 4_096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let n = n.min(budget);
        budget -= n;
        if to.write_all(&buffer[..n]).is_err() || budget == 0 {
            break;
        }
    }
    // Either may be closed already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

/// Leads to a server on one address, unless it is pulled out. Listens until the process ends.
pub(crate) struct Cable {
    port: u16,
    is_out: Arc<AtomicBool>,
}

impl Cable {
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let is_out = Arc::new(AtomicBool::new(false));
        let (target, out) = (authority(url), Arc::clone(&is_out));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // As a network that is away: what was sent waits, and is lost.
                let Ok(server) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let out = Arc::clone(&out);
                    thread::spawn(move || carry(from, to, &out));
                }
            }
        });
        Self { port, is_out }
    }

    /// Nothing comes through from now on, and nobody is told.
    pub(crate) fn pull(&self) {
        self.is_out.store(true, Ordering::SeqCst);
    }

    /// What comes from now on comes through; connections from before are broken.
    pub(crate) fn put_back(&self) {
        self.is_out.store(false, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Copies until the cable is pulled; then it holds on to both ends, silently, until it is put back.
fn carry(mut from: TcpStream, mut to: TcpStream, is_out: &AtomicBool) {
    let mut buffer = [0; 65_536];
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a valid time");
    let mut was_out = false;
    loop {
        let read = from.read(&mut buffer);
        let is_out = is_out.load(Ordering::SeqCst);
        was_out |= is_out;
        match read {
            _ if was_out && !is_out => break,
            Ok(0) => break,
            Ok(n) if !is_out && to.write_all(&buffer[..n]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

/// A gate before a server. While it is shut it cuts what went through and answers the API's requests as one does that wants a
/// new sign-in; the page's own files come through. Listens until the process ends.
pub(crate) struct Gate {
    port: u16,
    is_shut: Arc<AtomicBool>,
}

impl Gate {
    /// A gate that is shut.
    pub(crate) fn before(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let is_shut = Arc::new(AtomicBool::new(true));
        let (target, shut) = (authority(url), Arc::clone(&is_shut));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (from, to) =
                    (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                let (asks, answers) = (Arc::clone(&shut), Arc::clone(&shut));
                thread::spawn(move || let_through(from, to, &asks, true));
                thread::spawn(move || let_through(server, client, &answers, false));
            }
        });
        Self { port, is_shut }
    }

    pub(crate) fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Copies until the gate is shut or opened. Of requests it refuses those of the API while it is shut.
fn let_through(mut from: TcpStream, mut to: TcpStream, is_shut: &AtomicBool, is_asking: bool) {
    const REFUSAL: &[u8] =
        b"HTTP/1.1 401 Unauthorized\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\nPlease sign in.";
    let mut buffer = [0; 65_536];
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a valid time");
    let was_shut = is_shut.load(Ordering::SeqCst);
    while is_shut.load(Ordering::SeqCst) == was_shut {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                let is_api =
                    [&b"GET /api/"[..], b"POST /api/"].iter().any(|start| buffer[..n].starts_with(start));
                if is_asking && was_shut && is_api {
                    drop(from.write_all(REFUSAL));
                    break;
                }
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
