//! The SQL dialect: DataFusion's generic one, with `TABLE t` as an argument.
//!
//! `FROM TUMBLE(TABLE orders, …)` is standard SQL that no dialect of the parser knows. Here
//! `TABLE orders` becomes a prefixed expression that [`super::tvf`] takes apart; anywhere else
//! it is refused.
//!
//! Vendor syntax that no pipeline can run (`PREWHERE`, `CONNECT BY`, `|>` …) is left out, so that
//! it is a syntax error with a position.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectNamePart};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The prefix of `TABLE t`.
pub(super) const TABLE: &str = "TABLE";

#[derive(Debug)]
pub(super) struct WeirDialect;

/// Answers as the generic dialect does.
macro_rules! generic {
    ($($feature:ident)*) => {
        $(fn $feature(&self) -> bool {
            GenericDialect.$feature()
        })*
    };
}

impl Dialect for WeirDialect {
    // The parser asks "is it generic?" in many places.
    fn dialect(&self) -> TypeId {
        GenericDialect.dialect()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    generic! {
        supports_unicode_string_literal
        supports_string_escape_constant
        supports_nested_comments
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_filter_during_aggregation
        supports_window_function_null_treatment_arg
        supports_window_clause_named_window_reference
        supports_select_wildcard_except
        supports_select_wildcard_exclude
        supports_select_wildcard_replace
        supports_dictionary_syntax
        support_map_literal_syntax
        supports_struct_literal
        supports_array_typedef_with_brackets
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_comma_separated_trim
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_try_convert
        supports_bitwise_shift_operators
        supports_interval_options
        supports_named_fn_args_with_assignment_operator
        supports_left_associative_joins_without_parens
        supports_limit_comma
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let token = parser.peek_token_ref().clone();
        let Token::Word(word) = &token.token else { return None };
        if word.keyword != Keyword::TABLE || word.quote_style.is_some() {
            return None;
        }
        parser.next_token();
        Some(table_argument(parser).map(|value| Expr::Prefixed {
            prefix: Ident::with_span(token.span, TABLE),
            value: Box::new(value),
        }))
    }
}

/// What follows `TABLE`: a name, or a subquery in parentheses (refused later, with a hint).
fn table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    if parser.peek_token_ref().token == Token::LParen {
        return parser.parse_expr();
    }
    let name = parser.parse_object_name(false)?;
    let idents = name.0.into_iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => ident,
        ObjectNamePart::Function(function) => function.name,
    });
    Ok(Expr::CompoundIdentifier(idents.collect()))
}
