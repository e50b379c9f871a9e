//! What queries answer, in every format.

use expect_test::expect;

use super::*;

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
fn explain_shows_the_plan() {
    let text = answer("EXPLAIN SELECT count(*) FROM revenue", Format::Csv).expect("a plan");
    assert!(text.contains("Aggregate"), "{text}");
    answer("EXPLAIN ANALYZE SELECT count(*) FROM revenue", Format::Csv).expect("a plan that ran");
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
