//! SQL text to one parsed query, with the tokens that say where things are.
//!
//! Invariant: text is bounded before it is parsed, so that no input makes a recursion over the
//! syntax tree (dropping it included) deeper than the planner's stack.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Statement, Visit, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::dialect::WeirDialect;
use super::error::{NOT_ONE_SELECT, Refusal, SYNTAX, TOO_LARGE, decapitalised};

/// Longest SQL text, in bytes. A person's query has a few thousand; a chain of operators as long as
/// this is dropped recursively within a quarter of [`super::PLANNER_STACK_BYTES`].
const SQL_BYTES_MAX: usize = 64 * 1024;

/// How deep parentheses, subqueries and the like may nest.
const NESTING_MAX: usize = 100;

/// How deep an expression may be. Operators evaluate it recursively on their own threads; a person's
/// is below 20, a generated chain of ORs can be longer (IN has no depth).
const EXPRESSION_DEPTH_MAX: usize = 256;

/// The tokens of the text, without white space and comments.
#[derive(Debug)]
pub(super) struct Tokens(Vec<TokenWithSpan>);

impl Tokens {
    /// The first token: where a refusal points that has no better place.
    pub(super) fn first(&self) -> Span {
        self.0.first().map_or_else(Span::empty, |token| token.span)
    }

    /// The last of `keywords` in front of `at`, or `at` itself.
    pub(super) fn keyword_before(&self, keywords: &[Keyword], at: Span) -> Span {
        self.0
            .iter()
            .take_while(|token| token.span.start < at.start)
            .filter(|token| is_keyword(token, keywords))
            .last()
            .map_or(at, |token| token.span)
    }

    /// The first of `keywords` at or behind `at`, or `at` itself.
    pub(super) fn keyword_after(&self, keywords: &[Keyword], at: Span) -> Span {
        self.0
            .iter()
            .skip_while(|token| token.span.start < at.start)
            .find(|token| is_keyword(token, keywords))
            .map_or(at, |token| token.span)
    }

    /// The token that starts where `at` starts: a whole call's span shortened to its name.
    pub(super) fn head(&self, at: Span) -> Span {
        self.0.iter().find(|token| token.span.start == at.start).map_or(at, |token| token.span)
    }

    /// The last token that starts in front of `at`.
    fn before(&self, at: Location) -> Span {
        let before = self.0.iter().take_while(|token| token.span.start < at).last();
        before.map_or(Span::new(at, at), |token| token.span)
    }

    /// The first token of the second statement.
    fn second_statement(&self) -> Option<Span> {
        let mut tokens = self.0.iter().skip_while(|token| token.token == Token::SemiColon);
        tokens.by_ref().find(|token| token.token == Token::SemiColon)?;
        tokens.find(|token| token.token != Token::SemiColon).map(|token| token.span)
    }
}

fn is_keyword(token: &TokenWithSpan, keywords: &[Keyword]) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && keywords.contains(&word.keyword))
}

/// Parses one query.
pub(super) fn parse(sql: &str) -> Result<(Tokens, Box<Query>), Refusal> {
    let start = Span::new(Location::new(1, 1), Location::new(1, 1));
    if SQL_BYTES_MAX < sql.len() {
        let message = format!("the SQL has {} bytes, at most {SQL_BYTES_MAX} are allowed", sql.len());
        return Err(Refusal::new(TOO_LARGE, start, message));
    }
    let tokens = Tokenizer::new(&WeirDialect, sql).tokenize_with_location().map_err(|error| {
        let at = Span::new(error.location, error.location);
        Refusal::new(SYNTAX, at, error.message.to_lowercase())
    })?;
    let visible = Tokens(
        tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).cloned().collect(),
    );
    let statements = Parser::new(&WeirDialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| syntax_error(error, &visible))?;
    let query = one_query(statements, &visible)?;
    let mut depth = Depth(0);
    if query.visit(&mut depth).is_break() {
        let message = format!("an expression is nested more than {EXPRESSION_DEPTH_MAX} deep");
        return Err(Refusal::new(TOO_LARGE, visible.first(), message)
            .hint("a long chain of OR can be written with IN"));
    }
    Ok((visible, query))
}

/// How many expressions the one being visited is in, itself included. Breaks off at the limit, so
/// that this walk is never deep either.
struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        if EXPRESSION_DEPTH_MAX < self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

fn one_query(mut statements: Vec<Statement>, tokens: &Tokens) -> Result<Box<Query>, Refusal> {
    let refused = |at, message: &str| Refusal::new(NOT_ONE_SELECT, at, message);
    if 1 < statements.len() {
        let at = tokens.second_statement().unwrap_or_else(|| tokens.first());
        return Err(refused(at, "a second statement: a pipeline is one SELECT")
            .hint("make a pipeline of its own of it"));
    }
    match statements.pop() {
        Some(Statement::Query(query)) => Ok(query),
        Some(Statement::Explain { .. } | Statement::ExplainTable { .. }) => {
            Err(refused(tokens.first(), "a pipeline is one SELECT, not EXPLAIN")
                .hint("`weir explain DIR PIPELINE` prints the dataflow"))
        }
        Some(_) => Err(refused(tokens.first(), "a pipeline is one SELECT")
            .hint("write what its result table shall hold: SELECT … FROM …")),
        None => Err(refused(Span::new(Location::new(1, 1), Location::new(1, 1)), "the SQL is empty")
            .hint("write what its result table shall hold: SELECT … FROM …")),
    }
}

fn syntax_error(error: ParserError, tokens: &Tokens) -> Refusal {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            let message = format!("the query is nested more than {NESTING_MAX} deep");
            return Refusal::new(TOO_LARGE, tokens.first(), message);
        }
    };
    let end = tokens.0.last().map_or(Location::new(1, 1), |token| token.span.end);
    let (message, at) = split_location(&text).unwrap_or((&text, end));
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let at = match message.strip_prefix("Expected an expression, found: ") {
        // It took a keyword for a column and points behind it.
        Some(_) => tokens.before(at),
        None => tokens.head(Span::new(at, at)),
    };
    let message = message.replacen("Expected: ", "expected ", 1).replace(", found: ", ", found ");
    let message = message.replace("found EOF", "found the end");
    Refusal::new(SYNTAX, at, decapitalised(&message))
}

/// Takes "… at Line: 3, Column: 7" apart: the parser has no other way to say where.
fn split_location(text: &str) -> Option<(&str, Location)> {
    let (message, location) = text.rsplit_once(" at Line: ")?;
    let (line, column) = location.split_once(", Column: ")?;
    Some((message, Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?)))
}
