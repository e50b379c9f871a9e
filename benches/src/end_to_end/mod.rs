//! Records per CPU-second from a real Kafka to committed results, beside a client that only reads.
//!
//! All runs read the same topic; each is a process of its own, so that its CPU time is its alone (the
//! broker's is not counted). Rounds are interleaved: what disturbs the machine for a while disturbs
//! all of them.

mod kafka;
mod station;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use clap::Args;

pub(crate) use station::{Station, measure};

use self::kafka::{Kafka, Topic};
use self::station::{Work, registry};
use crate::bids::Bids;
use crate::machine::{describe, median};
use crate::process::Own;

/// What runs in a round: work and parallelism. librdkafka comes first: the others are compared to it.
const RUNS: [(Work, usize); 10] = [
    (Work::ReadByLibrdkafka, 1),
    (Work::ReadByLibrdkafka, 2),
    (Work::Read, 1),
    (Work::Read, 2),
    (Work::Filter, 1),
    (Work::Filter, 2),
    (Work::SumByAuction, 1),
    (Work::SumByAuction, 2),
    (Work::MaxOfAll, 1),
    (Work::MaxOfAll, 2),
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
    /// As librdkafka's `compression.type`.
    #[arg(long, default_value = "none")]
    compression: String,
    /// A running Kafka, host:port; by default one is started.
    #[arg(long)]
    bootstrap: Option<String>,
}

/// What one run said.
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
    let topic = Topic::create(bootstrap, options.partitions.into())?;
    eprintln!("writing {} bids to {} partitions", options.records, options.partitions);
    topic.fill(options.records, &options.compression, &mut Bids::new(registry()?.1))?;
    eprintln!("before: {}", describe());
    let mut figures: Vec<Vec<Figures>> = RUNS.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        let mut bare_rates = BTreeMap::new();
        for ((work, parallelism), figures) in RUNS.iter().zip(&mut figures) {
            eprintln!("round {round}: {} × {parallelism}", work.title());
            let [n_records, n_bytes, wall_s, cpu_s] = run_once(bootstrap, &topic.name, *work, *parallelism)?;
            ensure!(n_records == options.records as f64, "read {n_records} records, not {}", options.records);
            let rate = n_records / cpu_s;
            let share = rate / *bare_rates.entry(*parallelism).or_insert(rate);
            figures.push(Figures { n_records, n_bytes, wall_s, cpu_s, share });
        }
    }
    print(&figures);
    eprintln!("after: {}", describe());
    if own.is_none() {
        topic.delete()?;
    }
    Ok(())
}

fn run_once(bootstrap: &str, topic: &str, work: Work, parallelism: usize) -> Result<[f64; 4]> {
    let (work, parallelism) = (work.argument(), parallelism.to_string());
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
    ])?;
    let figures = station.hear()?;
    station.join()?;
    Ok(figures)
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn print(figures: &[Vec<Figures>]) {
    println!(
        "| work | parallelism | records | wall s | CPU s | K records/CPU-s | MB/CPU-s | of librdkafka's |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for ((work, parallelism), rounds) in RUNS.iter().zip(figures) {
        let middle = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure));
        println!(
            "| {} | {parallelism} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0}% |",
            work.title(),
            middle(|figures| figures.n_records),
            middle(|figures| figures.wall_s),
            middle(|figures| figures.cpu_s),
            middle(|figures| figures.n_records / figures.cpu_s / 1e3),
            middle(|figures| figures.n_bytes / figures.cpu_s / 1e6),
            middle(|figures| figures.share * 100.0),
        );
    }
}
