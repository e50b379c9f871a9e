//! Window table functions in FROM: `TUMBLE(TABLE t, DESCRIPTOR(c), size [, offset])` and
//! `HOP(TABLE t, DESCRIPTOR(c), slide, size [, offset])`.
//!
//! ```text
//! FROM TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE) AS w
//!      ───────────────────────────────┬──────────────────────────────────
//!                                     ▼
//! FROM "window 0" AS w                a table whose columns are those of `orders`, then window_start …
//! ```
//!
//! The call is taken out of the syntax tree before DataFusion sees it; what it said is kept in a
//! [`WindowCall`]. In place of a source there may be a WITH query or a subquery, see [`super::windowed`].

use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Interval, ObjectName, Query,
    Spanned, TableFactor, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::TableDef;
use super::dialect::TABLE;
use super::error::{NOT_EVENT_TIME, Refusal, UNKNOWN_TABLE, WINDOW_ARGUMENTS, WINDOW_FUNCTION};
use super::parse::Tokens;
use super::suggest::{did_you_mean, listed};

/// Names of window table functions, and whether they are built.
const FUNCTIONS: [(&str, bool); 4] =
    [("tumble", true), ("hop", true), ("session", false), ("cumulate", false)];

/// The columns that a window table function adds, in this order.
pub(super) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: i64 = 1_000_000;

/// Panes of a window: a row may be in as many windows.
const PANES_MAX: i64 = 1_000;

/// A window table function as written: which table, which windows.
#[derive(Debug, Clone)]
pub(super) struct WindowCall {
    pub(super) input: WindowInput,
    /// The table's name where the call names it; of a subquery, the function's.
    pub(super) name: Ident,
    pub(super) size_ms: i64,
    pub(super) slide_ms: i64,
    /// In `[0, slide_ms)`: offsets that differ by whole slides mean the same.
    pub(super) offset_ms: i64,
}

/// What a window table function is around.
#[derive(Debug, Clone)]
pub(super) enum WindowInput {
    /// The table at this position.
    Table(usize),
    /// A query; its column that should be the event time.
    Query { descriptor: Ident },
}

/// The first argument, as written.
enum Argument {
    Table(usize, Ident),
    With(Ident),
    Subquery(Box<Query>),
}

/// Whether a function of this name is a window table function.
pub(super) fn is_window_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| name.eq_ignore_ascii_case(known))
}

/// What a call of a window table function was read as.
pub(super) struct Call {
    pub(super) window: WindowCall,
    /// What it is around, if that is a query.
    pub(super) query: Option<TableFactor>,
    /// What is wrong with it. Its columns are known all the same.
    pub(super) wrong: Vec<Refusal>,
}

/// Reads the arguments of the call `name(args)` in FROM. `with_names` are the names that WITH has given.
///
/// # Errors
/// What leaves open which columns it has.
pub(super) fn read(
    name: &ObjectName,
    args: &[FunctionArg],
    tables: &[TableDef],
    with_names: &[String],
    tokens: &Tokens,
) -> Result<Call, Refusal> {
    let at = tokens.head(name.span());
    let text = name.to_string();
    match FUNCTIONS.iter().find(|(known, _)| text.eq_ignore_ascii_case(known)) {
        Some((_, true)) => {}
        Some((_, false)) => {
            let message = format!("{} is not supported yet", text.to_uppercase());
            let hint = format!("the nearest is {}", example(args, tables));
            return Err(Refusal::new(WINDOW_FUNCTION, at, message).hint(hint));
        }
        None => {
            let message = format!("\"{text}\" is not a window table function");
            let refusal = Refusal::new(WINDOW_FUNCTION, at, message);
            return Err(refusal.hint(format!("there is {}", example(args, tables))));
        }
    }
    let is_hop = text.eq_ignore_ascii_case("hop");
    let (function, n_min) = if is_hop { ("HOP", 4) } else { ("TUMBLE", 3) };
    let example = || if is_hop { hop_example(args, tables) } else { example(args, tables) };
    if !(n_min..=n_min + 1).contains(&args.len()) {
        let message = format!("{function} takes {n_min} or {} arguments, not {}", n_min + 1, args.len());
        return Err(Refusal::new(WINDOW_ARGUMENTS, at, message).hint(format!("write {}", example())));
    }
    let positional = args
        .iter()
        .map(|arg| {
            positional(arg, at, function).map_err(|refusal| refusal.hint(format!("write {}", example())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let argument = table_argument(positional[0], at, tables, with_names)?;
    let table = if let Argument::Table(table, _) = &argument { Some(&tables[*table]) } else { None };
    let mut wrong = Vec::new();
    let descriptor = match (descriptor(positional[1], at, table), table) {
        (Ok(descriptor), _) => descriptor,
        (Err(refusal), Some(table)) => {
            wrong.push(refusal);
            Ident::new(table.schema.field(table.event_time).name())
        }
        (Err(refusal), None) => return Err(refusal),
    };
    let durations = durations(&positional[2..], at, is_hop);
    let (size_ms, slide_ms, offset_ms) = durations.unwrap_or_else(|refusal| {
        wrong.push(refusal);
        (1, 1, 0)
    });
    let (input, name, query) = match argument {
        Argument::Table(table, name) => (WindowInput::Table(table), name, None),
        Argument::With(name) => {
            let query = table_factor(ObjectName::from(name.clone()));
            (WindowInput::Query { descriptor }, name, Some(query))
        }
        Argument::Subquery(subquery) => {
            let query = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
            (WindowInput::Query { descriptor }, Ident::with_span(at, function), Some(query))
        }
    };
    Ok(Call { window: WindowCall { input, name, size_ms, slide_ms, offset_ms }, query, wrong })
}

/// Size, slide and offset of `[slide,] size [, offset]`.
fn durations(args: &[&Expr], at: Span, is_hop: bool) -> Result<(i64, i64, i64), Refusal> {
    let (size, offset) = if is_hop { (args[1], args.get(2)) } else { (args[0], args.get(1)) };
    let size_ms = positive_duration(size, at, "the window's size")?;
    let slide_ms = if is_hop {
        let slide_ms = positive_duration(args[0], at, "the window's slide")?;
        check_slide(args[0], at, slide_ms, size_ms)?;
        slide_ms
    } else {
        size_ms
    };
    let offset_ms = match offset {
        Some(offset) => fixed_duration(offset, at, "the window's offset")?.rem_euclid(slide_ms),
        None => 0,
    };
    Ok((size_ms, slide_ms, offset_ms))
}

/// A plain name in FROM.
fn table_factor(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn positive_duration(arg: &Expr, call: Span, what: &str) -> Result<i64, Refusal> {
    let ms = fixed_duration(arg, call, what)?;
    if 0 < ms {
        return Ok(ms);
    }
    Err(Refusal::new(WINDOW_ARGUMENTS, span_or(arg, call), format!("{what} is {ms} ms: it must be positive")))
}

/// Windows are made of panes as long as the slide: a whole number of them, and not too many.
fn check_slide(arg: &Expr, call: Span, slide_ms: i64, size_ms: i64) -> Result<(), Refusal> {
    let refused = |message: String, nearest_ms: i64| {
        let hint = format!("the nearest slide is {}", interval_of(nearest_ms));
        Err(Refusal::new(WINDOW_ARGUMENTS, span_or(arg, call), message).hint(hint))
    };
    if size_ms < slide_ms {
        let message = format!(
            "the slide of {slide_ms} ms is longer than the size of {size_ms} ms: rows would be in no window"
        );
        return refused(message, size_ms);
    }
    if size_ms % slide_ms != 0 {
        let message = format!("the size of {size_ms} ms is not a multiple of the slide of {slide_ms} ms");
        return refused(message, nearest_divisor(size_ms, slide_ms));
    }
    if PANES_MAX < size_ms / slide_ms {
        let n = size_ms / slide_ms;
        let message = format!("the size is {n} times the slide, at most {PANES_MAX} times is allowed");
        return refused(message, nearest_divisor(size_ms, slide_ms));
    }
    Ok(())
}

/// The divisor of `size_ms` nearest to `slide_ms`, of those that make at most [`PANES_MAX`] panes.
fn nearest_divisor(size_ms: i64, slide_ms: i64) -> i64 {
    // A divisor is the size by a number of panes, so there are only so many to look at.
    let divisors = (1..=PANES_MAX).filter(|n| size_ms % n == 0).map(|n| size_ms / n);
    divisors.min_by_key(|divisor| divisor.abs_diff(slide_ms)).unwrap_or(size_ms)
}

/// A duration as an interval literal in the largest unit that divides it.
fn interval_of(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] =
        [(MS_PER_DAY, "DAY"), (3_600_000, "HOUR"), (60_000, "MINUTE"), (1_000, "SECOND")];
    match UNITS.iter().find(|(unit, _)| ms % unit == 0) {
        Some((unit, name)) => format!("INTERVAL '{}' {name}", ms / unit),
        None => format!("INTERVAL '{}.{:03}' SECOND", ms / 1_000, ms % 1_000),
    }
}

fn positional<'a>(arg: &'a FunctionArg, call: Span, function: &str) -> Result<&'a Expr, Refusal> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        other => {
            let at = if other.span() == Span::empty() { call } else { other.span() };
            let message = format!("{function} takes its arguments by position, not \"{other}\"");
            Err(Refusal::new(WINDOW_ARGUMENTS, at, message))
        }
    }
}

fn table_argument(
    arg: &Expr,
    call: Span,
    tables: &[TableDef],
    with_names: &[String],
) -> Result<Argument, Refusal> {
    let refused = |at, message: &str| Refusal::new(WINDOW_ARGUMENTS, at, message);
    let value = match arg {
        Expr::Prefixed { prefix, value } if prefix.value == TABLE => value.as_ref(),
        // A query says by itself that it is a table.
        Expr::Subquery(_) => arg,
        other => {
            let hint = format!("write TABLE {other}");
            return Err(
                refused(span_or(other, call), "the first argument is TABLE and a source's name").hint(hint)
            );
        }
    };
    match value {
        Expr::Subquery(query) => Ok(Argument::Subquery(query.clone())),
        Expr::CompoundIdentifier(names) if names.len() == 1 => {
            let name = &names[0];
            if with_names.contains(&normalised(name)) {
                return Ok(Argument::With(name.clone()));
            }
            Ok(Argument::Table(find_table(name, tables, with_names)?, name.clone()))
        }
        Expr::CompoundIdentifier(names) => {
            let name = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
            let refusal = Refusal::new(
                UNKNOWN_TABLE,
                names.first().map_or(call, |first| first.span),
                format!("unknown table \"{name}\""),
            );
            Err(refusal.hint("sources have no schema in front of their name"))
        }
        other => Err(refused(
            span_or(other, call),
            "a window table function takes a source, a WITH query or a subquery",
        )
        .hint("write TABLE (SELECT …)")),
    }
}

/// The position of the table called `name`; `with_names` are what it could be a misspelling of as well.
pub(super) fn find_table(name: &Ident, tables: &[TableDef], with_names: &[String]) -> Result<usize, Refusal> {
    let wanted = normalised(name);
    if let Some(found) = tables.iter().position(|table| table.name == wanted) {
        return Ok(found);
    }
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let refusal = Refusal::new(UNKNOWN_TABLE, name.span, format!("unknown table \"{wanted}\""));
    let known: Vec<&str> = with_names.iter().map(String::as_str).chain(names.iter().copied()).collect();
    Err(match did_you_mean(&wanted, &known) {
        Some(hint) => refusal.hint(hint),
        None if names.is_empty() => refusal.hint("the project has no sources"),
        None => refusal.hint(format!("the project's sources are {}", listed(&names))),
    })
}

/// The column that the descriptor names: of a table, its event time.
fn descriptor(arg: &Expr, call: Span, table: Option<&TableDef>) -> Result<Ident, Refusal> {
    let event_time = table.map(|table| table.schema.field(table.event_time).name().as_str());
    let hint = format!("write DESCRIPTOR({})", event_time.map_or("event_time".to_owned(), quoted_if_needed));
    let Some(column) = descriptor_column(arg) else {
        let message = "the second argument is DESCRIPTOR and the source's event time";
        return Err(Refusal::new(WINDOW_ARGUMENTS, span_or(arg, call), message).hint(hint));
    };
    let (Some(table), Some(event_time)) = (table, event_time) else { return Ok(column.clone()) };
    let wanted = normalised(column);
    if wanted == event_time {
        return Ok(column.clone());
    }
    let message = match table.schema.column_with_name(&wanted) {
        Some(_) => format!("\"{wanted}\" is not the event time of \"{}\", \"{event_time}\" is", table.name),
        None => format!("\"{}\" has no column \"{wanted}\"", table.name),
    };
    Err(Refusal::new(NOT_EVENT_TIME, column.span, message).hint(hint))
}

fn descriptor_column(arg: &Expr) -> Option<&Ident> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = arg else {
        return None;
    };
    if !name.to_string().eq_ignore_ascii_case("descriptor") {
        return None;
    }
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))] => Some(column),
        _ => None,
    }
}

/// An interval literal in milliseconds.
fn fixed_duration(arg: &Expr, call: Span, what: &str) -> Result<i64, Refusal> {
    let refused =
        |problem: &str| Refusal::new(WINDOW_ARGUMENTS, span_or(arg, call), format!("{what} {problem}"));
    let Some((text, negative)) = interval_text(arg, false) else {
        return Err(refused("is not an interval literal").hint("write INTERVAL '10' SECOND"));
    };
    let config = IntervalParseConfig::new(IntervalUnit::Second);
    let interval = parse_interval_month_day_nano_config(&text, config)
        .map_err(|_| refused("can't be read").hint("write INTERVAL '10' SECOND"))?;
    if interval.months != 0 {
        return Err(refused("is in months or years, which have no fixed length")
            .hint("write it in days: INTERVAL '30' DAY"));
    }
    if interval.nanoseconds % NS_PER_MS != 0 {
        return Err(refused("is finer than a millisecond").hint("the finest is INTERVAL '0.001' SECOND"));
    }
    let ms = i64::from(interval.days) * MS_PER_DAY + interval.nanoseconds / NS_PER_MS;
    Ok(if negative { -ms } else { ms })
}

/// The literal's text with its unit, and whether a minus stands in front of it.
fn interval_text(expr: &Expr, negative: bool) -> Option<(String, bool)> {
    match expr {
        Expr::Nested(inner) => interval_text(inner, negative),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => interval_text(expr, !negative),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => interval_text(expr, negative),
        Expr::Interval(Interval {
            value,
            leading_field,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }) => {
            let (number, negative) = interval_value(value, negative)?;
            let unit = leading_field.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
            Some((format!("{number}{unit}"), negative))
        }
        _ => None,
    }
}

fn interval_value(value: &Expr, negative: bool) -> Option<(String, bool)> {
    match value {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => interval_value(expr, !negative),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            Some((text.clone(), negative))
        }
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            Some((digits.to_string(), negative))
        }
        _ => None,
    }
}

/// A call that would work, with the table that was meant where it can be guessed.
pub(super) fn example(args: &[FunctionArg], tables: &[TableDef]) -> String {
    let named = args.first().and_then(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Prefixed { value, .. })) => {
            tables.iter().find(|table| table.name.eq_ignore_ascii_case(&value.to_string()))
        }
        _ => None,
    });
    match named.or_else(|| tables.first()) {
        Some(table) => example_of(table),
        None => "TUMBLE(TABLE source, DESCRIPTOR(event_time), INTERVAL '10' SECOND)".to_owned(),
    }
}

/// The same for `HOP`.
fn hop_example(args: &[FunctionArg], tables: &[TableDef]) -> String {
    let tumble = example(args, tables);
    let hop = tumble.replacen("TUMBLE(", "HOP(", 1);
    hop.replacen("INTERVAL '10' SECOND)", "INTERVAL '2' SECOND, INTERVAL '10' SECOND)", 1)
}

/// `TUMBLE` over a table, with its event time.
pub(super) fn example_of(table: &TableDef) -> String {
    let event_time = quoted_if_needed(table.schema.field(table.event_time).name());
    format!("TUMBLE(TABLE {}, DESCRIPTOR({event_time}), INTERVAL '10' SECOND)", table.name)
}

/// The name an identifier stands for: unquoted ones are lower-cased, as DataFusion does.
pub(super) fn normalised(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// A name as SQL text.
pub(super) fn quoted_if_needed(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn span_or(expr: &Expr, fallback: Span) -> Span {
    match expr.span() {
        span if span == Span::empty() => fallback,
        span => span,
    }
}
