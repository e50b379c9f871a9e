//! Which rows of a result table a panel shows, and which of them become one value.
//!
//! ```text
//! rows in the span ──► one line per value of `series` ──► one cell per value of `x` ──► aggregate ──► value
//! ```
//!
//! Invariants:
//! 1. Chart, table, CSV and the SQL of a panel agree on this: all but the SQL read [`Cells`].
//! 2. A cell is final when all of its rows are.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde_json::Value;
use weir_api::{Aggregate, Column, Panel};

use super::span::Span;
use crate::store::table::{Kept, Table};
use crate::view::number::exact_cell;

/// What the horizontal axis means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Axis {
    /// Microseconds since 1970.
    #[default]
    Time,
    /// Places 0, 1, 2 … of these values.
    Categories(Vec<String>),
}

/// Rows that become one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell<'a> {
    /// By the panel's [`Axis`]; 0 where the panel has none.
    pub x: i64,
    /// `x` and the size of the window, where there is one.
    pub end: i64,
    pub is_final: bool,
    first: &'a Kept,
    more: Vec<&'a Kept>,
}

impl<'a> Cell<'a> {
    /// The rows, at least one.
    pub fn rows(&self) -> impl Iterator<Item = &'a Kept> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Takes the rows of another cell as well.
    pub(super) fn join(&mut self, other: Cell<'a>) {
        self.is_final &= other.is_final;
        self.end = self.end.max(other.end);
        self.more.push(other.first);
        self.more.extend(other.more);
    }

    /// What the rows come to; `None` where none of them has a number. `y` is a column's index.
    pub fn value(&self, y: Option<usize>, aggregate: Aggregate) -> Option<f64> {
        let n_rows = 1 + self.more.len();
        let Some(y) = y.filter(|_| aggregate != Aggregate::Count) else { return Some(n_rows as f64) };
        let mut values = self.rows().filter_map(|row| row.number(y));
        let first = values.next()?;
        Some(match aggregate {
            Aggregate::Sum => values.fold(first, |sum, value| sum + value),
            Aggregate::Min => values.fold(first, f64::min),
            Aggregate::Max => values.fold(first, f64::max),
            Aggregate::Avg => {
                let (sum, n_values) = values.fold((first, 1.0), |(sum, n), value| (sum + value, n + 1.0));
                sum / n_values
            }
            Aggregate::Count => n_rows as f64,
        })
    }
}

/// The cells of one value of `series`, ascending by `x`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    pub label: String,
    pub cells: Vec<Cell<'a>>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells<'a> {
    pub axis: Axis,
    /// By label.
    pub lines: Vec<Line<'a>>,
    /// The index of the column that is measured.
    pub y: Option<usize>,
    pub aggregate: Aggregate,
    pub n_rows: usize,
}

/// Where a panel's columns stand in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    pub x: Option<usize>,
    pub y: Option<usize>,
    pub series: Option<usize>,
    /// The bounds of a row in time; the same column twice for rows without windows.
    pub time: Option<(usize, usize)>,
}

impl Columns {
    /// Finds the columns that a panel names.
    ///
    /// # Errors
    /// The sentence says which one the table does not have.
    pub fn find(panel: &Panel, table: &Table) -> Result<Self, String> {
        let columns = table.columns();
        let find = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => match columns.iter().position(|column| column.name == *name) {
                Some(place) => Ok(Some(place)),
                None => Err(format!(
                    "This panel names the column \"{name}\", which {} does not have.",
                    panel.pipeline
                )),
            },
        };
        let (x, y, series) = (find(&panel.x)?, find(&panel.y)?, find(&panel.series)?);
        let places = table.places();
        let windows = (places.window_start.or(places.window_end), places.window_end.or(places.window_start));
        let own_time = x.filter(|&place| is_time(&columns[place]));
        let first_time = || columns.iter().position(is_time);
        let time = match windows {
            (Some(start), Some(end)) => Some((start, end)),
            _ => own_time.or_else(first_time).map(|place| (place, place)),
        };
        Ok(Self { x, y, series, time })
    }
}

/// Whether the values of a column are instants.
pub fn is_time(column: &Column) -> bool {
    column.sql_type.starts_with("TIMESTAMP")
}

/// How several rows become one value, where the file does not say it: they are added.
pub fn aggregate(panel: &Panel) -> Aggregate {
    panel.aggregate.unwrap_or(Aggregate::Sum)
}

/// The cells of a panel.
pub fn cells<'a>(panel: &Panel, table: &'a Table, columns: Columns, span: Span) -> Cells<'a> {
    let is_time_axis = columns.x.is_none_or(|x| is_time(&table.columns()[x]));
    let rows = || kept(table, columns, span);
    let categories = match columns.x {
        Some(x) if !is_time_axis => categories(rows().map(|row| &row[x])),
        _ => BTreeMap::new(),
    };
    let all = panel.y.as_deref().unwrap_or("rows").to_owned();
    let (mut places, mut lines) = (HashMap::new(), Vec::new());
    // The values of `series`, line by line, and the line of the row before.
    let (mut values, mut before): (Vec<&Value>, usize) = (Vec::new(), 0);
    let (mut n_rows, mut is_sorted) = (0, true);
    for row in rows() {
        let x = match columns.x {
            None => 0,
            Some(x) if is_time_axis => match row.instant(x) {
                Some(instant) => instant,
                None => continue,
            },
            Some(x) => categories.get(&Order::of(&row[x])).copied().unwrap_or(0),
        };
        n_rows += 1;
        let place = match columns.series {
            None => {
                if lines.is_empty() {
                    lines.push(Line { label: all.clone(), cells: Vec::new() });
                }
                0
            }
            Some(series) => {
                let value = &row[series];
                // Window by window the lines come in one order: the next one is seldom another.
                let next = if before + 1 < lines.len() { before + 1 } else { 0 };
                if values.get(next).is_some_and(|expected| *expected == value) {
                    next
                } else {
                    *places.entry(Key(value)).or_insert_with(|| {
                        lines.push(Line { label: exact_cell(value), cells: Vec::new() });
                        values.push(value);
                        lines.len() - 1
                    })
                }
            }
        };
        before = place;
        let is_final = table.is_final(row);
        let size = if is_time_axis { size(row, columns) } else { 1 };
        let cells = &mut lines[place].cells;
        match cells.last_mut() {
            Some(last) if last.x == x => {
                last.join(Cell { x, end: x + size, is_final, first: row, more: Vec::new() })
            }
            last => {
                is_sorted &= last.is_none_or(|last| last.x < x);
                cells.push(Cell { x, end: x + size, is_final, first: row, more: Vec::new() });
            }
        }
    }
    if !is_sorted {
        lines.iter_mut().for_each(sort);
    }
    lines.sort_by(|left, right| left.label.cmp(&right.label));
    let axis = if is_time_axis {
        Axis::Time
    } else {
        Axis::Categories(categories.keys().map(|order| order.text.clone()).collect())
    };
    Cells { axis, lines, y: columns.y, aggregate: aggregate(panel), n_rows }
}

/// The rows of a table that are in the span, oldest first.
pub fn kept(table: &Table, columns: Columns, span: Span) -> impl Iterator<Item = &Kept> {
    table.rows().map(|(_, row)| row).filter(move |row| holds(row, columns, span))
}

fn holds(row: &Kept, columns: Columns, span: Span) -> bool {
    let Some((start, end)) = columns.time.filter(|_| span != Span::ALL) else { return true };
    match (row.instant(start), row.instant(end)) {
        (Some(start), Some(end)) => span.holds(start, end),
        _ => false,
    }
}

/// The size of a row's window; 0 where it has none.
fn size(row: &Kept, columns: Columns) -> i64 {
    let Some((start, end)) = columns.time.filter(|(start, end)| start != end) else { return 0 };
    row.instant(end).zip(row.instant(start)).map_or(0, |(end, start)| end.saturating_sub(start))
}

/// Brings cells in order where the table's order is not that of `x`.
fn sort(line: &mut Line<'_>) {
    line.cells.sort_by_key(|cell| cell.x);
    let cells = std::mem::take(&mut line.cells);
    for cell in cells {
        match line.cells.last_mut() {
            Some(last) if last.x == cell.x => last.join(cell),
            _ => line.cells.push(cell),
        }
    }
}

/// A value as a key: texts are not copied.
#[derive(PartialEq, Eq)]
struct Key<'a>(&'a Value);

impl std::hash::Hash for Key<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self.0 {
            Value::String(text) => text.hash(state),
            other => other.to_string().hash(state),
        }
    }
}

/// A category in its order: numbers by size, before texts by letters.
#[derive(Debug, Clone)]
struct Order {
    number: Option<f64>,
    text: String,
}

impl Order {
    fn of(value: &Value) -> Self {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        Self { number, text: exact_cell(value) }
    }
}

impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Order {}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_number = match (self.number, other.number) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (left, right) => right.is_some().cmp(&left.is_some()),
        };
        by_number.then_with(|| self.text.cmp(&other.text))
    }
}

fn categories<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeMap<Order, i64> {
    let mut categories: BTreeMap<Order, i64> = values.map(|value| (Order::of(value), 0)).collect();
    for (place, (_, index)) in (0..).zip(categories.iter_mut()) {
        *index = place;
    }
    categories
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use weir_api::{Chart, Snapshot};

    use super::*;

    /// A panel over the table of [`table`].
    pub(crate) fn panel(chart: Chart, x: Option<&str>, y: &str, series: Option<&str>) -> Panel {
        Panel {
            title: "Revenue".into(),
            pipeline: "revenue".into(),
            chart,
            x: x.map(str::to_owned),
            y: Some(y.to_owned()),
            series: series.map(str::to_owned),
            aggregate: None,
            last: None,
            unit: None,
            width: None,
            height: None,
        }
    }

    /// Windows of ten seconds by country and product; the watermark is at 20 seconds.
    pub(crate) fn table(rows: &[(i64, &str, &str, &str)]) -> Table {
        let column = |name: &str, sql_type: &str| Column {
            name: name.into(),
            sql_type: sql_type.into(),
            nullable: true,
        };
        let zoned = "TIMESTAMP(3) WITH TIME ZONE";
        let at = |second: i64| json!(format!("1970-01-01T00:{:02}:{:02}Z", second / 60, second % 60));
        let row = |(second, country, product, revenue): &(i64, &str, &str, &str)| {
            let is_final = second + 10 <= 20;
            vec![
                at(*second),
                at(second + 10),
                json!(country),
                json!(product),
                json!(revenue),
                json!(is_final),
            ]
        };
        let snapshot = Snapshot {
            table: "revenue".into(),
            epoch: 7,
            watermark: Some("1970-01-01T00:00:20.000Z".into()),
            columns: vec![
                column("window_start", zoned),
                column("window_end", zoned),
                column("country", "VARCHAR"),
                column("product", "VARCHAR"),
                column("revenue", "DECIMAL(18,2)"),
                column("_final", "BOOLEAN"),
            ],
            key: ["window_start", "window_end", "country", "product"].map(String::from).into(),
            rows: rows.iter().map(row).collect(),
            truncated: false,
        };
        Table::new(snapshot, 3_600_000).expect("a snapshot fits")
    }

    /// `label: x=value…`, a provisional value with a `~`.
    fn check(panel: &Panel, table: &Table, span: Span, expected: &[&str]) {
        let columns = Columns::find(panel, table).expect("the columns are there");
        let cells = cells(panel, table, columns, span);
        let second = |cell: &Cell<'_>| if cells.axis == Axis::Time { cell.x / 1_000_000 } else { cell.x };
        let cell = |cell: &Cell<'_>| {
            let value = cell.value(cells.y, cells.aggregate).unwrap_or(f64::NAN);
            format!("{}={value}{}", second(cell), if cell.is_final { "" } else { "~" })
        };
        let line = |line: &Line<'_>| {
            format!("{}: {}", line.label, line.cells.iter().map(cell).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(cells.lines.iter().map(line).collect::<Vec<_>>(), expected);
    }

    const ROWS: [(i64, &str, &str, &str); 5] = [
        (0, "FR", "tea", "1.00"),
        (0, "DE", "tea", "2.00"),
        (0, "DE", "rum", "3.00"),
        (10, "DE", "tea", "4.50"),
        (20, "DE", "rum", "5.00"),
    ];

    #[test]
    fn rows_of_one_place_become_one_value() {
        let table = table(&ROWS);
        let mut wanted = panel(Chart::Line, Some("window_start"), "revenue", Some("country"));
        check(&wanted, &table, Span::ALL, &["DE: 0=5 10=4.5 20=5~", "FR: 0=1"]);
        wanted.aggregate = Some(Aggregate::Avg);
        check(&wanted, &table, Span::ALL, &["DE: 0=2.5 10=4.5 20=5~", "FR: 0=1"]);
        wanted.aggregate = Some(Aggregate::Count);
        check(&wanted, &table, Span::ALL, &["DE: 0=2 10=1 20=1~", "FR: 0=1"]);
        let all = panel(Chart::Line, Some("window_start"), "revenue", None);
        check(&all, &table, Span::ALL, &["revenue: 0=6 10=4.5 20=5~"]);
    }

    #[test]
    fn a_span_holds_the_windows_that_reach_into_it() {
        let table = table(&ROWS);
        let wanted = panel(Chart::Line, Some("window_end"), "revenue", None);
        let span = Span::between(10_000_000, 20_000_000);
        check(&wanted, &table, span, &["revenue: 20=4.5"]);
    }

    #[test]
    fn an_axis_that_is_no_time_has_categories_in_their_order() {
        let table = table(&ROWS);
        let wanted = panel(Chart::Bar, Some("product"), "revenue", Some("country"));
        check(&wanted, &table, Span::ALL, &["DE: 0=8~ 1=6.5", "FR: 1=1"]);
        let columns = Columns::find(&wanted, &table).expect("the columns are there");
        let cells = cells(&wanted, &table, columns, Span::ALL);
        assert_eq!(cells.axis, Axis::Categories(vec!["rum".into(), "tea".into()]));
        assert!(
            Order::of(&json!(9)) < Order::of(&json!(10)) && Order::of(&json!(10)) < Order::of(&json!("1"))
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let wanted = panel(Chart::Line, Some("window_start"), "profit", None);
        let problem = Columns::find(&wanted, &table(&ROWS)).expect_err("there is no profit");
        assert_eq!(problem, "This panel names the column \"profit\", which revenue does not have.");
    }
}
