//! Groups against DataFusion. The same rows, split at random into updates, merges of partial states
//! and replacements, must give what DataFusion's GROUP BY gives in one go.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, StructArray, make_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, IntervalUnit, Schema, TimeUnit};
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::functions_aggregate::approx_distinct::approx_distinct_udaf;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use proptest::prelude::*;

use crate::aggregate::{Argument, CallSpec, Function, Groups, Layout};

/// A value as a small number that every type has a value for; `None` is null.
type Value = Option<i8>;

/// A random aggregation.
#[derive(Debug, Clone)]
struct Case {
    keys: Vec<Vec<Value>>,
    args: Vec<Value>,
    filter: Vec<Option<bool>>,
    /// What becomes of a piece of the rows, and where the piece ends.
    pieces: Vec<(Piece, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    /// Straight into the groups.
    Update,
    /// Through the state of another pane.
    Merge,
    /// After it, all groups are replaced by their own state in a new pane.
    Recover,
    /// Before it, results and states are read twice.
    Read,
}

fn case(n_keys: usize) -> impl Strategy<Value = Case> {
    let value = || prop_oneof![1 => Just(None), 5 => any::<i8>().prop_map(|v| Some(v % 7)), 1 => any::<i8>().prop_map(Some)];
    let pieces = [Piece::Update, Piece::Merge, Piece::Recover, Piece::Read];
    (1..120_usize, any::<bool>()).prop_flat_map(move |(n_rows, with_nulls)| {
        let column = || {
            proptest::collection::vec(value(), n_rows).prop_map(move |values| match with_nulls {
                true => values,
                false => values.into_iter().map(|value| value.or(Some(3))).collect::<Vec<_>>(),
            })
        };
        (
            proptest::collection::vec(column(), n_keys),
            column(),
            proptest::collection::vec(prop_oneof![Just(None), Just(Some(true)), Just(Some(false))], n_rows),
            proptest::collection::vec((proptest::sample::select(pieces.to_vec()), 0..=n_rows), 0..6),
        )
            .prop_map(|(keys, args, filter, mut pieces)| {
                pieces.sort_by_key(|(_, end)| *end);
                Case { keys, args, filter, pieces }
            })
    })
}

/// The values as a column of `data_type`, with some value or other behind each null. `wide` values
/// are of more than 32 bits.
fn column(data_type: &DataType, values: &[Value], wide: bool) -> ArrayRef {
    let hidden = |(row, value): (usize, &Value)| value.or(Some((row % 5) as i8));
    let full = valid_column(data_type, &values.iter().enumerate().map(hidden).collect::<Vec<_>>(), wide);
    let nulls = values.iter().map(Option::is_some).collect::<Vec<_>>().into();
    make_array(full.to_data().into_builder().nulls(Some(nulls)).build().unwrap())
}

fn valid_column(data_type: &DataType, values: &[Value], wide: bool) -> ArrayRef {
    let array = match data_type {
        DataType::Boolean => values.iter().map(|value| value.map(|v| v % 2 == 0)).collect::<BooleanArray>(),
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| column(field.data_type(), values, wide)).collect();
            return Arc::new(StructArray::new(fields.clone(), columns, None));
        }
        _ => return number_or_text(data_type, values, wide),
    };
    Arc::new(array)
}

fn number_or_text(data_type: &DataType, values: &[Value], wide: bool) -> ArrayRef {
    let text = |value: i8| match value {
        0 => String::new(),
        2 => "\0".to_owned(),
        _ if value % 3 == 1 => format!("{value}"),
        _ => format!("a longer text, its number is {value}"),
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            let array: ArrayRef =
                Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>());
            cast(&array, data_type).unwrap()
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let array: ArrayRef =
                Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>());
            cast(&array, data_type).unwrap()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let float = |value: i8| match value {
                0 => -0.0,
                1 => 0.0,
                _ => f64::from(value) * 1.37 + 1000.0,
            };
            let array: ArrayRef =
                Arc::new(values.iter().map(|value| value.map(float)).collect::<arrow::array::Float64Array>());
            cast(&array, data_type).unwrap()
        }
        _ => {
            let scale = if wide { 1 << 40 } else { 1 };
            let number = |value: i8| ScalarValue::Int64(Some(i64::from(value) * scale));
            let numbers = values.iter().map(|value| value.map_or(ScalarValue::Int64(None), number));
            let array = ScalarValue::iter_to_array(numbers).unwrap();
            let array = if *data_type == DataType::UInt64 || *data_type == DataType::UInt8 {
                ScalarValue::iter_to_array(values.iter().map(|value| {
                    ScalarValue::UInt64(value.map(|v| u64::from(v.unsigned_abs()) * scale as u64))
                }))
                .unwrap()
            } else {
                array
            };
            convert(&array, data_type)
        }
    }
}

/// `cast`, by way of a type of the same width where Arrow has no direct way.
fn convert(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Date32 | DataType::Time32(_) | DataType::Interval(IntervalUnit::YearMonth) => {
            cast(&cast(array, &DataType::Int32).unwrap(), data_type).unwrap()
        }
        DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..) => {
            let small = cast(array, &DataType::Decimal256(70, 0)).unwrap();
            cast(&small, data_type).unwrap()
        }
        _ => cast(array, data_type).unwrap(),
    }
}

/// One aggregate in SQL and as a call; the SQL's argument is `v` of `arg`.
struct Tested {
    sql: &'static str,
    function: Function,
    arg: Option<DataType>,
    filtered: bool,
}

fn tested(sql: &'static str, function: Function, arg: DataType) -> Tested {
    Tested { sql, function, arg: Some(arg), filtered: false }
}

/// What DataFusion says, row by row, and the schema it says it in.
fn batch_results(batch: &RecordBatch, n_keys: usize, sql: &str) -> RecordBatch {
    let keys: Vec<_> = (0..n_keys).map(|i| format!("k{i}")).collect();
    let group_by = if keys.is_empty() { String::new() } else { format!("GROUP BY {}", keys.join(", ")) };
    let select: Vec<_> = keys.iter().map(String::as_str).chain([sql]).collect();
    let sql = format!("SELECT {} FROM t {group_by}", select.join(", "));
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let frame = context.sql(&sql).await.unwrap();
        let schema = Arc::clone(frame.schema().inner());
        concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
    })
}

/// Result column by key, as text; floats apart too, to be compared with a tolerance (and because
/// DataFusion's extremes take whichever zero comes first).
fn by_key(keys: &[ArrayRef], results: &[ArrayRef]) -> BTreeMap<Vec<String>, Vec<(String, Option<f64>)>> {
    let n_rows = results[0].len();
    let show = |array: &ArrayRef, row: usize| match array.is_null(row) {
        true => "null".to_owned(),
        false => array_value_to_string(array, row).unwrap(),
    };
    let rows = (0..n_rows).map(|row| {
        let key = keys.iter().map(|key| format!("{:?}", show(key, row))).collect();
        let result = results.iter().map(|array| {
            let float = array.data_type().is_floating().then(|| cast(array, &DataType::Float64).unwrap());
            let float = float.filter(|array| array.is_valid(row));
            (show(array, row), float.map(|array| array.as_primitive::<Float64Type>().value(row)))
        });
        (key, result.collect())
    });
    rows.collect()
}

fn assert_equal(
    ours: &BTreeMap<Vec<String>, Vec<(String, Option<f64>)>>,
    theirs: &BTreeMap<Vec<String>, Vec<(String, Option<f64>)>>,
    what: &str,
) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "groups of {what}");
    for (key, ours) in ours {
        for ((our, our_float), (their, their_float)) in ours.iter().zip(&theirs[key]) {
            match (our_float, their_float) {
                (Some(a), Some(b)) if !a.is_nan() && !b.is_nan() => {
                    let tolerance = 1e-12 * b.abs().max(1.0);
                    assert!((a - b).abs() <= tolerance, "{what} of {key:?}: {a}, DataFusion {b}");
                }
                _ => assert_eq!(our, their, "{what} of {key:?}"),
            }
        }
    }
}

struct Run {
    layout: Arc<Layout>,
    groups: Groups,
    spare: Groups,
}

impl Run {
    fn update(groups: &mut Groups, batch: &RecordBatch, n_keys: usize, tested: &Tested) {
        let args = tested.arg.iter().map(|_| Arc::clone(batch.column_by_name("v").unwrap())).collect();
        let filter = batch.column_by_name("f").unwrap().as_boolean().clone();
        let filter = tested.filtered.then_some(filter);
        groups.update(batch.num_rows(), &batch.columns()[..n_keys], &[args], &[filter]).unwrap();
    }

    fn piece(&mut self, piece: Piece, batch: &RecordBatch, n_keys: usize, tested: &Tested) {
        if matches!(piece, Piece::Read) {
            let all = self.groups.all();
            let first = self.groups.evaluate(&all).unwrap().columns;
            let state = self.groups.state(&all).unwrap();
            assert_eq!(self.groups.evaluate(&all).unwrap().columns, first, "read twice");
            assert_eq!(self.groups.state(&all).unwrap(), state, "read twice");
        }
        match piece {
            Piece::Merge => {
                self.spare.clear();
                Self::update(&mut self.spare, batch, n_keys, tested);
                let all = self.spare.all();
                self.groups.merge(&self.spare.state(&all).unwrap()).unwrap();
            }
            _ => Self::update(&mut self.groups, batch, n_keys, tested),
        }
        if matches!(piece, Piece::Recover) {
            let all = self.groups.all();
            let state = self.groups.state(&all).unwrap();
            // A recycled pane with wrong groups in it, which the replacement overrides.
            self.spare.clear();
            self.spare.merge(&state).unwrap();
            self.spare.merge(&state).unwrap();
            self.spare.clear_changed();
            let twice = concat_batches(&self.layout.state_schema(), [&state, &state]).unwrap();
            self.spare.replace(&twice).unwrap();
            assert!(self.spare.changed().is_empty(), "a replaced group has not changed");
            std::mem::swap(&mut self.groups, &mut self.spare);
        }
    }
}

/// Runs `case` through groups and through DataFusion, and compares.
fn check(case: &Case, key_types: &[DataType], tested: &Tested, wide: bool) {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (i, (data_type, values)) in key_types.iter().zip(&case.keys).enumerate() {
        fields.push(Field::new(format!("k{i}"), data_type.clone(), true));
        columns.push(column(data_type, values, false));
    }
    let arg_type = tested.arg.clone().unwrap_or(DataType::Int64);
    fields.push(Field::new("v", arg_type.clone(), true));
    columns.push(column(&arg_type, &case.args, wide));
    fields.push(Field::new("f", DataType::Boolean, true));
    // A null of the filter hides a true.
    let bits = case.filter.iter().map(|kept| kept.unwrap_or(true)).collect::<Vec<_>>();
    let known = case.filter.iter().map(Option::is_some).collect::<Vec<_>>();
    columns.push(Arc::new(BooleanArray::new(bits.into(), Some(known.into()))));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();

    let n_keys = key_types.len();
    let filter = if tested.filtered { " FILTER (WHERE f)" } else { "" };
    let theirs = batch_results(&batch, n_keys, &format!("{}{filter}", tested.sql));
    let call = CallSpec {
        function: tested.function.clone(),
        args: tested
            .arg
            .iter()
            .map(|_| Argument { field: Arc::new(batch.schema().field(n_keys).clone()), constant: None })
            .collect(),
        field: Arc::new(theirs.schema().field(n_keys).clone()),
    };
    let key_fields: Vec<FieldRef> = batch.schema().fields()[..n_keys].to_vec();
    let layout = Layout::new(key_fields, vec![call]).unwrap();
    let (groups, spare) = (Groups::new(&layout), Groups::new(&layout));
    let mut run = Run { layout, groups, spare };
    let mut start = 0;
    for (piece, end) in case.pieces.iter().chain([&(Piece::Update, batch.num_rows())]) {
        run.piece(*piece, &batch.slice(start, end - start), n_keys, tested);
        start = *end;
    }
    let all = run.groups.all();
    let ours = run.groups.evaluate(&all).unwrap();
    assert!(ours.failed.is_empty(), "{:?}", ours.failed);
    for (column, field) in ours.columns.iter().zip(&theirs.schema().fields()[n_keys..]) {
        assert_eq!(column.data_type(), field.data_type(), "type of {}", tested.sql);
    }
    let ours = by_key(&run.groups.keys(&all).unwrap(), &ours.columns);
    let theirs = by_key(&theirs.columns()[..n_keys], &theirs.columns()[n_keys..]);
    assert_equal(&ours, &theirs, &format!("{}({arg_type}){filter}", tested.sql));
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8))
}

/// Every function with every family of types it takes.
fn every_function() -> Vec<Tested> {
    use DataType::*;
    let distinct = |function| Function::Distinct(Box::new(function));
    let mut all = vec![Tested { sql: "count(*)", function: Function::Count, arg: None, filtered: false }];
    for arg in [Int64, Utf8] {
        all.push(tested("count(v)", Function::Count, arg));
    }
    let decimals = [Decimal32(7, 2), Decimal64(16, 3), Decimal128(30, 4), Decimal256(60, 5)];
    for arg in [Int64, UInt64, Float64, Duration(TimeUnit::Millisecond), Interval(IntervalUnit::YearMonth)] {
        all.push(tested("sum(v)", Function::Sum, arg));
    }
    for arg in decimals.clone() {
        all.push(tested("sum(v)", Function::Sum, arg.clone()));
        all.push(tested("avg(v)", Function::Avg, arg));
    }
    for arg in [Float64, Duration(TimeUnit::Second)] {
        all.push(tested("avg(v)", Function::Avg, arg));
    }
    let ordered = [
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Boolean,
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
        Date32,
        timestamp(),
        Time32(TimeUnit::Second),
        Duration(TimeUnit::Nanosecond),
        Interval(IntervalUnit::YearMonth),
    ];
    for arg in ordered.into_iter().chain(decimals) {
        all.push(tested("min(v)", Function::Min, arg.clone()));
        all.push(tested("max(v)", Function::Max, arg));
    }
    for (sql, sample, root) in [
        ("var(v)", true, false),
        ("var_pop(v)", false, false),
        ("stddev(v)", true, true),
        ("stddev_pop(v)", false, true),
    ] {
        all.push(tested(sql, Function::Moments { sample, root }, Float64));
    }
    all.push(tested("bool_and(v)", Function::BoolAnd, Boolean));
    all.push(tested("bool_or(v)", Function::BoolOr, Boolean));
    // DataFusion tells 0.0 and -0.0 apart here, unless it plans DISTINCT as GROUP BY.
    all.push(tested("count(DISTINCT v + 0.0)", distinct(Function::Count), Float64));
    for arg in [Int64, Utf8, Utf8View, Boolean, Decimal128(20, 2), timestamp()] {
        all.push(tested("count(DISTINCT v)", distinct(Function::Count), arg.clone()));
    }
    all.push(tested("sum(DISTINCT v + 0.0)", distinct(Function::Sum), Float64));
    all.push(tested("avg(DISTINCT v + 0.0)", distinct(Function::Avg), Float64));
    for arg in [Int64, Decimal128(20, 2)] {
        all.push(tested("sum(DISTINCT v)", distinct(Function::Sum), arg));
    }
    all.push(tested("avg(DISTINCT v)", distinct(Function::Avg), Decimal128(20, 2)));
    for arg in [Int64, Utf8] {
        let function = Function::Other { udf: approx_distinct_udaf() };
        all.push(tested("approx_distinct(v)", function, arg));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_function_equals_batch(case in case(1), filtered: bool) {
        for tested in every_function() {
            check(&case, &[DataType::Int32], &Tested { filtered, ..tested }, false);
        }
    }

    #[test]
    fn every_key_groups_as_in_batch(case in case(3), n_keys in 0..=3_usize) {
        use DataType::*;
        let nested = Struct(vec![Field::new("a", Int32, true), Field::new("b", Utf8, true)].into());
        let sum = || tested("sum(v)", Function::Sum, Int64);
        let types = [
            Int8, Int64, UInt64, Float32, Float64, Boolean, Utf8, LargeUtf8, Utf8View, Binary, dictionary(),
            timestamp(), Decimal128(20, 2), Decimal256(40, 2), nested,
        ];
        for (i, first) in types.iter().enumerate() {
            let others = [types[(i + 4) % types.len()].clone(), types[(i * 7 + 5) % types.len()].clone()];
            let keys: Vec<_> = [first.clone()].into_iter().chain(others).take(n_keys).collect();
            check(&case, &keys, &sum(), true);
        }
    }
}
