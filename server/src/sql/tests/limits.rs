//! Memory, time and depth of queries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use proptest::prelude::*;

use super::*;

#[test]
fn memory_is_limited() {
    let sql = "SELECT v * 7 % 10000019 AS k, count(*) AS n FROM generate_series(1, 100000000) AS t(v) GROUP BY k ORDER BY n LIMIT 1";
    check_fault(
        sql,
        &expect![
            "422 the query needs more than the 8 MiB that one query may use (group by fewer values, select fewer rows, or add a WHERE on the time column) [E0304]"
        ],
    );
    let mut doubled = "SELECT repeat('x', 30000) AS x".to_owned();
    for _ in 0..18 {
        doubled = format!("SELECT x || x AS x FROM ({doubled})");
    }
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT lpad('x', 2000000000)",
        "SELECT rpad('x', 2000000000, 'ab')",
        "SELECT range(1, 10000000000)",
        "SELECT generate_series(10000000000, 1, -1)",
        "SELECT array_repeat('x', 2000000000)",
        "SELECT array_resize([1], 2000000000)",
        "SELECT list_repeat(1, 2000000000)",
        "SELECT * FROM generate_series(1, length(repeat('x', 2000000000)))",
        "SELECT range(DATE '2000-01-01', DATE '9000-01-01', INTERVAL '1' DAY)",
        // Of allowed size once, far too large in every row of a batch.
        "SELECT range(0, 100000) AS x, value FROM generate_series(1, 8000)",
        "SELECT repeat('x', 1000000) AS x, value FROM generate_series(1, 8000)",
        "SELECT replace(repeat('a', 100000), 'a', repeat('b', 100000))",
        "SELECT regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
        "SELECT concat(x, x, x, x) FROM (SELECT repeat('x', 20000000) AS x)",
        "SELECT [x, x, x, x] || [x] FROM (SELECT repeat('x', 20000000) AS x)",
        &doubled,
        "SELECT 9223372036854775807 + 1",
        "SELECT -value FROM (SELECT value - 9223372036854775807 - 2 AS value FROM generate_series(1, 2))",
        "SELECT value * 9223372036854775807 FROM generate_series(2, 3)",
        "SELECT (SELECT value * 9223372036854775807 FROM generate_series(2, 2))",
        "SELECT value << 63 FROM generate_series(1, 2)",
        "SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38)) + value FROM generate_series(1, 2)",
    ] {
        let Err(fault) = answer(sql, Format::Json) else { panic!("answered: {sql}") };
        assert!(matches!(fault.problem().status, 400 | 422), "{sql}: {fault}");
    }
    let sql = "SELECT value * 2 AS value FROM (SELECT value * 2 AS value FROM \
               (SELECT value * 2 AS value FROM generate_series(1, 1)) WHERE value > 1)";
    assert_eq!(answer(sql, Format::Csv).expect("no projection is lost"), "value\n8\n");
    answer(
        "SELECT repeat('ab', 3) AS a, lpad('7', 3, '0') AS b, range(1, 4) AS c, array_repeat(1, 2) AS d, \
         replace('a,b', ',', '; ') AS e, concat('a', 1) AS f, unnest(range(1, 3)) AS g",
        Format::Json,
    )
    .expect("small results");
    answer(
        "SELECT concat(country, '!') AS c, count(*) AS n FROM revenue \
         GROUP BY concat(country, '!') ORDER BY concat(country, '!')",
        Format::Json,
    )
    .expect("grouped by a result");
}

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 3";
/// One batch of the one side has billions of rows with the other.
const ENDLESS_JOIN: &str =
    "SELECT count(*) FROM generate_series(1, 200000) a(x), generate_series(1, 1000000) b(y)
WHERE x * y % 7 < 6";

/// Compares as many rows as it likes and finds nothing.
const ENDLESS_SEARCH: &str =
    "SELECT count(*) FROM generate_series(1, 20000) a(x), generate_series(1, 20000) b(y) WHERE x * y = -3";
/// As [`ENDLESS_SEARCH`], among rows of one key.
const ENDLESS_KEY: &str =
    "SELECT count(*) FROM (SELECT x, x / 100000 AS k FROM generate_series(1, 20000) a(x)) a
JOIN (SELECT y, y / 100000 AS k FROM generate_series(1, 20000) b(y)) b ON a.k = b.k AND a.x * b.y = -3";
/// Looks for each row at all rows of its key, and makes one row at most.
const ENDLESS_IN: &str = "SELECT count(*) FROM (SELECT x / 100000 AS k FROM generate_series(1, 50000) a(x)) a
WHERE k IN (SELECT y / 100000 FROM generate_series(1, 50000) b(y))";

/// How soon a query that was left has gone: a second, even so slow as a debug build is. Without what [`yielding`] does
/// it takes many times as long.
const MAKES_ROOM: Duration = Duration::from_secs(3);

#[test]
fn time_is_limited() {
    let started = Instant::now();
    let fault =
        answer_within(limits(), ENDLESS, Duration::from_millis(200), Format::Json).expect_err("endless");
    assert_eq!(fault.problem().status, 503);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn abandoned_queries_make_room_for_others() {
    for endless in [ENDLESS, ENDLESS_JOIN, ENDLESS_SEARCH, ENDLESS_KEY, ENDLESS_IN] {
        assert_makes_room(endless);
    }
}

fn assert_makes_room(sql: &str) {
    // With one thread: nobody else can answer before it has let go of it.
    let queries = Queries::new(Limits { running_max: 1, threads: 1, ..limits() }).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let endless = queries.run(views(), sql.to_owned(), None, Format::Json);
        tokio::time::timeout(Duration::from_millis(200), endless).await.expect_err(sql);
        // Dropped: its place and its threads become free as soon as it notices.
        let left = Instant::now();
        while let Err(fault) = queries.run(views(), "SELECT 1".to_owned(), None, Format::Json).await {
            assert_eq!(fault.problem().status, 429, "{fault} after {:?}: {sql}", left.elapsed());
            assert!(left.elapsed() < MAKES_ROOM, "its place did not become free: {sql}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(left.elapsed() < MAKES_ROOM, "{:?}: {sql}", left.elapsed());
    });
}

/// None of these may take the process down: a stack overflow is no panic that could be caught.
#[test]
fn deep_texts_are_answered_or_refused() {
    let n = 100_000;
    let deep = [
        format!("SELECT {}1", "(".repeat(n)),
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT 1{}", "+1".repeat(n)),
        format!("SELECT 1{}", "+1".repeat(900)),
        format!("SELECT true{}", " AND true".repeat(900)),
        format!("SELECT orders FROM revenue WHERE orders = 0{}", " OR orders = 1".repeat(450)),
        format!("SELECT {}true", "NOT ".repeat(n)),
        format!("SELECT {}true", "NOT ".repeat(900)),
        format!("SELECT {}1", "- ".repeat(900)),
        format!("SELECT {}1", "-".repeat(n)),
        format!("SELECT 1{}", "::int".repeat(900)),
        format!("SELECT a{}", ".b".repeat(n / 100)),
        format!("SELECT [1]{}", "[1]".repeat(900)),
        format!("SELECT {}{}", "[".repeat(n), "]".repeat(n)),
        format!("SELECT {}1", "CASE WHEN ".repeat(900)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(450)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(300)),
        format!("SELECT * FROM {}revenue{}", "(SELECT * FROM ".repeat(900), ")".repeat(900)),
        format!("SELECT * FROM {}revenue{}", "(SELECT * FROM ".repeat(40), ")".repeat(40)),
        format!("SELECT 1 FROM revenue{}", " NATURAL JOIN revenue".repeat(900)),
        format!("SELECT 1 FROM revenue{}", ", revenue".repeat(3_000)),
        format!("SELECT {}1{}", "abs(".repeat(900), ")".repeat(900)),
        format!("SELECT {}1{}", "abs(".repeat(30), ")".repeat(30)),
        format!("SELECT 1 IN (1{})", ",1".repeat(3_000)),
        format!("SELECT '1'{}", " COLLATE x".repeat(900)),
        format!("SELECT {}'1' DAY", "INTERVAL ".repeat(900)),
        format!(
            "WITH {} SELECT 1",
            (0..500).map(|i| format!("t{i} AS (SELECT 1)")).collect::<Vec<_>>().join(",")
        ),
        format!("SELECT {}", "x".repeat(300_000)),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t LIMIT 3"
            .to_owned(),
        "SELECT \u{0}".to_owned(),
        "SELECT '\u{1F600}', \"\u{1F600}\" FROM".to_owned(),
    ];
    let queries = Arc::new(Queries::new(limits()).expect("threads"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for sql in deep {
        let result =
            runtime.block_on(queries.run(views(), sql.clone(), Some(Duration::from_secs(20)), Format::Json));
        if let Err(fault) = result {
            let shown: String = sql.chars().take(60).collect();
            assert!(matches!(fault.problem().status, 400 | 422 | 503), "{shown}: {fault}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_parsed_or_refused(words in proptest::collection::vec(
        prop_oneof![
            Just("SELECT"), Just("FROM"), Just("revenue"), Just("WHERE"), Just("("), Just(")"), Just(","), Just("*"),
            Just("GROUP BY"), Just("'"), Just("\""), Just("1"), Just("-"), Just(";"), Just("/*"), Just("--"), Just("$$"),
            Just("INSERT"), Just("EXPLAIN"), Just("SHOW"), Just("TABLES"), Just("COPY"), Just("TO"), Just("WITH"),
            Just("AS"), Just("\u{e9}"), Just("\n"), Just("E'\\"), Just("U&'\\"), Just("ORDER BY"), Just("::"), Just("."),
        ],
        0..12,
    )) {
        match statement::parse(&words.join(" ")) {
            Ok(_) => {}
            Err(fault) => prop_assert_eq!(fault.problem().status, 400),
        }
    }
}
