//! A panel for a dashboard's file, made of an answer: what `dashboards/NAME.yaml` takes.
//!
//! A panel shows columns of one result table. What a query does beyond that is said, so that nobody takes the panel for
//! the query.

use weir_api::Column;

use super::grid::answer::Answer;
use super::number::is_numeric;

/// What can be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// A list item of `panels:`; `None`: no panel can show this.
    pub yaml: Option<String>,
    /// Where it goes, or why there is none, and what it leaves out.
    pub sentence: String,
}

/// The panel of an answer to `query`. `columns` are those of the result table that it reads.
pub fn pin(query: &str, answer: &Answer, columns: Option<&[Column]>) -> Pin {
    let none = |sentence: &str| Pin { yaml: None, sentence: sentence.to_owned() };
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
        (Some(_), Some(series)) => ("line", format!("{} by {}", capital(&measure.name), series.name)),
        (Some(_), None) => ("bar", capital(&measure.name)),
        (None, Some(series)) => ("top", format!("{} by {}", capital(&measure.name), series.name)),
        (None, None) => ("stat", capital(&measure.name)),
    };
    let mut yaml = format!("  - title: {title}\n    pipeline: {table}\n    chart: {chart}\n");
    let mut add = |key: &str, value: &str| yaml.push_str(&format!("    {key}: {}\n", scalar(value)));
    if let Some(time) = time {
        add("x", &time.name);
    }
    add("y", &measure.name);
    match (time, series) {
        (Some(_), Some(series)) => add("series", &series.name),
        (None, Some(series)) => {
            add("series", &series.name);
            add("aggregate", "sum");
        }
        (None, None) => add("aggregate", "sum"),
        (Some(_), None) => {}
    }
    add("last", "30m");
    Pin { yaml: Some(yaml), sentence: sentence(query, table, &computed) }
}

fn sentence(query: &str, table: &str, computed: &[&Column]) -> String {
    let mut text = "Put it under panels: in a file of dashboards/, and start weir again.".to_owned();
    if let Some(column) = computed.first() {
        text.push_str(&format!(" \"{}\" is no column of {table}: a panel can't compute it.", column.name));
    }
    let words = query.to_lowercase();
    if words.split_whitespace().any(|word| word == "where" || word == "having") {
        text.push_str(" The query's filters are not part of a panel.");
    }
    text
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

/// A YAML scalar: in quotes where it would be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic() || text == "30m")
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&&*text.to_lowercase());
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
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
            pin.yaml.as_deref(),
            Some(
                "  - title: Revenue by country\n    pipeline: revenue\n    chart: line\n    x: window_start\n    y: revenue\n    series: country\n    last: 30m\n"
            )
        );
        assert!(pin.sentence.contains("filters are not part"));
    }

    #[test]
    fn what_a_panel_can_not_show_is_said() {
        let answer = of(&[("share", "DOUBLE"), ("orders", "BIGINT")], &[]);
        let pin = pin("SELECT 1", &answer, Some(&[column("orders")]));
        let yaml = pin.yaml.expect("orders can be shown");
        assert!(
            yaml.contains("chart: stat") && yaml.contains("y: orders") && yaml.contains("aggregate: sum"),
            "{yaml}"
        );
        assert!(pin.sentence.contains("\"share\" is no column of revenue"));
        assert_eq!(super::pin("SELECT 1", &of(&[("t", "VARCHAR")], &[]), None).yaml, None);
        assert_eq!(scalar("on"), "\"on\"");
    }

    #[test]
    fn sums_by_key_are_a_ranking() {
        let answer = of(&[("country", "VARCHAR"), ("revenue", "DOUBLE")], &[]);
        assert_eq!(
            pin("SELECT 1", &answer, None).yaml.as_deref(),
            Some(
                "  - title: Revenue by country\n    pipeline: revenue\n    chart: top\n    y: revenue\n    series: country\n    aggregate: sum\n    last: 30m\n"
            )
        );
    }
}
