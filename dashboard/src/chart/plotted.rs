//! An answer as a chart: which of its columns stand where, and its rows as a table that the kinds of chart draw.

use weir_api::{Chart, Column, Panel, Row, Snapshot};

use super::gather::gather;
use super::series::{ChartData, Slots};
use crate::store::table::{Kept, Table};
use crate::view::address::Range;
use crate::view::board::cells::{Columns, is_time};
use crate::view::board::span::Span;
use crate::view::grid::answer::Answer;
use crate::view::number::is_numeric;
use crate::view::sql_look::Drawn;

/// Rows that are drawn at most, the first ones: as many as a panel's query asks for.
pub const ROWS_MAX: usize = 10_000;
/// The kinds of chart that an answer may have.
pub const CHARTS: [(Chart, &str); 3] = [(Chart::Line, "line"), (Chart::Area, "area"), (Chart::Bar, "bar")];

/// What stands where, by the names of columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    pub chart: Chart,
    pub x: String,
    pub y: String,
    pub series: Option<String>,
}

impl Axes {
    /// What an answer with these columns most likely shows; `None`: nothing that can be drawn.
    pub fn guess(columns: &[Column]) -> Option<Self> {
        let first = |fits: &dyn Fn(&Column) -> bool| columns.iter().find(|column| fits(column));
        let is_text = |column: &Column| column.sql_type == "VARCHAR";
        let time = first(&|column| column.name == "window_start").or_else(|| first(&is_time));
        // Numbers that are names measure nothing.
        let is_name = |column: &Column| column.name == "id" || column.name.ends_with("_id");
        let y = first(&|column| is_numeric(column) && !is_name(column)).or_else(|| first(&is_numeric))?;
        let x = time.or_else(|| first(&is_text)).or_else(|| first(&|column| column.name != y.name))?;
        let series = first(&|column| is_text(column) && column.name != x.name);
        Some(Self {
            chart: if time.is_some() { Chart::Line } else { Chart::Bar },
            x: x.name.clone(),
            y: y.name.clone(),
            series: series.map(|column| column.name.clone()),
        })
    }

    /// Whether an answer with these columns has those that are named.
    pub fn fits(&self, columns: &[Column]) -> bool {
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let is_measured = columns.iter().any(|column| column.name == self.y && is_numeric(column));
        has(&self.x) && is_measured && self.series.as_deref().is_none_or(has)
    }

    /// As the address has it.
    pub fn drawn(&self) -> Drawn {
        let Self { chart, x, y, series } = self.clone();
        let word = CHARTS.iter().find(|(each, _)| *each == chart).map_or("", |(_, word)| word);
        Drawn { chart: word.to_owned(), x, y, series }
    }

    /// What the address has; `None` where that is the page's choice, or no kind of chart.
    pub fn read(drawn: Drawn) -> Option<Self> {
        let (chart, _) = CHARTS.iter().find(|(_, word)| *word == drawn.chart)?;
        Some(Self { chart: *chart, x: drawn.x, y: drawn.y, series: drawn.series })
    }

    fn panel(&self) -> Panel {
        Panel {
            title: String::new(),
            pipeline: String::new(),
            chart: self.chart,
            x: Some(self.x.clone()),
            y: Some(self.y.clone()),
            series: self.series.clone(),
            aggregate: None,
            last: None,
            unit: None,
            width: None,
            height: None,
        }
    }
}

/// The rows of an answer as a table, [`ROWS_MAX`] at most. Rows that can't be read are left out.
pub fn table(answer: &Answer) -> Option<Table> {
    let rows = (0..answer.n_rows().min(ROWS_MAX)).map(|at| serde_json::from_str::<Row>(answer.row(at)));
    let snapshot = Snapshot {
        table: String::new(),
        epoch: 0,
        watermark: None,
        columns: answer.columns().to_vec(),
        key: Vec::new(),
        rows: rows.filter_map(Result::ok).collect(),
        truncated: ROWS_MAX < answer.n_rows(),
    };
    Table::new(snapshot, i64::MAX).ok()
}

/// What is drawn of a table; `None` where it lacks a column.
pub fn data(table: &Table, axes: &Axes) -> Option<ChartData> {
    let panel = axes.panel();
    let columns = Columns::find(&panel, table).ok()?;
    // All that there is, and not what lies behind some watermark.
    let place = |name: &str| table.columns().iter().position(|column| column.name == name);
    let ends = [place(&axes.x), place("window_end").filter(|_| axes.x == "window_start")];
    let instants = || {
        let of = |(_, row): (i64, &Kept)| {
            ends.into_iter().flatten().filter_map(|at| row.instant(at)).collect::<Vec<_>>()
        };
        table.rows().flat_map(of)
    };
    let chosen = match (instants().min(), instants().max()) {
        (Some(from), Some(to)) => Some(Range::Between { from, to: to.max(from + 1_000_000) }),
        _ => None,
    };
    let data = gather(&panel, table, columns, Span::ALL, chosen, &mut Slots::default());
    Some(ChartData { is_unsaid: table.places().is_final.is_none(), ..data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::series::Axis;
    use crate::view::grid::answer::of;

    const TIME: &str = "TIMESTAMP(3) WITH TIME ZONE";

    fn axes(columns: &[(&str, &str)]) -> Option<(Chart, String, String, Option<String>)> {
        let axes = Axes::guess(of(columns, &[]).columns())?;
        Some((axes.chart, axes.x, axes.y, axes.series))
    }

    #[test]
    fn columns_are_put_where_they_most_likely_belong() {
        let text = |text: &str| text.to_owned();
        let windows =
            [("window_end", TIME), ("window_start", TIME), ("country", "VARCHAR"), ("orders", "BIGINT")];
        let expected = (Chart::Line, text("window_start"), text("orders"), Some(text("country")));
        assert_eq!(axes(&windows), Some(expected));
        let totals = [("n", "BIGINT"), ("reason", "VARCHAR")];
        assert_eq!(axes(&totals), Some((Chart::Bar, text("reason"), text("n"), None)));
        assert_eq!(axes(&[("hour", "INT"), ("n", "INT")]), Some((Chart::Bar, text("n"), text("hour"), None)));
        assert_eq!(axes(&[("a", "VARCHAR"), ("b", TIME)]), None);
        assert_eq!(axes(&[("n", "BIGINT")]), None, "one number is no chart");
    }

    #[test]
    fn all_of_an_answer_is_drawn() {
        let columns = [("t", TIME), ("k", "VARCHAR"), ("v", "DOUBLE")];
        let rows = [
            r#"["2026-11-22T12:00:00.000Z","a",1]"#,
            r#"["2026-11-22T12:00:00.000Z","b",2]"#,
            r#"["2026-11-22T13:00:00.000Z","a",3.5]"#,
            r#"["2026-11-22T13:00:00.000Z","b",null]"#,
        ];
        let answer = of(&columns, &rows);
        let axes = Axes::guess(answer.columns()).expect("a chart");
        assert!(axes.fits(answer.columns()) && !axes.fits(&answer.columns()[..2]));
        let data = data(&table(&answer).expect("a table"), &axes).expect("its columns");
        let values: Vec<Vec<f64>> = data
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| point.value).collect())
            .collect();
        assert_eq!(values, [vec![1.0, 3.5], vec![2.0]]);
        assert!(data.is_unsaid, "nobody asked for what is final");
        assert_eq!((data.axis, data.domain.map(|(from, to)| to - from)), (Axis::Time, Some(3_600_000_000)));
    }

    #[test]
    fn more_rows_than_are_drawn_are_said() {
        let row = r#"["a",1]"#;
        let answer = of(&[("k", "VARCHAR"), ("n", "INT")], &vec![row; ROWS_MAX + 1]);
        let table = table(&answer).expect("a table");
        assert_eq!((table.len(), table.truncated()), (ROWS_MAX, true));
    }
}
