//! What the columns of a query are computed from, in its own words: for whoever meets them elsewhere.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr};

use super::{on_planner_stack, parse};

/// Longer expressions end with an ellipsis.
const CHARS_MAX: usize = 500;

/// The expressions that the outermost SELECT gives names to, by these names. Columns that are only passed on have none, and
/// neither has a text that is no query.
#[must_use]
pub fn described(sql: &str) -> Vec<(String, String)> {
    on_planner_stack(|| described_here(sql)).unwrap_or_default()
}

fn described_here(sql: &str) -> Vec<(String, String)> {
    let Ok((_, query)) = parse::parse(sql) else { return Vec::new() };
    let SetExpr::Select(select) = &*query.body else { return Vec::new() };
    let described = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr: Expr::Identifier(_) | Expr::CompoundIdentifier(_), .. } => None,
        SelectItem::ExprWithAlias { expr, alias } => {
            let name = match alias.quote_style {
                Some(_) => alias.value.clone(),
                None => alias.value.to_lowercase(),
            };
            Some((name, shortened(&expr.to_string())))
        }
        _ => None,
    };
    select.projection.iter().filter_map(described).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_told_by_the_names_that_they_are_given() {
        let sql = "WITH o AS (SELECT 1 AS x) SELECT window_start, country AS land, sum( amount )  AS Revenue, \
                   count(*) \"N\", upper(country) FROM TUMBLE(TABLE o, DESCRIPTOR(at), INTERVAL '1' MINUTE) GROUP BY 1";
        let told = described(sql);
        let told: Vec<_> = told.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(told, [("revenue", "sum(amount)"), ("N", "count(*)")]);
        for none in ["SELECT * FROM t", "", "SELECT ${X} AS a FROM t", "SELECT 1 AS a UNION ALL SELECT 2"] {
            assert_eq!(described(none), [], "{none}");
        }
        let long = described(&format!("SELECT '{}' AS a FROM t", "ä".repeat(600)));
        assert_eq!(long[0].1.chars().count(), 501);
    }
}
