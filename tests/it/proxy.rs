//! A TCP proxy before `weir`: keeps one address while the server behind it is restarted, and cuts
//! connections in the middle if asked to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Listens until the process ends.
pub(crate) struct Proxy {
    port: u16,
    target: Arc<Mutex<String>>,
}

impl Proxy {
    /// Leads to `url`. With a seed each connection is cut after some hundred to some ten thousand
    /// bytes of answer, wherever that is.
    pub(crate) fn start(url: &str, cut_seed: Option<u64>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let target = Arc::new(Mutex::new(authority(url)));
        let leads_to = Arc::clone(&target);
        thread::spawn(move || {
            let mut random = cut_seed.unwrap_or(0).wrapping_mul(2).wrapping_add(1);
            for client in listener.incoming().flatten() {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let budget = cut_seed.map_or(usize::MAX, |_| 200 + (random >> 33) as usize % 20_000);
                let address = leads_to.lock().expect("nobody panics with it").clone();
                // A server that is down looks to the client as it would without a proxy: closed.
                let Ok(server) = TcpStream::connect(address) else { continue };
                pipe(client, server, budget);
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

fn authority(url: &str) -> String {
    url.strip_prefix("http://").expect("an http address").to_owned()
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
