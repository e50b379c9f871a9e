//! Functions, operators and casts at the ends of their types: a row has a value or an error, and nothing
//! wraps. In the profile of tests, plain arithmetic that would wrap elsewhere panics, which is an error of the
//! row that says so.
//!
//! `WEIR_CASES=n` looks further.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, Time32MillisecondArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::Volatility;
use proptest::prelude::*;

use super::verdict::cases;
use crate::operator::rows::{Rows, halve, run_steps};
use crate::sql::{FUNCTIONS, TableDef, plan};

const N_ROWS: usize = 49;

/// Rows in which every value of a column meets every one of its neighbours.
fn batch() -> RecordBatch {
    // The position in a list of seven values, different for each column.
    let pick = |column: usize, row: usize| match column % 3 {
        0 => row % 7,
        1 => row / 7,
        _ => (row + row / 7) % 7,
    };
    macro_rules! column {
        ($name:literal, $position:literal, $array:ident, $values:expr) => {{
            let values = $values;
            let array: $array = (0..N_ROWS).map(|row| values[pick($position, row)]).collect();
            ($name, Arc::new(array) as ArrayRef)
        }};
    }
    let decimals = |precision, scale, values: [Option<i128>; 7], position| -> ArrayRef {
        let array: Decimal128Array = (0..N_ROWS).map(|row| values[pick(position, row)]).collect();
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
    };
    let digits = |n: u32| 10i128.pow(n) - 1;
    let longs = [Some(i64::MIN), Some(i64::MAX), None, Some(0), Some(-1), Some(1), Some(i64::MIN + 1)];
    let moments = [
        Some(i64::MIN),
        Some(i64::MAX),
        None,
        Some(0),
        Some(-1),
        Some(1_700_000_000_000),
        Some(8_210_266_876_799_999),
    ];
    let columns = vec![
        column!(
            "i32",
            0,
            Int32Array,
            [Some(i32::MIN), Some(i32::MAX), None, Some(0), Some(-1), Some(1), Some(12)]
        ),
        column!("i64", 1, Int64Array, longs),
        column!(
            "u64",
            2,
            UInt64Array,
            [Some(0), Some(u64::MAX), None, Some(1), Some(2), Some(1 << 63), Some(7)]
        ),
        column!(
            "f64",
            3,
            Float64Array,
            [
                Some(f64::MIN),
                Some(f64::MAX),
                None,
                Some(-0.0),
                Some(f64::NAN),
                Some(0.5),
                Some(f64::INFINITY)
            ]
        ),
        (
            "dec",
            decimals(
                18,
                2,
                [Some(digits(18)), Some(-digits(18)), None, Some(0), Some(1), Some(-1), Some(150)],
                4,
            ),
        ),
        (
            "wide",
            decimals(
                38,
                0,
                [Some(digits(38)), Some(-digits(38)), None, Some(0), Some(1), Some(-1), Some(7)],
                5,
            ),
        ),
        column!(
            "txt",
            6,
            StringArray,
            [
                Some(""),
                Some("ü"),
                None,
                Some("-2147483648 months"),
                Some("9223372036854775807"),
                Some("month"),
                Some("%Y-%m")
            ]
        ),
        column!(
            "flag",
            7,
            BooleanArray,
            [Some(true), Some(false), None, Some(true), Some(false), Some(true), None]
        ),
        column!(
            "day",
            8,
            Date32Array,
            [Some(i32::MIN), Some(i32::MAX), None, Some(0), Some(-1), Some(20_000), Some(95_026_236)]
        ),
        column!("ms", 9, TimestampMillisecondArray, moments),
        column!("us", 10, TimestampMicrosecondArray, moments),
        column!("ns", 11, TimestampNanosecondArray, longs),
        column!(
            "tms",
            12,
            Time32MillisecondArray,
            [Some(0), Some(86_399_999), None, Some(1), Some(999), Some(1_000), Some(43_200_000)]
        ),
        column!(
            "tus",
            13,
            Time64MicrosecondArray,
            [Some(0), Some(86_399_999_999), None, Some(1), Some(999), Some(1_000), Some(43_200_000_000)]
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..N_ROWS as i64)) as ArrayRef),
        (
            "at",
            Arc::new(TimestampMillisecondArray::from_iter_values(0..N_ROWS as i64).with_timezone("+00:00")),
        ),
    ];
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

const COLUMNS: [&str; 14] =
    ["i32", "i64", "u64", "f64", "dec", "wide", "txt", "flag", "day", "ms", "us", "ns", "tms", "tus"];
const CONSTANTS: [&str; 14] = [
    "0",
    "-1",
    "2",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "'month'",
    "'week'",
    "'%Y'",
    "'UTC'",
    "INTERVAL '2147483647 months'",
    "INTERVAL '-2147483648 days'",
    "INTERVAL '9223372036 seconds'",
    "INTERVAL '1 day 2 hours'",
];
const TYPES: [&str; 16] = [
    "TINYINT",
    "INT",
    "BIGINT",
    "BIGINT UNSIGNED",
    "REAL",
    "DOUBLE",
    "DECIMAL(5, 2)",
    "DECIMAL(38, 10)",
    "VARCHAR",
    "BOOLEAN",
    "DATE",
    "TIME",
    "TIMESTAMP(0)",
    "TIMESTAMP",
    "TIMESTAMP(3) WITH TIME ZONE",
    "INTERVAL",
];

struct Choices<'a>(std::slice::Iter<'a, u16>);

impl Choices<'_> {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::from(*self.0.next().unwrap_or(&0)) % choices.len()]
    }

    fn operand(&mut self) -> String {
        match self.one_of(&["column", "column", "column", "constant", "cast"]) {
            "column" => self.one_of(&COLUMNS).to_owned(),
            "constant" => self.one_of(&CONSTANTS).to_owned(),
            _ => format!("CAST({} AS {})", self.one_of(&COLUMNS), self.one_of(&TYPES)),
        }
    }

    fn expr(&mut self, functions: &[&str]) -> String {
        match self.one_of(&["call", "call", "call", "binary", "cast", "negative"]) {
            "call" => {
                let function = self.one_of(functions);
                let n_args = self.one_of(&["0", "1", "1", "2", "2", "2", "3", "3", "4"]).parse().unwrap();
                let args: Vec<String> = (0..n_args).map(|_| self.operand()).collect();
                format!("\"{function}\"({})", args.join(", "))
            }
            "binary" => {
                let op = self.one_of(&["+", "-", "*", "/", "%", "<<", ">>", "||", "&", "<", "="]);
                format!("({} {op} {})", self.operand(), self.operand())
            }
            "cast" => {
                let cast = self.one_of(&["CAST", "TRY_CAST"]);
                format!("{cast}({} AS {})", self.operand(), self.one_of(&TYPES))
            }
            _ => format!("(- {})", self.operand()),
        }
    }
}

fn survives(expr: &str, rows: &RecordBatch, table: &TableDef) {
    let sql = format!("SELECT {expr} AS x, id FROM t");
    let plan = match plan(&sql, std::slice::from_ref(table)) {
        Ok(plan) => plan,
        Err(refusals) => {
            let panicked = refusals.iter().any(|refusal| refusal.message.contains("panicked"));
            return assert!(!panicked, "the planner panicked: {sql}");
        }
    };
    let rows = Rows { batch: rows.project(&plan.scan).unwrap(), tags: Vec::new() };
    let halved = halve(rows, &|rows| run_steps(&plan.before, rows));
    for (_, detail) in &halved.failed {
        assert!(!detail.contains("panicked: attempt to"), "it would wrap: {sql}: {detail}");
    }
    let n_rows = halved.results.iter().map(Rows::len).sum::<usize>() + halved.failed.len();
    assert_eq!(n_rows, N_ROWS, "every row has a verdict: {sql}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), ..ProptestConfig::default() })]

    #[test]
    fn nothing_wraps_at_the_ends_of_types(choices in prop::collection::vec(any::<u16>(), 1..16)) {
        let immutable = |(name, udf): (&'static String, &Arc<_>)| {
            let udf: &Arc<datafusion::logical_expr::ScalarUDF> = udf;
            (udf.signature().volatility == Volatility::Immutable).then_some(name.as_str())
        };
        let functions: Vec<&str> = FUNCTIONS.scalar.iter().filter_map(immutable).collect();
        let rows = batch();
        let table = TableDef {
            name: "t".to_owned(),
            schema: rows.schema(),
            event_time: COLUMNS.len() + 1,
            identity: "topic t".to_owned(),
            left_out: Vec::new(),
        };
        survives(&Choices(choices.iter()).expr(&functions), &rows, &table);
    }
}
