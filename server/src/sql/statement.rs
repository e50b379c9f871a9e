//! Which SQL is let in: one statement that reads, of bounded size.
//!
//! Invariants:
//! 1. Nothing that writes, sets or names a file or URL becomes a [`Request`].
//! 2. The number of tokens bounds the depth of every tree that parsing and planning walk: with
//!    [`TOKENS_MAX`] and the stacks of the query threads no text overflows one.

use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    ObjectName, SetExpr, ShowStatementIn, ShowStatementOptions, Statement as Sql,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::error::{self, Names};
use crate::problem::{Code, Fault};

/// Longest query: many times what a person writes; a list of some thousand values fits.
const BYTES_MAX: usize = 256 * 1024;
/// Most tokens, white space apart. A chain of operators nests as deep as it has operators, and
/// some walks over it use the stack.
const TOKENS_MAX: usize = 8_000;
/// Most binary operators, set operations and the like, which nest to the left without the
/// parser's own limit noticing.
const CHAIN_MAX: usize = 1_000;
/// Nesting of parentheses, subqueries and calls.
const NESTING_MAX: usize = 64;

const READ_ONLY: &str = "send one SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE";

/// What was asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// A SELECT, or an EXPLAIN of one.
    Query(Box<Statement>),
    ShowTables,
    /// The columns of a table: SHOW COLUMNS and DESCRIBE.
    Columns(ObjectName),
}

/// Parses and admits `sql`.
///
/// # Errors
/// [`Code::WrongQuery`] with line and column, or [`Code::RefusedQuery`] with what is allowed.
pub(super) fn parse(sql: &str) -> Result<Request, Fault> {
    if BYTES_MAX < sql.len() {
        let detail = format!("the query has {} bytes, at most {BYTES_MAX} are allowed", sql.len());
        return Err(Fault::new(Code::RefusedQuery, detail));
    }
    let dialect = GenericDialect {};
    let mut tokens =
        Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| error::parse(&e.into(), sql))?;
    check_size(tokens.iter().map(|token| &token.token))?;
    name_offsets(&mut tokens);
    let mut parser = DFParserBuilder::new(tokens)
        .with_dialect(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .build()
        .map_err(|e| error::plan(&e, sql, &Names::default()))?;
    let mut statements = parser.parse_statements().map_err(|e| error::plan(&e, sql, &Names::default()))?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(Fault::new(Code::WrongQuery, "the query is empty").hint(READ_ONLY)),
        (Some(statement), 0) => admit(statement),
        (Some(_), more) => {
            let detail = format!("the request has {} statements", more + 1);
            Err(Fault::new(Code::RefusedQuery, detail).hint("send them one by one"))
        }
    }
}

/// A condition, to stand behind WHERE: one expression and nothing else.
///
/// # Errors
/// As [`parse`].
pub(crate) fn condition(text: &str) -> Result<String, Fault> {
    if BYTES_MAX < text.len() {
        let detail = format!("the condition has {} bytes, at most {BYTES_MAX} are allowed", text.len());
        return Err(Fault::new(Code::RefusedQuery, detail));
    }
    let dialect = GenericDialect {};
    let tokens =
        Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| error::parse(&e.into(), text))?;
    check_size(tokens.iter().map(|token| &token.token))?;
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
    let condition = parser.parse_expr().map_err(|e| error::parse(&e, text))?;
    match parser.next_token().token {
        Token::EOF => Ok(condition.to_string()),
        other => {
            let detail = format!("the condition ends before \"{other}\"");
            Err(Fault::new(Code::WrongQuery, detail).hint("write what could stand behind WHERE"))
        }
    }
}

fn check_size<'a>(tokens: impl Iterator<Item = &'a Token>) -> Result<(), Fault> {
    let (mut n_tokens, mut n_chained) = (0, 0);
    for token in tokens {
        n_tokens += usize::from(!matches!(token, Token::Whitespace(_)));
        n_chained += usize::from(is_chaining(token));
    }
    let refuse = |what: &str, found: usize, limit: usize| {
        let detail = format!("the query has {found} {what}, at most {limit} are allowed");
        Err(Fault::new(Code::RefusedQuery, detail).hint("use IN or a join instead of long chains"))
    };
    if TOKENS_MAX < n_tokens {
        return refuse("tokens", n_tokens, TOKENS_MAX);
    }
    if CHAIN_MAX < n_chained {
        return refuse("operators", n_chained, CHAIN_MAX);
    }
    Ok(())
}

/// Makes a name of each `offset` that can't begin a clause: system tables have columns of that name, and the parser takes
/// one behind a comma for the clause.
fn name_offsets(tokens: &mut [TokenWithSpan]) {
    let mut before = Token::SemiColon;
    for TokenWithSpan { token, .. } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        if let Token::Word(word) = &mut *token
            && word.keyword == Keyword::OFFSET
            && wants_operand(&before)
        {
            word.keyword = Keyword::NoKeyword;
        }
        before.clone_from(token);
    }
}

/// Whether an expression has to begin or to go on behind this token.
fn wants_operand(token: &Token) -> bool {
    use Keyword as K;
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && matches!(
                    word.keyword,
                    K::SELECT
                        | K::DISTINCT
                        | K::WHERE
                        | K::AND
                        | K::OR
                        | K::NOT
                        | K::BY
                        | K::ON
                        | K::HAVING
                        | K::CASE
                        | K::WHEN
                        | K::THEN
                        | K::ELSE
                        | K::BETWEEN
                )
        }
        Token::Comma
        | Token::LParen
        | Token::Period
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::LtEq
        | Token::Gt
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod => true,
        _ => false,
    }
}

/// Everything that nests a tree by one without a parenthesis: operators, AND, UNION, JOIN, `::`.
fn is_chaining(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            use datafusion::sql::sqlparser::keywords::Keyword as K;
            word.quote_style.is_none()
                && matches!(
                    word.keyword,
                    K::AND
                        | K::OR
                        | K::XOR
                        | K::NOT
                        | K::UNION
                        | K::EXCEPT
                        | K::INTERSECT
                        | K::MINUS
                        | K::JOIN
                        | K::IS
                        | K::LIKE
                        | K::ILIKE
                        | K::BETWEEN
                        | K::COLLATE
                        | K::AT
                        | K::INTERVAL
                        | K::CASE
                        | K::WHEN
                        | K::OVER
                        | K::SELECT
                )
        }
        Token::Comma
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::RBrace
        | Token::Period
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    }
}

fn admit(statement: Statement) -> Result<Request, Fault> {
    match statement {
        Statement::Statement(sql) => admit_sql(*sql),
        Statement::Explain(explain) => admit_explain(explain),
        Statement::CreateExternalTable(_) => Err(refused("CREATE")),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

fn admit_explain(explain: ExplainStatement) -> Result<Request, Fault> {
    match explain.statement.as_ref() {
        Statement::Statement(inner) if matches!(inner.as_ref(), Sql::Query(_)) => {
            Ok(Request::Query(Box::new(Statement::Explain(explain))))
        }
        _ => Err(Fault::new(Code::RefusedQuery, "only a SELECT can be explained").hint(READ_ONLY)),
    }
}

fn admit_sql(sql: Sql) -> Result<Request, Fault> {
    match sql {
        Sql::Query(ref query) => match query.body.as_ref() {
            SetExpr::Insert(_) => Err(refused("INSERT")),
            SetExpr::Update(_) => Err(refused("UPDATE")),
            SetExpr::Delete(_) => Err(refused("DELETE")),
            _ => Ok(Request::Query(Box::new(Statement::Statement(Box::new(sql))))),
        },
        Sql::Explain { ref statement, .. } if matches!(statement.as_ref(), Sql::Query(_)) => {
            Ok(Request::Query(Box::new(Statement::Statement(Box::new(sql)))))
        }
        Sql::Explain { .. } => {
            Err(Fault::new(Code::RefusedQuery, "only a SELECT can be explained").hint(READ_ONLY))
        }
        Sql::ShowTables { show_options, .. } => match only_in(show_options)? {
            None => Ok(Request::ShowTables),
            Some(_) => Err(unsupported_show()),
        },
        Sql::ShowColumns { show_options, .. } => match only_in(show_options)? {
            Some(ShowStatementIn { parent_name: Some(table), .. }) => Ok(Request::Columns(table)),
            _ => Err(unsupported_show()),
        },
        Sql::ExplainTable { table_name, .. } => Ok(Request::Columns(table_name)),
        other => {
            let text = other.to_string();
            let verb: String = text.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
            Err(refused(&verb.to_uppercase()))
        }
    }
}

fn only_in(options: ShowStatementOptions) -> Result<Option<ShowStatementIn>, Fault> {
    match options {
        ShowStatementOptions {
            show_in,
            starts_with: None,
            limit: None,
            limit_from: None,
            filter_position: None,
        } => Ok(show_in),
        _ => Err(unsupported_show()),
    }
}

fn unsupported_show() -> Fault {
    Fault::new(Code::RefusedQuery, "this form of SHOW is not supported")
        .hint("SHOW TABLES, or SHOW COLUMNS FROM a table")
}

/// A fault for a statement that does more than read.
pub(super) fn refused(verb: &str) -> Fault {
    Fault::new(Code::RefusedQuery, format!("{verb} is not allowed: queries only read")).hint(READ_ONLY)
}
