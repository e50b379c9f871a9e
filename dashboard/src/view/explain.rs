//! An answer to EXPLAIN as a tree of operators, the one that gives the answer on top.

use super::grid::answer::Answer;
use super::grid::cells;

/// Lines of a plan that are shown.
pub const LINES_MAX: usize = 400;
/// Levels that are told apart; deeper ones stand as far right as this.
pub const DEPTH_MAX: usize = 24;

/// A plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `Physical plan`.
    pub title: String,
    pub lines: Vec<Line>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub depth: usize,
    /// `AggregateExec`.
    pub name: String,
    /// What that is, in words; `None` where the name says it.
    pub words: Option<&'static str>,
    /// What it does, each part by itself: `mode=Final`, `gby=[country@0 as country]`.
    pub parts: Vec<String>,
    /// Where the query was run: the rows that it gave, as text.
    pub rows: Option<String>,
    /// Where the query was run: how long it computed, as text, and its share of the whole plan, 0 to 1.
    pub time: Option<(String, f64)>,
    /// What else was measured and is not zero: `output_batches=2`.
    pub metrics: Vec<String>,
}

/// Whether an answer is one of EXPLAIN.
pub fn is_plan(answer: &Answer) -> bool {
    answer.columns().iter().map(|column| column.name.as_str()).eq(["plan_type", "plan"])
}

/// Whether an answer is one of EXPLAIN ANALYZE, for which the query was run.
pub fn is_run(answer: &Answer) -> bool {
    is_plan(answer) && cells::text(cells::nth(answer.row(0), 0)).starts_with("Plan with")
}

/// The plans of an answer; `None` where it is none of EXPLAIN. What the query means comes first, how it is done second.
pub fn plans(answer: &Answer) -> Option<Vec<Plan>> {
    if !is_plan(answer) {
        return None;
    }
    let plan = |row: usize| {
        let cells = cells::split(answer.row(row));
        let [kind, plan] = cells.as_slice() else { return None };
        let (kind, plan) = (cells::text(kind), cells::text(plan));
        Some(Plan { title: title(&kind), lines: lines(&plan) })
    };
    Some((0..answer.n_rows()).filter_map(plan).collect())
}

fn lines(plan: &str) -> Vec<Line> {
    let lines = plan.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX);
    let (mut lines, nanos): (Vec<Line>, Vec<f64>) = lines.map(line).unzip();
    let whole = nanos.iter().sum::<f64>().max(1.0);
    for (line, nanos) in lines.iter_mut().zip(nanos) {
        line.time.iter_mut().for_each(|(_, share)| *share = nanos / whole);
    }
    lines
}

fn title(kind: &str) -> String {
    let text = kind.replace('_', " ");
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

/// Two spaces a level, the name, a colon, parts with commas between, metrics at the end. And for how many nanoseconds it
/// computed.
fn line(text: &str) -> (Line, f64) {
    let depth = text.chars().take_while(|letter| *letter == ' ').count() / 2;
    let text = text.trim();
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let (rest, metrics) = match rest.split_once("metrics=[") {
        Some((rest, metrics)) => (rest, metrics.trim_end_matches(']')),
        None => (rest, ""),
    };
    let mut metrics = parts(metrics);
    let mut take = |name: &str| {
        let at =
            metrics.iter().position(|metric| metric.split_once('=').is_some_and(|(it, _)| it == name))?;
        metrics.remove(at).split_once('=').map(|(_, value)| value.trim().to_owned())
    };
    let (rows, time) = (take("output_rows"), take("elapsed_compute"));
    let nanos = time.as_deref().and_then(nanos).unwrap_or(0.0);
    metrics.retain(|metric| metric.split_once('=').is_none_or(|(_, value)| !is_zero(value)));
    let line = Line {
        depth: depth.min(DEPTH_MAX),
        name: name.to_owned(),
        words: WORDS.iter().find(|(it, _)| *it == name).map(|(_, words)| *words),
        parts: parts(rest),
        rows,
        time: time.map(|time| (time, 0.0)),
        metrics,
    };
    (line, nanos)
}

/// Nothing happened: `0`, `0.0 B`, `1ns`, which stands for a clock that was never started.
fn is_zero(value: &str) -> bool {
    let number: String =
        value.trim().chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    value.trim() == "1ns" || number.parse() == Ok(0.0)
}

/// `9.61µs`, `21.67ms`, `1.2s`.
fn nanos(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    UNITS.iter().find_map(|(unit, nanos)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * nanos))
}

/// What the operators of a physical plan do.
const WORDS: [(&str, &str); 22] = [
    ("AggregateExec", "Aggregate"),
    ("BoundedWindowAggExec", "Compute over a frame"),
    ("CoalesceBatchesExec", "Make larger batches"),
    ("CoalescePartitionsExec", "Gather from all threads"),
    ("CooperativeExec", "Let other queries run"),
    ("CrossJoinExec", "Join each row with each"),
    ("DataSourceExec", "Read a table"),
    ("EmptyExec", "No rows"),
    ("FilterExec", "Filter"),
    ("GlobalLimitExec", "Limit"),
    ("HashJoinExec", "Join by key"),
    ("LazyMemoryExec", "Make rows"),
    ("LocalLimitExec", "Limit"),
    ("NestedLoopJoinExec", "Join by comparing each row with each"),
    ("ProjectionExec", "Compute columns"),
    ("RepartitionExec", "Share out among threads"),
    ("SmallBatches", "Make smaller batches"),
    ("SortExec", "Order"),
    ("SortPreservingMergeExec", "Merge what is ordered"),
    ("StreamingTableExec", "Read a table"),
    ("UnionExec", "One below the other"),
    ("WindowAggExec", "Compute over a frame"),
];

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
            ["Logical plan", "Physical plan"]
        );
        assert_eq!(plans[0].lines[1].parts, ["t projection=[a, b]"]);
        let top = &plans[1].lines[0];
        assert_eq!((top.depth, &*top.name, top.words), (0, "AggregateExec", Some("Aggregate")));
        assert_eq!(top.parts, ["mode=Final", "gby=[c@0 as c, d@1 as d]", "aggr=[count(Int64(1))]"]);
        assert_eq!((plans[1].lines[1].depth, plans[1].lines[1].parts.len()), (1, 0));
        assert_eq!(super::plans(&of(&[("plan", "VARCHAR")], &[])), None);
        assert!(is_plan(&answer) && !is_run(&answer));
    }

    #[test]
    fn what_was_measured_is_told_by_what_matters() {
        let answer = of(
            &[("plan_type", "VARCHAR"), ("plan", "VARCHAR")],
            &[
                r#"["Plan with Metrics","AggregateExec: mode=Final, metrics=[output_rows=3, elapsed_compute=1.5ms, spill_count=0, spilled_bytes=0.0 B, repartition_time=1ns, output_batches=2]\n  FilterExec: a, metrics=[output_rows=40, elapsed_compute=500µs]\n  StreamingTableExec: b"]"#,
            ],
        );
        assert!(is_run(&answer));
        let plans = plans(&answer).expect("an answer of EXPLAIN");
        let seen: Vec<_> =
            plans[0].lines.iter().map(|line| (line.rows.as_deref(), line.time.clone())).collect();
        assert_eq!(
            seen,
            [
                (Some("3"), Some(("1.5ms".into(), 0.75))),
                (Some("40"), Some(("500µs".into(), 0.25))),
                (None, None)
            ]
        );
        assert_eq!(plans[0].lines[0].metrics, ["output_batches=2"]);
        assert_eq!(
            ["12ns", "9.61µs", "1.2s", "x"].map(nanos),
            [Some(12.0), Some(9_610.0), Some(1.2e9), None]
        );
    }
}
