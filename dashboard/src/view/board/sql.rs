//! The SQL that gives the numbers of a panel: for those who want to see, check or go on from there.

use weir_api::{Aggregate, Chart, Panel};

use super::cells::{Columns, aggregate};
use super::span::Span;
use crate::protocol::time;
use crate::store::table::Table;

/// Bars of a `top` panel.
pub const TOP_ROWS: usize = 10;
/// Rows of a `table` panel's query.
const TABLE_ROWS: usize = 1_000;
/// Rows of a chosen stretch of time: as many as an answer holds.
pub const ROWS_MAX: usize = 10_000;
/// The name of a count in an answer.
pub const COUNT: &str = "n_rows";

/// The query whose answer is what `panel` shows of `table` in `span`. The bounds are absolute, so that the query means
/// the same tomorrow.
pub fn query(panel: &Panel, table: &Table, columns: Columns, span: Span) -> String {
    let from = format!("FROM {}", identifier(&panel.pipeline));
    let condition = condition(table, columns, span);
    let is_kept = |line: &String| !line.is_empty();
    let lines = |lines: [String; 5]| lines.into_iter().filter(is_kept).collect::<Vec<_>>().join("\n");
    if panel.chart == Chart::Table {
        let order = columns
            .time
            .map(|(start, _)| format!("ORDER BY {} DESC", identifier(&table.columns()[start].name)));
        let limit = format!("LIMIT {TABLE_ROWS}");
        return lines(["SELECT *".to_owned(), from, condition, order.unwrap_or_default(), limit]);
    }
    let (value, name) = value(panel);
    let keys: Vec<String> =
        [&panel.x, &panel.series].into_iter().flatten().map(|name| identifier(name)).collect();
    let keys = keys.join(", ");
    let and = if keys.is_empty() { "" } else { ", " };
    let select = format!("SELECT {keys}{and}{value} AS {name}, bool_and(_final) AS _final");
    let group = if keys.is_empty() { String::new() } else { format!("GROUP BY {keys}") };
    let order = match panel.chart {
        Chart::Top => format!("ORDER BY {name} DESC, {keys}\nLIMIT {TOP_ROWS}"),
        _ if keys.is_empty() => String::new(),
        _ => format!("ORDER BY {keys}"),
    };
    lines([select, from, condition, group, order])
}

/// The query for the newest rows of a table in a chosen stretch of time, for all panels that show it.
pub fn rows_query(name: &str, table: &Table, columns: Columns, span: Span) -> String {
    let condition = condition(table, columns, span);
    let order = columns
        .time
        .map(|(start, _)| format!("\nORDER BY {} DESC", identifier(&table.columns()[start].name)));
    format!("SELECT * FROM {}\n{condition}{}\nLIMIT {ROWS_MAX}", identifier(name), order.unwrap_or_default())
}

fn value(panel: &Panel) -> (String, String) {
    let word = match aggregate(panel) {
        Aggregate::Sum => "sum",
        Aggregate::Avg => "avg",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
        Aggregate::Count => return ("count(*)".to_owned(), COUNT.to_owned()),
    };
    let column = identifier(panel.y.as_deref().unwrap_or_default());
    (format!("{word}({column})"), column)
}

fn condition(table: &Table, columns: Columns, span: Span) -> String {
    let Some((start, end)) = columns.time else { return String::new() };
    let name = |place: usize| identifier(&table.columns()[place].name);
    let is_zoned = table.columns()[end].sql_type.contains("TIME ZONE");
    let instant = |instant: i64| {
        let text = time::instant_text(instant);
        format!("'{}'", if is_zoned { &text } else { text.trim_end_matches('Z') })
    };
    let from = (span.from != i64::MIN).then(|| format!("{} > {}", name(end), instant(span.from)));
    let to = (span.to != i64::MAX).then(|| match span.by_end {
        true => format!("{} <= {}", name(end), instant(span.to)),
        false => format!("{} < {}", name(start), instant(span.to)),
    });
    let parts: Vec<String> = from.into_iter().chain(to).collect();
    if parts.is_empty() { String::new() } else { format!("WHERE {}", parts.join(" AND ")) }
}

/// A name as SQL takes it: in quotes where it needs them.
fn identifier(name: &str) -> String {
    const RESERVED: [&str; 22] = [
        "all", "and", "as", "by", "case", "cast", "desc", "distinct", "end", "from", "group", "having", "in",
        "is", "join", "limit", "not", "on", "or", "order", "select", "where",
    ];
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
            && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if is_plain && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::board::cells::tests::{panel, table};

    fn check(panel: &Panel, span: Span, expected: &str) {
        let table = table(&[]);
        let columns = Columns::find(panel, &table).expect("the columns are there");
        assert_eq!(query(panel, &table, columns, span), expected);
    }

    #[test]
    fn a_chart_is_a_grouped_query_in_absolute_times() {
        let line = panel(Chart::Line, Some("window_start"), "revenue", Some("country"));
        check(
            &line,
            Span::between(0, 20_000_000),
            "SELECT window_start, country, sum(revenue) AS revenue, bool_and(_final) AS _final\nFROM revenue\n\
             WHERE window_end > '1970-01-01T00:00:00Z' AND window_start < '1970-01-01T00:00:20Z'\n\
             GROUP BY window_start, country\nORDER BY window_start, country",
        );
    }

    #[test]
    fn each_kind_has_its_query() {
        let top =
            Panel { aggregate: Some(Aggregate::Max), ..panel(Chart::Top, None, "revenue", Some("country")) };
        check(
            &top,
            Span::ALL,
            "SELECT country, max(revenue) AS revenue, bool_and(_final) AS _final\nFROM revenue\nGROUP BY country\n\
             ORDER BY revenue DESC, country\nLIMIT 10",
        );
        let stat = Panel { aggregate: Some(Aggregate::Count), ..panel(Chart::Stat, None, "revenue", None) };
        check(
            &stat,
            Span::between(10_000_000, i64::MAX),
            "SELECT count(*) AS n_rows, bool_and(_final) AS _final\nFROM revenue\nWHERE window_end > '1970-01-01T00:00:10Z'",
        );
        let rows = Panel { y: None, ..panel(Chart::Table, None, "revenue", None) };
        check(&rows, Span::ALL, "SELECT *\nFROM revenue\nORDER BY window_start DESC\nLIMIT 1000");
    }

    #[test]
    fn names_that_need_quotes_have_them() {
        assert_eq!(
            [identifier("order"), identifier("Größe"), identifier("a_1")],
            ["\"order\"", "\"Größe\"", "a_1"]
        );
    }
}
