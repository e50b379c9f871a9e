//! Lowered steps on a real batch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use arrow::util::pretty::pretty_format_batches;
use expect_test::{Expect, expect};

use super::planned;
use crate::dataflow::plan::{Plan, Step};

/// The columns of the plan's scan out of a batch of four orders.
fn rows(plan: &Plan) -> RecordBatch {
    let columns = plan.scan_schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "id" => Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            "amount" => Arc::new(Int64Array::from(vec![Some(10), None, Some(0), Some(i64::MAX)])),
            "country" => Arc::new(StringArray::from(vec![Some("de"), Some("fr"), None, Some("it")])),
            "paid" => Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)])),
            "ordered_at" => {
                let times = Int64Array::from(vec![0, 1_000, 2_000, 3_000]);
                arrow::compute::cast(&times, field.data_type()).unwrap()
            }
            other => panic!("no column {other}"),
        }
    });
    RecordBatch::try_new(Arc::clone(&plan.scan_schema), columns.collect()).unwrap()
}

fn run(steps: &[Step], mut batch: RecordBatch) -> Result<RecordBatch, datafusion::error::DataFusionError> {
    for step in steps {
        batch = match step {
            Step::Filter(predicate) => {
                let kept = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
                filter_record_batch(&batch, kept.as_any().downcast_ref::<BooleanArray>().unwrap())?
            }
            Step::Project { exprs, schema } => {
                let columns = exprs
                    .iter()
                    .map(|expr| expr.evaluate(&batch)?.into_array(batch.num_rows()))
                    .collect::<Result<Vec<_>, _>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?
            }
        };
    }
    Ok(batch)
}

#[expect(clippy::needless_pass_by_value, reason = "as expect! gives it")]
fn check(sql: &str, expected: Expect) {
    let plan = planned(sql);
    let text = match run(&plan.before, rows(&plan)) {
        Ok(batch) => {
            assert_eq!(batch.schema(), plan.output);
            pretty_format_batches(&[batch]).unwrap().to_string()
        }
        Err(error) => error.strip_backtrace(),
    };
    expected.assert_eq(&text);
}

#[test]
fn steps_compute_what_the_query_says() {
    check(
        "SELECT upper(country) AS c, id * 2 AS twice, coalesce(amount, -1) AS a, ordered_at + INTERVAL '1' DAY AS t
         FROM orders WHERE paid IS NOT FALSE AND id < 4",
        expect![[r#"
            +----+-------+----+----------------------+
            | c  | twice | a  | t                    |
            +----+-------+----+----------------------+
            | DE | 2     | 10 | 1970-01-02T00:00:00Z |
            |    | 6     | 0  | 1970-01-02T00:00:02Z |
            +----+-------+----+----------------------+"#]],
    );
}

#[test]
fn event_time_is_dropped_where_it_is_not_selected() {
    check(
        "SELECT id, amount FROM orders WHERE id > 2",
        expect![[r#"
        +----+---------------------+
        | id | amount              |
        +----+---------------------+
        | 3  | 0                   |
        | 4  | 9223372036854775807 |
        +----+---------------------+"#]],
    );
}

#[test]
fn all_columns_come_in_the_order_of_the_select() {
    check(
        "SELECT paid, id AS x, country, ordered_at, id FROM orders WHERE id = 1",
        expect![[r#"
        +------+---+---------+----------------------+----+
        | paid | x | country | ordered_at           | id |
        +------+---+---------+----------------------+----+
        | true | 1 | de      | 1970-01-01T00:00:00Z | 1  |
        +------+---+---------+----------------------+----+"#]],
    );
}

#[test]
fn addition_does_not_wrap() {
    check(
        "SELECT amount + 1 AS more FROM orders",
        expect!["Arrow error: Arithmetic overflow: Overflow happened on: 9223372036854775807 + 1"],
    );
}

#[test]
fn multiplication_and_subtraction_in_a_filter_do_not_wrap() {
    check(
        "SELECT id FROM orders WHERE amount * 3 - 1 > 0",
        expect!["Arrow error: Arithmetic overflow: Overflow happened on: 9223372036854775807 * 3"],
    );
}

#[test]
fn negation_does_not_wrap() {
    check(
        "SELECT -(-9223372036854775808 + amount) AS x FROM orders WHERE id = 3",
        expect!["Arrow error: Arithmetic overflow: Overflow happened on: 0 - -9223372036854775808"],
    );
}

#[test]
fn folded_constants_do_not_wrap() {
    check(
        "SELECT 9223372036854775807 + 1 AS x FROM orders",
        expect!["Arrow error: Arithmetic overflow: Overflow happened on: 9223372036854775807 + 1"],
    );
    check(
        "SELECT CASE WHEN true THEN 9223372036854775807 ELSE id END * 2 AS x FROM orders",
        expect!["Arrow error: Arithmetic overflow: Overflow happened on: 9223372036854775807 * 2"],
    );
}

#[test]
fn equal_projections_are_all_computed() {
    check(
        "SELECT id * 2 AS id FROM (SELECT id * 2 AS id FROM (SELECT id * 2 AS id FROM orders) WHERE id > 2)",
        expect![[r#"
            +----+
            | id |
            +----+
            | 16 |
            | 24 |
            | 32 |
            +----+"#]],
    );
    check(
        "SELECT id * 2 AS id FROM (SELECT id * 2 AS id FROM (SELECT id * 2 AS id FROM orders) AS orders) AS orders",
        expect![[r#"
            +----+
            | id |
            +----+
            | 8  |
            | 16 |
            | 24 |
            | 32 |
            +----+"#]],
    );
}

#[test]
fn shifts_lose_no_bits() {
    check(
        "SELECT id << 2 AS x, 1 << 62 AS y, -8 >> 1 AS z FROM orders WHERE id = 3",
        expect![[r#"
            +----+---------------------+----+
            | x  | y                   | z  |
            +----+---------------------+----+
            | 12 | 4611686018427387904 | -4 |
            +----+---------------------+----+"#]],
    );
    for (sql, message) in [
        ("SELECT id << 62 AS x FROM orders WHERE id = 2", "2 << 62"),
        ("SELECT id << 64 AS x FROM orders WHERE id = 1", "1 << 64"),
        ("SELECT 1 << 63 AS x FROM orders", "1 << 63"),
        ("SELECT id >> -1 AS x FROM orders WHERE id = 1", "1 >> -1"),
    ] {
        let plan = planned(sql);
        let error = run(&plan.before, rows(&plan)).expect_err(sql).strip_backtrace();
        assert_eq!(error, format!("Arrow error: Arithmetic overflow: Overflow happened on: {message}"));
    }
}

#[test]
fn decimals_keep_to_their_precision() {
    for sql in [
        "SELECT CAST(amount AS DECIMAL(38)) * CAST('100000000000000000000' AS DECIMAL(38)) AS x FROM orders WHERE id = 4",
        "SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38)) + 1 AS x FROM orders",
        "SELECT CAST(amount AS DECIMAL(38)) * CAST(amount AS DECIMAL(38)) * 2 AS x FROM orders WHERE id = 4",
    ] {
        let plan = planned(sql);
        let error = run(&plan.before, rows(&plan)).expect_err(sql).strip_backtrace();
        assert!(error.contains("too large") || error.contains("verflow"), "{sql}: {error}");
    }
}

#[test]
fn results_of_a_row_are_bounded() {
    let doubled = |levels: usize| {
        let mut sql = "SELECT id, ordered_at, repeat(country, 1000) AS x FROM orders".to_owned();
        for _ in 0..levels {
            sql = format!("SELECT id, ordered_at, x || x AS x FROM ({sql})");
        }
        planned(&format!("SELECT id, length(x) AS n FROM ({sql})"))
    };
    let plan = doubled(5);
    let sizes = run(&plan.before, rows(&plan)).unwrap();
    assert_eq!(sizes.column(1).as_primitive::<Int32Type>().value(0), 64_000);
    for (plan, of) in [
        (doubled(20), "||"),
        (planned("SELECT repeat(country, id * 1000000000) AS x FROM orders"), "repeat"),
        (planned("SELECT repeat('x', 2000000000) AS x FROM orders"), "repeat"),
        (planned("SELECT lpad(country, 65537) AS x FROM orders"), "lpad"),
        (planned("SELECT range(id * 100000000) AS x FROM orders"), "range"),
        (
            planned("SELECT replace(repeat(country, 1000), 'e', repeat(country, 1000)) AS x FROM orders"),
            "replace",
        ),
    ] {
        let error = run(&plan.before, rows(&plan)).expect_err(of).strip_backtrace();
        let call = if of == "||" { of.to_owned() } else { format!("{of}(…)") };
        let expected = format!("Execution error: the result of {call} would be too large: more than 64 KiB");
        assert_eq!(error, expected);
    }
}

#[test]
fn division_by_zero_fails() {
    check("SELECT id / amount AS x FROM orders", expect!["Arrow error: Divide by zero error"]);
}

#[test]
fn side_that_decides_wins_over_an_error_in_either_order() {
    let alone = |predicate: &str, id: usize| {
        let plan = planned(&format!("SELECT id FROM orders WHERE {predicate}"));
        let row = rows(&plan).slice(id - 1, 1);
        run(&plan.before, row).map(|batch| batch.num_rows()).ok()
    };
    for predicate in ["id / amount > 0 AND amount <> 0", "amount <> 0 AND id / amount > 0"] {
        assert_eq!(alone(predicate, 3), Some(0), "false wins: {predicate}");
        assert_eq!(alone(predicate, 1), Some(0), "no error: {predicate}");
    }
    for predicate in ["id / amount > 0 OR amount = 0", "amount = 0 OR id / amount > 0"] {
        assert_eq!(alone(predicate, 3), Some(1), "true wins: {predicate}");
    }
    for predicate in ["id / amount > 0 AND paid", "paid AND id / amount > 0", "id / amount > 0 OR amount > 0"]
    {
        assert_eq!(alone(predicate, 3), None, "null or the other value does not win: {predicate}");
    }
    // Behind a guard no row fails, in a batch of any size.
    check(
        "SELECT id FROM orders WHERE amount <> 0 AND id / amount >= 0 OR amount IS NULL",
        expect![[r#"
        +----+
        | id |
        +----+
        | 1  |
        | 2  |
        | 4  |
        +----+"#]],
    );
    let nested = "NOT (id / amount > 0 OR amount = 0) OR (1 / amount = 1 AND (amount > 0 AND paid))";
    assert_eq!(alone(nested, 3), Some(0));
}

/// Would take 2^60 evaluations if a side that failed were evaluated again.
#[test]
fn nested_errors_cost_no_more_than_their_evaluation() {
    let mut predicate = "id / amount > 0".to_owned();
    for _ in 0..30 {
        predicate = format!("(1 / amount = 1 AND ({predicate} OR id / amount = 7))");
    }
    let plan = planned(&format!("SELECT id FROM orders WHERE {predicate}"));
    assert!(run(&plan.before, rows(&plan).slice(2, 1)).is_err());
}

#[test]
fn constants_are_folded_before_the_run() {
    let plan = planned("SELECT id FROM orders WHERE id < 1 + 2 * 3");
    let [Step::Filter(predicate), Step::Project { .. }] = plan.before.as_slice() else {
        panic!("two steps expected")
    };
    assert_eq!(predicate.to_string(), "id@0 < 7");
}

#[test]
fn key_positions_are_those_of_the_output() {
    let plan = planned(
        "SELECT count(*) AS n, upper(country) AS c, window_end AS e, window_start, upper(country) AS again
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)
         GROUP BY window_start, upper(country), window_end",
    );
    assert_eq!(plan.key, [3, 1, 2]);
    assert_eq!((plan.window_start, plan.window_end), (Some(3), Some(2)));
    assert_eq!(plan.scan, [1, 7]);
    assert_eq!(plan.event_time, 1);
}
