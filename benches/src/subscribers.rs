//! Many subscribers of one table over server-sent events: how long a commit takes to reach them, and what
//! they cost the server; then subscribers that never read.
//!
//! The server is `weir demo` of the same build, in a process of its own; the subscribers share one thread
//! here, with a socket each. What a browser does with an event is not in it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::machine::{cpu_s_of, describe, memory_mib_of};

/// Its epochs are of 250 ms: four deltas a second to each.
const TABLE: &str = "page_views";
/// At once, so that no connection waits in the kernel's queue and is tried again after a second.
const CONNECTING: usize = 100;
/// How long subscribers that do not read are watched.
const STALLED: Duration = Duration::from_secs(20);

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Subscribers that read.
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
    /// Subscribers that never read, added at the end.
    #[arg(long, default_value_t = 500)]
    stalled: usize,
    /// How long deliveries are counted.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Measures and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("before: {}", describe());
    // One socket each; a process that it starts has the same limit.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let weir = Weir::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let before = memory_mib_of(weir.child.id())?.0;
        eprintln!("connecting {} subscribers", options.clients);
        let readers = Readers::connect(weir.address, options.clients).await?;
        sleep(Duration::from_secs(5)).await;
        readers.forget();
        let cpu_s = cpu_s_of(weir.child.id())?;
        sleep(Duration::from_secs(options.seconds)).await;
        let cpu_s = cpu_s_of(weir.child.id())? - cpu_s;
        let arrivals = readers.forget();
        let (with_all, peak) = memory_mib_of(weir.child.id())?;
        readers.all_are_there()?;
        let mut delays = delays_ms(&arrivals, &weir.commits_ms()?)?;
        delays.sort_unstable();
        let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
        println!("| subscribers | deltas/s | p50 ms | p99 ms | longest ms | server's CPU s/s | RSS MiB before | with them | peak |");
        println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        println!(
            "| {} | {} | {} | {} | {} | {:.2} | {before} | {with_all} | {peak} |",
            options.clients,
            delays.len() as u64 / options.seconds,
            at(50),
            at(99),
            delays[delays.len() - 1],
            cpu_s / options.seconds as f64,
        );
        let mut stalled = Vec::new();
        for _ in 0..options.stalled {
            stalled.push(subscribe(weir.address).await?);
        }
        sleep(STALLED).await;
        let with_stalled = memory_mib_of(weir.child.id())?.0;
        let more_kib = with_stalled.saturating_sub(with_all) * 1024;
        println!(
            "\n{} more that never read, after {} s: {} KiB of RSS each",
            options.stalled,
            STALLED.as_secs(),
            more_kib / options.stalled.max(1) as u64
        );
        anyhow::Ok(())
    })?;
    eprintln!("after: {}", describe());
    Ok(())
}

/// A demo.
struct Weir {
    child: Child,
    address: SocketAddr,
}

impl Weir {
    /// Starts the `weir` beside this program, and waits until it reads.
    fn start() -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("weir");
        ensure!(program.exists(), "{} is missing: cargo build --release -p weir-server", program.display());
        let mut command = Command::new(program);
        command.args(["demo", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("could not start weir")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let address = BufReader::new(stderr).lines().find_map(|line| {
            let line = line.ok()?;
            let (_, address) = line.split_once("dashboard   http://")?;
            address.trim().parse().ok()
        });
        let weir = Self { child, address: address.context("weir did not say where it listens")? };
        let url = format!("http://{}/readyz", weir.address);
        for _ in 0..300 {
            if ureq::get(&url).call().is_ok() {
                return Ok(weir);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("weir was not ready after half a minute")
    }

    /// When each epoch was about to be written, in milliseconds since 1970.
    fn commits_ms(&self) -> Result<BTreeMap<u64, i64>> {
        let query = format!(
            "SELECT epoch, to_unixtime(committed_at) * 1000 + date_part('millisecond', committed_at) % 1000 \
             FROM weir.epochs WHERE pipeline = '{TABLE}'"
        );
        let answer = ureq::post(format!("http://{}/api/v1/sql", self.address))
            .header("Accept", "text/csv")
            .send_json(BTreeMap::from([("query", query)]))?;
        let text = answer.into_body().read_to_string()?;
        let lines = text.lines().skip(1).filter_map(|line| line.split_once(','));
        lines.map(|(epoch, ms)| Ok((epoch.parse()?, ms.parse::<f64>()? as i64))).collect()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // Fails only where it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An epoch, and when it arrived, in milliseconds since 1970.
type Arrival = (u64, i64);

struct Readers {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    n_reading: Arc<AtomicUsize>,
    n_clients: usize,
}

impl Readers {
    async fn connect(address: SocketAddr, n_clients: usize) -> Result<Self> {
        let readers =
            Self { arrivals: Arc::default(), n_reading: Arc::new(AtomicUsize::new(n_clients)), n_clients };
        for at in 0..n_clients {
            let socket = subscribe(address).await?;
            let (arrivals, n_reading) = (Arc::clone(&readers.arrivals), Arc::clone(&readers.n_reading));
            tokio::spawn(async move {
                read(socket, &arrivals).await;
                n_reading.fetch_sub(1, Ordering::Relaxed);
            });
            if at % CONNECTING == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(readers)
    }

    /// What arrived since the last time.
    fn forget(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn all_are_there(&self) -> Result<()> {
        let n_left = self.n_clients - self.n_reading.load(Ordering::Relaxed);
        ensure!(n_left == 0, "{n_left} streams ended early");
        Ok(())
    }
}

/// A connection on which the stream has been asked for.
async fn subscribe(address: SocketAddr) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await.context("could not connect")?;
    let request = format!("GET /api/v1/stream?table={TABLE}&last=1m HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// Notes each delta until the stream ends.
async fn read(mut socket: TcpStream, arrivals: &Mutex<Vec<Arrival>>) {
    let (mut text, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    let mut is_delta = false;
    while let Ok(n_bytes @ 1..) = socket.read(&mut piece).await {
        text.extend_from_slice(&piece[..n_bytes]);
        let mut begin = 0;
        while let Some(length) = text[begin..].iter().position(|byte| *byte == b'\n') {
            let line = &text[begin..begin + length];
            begin += length + 1;
            if let Some(event) = line.strip_prefix(b"event:") {
                is_delta = event.trim_ascii() == b"delta";
            } else if let (true, Some(epoch)) = (is_delta, epoch_of(line)) {
                is_delta = false;
                let arrival = (epoch, now_ms());
                arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
            }
        }
        text.drain(..begin);
    }
}

/// Of a delta's `data:` line; what stands before the JSON may have come in a chunk of its own.
fn epoch_of(line: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(&line[..line.len().min(200)]);
    let (_, behind) = head.split_once("\"epoch\":")?;
    behind.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn delays_ms(arrivals: &[Arrival], commits_ms: &BTreeMap<u64, i64>) -> Result<Vec<i64>> {
    ensure!(!arrivals.is_empty(), "no delta arrived");
    let delays = arrivals.iter().filter_map(|(epoch, at_ms)| Some(at_ms - commits_ms.get(epoch)?));
    let delays: Vec<i64> = delays.collect();
    ensure!(
        delays.len() == arrivals.len(),
        "weir.epochs knows {} of {} epochs that arrived",
        delays.len(),
        arrivals.len()
    );
    Ok(delays)
}
