//! The rows of a panel as what its chart draws.

use weir_api::{Aggregate, Chart, Panel};

use super::series::{Axis, ChartData, MAX_SERIES, Point, Rest, Series, Slots, greatest, others};
use crate::protocol::time::{MILLISECOND, SECOND};
use crate::store::table::Table;
use crate::view::address::Range;
use crate::view::board::cells::{Cell, Cells, Columns, cells};
use crate::view::board::span::{Span, last_ms};
use crate::view::board::sql::TOP_ROWS;
use crate::view::board::unit::Unit;

/// What a panel draws of `table`.
pub fn gather(
    panel: &Panel,
    table: &Table,
    columns: Columns,
    span: Span,
    chosen: Option<Range>,
    slots: &mut Slots,
) -> ChartData {
    let cells = cells(panel, table, columns, span);
    let common = ChartData {
        watermark: table.watermark(),
        last: last_ms(panel, chosen).saturating_mul(MILLISECOND),
        domain: match chosen {
            Some(Range::Between { from, to }) => Some((from, to)),
            _ => None,
        },
        unit: Unit::of(panel.unit.as_deref(), panel.y.as_deref()),
        ..ChartData::default()
    };
    if panel.chart == Chart::Top {
        ranking(panel, table, cells, common)
    } else {
        series(panel, table, cells, columns, common, slots)
    }
}

/// What a cell comes to without the windows that are open, where that is a part of what it comes to.
fn firm(cell: &Cell<'_>, cells: &Cells<'_>, table: &Table) -> f64 {
    if cell.is_final || !matches!(cells.aggregate, Aggregate::Sum | Aggregate::Count | Aggregate::Max) {
        return 0.0;
    }
    let closed = cell.rows().filter(|row| table.is_final(row));
    let numbers = closed.filter_map(|row| match (cells.aggregate, cells.y) {
        (Aggregate::Count, _) | (_, None) => Some(1.0),
        (_, Some(y)) => row.number(y),
    });
    match cells.aggregate {
        Aggregate::Max => numbers.fold(0.0, f64::max),
        _ => numbers.sum(),
    }
}

fn series(
    panel: &Panel,
    table: &Table,
    cells: Cells<'_>,
    columns: Columns,
    common: ChartData,
    slots: &mut Slots,
) -> ChartData {
    let n_series_total = cells.lines.len();
    let lines = cells.lines.iter().map(|line| {
        let point = |cell: &Cell<'_>| {
            let value = cell.value(cells.y, cells.aggregate)?;
            let firm = if cells.axis == Axis::Time { 0.0 } else { firm(cell, &cells, table) };
            Some(Point { start: cell.x, end: cell.end, value, is_final: cell.is_final, firm })
        };
        (line.label.clone(), line.cells.iter().filter_map(point).collect::<Vec<_>>())
    });
    let (drawn, rest) = greatest(lines.collect(), MAX_SERIES);
    let is_stacked = matches!(panel.chart, Chart::Bar | Chart::Area);
    let (rest, all_others) = match cells.aggregate {
        _ if !is_stacked || rest.is_empty() => (Rest::LeftOut, None),
        Aggregate::Sum | Aggregate::Count => (Rest::AsOne, Some(others(&rest, &drawn))),
        Aggregate::Avg | Aggregate::Min | Aggregate::Max => (Rest::NotAdded, None),
    };
    let labels: Vec<String> = drawn.iter().map(|(label, _)| label.clone()).collect();
    let slots = slots.assign(&labels);
    let step = step(drawn.iter().map(|(_, points)| points.as_slice()));
    let has_windows = columns.time.is_some_and(|(start, end)| start != end);
    let is_time = cells.axis == Axis::Time;
    let series = drawn.into_iter().zip(slots).map(|((label, points), slot)| Series { label, slot, points });
    ChartData {
        series: series.chain(all_others).collect(),
        n_series_total,
        rest,
        step: if is_time { step } else { 1 },
        joins: if is_time && has_windows { step + step / 2 } else { i64::MAX },
        axis: cells.axis,
        as_bars: panel.chart == Chart::Bar,
        is_stacked,
        ..common
    }
}

/// One point for each of the greatest values, the greatest first.
fn ranking(panel: &Panel, table: &Table, cells: Cells<'_>, common: ChartData) -> ChartData {
    let n_series_total = cells.lines.len();
    let entries = cells.lines.iter().filter_map(|line| {
        let cell = line.cells.first()?;
        let firm = firm(cell, &cells, table);
        Some((line.label.clone(), cell.value(cells.y, cells.aggregate)?, cell.is_final, firm))
    });
    let mut entries: Vec<(String, f64, bool, f64)> = entries.collect();
    // The sort is stable: equal ones stay in the order of their labels.
    entries.sort_by(|(_, left, ..), (_, right, ..)| right.total_cmp(left));
    entries.truncate(TOP_ROWS);
    let points = (0..).zip(&entries).map(|(at, &(_, value, is_final, firm))| Point {
        start: at,
        end: at + 1,
        value,
        is_final,
        firm,
    });
    let label = panel.y.clone().unwrap_or_default();
    ChartData {
        series: vec![Series { label, slot: 0, points: points.collect() }],
        n_series_total,
        step: 1,
        axis: Axis::Categories(entries.into_iter().map(|(label, ..)| label).collect()),
        as_bars: true,
        ..common
    }
}

/// The smallest distance between points of a line, or the size of their windows where there is but one of each.
fn step<'a>(lines: impl Iterator<Item = &'a [Point]> + Clone) -> i64 {
    let distances =
        lines.clone().flat_map(|points| points.windows(2)).map(|pair| pair[1].start - pair[0].start);
    let size =
        || lines.clone().flatten().map(|point| point.end - point.start).max().filter(|size| *size != 0);
    // Lines with gaps only have no distance as small as a window.
    let distance = distances.filter(|distance| 0 < *distance).min();
    match (distance, size()) {
        (Some(distance), Some(size)) => distance.min(size),
        (distance, size) => distance.or(size).unwrap_or(SECOND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::board::cells::tests::{panel, table};

    const ROWS: [(i64, &str, &str, &str); 4] = [
        (0, "FR", "tea", "1.00"),
        (0, "DE", "tea", "2.00"),
        (10, "DE", "rum", "3.00"),
        (20, "DE", "tea", "7.00"),
    ];

    fn data(panel: &Panel) -> ChartData {
        let table = table(&ROWS);
        let columns = Columns::find(panel, &table).expect("the columns are there");
        gather(panel, &table, columns, Span::ALL, None, &mut Slots::default())
    }

    #[test]
    fn rows_become_series_of_points() {
        let data = data(&panel(Chart::Area, Some("window_start"), "revenue", Some("country")));
        let labels: Vec<(&str, usize)> =
            data.series.iter().map(|series| (&*series.label, series.points.len())).collect();
        assert_eq!(labels, [("DE", 3), ("FR", 1)]);
        assert_eq!((data.step, data.joins), (10 * SECOND, 15 * SECOND));
        assert!(data.is_stacked && !data.as_bars);
        let last = data.series[0].points[2];
        assert_eq!((last.value, last.is_final), (7.0, false));
    }

    #[test]
    fn a_pile_of_many_series_keeps_its_height() {
        let labels: Vec<String> = (0..30).map(|n| format!("k{n:02}")).collect();
        let rows: Vec<(i64, &str, &str, &str)> = labels
            .iter()
            .flat_map(|label| [(0, &**label, "tea", "2.00"), (20, &**label, "rum", "0.50")])
            .collect();
        let gathered = |chart, aggregate| {
            let panel = Panel { aggregate, ..panel(chart, Some("window_start"), "revenue", Some("country")) };
            let table = table(&rows);
            let columns = Columns::find(&panel, &table).expect("the columns are there");
            gather(&panel, &table, columns, Span::ALL, None, &mut Slots::default())
        };
        let area = gathered(Chart::Area, None);
        assert_eq!((area.series.len(), area.n_drawn(), area.rest), (25, 24, Rest::AsOne));
        let others = area.series.last().expect("the rest");
        let values: Vec<(f64, bool)> =
            others.points.iter().map(|point| (point.value, point.is_final)).collect();
        assert_eq!(values, [(12.0, true), (3.0, false)]);
        let total: f64 = area.series.iter().map(|series| series.points[0].value).sum();
        assert_eq!(total, 60.0);
        assert_eq!(gathered(Chart::Bar, Some(Aggregate::Count)).n_drawn(), 24);
        let averages = gathered(Chart::Area, Some(Aggregate::Avg));
        assert_eq!((averages.series.len(), averages.rest), (24, Rest::NotAdded));
        let lines = gathered(Chart::Line, None);
        assert_eq!((lines.series.len(), lines.rest), (24, Rest::LeftOut));
    }

    #[test]
    fn a_ranking_has_the_greatest_first() {
        let top =
            Panel { aggregate: Some(Aggregate::Max), ..panel(Chart::Top, None, "revenue", Some("product")) };
        let data = data(&top);
        assert_eq!(data.axis, Axis::Categories(vec!["tea".into(), "rum".into()]));
        assert_eq!(data.series[0].points.iter().map(|point| point.value).collect::<Vec<_>>(), [7.0, 3.0]);
        assert_eq!(data.start_near(1.2), Some(1));
        let firm: Vec<(bool, f64)> =
            data.series[0].points.iter().map(|point| (point.is_final, point.firm)).collect();
        assert_eq!(firm, [(false, 2.0), (true, 0.0)], "without the window that is open");
    }
}
