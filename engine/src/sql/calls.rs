//! Function calls that can't run continuously: volatile ones, those OVER rows, unsupported aggregates.

use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Spanned,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::check::Checker;
use super::error::{AGGREGATE, NOT_IMMUTABLE, UNSUPPORTED, WINDOW_FUNCTION};
use super::tvf::{self, normalised};
use super::windowed;

/// The aggregate functions that pipelines have, by DataFusion's own names.
const AGGREGATES: [&str; 12] = [
    "approx_distinct",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "max",
    "min",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

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
        if windowed::is_bound(&name) {
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
        if distinct && canonical != "count" {
            let hint = match canonical {
                "min" | "max" | "bool_and" | "bool_or" | "approx_distinct" => {
                    "leave DISTINCT out, it changes nothing"
                }
                _ => "only count(DISTINCT …) is supported",
            };
            self.refuse(AGGREGATE, at, format!("{canonical}(DISTINCT …) is not supported"), hint);
        }
        if canonical == "count" && 1 < args.len() {
            self.refuse(AGGREGATE, at, "count takes one argument", "count each column for itself");
        }
        let ordered = clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
        if ordered
            || !function.within_group.is_empty()
            || function.null_treatment.is_some()
            || !clauses.is_empty()
        {
            self.refuse(
                AGGREGATE,
                at,
                format!("{canonical} takes no ORDER BY and no treatment of nulls"),
                "leave it out",
            );
        }
    }
}
