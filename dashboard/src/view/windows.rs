//! The newest rows of a result table, as text, for a table with a fixed number of lines.
//!
//! Invariant: at most [`MAX_LINES`] rows whatever the result table holds, so that painting costs the same each epoch.

use super::late::Late;
use super::number::{grouped, is_numeric, live_cell};
use super::zone::Zone;
use crate::store::table::{Kept, Table};

/// Rows shown. More would not be read while they change; the query box shows any others.
pub const MAX_LINES: usize = 40;

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub name: String,
    /// Aligned to the right.
    pub is_numeric: bool,
}

/// One row: its cells in the order of the heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub cells: Vec<String>,
    pub is_final: bool,
    /// Belongs to another window than the line above.
    pub opens_window: bool,
}

/// How the columns of a result table are laid out; it changes only with the table's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub heads: Vec<Head>,
    /// Both bounds are there: the first cell is the window.
    has_window: bool,
    shown: Vec<usize>,
}

/// The layout of `table`: the window first, then all other columns but `_final`, which is how a line looks.
pub fn layout(table: &Table) -> Layout {
    let places = table.places();
    let has_window = places.window_start.is_some() && places.window_end.is_some();
    let mut hidden = vec![places.is_final];
    if has_window {
        hidden.extend([places.window_start, places.window_end, places.window_time]);
    }
    let shown: Vec<usize> = (0..table.columns().len()).filter(|&at| !hidden.contains(&Some(at))).collect();
    let window = has_window.then(|| Head { name: "window".into(), is_numeric: false });
    let others = shown.iter().map(|&at| {
        let column = &table.columns()[at];
        Head { name: column.name.clone(), is_numeric: is_numeric(column) }
    });
    Layout { heads: window.into_iter().chain(others).collect(), has_window, shown }
}

/// The newest rows of `pipeline`, newest window first, in the key's order within a window. The first row of a window says how
/// many late rows the window is without.
pub fn lines(pipeline: &str, table: &Table, layout: &Layout, late: &Late, zone: &Zone) -> Vec<Line> {
    let newest = if table.key().is_empty() {
        table.rows().rev().take(MAX_LINES).collect()
    } else {
        newest_by_key(table)
    };
    let mut above = None;
    let late_rows = |start, end| late.of_window(pipeline, start, end);
    let lines = newest.into_iter().map(|(time, row)| {
        let opens_window = above.replace(time) != Some(time) && layout.has_window;
        let mut cells = cells(table, layout, row, zone);
        let late = bounds(table, row).filter(|_| opens_window);
        match late.map_or(0, |(start, end)| late_rows(start, end)) {
            0 => {}
            n => cells[0] = format!("{} · {} late", cells[0], grouped(&n.to_string())),
        }
        Line { cells, is_final: table.is_final(row), opens_window }
    });
    lines.collect()
}

/// Whole windows are taken, and cut only at the end: the lines of a large one begin with its first keys.
fn newest_by_key(table: &Table) -> Vec<(i64, &Kept)> {
    let mut newest: Vec<(i64, &Kept)> = Vec::new();
    for (time, row) in table.rows().rev() {
        let opens_another = newest.last().is_some_and(|(last, _)| *last != time);
        if opens_another && MAX_LINES <= newest.len() {
            break;
        }
        newest.push((time, row));
    }
    newest.reverse();
    newest.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    newest.truncate(MAX_LINES);
    newest
}

fn cells(table: &Table, layout: &Layout, row: &Kept, zone: &Zone) -> Vec<String> {
    let mut cells = Vec::with_capacity(layout.heads.len());
    if layout.has_window {
        let window = bounds(table, row).map(|(start, end)| window_text(start, end, zone));
        cells.push(window.unwrap_or_default());
    }
    cells.extend(layout.shown.iter().map(|&at| live_cell(&table.columns()[at], &row[at], zone)));
    cells
}

/// From when to when the row's window is.
fn bounds(table: &Table, row: &Kept) -> Option<(i64, i64)> {
    let places = table.places();
    Some((row.instant(places.window_start?)?, row.instant(places.window_end?)?))
}

/// `12:04:20 – 12:04:30` on the zone's clock; without seconds where neither bound has any.
pub fn window_text(start: i64, end: i64, zone: &Zone) -> String {
    let (short_start, short_end) = (zone.short_clock(start), zone.short_clock(end));
    if short_start.len() == short_end.len() {
        format!("{short_start} – {short_end}")
    } else {
        format!("{} – {}", zone.clock(start), zone.clock(end))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_api::{Column, Row, Snapshot};

    use super::*;

    fn column(name: &str, sql_type: &str) -> Column {
        Column { name: name.into(), sql_type: sql_type.into(), nullable: false }
    }

    fn snapshot(rows: Vec<Row>) -> Snapshot {
        let zoned = "TIMESTAMP(3) WITH TIME ZONE";
        Snapshot {
            table: "revenue".into(),
            epoch: 1,
            watermark: None,
            columns: vec![
                column("window_start", zoned),
                column("window_end", zoned),
                column("country", "VARCHAR"),
                column("orders", "BIGINT"),
                column("_final", "BOOLEAN"),
            ],
            key: ["window_start", "window_end", "country"].map(String::from).into(),
            rows,
            truncated: false,
        }
    }

    fn row(second: u32, country: &str, orders: u64, is_final: bool) -> Row {
        let at = |second: u32| json!(format!("2026-11-22T12:04:{second:02}.000Z"));
        vec![at(second), at(second + 10), json!(country), json!(orders), json!(is_final)]
    }

    fn late() -> Late {
        let answer = json!({"columns": [], "row_count": 1, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            ["revenue", "2026-11-22T12:04:00.000Z", "2026-11-22T12:04:10.000Z", 2],
        ]});
        Late::read(&serde_json::from_value(answer).expect("an answer"))
    }

    #[test]
    fn newest_window_stands_first_and_keys_ascend() {
        let rows = vec![
            row(0, "DE", 4, true),
            row(10, "FR", 1_234, false),
            row(10, "DE", 2, false),
            row(0, "FR", 3, true),
        ];
        let table = Table::new(snapshot(rows), 60_000).expect("a snapshot fits");
        let layout = layout(&table);
        let names: Vec<&str> = layout.heads.iter().map(|head| &*head.name).collect();
        assert_eq!(names, ["window", "country", "orders"]);
        let lines = lines("revenue", &table, &layout, &late(), &Zone::default());
        let seen: Vec<(String, bool, bool)> =
            lines.iter().map(|line| (line.cells.join(" "), line.is_final, line.opens_window)).collect();
        let window = |text: &str, is_final, opens| (text.to_owned(), is_final, opens);
        assert_eq!(
            seen,
            [
                window("12:04:10 – 12:04:20 DE 2", false, true),
                window("12:04:10 – 12:04:20 FR 1,234", false, false),
                window("12:04:00 – 12:04:10 · 2 late DE 4", true, true),
                window("12:04:00 – 12:04:10 FR 3", true, false),
            ]
        );
    }

    #[test]
    fn lines_are_bounded() {
        let rows = (0..200).map(|n| row(0, &format!("{n:03}"), n, false)).collect();
        let table = Table::new(snapshot(rows), 60_000).expect("a snapshot fits");
        let lines = lines("revenue", &table, &layout(&table), &Late::default(), &Zone::default());
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[0].cells[1], "000");
    }
}
