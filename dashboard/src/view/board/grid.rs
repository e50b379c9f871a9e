//! A panel's numbers as a table: beside the chart for those who can't see it, and as CSV.
//!
//! Invariant: the columns, the rows and their values are those of the panel's SQL ([`super::sql`]) at the same epoch.

use serde_json::Value;
use weir_api::{Aggregate, Chart, Column, Panel};

use super::cells::{Cell, Cells, Columns, cells, kept};
use super::exact::combine;
use super::figure::figure;
use super::span::Span;
use super::sql::{COUNT, TOP_ROWS};
use crate::store::table::Table;
use crate::view::address::Range;
use crate::view::number::{self, exact_cell};

/// See the module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grid {
    /// The measure's column has the type of what is measured.
    pub heads: Vec<Column>,
    /// In the order of the heads; oldest first, of a ranking the greatest first.
    pub rows: Vec<Vec<Value>>,
    /// Rows of the result table that went in.
    pub n_rows: usize,
}

/// The numbers of a panel. `chosen` is what the address says, `span` what that means for this panel.
pub fn grid(panel: &Panel, table: &Table, columns: Columns, span: Span, chosen: Option<Range>) -> Grid {
    match panel.chart {
        Chart::Table => rows(table, columns, span),
        Chart::Stat => number_of(panel, table, columns, chosen),
        Chart::Top => ranking(panel, table, &cells(panel, table, columns, span)),
        Chart::Line | Chart::Area | Chart::Bar => points(panel, table, &cells(panel, table, columns, span)),
    }
}

/// As RFC 4180: a head, `\n` between lines; null is empty and an empty text `""`, as the server writes it.
pub fn csv(grid: &Grid) -> String {
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    };
    line(&mut grid.heads.iter().map(|column| quoted(&column.name)));
    for row in &grid.rows {
        line(&mut row.iter().map(|value| match value {
            Value::Null => String::new(),
            value => quoted(&exact_cell(value)),
        }));
    }
    text
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn rows(table: &Table, columns: Columns, span: Span) -> Grid {
    let rows: Vec<Vec<Value>> = kept(table, columns, span).map(|row| row.to_vec()).collect();
    Grid { heads: table.columns().to_vec(), n_rows: rows.len(), rows }
}

fn heads(panel: &Panel, table: &Table, columns: Columns) -> Vec<Column> {
    let column = |place: usize| table.columns()[place].clone();
    let counted =
        |name: &str| Column { name: name.to_owned(), sql_type: "BIGINT".to_owned(), nullable: false };
    let is_count = panel.aggregate == Some(Aggregate::Count);
    let measure = columns.y.filter(|_| !is_count).map_or_else(|| counted(COUNT), column);
    let is_final = Column { name: "_final".to_owned(), sql_type: "BOOLEAN".to_owned(), nullable: false };
    let keys = [columns.x, columns.series].into_iter().flatten().map(column);
    keys.chain([measure, is_final]).collect()
}

fn row(cell: &Cell<'_>, cells: &Cells<'_>, keys: &[Option<usize>]) -> Vec<Value> {
    let first = cell.rows().next();
    let keys = keys.iter().flatten().filter_map(|&place| first.map(|row| row[place].clone()));
    let value = match cells.y {
        Some(y) => combine(cell.rows().map(|row| &row[y]).collect::<Vec<_>>().into_iter(), cells.aggregate),
        None => Value::from(cell.rows().count()),
    };
    keys.chain([value, Value::Bool(cell.is_final)]).collect()
}

fn points(panel: &Panel, table: &Table, cells: &Cells<'_>) -> Grid {
    let columns = [&panel.x, &panel.series].map(|name| {
        name.as_ref().and_then(|name| table.columns().iter().position(|column| column.name == *name))
    });
    let mut placed: Vec<(i64, usize, &Cell<'_>)> = Vec::new();
    for (at, line) in cells.lines.iter().enumerate() {
        placed.extend(line.cells.iter().map(|cell| (cell.x, at, cell)));
    }
    placed.sort_by_key(|(x, line, _)| (*x, *line));
    let found = Columns { x: columns[0], y: cells.y, series: columns[1], time: None };
    Grid {
        heads: heads(panel, table, found),
        rows: placed.into_iter().map(|(_, _, cell)| row(cell, cells, &columns)).collect(),
        n_rows: cells.n_rows,
    }
}

fn ranking(panel: &Panel, table: &Table, cells: &Cells<'_>) -> Grid {
    let mut grid = points(panel, table, cells);
    let place = grid.heads.len() - 2;
    let value = |row: &Vec<Value>| number::of(&row[place]).unwrap_or(f64::NEG_INFINITY);
    // The sort is stable: equal ones stay in the order of their labels.
    grid.rows.sort_by(|left, right| value(right).total_cmp(&value(left)));
    grid.rows.truncate(TOP_ROWS);
    grid
}

fn number_of(panel: &Panel, table: &Table, columns: Columns, chosen: Option<Range>) -> Grid {
    let heads = heads(panel, table, Columns { x: None, series: None, ..columns });
    let Some(figure) = figure(panel, table, columns, chosen) else {
        return Grid { heads, ..Grid::default() };
    };
    let n_rows = figure.cell.rows().count();
    let cells = Cells {
        axis: super::cells::Axis::Time,
        lines: Vec::new(),
        y: columns.y,
        aggregate: super::cells::aggregate(panel),
        n_rows,
    };
    Grid { heads, rows: vec![row(&figure.cell, &cells, &[])], n_rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::board::cells::tests::{panel, table};

    fn check(panel: &Panel, expected: &str) {
        let table = table(&[
            (0, "FR", "tea", "1.00"),
            (0, "DE", "tea", "2.00"),
            (0, "DE", "rum", "3.10"),
            (20, "DE", "rum, old", "5.00"),
        ]);
        let columns = Columns::find(panel, &table).expect("the columns are there");
        assert_eq!(csv(&grid(panel, &table, columns, Span::ALL, None)), expected);
    }

    #[test]
    fn csv_has_the_rows_of_the_query() {
        check(
            &panel(Chart::Area, Some("window_start"), "revenue", Some("country")),
            "window_start,country,revenue,_final\n1970-01-01T00:00:00Z,DE,5.10,true\n\
             1970-01-01T00:00:00Z,FR,1.00,true\n1970-01-01T00:00:20Z,DE,5.00,false\n",
        );
        check(
            &panel(Chart::Top, None, "revenue", Some("country")),
            "country,revenue,_final\nDE,10.10,false\nFR,1.00,true\n",
        );
        check(&panel(Chart::Stat, None, "revenue", None), "revenue,_final\n6.10,true\n");
        let counted =
            Panel { aggregate: Some(Aggregate::Count), ..panel(Chart::Stat, None, "revenue", None) };
        check(&counted, "n_rows,_final\n3,true\n");
        let all = Panel { y: None, ..panel(Chart::Table, None, "revenue", None) };
        check(
            &all,
            "window_start,window_end,country,product,revenue,_final\n\
             1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,DE,rum,3.10,true\n\
             1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,DE,tea,2.00,true\n\
             1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,FR,tea,1.00,true\n\
             1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,DE,\"rum, old\",5.00,false\n",
        );
    }
}
