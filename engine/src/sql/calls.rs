//! Function calls that can't run continuously: volatile ones, those OVER rows, unsupported aggregates.

use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, OrderByExpr, Spanned,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::casts;
use super::check::Checker;
use super::error::{AGGREGATE, NOT_IMMUTABLE, UNSUPPORTED, WINDOW_FUNCTION};
use super::tvf::{self, normalised};
use super::windowed;

/// The aggregate functions that pipelines have, by DataFusion's own names.
const AGGREGATES: [&str; 37] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];
/// Those that take DISTINCT.
const DISTINCT: [&str; 10] =
    ["array_agg", "avg", "count", "median", "stddev", "stddev_pop", "string_agg", "sum", "var", "var_pop"];
/// Those that it would not change.
const IDEMPOTENT: [&str; 7] = ["approx_distinct", "bit_and", "bit_or", "bool_and", "bool_or", "max", "min"];
/// Those that take ORDER BY; without it they order by event time, partition and offset.
const ORDERED: [&str; 5] = ["array_agg", "first_value", "last_value", "nth_value", "string_agg"];
/// Those of them that may leave nulls out.
const NULLS_TREATED: [&str; 4] = ["array_agg", "first_value", "last_value", "nth_value"];
/// Those that take WITHIN GROUP.
const WITHIN_GROUP: [&str; 3] =
    ["approx_percentile_cont", "approx_percentile_cont_with_weight", "percentile_cont"];

impl Checker<'_> {
    pub(super) fn check_function(&mut self, function: &Function) {
        let at = self.tokens.head(function.name.span());
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(normalised).unwrap_or_default(),
            _ => return,
        };
        if matches!(function.args, FunctionArguments::Subquery(_)) {
            self.refuse_subquery(at);
        }
        if windowed::is_bound(&name) || name == casts::NAME {
            // The ones that replaced a window table function have no place in the text.
            if function.name.span() != Span::empty() {
                let message = format!("there is no function \"{name}\"");
                self.refuse(UNSUPPORTED, at, message, "leave it out");
            }
            return;
        }
        let only_over =
            self.functions.window.contains_key(&name) && !self.functions.aggregate.contains_key(&name);
        if function.over.is_some() || only_over {
            return self.refuse_over(at);
        }
        if tvf::is_window_function(&name) {
            let example = tvf::example(&[], self.tables);
            let hint = format!("write FROM {example} GROUP BY window_start, window_end");
            return self.refuse(WINDOW_FUNCTION, at, format!("{} stands in FROM", name.to_uppercase()), hint);
        }
        if name == "unnest" {
            return self.refuse(UNSUPPORTED, at, "unnest is not supported", "take single elements: list[1]");
        }
        let canonical = self.canonical_name(&name);
        self.checked.calls.push((canonical.clone(), at));
        if let Some(udf) = self.functions.scalar.get(&name)
            && udf.signature().volatility != Volatility::Immutable
        {
            let hint = "use a column, such as the event time or window_end: the same rows must give the same result in every run";
            return self.refuse(NOT_IMMUTABLE, at, format!("{name} gives another value each time"), hint);
        }
        if self.functions.aggregate.contains_key(&name) {
            if let Some(first) = self.selects.last_mut() {
                first.get_or_insert(at);
            }
            self.check_aggregate(function, &canonical, at);
        }
    }

    /// DataFusion's own name for a function, which its messages use.
    fn canonical_name(&self, name: &str) -> String {
        let scalar = self.functions.scalar.get(name).map(|udf| udf.name());
        let aggregate = self.functions.aggregate.get(name).map(|udf| udf.name());
        scalar.or(aggregate).unwrap_or(name).to_owned()
    }

    fn check_aggregate(&mut self, function: &Function, canonical: &str, at: Span) {
        if !AGGREGATES.contains(&canonical) {
            let hint = format!("there are {}", AGGREGATES.join(", "));
            return self.refuse(AGGREGATE, at, format!("{} is not supported yet", function.name), hint);
        }
        let FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }) =
            &function.args
        else {
            return;
        };
        let distinct = *duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if distinct {
            self.check_distinct(canonical, args, clauses, at);
        }
        if canonical == "count" && 1 < args.len() {
            self.refuse(AGGREGATE, at, "count takes one argument", "count each column for itself");
        }
        self.check_clauses(function, canonical, clauses, at);
    }

    /// Refuses DISTINCT where it changes nothing or means nothing, and an order that its values don't have.
    fn check_distinct(
        &mut self,
        canonical: &str,
        args: &[FunctionArg],
        clauses: &[FunctionArgumentClause],
        at: Span,
    ) {
        if !DISTINCT.contains(&canonical) {
            let hint = match IDEMPOTENT.contains(&canonical) {
                true => "leave DISTINCT out, it changes nothing".to_owned(),
                false => format!("DISTINCT is there for {}", DISTINCT.join(", ")),
            };
            return self.refuse(AGGREGATE, at, format!("{canonical}(DISTINCT …) is not supported"), hint);
        }
        let orders = clauses.iter().filter_map(|clause| match clause {
            FunctionArgumentClause::OrderBy(keys) => Some(keys),
            _ => None,
        });
        let is_argument = |key: &OrderByExpr| {
            let expr = args.first().and_then(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            expr == Some(&key.expr)
        };
        if orders.flatten().any(|key| !is_argument(key)) {
            let message = format!("{canonical}(DISTINCT …) has no order but that of its argument");
            self.refuse(AGGREGATE, at, message, "order by the argument, or leave ORDER BY out");
        }
    }

    /// Refuses ORDER BY, WITHIN GROUP and the treatment of nulls where the function has no use for them.
    fn check_clauses(
        &mut self,
        function: &Function,
        canonical: &str,
        clauses: &[FunctionArgumentClause],
        at: Span,
    ) {
        let is_order =
            |clause: &&FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
        let is_nulls = |clause: &&FunctionArgumentClause| {
            matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_))
        };
        let takes = |functions: &[&str]| functions.contains(&canonical);
        let refused = if clauses.iter().any(|clause| is_order(&clause)) && !takes(&ORDERED) {
            let hint =
                if takes(&WITHIN_GROUP) { "write WITHIN GROUP (ORDER BY …)" } else { "leave it out" };
            Some(("ORDER BY", hint))
        } else if !function.within_group.is_empty() && !takes(&WITHIN_GROUP) {
            let hint = if takes(&ORDERED) { "write ORDER BY behind the arguments" } else { "leave it out" };
            Some(("WITHIN GROUP", hint))
        } else if (function.null_treatment.is_some() || clauses.iter().any(|clause| is_nulls(&clause)))
            && !takes(&NULLS_TREATED)
        {
            Some(("treatment of nulls", "leave it out"))
        } else if clauses.iter().any(|clause| !is_order(&clause) && !is_nulls(&clause)) {
            Some(("clause but ORDER BY and a treatment of nulls", "leave it out"))
        } else {
            None
        };
        if let Some((what, hint)) = refused {
            self.refuse(AGGREGATE, at, format!("{canonical} takes no {what}"), hint);
        }
    }
}
