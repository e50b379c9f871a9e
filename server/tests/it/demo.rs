//! The demo: the whole path in one process, from Avro in a mock Kafka to SQL.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::weir::{PATIENCE, Running, command, outcome, weir};

/// The rows of a query, as JSON.
fn rows(url: &str, query: &str) -> Vec<Value> {
    let (code, stdout, stderr) = outcome(&weir(&["sql", query, "--server", url, "--format", "json"]));
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    answer["rows"].as_array().unwrap().clone()
}

#[test]
fn the_demo_shows_final_windows_dead_letters_and_late_rows_then_stops_when_told() {
    let mut demo = Running::start(command(&["demo", "--listen", "127.0.0.1:0"]));
    let url = demo.url("dashboard");
    let until = Instant::now() + PATIENCE;
    while ureq::get(format!("{url}/readyz")).call().is_err() {
        assert!(Instant::now() < until, "not ready; log:\n{}", demo.seen.join("\n"));
    }
    let wanted = [
        "SELECT country FROM revenue WHERE _final AND revenue > 0",
        "SELECT country FROM revenue WHERE NOT _final",
        "SELECT page FROM page_views WHERE _final AND views > 0",
        "SELECT order_id FROM large_orders",
        "SELECT reason FROM weir.dead_letters WHERE reason = 'late_row'",
        "SELECT reason FROM weir.dead_letters WHERE reason = 'bad_payload'",
    ];
    // Nothing goes wrong in the shop for a minute.
    let until = until + Duration::from_secs(90);
    let mut missing = wanted.to_vec();
    while !missing.is_empty() {
        assert!(Instant::now() < until, "nothing for {missing:?}; log:\n{}", demo.seen.join("\n"));
        missing.retain(|query| rows(&url, query).is_empty());
        sleep(Duration::from_millis(300));
    }
    let states = rows(&url, "SELECT DISTINCT state FROM weir.pipelines");
    assert_eq!(states, [serde_json::json!(["running"])]);

    let refused = weir(&["sql", "SELECT nope FROM revenue", "--server", &url]);
    assert_eq!(outcome(&refused).0, 1);
    let table = outcome(&weir(&["sql", "SELECT count(*) AS n FROM revenue", "--server", &url])).1;
    assert!(table.ends_with("(1 row)\n"), "{table}");

    let (code, elapsed) = demo.terminate();
    assert_eq!(code, Some(0));
    assert!(elapsed.as_secs() < 10, "{elapsed:?}");
}
