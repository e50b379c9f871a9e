//! What queries are refused, and what is said of it.

use expect_test::expect;

use super::*;

#[test]
fn nothing_but_reading_is_allowed() {
    for sql in [
        "CREATE TABLE x (a INT)",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE x AS SELECT * FROM revenue",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "COPY revenue TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.csv' STORED AS CSV",
        "INSERT INTO revenue SELECT * FROM revenue",
        "UPDATE revenue SET orders = 1",
        "DELETE FROM revenue",
        "DROP TABLE revenue",
        "TRUNCATE TABLE revenue",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "SHOW datafusion.execution.batch_size",
        "SHOW FUNCTIONS",
        "SHOW CREATE TABLE revenue",
        "SHOW TABLES LIKE 'x'",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "USE weir",
        "ATTACH DATABASE 'x' AS y",
        "EXPLAIN INSERT INTO revenue SELECT * FROM revenue",
        "EXPLAIN COPY revenue TO '/tmp/x.csv'",
        "SELECT 1; SELECT 2",
        "SELECT * INTO x FROM revenue",
        "WITH x AS (INSERT INTO revenue SELECT * FROM revenue) SELECT * FROM x",
        "",
        ";",
        "-- nothing",
    ] {
        let fault = answer(sql, Format::Json).expect_err(sql);
        assert_eq!(fault.problem().status, 400, "{sql}: {fault}");
        assert!(fault.problem().hint.is_some() || fault.problem().code() == Some("E0301"), "{sql}: {fault}");
    }
}

#[test]
fn files_urls_and_settings_are_no_tables() {
    for sql in [
        "SELECT * FROM 'file.csv'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SELECT * FROM \"s3://bucket/x.json\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM weir.information_schema.tables",
        "SELECT * FROM datafusion.public.revenue",
    ] {
        let fault = answer(sql, Format::Json).expect_err(sql);
        assert_eq!(fault.problem().status, 400, "{sql}: {fault}");
    }
    answer("SELECT * FROM weir.public.revenue", Format::Json).expect("the qualified name of a table");
}

#[test]
fn faults_say_what_where_and_what_was_meant() {
    check_fault(
        "SELECT contry FROM revenue",
        &expect![[r#"400 no column "contry" (did you mean "country"?) at 1:8 [E0301]"#]],
    );
    check_fault(
        "SELECT\n  r.ordrs\nFROM revenue r",
        &expect![[r#"400 no column "ordrs" (did you mean "orders"?) at 2:3 [E0301]"#]],
    );
    check_fault(
        "SELECT * FROM revenu",
        &expect![[r#"400 no table "revenu" (did you mean "revenue"?) at 1:15 [E0301]"#]],
    );
    check_fault(
        "SELECT * FROM pipelines",
        &expect![[r#"400 no table "pipelines" (did you mean "weir.pipelines"?) at 1:15 [E0301]"#]],
    );
    check_fault(
        "SELECT * FROM orders",
        &expect![[
            r#"400 no table "orders" (it is a source, which pipelines read: ask for the result of one, such as "revenue") at 1:15 [E0301]"#
        ]],
    );
    for sql in ["DESCRIBE revenu", "SHOW COLUMNS FROM revenu", "SELECT * FROM main.public.revenu"] {
        let fault = answer(sql, Format::Json).expect_err(sql);
        assert_eq!(fault.problem().hint.as_deref(), Some("did you mean \"revenue\"?"), "{sql}: {fault}");
    }
    check_fault(
        "DESCRIBE system.pipelins",
        &expect![[r#"400 no table "system.pipelins" (did you mean "weir.pipelines"?) at 1:10 [E0301]"#]],
    );
    check_fault(
        "SELECT 1 FROM revenue JOIN shop.revenue AS other ON true",
        &expect![[r#"400 no table "shop.revenue" (did you mean "revenue"?) at 1:28 [E0301]"#]],
    );
    check_fault(
        "SELECT * FROM 'file.csv'",
        &expect![[
            r#"400 no table "file.csv" (SHOW TABLES lists the tables; files and URLs can't be read) at 1:16 [E0301]"#
        ]],
    );
    check_fault(
        "SELECT country FORM revenue",
        &expect![
            "400 expected: end of statement, found: revenue (did you mean FROM instead of FORM?) at 1:21 [E0301]"
        ],
    );
    check_fault(
        "SELECT * FROM revenue WHRE orders = 1",
        &expect![
            "400 expected: end of statement, found: orders (did you mean WHERE instead of WHRE?) at 1:28 [E0301]"
        ],
    );
    check_fault(
        "SELECT orders FROM revenue WHERE country = DE",
        &expect![[
            r#"400 no column "de" (columns: window_end, country, orders, _final; a text stands in single quotes: 'DE') at 1:44 [E0301]"#
        ]],
    );
    check_fault(
        "SELECT * FROM information_schema.tables",
        &expect![[
            r#"400 no table "information_schema.tables" (SHOW TABLES lists the tables, weir.columns has their columns) at 1:15 [E0301]"#
        ]],
    );
    check_fault(
        "SELEC 1",
        &expect![
            "400 expected: an SQL statement, found: SELEC (did you mean SELECT instead of SELEC?) at 1:1 [E0301]"
        ],
    );
    check_fault("SELECT count(orders FROM revenue", &expect!["400 expected: ), found: FROM at 1:21 [E0301]"]);
    check_fault("SELECT 'open", &expect!["400 unterminated string literal at 1:8 [E0301]"]);
    check_fault(
        "SELECT cout(orders) FROM revenue",
        &expect![[r#"400 invalid function 'cout' (did you mean "cot"?) at 1:8 [E0301]"#]],
    );
    check_fault(
        "SELECT country, sum(orders) FROM revenue",
        &expect![[
            r#"400 column "revenue.country" is neither in GROUP BY nor inside an aggregate function (add it to GROUP BY, or take max() or another aggregate of it) at 1:8 [E0301]"#
        ]],
    );
    check_fault(
        "SELECT country + 1 FROM revenue WHERE country > DATE '2026-01-01'",
        &expect!["400 cannot coerce arithmetic expression VARCHAR + BIGINT to valid types at 1:8 [E0301]"],
    );
    check_fault(
        "SELECT a.country, b.country FROM revenue a JOIN revenue b ON a.country = b.country",
        &expect![[r#"400 column "country" appears twice (rename one with AS) [E0301]"#]],
    );
    check_fault(
        "SELECT country FROM revenue a JOIN revenue b ON a.country = b.country",
        &expect![[
            r#"400 column "country" is in several tables (write the table's name before it) at 1:8 [E0301]"#
        ]],
    );
    check_fault(
        "SELECT * FROM audit",
        &expect![[r#"400 pipeline "audit" keeps no result table (its retention is 0s) [E0301]"#]],
    );
    check_fault(
        "SELECT * FROM starting",
        &expect![[r#"503 table "starting" is not ready: it is starting [E0307]"#]],
    );
    check_fault(
        "SELECT 1; DROP TABLE revenue",
        &expect!["400 the request has 2 statements (send them one by one) [E0302]"],
    );
    check_fault(
        "DELETE FROM revenue",
        &expect![
            "400 DELETE is not allowed: queries only read (send one SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE) [E0302]"
        ],
    );
}

#[test]
fn failures_on_the_data_are_422() {
    check_fault(
        "SELECT orders / 0 FROM revenue",
        &expect![
            "422 divide by zero error (divide by nullif(x, 0): the result is null where x is 0) at 1:15 [E0303]"
        ],
    );
    check_fault(
        "SELECT 1 / 1, orders / 0 FROM revenue",
        &expect![
            "422 divide by zero error (divide by nullif(x, 0): the result is null where x is 0) [E0303]"
        ],
    );
    check_fault(
        "SELECT orders / (orders - 10) FROM revenue",
        &expect![
            "422 divide by zero error (divide by nullif(x, 0): the result is null where x is 0) at 1:15 [E0303]"
        ],
    );
    check_fault(
        "SELECT CAST(country AS INT) FROM revenue",
        &expect![
            "422 cast error: Cannot cast string 'DE' to value of INT type (try_cast(x AS type) gives null for what has no value of that type) [E0303]"
        ],
    );
    // A function that panics.
    for function in ["lpad", "rpad"] {
        check_fault(
            &format!("SELECT {function}(country, -orders, 'x') FROM revenue"),
            &expect![
                "422 one of its functions does not take what it was given (the server's log says which; leave such rows out by a WHERE, or take another function) [E0303]"
            ],
        );
    }
}
