//! Records per CPU-second from a real Kafka to committed results, beside a client that only reads.
//!
//! All runs read the same topic; each is a process of its own, so that its CPU time is its alone (the
//! broker's is not counted). Rounds are interleaved: what disturbs the machine for a while disturbs
//! all of them.

mod epochs;
mod flink;
mod instructions;
mod kafka;
mod station;

use anyhow::{Context, Result, ensure};
use clap::Args;

pub(crate) use epochs::{Options as EpochsOptions, run as run_epochs};
pub(crate) use instructions::{Options as InstructionsOptions, run as run_instructions};
pub(crate) use station::{Station, measure};

use self::flink::{Backend, Flink, SHARE_OF_SMALL, SLOTS};
use self::kafka::{Kafka, Topic};
use self::station::{Work, registry};
use crate::bids::Bids;
use crate::machine::{describe, median};
use crate::process::Own;

/// What runs in a round. librdkafka comes first: the others are compared to it.
const WORKS: [Work; 8] = [
    Work::ReadByLibrdkafka,
    Work::Read,
    Work::PassThrough,
    Work::Filter,
    Work::MaxOfAll,
    Work::SumByAuction,
    Work::HopByAuction,
    Work::SumToTable,
];

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    #[arg(long, default_value_t = 4)]
    partitions: u16,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Source subtasks, and as many window subtasks; each is measured.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    parallelism: Vec<usize>,
    #[arg(long, default_value_t = 250)]
    epoch_ms: u64,
    /// As librdkafka's `compression.type`.
    #[arg(long, default_value = "none")]
    compression: String,
    /// Flink too: about 320 MB are fetched the first time, and it takes many minutes.
    #[arg(long)]
    flink: bool,
    /// A running Kafka, host:port; by default one is started.
    #[arg(long)]
    bootstrap: Option<String>,
}

/// A row of the table.
struct Run {
    title: String,
    parallelism: usize,
    rounds: Vec<Figures>,
}

impl Run {
    fn middle(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }
}

/// What one round said.
struct Figures {
    n_records: f64,
    n_bytes: f64,
    wall_s: f64,
    cpu_s: f64,
    /// Its records per CPU-second as a share of librdkafka's of the same round and parallelism.
    share: f64,
}

/// Measures all runs and prints a table of medians.
pub(crate) fn run(options: &Options) -> Result<()> {
    let own = if options.bootstrap.is_none() { Some(Kafka::start()?) } else { None };
    let given = options.bootstrap.as_deref();
    let bootstrap =
        own.as_ref().map(|kafka| kafka.bootstrap.as_str()).or(given).context("one or the other")?;
    let topic = topic_of(bootstrap, "", options.records, options)?;
    eprintln!("before: {}", describe());
    let works = options.parallelism.iter().flat_map(|n| WORKS.map(|work| (work, *n)));
    let works: Vec<_> = works.collect();
    let mut runs: Vec<Run> = works
        .iter()
        .map(|(work, n)| Run { title: work.title().to_owned(), parallelism: *n, rounds: Vec::new() })
        .collect();
    for round in 1..=options.rounds {
        let mut bare_rate = 0.0;
        for ((work, parallelism), run) in works.iter().zip(&mut runs) {
            eprintln!("round {round}: {} × {parallelism}", run.title);
            let [n_records, n_bytes, wall_s, cpu_s] =
                run_once(bootstrap, &topic.name, *work, *parallelism, options.epoch_ms)?;
            ensure!(n_records == options.records as f64, "read {n_records} records, not {}", options.records);
            let rate = n_records / cpu_s;
            if *work == Work::ReadByLibrdkafka {
                bare_rate = rate;
            }
            run.rounds.push(Figures { n_records, n_bytes, wall_s, cpu_s, share: rate / bare_rate });
        }
    }
    if options.flink {
        let small = topic_of(bootstrap, "_small", options.records / SHARE_OF_SMALL, options)?;
        let bare = runs.iter().find(|run| run.title == Work::ReadByLibrdkafka.title());
        let bare_rate = bare.map_or(f64::NAN, |run| run.middle(|figures| figures.n_records / figures.cpu_s));
        let record_bytes = runs[0].middle(|figures| figures.n_bytes / figures.n_records);
        for backend in [Backend::Rocksdb, Backend::Heap] {
            runs.extend(run_flink(backend, bootstrap, [&small, &topic], options, record_bytes, bare_rate)?);
        }
        if own.is_none() {
            small.delete()?;
        }
    }
    print(&runs);
    eprintln!("after: {}", describe());
    if own.is_none() {
        topic.delete()?;
    }
    Ok(())
}

/// A topic with that many bids.
fn topic_of(bootstrap: &str, suffix: &str, n_records: u64, options: &Options) -> Result<Topic> {
    let topic = Topic::create(bootstrap, suffix, options.partitions.into())?;
    eprintln!("writing {n_records} bids to {} partitions", options.partitions);
    topic.fill(n_records, &options.compression, &mut Bids::new(registry()?.1))?;
    Ok(topic)
}

/// Over the small topic first, for Java to compile. Then each round is what the large one takes more
/// than the small one: starting a job, and compiling what was generated for it, does not count.
fn run_flink(
    backend: Backend,
    bootstrap: &str,
    [small, large]: [&Topic; 2],
    options: &Options,
    record_bytes: f64,
    bare_rate: f64,
) -> Result<Vec<Run>> {
    let flink = Flink::start(backend)?;
    let n_records = (options.records - options.records / SHARE_OF_SMALL) as f64;
    let works = WORKS.into_iter().filter(|work| work.flink_columns().is_some());
    works
        .map(|work| {
            let title = format!("{}: {}", backend.title(), work.title());
            flink.run(bootstrap, &small.name, work)?;
            let mut rounds = Vec::new();
            for round in 1..=options.rounds {
                let of_small = flink.run(bootstrap, &small.name, work)?;
                let of_large = flink.run(bootstrap, &large.name, work)?;
                let [wall_s, cpu_s] = [0, 1].map(|i| of_large[i] - of_small[i]);
                let rate = n_records / cpu_s;
                eprintln!(
                    "round {round}: {title}: {:.0} K records/CPU-s, {:.1} CPU-s for {} records",
                    rate / 1e3,
                    of_small[1],
                    options.records / SHARE_OF_SMALL,
                );
                let n_bytes = n_records * record_bytes;
                rounds.push(Figures { n_records, n_bytes, wall_s, cpu_s, share: rate / bare_rate });
            }
            Ok(Run { title, parallelism: SLOTS, rounds })
        })
        .collect()
}

fn run_once(bootstrap: &str, topic: &str, work: Work, parallelism: usize, epoch_ms: u64) -> Result<[f64; 4]> {
    let (work, parallelism, epoch_ms) = (work.argument(), parallelism.to_string(), epoch_ms.to_string());
    let mut station = Own::start(&[
        "station",
        "--work",
        &work,
        "--bootstrap",
        bootstrap,
        "--topic",
        topic,
        "--parallelism",
        &parallelism,
        "--epoch-ms",
        &epoch_ms,
    ])?;
    let figures = station.hear()?;
    station.join()?;
    Ok(figures)
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn print(runs: &[Run]) {
    println!(
        "| work | parallelism | records | wall s | CPU s | K records/CPU-s | MB/CPU-s | of librdkafka's |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for run in runs {
        let middle = |figure: fn(&Figures) -> f64| run.middle(figure);
        println!(
            "| {} | {} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0}% |",
            run.title,
            run.parallelism,
            middle(|figures| figures.n_records),
            middle(|figures| figures.wall_s),
            middle(|figures| figures.cpu_s),
            middle(|figures| figures.n_records / figures.cpu_s / 1e3),
            middle(|figures| figures.n_bytes / figures.cpu_s / 1e6),
            middle(|figures| figures.share * 100.0),
        );
    }
}
