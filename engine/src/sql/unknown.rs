//! Every unknown column and function of a query, where DataFusion tells the first one.
//!
//! What it tells is taken out of the syntax tree, NULL or a number put in its place, and the rest planned again, until
//! nothing unknown is left. From then on only what is unknown is believed: a type that does not fit may be that of the NULL.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::common::DataFusionError;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select, SelectItem, Spanned,
    Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::catalog::Catalog;
use super::error::{BAD_EXPRESSION, LEFT_OUT, Refusal, Sites, UNKNOWN_COLUMN, from_datafusion};
use super::outputs::column_name;

/// Most that is taken out: each takes another planning.
const PLANNINGS_MAX: usize = 50;

/// What `error`, if there was one, tells of the query, and what is unknown in it besides.
pub(super) fn all(
    error: Option<&DataFusionError>,
    mut query: Query,
    catalog: &Catalog<'_>,
    sites: &Sites<'_>,
) -> Vec<Refusal> {
    let stripped = query.visit(&mut WithoutOrder);
    debug_assert!(stripped.is_continue(), "nothing here breaks the walk off");
    let mut found = error.map(|error| from_datafusion(error, sites)).unwrap_or_default();
    let mut calls = sites.calls.to_vec();
    let mut told = found.clone();
    for _ in 0..PLANNINGS_MAX {
        if !told.iter().all(|refusal| take_out(&mut query, &mut calls, refusal)) {
            break;
        }
        let Some(error) = planning_error(&query, catalog) else { break };
        told = from_datafusion(&error, &Sites { calls: &calls, ..*sites });
        for refusal in told.iter().filter(|refusal| is_unknown(refusal)) {
            if !found.contains(refusal) {
                found.push(refusal.clone());
            }
        }
    }
    found
}

fn planning_error(query: &Query, catalog: &Catalog<'_>) -> Option<DataFusionError> {
    let options = ParserOptions::from(&catalog.functions.config.sql_parser);
    let statement = Statement::Query(Box::new(query.clone()));
    let plan = || SqlToRel::new_with_options(catalog, options).sql_statement_to_plan(statement);
    // A query that is refused for something else may be one that DataFusion has no answer to.
    catch_unwind(AssertUnwindSafe(plan)).ok()?.err()
}

fn is_unknown(refusal: &Refusal) -> bool {
    match refusal.code {
        UNKNOWN_COLUMN | LEFT_OUT => true,
        BAD_EXPRESSION => refusal.message.starts_with("invalid function '"),
        _ => false,
    }
}

/// Puts NULL in place of the column or call that a refusal points at. Whether there is one.
fn take_out(query: &mut Query, calls: &mut Vec<(String, Span)>, refusal: &Refusal) -> bool {
    let at = Location::new(refusal.line.into(), refusal.column.into());
    calls.retain(|(_, call)| call.start != at);
    query.visit(&mut TakeOut(at)).is_break()
}

/// Takes ORDER BY and LIMIT out, which a pipeline can't have: what they name does not matter.
struct WithoutOrder;

impl VisitorMut for WithoutOrder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        (query.order_by, query.limit_clause, query.fetch) = (None, None, None);
        ControlFlow::Continue(())
    }
}

struct TakeOut(Location);

impl TakeOut {
    fn is_at(&self, expr: &Expr) -> bool {
        let start = match expr {
            Expr::Identifier(name) => name.span.start,
            Expr::CompoundIdentifier(parts) => match parts.first() {
                Some(first) => first.span.start,
                None => return false,
            },
            Expr::Function(function) => function.name.span().start,
            _ => return false,
        };
        start == self.0
    }
}

impl VisitorMut for TakeOut {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && self.is_at(expr)
                && let Some(name) = column_name(expr)
            {
                // Queries around it still find the column.
                let alias = name.clone();
                *item = SelectItem::ExprWithAlias { expr: Expr::value(Value::Null), alias };
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.is_at(expr) {
            *expr = Expr::value(Value::Null);
            return ControlFlow::Break(());
        }
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr {
            for arg in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg
                    && self.is_at(arg)
                {
                    // An aggregate of NULL has no type, and no query around it is planned.
                    *arg = Expr::value(Value::Number("0".to_owned(), false));
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
