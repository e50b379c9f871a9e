//! The query: what to offer, what its answer says of itself, where an error is, when a live one runs again.

use std::collections::BTreeMap;

use weir_api::Column;

use super::complete::quoted;
use super::explain;
use super::grid::answer::{Answer, Ended, ROWS_MAX};
use super::number::{grouped, millis, whole_span};

/// A live query does not run more often than epochs end.
const LIVE_EVERY_MS: f64 = 250.0;
/// One that reads no result table runs again after so long: nothing tells that its answer is another.
const LIVE_BLIND_MS: f64 = 2_000.0;

/// A run says how long it takes once it has taken so long.
const SAID_FROM_MS: f64 = 2_000.0;
/// Tables of facts of epochs, of which the newest are wanted. The others show how things are.
const BY_EPOCH: [&str; 3] = ["weir.epochs", "weir.floors", "weir.dead_letters"];

/// A query for the newest rows of a table with these columns; windows in the order of their first text.
pub fn newest(table: &str, columns: &[Column]) -> String {
    let named = |name: &str| columns.iter().find(|column| column.name == name);
    let is_text = |column: &&Column| column.sql_type == "VARCHAR";
    let mut order: Vec<String> = Vec::new();
    if table.starts_with("weir.") {
        order.extend(BY_EPOCH.contains(&table).then(|| "epoch DESC".to_owned()));
    } else if let Some(start) = named("window_start").or_else(|| named("window_end")) {
        order.push(format!("{} DESC", start.name));
        order.extend(columns.iter().find(is_text).map(|text| quoted(&text.name)));
    } else if let Some(time) = columns.iter().find(|column| column.sql_type.starts_with("TIMESTAMP")) {
        order.push(format!("{} DESC", quoted(&time.name)));
    }
    let order = if order.is_empty() { String::new() } else { format!("\nORDER BY {}", order.join(", ")) };
    format!("SELECT *\nFROM {table}{order}\nLIMIT 100")
}

/// What is said of a run that is under way; it is ended after `limit_ms`.
pub fn running(since_ms: f64, limit_ms: f64) -> String {
    if since_ms < SAID_FROM_MS {
        return "Running.".to_owned();
    }
    format!("Running for {}; it is ended after {}.", whole_span(since_ms), whole_span(limit_ms))
}

/// What is said of a run that was cancelled; `answer` is what had come of it.
pub fn cancelled(answer: Option<&Answer>) -> String {
    match answer.map(Answer::n_rows) {
        None | Some(0) => "Cancelled.".to_owned(),
        Some(n_rows) => format!("Cancelled: only {} rows had come.", grouped(&n_rows.to_string())),
    }
}

/// `12 rows in 3.1 ms, revenue at epoch 812.`, and what is not there.
pub fn summary(answer: &Answer) -> String {
    let n_rows = grouped(&answer.n_rows().to_string());
    let rows = if answer.n_rows() == 1 { "1 row".to_owned() } else { format!("{n_rows} rows") };
    let mut text = match answer.ended() {
        Ended::Whole { elapsed_ms } if explain::is_run(answer) => format!("Run in {}", millis(*elapsed_ms)),
        Ended::Whole { elapsed_ms } if explain::is_plan(answer) => {
            format!("Planned in {}, not run", millis(*elapsed_ms))
        }
        Ended::NotYet => format!("{rows} so far"),
        Ended::Whole { elapsed_ms } => format!("{rows} in {}", millis(*elapsed_ms)),
        Ended::Failed(_) => format!("Only the first {rows}"),
        Ended::Full => format!("The first {rows}"),
    };
    for (pipeline, epoch) in answer.epochs() {
        text.push_str(&format!(", {pipeline} at epoch {}", grouped(&epoch.to_string())));
    }
    text.push('.');
    match answer.ended() {
        Ended::Full => {
            let most = grouped(&ROWS_MAX.to_string());
            text.push_str(&format!(
                " There are more than a page holds ({most} rows, 128 MiB): `weir sql` has no limit."
            ));
        }
        Ended::Failed(problem) => text.push_str(&format!(" Then the query failed: {problem}.")),
        Ended::NotYet | Ended::Whole { .. } => {}
    }
    text
}

/// Whether a live query runs again: what it read is no longer the newest, and the last run began long enough ago.
/// `read` and `newest` are epochs by pipeline.
pub fn is_due(
    read: &BTreeMap<String, u64>,
    newest: impl Fn(&str) -> Option<u64>,
    ms_since_start: f64,
) -> bool {
    if read.is_empty() {
        return LIVE_BLIND_MS <= ms_since_start;
    }
    LIVE_EVERY_MS <= ms_since_start
        && read.iter().any(|(pipeline, epoch)| newest(pipeline).is_some_and(|newest| *epoch < newest))
}

/// The word that an error points to, in UTF-16 units from the start of `query`: from where to where. At least one
/// letter, where there is one.
pub fn underlined(query: &str, line: u64, column: u64) -> Option<(u32, u32)> {
    let from = offset(query, line, column)?;
    let (line_at, column_at) = positions(line, column)?;
    let text = query.lines().nth(line_at)?;
    let rest: Vec<char> = text.chars().skip(column_at).collect();
    let is_inside = |letter: &&char| letter.is_alphanumeric() || **letter == '_';
    let n_letters = rest.iter().take_while(is_inside).count().max(1).min(rest.len());
    let n_units: usize = rest[..n_letters].iter().map(|letter| letter.len_utf16()).sum();
    if n_units == 0 {
        // It points behind the end: what is missing is missing after the last letter.
        return from.checked_sub(1).map(|before| (before, from));
    }
    Some((from, from + u32::try_from(n_units).ok()?))
}

/// The line of `query` that an error points to, and a line with a caret below its column. Both positions are 1-based;
/// `None` where they are not in the text.
pub fn excerpt(query: &str, line: u64, column: u64) -> Option<(String, String)> {
    let (line_at, column_at) = positions(line, column)?;
    let text = query.lines().nth(line_at)?;
    let n_before = text.chars().count().min(column_at);
    // A tab in front stays a tab, so that the caret stands below its character.
    let space: String =
        text.chars().take(n_before).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
    Some((text.to_owned(), space + "^"))
}

/// Where an error is in `query`, counted as a browser's text field counts: in UTF-16 units.
pub fn offset(query: &str, line: u64, column: u64) -> Option<u32> {
    let (line_at, column_at) = positions(line, column)?;
    let before: usize = query.split_inclusive('\n').take(line_at).map(str::len).sum();
    let text = query.get(before..)?.lines().next()?;
    let n_units = |text: &str| text.encode_utf16().count();
    let in_line: usize = text.chars().take(column_at).map(char::len_utf16).sum();
    u32::try_from(n_units(&query[..before]) + in_line).ok()
}

fn positions(line: u64, column: u64) -> Option<(usize, usize)> {
    let zero_based = |position: u64| usize::try_from(position.checked_sub(1)?).ok();
    Some((zero_based(line)?, zero_based(column)?))
}

#[cfg(test)]
mod tests {
    use super::super::grid::answer::of;
    use super::*;

    #[test]
    fn answer_says_how_whole_it_is() {
        let mut answer = of(&[("n", "BIGINT")], &["[1]"]);
        assert_eq!(summary(&answer), "1 row in 3.1 ms, revenue at epoch 812.");
        answer = Answer::default();
        answer.push(b"{\"columns\":[],\"epochs\":{}}\n[]\n[]\n").expect("rows");
        assert_eq!(summary(&answer), "2 rows so far.");
        let problem =
            r#"{"problem":{"type":"urn:weir:error:E0305","title":"t","status":503,"detail":"too long"}}"#;
        answer.push(format!("{problem}\n").as_bytes()).expect("an end");
        assert_eq!(summary(&answer), "Only the first 2 rows. Then the query failed: too long [E0305].");
    }

    #[test]
    fn plans_have_no_rows() {
        let explained = |kind: &str| {
            let row = format!("[\"{kind}\",\"AggregateExec\"]");
            summary(&of(&[("plan_type", "VARCHAR"), ("plan", "VARCHAR")], &[&row]))
        };
        assert_eq!(explained("logical_plan"), "Planned in 3.1 ms, not run, revenue at epoch 812.");
        assert_eq!(explained("Plan with Metrics"), "Run in 3.1 ms, revenue at epoch 812.");
    }

    #[test]
    fn newest_rows_stand_first() {
        let column = |(name, sql_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            sql_type: (*sql_type).to_owned(),
            nullable: false,
        };
        let check = |table: &str, columns: &[(&str, &str)], expected: &str| {
            let columns: Vec<Column> = columns.iter().map(column).collect();
            assert_eq!(newest(table, &columns), format!("SELECT *\nFROM {table}{expected}\nLIMIT 100"));
        };
        let instant = "TIMESTAMP(3) WITH TIME ZONE";
        check(
            "revenue",
            &[("orders", "BIGINT"), ("window_start", instant), ("Country", "VARCHAR")],
            "\nORDER BY window_start DESC, \"Country\"",
        );
        check("large", &[("id", "BIGINT"), ("at", instant)], "\nORDER BY at DESC");
        check("plain", &[("id", "BIGINT")], "");
        check("weir.epochs", &[("epoch", "BIGINT")], "\nORDER BY epoch DESC");
        check("weir.partitions", &[("watermark", instant)], "");
    }

    #[test]
    fn runs_say_how_long_they_take() {
        assert_eq!(running(1_999.0, 60_000.0), "Running.");
        assert_eq!(running(12_400.0, 60_000.0), "Running for 12 s; it is ended after 1 min 00 s.");
        assert_eq!(cancelled(None), "Cancelled.");
        assert_eq!(cancelled(Some(&of(&[], &["[]", "[]"]))), "Cancelled: only 2 rows had come.");
    }

    #[test]
    fn live_queries_run_when_there_is_something_new() {
        let read = BTreeMap::from([("a".to_owned(), 5_u64)]);
        assert!(!is_due(&read, |_| Some(5), 9_000.0));
        assert!(is_due(&read, |_| Some(6), 250.0));
        assert!(!is_due(&read, |_| Some(6), 249.0), "not more often than epochs end");
        assert!(!is_due(&read, |_| None, 9_000.0));
        assert!(
            !is_due(&BTreeMap::new(), |_| Some(6), 1_999.0) && is_due(&BTreeMap::new(), |_| None, 2_000.0)
        );
    }

    #[test]
    fn error_is_underlined_as_a_word() {
        assert_eq!(underlined("SELECT é,\n\tcontry\nFROM t", 2, 2), Some((11, 17)));
        assert_eq!(underlined("SELECT (", 1, 9), Some((7, 8)), "behind the end is its last letter");
        assert_eq!(underlined("SELECT ,", 1, 8), Some((7, 8)));
        assert_eq!((underlined("", 1, 1), underlined("a", 9, 1)), (None, None));
    }

    #[test]
    fn caret_stands_below_the_error() {
        let query = "SELECT é,\n\tcontry\nFROM t";
        assert_eq!(excerpt(query, 2, 2), Some(("\tcontry".into(), "\t^".into())));
        assert_eq!(excerpt(query, 1, 99), Some(("SELECT é,".into(), "         ^".into())));
        assert_eq!((excerpt(query, 4, 1), excerpt(query, 0, 1)), (None, None));
        assert_eq!(offset(query, 2, 2), Some(11));
        assert_eq!(offset("a😀b", 1, 3), Some(3));
        assert_eq!(offset(query, 9, 1), None);
    }
}
