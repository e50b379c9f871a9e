//! The query box: what to offer, what an answer says of itself, where an error is.

use weir_api::SqlResponse;

use super::number::grouped;

/// Rows of an answer that are put on the page. More make a browser slow and nobody read them.
pub const MAX_RENDERED_ROWS: usize = 1_000;

/// A first query: of a pipeline, else of what there is in any project.
pub fn suggestion(pipeline: Option<&str>) -> String {
    match pipeline {
        Some(pipeline) => format!("SELECT *\nFROM {pipeline}\nLIMIT 100"),
        None => "SELECT *\nFROM weir.pipelines".to_owned(),
    }
}

/// `12 rows in 3.1 ms, revenue at epoch 812`, and what is not shown.
pub fn summary(answer: &SqlResponse) -> String {
    let rows = match answer.row_count {
        1 => "1 row".to_owned(),
        n => format!("{} rows", grouped(&n.to_string())),
    };
    let mut text = format!("{rows} in {:.1} ms", answer.elapsed_ms);
    for (pipeline, epoch) in &answer.epochs {
        text.push_str(&format!(", {pipeline} at epoch {}", grouped(&epoch.to_string())));
    }
    text.push('.');
    if MAX_RENDERED_ROWS < answer.rows.len() {
        text.push_str(&format!(" The first {} are shown.", grouped(&MAX_RENDERED_ROWS.to_string())));
    }
    if answer.truncated {
        text.push_str(" The query has more rows than an answer holds.");
    }
    text
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
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn answer_says_how_much_of_it_is_shown() {
        let mut answer = SqlResponse {
            columns: Vec::new(),
            rows: vec![Vec::new(); 2_000],
            row_count: 2_000,
            truncated: false,
            epochs: BTreeMap::from([("revenue".to_owned(), 1_812)]),
            elapsed_ms: 3.12,
        };
        assert_eq!(
            summary(&answer),
            "2,000 rows in 3.1 ms, revenue at epoch 1,812. The first 1,000 are shown."
        );
        answer = SqlResponse { rows: vec![Vec::new()], row_count: 1, epochs: BTreeMap::new(), ..answer };
        assert_eq!(summary(&answer), "1 row in 3.1 ms.");
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
