//! Records into columns on one thread: Weir's decoder beside arrow-avro's, over the same values in one run.

mod decoders;
mod records;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use self::decoders::{Name, make};
use self::records::{Batch, CASES, Case};
use crate::machine::{describe, stripped, thread_cpu_ns};

/// How long, and what else.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// CPU-seconds per figure; 0 passes over the records once.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Count instructions per record, too; needs valgrind and strip, and takes minutes.
    #[arg(long)]
    instructions: bool,
}

/// A case with one decoder, in a process of its own.
#[derive(Debug, Args)]
pub(crate) struct Pass {
    #[arg(long)]
    case: usize,
    #[arg(long)]
    decoder: Name,
    /// How often the records are passed over.
    #[arg(long)]
    passes: usize,
}

/// Measures all cases with all decoders and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("{}", describe());
    let folder = tempfile::Builder::new().prefix("weir-benches-callgrind").tempdir()?;
    let program = options.instructions.then(|| stripped(&folder)).transpose()?;
    println!("| records | Weir: ns | arrow-avro: ns | to arrow-avro | instructions | arrow-avro's |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (index, case) in CASES.iter().enumerate() {
        let batches = case.batches()?;
        let time = Duration::from_secs(options.seconds);
        let ns = |name| measure(case, name, &batches, time).map_or("".to_owned(), |ns| format!("{ns:.1}"));
        let [ours, arrow] = [Name::Weir, Name::Arrow].map(ns);
        let counts = [Name::Weir, Name::Arrow].map(|name| {
            let counted = program.as_ref().map(|program| count(program, folder.path(), index, name));
            counted.and_then(Result::ok).map_or(String::new(), |count| format!("{count:.0}"))
        });
        let ratio = match (arrow.parse::<f64>(), ours.parse::<f64>()) {
            (Ok(arrow), Ok(ours)) => format!("{:.2}x", arrow / ours),
            _ => String::new(),
        };
        let [count, their_count] = counts;
        println!("| {} | {ours} | {arrow} | {ratio} | {count} | {their_count} |", case.name);
    }
    Ok(())
}

/// Nanoseconds of CPU a record.
fn measure(case: &Case, name: Name, batches: &[Batch], time: Duration) -> Result<f64> {
    let mut decoder = make(name, case)?;
    let mut n_records = 0;
    // What is made once, and the first pages of memory, do not count.
    decoder.decode(&batches[0])?;
    let begun = thread_cpu_ns()?;
    loop {
        for batch in batches {
            n_records += decoder.decode(batch)?;
        }
        let spent = thread_cpu_ns()? - begun;
        if time.as_nanos() <= u128::from(spent) {
            return Ok(spent as f64 / n_records as f64);
        }
    }
}

/// Passes over the records of a case.
pub(crate) fn pass(pass: &Pass) -> Result<()> {
    let case = CASES.get(pass.case).context("there is no such case")?;
    let batches = case.batches()?;
    let mut decoder = make(pass.decoder, case)?;
    for _ in 0..pass.passes {
        for batch in &batches {
            decoder.decode(batch)?;
        }
    }
    Ok(())
}

/// Instructions a record: the difference between three passes over the records and one.
fn count(program: &str, folder: &Path, case: usize, name: Name) -> Result<f64> {
    let total = |passes: usize| -> Result<f64> {
        let file = folder.join("callgrind.out");
        let mut valgrind = Command::new("valgrind");
        valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
        valgrind.arg(program).args(["pass", "--case", &case.to_string(), "--passes", &passes.to_string()]);
        let decoder = name.to_possible_value().context("each has a name")?;
        let output = valgrind.args(["--decoder", decoder.get_name()]).output();
        let output = output.context("could not run valgrind")?;
        ensure!(output.status.success(), "valgrind: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.context("callgrind counted nothing")?.trim().parse()?)
    };
    let n_records: usize = CASES[case].batches()?.iter().map(|batch| batch.values().count()).sum();
    Ok((total(3)? - total(1)?) / (2 * n_records) as f64)
}
