//! What the SQL of pipelines means: the files `tests/slt/*.slt`, one per feature.
//!
//! A `query` is a pipeline's SELECT over the tables of [`tables`], run to its end; what it prints is
//! the result table. Each runs twice, with other parallelism and other sizes of batches, and must
//! say the same. `statement error` is the planner's refusals. In front of a SELECT may stand
//!
//! - `DEAD LETTERS OF`: the pipeline's dead letters. Columns: partition, offset, reason, detail, payload
//!   (of a group's row only: other payloads are the test's own bytes);
//! - `DESCRIBE`: the result table's columns: name, type, nullable, position in the key.
//!
//! Column types: `I` integers, `R` floats, to 1e-12, `D` decimals, `T` text, `B` booleans, `P` points in time.
//! `UPDATE_EXPECT=1` rewrites what is expected: read the difference before you believe it.

mod tables;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use sqllogictest::{
    ColumnType, DB, DBOutput, ExpectedError, Normalizer, QueryExpect, Record, Runner, StatementExpect,
    default_normalizer, parse_file, strict_column_validator,
};

use weir_engine::sql::{CODES, Refusal, type_name};

use crate::memory::{Outcome, Run, run_bounded, same_float, text};

/// Two ways to run, as different as they can be.
const RUNS: [(usize, Run); 2] = [
    (1_000, Run { parallelism: 1, epoch_ms: 10, lateness_ms: 0, provisional: true }),
    (1, Run { parallelism: 3, epoch_ms: 1, lateness_ms: 0, provisional: false }),
];

/// A test per file.
macro_rules! files {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

files! {
    tables windows keys aggregates expressions having subqueries stateless late_rows hop evaluation_errors refusals
    unions
}

#[test]
fn every_file_is_run() {
    let found: BTreeSet<String> = slt_files().iter().map(|path| stem(path)).collect();
    assert_eq!(found, FILES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn every_code_of_the_planner_is_provoked() {
    let mut provoked = BTreeSet::new();
    for path in slt_files() {
        for record in parse_file::<Kind>(&path).expect("a readable file") {
            let (Record::Statement { expected: StatementExpect::Error(expected), sql, .. }
            | Record::Query { expected: QueryExpect::Error(expected), sql, .. }) = record
            else {
                continue;
            };
            let ExpectedError::Multiline(message) = expected else {
                panic!("{}: write the whole refusal below ----, for {sql}", path.display());
            };
            provoked
                .extend(CODES.iter().map(|(code, _)| *code).filter(|c| message.contains(&format!("[{c}]"))));
        }
    }
    let all: BTreeSet<&str> = CODES.iter().map(|(code, _)| *code).filter(|code| *code != "E0299").collect();
    assert_eq!(provoked, all, "E0299 is a fault of the planner, the others are users'");
}

/// What `docs/sql.md` has as a pipeline's SQL makes rows, and what it has as refused is, with that code.
#[test]
fn the_examples_of_the_documentation_run() {
    let page = include_str!("../../docs/sql.md");
    let (mut n_run, mut n_refused) = (0, 0);
    for block in page.split("```sql ").skip(1) {
        let (what, rest) = block.split_once('\n').expect("SQL below its kind");
        let sql = rest.split("```").next().unwrap_or_default();
        let outcome = run_bounded(&tables::sources(1_000), sql, RUNS[0].1);
        match (what.split_once(' '), outcome) {
            (None, Ok(outcome)) if what == "pipeline" => {
                assert!(0 < outcome.rows.num_rows(), "{sql}");
                n_run += 1;
            }
            (Some(("refused", code)), Err(refusals)) => {
                assert!(
                    refusals.iter().any(|refusal| refusal.code == code),
                    "{sql}: {}",
                    Failure::Refused(refusals)
                );
                n_refused += 1;
            }
            // Over result tables: the server's tests have them.
            _ if what == "query" => {}
            (_, Ok(_)) => panic!("{what} runs: {sql}"),
            (_, Err(refusals)) => panic!("{sql}: {}", Failure::Refused(refusals)),
        }
    }
    assert!(0 < n_run && 0 < n_refused);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

fn slt_files() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).expect("a folder of .slt files");
    let paths = files.map(|file| file.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "slt")).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

fn check(name: &str) {
    let path = folder().join(name).with_extension("slt");
    let mut runner = Runner::new(|| async { Ok(Pipelines) });
    runner.with_column_validator(strict_column_validator);
    runner.with_validator(same_rows);
    if std::env::var_os("UPDATE_EXPECT").is_none_or(|value| value != "1") {
        return runner.run_file(path).unwrap_or_else(|error| panic!("{error}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let update = runner.update_test_file(&path, " ", same_rows, default_normalizer, strict_column_validator);
    runtime.block_on(update).unwrap_or_else(|error| panic!("{error}"));
}

/// A database in which every SELECT is a pipeline of its own.
struct Pipelines;

impl DB for Pipelines {
    type Error = Failure;
    type ColumnType = Kind;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, Failure> {
        let (answer, sql): (fn(&Outcome) -> Answer, &str) =
            if let Some(sql) = sql.strip_prefix("DEAD LETTERS OF ") {
                (dead_letters, sql)
            } else if let Some(sql) = sql.strip_prefix("DESCRIBE ") {
                (describe, sql)
            } else {
                (|outcome| rows_of(&outcome.rows), sql)
            };
        let mut answers = Vec::new();
        for (records_per_poll, run) in RUNS {
            let outcome =
                run_bounded(&tables::sources(records_per_poll), sql, run).map_err(Failure::Refused)?;
            answers.push(answer(&outcome));
        }
        let second = answers.pop().expect("two runs");
        let first = answers.pop().expect("two runs");
        if !first.is_like(&second) {
            return Err(Failure::Unlike(format!("{first:?}"), format!("{second:?}")));
        }
        LAST_TYPES.with_borrow_mut(|types| types.clone_from(&first.types));
        Ok(DBOutput::Rows { types: first.types, rows: first.rows })
    }
}

thread_local! {
    /// The types of the rows that are to be compared next: who compares them sees texts.
    static LAST_TYPES: RefCell<Vec<Kind>> = const { RefCell::new(Vec::new()) };
}

/// Whether rows are those that a file expects, a line each.
fn same_rows(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let same_line = |(cells, line): (&Vec<String>, &String)| {
        let line = normalizer(line);
        let mut rest = line.as_str();
        LAST_TYPES.with_borrow(|types| {
            cells.iter().zip(types).all(|(cell, kind)| {
                let cell = normalizer(cell);
                let end = match kind {
                    Kind::Float => rest.find(' ').unwrap_or(rest.len()),
                    // A text may have spaces of its own.
                    _ => cell.len(),
                };
                let same = rest.get(..end).is_some_and(|written| kind.same(written, &cell));
                rest = rest.get(end..).unwrap_or_default().trim_start_matches(' ');
                same
            })
        }) && rest.is_empty()
    };
    actual.len() == expected.len() && actual.iter().zip(expected).all(same_line)
}

#[derive(Debug)]
enum Failure {
    Refused(Vec<Refusal>),
    /// The two runs differ.
    Unlike(String, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusals) => {
                let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Unlike(first, second) => {
                write!(f, "parallelism and batch sizes change the answer:\n{first}\n{second}")
            }
        }
    }
}

impl std::error::Error for Failure {}

#[derive(Debug)]
struct Answer {
    types: Vec<Kind>,
    rows: Vec<Vec<String>>,
}

impl Answer {
    fn is_like(&self, other: &Self) -> bool {
        let same_row = |(a, b): (&Vec<String>, &Vec<String>)| {
            self.types.iter().zip(a.iter().zip(b)).all(|(kind, (a, b))| kind.same(a, b))
        };
        self.types == other.types
            && self.rows.len() == other.rows.len()
            && self.rows.iter().zip(&other.rows).all(same_row)
    }
}

/// Sorted as text: groups have no order.
fn rows_of(batch: &RecordBatch) -> Answer {
    let types: Vec<Kind> = batch.columns().iter().map(|column| Kind::of(column.data_type())).collect();
    let row = |row| batch.columns().iter().map(|column| text(column, row)).collect();
    let mut rows: Vec<Vec<String>> = (0..batch.num_rows()).map(row).collect();
    rows.sort();
    Answer { types, rows }
}

fn dead_letters(outcome: &Outcome) -> Answer {
    let letters = &outcome.dead_letters;
    assert_eq!(letters.num_rows() as u64, outcome.counters.dead_letters, "each dead letter is counted");
    let columns = ["partition", "offset", "reason", "detail", "payload"];
    let columns: Vec<usize> =
        columns.iter().map(|name| letters.schema().index_of(name).expect("a column")).collect();
    let mut answer = rows_of(&letters.project(&columns).expect("the columns are there"));
    for row in &mut answer.rows {
        if row[0] != "NULL" {
            "-".clone_into(&mut row[4]);
        }
    }
    answer
}

fn describe(outcome: &Outcome) -> Answer {
    let plan = &outcome.plan;
    let row = |(position, field): (usize, &arrow::datatypes::FieldRef)| {
        let key = plan.key.iter().position(|key| *key == position);
        vec![
            field.name().clone(),
            type_name(field.data_type()),
            field.is_nullable().to_string(),
            key.map_or_else(|| "NULL".to_owned(), |position| (position + 1).to_string()),
        ]
    };
    let rows = plan.output.fields().iter().enumerate().map(row).collect();
    Answer { types: vec![Kind::Text, Kind::Text, Kind::Boolean, Kind::Integer], rows }
}

/// The types that a `query` line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Float,
    Decimal,
    Text,
    Boolean,
    Time,
    Other,
}

impl Kind {
    const LETTERS: [(char, Self); 7] = [
        ('I', Self::Integer),
        ('R', Self::Float),
        ('D', Self::Decimal),
        ('T', Self::Text),
        ('B', Self::Boolean),
        ('P', Self::Time),
        ('?', Self::Other),
    ];

    /// Whether two texts of this type mean the same.
    fn same(self, a: &str, b: &str) -> bool {
        match (self, a.parse(), b.parse()) {
            (Self::Float, Ok(a), Ok(b)) => same_float(a, b),
            _ => a == b,
        }
    }

    fn of(data_type: &DataType) -> Self {
        match data_type {
            integer if integer.is_integer() => Self::Integer,
            float if float.is_floating() => Self::Float,
            DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Decimal,
            DataType::Utf8 | DataType::Binary => Self::Text,
            DataType::Boolean => Self::Boolean,
            DataType::Timestamp(..) | DataType::Date32 => Self::Time,
            _ => Self::Other,
        }
    }
}

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(letter, _)| *letter == value).map(|(_, kind)| *kind)
    }

    fn to_char(&self) -> char {
        Self::LETTERS.iter().find(|(_, kind)| kind == self).map_or('?', |(letter, _)| *letter)
    }
}
