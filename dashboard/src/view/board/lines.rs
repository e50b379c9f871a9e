//! A panel's rows as texts, for a table with a fixed number of lines.

use serde_json::Value;
use weir_api::{Chart, Column};

use super::grid::Grid;
use super::unit::{Unit, n_decimals};
use crate::protocol::time::{MILLISECOND, SECOND};
use crate::store::table::instant;
use crate::view::clock::Fine;
use crate::view::number::{self, exact_cell, is_numeric, live_cell};
use crate::view::zone::Zone;

/// Lines shown. The CSV has them all.
pub const MAX_LINES: usize = 60;

/// The columns and the newest rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// Names, and whether the column is aligned to the right.
    pub heads: Vec<(String, bool)>,
    pub lines: Vec<Line>,
    /// Rows that are not among the lines.
    pub n_more: usize,
}

/// One row: its cells in the order of the heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub cells: Vec<String>,
    pub is_final: bool,
}

/// The rows of `grid` as they are shown: newest first, of a ranking greatest first, both bounds of a window in one cell.
pub fn lines(grid: &Grid, chart: Chart, unit: &Unit, zone: &Zone) -> Lines {
    let place = |name: &str| grid.heads.iter().position(|column| column.name == name);
    let (start, end, is_final) = (place("window_start"), place("window_end"), place("_final"));
    let window = start.zip(end);
    let shown: Vec<usize> = (0..grid.heads.len())
        .filter(|&at| Some(at) != is_final && window.is_none_or(|(start, end)| at != start && at != end))
        .filter(|&at| window.is_none() || grid.heads[at].name != "window_time")
        .collect();
    // The measure is the last column before `_final`; a table of rows has none.
    let measure = (chart != Chart::Table).then(|| grid.heads.len().saturating_sub(2));
    let number = |row: &Vec<Value>, at: usize| number::of(&row[at]).filter(|_| *unit != Unit::None);
    let n_decimals =
        n_decimals(measure.iter().flat_map(|&at| grid.rows.iter().filter_map(move |row| number(row, at))));
    let line = |row: &Vec<Value>| {
        let bounds = window.and_then(|(start, end)| Some((instant(&row[start])?, instant(&row[end])?)));
        let bounds = bounds.map(|(start, end)| format!("{} – {}", zone.clock(start), zone.clock(end)));
        let cells = shown.iter().map(|&at| {
            let number = number(row, at).filter(|_| measure == Some(at));
            number
                .map_or_else(|| cell(&grid.heads[at], &row[at], zone), |number| unit.full(number, n_decimals))
        });
        Line {
            cells: bounds.into_iter().chain(cells).collect(),
            is_final: is_final.is_none_or(|at| row[at] == Value::Bool(true)),
        }
    };
    let heads = window.map(|_| ("window".to_owned(), false)).into_iter();
    let heads =
        heads.chain(shown.iter().map(|&at| (grid.heads[at].name.clone(), is_numeric(&grid.heads[at]))));
    let lines = if chart == Chart::Top {
        grid.rows.iter().take(MAX_LINES).map(line).collect()
    } else {
        newest(grid, window.is_none()).into_iter().map(line).collect()
    };
    Lines { heads: heads.collect(), lines, n_more: grid.rows.len().saturating_sub(MAX_LINES) }
}

/// The newest rows first. Those that were appended come from several partitions in no order of their times.
fn newest(grid: &Grid, is_appended: bool) -> Vec<&Vec<Value>> {
    let mut newest: Vec<&Vec<Value>> = grid.rows.iter().rev().take(2 * MAX_LINES).collect();
    if let Some(at) = grid.heads.iter().position(super::cells::is_time).filter(|_| is_appended) {
        newest.sort_by_key(|row| std::cmp::Reverse(instant(&row[at])));
    }
    newest.truncate(MAX_LINES);
    newest
}

fn cell(column: &Column, value: &Value, zone: &Zone) -> String {
    let Some(instant) = instant(value).filter(|_| super::cells::is_time(column)) else {
        return if value.is_null() { exact_cell(value) } else { live_cell(column, value, zone) };
    };
    let millis = instant.rem_euclid(SECOND) / MILLISECOND;
    match millis {
        0 => zone.clock(instant),
        millis => zone.clock_to(instant, Fine::Digits(&format!("{millis:03}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::board::cells::Columns;
    use crate::view::board::cells::tests::{panel, table};
    use crate::view::board::grid::grid;
    use crate::view::board::span::Span;

    fn check(chart: Chart, x: Option<&str>, unit: &Unit, expected: &[&str]) {
        let panel = panel(chart, x, "revenue", Some("country"));
        let table = table(&[(0, "DE", "tea", "1234.50"), (20, "FR", "rum", "5.00")]);
        let columns = Columns::find(&panel, &table).expect("the columns are there");
        let lines = lines(&grid(&panel, &table, columns, Span::ALL, None), chart, unit, &Zone::default());
        let text =
            |line: &Line| format!("{}{}", line.cells.join(" | "), if line.is_final { "" } else { " ~" });
        let heads = lines.heads.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" | ");
        let shown: Vec<String> = std::iter::once(heads).chain(lines.lines.iter().map(text)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn newest_rows_stand_first() {
        let euro = Unit::Other("EUR".into());
        check(
            Chart::Line,
            Some("window_start"),
            &euro,
            &[
                "window_start | country | revenue",
                "00:00:20 | FR | 5.00 EUR ~",
                "00:00:00 | DE | 1,234.50 EUR",
            ],
        );
        check(
            Chart::Table,
            None,
            &Unit::None,
            &[
                "window | country | product | revenue",
                "00:00:20 – 00:00:30 | FR | rum | 5.00 ~",
                "00:00:00 – 00:00:10 | DE | tea | 1,234.50",
            ],
        );
        check(Chart::Top, None, &Unit::None, &["country | revenue", "DE | 1,234.50", "FR | 5.00 ~"]);
    }
}
