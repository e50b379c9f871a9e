//! Instructions per record, and what they are for: counted by callgrind, so that a busy machine does
//! not matter and a saving of one percent shows.
//!
//! Each query runs over a topic and over one of half its size; the difference is what records take.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use super::kafka::{Kafka, Topic};
use super::station::{Work, registry};
use crate::bids::Bids;
use crate::machine::{describe, stripped};

const PARTITIONS: i32 = 4;
/// Callgrind takes some 40 times as long: an epoch then has as many records as at full speed.
const EPOCH_MS: &str = "10000";
const WORKS: [Work; 5] =
    [Work::PassThrough, Work::Filter, Work::MaxOfAll, Work::SumByAuction, Work::HopByAuction];

/// What instructions are for: a column of the table, and the functions whose callees count too. None of
/// them calls another one.
const PURPOSES: [(&str, &[&str]); 6] = [
    ("fetch", &["FetchReader as weir_engine::connector::source::Reader>::poll"]),
    ("decode", &["KafkaDecoder as weir_engine::connector::source::Decoder>::decode"]),
    ("time", &["PartitionTime::are_on_time", "PartitionTime::judge"]),
    ("expressions", &["stateless::Stateless::run"]),
    ("hash", &["FixedInterner<W>::intern"]),
    ("add", &["accumulator::Accumulator>::update", "accumulator::Accumulator>::merge"]),
];

/// How much to count.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
}

/// Instructions of one run.
struct Counts {
    all: f64,
    by_purpose: [f64; PURPOSES.len()],
}

/// Counts, and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    let kafka = Kafka::start()?;
    let folder = tempfile::Builder::new().prefix("weir-benches-callgrind").tempdir()?;
    let program = stripped(&folder)?;
    let topics = [("_half", options.records / 2), ("", options.records)].map(|(suffix, n_records)| {
        eprintln!("writing {n_records} bids");
        let topic = Topic::create(&kafka.bootstrap, suffix, PARTITIONS)?;
        topic.fill(n_records, "none", &mut Bids::new(registry()?.1))?;
        Ok::<_, anyhow::Error>(topic)
    });
    let [half, whole] = topics;
    let (half, whole) = (half?, whole?);
    eprintln!("{}", describe());
    let n_records = (options.records - options.records / 2) as f64;
    let purposes = PURPOSES.map(|(purpose, _)| purpose).join(" | ");
    println!("| query | instructions per record | {purposes} | the rest |");
    println!("| --- |{}", " ---: |".repeat(PURPOSES.len() + 2));
    for work in WORKS {
        let count = |topic: &Topic| {
            eprintln!("counting: {}", work.title());
            count(&program, &folder, &kafka.bootstrap, &topic.name, work)
        };
        let (half, whole) = (count(&half)?, count(&whole)?);
        let all = (whole.all - half.all) / n_records;
        let parts =
            whole.by_purpose.iter().zip(half.by_purpose).map(|(whole, half)| (whole - half) / n_records);
        let parts: Vec<f64> = parts.collect();
        let rest = all - parts.iter().sum::<f64>();
        let cells: Vec<String> =
            [all].iter().chain(&parts).chain([&rest]).map(|n| format!("{n:.0}")).collect();
        println!("| {} | {} |", work.title(), cells.join(" | "));
    }
    Ok(())
}

fn count(program: &str, folder: &TempDir, bootstrap: &str, topic: &str, work: Work) -> Result<Counts> {
    let file = folder.path().join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(program);
    valgrind.args(["station", "--work", &work.argument(), "--bootstrap", bootstrap, "--topic", topic]);
    let output = valgrind.args(["--parallelism", "1", "--epoch-ms", EPOCH_MS]).output();
    let output = output.context("could not run valgrind")?;
    ensure!(output.status.success(), "valgrind: {}", String::from_utf8_lossy(&output.stderr));
    read(&file)
}

/// Sums what callgrind wrote: `fn=` is who calls, `cfn=` is who is called, and two lines behind it is what
/// the calls took.
fn read(file: &Path) -> Result<Counts> {
    let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
    let mut counts = Counts { all: 0.0, by_purpose: [0.0; PURPOSES.len()] };
    let (mut caller, mut called, mut is_of_calls) = (None, None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = purpose(name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            called = purpose(name);
        } else if line.starts_with("calls=") {
            is_of_calls = true;
        } else if std::mem::take(&mut is_of_calls) {
            // What calls itself is counted where it was first called.
            if let Some(purpose) = called.filter(|called| caller != Some(*called)) {
                let cost = line.split(' ').nth(1).context("a call in callgrind's file has no cost")?;
                counts.by_purpose[purpose] += cost.parse::<f64>()?;
            }
        } else if let Some(total) = line.strip_prefix("totals: ") {
            counts.all = total.trim().parse()?;
        }
    }
    ensure!(0.0 < counts.all, "callgrind counted nothing");
    Ok(counts)
}

fn purpose(function: &str) -> Option<usize> {
    PURPOSES.iter().position(|(_, names)| names.iter().any(|name| function.contains(name)))
}
