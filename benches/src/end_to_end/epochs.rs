//! What epochs cost: the same query with short and with long ones, in turns.

use anyhow::Result;
use clap::Args;

use super::kafka::{Kafka, Topic};
use super::run_once;
use super::station::{Work, registry};
use crate::bids::Bids;
use crate::machine::{describe, median};

const SHORT_MS: u64 = 250;
const LONG_MS: u64 = 10_000;
const PARTITIONS: i32 = 4;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Enough that a run takes many short epochs.
    #[arg(long, default_value_t = 20_000_000)]
    records: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Measures and prints a table of medians.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    let kafka = Kafka::start()?;
    let topic = Topic::create(&kafka.bootstrap, "", PARTITIONS)?;
    eprintln!("writing {} bids", options.records);
    topic.fill(options.records, "none", &mut Bids::new(registry()?.1))?;
    eprintln!("before: {}", describe());
    println!("| groups | CPU s, epochs of 250 ms | CPU s, of 10 s | more |");
    println!("| --- | ---: | ---: | ---: |");
    for work in [Work::Groups10k, Work::Groups1m] {
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            eprintln!("round {round}: {}", work.title());
            let cpu_s =
                |epoch_ms| run_once(&kafka.bootstrap, &topic.name, work, 1, epoch_ms).map(|run| run[3]);
            rounds.push((cpu_s(SHORT_MS)?, cpu_s(LONG_MS)?));
        }
        println!(
            "| {} | {:.2} | {:.2} | {:.0}% |",
            work.title(),
            median(rounds.iter().map(|(short, _)| *short)),
            median(rounds.iter().map(|(_, long)| *long)),
            median(rounds.iter().map(|(short, long)| (short / long - 1.0) * 100.0)),
        );
    }
    eprintln!("after: {}", describe());
    Ok(())
}
