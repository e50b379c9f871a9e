//! A dashboard as the file that the server reads: one key a line, so that a change is small under git.

use serde_json::Value;
use weir_api::{Dashboard, Panel};

use crate::protocol::json;

/// The text of `dashboards/NAME.yaml`.
pub fn yaml(dashboard: &Dashboard) -> String {
    let mut text = format!("title: {}\n", scalar(&dashboard.title));
    if dashboard.panels.is_empty() {
        return text + "panels: []\n";
    }
    text.push_str("panels:\n");
    dashboard.panels.iter().for_each(|panel| text.push_str(&item(panel)));
    text
}

/// A panel as an item of the list `panels:`.
pub fn item(panel: &Panel) -> String {
    let mut text = String::new();
    for (at, (key, value)) in entries(panel).into_iter().enumerate() {
        let indent = if at == 0 { "  - " } else { "    " };
        text.push_str(&format!("{indent}{key}: {value}\n"));
    }
    text
}

/// The keys that a panel has, in the order of the file.
fn entries(panel: &Panel) -> Vec<(&'static str, String)> {
    let word = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    let chart = word(serde_json::to_value(panel.chart).ok());
    let aggregate = panel.aggregate.and_then(|aggregate| word(serde_json::to_value(aggregate).ok()));
    let text = |text: &Option<String>| text.as_deref().map(scalar);
    let number = |number: Option<u8>| number.map(|number| number.to_string());
    let entries = [
        ("title", Some(scalar(&panel.title))),
        ("pipeline", Some(scalar(&panel.pipeline))),
        ("chart", chart),
        ("x", text(&panel.x)),
        ("y", text(&panel.y)),
        ("series", text(&panel.series)),
        ("aggregate", aggregate),
        ("last", text(&panel.last)),
        ("unit", text(&panel.unit)),
        ("width", number(panel.width)),
        ("height", number(panel.height)),
    ];
    entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// A text as YAML reads it back: bare where that is safe, in double quotes with JSON's escapes elsewhere. `${` would take
/// a variable's value and is doubled.
fn scalar(text: &str) -> String {
    let text = text.replace("${", "$${");
    let is_word = |letter: char| letter.is_alphanumeric() || " _-./()+".contains(letter);
    let begins_well = text.starts_with(|letter: char| letter.is_alphabetic());
    let is_taken =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if begins_well && !is_taken && text.chars().all(is_word) && !text.ends_with(' ') {
        return text;
    }
    let mut quoted = String::new();
    json::push_string(&mut quoted, &text);
    quoted
}

#[cfg(test)]
mod tests {
    use weir_api::Chart;

    use super::*;
    use crate::view::board::cells::tests::panel;

    #[test]
    fn a_dashboard_is_written_one_key_a_line() {
        let line = Panel {
            last: Some("30m".into()),
            unit: Some("%".into()),
            width: Some(8),
            ..panel(Chart::Line, Some("window_start"), "revenue", Some("country"))
        };
        let dashboard = Dashboard { title: "Shop: today".into(), panels: vec![line] };
        assert_eq!(
            yaml(&dashboard),
            "title: \"Shop: today\"\npanels:\n  - title: Revenue\n    pipeline: revenue\n    chart: line\n    \
             x: window_start\n    y: revenue\n    series: country\n    last: \"30m\"\n    unit: \"%\"\n    width: 8\n"
        );
        assert_eq!(yaml(&Dashboard { title: "a".into(), panels: Vec::new() }), "title: a\npanels: []\n");
    }

    #[test]
    fn texts_that_mean_something_else_are_quoted() {
        for (text, expected) in [
            ("Revenue by country (EUR)", "Revenue by country (EUR)"),
            ("no", "\"no\""),
            ("1e3", "\"1e3\""),
            ("a: b", "\"a: b\""),
            ("a \"b\"", "\"a \\\"b\\\"\""),
            ("", "\"\""),
            ("cost ${X}", "\"cost $${X}\""),
            ("Umsatz für Köln", "Umsatz für Köln"),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }
}
