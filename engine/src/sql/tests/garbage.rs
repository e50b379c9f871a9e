//! No text makes the planner panic or overflow its stack.

use proptest::prelude::*;

use super::tables;
use crate::sql::plan;

const QUERIES: [&str; 5] = [
    "SELECT window_start, window_end, country, count(*) AS n, sum(amount) FILTER (WHERE paid) AS s \
     FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND) GROUP BY window_start, window_end, country HAVING count(*) > 3",
    "WITH x AS (SELECT id, CASE WHEN amount > 0 THEN amount / 2 ELSE -quantity END AS v FROM orders) SELECT v + 1 AS w FROM x WHERE v BETWEEN 1 AND 9",
    "SELECT \"userId\", date_trunc('day', \"clickedAt\") AS d, CAST('5' AS BIGINT) AS f FROM clicks WHERE \"userId\" LIKE 'a%' OR \"userId\" IN ('b')",
    "SELECT address['city'] AS c, abs(weight) AS w, coalesce(amount, 0) * 9223372036854775807 AS m FROM orders WHERE NOT paid IS NOT TRUE",
    "WITH o AS (SELECT id, ordered_at AS t FROM orders) SELECT w.id, w.window_end FROM HOP(TABLE (SELECT * FROM o), DESCRIPTOR(t), INTERVAL '5' SECOND, INTERVAL '10' SECOND) AS w",
];

/// Pieces that matter to the planner.
const WORDS: [&str; 48] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "TUMBLE",
    "TABLE",
    "DESCRIPTOR",
    "INTERVAL",
    "'10'",
    "SECOND",
    "(",
    ")",
    ",",
    "*",
    "+",
    "-",
    "/",
    "%",
    "||",
    "AS",
    "orders",
    "clicks",
    "window_start",
    "amount",
    "ordered_at",
    "count",
    "sum",
    "1",
    "0",
    "NULL",
    "'x'",
    "\"",
    "'",
    ";",
    "--",
    "/*",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "WITH",
    "UNION",
    "JOIN",
    "ON",
    "OVER",
    "CAST",
    "::INT",
];

/// The planner's own failures are refusals too, but bugs.
fn survives(sql: &str) {
    if let Err(refusals) = plan(sql, &tables()) {
        assert!(!refusals.is_empty());
        for refusal in refusals {
            assert!(!refusal.message.contains("panicked"), "{sql}: {refusal}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_planned_or_refused(text in "\\PC{0,80}") {
        survives(&text);
    }

    #[test]
    fn any_order_of_words_is_planned_or_refused(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..30)) {
        survives(&format!("SELECT {}", words.join(" ")));
    }

    #[test]
    fn mutated_query_is_planned_or_refused(
        query in prop::sample::select(&QUERIES[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, prop::sample::select(&WORDS[..])), 1..4),
    ) {
        let mut sql: Vec<char> = query.chars().collect();
        for (at, removed, word) in edits {
            let at = at.index(sql.len() + 1);
            let end = (at + removed).min(sql.len());
            sql.splice(at..end, format!(" {word} ").chars());
        }
        survives(&sql.into_iter().collect::<String>());
    }
}

#[test]
fn unmutated_queries_are_planned() {
    for query in QUERIES {
        assert!(plan(query, &tables()).is_ok(), "{query}");
    }
}

/// The longest texts allowed, each the deepest of its kind.
#[test]
fn deepest_texts_do_not_overflow_the_stack() {
    let n = 60_000;
    let deep = [
        format!("SELECT {} AS x FROM orders", "(".repeat(n)),
        format!("SELECT {}1 AS x FROM orders", "- ".repeat(n / 2)),
        format!("SELECT {}id AS x FROM orders", "NOT ".repeat(n / 4)),
        format!("SELECT 1{} AS x FROM orders", "+1".repeat(n / 2)),
        format!("SELECT 1{} AS x FROM orders", "::INT".repeat(n / 5)),
        format!("SELECT id{} AS x FROM orders", "[1]".repeat(n / 3)),
        format!("SELECT id FROM orders WHERE id=1{}", " AND 1=1".repeat(n / 8)),
        format!("SELECT id FROM {}orders", "(SELECT * FROM ".repeat(n / 15)),
        format!("SELECT id FROM orders {}", "UNION SELECT 1 ".repeat(n / 15)),
        format!("SELECT id FROM orders WHERE id IN ({}1)", "1,".repeat(n / 2)),
        format!("SELECT {}1{} AS x FROM orders", "CASE WHEN ".repeat(n / 15), " THEN 1 END".repeat(n / 15)),
    ];
    for sql in deep {
        survives(&sql);
    }
}

#[test]
fn long_chain_of_with_queries_is_planned() {
    let mut sql = "WITH q0 AS (SELECT id AS x FROM orders)".to_owned();
    for i in 1..100 {
        sql.push_str(&format!(", q{i} AS (SELECT x + 1 AS x FROM q{})", i - 1));
    }
    sql.push_str(" SELECT x FROM q99");
    assert!(plan(&sql, &tables()).is_ok());
}
