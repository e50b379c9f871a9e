//! One number of a panel: which rows it is of, whether it is final, and what forms behind it.
//!
//! Without `last` it is of the newest window that is final, since one that has just begun says little; with `last` of
//! the windows that ended in that span up to there. Where nothing is final yet it is of the windows that are open. With a
//! chosen stretch of time it is as it was at the end of that, of windows that had ended: its title goes on being true.

use weir_api::Panel;

use super::cells::{Cell, Columns, Line, cells};
use super::span::{Span, own_last_ms};
use super::unit::{Unit, n_decimals};
use crate::protocol::time::MILLISECOND;
use crate::store::table::Table;
use crate::view::address::Range;
use crate::view::number::fixed;
use crate::view::zone::Zone;

/// Values of the small line behind the number.
const HISTORY: usize = 60;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure<'a> {
    /// All rows of the number as one cell, from the start of the first window to the end of the last.
    pub cell: Cell<'a>,
    pub value: Option<f64>,
    /// The rows of the number.
    pub span: Span,
    /// The window that closes next, and its value so far.
    pub next: Option<(i64, i64, f64)>,
    /// The values of the last final windows, oldest first.
    pub history: Vec<f64>,
}

/// What is shown of a [`Figure`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FigureView {
    pub value: String,
    /// What it counts, where that stands behind it; else empty.
    pub unit: String,
    pub is_final: bool,
    /// From the start of the first window that it is of to the end of the last, in microseconds since 1970.
    pub bounds: (i64, i64),
    /// Which stretch that is: `12:04:20 – 12:04:30, final`.
    pub of: String,
    /// What is forming: `so far 123 in 12:04:30 – 12:04:40`; empty where nothing is.
    pub next: String,
    /// Points of a line in a box of 100 × 24, as SVG spells them; empty where there is no history.
    pub spark: String,
}

/// The number of a panel; `None` where there are no rows for it.
pub fn figure<'a>(
    panel: &Panel,
    table: &'a Table,
    columns: Columns,
    chosen: Option<Range>,
) -> Option<Figure<'a>> {
    let by_end = Columns { x: columns.time.map(|(_, end)| end), series: None, ..columns };
    let span = match chosen {
        Some(Range::Between { to, .. } | Range::Until(to)) => Span::ending(i64::MIN, to),
        _ => Span::ALL,
    };
    let all = cells(panel, table, by_end, span);
    let line = all.lines.first()?;
    // A cell stands at its end here: its start is as far before as its own end is behind.
    let bounds = |cell: &Cell<'_>| (cell.x - (cell.end - cell.x), cell.x);
    let newest_final = line.cells.iter().rev().find(|cell| cell.is_final).map(|cell| cell.x);
    let until = newest_final.or(line.cells.last().map(|cell| cell.x))?;
    let has_windows = columns.time.is_some_and(|(start, end)| start != end);
    let before = || line.cells.iter().rev().map(|cell| cell.x).find(|x| *x < until);
    let span = match own_last_ms(panel) {
        Some(last_ms) => Span::ending(until.saturating_sub(last_ms.saturating_mul(MILLISECOND)), until),
        None if !has_windows => span,
        None => Span::ending(before().unwrap_or(i64::MIN).max(start_of(line, until)), until),
    };
    let mut parts = line.cells.iter().filter(|cell| {
        let (start, end) = bounds(cell);
        span.holds(start, end)
    });
    let mut cell = parts.next()?.clone();
    (cell.x, cell.end) = bounds(&cell);
    for part in parts {
        let mut part = part.clone();
        (_, part.end) = bounds(&part);
        cell.join(part);
    }
    let value_of = |cell: &Cell<'_>| cell.value(all.y, all.aggregate);
    let next = line.cells.iter().find(|other| !other.is_final && cell.end < other.x);
    let next = next.and_then(|next| Some((bounds(next).0, next.x, value_of(next)?)));
    let finals = line.cells.iter().rev().filter(|cell| cell.is_final).take(HISTORY);
    let mut history: Vec<f64> = finals.filter_map(value_of).collect();
    history.reverse();
    Some(Figure { value: value_of(&cell), cell, span, next, history })
}

/// The start of the window that ends at `end`.
fn start_of(line: &Line<'_>, end: i64) -> i64 {
    let cell = line.cells.iter().find(|cell| cell.x == end);
    cell.map_or(end, |cell| cell.x - (cell.end - cell.x))
}

/// The texts of a number.
pub fn view(figure: &Figure<'_>, unit: &Unit, zone: &Zone) -> FigureView {
    let cell = &figure.cell;
    let window = |start: i64, end: i64| {
        if start == end { zone.clock(end) } else { format!("{} – {}", zone.clock(start), zone.clock(end)) }
    };
    let next = figure.next.map(|(.., value)| value);
    let n_decimals = n_decimals(figure.history.iter().copied().chain(figure.value).chain(next));
    let state = if cell.is_final { "final" } else { "provisional" };
    let next = figure.next.map(|(start, end, value)| {
        format!("so far {} in {}", unit.full(value, n_decimals), window(start, end))
    });
    FigureView {
        value: figure.value.map_or_else(|| "–".to_owned(), |value| unit.bare(value, n_decimals)),
        unit: unit.axis_text().to_owned(),
        is_final: cell.is_final,
        bounds: (cell.x, cell.end),
        of: format!("{}, {state}", window(cell.x, cell.end)),
        next: next.unwrap_or_default(),
        spark: spark(&figure.history),
    }
}

fn spark(values: &[f64]) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let low = values.iter().copied().fold(0.0, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    let height = if low < high { high - low } else { 1.0 };
    let step = 100.0 / (values.len() - 1) as f64;
    let points = values.iter().enumerate().map(|(at, value)| {
        format!("{},{}", fixed(at as f64 * step, 1), fixed(23.0 - 22.0 * (value - low) / height, 1))
    });
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use weir_api::Chart;

    use super::*;
    use crate::view::board::cells::tests::{panel, table};

    const SECOND: i64 = 1_000_000;

    fn check(
        last: Option<&str>,
        chosen: Option<Range>,
        rows: &[(i64, &str, &str, &str)],
        expected: (&str, &str, &str),
    ) {
        let panel = Panel { last: last.map(str::to_owned), ..panel(Chart::Stat, None, "revenue", None) };
        let table = table(rows);
        let columns = Columns::find(&panel, &table).expect("the columns are there");
        let figure = figure(&panel, &table, columns, chosen).expect("there are rows");
        let view = view(&figure, &Unit::None, &Zone::default());
        assert_eq!((view.value.as_str(), view.of.as_str(), view.next.as_str()), expected);
    }

    const ROWS: [(i64, &str, &str, &str); 5] = [
        (0, "DE", "tea", "1.00"),
        (10, "DE", "tea", "2.00"),
        (10, "FR", "tea", "3.50"),
        (20, "DE", "tea", "8.00"),
        (30, "DE", "tea", "1.00"),
    ];

    #[test]
    fn a_number_is_of_the_newest_final_window_or_of_its_span() {
        let next = "so far 8.00 in 00:00:20 – 00:00:30";
        check(None, None, &ROWS, ("5.50", "00:00:10 – 00:00:20, final", next));
        check(Some("10s"), None, &ROWS, ("5.50", "00:00:10 – 00:00:20, final", next));
        check(Some("20s"), Some(Range::Last(1)), &ROWS, ("6.50", "00:00:00 – 00:00:20, final", next));
        let chosen = Range::Between { from: 10 * SECOND, to: 30 * SECOND };
        check(Some("10s"), Some(chosen), &ROWS, ("5.50", "00:00:10 – 00:00:20, final", next));
        let earlier = Some(Range::Between { from: 0, to: 29 * SECOND });
        check(None, earlier, &ROWS, ("5.50", "00:00:10 – 00:00:20, final", ""));
        check(None, Some(Range::Until(19 * SECOND)), &ROWS, ("1", "00:00:00 – 00:00:10, final", ""));
    }

    #[test]
    fn where_nothing_is_final_the_open_window_is_shown() {
        check(None, None, &ROWS[3..4], ("8", "00:00:20 – 00:00:30, provisional", ""));
    }

    #[test]
    fn history_is_a_line_from_zero() {
        assert_eq!(spark(&[0.0, 5.0, 10.0]), "0.0,23.0 50.0,12.0 100.0,1.0");
        assert_eq!((spark(&[1.0]).as_str(), spark(&[0.0, 0.0]).as_str()), ("", "0.0,23.0 100.0,23.0"));
    }
}
