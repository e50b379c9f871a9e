//! Names of the result table's columns: plain, unique, and given by AS where nothing else gives one.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{OUTPUT_NAME, Refusal};
use super::parse::Tokens;
use super::tvf::normalised;

/// The system column of every result table.
const RESERVED: &str = "_final";

/// What the last SELECT says about the columns.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Where a column's name comes from, as far as it is written: `(name, where)`.
    named: Vec<(String, Span)>,
    pub(super) wildcard: Option<Span>,
    select: Option<Span>,
}

impl Outputs {
    /// Where a column called `name` is selected.
    pub(super) fn site(&self, name: &str) -> Span {
        let named = self.named.iter().find(|(known, _)| known == name).map(|(_, at)| *at);
        named.or(self.wildcard).or(self.select).unwrap_or_else(Span::empty)
    }
}

/// Checks what the last SELECT names its columns.
pub(super) fn check(query: &Query, tokens: &Tokens) -> Result<Outputs, Vec<Refusal>> {
    let mut body = query.body.as_ref();
    while let SetExpr::Query(nested) = body {
        body = nested.body.as_ref();
    }
    let SetExpr::Select(select) = body else { return Ok(Outputs::default()) };
    let mut outputs = Outputs { select: Some(select.select_token.0.span), ..Outputs::default() };
    let mut refusals = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => match column_name(expr) {
                Some(name) => outputs.named.push((normalised(name), name.span)),
                None => refusals.push(unnamed(expr, tokens)),
            },
            SelectItem::ExprWithAlias { alias, .. } => outputs.named.push((normalised(alias), alias.span)),
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {
                outputs.wildcard.get_or_insert(item.span());
            }
            SelectItem::ExprWithAliases { aliases, .. } => {
                let at = aliases.first().map_or_else(|| tokens.first(), |alias| alias.span);
                refusals.push(
                    Refusal::new(OUTPUT_NAME, at, "a column has one name").hint("write AS and one name"),
                );
            }
        }
    }
    let mut seen = HashSet::new();
    for (name, at) in &outputs.named {
        refusals.extend(refuse_name(name, *at, !seen.insert(name.as_str())));
    }
    if refusals.is_empty() { Ok(outputs) } else { Err(refusals) }
}

/// Checks one column's name; `taken`: another column has it.
pub(super) fn refuse_name(name: &str, at: Span, taken: bool) -> Option<Refusal> {
    if taken {
        let message = format!("two columns are called \"{name}\"");
        return Some(Refusal::new(OUTPUT_NAME, at, message).hint("rename one with AS"));
    }
    if name.eq_ignore_ascii_case(RESERVED) {
        let message = format!("\"{name}\" is the name of a system column");
        return Some(Refusal::new(OUTPUT_NAME, at, message).hint("rename it with AS"));
    }
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        return None;
    }
    let message = format!("\"{name}\" is not a plain name");
    Some(
        Refusal::new(OUTPUT_NAME, at, message)
            .hint("rename it with AS: letters, digits and _, no digit first"),
    )
}

fn column_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

fn unnamed(expr: &Expr, tokens: &Tokens) -> Refusal {
    const SHOWN: usize = 40;
    let at = if expr.span() == Span::empty() { tokens.first() } else { expr.span() };
    let text = expr.to_string();
    let hint = if text.chars().count() <= SHOWN {
        format!("write {text} AS name")
    } else {
        "write AS name behind it".to_owned()
    };
    Refusal::new(OUTPUT_NAME, at, "an expression needs AS").hint(hint)
}
