//! A panel for a dashboard, made of an answer.
//!
//! A panel shows columns of one result table. What a query does beyond that is said, so that nobody takes the panel for
//! the query.

use weir_api::{Aggregate, Chart, Column, Panel};

use super::grid::answer::Answer;
use super::number::is_numeric;

/// What can be pinned.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// `None`: no panel can show this.
    pub panel: Option<Panel>,
    /// What the panel leaves out, or why there is none; empty: it shows all.
    pub sentence: String,
}

/// The panel of an answer to `query`. `columns` are those of the result table that it reads.
pub fn pin(query: &str, answer: &Answer, columns: Option<&[Column]>) -> Pin {
    let none = |sentence: &str| Pin { panel: None, sentence: sentence.to_owned() };
    let mut tables = answer.epochs().keys();
    let (Some(table), None) = (tables.next(), tables.next()) else {
        return none(
            "A panel shows columns of one result table. Write a query over one, or make this one a pipeline.",
        );
    };
    let is_column = |column: &&Column| {
        columns.is_none_or(|columns| columns.iter().any(|known| known.name == column.name))
    };
    let (known, computed): (Vec<&Column>, Vec<&Column>) = answer.columns().iter().partition(is_column);
    let time = known
        .iter()
        .find(|column| column.name == "window_start")
        .or_else(|| known.iter().find(|column| is_time(column)));
    let measure = known.iter().find(|column| is_numeric(column));
    let series = known.iter().find(|column| column.sql_type == "VARCHAR");
    let Some(measure) = measure else {
        return none(
            "A panel measures a column of the result table, and this answer has none that is a number.",
        );
    };
    let (chart, title) = match (time, series) {
        (Some(_), Some(series)) => (Chart::Line, format!("{} by {}", capital(&measure.name), series.name)),
        (Some(_), None) => (Chart::Bar, capital(&measure.name)),
        (None, Some(series)) => (Chart::Top, format!("{} by {}", capital(&measure.name), series.name)),
        (None, None) => (Chart::Stat, capital(&measure.name)),
    };
    let panel = Panel {
        title,
        pipeline: table.clone(),
        chart,
        x: time.map(|time| time.name.clone()),
        y: Some(measure.name.clone()),
        series: series.map(|series| series.name.clone()),
        aggregate: time.is_none().then_some(Aggregate::Sum),
        last: Some("30m".to_owned()),
        unit: None,
        width: None,
        height: None,
    };
    Pin { panel: Some(panel), sentence: left_out(query, table, &computed) }
}

/// What of the query is no part of the panel.
fn left_out(query: &str, table: &str, computed: &[&Column]) -> String {
    let words = query.to_lowercase();
    let has =
        |any: &[&str]| words.split(|letter: char| !letter.is_alphanumeric()).any(|word| any.contains(&word));
    let mut parts = Vec::new();
    parts.extend(has(&["where", "having"]).then(|| "the conditions".to_owned()));
    parts.extend(has(&["join"]).then(|| "the join".to_owned()));
    parts.extend(computed.first().map(|column| format!("the computed column \"{}\"", column.name)));
    if parts.is_empty() {
        return String::new();
    }
    format!(
        "A panel shows columns of {table} as they are. It leaves out {} of this query: to have those, make the query a pipeline.",
        parts.join(" and ")
    )
}

fn is_time(column: &Column) -> bool {
    column.sql_type.starts_with("TIMESTAMP") || column.sql_type == "DATE"
}

fn capital(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::board::yaml;
    use super::super::grid::answer::of;
    use super::*;

    fn column(name: &str) -> Column {
        Column { name: name.into(), sql_type: "DOUBLE".into(), nullable: true }
    }

    #[test]
    fn windows_by_key_are_a_line_chart() {
        let answer = of(
            &[("window_start", "TIMESTAMP(3) WITH TIME ZONE"), ("country", "VARCHAR"), ("revenue", "DOUBLE")],
            &[],
        );
        let pin = pin("SELECT … WHERE x", &answer, None);
        assert_eq!(
            pin.panel.as_ref().map(yaml::item).as_deref(),
            Some(
                "  - title: Revenue by country\n    pipeline: revenue\n    chart: line\n    x: window_start\n    y: revenue\n    series: country\n    last: \"30m\"\n"
            )
        );
        let sentence = "A panel shows columns of revenue as they are. It leaves out the conditions of this query: to have those, make the query a pipeline.";
        assert_eq!(pin.sentence, sentence);
    }

    #[test]
    fn what_a_panel_can_not_show_is_said() {
        let answer = of(&[("share", "DOUBLE"), ("orders", "BIGINT")], &[]);
        let pin = pin("SELECT 1", &answer, Some(&[column("orders")]));
        let panel = pin.panel.expect("orders can be shown");
        assert_eq!((panel.chart, panel.y.as_deref()), (Chart::Stat, Some("orders")));
        assert_eq!(panel.aggregate, Some(Aggregate::Sum));
        assert!(pin.sentence.contains("leaves out the computed column \"share\" of this query"));
        assert_eq!(super::pin("SELECT 1", &of(&[("t", "VARCHAR")], &[]), None).panel, None);
    }

    #[test]
    fn sums_by_key_are_a_ranking() {
        let answer = of(&[("country", "VARCHAR"), ("revenue", "DOUBLE")], &[]);
        let pin = pin("SELECT 1", &answer, None);
        let panel = pin.panel.expect("a ranking");
        assert_eq!((panel.chart, panel.series.as_deref()), (Chart::Top, Some("country")));
        assert_eq!((panel.x, pin.sentence.as_str()), (None, ""));
    }
}
