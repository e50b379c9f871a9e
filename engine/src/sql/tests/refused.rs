//! Every refusal: code, position, reason, hint.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use super::tables;
use crate::sql::{CODES, plan};

const TUMBLE: &str = "TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)";

/// `@` stands for a call of TUMBLE.
#[expect(clippy::needless_pass_by_value, reason = "as expect! gives it")]
fn check(sql: &str, expected: Expect) {
    let refusals = match plan(&sql.replace('@', TUMBLE), &tables()) {
        Ok(_) => panic!("not refused"),
        Err(refusals) => refusals,
    };
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

macro_rules! refusals {
    ($($name:ident: $sql:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            check($sql, $expected);
        })*
    };
}

refusals! {
    syntax_error: "SELECT id\nFROM orders WHERE (id" => expect!["2:22: expected ), found the end [E0201]"];
    syntax_error_inside: "SELECT id,, amount FROM orders" => expect!["1:11: expected an expression, found , [E0201]"];
    wrong_arguments: "SELECT id,\n  date_trunc(country) AS c FROM orders" => expect!["2:3: function 'date_trunc' failed to match any signature [E0205]"];
    unfinished_text: "SELECT id FROM" => expect!["1:15: expected identifier, found the end [E0201]"];
    unfinished_string: "SELECT id FROM orders WHERE country = 'D" => expect!["1:39: unterminated string literal [E0201]"];
    nothing: " -- nothing\n" => expect!["1:1: the SQL is empty (write what its result table shall hold: SELECT … FROM …) [E0202]"];
    two_statements: "SELECT id FROM orders;\n SELECT 2" => expect!["2:2: a second statement: a pipeline is one SELECT (make a pipeline of its own of it) [E0202]"];
    not_a_query: "CREATE TABLE x (a INT)" => expect!["1:1: a pipeline is one SELECT (write what its result table shall hold: SELECT … FROM …) [E0202]"];
    explain_statement: "EXPLAIN SELECT id FROM orders" => expect!["1:1: a pipeline is one SELECT, not EXPLAIN (`weir explain DIR PIPELINE` prints the dataflow) [E0202]"];
    insert: "INSERT INTO orders SELECT * FROM orders" => expect!["1:1: a pipeline is one SELECT (write what its result table shall hold: SELECT … FROM …) [E0202]"];
    table_statement: "TABLE orders" => expect!["1:1: expected an SQL statement, found TABLE [E0201]"];
    unknown_table: "SELECT id FROM oders" => expect![[r#"1:16: unknown table "oders" (did you mean "orders"?) [E0203]"#]];
    unknown_table_far: "SELECT id FROM public.customers" => expect![[r#"1:16: unknown table "public.customers" (sources have no schema in front of their name) [E0203]"#]];
    unknown_column: "SELECT id,\n  amonut FROM orders" => expect![[r#"2:3: unknown column "amonut" (did you mean "amount"?) [E0204]"#]];
    unknown_column_far: "SELECT o.revenue FROM orders AS o" => expect![[r#"1:8: unknown column "revenue" of "o" (there are "id", "country", "amount", "price", "weight", "quantity", "paid", "ordered_at", "shipped_at", "address", "tags") [E0204]"#]];
    unknown_columns_of_all_clauses: "SELECT contry, sum(amonut) AS s, uper(country) AS c, uper(id) AS d\nFROM @ AS o WHERE pid AND o.wieght > 1\nGROUP BY window_start, contry HAVING max(quantty) > 1" => expect![[r#"
        2:84: unknown column "pid" (did you mean "id"?) [E0204]
        2:92: unknown column "wieght" of "o" (did you mean "weight"?) [E0204]
        1:8: unknown column "contry" (did you mean "country"?) [E0204]
        1:20: unknown column "amonut" (did you mean "amount"?) [E0204]
        1:34: invalid function 'uper' (did you mean 'upper'?) [E0205]
        1:54: invalid function 'uper' (did you mean 'upper'?) [E0205]
        3:42: unknown column "quantty" (did you mean "quantity"?) [E0204]"#]];
    unknown_columns_of_subqueries: "SELECT contry FROM (SELECT contry, amonut AS a FROM orders) WHERE b" => expect![[r#"
        1:28: unknown column "contry" (did you mean "country"?) [E0204]
        1:36: unknown column "amonut" (did you mean "amount"?) [E0204]
        1:67: unknown column "b" (did you mean "a"?) [E0204]"#]];
    unknown_columns_beside_other_mistakes: "SELECT DISTINCT contry, amount + 1, now() AS n, lag(amonut) OVER () AS l FROM orders ORDER BY idd LIMIT 1" => expect![[r#"
        1:86: ORDER BY needs all rows, and a stream has no end (leave it out: rows come in the order in which windows close; order where you query the result table) [E0206]
        1:99: LIMIT needs an end, and a stream has none (leave it out, and limit where you query the result table) [E0206]
        1:8: SELECT DISTINCT would remember every row for ever (write GROUP BY window_start, window_end and the columns) [E0209]
        1:37: now gives another value each time (use a column, such as the event time or window_end: the same rows must give the same result in every run) [E0213]
        1:49: functions OVER a window of rows are not supported (aggregate per time window: FROM TUMBLE(…) GROUP BY window_start, window_end) [E0210]
        1:25: an expression needs AS (write amount + 1 AS name) [E0217]
        1:17: unknown column "contry" (did you mean "country"?) [E0204]
        1:53: unknown column "amonut" (did you mean "amount"?) [E0204]"#]];
    what_is_unknown_beside_unnamed_and_unselected: "SELECT upper(country), count(*), sum(amonut) AS country FROM @ GROUP BY window_start, upper(country)" => expect![[r#"
        1:8: an expression needs AS (write upper(country) AS name) [E0217]
        1:24: an expression needs AS (write count(*) AS name) [E0217]
        1:38: unknown column "amonut" (did you mean "amount"?) [E0204]"#]];
    unknown_columns_beside_wrong_windows: "SELECT window_start, sum(amonut) AS s FROM HOP(TABLE orders, DESCRIPTOR(shiped_at), INTERVAL '7' SECOND, INTERVAL '10' SECOND) GROUP BY window_start" => expect![[r#"
        1:73: "orders" has no column "shiped_at" (write DESCRIPTOR(ordered_at)) [E0216]
        1:94: the size of 10000 ms is not a multiple of the slide of 7000 ms (the nearest slide is INTERVAL '5' SECOND) [E0215]
        1:26: unknown column "amonut" (did you mean "amount"?) [E0204]"#]];
    windows_that_are_unknown_have_no_unknown_columns: "SELECT window_start, sum(amonut) AS s FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at)) GROUP BY window_start" => expect!["1:44: TUMBLE takes 3 or 4 arguments, not 2 (write TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0215]"];
    an_unknown_table_has_no_unknown_columns: "SELECT id, amount + 1, contry FROM oders" => expect![[r#"
        1:36: unknown table "oders" (did you mean "orders"?) [E0203]
        1:12: an expression needs AS (write amount + 1 AS name) [E0217]"#]];
    column_case: "SELECT userId FROM clicks" => expect![[r#"1:8: unknown column "userid" (write "userId" in double quotes: unquoted names are lower-cased) [E0204]"#]];
    comma_join: "SELECT id FROM orders, clicks" => expect!["1:24: joins are not supported yet: a pipeline reads one source (make a pipeline of each source, and join their result tables where you query them) [E0207]"];
    unknown_function: "SELECT id, uper(country) AS c FROM orders" => expect!["1:12: invalid function 'uper' (did you mean 'upper'?) [E0205]"];
    wrong_types: "SELECT id, country + address AS c FROM orders" => expect![[r#"1:12: cannot coerce arithmetic expression Utf8 + Struct("city": Utf8, "zip": Utf8) to valid types [E0205]"#]];
    not_grouped: "SELECT window_start, country, count(*) AS n FROM @ GROUP BY window_start" => expect!["1:22: orders.country is neither in GROUP BY nor in an aggregate function (add it to GROUP BY, or aggregate it, as in max(…)) [E0205]"];
    order_and_limit: "SELECT id FROM orders\nORDER BY id\nLIMIT 10" => expect![[r#"
        2:1: ORDER BY needs all rows, and a stream has no end (leave it out: rows come in the order in which windows close; order where you query the result table) [E0206]
        3:1: LIMIT needs an end, and a stream has none (leave it out, and limit where you query the result table) [E0206]"#]];
    order_by_all: "SELECT id FROM orders ORDER BY ALL OFFSET 3" => expect![[r#"
        1:23: ORDER BY needs all rows, and a stream has no end (leave it out: rows come in the order in which windows close; order where you query the result table) [E0206]
        1:36: LIMIT needs an end, and a stream has none (leave it out, and limit where you query the result table) [E0206]"#]];
    fetch: "SELECT id FROM (SELECT * FROM orders FETCH FIRST 3 ROWS ONLY)" => expect!["1:38: LIMIT needs an end, and a stream has none (leave it out, and limit where you query the result table) [E0206]"];
    join: "SELECT o.id FROM orders AS o LEFT JOIN clicks AS c ON o.country = c.\"userId\"" => expect!["1:35: joins are not supported yet: a pipeline reads one source (make a pipeline of each source, and join their result tables where you query them) [E0207]"];
    union: "SELECT id FROM orders\nUNION ALL SELECT id FROM orders" => expect!["2:1: UNION is not supported (make a pipeline of each side, and combine their result tables where you query them) [E0208]"];
    except: "SELECT id FROM orders EXCEPT (SELECT id FROM orders)" => expect!["1:23: EXCEPT is not supported (make a pipeline of each side, and combine their result tables where you query them) [E0208]"];
    distinct: "SELECT DISTINCT country FROM orders" => expect!["1:8: SELECT DISTINCT would remember every row for ever (write GROUP BY window_start, window_end and the columns) [E0209]"];
    over: "SELECT id, sum(amount) OVER (PARTITION BY country) AS s FROM orders" => expect!["1:12: functions OVER a window of rows are not supported (aggregate per time window: FROM TUMBLE(…) GROUP BY window_start, window_end) [E0210]"];
    window_function_without_over: "SELECT row_number() AS n FROM orders" => expect!["1:8: functions OVER a window of rows are not supported (aggregate per time window: FROM TUMBLE(…) GROUP BY window_start, window_end) [E0210]"];
    second_aggregation: "SELECT max(n) AS m FROM (SELECT window_start, count(*) AS n FROM @ GROUP BY window_start)" => expect!["1:8: a second aggregation: a pipeline has one (aggregate once per window, and query the result table for the rest) [E0211]"];
    aggregation_on_the_bare_table: "SELECT country, count(*) AS n FROM orders\nGROUP BY country" => expect!["2:1: an aggregation without a window never ends (write FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND) and GROUP BY window_start, window_end) [E0212]"];
    aggregation_without_group_by: "SELECT count(*) AS n FROM @" => expect!["1:8: an aggregation without a window never ends (add window_start, window_end to GROUP BY) [E0212]"];
    aggregation_without_window_key: "SELECT country, count(*) AS n FROM @ GROUP BY country" => expect!["1:103: an aggregation without a window never ends (add window_start, window_end to GROUP BY) [E0212]"];
    window_time_is_no_key: "SELECT window_time, count(*) AS n FROM @ GROUP BY window_time" => expect!["1:107: an aggregation without a window never ends (add window_start, window_end to GROUP BY) [E0212]"];
    having_only: "SELECT 1 AS one FROM orders HAVING 1 = 1" => expect!["1:1: HAVING clause references: Int64(1) = Int64(1) must appear in the GROUP BY clause or be used in an aggregate function [E0205]"];
    now: "SELECT id, now() AS t FROM orders" => expect!["1:12: now gives another value each time (use a column, such as the event time or window_end: the same rows must give the same result in every run) [E0213]"];
    current_timestamp: "SELECT id FROM orders WHERE ordered_at < current_timestamp AND random() < 0.5 AND uuid() <> ''" => expect![[r#"
        1:42: current_timestamp gives another value each time (use a column, such as the event time or window_end: the same rows must give the same result in every run) [E0213]
        1:64: random gives another value each time (use a column, such as the event time or window_end: the same rows must give the same result in every run) [E0213]
        1:83: uuid gives another value each time (use a column, such as the event time or window_end: the same rows must give the same result in every run) [E0213]"#]];
    hop_arguments: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '5' SECOND) GROUP BY window_start" => expect!["1:41: HOP takes 4 or 5 arguments, not 3 (write HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) [E0215]"];
    hop_without_slide: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '0' SECOND, INTERVAL '5' SECOND) GROUP BY window_start" => expect!["1:92: the window's slide is 0 ms: it must be positive [E0215]"];
    hop_longer_than_its_size: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE, INTERVAL '5' SECOND) GROUP BY window_start" => expect!["1:92: the slide of 60000 ms is longer than the size of 5000 ms: rows would be in no window (the nearest slide is INTERVAL '5' SECOND) [E0215]"];
    hop_of_no_multiple: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '7' SECOND, INTERVAL '1' MINUTE) GROUP BY window_start" => expect!["1:92: the size of 60000 ms is not a multiple of the slide of 7000 ms (the nearest slide is INTERVAL '7.500' SECOND) [E0215]"];
    hop_of_too_many_panes: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' SECOND, INTERVAL '1' HOUR) GROUP BY window_start" => expect!["1:92: the size is 3600 times the slide, at most 1000 times is allowed (the nearest slide is INTERVAL '3.600' SECOND) [E0215]"];
    hop_of_months: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' DAY, INTERVAL '1' MONTH) GROUP BY window_start" => expect!["1:110: the window's size is in months or years, which have no fixed length (write it in days: INTERVAL '30' DAY) [E0215]"];
    hop_by_name: "SELECT window_start, count(*) AS n FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), slide => INTERVAL '1' DAY, size => INTERVAL '2' DAY) GROUP BY window_start" => expect![[r#"1:83: HOP takes its arguments by position, not "slide => INTERVAL '1' DAY" (write HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) [E0215]"#]];
    hop_of_a_row_in_many_windows: "SELECT window_start, id FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' SECOND, INTERVAL '10' MINUTE)" => expect!["1:40: without an aggregation a row is a row in each of its windows: 600 of them, at most 100 are allowed (aggregate: GROUP BY window_start, window_end) [E0223]"];
    hop_of_an_argument_in_many_windows: "SELECT window_start, max(window_end - ordered_at) AS m FROM HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' SECOND, INTERVAL '10' MINUTE) GROUP BY window_start" => expect!["1:71: where an expression on rows uses a window column a row is a row in each of its windows: 600 of them, at most 100 are allowed (use window_start and window_end in GROUP BY, and behind the aggregation, only) [E0223]"];
    session: "SELECT * FROM SESSION(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)" => expect!["1:15: SESSION is not supported yet (the nearest is TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0214]"];
    cumulate: "SELECT * FROM Cumulate(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND, INTERVAL '1' DAY)" => expect!["1:15: CUMULATE is not supported yet (the nearest is TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0214]"];
    unknown_table_function: "SELECT * FROM generate_series(1, 10)" => expect![[r#"1:15: "generate_series" is not a window table function (there is TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0214]"#]];
    window_function_in_group_by: "SELECT count(*) AS n FROM orders GROUP BY TUMBLE(ordered_at, INTERVAL '1' MINUTE)" => expect!["1:43: TUMBLE stands in FROM (write FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND) GROUP BY window_start, window_end) [E0214]"];
    table_of_a_function: "SELECT id FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE))" => expect!["1:16: FROM TABLE(…) is not supported (leave TABLE(…) out: FROM TUMBLE(TABLE t, …)) [E0223]"];
    too_few_arguments: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at))" => expect!["1:15: TUMBLE takes 3 or 4 arguments, not 2 (write TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0215]"];
    no_table_keyword: "SELECT * FROM TUMBLE(orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE)" => expect!["1:22: the first argument is TABLE and a source's name (write TABLE orders) [E0215]"];
    window_of_another_column: "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (SELECT shipped_at, ordered_at AS t FROM orders), DESCRIPTOR(shipped_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"1:115: "shipped_at" is not the event time of "orders", "ordered_at" is (write DESCRIPTOR(t)) [E0216]"#]];
    window_without_event_time: "WITH o AS (SELECT id, shipped_at FROM orders) SELECT window_start, count(*) AS n\nFROM TUMBLE(TABLE o, DESCRIPTOR(shipped_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"2:33: "shipped_at" is not the event time of "orders", "ordered_at" is (select ordered_at in the query inside, as it is) [E0216]"#]];
    window_of_a_computed_time: "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (SELECT ordered_at + INTERVAL '1' DAY AS ordered_at FROM orders), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"1:131: "ordered_at" is computed: it is not the event time of "orders" itself (select ordered_at in the query inside, as it is) [E0216]"#]];
    window_of_a_missing_column: "WITH o AS (SELECT id, ordered_at AS t FROM orders) SELECT window_start, count(*) AS n FROM TUMBLE(TABLE o, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"1:119: unknown column "ordered_at" (there are "id", "t") [E0204]"#]];
    window_of_an_aggregation: "WITH o AS (SELECT window_start AS t, count(*) AS n FROM @ GROUP BY window_start) SELECT * FROM TUMBLE(TABLE o, DESCRIPTOR(t), INTERVAL '1' MINUTE)" => expect!["1:174: windows come in front of the aggregation (put the window table function into the subquery: FROM TUMBLE(…) GROUP BY window_start, window_end) [E0214]"];
    window_of_windows: "SELECT x.n, x.window_end FROM TUMBLE(TABLE (SELECT ordered_at, id AS n FROM @ AS w), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) AS x" => expect!["1:31: the query in it has windows already (leave one of the window table functions out) [E0214]"];
    window_column_of_the_query_itself: "SELECT * FROM TUMBLE(TABLE (SELECT ordered_at, id AS window_end FROM orders), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE)" => expect![[r#"1:15: the query that the windows are around has a column "window_end" of its own (rename it there with AS) [E0214]"#]];
    window_of_a_join: "WITH o AS (SELECT o.ordered_at FROM orders AS o JOIN clicks AS c ON true) SELECT window_start, count(*) AS n FROM TUMBLE(TABLE o, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect!["1:49: joins are not supported yet: a pipeline reads one source (make a pipeline of each source, and join their result tables where you query them) [E0207]"];
    window_of_an_ordered_query: "SELECT window_start, count(*) AS n FROM TUMBLE((SELECT * FROM orders ORDER BY id), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect!["1:70: ORDER BY needs all rows, and a stream has no end (leave it out: rows come in the order in which windows close; order where you query the result table) [E0206]"];
    window_of_a_function: "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (1 + 1), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect!["1:55: a window table function takes a source, a WITH query or a subquery (write TABLE (SELECT …)) [E0215]"];
    window_of_a_schemas_table: "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE shop.orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"1:54: unknown table "shop.orders" (sources have no schema in front of their name) [E0203]"#]];
    window_of_an_unknown_query: "WITH recent AS (SELECT * FROM orders) SELECT window_start, count(*) AS n FROM TUMBLE(TABLE recnt, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) GROUP BY window_start" => expect![[r#"1:92: unknown table "recnt" (did you mean "recent"?) [E0203]"#]];
    descriptor_of_a_query_missing: "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (SELECT * FROM orders), ordered_at, INTERVAL '1' MINUTE) GROUP BY window_start" => expect!["1:78: the second argument is DESCRIPTOR and the source's event time (write DESCRIPTOR(event_time)) [E0215]"];
    hidden_function: "SELECT \"bound of window 0 window_start\"(ordered_at) AS x FROM TUMBLE(TABLE (SELECT * FROM orders), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE)" => expect![[r#"1:8: there is no function "bound of window 0 window_start" (leave it out) [E0223]"#]];
    hidden_column: "SELECT \"window_start of window 0\" AS x FROM TUMBLE(TABLE (SELECT * FROM orders), DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE)" => expect![[r#"1:8: unknown column "window_start of window 0" (there are "id", "country", "amount", "price", "weight", "quantity", "paid", "ordered_at", "shipped_at", "address", "tags", "window_start", …) [E0204]"#]];
    with_query_out_of_scope: "SELECT x.id FROM (WITH o AS (SELECT id FROM orders) SELECT id FROM o) AS x, o" => expect!["1:77: joins are not supported yet: a pipeline reads one source (make a pipeline of each source, and join their result tables where you query them) [E0207]\n1:77: unknown table \"o\" (the project's sources are \"orders\", \"clicks\") [E0203]"];
    window_of_a_query_with_many_windows: "SELECT window_start, id FROM HOP(TABLE (SELECT id, ordered_at FROM orders), DESCRIPTOR(ordered_at), INTERVAL '1' SECOND, INTERVAL '10' MINUTE)" => expect!["1:30: without an aggregation a row is a row in each of its windows: 600 of them, at most 100 are allowed (aggregate: GROUP BY window_start, window_end) [E0223]"];
    named_arguments: "SELECT * FROM TUMBLE(DATA => TABLE orders, TIMECOL => DESCRIPTOR(ordered_at), SIZE => INTERVAL '1' MINUTE)" => expect![[r#"1:22: TUMBLE takes its arguments by position, not "DATA => TABLE orders" (write TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)) [E0215]"#]];
    unknown_table_in_window: "SELECT * FROM TUMBLE(TABLE order, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE)" => expect![[r#"1:28: unknown table "order" (did you mean "orders"?) [E0203]"#]];
    size_is_not_an_interval: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), 10)" => expect!["1:60: the window's size is not an interval literal (write INTERVAL '10' SECOND) [E0215]"];
    size_is_a_column: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), amount)" => expect!["1:60: the window's size is not an interval literal (write INTERVAL '10' SECOND) [E0215]"];
    size_is_unreadable: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL 'soon')" => expect!["1:69: the window's size can't be read (write INTERVAL '10' SECOND) [E0215]"];
    size_is_zero: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '0' SECOND)" => expect!["1:69: the window's size is 0 ms: it must be positive [E0215]"];
    size_is_negative: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '-10' SECOND)" => expect!["1:69: the window's size is -10000 ms: it must be positive [E0215]"];
    size_is_in_months: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' MONTH)" => expect!["1:69: the window's size is in months or years, which have no fixed length (write it in days: INTERVAL '30' DAY) [E0215]"];
    size_is_too_fine: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1.0005' SECOND)" => expect!["1:69: the window's size is finer than a millisecond (the finest is INTERVAL '0.001' SECOND) [E0215]"];
    descriptor_missing: "SELECT * FROM TUMBLE(TABLE orders, ordered_at, INTERVAL '1' MINUTE)" => expect!["1:36: the second argument is DESCRIPTOR and the source's event time (write DESCRIPTOR(ordered_at)) [E0215]"];
    descriptor_is_not_the_event_time: "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(shipped_at), INTERVAL '1' MINUTE)" => expect![[r#"1:47: "shipped_at" is not the event time of "orders", "ordered_at" is (write DESCRIPTOR(ordered_at)) [E0216]"#]];
    descriptor_is_no_column: "SELECT * FROM TUMBLE(TABLE clicks, DESCRIPTOR(clickedAt), INTERVAL '1' MINUTE)" => expect![[r#"1:47: "clicks" has no column "clickedat" (write DESCRIPTOR("clickedAt")) [E0216]"#]];
    unnamed_expressions: "SELECT id, amount + 1,\n  count(*) FROM orders" => expect![[r#"
        1:12: an expression needs AS (write amount + 1 AS name) [E0217]
        2:3: an expression needs AS (write count(*) AS name) [E0217]
        1:8: orders.id is neither in GROUP BY nor in an aggregate function (add it to GROUP BY, or aggregate it, as in max(…)) [E0205]"#]];
    names: "SELECT id, amount AS id, quantity AS \"a b\", paid AS \"_final\", weight AS \"Ü\" FROM orders" => expect![[r#"
        1:22: two columns are called "id" (rename one with AS) [E0217]
        1:38: "a b" is not a plain name (rename it with AS: letters, digits and _, no digit first) [E0217]
        1:53: "_final" is the name of a system column (rename it with AS) [E0217]
        1:73: "Ü" is not a plain name (rename it with AS: letters, digits and _, no digit first) [E0217]"#]];
    names_by_wildcard: "SELECT * FROM (SELECT id, amount + 1 FROM orders)" => expect![[r#"1:8: "orders.amount + Int64(1)" is not a plain name (rename it with AS: letters, digits and _, no digit first) [E0217]"#]];
    duplicate_by_wildcard: "SELECT *, amount AS id FROM orders" => expect![[r#"1:8: two columns are called "id" (rename one with AS) [E0217]"#]];
    key_is_not_selected: "SELECT window_start, count(*) AS n FROM @\nGROUP BY window_start,\n  window_end, upper(country)" => expect![[r#"
        3:3: the GROUP BY column "window_end" is not selected (select it: the GROUP BY expressions are the result table's key) [E0218]
        3:15: this GROUP BY expression is not selected (select it: the GROUP BY expressions are the result table's key) [E0218]"#]];
    key_is_hidden_by_an_expression: "SELECT window_start, upper(country) AS country, count(*) AS n FROM @ GROUP BY window_start, country" => expect![[r#"1:158: the GROUP BY column "country" is not selected (select it: the GROUP BY expressions are the result table's key) [E0218]"#]];
    rollup: "SELECT window_start, country, count(*) AS n FROM @ GROUP BY window_start, ROLLUP (country)" => expect!["1:148: grouping sets, ROLLUP and CUBE are not supported (make a pipeline of each grouping) [E0219]"];
    cube: "SELECT window_start, country, count(*) AS n FROM @ GROUP BY CUBE (window_start, country)" => expect!["1:132: grouping sets, ROLLUP and CUBE are not supported (make a pipeline of each grouping) [E0219]"];
    grouping_sets: "SELECT window_start, country, count(*) AS n FROM @ GROUP BY GROUPING SETS ((window_start), (country))" => expect!["1:142: grouping sets, ROLLUP and CUBE are not supported (make a pipeline of each grouping) [E0219]"];
    with_rollup: "SELECT window_start, country, count(*) AS n FROM @ GROUP BY window_start, country WITH ROLLUP" => expect!["1:140: grouping sets, ROLLUP and CUBE are not supported (make a pipeline of each grouping) [E0219]"];
    in_subquery: "SELECT id FROM orders WHERE country IN (SELECT \"userId\" FROM clicks)" => expect!["1:29: a subquery in an expression is not supported (write the values: IN ('a', 'b')) [E0220]"];
    exists: "SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM clicks)" => expect!["1:29: a subquery in an expression is not supported (write the values: IN ('a', 'b')) [E0220]"];
    scalar_subquery: "SELECT id, (SELECT max(id) FROM orders) AS m FROM orders" => expect!["1:13: a subquery in an expression is not supported (write the values: IN ('a', 'b')) [E0220]"];
    values: "VALUES (1, 2)" => expect!["1:1: VALUES is not a stream (read a source: SELECT … FROM source) [E0221]"];
    values_in_from: "SELECT * FROM (VALUES (1, 2)) AS v" => expect!["1:16: VALUES is not a stream (read a source: SELECT … FROM source) [E0221]"];
    no_from: "SELECT 1 AS one" => expect!["1:1: a SELECT without FROM reads no source (read a source: SELECT … FROM source) [E0221]"];
    other_aggregates: "SELECT window_start, any_value(amount) AS m, array_agg(DISTINCT id ORDER BY amount) AS ids FROM @ GROUP BY window_start" => expect![[r#"
        1:22: any_value is not supported yet (there are approx_distinct, approx_median, approx_percentile_cont, approx_percentile_cont_with_weight, array_agg, avg, bit_and, bit_or, bit_xor, bool_and, bool_or, corr, count, covar_pop, covar_samp, first_value, last_value, max, median, min, nth_value, percentile_cont, regr_avgx, regr_avgy, regr_count, regr_intercept, regr_r2, regr_slope, regr_sxx, regr_sxy, regr_syy, stddev, stddev_pop, string_agg, sum, var, var_pop) [E0222]
        1:46: array_agg(DISTINCT …) has no order but that of its argument (order by the argument, or leave ORDER BY out) [E0222]"#]];
    distinct_sum: "SELECT window_start, sum(DISTINCT amount) AS s, max(DISTINCT amount) AS m, corr(DISTINCT amount, id) AS c FROM @ GROUP BY window_start" => expect![[r#"
        1:49: max(DISTINCT …) is not supported (leave DISTINCT out, it changes nothing) [E0222]
        1:76: corr(DISTINCT …) is not supported (DISTINCT is there for array_agg, avg, count, median, stddev, stddev_pop, string_agg, sum, var, var_pop) [E0222]"#]];
    ordered_aggregate: "SELECT window_start, sum(amount ORDER BY id) AS s, percentile_cont(0.5 ORDER BY id) AS p, max(id) IGNORE NULLS AS m, median(id) WITHIN GROUP (ORDER BY id) AS n, string_agg(country, ',' LIMIT 1) AS t, count(id, amount) AS c FROM @ GROUP BY window_start" => expect![[r#"
        1:22: sum takes no ORDER BY (leave it out) [E0222]
        1:52: percentile_cont takes no ORDER BY (write WITHIN GROUP (ORDER BY …)) [E0222]
        1:91: max takes no treatment of nulls (leave it out) [E0222]
        1:118: median takes no WITHIN GROUP (leave it out) [E0222]
        1:162: string_agg takes no clause but ORDER BY and a treatment of nulls (leave it out) [E0222]
        1:201: count takes one argument (count each column for itself) [E0222]"#]];
    string_agg_with_a_separator_per_row: "SELECT window_start, string_agg(country, country ORDER BY id DESC) AS s FROM @ GROUP BY window_start" => expect!["1:22: string_agg of VARCHAR, VARCHAR is not supported [E0222]"];
    sum_of_text: "SELECT window_start, sum(country) AS s FROM @ GROUP BY window_start" => expect!["1:22: function 'sum' failed to match any signature [E0205]"];
    sum_of_durations: "SELECT window_start, sum(shipped_at - ordered_at) AS s FROM @ GROUP BY window_start" => expect!["1:22: sum of INTERVAL is not supported [E0222]"];
    max_of_a_map: "SELECT window_start, max(tags) AS n FROM @ GROUP BY window_start" => expect!["1:22: max of MAP<VARCHAR, VARCHAR> is not supported [E0222]"];
    unnest: "SELECT unnest([1, 2]) AS x FROM orders" => expect!["1:8: unnest is not supported (take single elements: list[1]) [E0223]"];
    sample: "SELECT id FROM orders TABLESAMPLE (10 PERCENT)" => expect!["1:16: FROM takes a source, TUMBLE(…), HOP(…) or a subquery (leave the rest out) [E0223]"];
    recursive: "WITH RECURSIVE r AS (SELECT id FROM orders) SELECT id FROM r" => expect!["1:6: WITH RECURSIVE is not supported (write WITH without RECURSIVE) [E0223]"];
    with_hides_a_source: "WITH orders AS (SELECT * FROM orders WHERE paid) SELECT window_start, count(*) AS n FROM @ GROUP BY window_start" => expect![[r#"1:6: "orders" is a source: WITH would hide it (give the WITH query another name) [E0223]"#]];
    with_outside_its_query: "WITH a AS (WITH b AS (SELECT id FROM orders) SELECT id FROM b) SELECT id FROM b" => expect![[r#"1:79: unknown table "b" (did you mean "a"?) [E0203]"#]];
    placeholder: "SELECT id FROM orders WHERE id = $1" => expect!["1:34: the placeholder $1 has no value (write the value) [E0223]"];
    table_in_an_expression: "SELECT TABLE orders AS t FROM orders" => expect!["1:8: TABLE is not an expression (TABLE t is the first argument of TUMBLE or HOP in FROM) [E0223]"];
    column_without_type: "SELECT NULL AS x FROM orders" => expect![[r#"1:16: column "x" has no type (write CAST(NULL AS BIGINT)) [E0205]"#]];
    nested_too_deep: &format!("SELECT {}1{} AS x FROM orders", "(".repeat(200), ")".repeat(200)) => expect!["1:1: the query is nested more than 100 deep [E0224]"];
    expression_too_deep: &format!("SELECT id FROM orders WHERE id = 0{}", " OR id = 1".repeat(500)) => expect!["1:1: an expression is nested more than 256 deep (a long chain of OR can be written with IN) [E0224]"];
    text_too_long: &format!("SELECT id FROM orders WHERE country = '{}'", "x".repeat(70_000)) => expect!["1:1: the SQL has 70040 bytes, at most 65536 are allowed [E0224]"];
}

#[test]
fn codes_are_unique_and_ascending() {
    let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    let sorted: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>());
}

#[test]
fn refusal_says_where_the_offending_text_ends() {
    let refusals = plan("SELECT id,\n  amonut FROM orders", &tables()).expect_err("the column is misspelt");
    let [refusal] = refusals.as_slice() else { panic!("one refusal expected") };
    assert_eq!((refusal.line, refusal.column, refusal.end), (2, 3, Some((2, 9))));
    assert_eq!(refusal.title(), "unknown column");
}
