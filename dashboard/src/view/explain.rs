//! An answer to EXPLAIN as a tree of operators, the one that gives the answer on top.

use super::grid::answer::Answer;
use super::grid::cells;

/// Lines of a plan that are shown.
pub const LINES_MAX: usize = 400;
/// Levels that are told apart; deeper ones stand as far right as this.
pub const DEPTH_MAX: usize = 24;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// `Physical plan`.
    pub title: String,
    pub lines: Vec<Line>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub depth: usize,
    /// `AggregateExec`.
    pub name: String,
    /// What it does, each part by itself: `mode=Final`, `gby=[country@0 as country]`.
    pub parts: Vec<String>,
    /// What it took, where the query was run: `output_rows=12`.
    pub metrics: Vec<String>,
}

/// The plans of an answer; `None` where it is none of EXPLAIN. The physical one comes first.
pub fn plans(answer: &Answer) -> Option<Vec<Plan>> {
    let names: Vec<&str> = answer.columns().iter().map(|column| column.name.as_str()).collect();
    if names != ["plan_type", "plan"] {
        return None;
    }
    let plan = |row: usize| {
        let cells = cells::split(answer.row(row));
        let [kind, plan] = cells.as_slice() else { return None };
        let (kind, plan) = (cells::text(kind), cells::text(plan));
        Some(Plan {
            title: title(&kind),
            lines: plan.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX).map(line).collect(),
        })
    };
    let mut plans: Vec<Plan> = (0..answer.n_rows()).filter_map(plan).collect();
    plans.sort_by_key(|plan| !plan.title.starts_with("Phys") && !plan.title.starts_with("Plan with"));
    Some(plans)
}

fn title(kind: &str) -> String {
    let text = kind.replace('_', " ");
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

/// Two spaces a level, the name, a colon, parts with commas between, metrics at the end.
fn line(text: &str) -> Line {
    let depth = text.chars().take_while(|letter| *letter == ' ').count() / 2;
    let text = text.trim();
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let (rest, metrics) = match rest.split_once("metrics=[") {
        Some((rest, metrics)) => (rest, metrics.trim_end_matches(']')),
        None => (rest, ""),
    };
    Line { depth: depth.min(DEPTH_MAX), name: name.to_owned(), parts: parts(rest), metrics: parts(metrics) }
}

/// Splits at the commas that are in no brackets and no quotes.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_usize, None);
    for letter in text.chars() {
        match (letter, quote) {
            (letter, Some(mark)) if letter == mark => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(letter),
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::grid::answer::of;
    use super::*;

    #[test]
    fn plans_are_trees() {
        let answer = of(
            &[("plan_type", "VARCHAR"), ("plan", "VARCHAR")],
            &[
                r#"["logical_plan","Sort: a\n  TableScan: t projection=[a, b]"]"#,
                r#"["physical_plan","AggregateExec: mode=Final, gby=[c@0 as c, d@1 as d], aggr=[count(Int64(1))], metrics=[output_rows=3, elapsed_compute=1.2ms]\n  CoalescePartitionsExec\n"]"#,
            ],
        );
        let plans = plans(&answer).expect("an answer of EXPLAIN");
        assert_eq!(
            plans.iter().map(|plan| &*plan.title).collect::<Vec<_>>(),
            ["Physical plan", "Logical plan"]
        );
        let top = &plans[0].lines[0];
        assert_eq!((top.depth, &*top.name), (0, "AggregateExec"));
        assert_eq!(top.parts, ["mode=Final", "gby=[c@0 as c, d@1 as d]", "aggr=[count(Int64(1))]"]);
        assert_eq!(top.metrics, ["output_rows=3", "elapsed_compute=1.2ms"]);
        assert_eq!((plans[0].lines[1].depth, plans[0].lines[1].parts.len()), (1, 0));
        assert_eq!(plans[1].lines[1].parts, ["t projection=[a, b]"]);
        assert_eq!(super::plans(&of(&[("plan", "VARCHAR")], &[])), None);
    }
}
