//! What queries answer, what they are refused, and what they cannot do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::catalog::PipelineView;
use crate::testing::{RevenueRow, revenue, view};

fn views() -> Vec<PipelineView> {
    let rows: Vec<RevenueRow> = (0..4_i64)
        .map(|i| {
            (
                1_795_348_800_000 + 10_000 * (i / 2),
                ["DE", "FR"][usize::try_from(i % 2).expect("0 or 1")].into(),
                10 + i,
                i < 2,
            )
        })
        .collect();
    let mut unretained = view("audit", Some(revenue(1, None, true, &[])));
    unretained.retained = false;
    vec![
        unretained,
        view("revenue", Some(revenue(812, Some(1_795_348_805_000), true, &rows))),
        view("starting", None),
    ]
}

fn limits() -> Limits {
    Limits { memory_query_bytes: 8 << 20, memory_total_bytes: 16 << 20, ..Limits::default() }
}

fn answer_within(limits: Limits, sql: &str, timeout: Duration, format: Format) -> Result<String, Fault> {
    let queries = Queries::new(limits).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut answer = queries.run(views(), sql.to_owned(), Some(timeout), format).await?;
        let mut text = Vec::new();
        while let Some(bytes) = answer.next().await? {
            text.extend_from_slice(&bytes);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    })
}

fn answer(sql: &str, format: Format) -> Result<String, Fault> {
    answer_within(limits(), sql, Duration::from_secs(30), format)
}

fn check(sql: &str, format: Format, expected: &Expect) {
    let text = answer(sql, format).unwrap_or_else(|fault| fault.to_string());
    let text = text.split(",\"elapsed_ms\"").next().unwrap_or_default();
    expected.assert_eq(text);
}

/// The status and text of the fault.
fn check_fault(sql: &str, expected: &Expect) {
    let fault = answer(sql, Format::Json).expect_err(sql);
    expected.assert_eq(&format!("{} {fault}", fault.problem().status));
}

#[test]
fn json_answer_names_types_and_epochs() {
    check(
        "SELECT * FROM revenue ORDER BY orders LIMIT 1",
        Format::Json,
        &expect![[
            r#"{"columns":[{"name":"window_end","type":"TIMESTAMP(3) WITH TIME ZONE","nullable":false},{"name":"country","type":"VARCHAR","nullable":false},{"name":"orders","type":"BIGINT","nullable":false},{"name":"_final","type":"BOOLEAN","nullable":false}],"rows":[["2026-11-22T12:00:00.000Z","DE",10,true]],"row_count":1,"truncated":false,"epochs":{"revenue":812}"#
        ]],
    );
    check(
        "SELECT name, state, lag FROM (SELECT p.name, p.state, sum(q.lag_records) AS lag FROM weir.pipelines p JOIN weir.partitions q ON p.name = q.pipeline GROUP BY p.name, p.state) x ORDER BY name",
        Format::Json,
        &expect![[
            r#"{"columns":[{"name":"name","type":"VARCHAR","nullable":false},{"name":"state","type":"VARCHAR","nullable":false},{"name":"lag","type":"BIGINT","nullable":true}],"rows":[["audit","running",10],["revenue","running",10]],"row_count":2,"truncated":false,"epochs":{}"#
        ]],
    );
}

#[test]
fn the_documentation_has_every_column_of_the_system_tables() {
    let page = include_str!("../../../docs/http.md");
    for name in system::NAMES {
        let (_, section) =
            page.split_once(&format!("**`weir.{name}`**")).unwrap_or_else(|| panic!("no {name}"));
        let section = section.split("**`weir.").next().unwrap_or_default();
        let described = answer(&format!("DESCRIBE weir.{name}"), Format::Csv).expect("a system table");
        for line in described.lines().skip(1) {
            let column = line.split(',').next().unwrap_or_default();
            assert!(section.contains(&format!("`{column}`")), "{name}.{column}");
        }
    }
}

#[test]
fn the_queries_of_the_documentation_are_answered() {
    let page = include_str!("../../../docs/sql.md");
    let queries: Vec<&str> =
        page.split("```sql query\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(!queries.is_empty());
    for sql in queries {
        answer(sql, Format::Json).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    }
}

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
fn other_formats_hold_the_same_rows() {
    let sql =
        "SELECT country, orders, CASE WHEN _final THEN '' END AS mark FROM revenue ORDER BY orders LIMIT 3";
    check(
        sql,
        Format::Csv,
        &expect![[r#"
        country,orders,mark
        DE,10,""
        FR,11,""
        DE,12,
    "#]],
    );
    check(
        sql,
        Format::Ndjson,
        &expect![[r#"
        {"country":"DE","orders":10,"mark":""}
        {"country":"FR","orders":11,"mark":""}
        {"country":"DE","orders":12,"mark":null}
    "#]],
    );
    check(
        sql,
        Format::Table,
        &expect![[r#"
         country | orders | mark
        ---------+--------+------
         DE      |     10 |
         FR      |     11 |
         DE      |     12 | NULL
        (3 rows)
    "#]],
    );
}

#[test]
fn arrow_stream_reads_back() {
    let queries = Queries::new(limits()).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let bytes = runtime.block_on(async {
        let sql = "SELECT orders FROM revenue ORDER BY orders".to_owned();
        let mut answer = queries.run(views(), sql, None, Format::Arrow).await.expect("a valid query");
        let mut all = Vec::new();
        while let Some(bytes) = answer.next().await.expect("rows") {
            all.extend_from_slice(&bytes);
        }
        all
    });
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("a schema");
    let rows: usize = reader.map(|batch| batch.expect("a batch").num_rows()).sum();
    assert_eq!(rows, 4);
}

#[test]
fn tables_are_listed_and_described() {
    check(
        "SHOW TABLES",
        Format::Csv,
        &expect![[r#"
        table_schema,table_name
        public,revenue
        public,starting
        weir,pipelines
        weir,operators
        weir,partitions
        weir,epochs
        weir,floors
        weir,schemas
        weir,dead_letters
        weir,sinks
        weir,columns
    "#]],
    );
    check(
        "DESCRIBE revenue",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        window_end,TIMESTAMP(3) WITH TIME ZONE,false
        country,VARCHAR,false
        orders,BIGINT,false
        _final,BOOLEAN,false
    "#]],
    );
    check(
        "show columns from weir.sinks",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        sink,VARCHAR,false
        pipeline,VARCHAR,false
        state,VARCHAR,false
        outbox_rows,BIGINT,false
        outbox_bytes,BIGINT,false
        delivered_epoch,BIGINT,false
        error,VARCHAR,true
    "#]],
    );
    check(
        "SELECT * FROM weir.columns",
        Format::Csv,
        &expect![[r#"
            source,position,name,type,nullable,subject,version,since_version,kind,table_name
            orders,1,country,VARCHAR,false,shop.orders-value,3,3,source,orders
            orders,2,ordered_at,TIMESTAMP(3) WITH TIME ZONE,false,shop.orders-value,3,3,source,orders
            ,1,window_end,TIMESTAMP(3) WITH TIME ZONE,false,,,,result,revenue
            ,2,country,VARCHAR,false,,,,result,revenue
            ,3,orders,BIGINT,false,,,,result,revenue
            ,4,_final,BOOLEAN,false,,,,result,revenue
            ,1,name,VARCHAR,false,,,,system,weir.pipelines
            ,2,state,VARCHAR,false,,,,system,weir.pipelines
            ,3,epoch,BIGINT,false,,,,system,weir.pipelines
            ,4,committed_at,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.pipelines
            ,5,watermark,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.pipelines
            ,6,rows_in,BIGINT,false,,,,system,weir.pipelines
            ,7,rows_out,BIGINT,false,,,,system,weir.pipelines
            ,8,late_rows,BIGINT,false,,,,system,weir.pipelines
            ,9,tombstones,BIGINT,false,,,,system,weir.pipelines
            ,10,dead_letters,BIGINT,false,,,,system,weir.pipelines
            ,11,error,VARCHAR,true,,,,system,weir.pipelines
            ,12,lost_records,BIGINT,false,,,,system,weir.pipelines
            ,13,dead_letters_replayed,BIGINT,false,,,,system,weir.pipelines
            ,14,dead_letters_expired,BIGINT,false,,,,system,weir.pipelines
            ,1,pipeline,VARCHAR,false,,,,system,weir.operators
            ,2,operator,VARCHAR,false,,,,system,weir.operators
            ,3,kind,VARCHAR,false,,,,system,weir.operators
            ,4,subtask,INT,false,,,,system,weir.operators
            ,5,rows_in,BIGINT,false,,,,system,weir.operators
            ,6,rows_out,BIGINT,false,,,,system,weir.operators
            ,7,busy_ratio,DOUBLE,false,,,,system,weir.operators
            ,8,blocked_ratio,DOUBLE,false,,,,system,weir.operators
            ,9,state_bytes,BIGINT,false,,,,system,weir.operators
            ,1,pipeline,VARCHAR,false,,,,system,weir.partitions
            ,2,source,VARCHAR,false,,,,system,weir.partitions
            ,3,topic,VARCHAR,false,,,,system,weir.partitions
            ,4,partition,INT,false,,,,system,weir.partitions
            ,5,next_offset,BIGINT,false,,,,system,weir.partitions
            ,6,end_offset,BIGINT,true,,,,system,weir.partitions
            ,7,lag_records,BIGINT,true,,,,system,weir.partitions
            ,8,watermark,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.partitions
            ,9,idle,BOOLEAN,false,,,,system,weir.partitions
            ,1,pipeline,VARCHAR,false,,,,system,weir.epochs
            ,2,epoch,BIGINT,false,,,,system,weir.epochs
            ,3,committed_at,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.epochs
            ,4,duration_ms,DOUBLE,false,,,,system,weir.epochs
            ,5,rows_in,BIGINT,false,,,,system,weir.epochs
            ,6,bytes_written,BIGINT,false,,,,system,weir.epochs
            ,1,pipeline,VARCHAR,false,,,,system,weir.floors
            ,2,epoch,BIGINT,false,,,,system,weir.floors
            ,3,source,VARCHAR,false,,,,system,weir.floors
            ,4,topic,VARCHAR,false,,,,system,weir.floors
            ,5,partition,INT,false,,,,system,weir.floors
            ,6,next_offset,BIGINT,false,,,,system,weir.floors
            ,7,floor,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.floors
            ,1,source,VARCHAR,false,,,,system,weir.schemas
            ,2,schema_id,BIGINT,false,,,,system,weir.schemas
            ,3,subject,VARCHAR,true,,,,system,weir.schemas
            ,4,version,BIGINT,true,,,,system,weir.schemas
            ,5,partition,INT,false,,,,system,weir.schemas
            ,6,first_offset,BIGINT,false,,,,system,weir.schemas
            ,7,compatible,BOOLEAN,false,,,,system,weir.schemas
            ,8,detail,VARCHAR,false,,,,system,weir.schemas
            ,9,pipeline,VARCHAR,false,,,,system,weir.schemas
            ,1,pipeline,VARCHAR,false,,,,system,weir.dead_letters
            ,2,source,VARCHAR,false,,,,system,weir.dead_letters
            ,3,topic,VARCHAR,false,,,,system,weir.dead_letters
            ,4,partition,INT,true,,,,system,weir.dead_letters
            ,5,offset,BIGINT,true,,,,system,weir.dead_letters
            ,6,record_time,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,7,schema_id,BIGINT,true,,,,system,weir.dead_letters
            ,8,reason,VARCHAR,false,,,,system,weir.dead_letters
            ,9,detail,VARCHAR,false,,,,system,weir.dead_letters
            ,10,key,VARBINARY,true,,,,system,weir.dead_letters
            ,11,payload,VARBINARY,true,,,,system,weir.dead_letters
            ,12,epoch,BIGINT,false,,,,system,weir.dead_letters
            ,13,headers,"MAP<VARCHAR, VARBINARY>",true,,,,system,weir.dead_letters
            ,14,operator,VARCHAR,true,,,,system,weir.dead_letters
            ,15,replays,BIGINT,false,,,,system,weir.dead_letters
            ,16,window_start,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,17,window_end,TIMESTAMP(3) WITH TIME ZONE,true,,,,system,weir.dead_letters
            ,1,sink,VARCHAR,false,,,,system,weir.sinks
            ,2,pipeline,VARCHAR,false,,,,system,weir.sinks
            ,3,state,VARCHAR,false,,,,system,weir.sinks
            ,4,outbox_rows,BIGINT,false,,,,system,weir.sinks
            ,5,outbox_bytes,BIGINT,false,,,,system,weir.sinks
            ,6,delivered_epoch,BIGINT,false,,,,system,weir.sinks
            ,7,error,VARCHAR,true,,,,system,weir.sinks
            ,1,source,VARCHAR,true,,,,system,weir.columns
            ,2,position,INT,false,,,,system,weir.columns
            ,3,name,VARCHAR,false,,,,system,weir.columns
            ,4,type,VARCHAR,false,,,,system,weir.columns
            ,5,nullable,BOOLEAN,false,,,,system,weir.columns
            ,6,subject,VARCHAR,true,,,,system,weir.columns
            ,7,version,BIGINT,true,,,,system,weir.columns
            ,8,since_version,BIGINT,true,,,,system,weir.columns
            ,9,kind,VARCHAR,false,,,,system,weir.columns
            ,10,table_name,VARCHAR,false,,,,system,weir.columns
        "#]],
    );
    check(
        "DESCRIBE orders",
        Format::Csv,
        &expect![[r#"
        column_name,data_type,is_nullable
        country,VARCHAR,false
        ordered_at,TIMESTAMP(3) WITH TIME ZONE,false
    "#]],
    );
    check(
        "DESCRIBE weir.dead_letters",
        Format::Csv,
        &expect![[r#"
            column_name,data_type,is_nullable
            pipeline,VARCHAR,true
            source,VARCHAR,true
            topic,VARCHAR,true
            partition,INT,true
            offset,BIGINT,true
            record_time,TIMESTAMP(3) WITH TIME ZONE,true
            schema_id,BIGINT,true
            reason,VARCHAR,true
            detail,VARCHAR,true
            key,VARBINARY,true
            payload,VARBINARY,true
            epoch,BIGINT,true
        "#]],
    );
    for (name, sql) in system::NAMES.map(|name| (name, format!("SELECT * FROM weir.{name}"))) {
        answer(&sql, Format::Csv).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    check(
        "SELECT * FROM weir.dead_letters WHERE pipeline = 'revenue'",
        Format::Csv,
        &expect![[r#"
        pipeline,source,topic,partition,offset,record_time,schema_id,reason,detail,key,payload,epoch
        revenue,orders,shop.orders,0,17,1970-01-01T00:00:01.000Z,,bad_framing,no magic byte,,eA==,3
    "#]],
    );
    check(
        "SELECT * FROM weir.epochs WHERE epoch > 810",
        Format::Csv,
        &expect![[r#"
        pipeline,epoch,committed_at,duration_ms,rows_in,bytes_written
        revenue,811,1970-01-01T00:13:31.000Z,4.0,10,100
        revenue,812,1970-01-01T00:13:32.000Z,4.0,10,100
    "#]],
    );
    check(
        "SELECT * FROM weir.pipelines",
        Format::Csv,
        &expect![[r#"
        name,state,epoch,committed_at,watermark,rows_in,rows_out,late_rows,tombstones,dead_letters,error,lost_records,dead_letters_replayed,dead_letters_expired
        audit,running,1,2026-11-22T12:00:00.250Z,,90,5,1,2,3,,0,1,0
        revenue,running,812,2026-11-22T12:00:00.250Z,2026-11-22T12:00:05.000Z,90,5,1,2,3,,0,1,0
        starting,running,0,,,0,0,0,0,0,,0,0,0
    "#]],
    );
}

#[test]
fn columns_of_system_tables_need_no_quotes() {
    for sql in [
        "SELECT pipeline, source, topic, partition, offset, record_time, schema_id, reason, detail, key, payload, epoch \
         FROM weir.dead_letters ORDER BY partition, offset LIMIT 5 OFFSET 0",
        "SELECT count(*) AS n, offset FROM weir.dead_letters WHERE partition = 0 AND offset > 3 GROUP BY partition, offset",
        "SELECT max(offset) AS offset FROM weir.dead_letters d WHERE NOT offset = 1 OR 2 < d.offset",
        "SELECT offset x, offset + 1 AS y FROM weir.dead_letters OFFSET 1",
        "SELECT 1 AS one, offset FROM weir.dead_letters LIMIT 1 OFFSET 1 ROWS",
        "SELECT pipeline, epoch, source, topic, partition, next_offset, floor FROM weir.floors",
    ] {
        answer(sql, Format::Csv).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    }
    let none = answer("SELECT 1 AS one, 2 AS two OFFSET 1", Format::Csv).expect("a clause");
    assert_eq!(none.trim_end(), "one,two");
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

#[test]
fn explain_shows_the_plan() {
    let text = answer("EXPLAIN SELECT count(*) FROM revenue", Format::Csv).expect("a plan");
    assert!(text.contains("Aggregate"), "{text}");
    answer("EXPLAIN ANALYZE SELECT count(*) FROM revenue", Format::Csv).expect("a plan that ran");
}

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

#[test]
fn long_answers_are_cut_in_json_and_whole_when_streamed() {
    let sql = "SELECT value FROM generate_series(1, 25000) ORDER BY value";
    let json = answer(sql, Format::Json).expect("rows");
    assert!(json.contains("\"row_count\":10000,\"truncated\":true"), "{}", &json[json.len() - 200..]);
    let csv = answer(sql, Format::Csv).expect("rows");
    assert_eq!(csv.lines().count(), 25_001);
    let exact = answer("SELECT value FROM generate_series(1, 10000)", Format::Json).expect("rows");
    assert!(exact.contains("\"row_count\":10000,\"truncated\":false"));
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
