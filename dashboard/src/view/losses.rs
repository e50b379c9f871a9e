//! What could not be used, by reason and minute: late rows are one of the reasons.
//!
//! Invariant: one strip per reason, of which there are seven, and one place per minute of the last hour.

use std::collections::BTreeMap;

use weir_api::SqlResponse;

use super::number::{grouped, of};
use super::zone::Zone;
use crate::protocol::time::{self, SECOND};

/// Minutes in a strip.
pub const MINUTES: usize = 60;
pub const HEIGHT: f64 = 18.0;
const MINUTE: i64 = 60 * SECOND;

/// Asks for what [`strips`] reads.
pub fn query(pipeline: &str) -> String {
    let name = pipeline.replace('\'', "''");
    format!(
        "SELECT reason, date_trunc('minute', record_time) AS minute, count(*) AS n FROM weir.dead_letters \
         WHERE pipeline = '{name}' GROUP BY reason, minute ORDER BY reason, minute"
    )
}

/// The dead letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Losses {
    /// As on the wire, such as `late_row`.
    pub reason: String,
    /// All that are kept.
    pub total: String,
    /// The minute of the newest record.
    pub last: String,
    /// The `d` of an SVG path in a box of [`MINUTES`] by [`HEIGHT`]; this minute stands at the right edge.
    pub path: String,
}

/// The strips of an answer to [`query`], the most frequent reason first. Bars of one strip share a scale.
pub fn strips(answer: &SqlResponse, now_ms: f64, zone: &Zone) -> Vec<Losses> {
    let mut by_reason: BTreeMap<&str, Vec<(Option<i64>, u64)>> = BTreeMap::new();
    for row in &answer.rows {
        let [reason, minute, n] = row.as_slice() else { continue };
        // A count is far below what a double holds exactly.
        let (Some(reason), Some(n)) = (reason.as_str(), of(n)) else { continue };
        let minute = minute.as_str().and_then(time::parse_instant);
        by_reason.entry(reason).or_default().push((minute, n as u64));
    }
    let mut losses: Vec<(u64, Losses)> = by_reason
        .into_iter()
        .map(|(reason, counts)| {
            let total = counts.iter().map(|(_, n)| n).sum();
            let last = counts.iter().filter_map(|(minute, _)| *minute).max();
            let losses = Losses {
                reason: reason.to_owned(),
                total: grouped(&u64::to_string(&total)),
                last: last.map_or_else(|| "–".to_owned(), |last| zone.short_clock(last)),
                path: path(&counts, now_ms),
            };
            (total, losses)
        })
        .collect();
    losses.sort_by_key(|(total, _)| std::cmp::Reverse(*total));
    losses.into_iter().map(|(_, losses)| losses).collect()
}

fn path(counts: &[(Option<i64>, u64)], now_ms: f64) -> String {
    let now = (now_ms * 1_000.0) as i64;
    let shown = counts.iter().filter_map(|(minute, n)| {
        let age = now.div_euclid(MINUTE) - (*minute)?.div_euclid(MINUTE);
        let age = usize::try_from(age).ok().filter(|age| *age < MINUTES)?;
        Some((MINUTES - 1 - age, *n as f64))
    });
    let shown: Vec<(usize, f64)> = shown.collect();
    let most = shown.iter().map(|(_, n)| *n).fold(1.0, f64::max);
    let bars = shown
        .iter()
        .map(|(at, n)| format!("M{at}.1 {HEIGHT}v{:.1}h.8V{HEIGHT}z", -(n / most * HEIGHT).max(1.0)));
    bars.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_ordered_by_how_often_they_come() {
        let answer = json!({"columns": [], "row_count": 3, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            ["bad_payload", "2026-11-24T12:00:00.000Z", 3],
            ["bad_payload", null, 1],
            ["late_row", "2026-11-24T12:01:00.000Z", 1_200],
            ["late_row", "2026-11-24T10:01:00.000Z", 34],
        ]});
        let now = time::parse_instant("2026-11-24T12:01:30Z").expect("an instant");
        let answer = serde_json::from_value(answer).expect("an answer");
        let losses = strips(&answer, (now / 1_000) as f64, &Zone::default());
        let seen: Vec<(&str, &str, &str)> =
            losses.iter().map(|it| (&*it.reason, &*it.total, &*it.last)).collect();
        assert_eq!(seen, [("late_row", "1,234", "12:01"), ("bad_payload", "4", "12:00")]);
        assert_eq!(losses[0].path, "M59.1 18v-18.0h.8V18z", "two hours ago is not in the strip");
        assert_eq!(losses[1].path, "M58.1 18v-18.0h.8V18z");
    }
}
