//! The verdict of the row alone: what a random expression makes of random rows is the same in one batch, in
//! batches of one row, and in a reference evaluator of plain Rust, whether that is a value, NULL or an error.

mod generate;
mod reference;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use proptest::prelude::*;

use self::generate::{Choices, value};
use crate::dataflow::plan::Plan;
use crate::operator::rows::{Rows, halve, run_steps};
use crate::sql::{TableDef, plan};

/// Column `i` of the table has type `TYPES[i]`; its name is that of the position, `c0` and so on.
const TYPES: [Ty; 11] =
    [Ty::I8, Ty::I16, Ty::I32, Ty::I64, Ty::U8, Ty::U16, Ty::U32, Ty::U64, Ty::Double, Ty::Decimal, Ty::Bool];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ty {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Double,
    /// `DECIMAL(18, 2)`.
    Decimal,
    Bool,
}

/// Most hundredths of a `DECIMAL(18, 2)`.
const DECIMAL_MAX: i128 = 999_999_999_999_999_999;

impl Ty {
    fn sql(self) -> &'static str {
        match self {
            Self::I8 => "TINYINT",
            Self::I16 => "SMALLINT",
            Self::I32 => "INT",
            Self::I64 => "BIGINT",
            Self::U8 => "TINYINT UNSIGNED",
            Self::U16 => "SMALLINT UNSIGNED",
            Self::U32 => "INT UNSIGNED",
            Self::U64 => "BIGINT UNSIGNED",
            Self::Double => "DOUBLE",
            Self::Decimal => "DECIMAL(18, 2)",
            Self::Bool => "BOOLEAN",
        }
    }

    /// Of an integer, or of a decimal's hundredths.
    fn range(self) -> Option<(i128, i128)> {
        Some(match self {
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::I64 => (i64::MIN.into(), i64::MAX.into()),
            Self::U8 => (0, u8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
            Self::Decimal => (-DECIMAL_MAX, DECIMAL_MAX),
            Self::Double | Self::Bool => return None,
        })
    }

    fn is_integer(self) -> bool {
        self.range().is_some() && self != Self::Decimal
    }

    fn data_type(self) -> DataType {
        match self {
            Self::I8 => DataType::Int8,
            Self::I16 => DataType::Int16,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::U8 => DataType::UInt8,
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::Double => DataType::Float64,
            Self::Decimal => DataType::Decimal128(18, 2),
            Self::Bool => DataType::Boolean,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Null,
    /// Of every integer type, and a decimal's hundredths.
    Int(i128),
    Double(f64),
    Bool(bool),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Int(l), Self::Int(r)) => l == r,
            (Self::Double(l), Self::Double(r)) => l.is_nan() && r.is_nan() || l.total_cmp(r).is_eq(),
            (Self::Bool(l), Self::Bool(r)) => l == r,
            _ => false,
        }
    }
}

/// A value, or an error of whatever kind.
type Verdict = Result<Value, ()>;

#[derive(Debug, Clone)]
enum Expr {
    Column(usize),
    Literal(Ty, Value),
    Arithmetic(Ty, char, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>, Ty),
    Abs(Box<Expr>, Ty),
    Cast(Box<Expr>, Ty, Ty),
    Compare(&'static str, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    CaseOf(Box<Expr>, Vec<(Expr, Expr)>, Box<Expr>),
    Coalesce(Vec<Expr>),
    NullIf(Box<Expr>, Box<Expr>),
    Nvl2(Box<Expr>, Box<Expr>, Box<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>, bool),
    In(Box<Expr>, Vec<Expr>, bool),
}

fn table() -> TableDef {
    let columns = TYPES.iter().enumerate().map(|(i, ty)| Field::new(format!("c{i}"), ty.data_type(), true));
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let own = [Field::new("id", DataType::Int64, false), Field::new("at", zoned, false)];
    TableDef {
        name: "t".to_owned(),
        schema: Arc::new(Schema::new(columns.chain(own).collect::<Vec<_>>())),
        event_time: TYPES.len() + 1,
        identity: "topic t".to_owned(),
        left_out: Vec::new(),
    }
}

fn column(ty: Ty, values: impl Iterator<Item = Value>) -> ArrayRef {
    match ty {
        Ty::Bool => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Value::Bool(value) => Some(value),
            _ => None,
        }))),
        Ty::Double => Arc::new(Float64Array::from_iter(values.map(|value| match value {
            Value::Double(value) => Some(value),
            _ => None,
        }))),
        _ => {
            let values = values.map(|value| match value {
                Value::Int(value) => Some(value),
                _ => None,
            });
            if ty == Ty::Decimal {
                let decimals = Decimal128Array::from_iter(values);
                return Arc::new(decimals.with_precision_and_scale(18, 2).unwrap());
            }
            let wide = Decimal128Array::from_iter(values).with_precision_and_scale(38, 0).unwrap();
            cast(&wide, &ty.data_type()).unwrap()
        }
    }
}

fn batch(rows: &[Vec<Value>], def: &TableDef) -> RecordBatch {
    let mut columns: Vec<ArrayRef> =
        TYPES.iter().enumerate().map(|(i, ty)| column(*ty, rows.iter().map(|row| row[i]))).collect();
    let n_rows = i64::try_from(rows.len()).unwrap();
    columns.push(Arc::new(Int64Array::from_iter_values(0..n_rows)));
    columns.push(Arc::new(TimestampMillisecondArray::from_iter_values(0..n_rows).with_timezone("+00:00")));
    RecordBatch::try_new(Arc::clone(&def.schema), columns).unwrap()
}

fn value_at(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    macro_rules! int {
        ($($type:ident $array:ident),*) => {
            match array.data_type() {
                $(DataType::$type => Value::Int(array.as_primitive::<$array>().value(row).into()),)*
                DataType::Decimal128(..) => Value::Int(array.as_primitive::<Decimal128Type>().value(row)),
                DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(row)),
                DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
                other => panic!("no result is of type {other}"),
            }
        };
    }
    int!(
        Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type,
        UInt8 UInt8Type, UInt16 UInt16Type, UInt32 UInt32Type, UInt64 UInt64Type
    )
}

/// What the plan makes of rows, by their `id`: the verdict, or nothing for a row that was filtered out.
fn run(plan: &Plan, batch: &RecordBatch) -> Vec<Option<Verdict>> {
    let tag = Arc::clone(batch.column(TYPES.len()));
    let scanned = batch.project(&plan.scan).unwrap();
    let mut verdicts = vec![None; batch.num_rows()];
    let first = tag.as_primitive::<Int64Type>().values().first().copied().unwrap_or(0);
    let position =
        |tags: &ArrayRef, row| usize::try_from(tags.as_primitive::<Int64Type>().value(row) - first);
    let halved = halve(Rows { batch: scanned, tags: vec![tag] }, &|rows| run_steps(&plan.before, rows));
    for rows in &halved.results {
        for row in 0..rows.len() {
            verdicts[position(&rows.tags[0], row).unwrap()] = Some(Ok(value_at(rows.batch.column(0), row)));
        }
    }
    for (row, _) in &halved.failed {
        verdicts[position(&row.tags[0], 0).unwrap()] = Some(Err(()));
    }
    verdicts
}

fn check(sql: &str, rows: &[Vec<Value>], expected: &[Option<Verdict>]) {
    let def = table();
    let plan = match plan(sql, std::slice::from_ref(&def)) {
        Ok(plan) => plan,
        Err(refusals) => panic!("{sql}\nrefused: {}", refusals[0]),
    };
    let batch = batch(rows, &def);
    let together = run(&plan, &batch);
    let alone: Vec<Option<Verdict>> =
        (0..rows.len()).flat_map(|row| run(&plan, &batch.slice(row, 1))).collect();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(alone[i], expected[i], "alone, expected right: {sql}\n{row:?}");
        assert_eq!(together[i], expected[i], "in a batch, expected right: {sql}\n{row:?}");
    }
}

/// Rows whose `c3` is the value and whose other columns are NULL.
fn rows_of_c3(values: &[i128]) -> Vec<Vec<Value>> {
    let row = |value: &i128| {
        let mut row = vec![Value::Null; TYPES.len()];
        row[3] = Value::Int(*value);
        row
    };
    values.iter().map(row).collect()
}

#[test]
fn rules_for_values_do_not_hide_an_error() {
    let (failing, rows) = (Some(Err(())), rows_of_c3(&[0]));
    for expr in [
        "(10 / c3 = 1 OR c10) AND c10",
        "10 / c3 = NULL",
        "id / c3 IS NOT NULL",
        "id / c3 = id / c3",
        "CASE WHEN 10 / c3 = 1 THEN false ELSE c10 END",
        "nvl2(id / c3, 1, 2) = 1",
        "power(id / c3, 0) = 1",
        "10 / c3 IN (NULL)",
    ] {
        check(&format!("SELECT {expr} AS x, id FROM t"), &rows, std::slice::from_ref(&failing));
    }
}

#[test]
fn constant_that_fails_takes_the_rows_that_reach_it() {
    let rows = rows_of_c3(&[1, 7, 2]);
    let (one, error) = (Some(Ok(Value::Int(1))), Some(Err(())));
    let reached = [one, error, one];
    check("SELECT CASE WHEN c3 < 5 THEN 1 ELSE 1 / 0 END AS x, id FROM t", &rows, &reached);
    check("SELECT 1 / 0 AS x, id FROM t WHERE c3 > 5", &rows, &[None, error, None]);
    check("SELECT 1 AS x, id FROM t WHERE c3 < 5 OR 1 / 0 = 1", &rows, &reached);
    check("SELECT 1 AS x, id FROM t WHERE c3 > 5 AND 1 / 0 = 1", &rows, &[None, error, None]);
    check("SELECT 1 / 0 AS x, id FROM t WHERE false", &rows, &[None, None, None]);
    let cast = "CAST('x' AS INT)";
    check(&format!("SELECT CASE WHEN c3 < 5 THEN 1 ELSE {cast} END AS x, id FROM t"), &rows, &reached);
    check(&format!("SELECT coalesce(nullif(c3 / 7, 1) + 1, {cast}) AS x, id FROM t"), &rows, &reached);
    check(&format!("SELECT {cast} AS x, id FROM t WHERE c3 > 5"), &rows, &[None, error, None]);
    check(&format!("SELECT 1 AS x, id FROM t WHERE c3 < 5 OR {cast} = 1"), &rows, &reached);
    check(&format!("SELECT 1 AS x, id FROM t WHERE {cast} = 1 AND c3 > 5"), &rows, &[None, error, None]);
    check(&format!("SELECT {cast} AS x, id FROM t WHERE false"), &rows, &[None, None, None]);
}

/// How many cases a property is tried on, unless `WEIR_CASES` says more.
pub(super) fn cases(default: u32) -> u32 {
    std::env::var("WEIR_CASES").map_or(default, |text| text.parse().expect("WEIR_CASES is a number"))
}

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let row = prop::collection::vec(0usize..9, TYPES.len())
        .prop_map(|which| TYPES.iter().zip(which).map(|(ty, which)| value(*ty, which)).collect());
    prop::collection::vec(row, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), ..ProptestConfig::default() })]

    #[test]
    fn projection_says_of_a_row_what_the_reference_says(
        choices in prop::collection::vec(any::<u16>(), 1..80), rows in rows(),
    ) {
        let mut choices = Choices(choices.iter());
        let ty = choices.type_();
        let expr = choices.expr(ty, 4);
        let expected: Vec<_> = rows.iter().map(|row| Some(expr.verdict(row))).collect();
        check(&format!("SELECT {} AS x, id FROM t", expr.sql()), &rows, &expected);
    }

    #[test]
    fn filter_says_of_a_row_what_the_reference_says(
        choices in prop::collection::vec(any::<u16>(), 1..80), rows in rows(),
    ) {
        let expr = Choices(choices.iter()).expr(Ty::Bool, 4);
        let expected: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| match expr.verdict(row) {
                Ok(Value::Bool(true)) => Some(Ok(Value::Int(i as i128))),
                Ok(_) => None,
                Err(()) => Some(Err(())),
            })
            .collect();
        check(&format!("SELECT id FROM t WHERE {}", expr.sql()), &rows, &expected);
    }
}
