//! Where a panel's rows are, and which part of them it shows.

use weir_api::{Chart, Panel, SqlResponse};
use weir_api::{Row, Snapshot};

use super::cells::Columns;
use super::figure::figure;
use super::span::{Span, last_ms};
use super::sql::{self, ROWS_MAX};
use crate::protocol::time::MILLISECOND;
use crate::store::table::Table;
use crate::view::address::Range;

/// The rows of a panel in `span`, for its query: a number's are those of its windows.
pub fn span(panel: &Panel, table: &Table, columns: Columns, chosen: Option<Range>) -> Span {
    if panel.chart == Chart::Stat {
        return figure(panel, table, columns, chosen).map_or(Span::ALL, |figure| figure.span);
    }
    reach(panel, table.watermark(), chosen)
}

/// The stretch of time that a panel looks at.
pub fn reach(panel: &Panel, watermark: Option<i64>, chosen: Option<Range>) -> Span {
    match chosen {
        Some(Range::Between { from, to }) => Span::between(from, to),
        _ => Span::behind(watermark, last_ms(panel, chosen)),
    }
}

/// The question for the rows of a chosen stretch of time, which the stream does not carry; `None` where it does.
/// `live` is the table as the stream has it, for its columns.
pub fn question(panel: &Panel, live: &Table, chosen: Option<Range>) -> Option<String> {
    let Some(Range::Between { mut from, to }) = chosen else { return None };
    if panel.chart == Chart::Stat {
        // Its own span, which may be longer.
        from = from.min(to.saturating_sub(last_ms(panel, None).saturating_mul(MILLISECOND)));
    }
    let columns = Columns::find(panel, live).ok()?;
    Some(sql::rows_query(&panel.pipeline, live, columns, Span::between(from, to)))
}

/// The answer to [`question`] as a table, of the epoch that it was given at. `watermark` is that of the stream.
pub fn answered(pipeline: &str, answer: &SqlResponse, live: &Table) -> Option<Table> {
    // Newest first, as it was asked for; a table that is appended to has them oldest first.
    let rows: Vec<Row> = answer.rows.iter().rev().cloned().collect();
    let snapshot = Snapshot {
        table: pipeline.to_owned(),
        epoch: answer.epochs.get(pipeline).copied().unwrap_or_default(),
        watermark: live.watermark().map(crate::protocol::time::instant_text),
        columns: answer.columns.clone(),
        key: Vec::new(),
        truncated: answer.truncated || ROWS_MAX <= rows.len(),
        rows,
    };
    Table::new(snapshot, i64::MAX).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::view::board::cells::tests::{panel, table};

    #[test]
    fn a_chosen_stretch_is_asked_for_and_its_answer_is_a_table() {
        let live = table(&[(20, "DE", "tea", "1.00")]);
        let panel = panel(Chart::Line, Some("window_start"), "revenue", None);
        assert_eq!(question(&panel, &live, Some(Range::Last(1))), None);
        let chosen = Some(Range::Between { from: 0, to: 20_000_000 });
        assert_eq!(
            question(&panel, &live, chosen).as_deref(),
            Some(
                "SELECT * FROM revenue\nWHERE window_end > '1970-01-01T00:00:00Z' AND window_start < '1970-01-01T00:00:20Z'\n\
                 ORDER BY window_start DESC\nLIMIT 10000"
            )
        );
        let old = table(&[(0, "DE", "tea", "2.00"), (10, "DE", "tea", "3.00")]);
        let answer = SqlResponse {
            columns: old.columns().to_vec(),
            rows: old.rows().rev().map(|(_, row)| row.to_vec()).collect(),
            row_count: 2,
            truncated: false,
            epochs: BTreeMap::from([("revenue".to_owned(), 9)]),
            elapsed_ms: 1.0,
        };
        let answered = answered("revenue", &answer, &live).expect("a table");
        assert_eq!((answered.len(), answered.epoch(), answered.truncated()), (2, 9, false));
        assert!(answered.rows().map(|(_, row)| row).eq(old.rows().map(|(_, row)| row)));
    }
}
