//! Why a query can't be a pipeline: codes, and refusals with a position in the SQL text.
//!
//! Invariants:
//! 1. A code keeps its meaning for ever: users look it up, and `urn:weir:error:E0203` names it.
//! 2. A refusal says what is wrong, and in `hint` the nearest form that can run.

use std::fmt;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::TableDef;
use super::suggest::{did_you_mean, listed};
use super::tvf::{WINDOW_COLUMNS, WindowCall, WindowInput};

/// Every code of SQL with its title, ascending. `E01xx` are the project files'.
pub const CODES: &[(&str, &str)] = &[
    (SYNTAX, "the SQL can't be parsed"),
    (NOT_ONE_SELECT, "a pipeline is one SELECT"),
    (UNKNOWN_TABLE, "unknown table"),
    (UNKNOWN_COLUMN, "unknown column"),
    (BAD_EXPRESSION, "an expression can't be planned"),
    (ORDERED, "ORDER BY and LIMIT need an end"),
    (JOIN, "a pipeline reads one source"),
    (SET_OPERATION, "set operations are not supported"),
    (DISTINCT, "DISTINCT is not supported"),
    (OVER, "OVER is not supported"),
    (SECOND_AGGREGATION, "a pipeline has one aggregation"),
    (UNBOUNDED_AGGREGATION, "an aggregation needs a window"),
    (NOT_IMMUTABLE, "the function's value changes by itself"),
    (WINDOW_FUNCTION, "the window table function can't be used so"),
    (WINDOW_ARGUMENTS, "wrong arguments of a window table function"),
    (NOT_EVENT_TIME, "not the source's event time"),
    (OUTPUT_NAME, "an output column needs a plain, unique name"),
    (KEY_NOT_SELECTED, "every GROUP BY expression is selected"),
    (GROUPING_SETS, "grouping sets are not supported"),
    (SUBQUERY, "subqueries in expressions are not supported"),
    (NO_SOURCE, "a pipeline reads a source"),
    (AGGREGATE, "the aggregate function is not supported"),
    (UNSUPPORTED, "the syntax is not supported in a pipeline"),
    (TOO_LARGE, "the query is too large"),
    (LEFT_OUT, "the column's type is not supported yet"),
    (INTERNAL, "the planner failed"),
];

pub(super) const SYNTAX: &str = "E0201";
pub(super) const NOT_ONE_SELECT: &str = "E0202";
pub(super) const UNKNOWN_TABLE: &str = "E0203";
pub(super) const UNKNOWN_COLUMN: &str = "E0204";
pub(super) const BAD_EXPRESSION: &str = "E0205";
pub(super) const ORDERED: &str = "E0206";
pub(super) const JOIN: &str = "E0207";
pub(super) const SET_OPERATION: &str = "E0208";
pub(super) const DISTINCT: &str = "E0209";
pub(super) const OVER: &str = "E0210";
pub(super) const SECOND_AGGREGATION: &str = "E0211";
pub(super) const UNBOUNDED_AGGREGATION: &str = "E0212";
pub(super) const NOT_IMMUTABLE: &str = "E0213";
pub(super) const WINDOW_FUNCTION: &str = "E0214";
pub(super) const WINDOW_ARGUMENTS: &str = "E0215";
pub(super) const NOT_EVENT_TIME: &str = "E0216";
pub(super) const OUTPUT_NAME: &str = "E0217";
pub(super) const KEY_NOT_SELECTED: &str = "E0218";
pub(super) const GROUPING_SETS: &str = "E0219";
pub(super) const SUBQUERY: &str = "E0220";
pub(super) const NO_SOURCE: &str = "E0221";
pub(super) const AGGREGATE: &str = "E0222";
pub(super) const UNSUPPORTED: &str = "E0223";
pub(super) const TOO_LARGE: &str = "E0224";
pub(super) const LEFT_OUT: &str = "E0225";
pub(super) const INTERNAL: &str = "E0299";

/// Why a query can't be a pipeline. Fix the SQL; trying again never helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of [`CODES`].
    pub code: &'static str,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The nearest form that can run.
    pub hint: Option<String>,
    /// 1-based, in the SQL text.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// Line and column just behind the offending text, where it is known.
    pub end: Option<(u32, u32)>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        let line = position(at.start.line).max(1);
        let column = position(at.start.column).max(1);
        let end = (position(at.end.line), position(at.end.column));
        let end = ((line, column) < end).then_some(end);
        Self { code, message: message.into(), hint: None, line, column, end }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The code's entry in [`CODES`].
    #[must_use]
    pub fn title(&self) -> &'static str {
        CODES.iter().find(|(code, _)| *code == self.code).map_or("", |(_, title)| title)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        write!(f, " [{}]", self.code)
    }
}

impl std::error::Error for Refusal {}

/// Where refusals point whose error has no position of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sites<'a> {
    /// The first token.
    pub(super) first: Span,
    /// `*` of the last SELECT.
    pub(super) wildcard: Option<Span>,
    /// Every function call: its name as DataFusion knows it, and where it is.
    pub(super) calls: &'a [(String, Span)],
    pub(super) windows: &'a [WindowCall],
    pub(super) tables: &'a [TableDef],
}

impl Sites<'_> {
    /// The first call of a function.
    pub(super) fn call(&self, name: &str) -> Option<Span> {
        self.calls.iter().find(|(called, _)| called == name).map(|(_, at)| *at)
    }

    /// The first call of a function that a message names.
    fn named_in(&self, message: &str) -> Option<Span> {
        let named =
            |name: &str| message.contains(&format!("'{name}'")) || message.contains(&format!("{name}("));
        self.calls.iter().find(|(name, _)| named(name)).map(|(_, at)| *at)
    }
}

/// Turns DataFusion's planning errors into refusals.
pub(super) fn from_datafusion(error: &DataFusionError, sites: &Sites<'_>) -> Vec<Refusal> {
    if let DataFusionError::Collection(errors) = error {
        let mut refusals = Vec::new();
        // A name that was used several times is wrong once.
        for refusal in errors.iter().flat_map(|e| from_datafusion(e, sites)) {
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
        return refusals;
    }
    let diagnostic = error.diagnostic();
    let at = diagnostic.and_then(|d| d.span).map(to_parser_span);
    vec![match error.find_root() {
        DataFusionError::External(other) if other.is::<Refusal>() => {
            return other.downcast_ref::<Refusal>().cloned().into_iter().collect();
        }
        DataFusionError::SchemaError(schema_error, _) => from_schema(schema_error, at, sites),
        other => from_message(&one_line(&other.message()), at, sites),
    }]
}

fn from_message(text: &str, at: Option<Span>, sites: &Sites<'_>) -> Refusal {
    let at = at.or_else(|| sites.named_in(text)).unwrap_or(sites.first);
    let refusal = |message: &str| Refusal::new(BAD_EXPRESSION, at, decapitalised(message));
    if let Some((_, rest)) = text.split_once("While expanding wildcard, column \"") {
        let column = rest.split('"').next().unwrap_or(rest);
        return refusal(&format!("{column} is neither in GROUP BY nor in an aggregate function"))
            .hint("add it to GROUP BY, or aggregate it, as in max(…)");
    }
    if let Some((_, rest)) =
        text.split_once("Projections require unique expression names but the expression \"")
    {
        let name = rest.split("\" at position").next().unwrap_or(rest);
        return two_columns(name.rsplit(" AS ").next().unwrap_or(name), Some(at), sites);
    }
    if let Some((message, hint)) = text.split_once(". Did you mean ") {
        return refusal(message).hint(format!("did you mean {hint}"));
    }
    // What follows lists every signature that does not fit, or what the planner did meanwhile.
    let text = text.split(", errors: ").next().unwrap_or(text);
    let text = text.split(" No function matches").next().unwrap_or(text);
    refusal(text)
}

fn from_schema(error: &SchemaError, at: Option<Span>, sites: &Sites<'_>) -> Refusal {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            let at = field.spans.first().map(to_parser_span).or(at).unwrap_or(sites.first);
            let left_out = sites.tables.iter().flat_map(|table| &table.left_out);
            if let Some(left_out) = left_out.into_iter().find(|left_out| left_out.column == field.name) {
                let message = format!("column \"{}\" can't be read: {}", field.name, left_out.reason);
                return Refusal::new(LEFT_OUT, at, message).hint("the table's other columns can");
            }
            let message = match &field.relation {
                Some(relation) => format!("unknown column \"{}\" of \"{relation}\"", field.name),
                None => format!("unknown column \"{}\"", field.name),
            };
            let refusal = Refusal::new(UNKNOWN_COLUMN, at, message);
            match did_you_mean(&field.name, &names) {
                Some(hint) => refusal.hint(hint),
                None if names.is_empty() => refusal,
                None => refusal.hint(format!("there are {}", listed(&names))),
            }
        }
        // Without joins only a SELECT can have made two of them.
        SchemaError::AmbiguousReference { field } => two_columns(&field.name, at, sites),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => two_columns(name, at, sites),
    }
}

fn two_columns(name: &str, at: Option<Span>, sites: &Sites<'_>) -> Refusal {
    let around_query = sites.windows.iter().find(|call| matches!(call.input, WindowInput::Query { .. }));
    if let Some(call) = around_query.filter(|_| WINDOW_COLUMNS.contains(&name)) {
        let message = format!("the query that the windows are around has a column \"{name}\" of its own");
        return Refusal::new(WINDOW_FUNCTION, call.name.span, message).hint("rename it there with AS");
    }
    let at = at.or(sites.wildcard).unwrap_or(sites.first);
    Refusal::new(OUTPUT_NAME, at, format!("two columns are called \"{name}\"")).hint("rename one with AS")
}

fn to_parser_span(span: datafusion::common::Span) -> Span {
    use datafusion::sql::sqlparser::tokenizer::Location;
    Span::new(
        Location::new(span.start.line, span.start.column),
        Location::new(span.end.line, span.end.column),
    )
}

fn position(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Messages go to a terminal line or a JSON string: no line breaks, no full stop, no backtrace.
fn one_line(text: &str) -> String {
    let text = text.split("\n\nbacktrace").next().unwrap_or(text);
    let text = text.strip_prefix("Internal error: ").unwrap_or(text);
    let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
    let text = text.split("This issue was likely caused by a bug").next().unwrap_or(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

pub(super) fn decapitalised(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
