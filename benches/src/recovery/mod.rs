//! From a killed process to a snapshot that can be read: how long, and how much memory.
//!
//! One process builds a pipeline with so many open groups and goes on changing them, at full speed,
//! until it is killed in the middle of it; another one then starts the pipeline.

mod source;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use weir_engine::pipeline::{Committed, Observer, Pipeline, PipelineOptions, start};

use self::source::N_PARTITIONS;
pub(crate) use self::source::Synthetic;
use crate::environment::{environment, options, planned};
use crate::machine::{describe, median, memory_mib, process_cpu_s};
use crate::process::{Own, say};

const SQL: &str = "SELECT window_start, window_end, key, count(*) AS n, sum(amount) AS total, \
     max(amount) AS highest FROM TUMBLE(TABLE log, DESCRIPTOR(at), INTERVAL '1' HOUR) \
     GROUP BY window_start, window_end, key";
/// Epochs that are committed before the kill, at least.
const EPOCHS_MIN: u64 = 8;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    groups: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// A pipeline's state.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    groups: u64,
}

/// Builds, kills, starts, so many times, and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("before: {}", describe());
    println!("| groups | state MB | s to the snapshot | CPU s | RSS MiB | peak MiB | s to the next epoch |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let groups = options.groups.to_string();
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let folder = tempfile::Builder::new().prefix("weir-benches-state").tempdir()?;
        let state = folder.path().join("state");
        let target = ["--folder", state.to_str().context("a path in UTF-8")?, "--groups", &groups];
        eprintln!("round {round}: building the state");
        let mut filling = Own::start(&[&["fill"][..], &target].concat())?;
        let [epoch] = filling.hear()?;
        filling.kill()?;
        let n_bytes = bytes_of(&state)?;
        eprintln!("round {round}: killed past epoch {epoch}; starting");
        let mut recovering = Own::start(&[&["recover"][..], &target].concat())?;
        let figures: [f64; 5] = recovering.hear()?;
        recovering.join()?;
        rounds.push((n_bytes as f64 / 1e6, figures));
    }
    let middle = |i: usize| median(rounds.iter().map(|(_, figures)| figures[i]));
    println!(
        "| {groups} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} |",
        median(rounds.iter().map(|(n_bytes, _)| *n_bytes)),
        middle(0),
        middle(1),
        middle(2),
        middle(3),
        middle(4)
    );
    eprintln!("after: {}", describe());
    Ok(())
}

/// Builds the state, says the epoch when it is there, and goes on until it is killed.
pub(crate) fn fill(target: &Target) -> Result<()> {
    let (committed, epochs) = channel();
    let handle = start(pipeline(target, committed)?, &environment())?;
    let offset_min = 2 * target.groups as i64 / i64::from(N_PARTITIONS);
    for epoch in &epochs {
        let snapshot = &epoch.snapshot;
        let partitions = &snapshot.facts().partitions;
        let is_read = partitions.iter().all(|fact| offset_min <= fact.next_offset);
        if EPOCHS_MIN <= epoch.epoch.0 && partitions.len() == N_PARTITIONS as usize && is_read {
            say(&[epoch.epoch.0 as f64])?;
            break;
        }
    }
    // Without it the observer blocks nothing, and the pipeline goes on.
    drop(epochs);
    handle.join();
    anyhow::bail!("the pipeline ended: {:?}", handle.state())
}

/// Starts on the state; says seconds and CPU-seconds to the snapshot, memory then and at most in MiB,
/// and seconds to the next committed epoch.
pub(crate) fn recover(target: &Target) -> Result<()> {
    let (committed, epochs) = channel();
    let pipeline = pipeline(target, committed)?;
    let environment = environment();
    let (started, cpu_s) = (Instant::now(), process_cpu_s());
    let handle = start(pipeline, &environment)?;
    let snapshot = handle.snapshot();
    let (wall_s, cpu_s) = (started.elapsed().as_secs_f64(), process_cpu_s() - cpu_s);
    let (rss_mib, peak_mib) = memory_mib()?;
    let next = epochs.recv().with_context(|| format!("the pipeline ended: {:?}", handle.state()))?;
    let next_s = started.elapsed().as_secs_f64();
    ensure!(snapshot.epoch().0 + 1 == next.epoch.0, "epochs go on behind the kill");
    let mut n_groups = 0;
    for rows in snapshot.scan(Some(&[0]), None)? {
        n_groups += rows?.num_rows() as u64;
    }
    ensure!(n_groups == target.groups, "{n_groups} groups were recovered, not {}", target.groups);
    say(&[wall_s, cpu_s, rss_mib as f64, peak_mib as f64, next_s])
}

fn pipeline(target: &Target, committed: Sender<Arc<Committed>>) -> Result<Pipeline> {
    let source = Synthetic::new(target.groups);
    let plan = planned(SQL, &source)?;
    Ok(Pipeline {
        project: "p".to_owned(),
        plan,
        source: Arc::new(source),
        sinks: Vec::new(),
        reader_schema: String::new(),
        options: PipelineOptions { retention_ms: 7 * 24 * 3_600_000, ..options() },
        data_dir: target.folder.clone(),
        observer: Arc::new(Told(Mutex::new(committed))),
    })
}

/// Tells a channel of each epoch, for as long as somebody listens.
struct Told(Mutex<Sender<Arc<Committed>>>);

impl Observer for Told {
    fn committed(&self, epoch: &Arc<Committed>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(sender.send(Arc::clone(epoch)));
    }
}

fn bytes_of(folder: &Path) -> Result<u64> {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        n_bytes +=
            if entry.file_type()?.is_dir() { bytes_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(n_bytes)
}
