//! Records into columns on one thread: Weir's decoder beside arrow-avro's and apache-avro's, which take turns
//! over the same values.

mod decoders;
mod records;

use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use self::decoders::{Decode, Name, make};
use self::records::{Batch, CASES, Case};
use crate::machine::{describe, median, stripped, thread_cpu_ns};

/// How long, and what else.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// CPU-seconds per kind of records, of all decoders together; 0 passes over the records once.
    #[arg(long, default_value_t = 10)]
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
    eprintln!("before: {}", describe());
    let folder = tempfile::Builder::new().prefix("weir-benches-callgrind").tempdir()?;
    let program = options.instructions.then(|| stripped(&folder)).transpose()?;
    println!(
        "| records | Weir: ns | arrow-avro: ns | to arrow-avro | apache-avro: ns | to apache-avro | instructions | arrow-avro's |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut costs = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        let [ours, arrow, apache, good] = measure(case, Duration::from_secs(options.seconds))?;
        let counts = [Name::Weir, Name::Arrow].map(|name| {
            let counted = program.as_ref().map(|program| count(program, folder.path(), index, name));
            counted.and_then(Result::ok).map_or(String::new(), |count| format!("{count:.0}"))
        });
        let ns = |figure: Option<Figure>| figure.map_or(String::new(), |figure| format!("{:.1}", figure.ns));
        let ratio =
            |figure: Option<Figure>| figure.map_or(String::new(), |figure| format!("{:.2}x", figure.to_weir));
        let [count, their_count] = counts;
        println!(
            "| {} | {} | {} | {} | {} | {} | {count} | {their_count} |",
            case.name,
            ns(ours),
            ns(arrow),
            ratio(arrow),
            ns(apache),
            ratio(apache)
        );
        if let Some(good) = good {
            costs.push(format!("{}: {:+.0}%", case.name, 100.0 * (1.0 / good.to_weir - 1.0)));
        }
    }
    println!("\nWhat bad records cost: {}", costs.join(", "));
    eprintln!("after: {}", describe());
    Ok(())
}

/// What a decoder took: medians of its turns.
#[derive(Debug, Clone, Copy)]
struct Figure {
    /// Nanoseconds of CPU a record.
    ns: f64,
    /// As many times those of Weir in the same round.
    to_weir: f64,
}

/// One that takes turns with others.
struct Contender {
    decoder: Box<dyn Decode>,
    batches: Rc<Vec<Batch>>,
    /// Nanoseconds of CPU a record, of each round.
    rounds: Vec<f64>,
}

impl Contender {
    /// `None`: the decoder can't do it.
    fn new(name: Name, case: &Case, batches: &Rc<Vec<Batch>>) -> Result<Option<Self>> {
        let Ok(mut decoder) = make(name, case) else { return Ok(None) };
        // What is made once, and the first pages of memory, do not count.
        decoder.decode(&batches[0])?;
        Ok(Some(Self { decoder, batches: Rc::clone(batches), rounds: Vec::new() }))
    }

    /// Passes over the records and gives the nanoseconds that it took; the first pass, with what the one before
    /// left in the caches, does not count.
    fn turn(&mut self) -> Result<u64> {
        self.pass()?;
        let (mut n_records, begun) = (0, thread_cpu_ns()?);
        for _ in 0..PASSES {
            n_records += self.pass()?;
        }
        let ns = thread_cpu_ns()? - begun;
        self.rounds.push(ns as f64 / n_records as f64);
        Ok(ns)
    }

    fn pass(&mut self) -> Result<usize> {
        self.batches.iter().map(|batch| self.decoder.decode(batch)).sum()
    }
}

/// Of a turn.
const PASSES: usize = 4;

/// Weir, arrow-avro, apache-avro and, where there are bad records, Weir without them, each in turn, again and
/// again; `None` is one that can't.
fn measure(case: &Case, time: Duration) -> Result<[Option<Figure>; 4]> {
    let batches = Rc::new(case.batches()?);
    let [weir, arrow, apache] =
        [Name::Weir, Name::Arrow, Name::Apache].map(|name| Contender::new(name, case, &batches));
    let good = case.without_bad();
    let good = case.has_bad.then(|| Contender::new(Name::Weir, &good, &Rc::new(good.batches()?)));
    let mut contenders = [weir?, arrow?, apache?, good.transpose()?.flatten()];
    let mut spent_ns = 0;
    while spent_ns == 0 || spent_ns < time.as_nanos() {
        for contender in contenders.iter_mut().flatten() {
            spent_ns += u128::from(contender.turn()?);
        }
    }
    let ours = contenders[0].as_ref().map(|weir| weir.rounds.clone()).unwrap_or_default();
    Ok(contenders.map(|contender| {
        let rounds = contender?.rounds;
        let to_weir = median(rounds.iter().zip(&ours).map(|(ns, ours)| ns / ours));
        Some(Figure { ns: median(rounds), to_weir })
    }))
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
