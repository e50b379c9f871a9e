//! What queries answer, what they are refused, and what they cannot do.

mod answers;
mod limits;
mod refused;
mod tables;
mod values;

use std::time::Duration;

use expect_test::Expect;

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
