//! Plans as `weir explain` prints them.

use expect_test::{Expect, expect};

use super::planned;
use crate::dataflow::plan::Plan;
use crate::sql::{call_labels, explain, step_labels};

#[expect(clippy::needless_pass_by_value, reason = "as expect! gives it")]
fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&explain(&planned(sql), 2));
}

#[test]
fn windowed_aggregation_computes_no_window_column_per_row() {
    check(
        "SELECT window_start, window_end, country, count(*) AS orders, sum(amount) AS revenue
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)
         GROUP BY window_start, window_end, country",
        expect![[r#"
            source orders, 2 subtasks
              decode    country VARCHAR
                        amount BIGINT
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 10s
              partial   count(*), sum(amount)
              exchange  by hash of window_start, window_end, country
            window, 2 subtasks
              merge     by window_start, window_end, country
              project   window_start, window_end, country, count(*) AS orders, sum(amount) AS revenue
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    window_end TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 2
              column    country VARCHAR, key 3
              column    orders BIGINT NOT NULL
              column    revenue BIGINT
        "#]],
    );
}

#[test]
fn filters_stand_before_and_after_the_aggregation() {
    check(
        "SELECT country AS c, window_end AS until, sum(amount * 2) AS doubled, avg(quantity) FILTER (WHERE paid) AS q
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1 minute', INTERVAL '-15' SECOND) AS w
         WHERE w.amount > 0 AND country <> 'DE'
         GROUP BY window_end, country
         HAVING count(*) > 10",
        expect![[r#"
            source orders, 2 subtasks
              decode    country VARCHAR
                        amount BIGINT
                        quantity INT
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1m, offset 45s
              filter    amount > 0 AND country != 'DE'
              partial   sum(amount * 2), avg(CAST(quantity AS Float64)) FILTER (WHERE paid), count(*)
              exchange  by hash of window_end, country
            window, 2 subtasks
              merge     by window_end, country
              filter    count(*) > 10
              project   country AS c, window_end AS until, sum(amount * 2) AS doubled, avg(CAST(quantity AS Float64)) FILTER (WHERE paid) AS q
            result table
              column    c VARCHAR, key 2
              column    until TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    doubled BIGINT
              column    q DOUBLE
        "#]],
    );
}

#[test]
fn count_of_all_rows_decodes_the_event_time_only() {
    check(
        "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' HOUR) GROUP BY window_start",
        expect![[r#"
            source orders, 2 subtasks
              decode    ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1h
              partial   count(*)
              exchange  by hash of window_start
            window, 2 subtasks
              merge     by window_start
              project   window_start, count(*) AS n
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    n BIGINT NOT NULL
        "#]],
    );
}

#[test]
fn with_queries_and_subqueries_join_the_chain() {
    check(
        "WITH paid AS (
           SELECT window_start AS ws, window_end, upper(country) AS country, amount / quantity AS each
           FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND) WHERE paid
         ), sums AS (
           SELECT ws, window_end AS we, country, max(each) AS most, count(*) AS n FROM paid GROUP BY ws, window_end, country
         )
         SELECT ws, we, country, most + 1 AS more FROM (SELECT * FROM sums WHERE n > 1) AS s WHERE most < 100",
        expect![[r#"
            source orders, 2 subtasks
              decode    country VARCHAR
                        amount BIGINT
                        quantity INT
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 10s
              filter    paid
              project   upper(country) AS country, amount / CAST(quantity AS Int64) AS each
              partial   max(each), count(*)
              exchange  by hash of window_start, window_end, country
            window, 2 subtasks
              merge     by window_start, window_end, country
              project   window_start AS ws, window_end AS we, country, max(each) AS most, count(*) AS n
              filter    n > 1
              project   ws, we, country, most
              filter    most < 100
              project   ws, we, country, most + 1 AS more
            result table
              column    ws TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    we TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 2
              column    country VARCHAR, key 3
              column    more BIGINT
        "#]],
    );
}

#[test]
fn bare_table_is_appended_row_by_row() {
    check(
        "SELECT id, amount + 1 AS more FROM orders WHERE country IN ('DE', 'FR', 'IT', 'AT')",
        expect![[r#"
            source orders, 2 subtasks
              decode    id BIGINT
                        country VARCHAR
                        amount BIGINT
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              filter    country IN ('DE', 'FR', 'IT', 'AT')
              project   id, amount + 1 AS more
            result table, appended to
              column    id BIGINT NOT NULL
              column    more BIGINT
        "#]],
    );
}

#[test]
fn rows_of_a_window_may_be_appended_with_its_columns() {
    check(
        "SELECT window_start, window_time, id FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' DAY)",
        expect![[r#"
            source orders, 2 subtasks
              decode    id BIGINT
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1d, adds window_start, adds window_time
              project   window_start, window_time, id
            result table, appended to
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL
              column    window_time TIMESTAMP(3) WITH TIME ZONE NOT NULL
              column    id BIGINT NOT NULL
        "#]],
    );
}

#[test]
fn key_may_be_an_expression_also_over_the_window() {
    check(
        "SELECT window_end, date_trunc('hour', window_end) AS hour, address['city'] AS city, paid IS NULL AS unknown, min(weight) AS lightest
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '5' MINUTE)
         GROUP BY 1, 2, 3, paid IS NULL",
        expect![[r#"
            source orders, 2 subtasks
              decode    weight DOUBLE
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
                        address STRUCT<city VARCHAR, zip VARCHAR>
              window    TUMBLE, size 5m, adds window_end
              partial   min(weight)
              exchange  by hash of window_end, date_trunc('hour', window_end), get_field(address, 'city'), paid IS NULL
            window, 2 subtasks
              merge     by window_end, date_trunc('hour', window_end), get_field(address, 'city'), paid IS NULL
              project   window_end, date_trunc('hour', window_end) AS hour, get_field(address, 'city') AS city, paid IS NULL AS unknown, min(weight) AS lightest
            result table
              column    window_end TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    hour TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 2
              column    city VARCHAR, key 3
              column    unknown BOOLEAN NOT NULL, key 4
              column    lightest DOUBLE
        "#]],
    );
}

#[test]
fn the_order_of_rows_is_part_of_a_call() {
    check(
        "SELECT window_start, first_value(country ORDER BY amount DESC, id) AS a, last_value(paid IGNORE NULLS) AS b,
           array_agg(id) FILTER (WHERE paid) AS c, approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY weight) AS d,
           regr_count(weight, weight) AS e
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' HOUR) GROUP BY window_start",
        expect![[r#"
            source orders, 2 subtasks
              decode    id BIGINT
                        country VARCHAR
                        amount BIGINT
                        weight DOUBLE
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1h
              partial   first_value(country ORDER BY amount DESC, id, arrival), last_value(paid ORDER BY arrival), array_agg(id ORDER BY arrival) FILTER (WHERE paid), approx_percentile_cont(weight, 0.9), regr_count(weight, weight)
              exchange  by hash of window_start
            window, 2 subtasks
              merge     by window_start
              project   window_start, first_value(country ORDER BY amount DESC, id, arrival) AS a, last_value(paid ORDER BY arrival) AS b, array_agg(id ORDER BY arrival) FILTER (WHERE paid) AS c, approx_percentile_cont(weight, 0.9) AS d, regr_count(weight, weight) AS e
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    a VARCHAR
              column    b BOOLEAN
              column    c ARRAY<BIGINT>
              column    d DOUBLE
              column    e BIGINT NOT NULL
        "#]],
    );
}

#[test]
fn every_supported_aggregate_is_planned() {
    check(
        "SELECT window_start, window_end,
           count(amount) AS a, sum(price) AS b, sum(quantity) AS c, avg(price) AS d, min(country) AS e, max(shipped_at) AS f,
           var(amount) AS g, var_samp(weight) AS h, var_pop(weight) AS i, stddev(quantity) AS j, stddev_samp(weight) AS k,
           stddev_pop(weight) AS l, bool_and(paid) AS m, bool_or(paid) AS n, count(DISTINCT country) AS o,
           approx_distinct(id) AS p, count(DISTINCT id) FILTER (WHERE paid) AS q
         FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '0.5' SECOND)
         GROUP BY window_start, window_end",
        expect![[r#"
            source orders, 2 subtasks
              decode    id BIGINT
                        country VARCHAR
                        amount BIGINT
                        price DECIMAL(18,2)
                        weight DOUBLE
                        quantity INT
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
                        shipped_at TIMESTAMP(3) WITH TIME ZONE
              window    TUMBLE, size 500ms
              partial   count(amount), sum(price), sum(CAST(quantity AS Int64)), avg(price), min(country), max(shipped_at), var_samp(CAST(amount AS Float64)), var_samp(weight), var_pop(weight), stddev_samp(CAST(quantity AS Float64)), stddev_samp(weight), stddev_pop(weight), bool_and(paid), bool_or(paid), count(DISTINCT country), approx_distinct(id), count(DISTINCT id) FILTER (WHERE paid)
              exchange  by hash of window_start, window_end
            window, 2 subtasks
              merge     by window_start, window_end
              project   window_start, window_end, count(amount) AS a, sum(price) AS b, sum(CAST(quantity AS Int64)) AS c, avg(price) AS d, min(country) AS e, max(shipped_at) AS f, var_samp(CAST(amount AS Float64)) AS g, var_samp(weight) AS h, var_pop(weight) AS i, stddev_samp(CAST(quantity AS Float64)) AS j, stddev_samp(weight) AS k, stddev_pop(weight) AS l, bool_and(paid) AS m, bool_or(paid) AS n, count(DISTINCT country) AS o, approx_distinct(id) AS p, count(DISTINCT id) FILTER (WHERE paid) AS q
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    window_end TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 2
              column    a BIGINT NOT NULL
              column    b DECIMAL(28,2)
              column    c BIGINT
              column    d DECIMAL(22,6)
              column    e VARCHAR
              column    f TIMESTAMP(3) WITH TIME ZONE
              column    g DOUBLE
              column    h DOUBLE
              column    i DOUBLE
              column    j DOUBLE
              column    k DOUBLE
              column    l DOUBLE
              column    m BOOLEAN
              column    n BOOLEAN
              column    o BIGINT NOT NULL
              column    p BIGINT NOT NULL
              column    q BIGINT NOT NULL
        "#]],
    );
}

#[test]
fn distinct_rows_of_a_window_are_an_aggregation_without_calls() {
    check(
        "SELECT window_start, \"userId\" AS user_id FROM TUMBLE(TABLE clicks, DESCRIPTOR(\"clickedAt\"), INTERVAL '1' MINUTE)
         GROUP BY window_start, \"userId\"",
        expect![[r#"
            source clicks, 2 subtasks
              decode    userId VARCHAR
                        clickedAt TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1m
              partial   nothing but the keys
              exchange  by hash of window_start, userId
            window, 2 subtasks
              merge     by window_start, userId
              project   window_start, userId AS user_id
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    user_id VARCHAR NOT NULL, key 2
        "#]],
    );
}

#[test]
fn windows_around_a_query_are_those_of_its_source() {
    check(
        "WITH o AS (SELECT country, amount * 2 AS a, ordered_at AS t FROM orders WHERE paid)
         SELECT window_start, country, sum(a) AS s FROM HOP(TABLE o, DESCRIPTOR(t), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)
         GROUP BY window_start, country",
        expect![[r#"
            source orders, 2 subtasks
              decode    country VARCHAR
                        amount BIGINT
                        paid BOOLEAN
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    HOP, slide 1m, size 1h
                        60 panes of 1m make a window
              filter    paid
              project   country, amount * 2 AS a
              project   country, a
              partial   sum(a)
              exchange  by hash of window_start, country
            window, 2 subtasks
              merge     by window_start, country
              project   window_start, country, sum(a) AS s
            result table
              column    window_start TIMESTAMP(3) WITH TIME ZONE NOT NULL, key 1
              column    country VARCHAR, key 2
              column    s BIGINT
        "#]],
    );
}

#[test]
fn window_columns_pass_through_the_query_that_the_windows_are_around() {
    check(
        "SELECT w.t, w.window_end, x FROM TUMBLE(
             (SELECT p.ordered_at AS t, x FROM (SELECT o.ordered_at, o.id AS window_start, o.id + 1 AS x FROM orders AS o) AS p WHERE p.window_start > 1),
             DESCRIPTOR(t), INTERVAL '1' MINUTE) AS w WHERE x < 10",
        expect![[r#"
            source orders, 2 subtasks
              decode    id BIGINT
                        ordered_at TIMESTAMP(3) WITH TIME ZONE, event time
              window    TUMBLE, size 1m, adds window_end
              project   ordered_at, id AS window_start, id + 1 AS x, window_end of window 0
              filter    window_start > 1
              project   ordered_at AS t, x, window_end of window 0 AS window_end
              filter    x < 10
              project   t, window_end, x
            result table, appended to
              column    t TIMESTAMP(3) WITH TIME ZONE
              column    window_end TIMESTAMP(3) WITH TIME ZONE NOT NULL
              column    x BIGINT NOT NULL
        "#]],
    );
}

#[test]
fn literals_that_came_from_outside_are_not_shown() {
    let sql = "SELECT window_start, upper(country) AS c, sum(amount * 4711) FILTER (WHERE weight > 47.11) AS s, count(*) AS n\n\
        FROM (SELECT *, amount + 4711 AS more FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND))\n\
        WHERE price > 47.11 AND country IN ('4711', 'x') AND more > 1\n\
        GROUP BY window_start, upper(country) HAVING sum(amount) > 4711";
    let plan = planned(sql);
    assert!(plan.shows_literals() && explain(&plan, 1).contains("4711"));
    assert!(step_labels(&plan).join(" ").contains("'4711'"), "{:?}", step_labels(&plan));
    let plan = Plan { shown_sql: "SELECT …".to_owned(), ..plan };
    let text = explain(&plan, 1);
    let labels = [step_labels(&plan), call_labels(&plan)].concat().join("\n");
    assert!(!text.contains("47") && !labels.contains("47"), "{text}\n{labels}");
    assert!(text.contains("…(amount)") && text.contains("…(country)"), "{text}");
}
