//! Aggregates that depend on the order of rows or on all of them, against DataFusion: the same whatever
//! the order in which rows and states come.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{SortOptions, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::functions_aggregate::approx_percentile_cont::approx_percentile_cont_udaf;
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::functions_aggregate::nth_value::nth_value_udaf;
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use proptest::prelude::*;

use crate::aggregate::{Argument, CallSpec, Function, Groups, Layout, Order};

/// Key, value, ORDER BY key, event time, partition, FILTER; its offset is its position.
type Row = (i32, Option<i64>, Option<i64>, i64, i32, bool);

/// A call in SQL and as the engine's. Arguments are columns of [`table`] or constants.
struct Tested {
    sql: &'static str,
    function: Function,
    args: Vec<Result<usize, ScalarValue>>,
    filtered: bool,
}

/// Columns of [`table`] that calls use.
const VALUE: usize = 1;
const ORDER: usize = 2;
const FLOAT: usize = 6;
const TEXT: usize = 7;
const ARRIVAL_COLUMNS: [usize; 3] = [3, 4, 5];

fn every_call() -> Vec<Tested> {
    let ascending = SortOptions::new(false, false);
    let descending = SortOptions::new(true, true);
    let edge = |last, ignore_nulls, keys: &[SortOptions]| Function::FirstLast {
        last,
        ignore_nulls,
        order: Order::Rows(keys.to_vec()),
    };
    let rows = |udf: Arc<AggregateUDF>, ignore_nulls, keys: &[SortOptions]| Function::Collect {
        udf,
        ignore_nulls,
        order: Order::Rows(keys.to_vec()),
    };
    let values = |udf: Arc<AggregateUDF>, descending| Function::Collect {
        udf,
        ignore_nulls: false,
        order: Order::Value { descending },
    };
    let different = |udf: Arc<AggregateUDF>, options| Function::Collect {
        udf,
        ignore_nulls: false,
        order: Order::Distinct(options),
    };
    let call = |sql, function, args: &[Result<usize, ScalarValue>]| Tested {
        sql,
        function,
        args: args.to_vec(),
        filtered: false,
    };
    let share = || Err(ScalarValue::Float64(Some(0.3)));
    let comma = || Err(ScalarValue::Utf8(Some(",".to_owned())));
    vec![
        call(
            "first_value(v ORDER BY o, t, p, off)",
            edge(false, false, &[ascending]),
            &[Ok(VALUE), Ok(ORDER)],
        ),
        call("last_value(v ORDER BY t, p, off)", edge(true, false, &[]), &[Ok(VALUE)]),
        call(
            "last_value(s ORDER BY o DESC, v, t, p, off)",
            edge(true, false, &[descending, ascending]),
            &[Ok(TEXT), Ok(ORDER), Ok(VALUE)],
        ),
        call("first_value(v ORDER BY t, p, off) IGNORE NULLS", edge(false, true, &[]), &[Ok(VALUE)]),
        call(
            "array_agg(s ORDER BY o DESC, t, p, off)",
            rows(array_agg_udaf(), false, &[descending]),
            &[Ok(TEXT), Ok(ORDER)],
        ),
        call("array_agg(v ORDER BY t, p, off) IGNORE NULLS", rows(array_agg_udaf(), true, &[]), &[Ok(VALUE)]),
        call(
            "string_agg(s, ',' ORDER BY o, t, p, off)",
            rows(string_agg_udaf(), false, &[ascending]),
            &[Ok(TEXT), comma(), Ok(ORDER)],
        ),
        call(
            "nth_value(v, 2 ORDER BY t, p, off)",
            rows(nth_value_udaf(), false, &[]),
            &[Ok(VALUE), Err(ScalarValue::Int64(Some(2)))],
        ),
        call("median(f)", values(median_udaf(), false), &[Ok(FLOAT)]),
        call("array_agg(DISTINCT s ORDER BY s DESC)", different(array_agg_udaf(), descending), &[Ok(TEXT)]),
        call(
            "string_agg(DISTINCT s, ',' ORDER BY s)",
            different(string_agg_udaf(), ascending),
            &[Ok(TEXT), comma()],
        ),
        call("median(DISTINCT f)", different(median_udaf(), ascending), &[Ok(FLOAT)]),
        call(
            "percentile_cont(0.3) WITHIN GROUP (ORDER BY f DESC)",
            values(percentile_cont_udaf(), true),
            &[Ok(FLOAT), share()],
        ),
        call(
            "approx_percentile_cont(0.3) WITHIN GROUP (ORDER BY f)",
            values(approx_percentile_cont_udaf(), false),
            &[Ok(FLOAT), share()],
        ),
    ]
}

fn table(rows: &[Row]) -> RecordBatch {
    let column = |array: ArrayRef| array;
    let float = |value: i64| value as f64 / 4.0;
    let text = |value: i64| ["", "a", "bb", "ü"][value.rem_euclid(4) as usize];
    let columns = [
        ("k", column(Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int32Array>()))),
        ("v", column(Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()))),
        ("o", column(Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()))),
        ("t", column(Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()))),
        ("p", column(Arc::new(rows.iter().map(|row| Some(row.4)).collect::<Int32Array>()))),
        ("off", column(Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)))),
        (
            "f",
            column(Arc::new(rows.iter().map(|row| row.1.map(float)).collect::<arrow::array::Float64Array>())),
        ),
        ("s", column(Arc::new(rows.iter().map(|row| row.1.map(text)).collect::<StringArray>()))),
        ("w", column(Arc::new(rows.iter().map(|row| Some(row.5)).collect::<BooleanArray>()))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// Results by key, as DataFusion has them.
fn in_batch(table: &RecordBatch, tested: &Tested) -> (BTreeMap<String, String>, DataType) {
    let filter = if tested.filtered { " FILTER (WHERE w)" } else { "" };
    let sql = match tested.sql.strip_suffix(" IGNORE NULLS") {
        Some(call) => format!("{call}{filter} IGNORE NULLS"),
        None => format!("{}{filter}", tested.sql),
    };
    let context = SessionContext::new();
    let memory = MemTable::try_new(table.schema(), vec![vec![table.clone()]]).unwrap();
    context.register_table("t", Arc::new(memory)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async {
        let frame = context.sql(&format!("SELECT k, {sql} FROM t GROUP BY k")).await.unwrap();
        let schema = Arc::clone(frame.schema().inner());
        concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
    });
    (by_key(rows.column(0), rows.column(1)), rows.column(1).data_type().clone())
}

fn by_key(keys: &ArrayRef, results: &ArrayRef) -> BTreeMap<String, String> {
    let text = |array: &ArrayRef, row| match array.is_null(row) {
        true => "null".to_owned(),
        false => array_value_to_string(array, row).unwrap(),
    };
    (0..keys.len()).map(|row| (text(keys, row), text(results, row))).collect()
}

fn layout(table: &RecordBatch, tested: &Tested, result: DataType) -> Arc<Layout> {
    let field = |data_type: DataType| Arc::new(Field::new("x", data_type, true));
    let arrival = ARRIVAL_COLUMNS.into_iter().filter(|_| tested.function.by_arrival()).map(Ok);
    let args = tested.args.iter().cloned().chain(arrival).map(|arg| match arg {
        Ok(column) => Argument { field: field(table.column(column).data_type().clone()), constant: None },
        Err(value) => Argument { field: field(value.data_type()), constant: Some(value) },
    });
    let call = CallSpec { function: tested.function.clone(), args: args.collect(), field: field(result) };
    Layout::new(vec![field(DataType::Int32)], [call]).unwrap()
}

fn add(groups: &mut Groups, rows: &RecordBatch, tested: &Tested) {
    let arrival = ARRIVAL_COLUMNS.into_iter().filter(|_| tested.function.by_arrival()).map(Ok);
    let args = tested.args.iter().cloned().chain(arrival).map(|arg| match arg {
        Ok(column) => Arc::clone(rows.column(column)),
        Err(value) => value.to_array_of_size(rows.num_rows()).unwrap(),
    });
    let filter: BooleanArray = rows.column(8).to_data().into();
    let filter = tested.filtered.then_some(filter);
    groups.update(rows.num_rows(), &rows.columns()[..1], &[args.collect()], &[filter]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_in_which_rows_come_changes_nothing(
        rows in proptest::collection::vec(
            (
                0..3_i32,
                proptest::option::of(-20..20_i64),
                proptest::option::of(0..4_i64),
                0..10_i64,
                0..3_i32,
                any::<bool>(),
            ),
            1..150,
        ),
        // The piece that each row comes in, and whether pieces come as states.
        pieces in proptest::collection::vec(0..5_usize, 150),
        as_states in proptest::collection::vec(any::<bool>(), 5),
        filtered: bool,
    ) {
        let table = table(&rows);
        for tested in every_call() {
            let tested = Tested { filtered, ..tested };
            let (expected, result) = in_batch(&table, &tested);
            let layout = layout(&table, &tested, result);
            let (mut groups, mut spare) = (Groups::new(&layout), Groups::new(&layout));
            for (piece, as_state) in as_states.iter().enumerate() {
                let mask: BooleanArray = pieces[..rows.len()].iter().map(|p| Some(*p == piece)).collect();
                let rows = filter_record_batch(&table, &mask).unwrap();
                if *as_state {
                    spare.clear();
                    add(&mut spare, &rows, &tested);
                    groups.merge(&spare.state(&spare.all()).unwrap()).unwrap();
                } else {
                    add(&mut groups, &rows, &tested);
                }
            }
            let all = groups.all();
            let state = groups.state(&all).unwrap();
            let got = groups.evaluate(&all).unwrap();
            prop_assert!(got.failed.is_empty(), "{}: {:?}", tested.sql, got.failed);
            prop_assert_eq!(&by_key(&groups.keys(&all).unwrap()[0], &got.columns[0]), &expected, "{}", tested.sql);
            // Restored over something else.
            add(&mut spare, &table, &tested);
            spare.replace(&state).unwrap();
            let all = spare.all();
            let got = spare.evaluate(&all).unwrap();
            prop_assert_eq!(&by_key(&spare.keys(&all).unwrap()[0], &got.columns[0]), &expected, "{}", tested.sql);
        }
    }
}

#[test]
fn a_group_with_too_many_rows_has_no_result_however_it_got_them() {
    let tested = Tested {
        sql: "",
        function: Function::Collect {
            udf: array_agg_udaf(),
            ignore_nulls: false,
            order: Order::Rows(Vec::new()),
        },
        args: vec![Ok(TEXT)],
        filtered: false,
    };
    let text = "x".repeat(1 << 20);
    let rows = |keys: &[i32]| {
        let rows: Vec<Row> = keys.iter().map(|key| (*key, None, None, 0, 0, true)).collect();
        let table = table(&rows);
        let mut columns = table.columns().to_vec();
        columns[TEXT] = Arc::new(StringArray::from_iter_values(keys.iter().map(|_| &text)));
        RecordBatch::try_new(table.schema(), columns).unwrap()
    };
    let layout = layout(&rows(&[0]), &tested, DataType::new_list(DataType::Utf8, true));
    let (mut groups, mut other) = (Groups::new(&layout), Groups::new(&layout));
    add(&mut groups, &rows(&[1, 2, 2, 2, 2, 2, 2, 2, 2]), &tested);
    add(&mut other, &rows(&[2, 2, 2, 2, 2, 2, 2, 2, 3]), &tested);
    assert_eq!(groups.evaluate(&[0, 1]).unwrap().failed, []);
    groups.merge(&other.state(&other.all()).unwrap()).unwrap();
    let detail = "\"x\": its rows in this group were more than \"group_memory\", now 16MiB: \
                  add a column to GROUP BY, make the windows smaller, or raise it for groups to come";
    assert_eq!(groups.evaluate(&[0, 1, 2]).unwrap().failed, [(1, detail.to_owned())]);
    assert!(groups.memory_bytes() < 8 << 20, "{}", groups.memory_bytes());

    // Once too large stays too large, through state and whatever follows.
    let state = groups.state(&groups.all()).unwrap();
    other.clear();
    add(&mut other, &rows(&[2]), &tested);
    other.merge(&state).unwrap();
    add(&mut other, &rows(&[2]), &tested);
    assert_eq!(other.evaluate(&[0]).unwrap().failed.len(), 1);
}
