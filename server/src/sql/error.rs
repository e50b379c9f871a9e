//! What DataFusion and its parser complain about, as faults: what, where, and what was meant.

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Diagnostic, SchemaError};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use weir_engine::sql::type_name;

use crate::problem::{Code, Fault, nearest};

/// Longest text of an error that is passed on, in bytes.
const DETAIL_MAX: usize = 2_000;

const SPILLS: &str = "the query needs more than the memory that one query may use";
const OUT_OF_MEMORY_HINT: &str =
    "group by fewer values, select fewer rows, or add a WHERE on the time column";

/// The names that a query could have meant.
#[derive(Default)]
pub(super) struct Names {
    pub(super) tables: Vec<String>,
    /// Sources, which queries can't read, with a pipeline that does.
    pub(super) sources: BTreeMap<String, String>,
}

/// Words that a misspelt one may have been meant to be.
const KEYWORDS: [&str; 15] = [
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "JOIN", "UNION", "WITH",
    "EXPLAIN", "DESCRIBE", "SHOW", "BETWEEN",
];

/// A fault of parsing `sql`.
pub(super) fn parse(error: &ParserError, sql: &str) -> Fault {
    match error {
        ParserError::RecursionLimitExceeded => {
            Fault::new(Code::RefusedQuery, "the query is nested too deeply")
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let (text, position) = split_position(text);
            let fault = Fault::new(Code::WrongQuery, tidy(text));
            let Some((line, column)) = position else { return fault };
            match misspelt(sql, line, column) {
                Some(hint) => fault.hint(hint).at(line, column),
                None => fault.at(line, column),
            }
        }
    }
}

/// The keyword that was meant by the word at a place, or by the one before it: in `SELECT a FORM t` the parser takes
/// `FORM` for a name, and stumbles over what follows.
fn misspelt(sql: &str, line: u64, column: u64) -> Option<String> {
    let at = byte_of(sql, line, column)?;
    let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    let here = sql[at..].split(|letter| !is_inside(letter)).next();
    let before = sql[..at].trim_end().rsplit(|letter| !is_inside(letter)).next();
    [here, before].into_iter().flatten().find_map(|word| {
        let lower = word.to_lowercase();
        // `orders` is no misspelt ORDER.
        let meant = nearest(word, KEYWORDS).filter(|meant| !lower.starts_with(&meant.to_lowercase()))?;
        Some(format!("did you mean {meant} instead of {word}?"))
    })
}

/// The byte at a 1-based line and column, which counts characters.
fn byte_of(sql: &str, line: u64, column: u64) -> Option<usize> {
    let zero_based = |position: u64| usize::try_from(position.checked_sub(1)?).ok();
    let before: usize = sql.split_inclusive('\n').take(zero_based(line)?).map(str::len).sum();
    let text = sql.get(before..)?;
    Some(before + text.char_indices().nth(zero_based(column)?).map_or(text.len(), |(at, _)| at))
}

/// Takes `at Line: 1, Column: 8` off the end of a parser's message.
fn split_position(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some((head, tail)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let Some((line, column)) = tail.split_once(", Column: ") else { return (text, None) };
    match (line.trim().parse(), column.trim().parse()) {
        // At the end of the text there is no token that would have a place.
        (Ok(0), Ok::<u64, _>(_)) => (head, None),
        (Ok(line), Ok(column)) => (head, Some((line, column))),
        _ => (text, None),
    }
}

/// A fault of planning `sql`.
pub(super) fn plan(error: &DataFusionError, sql: &str, names: &Names) -> Fault {
    let (root, diagnostic) = unwrap(error);
    let fault = match root {
        DataFusionError::SQL(error, _) => return parse(error, sql),
        DataFusionError::SchemaError(error, _) => schema(error, sql),
        DataFusionError::Plan(text) | DataFusionError::Configuration(text) => match missing_table(text) {
            Some(name) => no_table(name, names),
            None => not_grouped(text).unwrap_or_else(|| suggested(text)),
        },
        DataFusionError::NotImplemented(text) => {
            Fault::new(Code::WrongQuery, format!("not supported: {}", tidy(text)))
        }
        _ => return execution_of(error, sql),
    };
    match diagnostic.and_then(|diagnostic| diagnostic.span).map(|span| span.start) {
        Some(start) if start.line != 0 => fault.at(start.line, start.column),
        _ => located(fault, sql),
    }
}

/// The fault at the place of the name that it tells of.
pub(super) fn located(fault: Fault, sql: &str) -> Fault {
    let found = problem_word(fault.problem().detail.as_str()).and_then(|word| find_word(sql, word));
    match found {
        Some((line, column)) => fault.at(line, column),
        None => fault,
    }
}

/// A fault of running `sql`, with its place where there is no doubt about it.
pub(super) fn execution_of(error: &DataFusionError, sql: &str) -> Fault {
    let fault = execution(error);
    if !fault.problem().detail.contains(DIVIDED) {
        return located(fault, sql);
    }
    match only_division(sql) {
        Some((line, column)) => fault.at(line, column),
        None => fault,
    }
}

/// Where a query divides, if it does so once.
fn only_division(sql: &str) -> Option<(u64, u64)> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let mut divisions = tokens.iter().filter(|token| matches!(token.token, Token::Div | Token::Mod));
    let start = divisions.next()?.span.start;
    divisions.next().is_none().then_some((start.line, start.column))
}

/// A fault of running a query that was planned.
pub(super) fn execution(error: &DataFusionError) -> Fault {
    let (root, _) = unwrap(error);
    match root {
        DataFusionError::ResourcesExhausted(text) => {
            // Which operator meets the limit first is chance; one that would spill says it its own way.
            let would_spill = text.contains("DiskManager is disabled");
            let detail = if would_spill { SPILLS.to_owned() } else { tidy(text) };
            Fault::new(Code::OutOfMemory, detail).hint(OUT_OF_MEMORY_HINT)
        }
        DataFusionError::Execution(text) if text.starts_with("Placeholder '") => {
            Fault::new(Code::WrongQuery, "a query takes no parameters").hint("write the value itself")
        }
        DataFusionError::ArrowError(error, _) => failed(&error.to_string()),
        DataFusionError::Execution(text)
        | DataFusionError::Internal(text)
        | DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text) => failed(text),
        other => failed(&other.strip_backtrace()),
    }
}

/// What arrow says of a division by zero.
const DIVIDED: &str = "divide by zero";

/// A failure on the data, and how a query gets around it.
fn failed(text: &str) -> Fault {
    let detail = sql_types(&tidy(text));
    let hint = if detail.contains(DIVIDED) {
        "divide by nullif(x, 0): the result is null where x is 0"
    } else if detail.to_lowercase().contains("cast") {
        "try_cast(x AS type) gives null for what has no value of that type"
    } else {
        return Fault::new(Code::FailedQuery, detail);
    };
    Fault::new(Code::FailedQuery, detail).hint(hint)
}

/// A text with the names that SQL has for arrow's types: BIGINT for `Int64`. What stands alone in quotes is a value or a
/// name, whatever it is called.
fn sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_uppercase()) {
        let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_';
        let word_end = rest[start..].find(|letter| !is_inside(letter)).map_or(rest.len(), |at| start + at);
        // With what stands in parentheses right behind, as in `Timestamp(ms, "UTC")`.
        let with_arguments = rest[word_end..].starts_with('(').then(|| rest[word_end..].find(')')).flatten();
        let ends = [with_arguments.map(|at| word_end + at + 1), Some(word_end)];
        let is_quoted = ["'", "\""]
            .iter()
            .any(|quote| rest[..start].ends_with(quote) && rest[word_end..].starts_with(quote));
        let is_type = !is_quoted && !rest[..start].ends_with(is_inside);
        let found = ends.into_iter().flatten().filter(|_| is_type).find_map(|end| {
            let data_type: DataType = rest[start..end].parse().ok()?;
            Some((end, type_name(&data_type)))
        });
        let (end, name) = found.unwrap_or_else(|| (word_end, rest[start..word_end].to_owned()));
        out.push_str(&rest[..start]);
        out.push_str(&name);
        rest = &rest[end..];
    }
    out + rest
}

/// The error inside its wrappings, and the first diagnostic on the way.
fn unwrap(mut error: &DataFusionError) -> (&DataFusionError, Option<&Diagnostic>) {
    let mut found = None;
    loop {
        error = match error {
            DataFusionError::Context(_, inner) => inner,
            DataFusionError::Diagnostic(diagnostic, inner) => {
                found = found.or(Some(diagnostic.as_ref()));
                inner
            }
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(errors) if !errors.is_empty() => &errors[0],
            DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
                Some(inner) => inner,
                None => return (error, found),
            },
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                arrow::error::ArrowError::ExternalError(external) => {
                    match external.downcast_ref::<DataFusionError>() {
                        Some(inner) => inner,
                        None => return (error, found),
                    }
                }
                _ => return (error, found),
            },
            _ => return (error, found),
        }
    }
}

fn schema(error: &SchemaError, sql: &str) -> Fault {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let fault = Fault::new(Code::WrongQuery, format!("no column \"{}\"", field.name));
            let mut told = HashSet::new();
            let names = valid_fields.iter().map(|column| column.name.as_str());
            let mut names: Vec<&str> = names.filter(|name| told.insert(*name)).collect();
            match nearest(&field.name, names.iter().copied()) {
                Some(name) if name != name.to_lowercase() => {
                    fault.hint(format!("did you mean \"{name}\"? in double quotes, for its capitals"))
                }
                Some(name) => fault.hint(format!("did you mean \"{name}\"?")),
                None => {
                    names.truncate(30);
                    let columns = if names.is_empty() {
                        String::new()
                    } else {
                        format!("columns: {}; ", names.join(", "))
                    };
                    // As it was written, and not in the lower case of names.
                    let word = words(sql, &field.name)
                        .next()
                        .map_or(&*field.name, |at| &sql[at..at + field.name.len()]);
                    fault.hint(format!("{columns}a text stands in single quotes: '{word}'"))
                }
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Fault::new(Code::WrongQuery, format!("column \"{}\" is in several tables", field.name))
                .hint("write the table's name before it")
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            Fault::new(Code::WrongQuery, format!("column \"{name}\" appears twice"))
                .hint("rename one with AS")
        }
    }
}

/// The name in `table 'weir.public.orders' not found`.
fn missing_table(text: &str) -> Option<&str> {
    text.strip_prefix("table '")?.split_once("' not found").map(|(name, _)| name)
}

/// A fault for a table that does not exist; `name` may be qualified.
pub(super) fn no_table(name: &str, names: &Names) -> Fault {
    let Names { tables, sources } = names;
    let qualified = |rest: &&str| rest.contains('.');
    let bare = name.strip_prefix("weir.public.").or_else(|| name.strip_prefix("weir.").filter(qualified));
    let bare = bare.unwrap_or(name);
    let fault = Fault::new(Code::WrongQuery, format!("no table \"{bare}\""));
    if let Some(pipeline) = sources.get(bare) {
        return fault.hint(format!(
            "it is a source, which pipelines read: ask for the result of one, such as \"{pipeline}\""
        ));
    }
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let (unqualified, names) = (last(bare), tables.iter().map(|table| last(table)).collect::<Vec<_>>());
    let by_last = |name: &str| names.iter().position(|known| known == name).map(|i| tables[i].as_str());
    // In another schema, nearly so called, or both.
    let suggestion = by_last(&unqualified)
        .or_else(|| nearest(bare, tables.iter().map(String::as_str)))
        .or_else(|| by_last(nearest(&unqualified, names.iter().map(String::as_str))?));
    match suggestion {
        Some(table) => fault.hint(format!("did you mean \"{table}\"?")),
        None if bare.starts_with("information_schema.") => {
            fault.hint("SHOW TABLES lists the tables, weir.columns has their columns")
        }
        None => fault.hint("SHOW TABLES lists the tables; files and URLs can't be read"),
    }
}

/// A fault for a column that is neither grouped by nor aggregated.
fn not_grouped(text: &str) -> Option<Fault> {
    let (before, _) = text.split_once(" must appear in the GROUP BY clause")?;
    let column = before.rsplit_once("column \"")?.1.trim_end_matches('"');
    let detail = format!("column \"{column}\" is neither in GROUP BY nor inside an aggregate function");
    Some(
        Fault::new(Code::WrongQuery, detail)
            .hint("add it to GROUP BY, or take max() or another aggregate of it"),
    )
}

/// DataFusion's own suggestions (of functions) come behind a line break.
fn suggested(text: &str) -> Fault {
    match text.split_once("\nDid you mean ") {
        Some((what, meant)) => {
            let meant = meant.trim_end_matches(['?', '.', '\n']);
            Fault::new(Code::WrongQuery, tidy(what))
                .hint(format!("did you mean {}?", meant.replace('\'', "\"")))
        }
        None => Fault::new(Code::WrongQuery, sql_types(&tidy(text))),
    }
}

/// The quoted name in a detail, to find in the query where no span came with the error.
fn problem_word(detail: &str) -> Option<&str> {
    let quote = detail.find(['"', '\''])?;
    let mark = &detail[quote..=quote];
    detail[quote + 1..].split_once(mark).map(|(word, _)| word).filter(|word| !word.is_empty())
}

/// The 1-based line and column, in characters, of a word in the query: where it stands alone and
/// just once.
fn find_word(sql: &str, word: &str) -> Option<(u64, u64)> {
    let mut places = words(sql, word);
    let at = places.next()?;
    if places.next().is_some() {
        return None;
    }
    let before = &sql[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Some((line as u64, column as u64))
}

/// The bytes at which a word stands alone in the query, in whatever case of ASCII letters.
fn words(sql: &str, word: &str) -> impl Iterator<Item = usize> + use<> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let lower = sql.to_ascii_lowercase();
    let word = word.to_ascii_lowercase();
    let alone =
        |at: &usize| !lower[..*at].ends_with(inside) && !lower[*at + word.len()..].starts_with(inside);
    let places: Vec<usize> = lower.match_indices(&word).map(|(at, _)| at).filter(alone).collect();
    places.into_iter()
}

/// One line, lower case at the start unless it is an acronym, no full stop, of bounded length.
fn tidy(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split("This issue was likely caused by a bug").next().unwrap_or(text);
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut tidy = String::with_capacity(joined.len());
    let mut chars = joined.trim_end_matches('.').chars().peekable();
    if let Some(first) = chars.next() {
        let is_word = chars.peek().is_some_and(|second| second.is_lowercase() || *second == ' ');
        if is_word { tidy.extend(first.to_lowercase()) } else { tidy.push(first) }
    }
    for c in chars {
        if DETAIL_MAX < tidy.len() {
            tidy.push('…');
            break;
        }
        tidy.push(c);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;

    use super::*;

    fn detail(fault: &Fault) -> &str {
        &fault.problem().detail
    }

    #[test]
    fn types_bear_the_names_of_sql_and_values_and_names_their_own() {
        let told = |text: &str| sql_types(text);
        assert_eq!(told("Cannot cast value 'Int64' to Int32"), "Cannot cast value 'Int64' to INT");
        assert_eq!(
            told("column \"Binary\" is Binary, not Utf8"),
            "column \"Binary\" is VARBINARY, not VARCHAR"
        );
        assert_eq!(told("xInt64 and Timestamp(ms, \"UTC\")"), "xInt64 and TIMESTAMP(3) WITH TIME ZONE");
    }

    #[test]
    fn a_place_is_taken_off_the_end_of_a_message_alone() {
        for (text, parts) in [
            ("Expected: x at Line: 2, Column: 7", ("Expected: x", Some((2, 7)))),
            ("Expected: x, found: EOF at Line: 0, Column: 0", ("Expected: x, found: EOF", None)),
            ("found: ' at Line: 1, Column: 2'", ("found: ' at Line: 1, Column: 2'", None)),
            ("' at Line: 1' at Line: 3, Column: 4", ("' at Line: 1'", Some((3, 4)))),
        ] {
            assert_eq!(split_position(text), parts);
        }
    }

    #[test]
    fn columns_of_several_tables_are_named_once() {
        let valid_fields = ["a", "b", "a"].map(Column::from_name).to_vec();
        let field = Box::new(Column::from_name("zzzzzz"));
        let fault = schema(&SchemaError::FieldNotFound { field, valid_fields }, "SELECT zzzzzz FROM t, u");
        assert_eq!(detail(&fault), "no column \"zzzzzz\"");
        let hint = fault.problem().hint.as_deref();
        assert_eq!(hint, Some("columns: a, b; a text stands in single quotes: 'zzzzzz'"));
    }
}
