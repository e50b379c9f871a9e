//! Measurements of Weir: the engine's stations, the whole data path, recovery. README.md has the
//! commands, what the numbers mean and the last ones measured.

mod aggregate;
mod bids;
mod decode;
mod end_to_end;
mod environment;
mod machine;
mod process;
mod random;
mod recovery;
mod slow_sink;
mod subscribers;

use clap::{Parser, Subcommand};

/// Measurements of Weir. Build with --release.
#[derive(Parser)]
#[command(name = "weir-benches")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rows into the groups of one pane, and groups out of it.
    Aggregate {
        /// CPU-seconds per figure; 0 only shows that it works.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
    },
    /// Records into columns, without Kafka, beside arrow-avro.
    Decode(decode::Options),
    /// From a real Kafka to committed results, beside a client that only reads.
    EndToEnd(end_to_end::Options),
    /// What short epochs cost against long ones.
    Epochs(end_to_end::EpochsOptions),
    /// Instructions per record, and what they are for; needs valgrind and strip.
    Instructions(end_to_end::InstructionsOptions),
    /// From a killed process to a snapshot.
    Recovery(recovery::Options),
    /// Memory while a sink is three times too slow.
    SlowSink(slow_sink::Options),
    /// How soon thousands of event streams get a commit, and what they cost.
    Subscribers(subscribers::Options),

    /// Passes over the records of `decode`.
    #[command(hide = true)]
    Pass(decode::Pass),
    /// One run of `end-to-end`, in a process of its own.
    #[command(hide = true)]
    Station(end_to_end::Station),
    /// Builds the state of `recovery` and goes on until it is killed.
    #[command(hide = true)]
    Fill(recovery::Target),
    /// Starts on that state.
    #[command(hide = true)]
    Recover(recovery::Target),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Aggregate { seconds } => aggregate::run(seconds),
        Command::Decode(options) => decode::run(&options),
        Command::EndToEnd(options) => end_to_end::run(&options),
        Command::Epochs(options) => end_to_end::run_epochs(&options),
        Command::Instructions(options) => end_to_end::run_instructions(&options),
        Command::Recovery(options) => recovery::run(&options),
        Command::SlowSink(options) => slow_sink::run(&options),
        Command::Subscribers(options) => subscribers::run(&options),
        Command::Pass(pass) => decode::pass(&pass),
        Command::Station(station) => end_to_end::measure(&station),
        Command::Fill(target) => recovery::fill(&target),
        Command::Recover(target) => recovery::recover(&target),
    }
}
