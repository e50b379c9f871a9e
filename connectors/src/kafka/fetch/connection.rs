//! A connection to one broker: resolves, connects, asks, and reads whole answers; never blocks.
//!
//! Invariants:
//! 1. Answers come in the order of the questions, as the protocol has it; one that does not ends the
//!    connection.
//! 2. Memory for an answer is taken as it arrives, at most twice of that, never what its length claims.
//! 3. After a failure it waits, longer each time and never for the same time as others.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::messages::{FetchPart, Versions, ask_versions};
use super::pool::Pool;
use super::settings::Address;

/// The largest answer: a Fetch has 8 MiB, or one batch, which `message.max.bytes` of its topic bounds.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// What an answer gets before anything of it has arrived.
const ANSWER_BYTES_FIRST: usize = 256 << 10;
/// How long a broker may be silent while it owes an answer, or a connection.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// A question whose answer is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Versions,
    Metadata { version: i16 },
    Offset { partition: i32, time: i64 },
    Fetch { version: i16, parts: Vec<FetchPart> },
}

#[derive(Debug)]
enum Link {
    Down,
    Resolving(Receiver<io::Result<Vec<SocketAddr>>>),
    /// With the addresses that are left to try.
    Connecting(TcpStream, Vec<SocketAddr>),
    Up(TcpStream),
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: Address,
    token: Token,

    link: Link,
    /// Known once the broker has answered the first question.
    pub(super) versions: Option<Versions>,
    /// No Fetch before this: the broker asked for it.
    pub(super) throttled_until: Instant,
    awaited: VecDeque<(i32, Question)>,
    next_correlation_id: i32,
    outbox: Vec<u8>,
    head: [u8; 4],
    n_head: usize,
    body: Vec<u8>,
    n_body: usize,
    /// The socket may have something: it has not said otherwise since.
    is_readable: bool,
    heard: Instant,
    retry_at: Instant,
    n_failures: u32,
}

impl Connection {
    pub(super) fn new(address: Address, token: Token, now: Instant) -> Self {
        Self {
            address,
            token,
            link: Link::Down,
            versions: None,
            throttled_until: now,
            awaited: VecDeque::new(),
            next_correlation_id: 0,
            outbox: Vec::new(),
            head: [0; 4],
            n_head: 0,
            body: Vec::new(),
            n_body: 0,
            is_readable: false,
            heard: now,
            retry_at: now,
            n_failures: 0,
        }
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn is_ready(&self) -> bool {
        self.versions.is_some()
    }

    pub(super) fn awaits(&self, is_it: impl Fn(&Question) -> bool) -> bool {
        self.awaited.iter().any(|(_, question)| is_it(question))
    }

    /// When there is something to do though nothing has arrived.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.link {
            Link::Down => Some(self.retry_at),
            Link::Resolving(_) => Some(Instant::now() + Duration::from_millis(5)),
            Link::Connecting(..) => Some(self.heard + SILENCE_MAX),
            Link::Up(_) => (!self.awaited.is_empty()).then(|| self.heard + SILENCE_MAX),
        }
    }

    /// Nobody listened until now: silence before counts for nothing.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn set_readable(&mut self) {
        self.is_readable = true;
    }

    /// Sends a question; `write` appends it with the given correlation id.
    pub(super) fn ask(&mut self, question: Question, write: impl FnOnce(&mut Vec<u8>, i32)) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        write(&mut self.outbox, correlation_id);
        if self.awaited.is_empty() {
            self.heard = Instant::now();
        }
        self.awaited.push_back((correlation_id, question));
    }

    /// Does what can be done now: connects, sends.
    ///
    /// # Errors
    /// What went wrong; to be followed by [`Self::fail`].
    pub(super) fn drive(&mut self, registry: &Registry, client_id: &str, now: Instant) -> io::Result<()> {
        match &mut self.link {
            Link::Down if self.retry_at <= now => {
                self.heard = now;
                self.resolve(registry)?;
            }
            Link::Down => return Ok(()),
            Link::Resolving(resolved) => match resolved.try_recv() {
                Ok(addresses) => self.connect(registry, addresses?)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("its name can't be looked up"));
                }
            },
            Link::Connecting(stream, rest) => {
                let failed = match stream.take_error()? {
                    Some(error) => Some(error),
                    None => match stream.peer_addr() {
                        Ok(_) => None,
                        Err(error) if error.kind() == ErrorKind::NotConnected => {
                            return self.check_silence(now);
                        }
                        Err(error) => Some(error),
                    },
                };
                let rest = std::mem::take(rest);
                match failed {
                    None => self.greet(client_id),
                    Some(error) if rest.is_empty() => return Err(error),
                    Some(_) => self.connect(registry, rest)?,
                }
            }
            Link::Up(_) => {}
        }
        self.flush()?;
        self.check_silence(now)
    }

    fn check_silence(&self, now: Instant) -> io::Result<()> {
        let is_owed = !self.awaited.is_empty() || !matches!(self.link, Link::Up(_) | Link::Down);
        if is_owed && self.heard + SILENCE_MAX < now {
            return Err(io::Error::new(ErrorKind::TimedOut, "it does not answer"));
        }
        Ok(())
    }

    fn resolve(&mut self, registry: &Registry) -> io::Result<()> {
        if let Ok(ip) = self.address.host.parse::<IpAddr>() {
            return self.connect(registry, vec![SocketAddr::new(ip, self.address.port)]);
        }
        // Looking up a name blocks, for long where the name server is away.
        let (answer, resolved) = channel();
        let (host, port) = (self.address.host.clone(), self.address.port);
        std::thread::Builder::new().name("kafka-resolve".to_owned()).spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Whoever asked may have given up.
            drop(answer.send(addresses));
        })?;
        self.link = Link::Resolving(resolved);
        Ok(())
    }

    fn connect(&mut self, registry: &Registry, mut addresses: Vec<SocketAddr>) -> io::Result<()> {
        if addresses.is_empty() {
            return Err(io::Error::other("its name has no address"));
        }
        let mut stream = TcpStream::connect(addresses.remove(0))?;
        registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
        self.link = Link::Connecting(stream, addresses);
        Ok(())
    }

    fn greet(&mut self, client_id: &str) {
        if let Link::Connecting(stream, _) = std::mem::replace(&mut self.link, Link::Down) {
            // Only speed depends on it.
            drop(stream.set_nodelay(true));
            self.link = Link::Up(stream);
            self.is_readable = true;
            self.ask(Question::Versions, |out, id| ask_versions(out, id, client_id));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Link::Up(stream) = &mut self.link else { return Ok(()) };
        while !self.outbox.is_empty() {
            match stream.write(&self.outbox) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n_bytes) => drop(self.outbox.drain(..n_bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads on; an answer as soon as it is whole, with what it answers.
    ///
    /// # Errors
    /// What went wrong; to be followed by [`Self::fail`].
    pub(super) fn read(&mut self, pool: &mut Pool) -> io::Result<Option<(Question, Buffer)>> {
        let Link::Up(stream) = &mut self.link else { return Ok(None) };
        while self.is_readable {
            let room = if self.n_head < 4 {
                &mut self.head[self.n_head..]
            } else {
                let n_bytes = body_length(self.head)?;
                if self.n_body == n_bytes {
                    break;
                }
                if self.body.len() == self.n_body {
                    let grown = (self.n_body * 2).max(ANSWER_BYTES_FIRST).min(n_bytes);
                    self.body.resize(grown, 0);
                }
                let end = self.body.len().min(n_bytes);
                &mut self.body[self.n_body..end]
            };
            match stream.read(room) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
                Ok(n_bytes) if self.n_head < 4 => {
                    self.n_head += n_bytes;
                    if self.n_head == 4 {
                        self.body = pool.take(body_length(self.head)?);
                    }
                }
                Ok(n_bytes) => self.n_body += n_bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.heard = Instant::now();
        }
        if self.n_head < 4 || self.n_body < body_length(self.head)? {
            return Ok(None);
        }
        let n_bytes = std::mem::take(&mut self.n_body);
        self.n_head = 0;
        let body = pool.keep(std::mem::take(&mut self.body)).slice_with_length(0, n_bytes);
        let wrong = || io::Error::new(ErrorKind::InvalidData, "it answers what it was not asked");
        let (expected, question) = self.awaited.pop_front().ok_or_else(wrong)?;
        if body.get(..4) != Some(&expected.to_be_bytes()) {
            return Err(wrong());
        }
        Ok(Some((question, body)))
    }

    /// Remembers that the broker works.
    pub(super) fn succeeded(&mut self) {
        self.n_failures = 0;
    }

    /// Closes it, to try again later.
    pub(super) fn fail(&mut self, now: Instant) {
        let back_off = (BACK_OFF_MIN * 2u32.pow(self.n_failures.min(8))).min(BACK_OFF_MAX);
        self.n_failures += 1;
        // Between half and all of it, as the hash of nothing with random keys decides.
        let random = RandomState::new().build_hasher().finish() % 512;
        let wait = back_off.mul_f64(0.5 + random as f64 / 1024.0);
        let (n_failures, next_correlation_id) = (self.n_failures, self.next_correlation_id);
        *self = Self {
            retry_at: now + wait,
            n_failures,
            next_correlation_id,
            ..Self::new(self.address.clone(), self.token, now)
        };
    }
}

fn body_length(head: [u8; 4]) -> io::Result<usize> {
    let n_bytes = u32::from_be_bytes(head) as usize;
    if (4..=ANSWER_BYTES_MAX).contains(&n_bytes) {
        return Ok(n_bytes);
    }
    let detail = format!("its answer of {n_bytes} bytes is not one of Kafka's plaintext protocol");
    Err(io::Error::new(ErrorKind::InvalidData, detail))
}
