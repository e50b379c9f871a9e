//! What expressions give, and that nothing wraps.

use expect_test::expect;

use super::*;

#[test]
fn sum_that_does_not_fit_fails_and_one_that_comes_back_into_range_does_not() {
    let sum = |twelve: i64| {
        format!("sum(CASE orders WHEN 10 THEN 9223372036854775807 WHEN 12 THEN {twelve} ELSE 0 END)")
    };
    for sql in [
        format!("SELECT {} AS s FROM revenue", sum(1)),
        format!("SELECT country, {} AS s FROM revenue GROUP BY country", sum(1)),
        format!("SELECT {} OVER (ORDER BY orders) AS s FROM revenue", sum(1)),
        "SELECT sum(CAST('90000000000000000000000000000000000000' AS DECIMAL(38, 0))) AS s FROM revenue"
            .to_owned(),
    ] {
        let fault = answer(&sql, Format::Json).expect_err(&sql);
        assert_eq!(fault.problem().status, 422, "{sql}: {fault}");
    }
    check(
        &format!("SELECT {} AS s, sum(DISTINCT orders) AS d FROM revenue WHERE orders < 13", sum(-7)),
        Format::Csv,
        &expect![[r#"
            s,d
            9223372036854775800,33
        "#]],
    );
}

#[test]
fn equal_values_count_once_in_a_frame_that_moves() {
    check(
        "SELECT i, sum(DISTINCT i % 3) OVER w AS few, sum(DISTINCT CAST(i % 2 AS DECIMAL(4, 1))) OVER w AS fewer, \
         sum(DISTINCT nullif(i, 3)) OVER w AS some FROM generate_series(1, 6) AS t(i) \
         WINDOW w AS (ORDER BY i ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)",
        Format::Csv,
        &expect![[r#"
            i,few,fewer,some
            1,1,1.0,1
            2,3,1.0,3
            3,3,1.0,3
            4,3,1.0,7
            5,3,1.0,11
            6,3,1.0,15
        "#]],
    );
    check_fault(
        "SELECT sum(DISTINCT 9223372036854775807 - i % 2) OVER (ORDER BY i ROWS 1 PRECEDING) AS s \
         FROM generate_series(1, 3) AS t(i)",
        &expect![
            "422 cast error: value of 18446744073709551613 is out of range BIGINT (try_cast(x AS type) gives null for what has no value of that type) [E0303]"
        ],
    );
}

#[test]
fn dates_times_and_intervals_do_not_wrap() {
    for expr in [
        "window_end + CAST(concat(orders * 200000, ' years') AS INTERVAL)",
        "CAST(window_end AS DATE) + CAST(concat(orders * 200000, ' years') AS INTERVAL)",
        "TIME '23:30:00' + CAST(concat(orders * 10, ' minutes') AS INTERVAL)",
        "TIME '23:30:00' - CAST(concat(orders, ' days') AS INTERVAL)",
        "CAST(concat(orders * 2000000000, ' months') AS INTERVAL) < INTERVAL '1 day'",
        "date_bin(INTERVAL '1 hour', window_end + CAST(concat(orders * 100, ' years') AS INTERVAL))",
        "CAST(CAST(window_end AS DATE) + INTERVAL '300 years' AS TIMESTAMP)",
    ] {
        let sql = format!("SELECT {expr} AS x FROM revenue");
        let fault = answer(&sql, Format::Json).expect_err(&sql);
        assert_eq!(fault.problem().status, 422, "{sql}: {fault}");
    }
    let sql =
        "SELECT TIME '23:30:00' - CAST(concat(max(orders) * 10, ' minutes') AS INTERVAL) AS x FROM revenue";
    assert_eq!(answer(sql, Format::Csv).expect("a time of the same day"), "x\n21:20:00.000000000\n");
}

#[test]
fn casts_of_one_column_are_different_columns() {
    check(
        "SELECT sum(CAST(orders AS SMALLINT)) AS a, sum(orders) AS b, sum(TRY_CAST(orders AS INT)) AS c FROM revenue \
         GROUP BY CAST(orders AS INT) % 2 ORDER BY CAST(orders AS INT) % 2",
        Format::Csv,
        &expect![[r#"
            a,b,c
            22,22,22
            24,24,24
        "#]],
    );
}

#[test]
fn now_is_one_moment_in_utc() {
    let sql = "SELECT now() = now() AS once, arrow_typeof(now()) AS kind, \
               now() > TIMESTAMP '2024-01-01T00:00:00Z' AS past, window_end > now() - INTERVAL '1' MINUTE AS young \
               FROM revenue ORDER BY orders LIMIT 1";
    let answer = answer(sql, Format::Csv).expect("a row");
    assert!(
        answer.lines().nth(1).is_some_and(|row| row.starts_with("true,") && row.contains("true,")),
        "{answer}"
    );
}
