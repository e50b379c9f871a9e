//! How many there are by pipeline and reason, and when they came: the filters and the chart.
//!
//! Invariants:
//! 1. A filter's figure says how many a click on it would show: it counts with all other filters, not with itself.
//! 2. The chart has at most [`BARS_MAX`] bars and seven colours, however much time it spans.

use std::collections::BTreeMap;

use weir_api::SqlResponse;

use super::reasons;
use super::{Choice, quoted};
use crate::protocol::time::{self, SECOND};
use crate::view::address::Range;
use crate::view::number::{grouped, of};
use crate::view::zone::Zone;

pub const BARS_MAX: usize = 80;
/// Bars that a chart has room for at least: few of them are not drawn as broad as the page.
const BARS_MIN: i64 = 40;
/// What a bar may stand for, in seconds. The last one covers the longest time that an address can name many times over.
const STEPS: [i64; 15] =
    [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 31_536_000];
/// The box that bars are drawn in.
pub const WIDTH: f64 = 800.0;
pub const HEIGHT: f64 = 96.0;

/// Asks for what [`Counts::read`] reads: a row for each pipeline and reason.
pub fn counts_query(range: Option<Range>) -> String {
    format!(
        "SELECT pipeline, reason, count(*), min(record_time), max(record_time) FROM weir.dead_letters{} \
         GROUP BY pipeline, reason ORDER BY pipeline, reason",
        whole_where(&[time_condition(range)])
    )
}

/// Asks for what [`bars`] reads: a row for each reason and stretch of `step` microseconds. The question does not change
/// while time goes by.
pub fn bars_query(choice: &Choice, range: Option<Range>, step: i64) -> String {
    let seconds = (step / SECOND).max(1);
    let conditions = [pipeline_condition(choice), reason_condition(choice), time_condition(range)];
    format!(
        "SELECT date_bin(INTERVAL '{seconds} seconds', record_time) AS start, reason, count(*) AS n \
         FROM weir.dead_letters{} GROUP BY start, reason ORDER BY start, reason LIMIT 2000",
        whole_where(&conditions)
    )
}

/// A WHERE of those conditions that there are.
pub(super) fn whole_where(conditions: &[Option<String>]) -> String {
    let conditions: Vec<&str> = conditions.iter().flatten().map(String::as_str).collect();
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

pub(super) fn pipeline_condition(choice: &Choice) -> Option<String> {
    choice.pipeline.as_ref().map(|name| format!("pipeline = {}", quoted(name)))
}

pub(super) fn reason_condition(choice: &Choice) -> Option<String> {
    choice.reason.as_ref().map(|word| format!("reason = {}", quoted(word)))
}

/// The condition on the record's own time. What has none, as records of files, is in every stretch: it may be of that.
pub(super) fn time_condition(range: Option<Range>) -> Option<String> {
    let at = |instant: i64| format!("TIMESTAMP '{}'", time::instant_text(instant));
    let within = match range? {
        Range::Last(last_ms) => format!("record_time >= now() - INTERVAL '{last_ms} milliseconds'"),
        Range::Between { from, to } => format!("record_time >= {} AND record_time < {}", at(from), at(to)),
        Range::Until(to) => format!("record_time < {}", at(to)),
    };
    Some(format!("(record_time IS NULL OR {within})"))
}

/// The stretch of time that bars stand in, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: i64,
    pub to: i64,
    /// What one bar stands for.
    pub step: i64,
}

impl Span {
    /// From the bar of one instant to that of another.
    pub fn new(from: i64, to: i64) -> Self {
        let n_bars = i64::try_from(BARS_MAX - 1).unwrap_or(i64::MAX);
        let fits = |step: &&i64| (to - from) / (**step * SECOND) < n_bars;
        let step = STEPS.iter().find(fits).unwrap_or(&STEPS[STEPS.len() - 1]) * SECOND;
        let floor = |instant: i64| instant.div_euclid(step) * step;
        Self { from: floor(from), to: floor(to) + step, step }
    }
}

/// A choice in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// As the address has it.
    pub value: String,
    pub title: String,
    pub count: String,
}

/// The answer to [`counts_query`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counts {
    rows: Vec<(String, String, u64)>,
    times: Option<(i64, i64)>,
}

impl Counts {
    pub fn read(answer: &SqlResponse) -> Self {
        let mut counts = Self::default();
        for row in &answer.rows {
            let [pipeline, reason, n, oldest, newest] = row.as_slice() else { continue };
            let (Some(pipeline), Some(reason), Some(n)) = (pipeline.as_str(), reason.as_str(), of(n)) else {
                continue;
            };
            counts.rows.push((pipeline.to_owned(), reason.to_owned(), n as u64));
            let instant = |value: &serde_json::Value| value.as_str().and_then(time::parse_instant);
            if let (Some(oldest), Some(newest)) = (instant(oldest), instant(newest)) {
                let (from, to) = counts.times.unwrap_or((oldest, newest));
                counts.times = Some((from.min(oldest), to.max(newest)));
            }
        }
        counts
    }

    /// How many fit the choice.
    pub fn total(&self, choice: &Choice) -> u64 {
        self.sum(|pipeline, reason| fits(&choice.pipeline, pipeline) && fits(&choice.reason, reason))
    }

    /// The only pipeline that is meant: the one that is chosen, or that has any.
    pub(super) fn only_pipeline(&self, choice: &Choice) -> Option<String> {
        let mut names = self.rows.iter().map(|(pipeline, _, _)| pipeline);
        let first = names.next();
        let only = first.filter(|first| names.all(|name| name == *first)).cloned();
        choice.pipeline.clone().or(only)
    }

    /// How many fit the choice and are run again, if somebody wants it: late rows are not.
    pub(super) fn runnable(&self, choice: &Choice) -> u64 {
        let fits_choice = |pipeline: &str, reason: &str| {
            fits(&choice.pipeline, pipeline) && fits(&choice.reason, reason) && reason != "late_row"
        };
        self.sum(fits_choice)
    }

    /// How many there are, whatever is chosen.
    pub fn all(&self) -> u64 {
        self.sum(|_, _| true)
    }

    fn sum(&self, counts: impl Fn(&str, &str) -> bool) -> u64 {
        self.rows.iter().filter(|(pipeline, reason, _)| counts(pipeline, reason)).map(|(_, _, n)| n).sum()
    }

    /// The reasons there are, in the order of the data path; the one that is chosen is always among them.
    pub fn reasons(&self, choice: &Choice) -> Vec<Item> {
        let mut words: Vec<&str> = self.rows.iter().map(|(_, reason, _)| reason.as_str()).collect();
        words.extend(choice.reason.as_deref());
        words.sort_by_key(|word| (reasons::slot(word), *word));
        words.dedup();
        let item = |word: &str| Item {
            value: word.to_owned(),
            title: reasons::title(word).to_owned(),
            count: figure(self.sum(|pipeline, reason| fits(&choice.pipeline, pipeline) && reason == word)),
        };
        words.into_iter().map(item).collect()
    }

    /// The pipelines that have any, by name; the one that is chosen is always among them.
    pub fn pipelines(&self, choice: &Choice) -> Vec<Item> {
        let mut names: Vec<&str> = self.rows.iter().map(|(pipeline, _, _)| pipeline.as_str()).collect();
        names.extend(choice.pipeline.as_deref());
        names.sort_unstable();
        names.dedup();
        let item = |name: &str| Item {
            value: name.to_owned(),
            title: name.to_owned(),
            count: figure(self.sum(|pipeline, reason| pipeline == name && fits(&choice.reason, reason))),
        };
        names.into_iter().map(item).collect()
    }

    /// The time that the chart spans: what was asked for, else from the oldest to the newest. `None`: no record that is
    /// kept has a time.
    pub fn span(&self, range: Option<Range>, now_ms: f64) -> Option<Span> {
        let now = (now_ms * 1_000.0) as i64;
        Some(match range {
            Some(Range::Between { from, to }) => Span::new(from, to - 1),
            Some(Range::Last(last_ms)) => Span::new(now - last_ms * 1_000, now),
            Some(Range::Until(_)) | None => {
                let span = self.times.map(|(from, to)| Span::new(from, to))?;
                Span { from: span.from.min(span.to - BARS_MIN * span.step), ..span }
            }
        })
    }
}

fn fits(chosen: &Option<String>, value: &str) -> bool {
    chosen.as_ref().is_none_or(|chosen| chosen == value)
}

fn figure(n: u64) -> String {
    grouped(&n.to_string())
}

/// One bar: a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// In pixels of [`WIDTH`].
    pub left: f64,
    pub width: f64,
    /// Where its time begins and ends, microseconds.
    pub from: i64,
    pub to: i64,
    /// `12:00 – 12:05: 14 late, 2 not framed`.
    pub text: String,
}

/// The chart of an answer to [`bars_query`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// The `d` of a path for each reason, by its slot in the palette.
    pub paths: Vec<(usize, String)>,
    /// All stretches that hold any, ascending.
    pub bars: Vec<Bar>,
    /// The greatest sum: the height of the box.
    pub most: String,
    pub from: String,
    pub to: String,
    /// `A bar is 5 minutes.`
    pub step: String,
}

impl Bars {
    /// The bar at a share of the width from the left, 0 to 1; a bar takes the whole stretch that it stands for.
    pub fn at(&self, share: f64) -> Option<usize> {
        let place = share * WIDTH;
        self.bars.iter().position(|bar| (bar.left..bar.left + bar.width).contains(&place))
    }
}

/// Stacks the counts, in the order of the reasons.
pub fn bars(answer: &SqlResponse, span: Span, zone: &Zone) -> Bars {
    let mut stacks: BTreeMap<i64, Vec<(&str, f64)>> = BTreeMap::new();
    for row in &answer.rows {
        let [start, reason, n] = row.as_slice() else { continue };
        let start = start.as_str().and_then(time::parse_instant);
        let (Some(start), Some(reason), Some(n)) = (start, reason.as_str(), of(n)) else { continue };
        if (span.from..span.to).contains(&start) {
            stacks.entry(start).or_default().push((reason, n));
        }
    }
    let sum = |stack: &[(&str, f64)]| stack.iter().map(|(_, n)| n).sum::<f64>();
    let most = stacks.values().map(|stack| sum(stack)).fold(1.0, f64::max);
    let scale = WIDTH / (span.to - span.from) as f64;
    let width = span.step as f64 * scale;
    let mut paths: BTreeMap<usize, String> = BTreeMap::new();
    let mut bars = Vec::new();
    for (start, mut stack) in stacks {
        stack.sort_by_key(|(reason, _)| reasons::slot(reason));
        let left = (start - span.from) as f64 * scale;
        let mut bottom = HEIGHT;
        for (reason, n) in &stack {
            let height = (n / most * HEIGHT).max(1.0);
            let path = paths.entry(reasons::slot(reason)).or_default();
            let (x, wide) = (left + width * 0.1, width * 0.8);
            path.push_str(&format!("M{x:.2} {bottom:.2}v{:.2}h{wide:.2}V{bottom:.2}z", -height));
            bottom -= height;
        }
        bars.push(Bar {
            left,
            width,
            from: start,
            to: start + span.step,
            text: bar_text(start, &stack, span, zone),
        });
    }
    Bars {
        paths: paths.into_iter().collect(),
        bars,
        most: figure(most as u64),
        from: day_and_clock(zone, span.from),
        to: day_and_clock(zone, span.to),
        step: format!("A bar is {}.", step_text(span.step)),
    }
}

fn bar_text(start: i64, stack: &[(&str, f64)], span: Span, zone: &Zone) -> String {
    let parts: Vec<String> = stack
        .iter()
        .map(|(reason, n)| format!("{} {}", figure(*n as u64), reasons::title(reason).to_lowercase()))
        .collect();
    format!("{} – {}: {}", zone.short_clock(start), zone.short_clock(start + span.step), parts.join(", "))
}

fn day_and_clock(zone: &Zone, instant: i64) -> String {
    format!("{} {}", zone.date(instant), zone.short_clock(instant))
}

fn step_text(step: i64) -> String {
    match step / SECOND {
        1 => "a second".to_owned(),
        n if n < 60 => format!("{n} seconds"),
        60 => "a minute".to_owned(),
        n if n < 3_600 => format!("{} minutes", n / 60),
        3_600 => "an hour".to_owned(),
        n if n < 86_400 => format!("{} hours", n / 3_600),
        86_400 => "a day".to_owned(),
        n => format!("{} days", n / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(rows: Value) -> SqlResponse {
        let answer = json!({"columns": [], "rows": rows, "row_count": 0, "truncated": false, "epochs": {}, "elapsed_ms": 1.0});
        serde_json::from_value(answer).expect("an answer")
    }

    fn counts() -> Counts {
        Counts::read(&answer(json!([
            ["revenue", "late_row", 1_200, "2026-11-24T12:00:30.000Z", "2026-11-24T12:59:30.000Z"],
            ["revenue", "bad_framing", 3, "2026-11-24T12:10:00.000Z", "2026-11-24T12:11:00.000Z"],
            ["views", "late_row", 34, null, null],
        ])))
    }

    #[test]
    fn filters_count_with_the_others() {
        let late = Choice { reason: Some("late_row".into()), ..Choice::default() };
        let texts = |items: Vec<Item>| -> Vec<String> {
            items.into_iter().map(|item| format!("{} {}", item.title, item.count)).collect()
        };
        assert_eq!(texts(counts().pipelines(&late)), ["revenue 1,200", "views 34"]);
        assert_eq!(texts(counts().reasons(&late)), ["Not framed 3", "Late 1,234"]);
        assert_eq!((counts().total(&late), counts().all()), (1_234, 1_237));
        let gone = Choice { pipeline: Some("gone".into()), ..Choice::default() };
        assert_eq!(texts(counts().pipelines(&gone)), ["gone 0", "revenue 1,203", "views 34"]);
    }

    #[test]
    fn chart_spans_what_there_is_unless_told() {
        let at = |text: &str| time::parse_instant(text).expect("an instant");
        let span = counts().span(None, 0.0).expect("two have times");
        assert_eq!(
            span,
            Span { from: at("2026-11-24T12:00:00Z"), to: at("2026-11-24T13:00:00Z"), step: 60 * SECOND }
        );
        assert_eq!(Counts::default().span(None, 0.0), None);
        let one =
            Counts { times: Some((at("2026-11-24T12:00:30Z"), at("2026-11-24T12:00:30Z"))), ..counts() };
        let span = one.span(None, 0.0).expect("it has a time");
        let expected = (at("2026-11-24T11:59:51Z"), at("2026-11-24T12:00:31Z"), SECOND);
        assert_eq!((span.from, span.to, span.step), expected, "one bar does not fill the page");
        let noon = at("2026-11-24T12:00:00Z");
        let day = Range::Between { from: noon, to: noon + 86_400 * SECOND };
        assert_eq!(counts().span(Some(day), 0.0).map(|span| (span.to - span.from) / span.step), Some(48));
    }

    #[test]
    fn bars_are_stacked_in_the_order_of_the_reasons() {
        let from = time::parse_instant("2026-11-24T12:00:00Z").expect("an instant");
        let span = Span { from, to: from + 80 * 60 * SECOND, step: 60 * SECOND };
        let answer = answer(json!([
            ["2026-11-24T12:01:00.000Z", "late_row", 3],
            ["2026-11-24T12:01:00.000Z", "bad_framing", 1],
            ["2026-11-25T12:01:00.000Z", "bad_framing", 100],
        ]));
        let bars = bars(&answer, span, &Zone::default());
        assert_eq!(bars.paths[0], (0, "M11.00 96.00v-24.00h8.00V96.00z".to_owned()));
        assert_eq!(bars.paths[1], (6, "M11.00 72.00v-72.00h8.00V72.00z".to_owned()));
        assert_eq!(bars.bars.len(), 1, "the next day is not in the chart");
        assert_eq!([0.01, 0.013, 0.024, 0.026].map(|share| bars.at(share)), [None, Some(0), Some(0), None]);
        assert_eq!(bars.bars[0].text, "12:01 – 12:02: 1 not framed, 3 late");
        assert_eq!((&*bars.most, &*bars.step), ("4", "A bar is a minute."));
    }

    #[test]
    fn questions_are_bounded_and_quoted() {
        let choice = Choice { pipeline: Some("o'brien".into()), ..Choice::default() };
        let from = time::parse_instant("2026-11-24T12:00:00Z").expect("an instant");
        let range = Range::Between { from, to: from + 3_600 * SECOND };
        let query = bars_query(&choice, Some(range), 60 * SECOND);
        assert!(
            query.contains("pipeline = 'o''brien' AND (record_time IS NULL OR record_time >= TIMESTAMP '2026-11-24T12:00:00Z'"),
            "{query}"
        );
        assert!(query.contains("INTERVAL '60 seconds'") && query.ends_with("LIMIT 2000"), "{query}");
        assert!(!counts_query(None).contains("WHERE"));
        assert!(counts_query(Some(Range::Last(300_000))).contains("now() - INTERVAL '300000 milliseconds'"));
    }
}
