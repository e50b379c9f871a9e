//! Names of the result table's columns: plain, unique, and given by AS where nothing else gives one.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{OUTPUT_NAME, Refusal};
use super::parse::Tokens;
use super::tvf::normalised;

/// The system column of every result table.
const RESERVED: &str = "_final";

/// What names begin with that are given here: no message shows them.
pub(super) const MADE_UP: &str = "_made_up_name_";

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

/// Checks what the last SELECT names its columns. Those that have no name, or one that is taken, get one, so that the
/// rest of the query can be checked, too.
pub(super) fn check(query: &mut Query, tokens: &Tokens) -> (Outputs, Vec<Refusal>) {
    let mut body = query.body.as_mut();
    while let SetExpr::Query(nested) = body {
        body = nested.body.as_mut();
    }
    let SetExpr::Select(select) = body else { return (Outputs::default(), Vec::new()) };
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
    if !refusals.is_empty() {
        name_all(&mut select.projection);
    }
    (outputs, refusals)
}

/// Gives a name to the columns that have none, and another one to those whose name is taken.
fn name_all(projection: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for (i, item) in projection.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (&*expr, column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (&*expr, Some(&*alias)),
            _ => continue,
        };
        if name.is_none_or(|name| !seen.insert(normalised(name))) {
            let at = name.map_or(expr.span(), |name| name.span);
            let alias = Ident::with_span(at, format!("{MADE_UP}{i}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
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

pub(super) fn column_name(expr: &Expr) -> Option<&Ident> {
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
