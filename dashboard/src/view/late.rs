//! Late rows by the windows that they missed: what final numbers are without.
//!
//! A late row comes when its window has closed; it is a dead letter, and no number has it. So a number says how many there
//! are of its windows.

use weir_api::SqlResponse;

use super::number::grouped;
use crate::protocol::time::parse_instant;

/// Windows that are asked for, the newest. A page shows fewer.
const WINDOWS_MAX: usize = 5_000;

/// Late rows that missed the same windows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missed {
    pipeline: String,
    /// When the first of the windows starts, and the last one ends, in microseconds.
    start: i64,
    end: i64,
    n_rows: u64,
}

/// The late rows of some pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Late(Vec<Missed>);

/// Asks for what [`Late::read`] reads; nothing where there are no pipelines.
pub fn query(pipelines: &[String]) -> String {
    if pipelines.is_empty() {
        return String::new();
    }
    let names: Vec<_> = pipelines.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect();
    format!(
        "SELECT pipeline, window_start, window_end, count(*) AS n FROM weir.dead_letters WHERE reason = 'late_row' \
         AND window_end IS NOT NULL AND pipeline IN ({}) GROUP BY pipeline, window_start, window_end \
         ORDER BY window_end DESC LIMIT {WINDOWS_MAX}",
        names.join(", ")
    )
}

impl Late {
    pub fn read(answer: &SqlResponse) -> Self {
        let missed = |row: &weir_api::Row| {
            let instant = |at: usize| row.get(at)?.as_str().and_then(parse_instant);
            Some(Missed {
                pipeline: row.first()?.as_str()?.to_owned(),
                start: instant(1)?,
                end: instant(2)?,
                n_rows: row.get(3)?.as_u64()?,
            })
        };
        Self(answer.rows.iter().filter_map(missed).collect())
    }

    fn count(&self, pipeline: &str, is_wanted: impl Fn(&Missed) -> bool) -> u64 {
        let of = self.0.iter().filter(|missed| missed.pipeline == pipeline && is_wanted(missed));
        of.map(|missed| missed.n_rows).sum()
    }

    /// How many rows missed a window of `pipeline` that reaches into the time from `from` to `to`, in microseconds.
    pub fn between(&self, pipeline: &str, from: i64, to: i64) -> u64 {
        self.count(pipeline, |missed| from < missed.end && missed.start < to)
    }

    /// How many rows missed the window of `pipeline` from `start` to `end`, in microseconds.
    pub fn of_window(&self, pipeline: &str, start: i64, end: i64) -> u64 {
        self.count(pipeline, |missed| missed.start <= start && end <= missed.end)
    }
}

/// `without 136 late rows`; nothing where there are none.
pub fn without(n_rows: u64) -> String {
    match n_rows {
        0 => String::new(),
        1 => "without 1 late row".to_owned(),
        n => format!("without {} late rows", grouped(&n.to_string())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Three rows missed 10 to 20 s of `revenue`, one the windows from 0 to 20 s.
    pub(crate) fn late() -> Late {
        let answer = json!({"columns": [], "row_count": 3, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            ["revenue", "1970-01-01T00:00:10.000Z", "1970-01-01T00:00:20.000Z", 3],
            ["revenue", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:20.000Z", 1],
            ["views", "1970-01-01T00:00:10.000Z", "1970-01-01T00:00:20.000Z", 1_000],
        ]});
        Late::read(&serde_json::from_value(answer).expect("an answer"))
    }

    #[test]
    fn late_rows_are_those_of_the_windows_that_are_shown() {
        const SECOND: i64 = 1_000_000;
        let late = late();
        let between = |from: i64, to: i64| late.between("revenue", from * SECOND, to * SECOND);
        assert_eq!([between(0, 10), between(5, 15), between(20, 30), between(-10, 0)], [1, 4, 0, 0]);
        let window = |start: i64| late.of_window("revenue", start * SECOND, (start + 10) * SECOND);
        assert_eq!([window(0), window(10), window(20)], [1, 4, 0]);
        assert_eq!(late.between("orders", 0, 100 * SECOND), 0);
        assert_eq!(
            [without(0), without(1), without(1_136)],
            ["", "without 1 late row", "without 1,136 late rows"]
        );
    }

    #[test]
    fn nothing_is_asked_for_no_pipelines() {
        assert_eq!(query(&[]), "");
        assert!(query(&["it's".to_owned()]).contains("pipeline IN ('it''s')"));
    }
}
