//! Memory while a sink takes a third of what the pipeline could give it.
//!
//! First the sink takes what it is given, which tells the pipeline's own rate; then it takes a third
//! of that, and the outbox fills, epochs stop, and the source is not read any faster than the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use weir_engine::connector::{Delivery, Emit, Position, Progress, Sink, SinkContext, SinkError, SinkWriter};
use weir_engine::pipeline::{Pipeline, PipelineSink, State, start};

use crate::environment::{Silent, environment, options, planned};
use crate::machine::{describe, memory_mib};
use crate::recovery::Synthetic;

/// Half of the rows go to the sink.
const SQL: &str = "SELECT at, key, amount FROM log WHERE key % 2 = 0";
/// How long the sink takes all.
const FULL_SPEED: Duration = Duration::from_secs(10);
const OUTBOX_BYTES: u64 = 256 << 20;
/// Lines of the table.
const LINES: u64 = 10;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// With the slow sink.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Counts rows, and takes its time.
#[derive(Debug, Clone, Default)]
struct SlowSink {
    n_rows: Arc<AtomicU64>,
    /// Nanoseconds that a row takes.
    row_ns: Arc<AtomicU64>,
}

impl Sink for SlowSink {
    fn name(&self) -> &str {
        "slow"
    }

    fn kind(&self) -> &'static str {
        "slow"
    }

    fn emit(&self) -> Emit {
        Emit::Final
    }

    fn open(&self, _: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        Ok((Box::new(self.clone()), None))
    }
}

impl SinkWriter for SlowSink {
    fn deliver(&mut self, _: Position, rows: &Delivery) -> Result<(), SinkError> {
        let n_rows = rows.n_rows() as u64;
        thread::sleep(Duration::from_nanos(n_rows * self.row_ns.load(Ordering::Relaxed)));
        self.n_rows.fetch_add(n_rows, Ordering::Relaxed);
        Ok(())
    }

    fn close(self: Box<Self>) {}
}

/// Measures and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("before: {}", describe());
    let folder = tempfile::Builder::new().prefix("weir-benches-state").tempdir()?;
    let sink = SlowSink::default();
    let handle = start(pipeline(&sink, folder.path())?, &environment())?;
    let rows_in = |wait: Duration| {
        let before = sink.n_rows.load(Ordering::Relaxed);
        thread::sleep(wait);
        sink.n_rows.load(Ordering::Relaxed) - before
    };
    let rate = rows_in(FULL_SPEED) as f64 / FULL_SPEED.as_secs_f64();
    ensure!(0.0 < rate, "nothing was delivered: {:?}", handle.state());
    sink.row_ns.store((3e9 / rate) as u64, Ordering::Relaxed);
    println!("| s | RSS MiB | peak MiB | outbox MB | K rows/s taken |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let line = |seconds: f64, rate: f64| -> Result<()> {
        let (rss_mib, peak_mib) = memory_mib()?;
        let outbox_bytes: u64 = handle.live().sinks.iter().map(|sink| sink.outbox_bytes).sum();
        let (outbox_mb, rate) = (outbox_bytes as f64 / 1e6, rate / 1e3);
        println!("| {seconds:.0} | {rss_mib} | {peak_mib} | {outbox_mb:.0} | {rate:.0} |");
        Ok(())
    };
    line(0.0, rate)?;
    let pause = Duration::from_secs(options.seconds) / LINES as u32;
    for n in 1..=LINES {
        let taken = rows_in(pause) as f64 / pause.as_secs_f64();
        line(pause.as_secs_f64() * n as f64, taken)?;
    }
    let (state, error) = handle.state();
    ensure!(state == State::Running, "the pipeline {}: {error:?}", state.as_str());
    sink.row_ns.store(0, Ordering::Relaxed);
    handle.stop();
    handle.join();
    eprintln!("after: {}", describe());
    folder.close().context("could not remove the state")
}

fn pipeline(sink: &SlowSink, folder: &std::path::Path) -> Result<Pipeline> {
    let source = Synthetic::new(10_000);
    let plan = planned(SQL, &source)?;
    Ok(Pipeline {
        project: "p".to_owned(),
        plan,
        source: Arc::new(source),
        sinks: vec![PipelineSink { sink: Arc::new(sink.clone()), outbox_bytes_max: OUTBOX_BYTES }],
        reader_schema: String::new(),
        options: options(),
        data_dir: folder.to_owned(),
        observer: Arc::new(Silent),
    })
}
