//! Window table functions around a subquery or a WITH query: the windows move down to the source.
//!
//! ```text
//! FROM TUMBLE(TABLE o, DESCRIPTOR(t), …)
//!   ─► FROM (SELECT *, bound(t) AS window_start, … FROM o)              in the syntax tree
//!   ─► project … bound(t) ─► what o does ─► scan                        as DataFusion plans it
//!   ─► project … window_start ─► what o does, and window columns ─► windowed scan
//! ```
//!
//! Filters and projections say the same of a row in each of its windows, so the order does not matter, and
//! watermarks and late rows are decided at the source in any case.
//!
//! Invariants:
//! 1. No call of [`Bound`] is left in what this gives back, so none is ever evaluated.
//! 2. The windows are those of the source's event time: the descriptor is that column, or a plain renaming.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Filter, LogicalPlan, Projection, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, SubqueryAlias, TableScan, TableScanBuilder, Volatility,
};
use datafusion::sql::sqlparser::ast::{
    Expr as Syntax, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, SelectItem, SetExpr,
    TableFactor,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::catalog::{Catalog, StreamTable};
use super::chain::{Chain, Origin, trace};
use super::dialect::WeirDialect;
use super::error::{NOT_EVENT_TIME, Refusal, WINDOW_FUNCTION};
use super::tvf::{WINDOW_COLUMNS, WindowCall, WindowInput, quoted_if_needed};
use crate::dataflow::plan::WindowColumn;

/// What functions of this module are called; people can't call them, see [`super::calls`].
const PREFIX: &str = "bound of window ";

/// Whether a function is one of this module's.
pub(super) fn is_bound(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The function called `name` of a query with so many window calls.
pub(super) fn function(name: &str, n_windows: usize) -> Option<Arc<ScalarUDF>> {
    let (window, column) = name.strip_prefix(PREFIX)?.split_once(' ')?;
    let window = window.parse().ok().filter(|window| *window < n_windows)?;
    let column = WINDOW_COLUMNS.iter().position(|known| *known == column)?;
    let signature = Signature::any(1, Volatility::Immutable);
    Some(Arc::new(ScalarUDF::new_from_impl(Bound { name: name.to_owned(), window, column, signature })))
}

/// `SELECT *, bound(descriptor) AS window_start, … FROM input`, for the window call at `window`.
pub(super) fn select_of(window: usize, descriptor: &Ident, input: TableFactor) -> Box<Query> {
    let columns = WINDOW_COLUMNS.map(|column| format!("\"{PREFIX}{window} {column}\"(x) AS {column}"));
    let text = format!("SELECT *, {} FROM x", columns.join(", "));
    // Without locations: refusals must not point at this text.
    let tokens = Tokenizer::new(&WeirDialect, &text).tokenize().expect("names are quoted");
    let parsed = Parser::new(&WeirDialect).with_tokens(tokens).parse_query();
    let mut query = parsed.expect("the text is a SELECT");
    if let SetExpr::Select(select) = query.body.as_mut() {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { expr: Syntax::Function(call), .. } = item
                && let FunctionArguments::List(list) = &mut call.args
            {
                let column = Syntax::Identifier(descriptor.clone());
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(column))];
            }
        }
        for from in &mut select.from {
            from.relation = input.clone();
        }
    }
    query
}

/// The bound of the window that a row is in, until the windows have moved to the source.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bound {
    name: String,
    window: usize,
    /// Position in [`WINDOW_COLUMNS`].
    column: usize,
    signature: Signature,
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [event_time] = types else { return internal_err!("{} takes one argument", self.name) };
        Ok(event_time.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} is never evaluated", self.name)
    }
}

/// Moves the windows of every window call around a query down to its source.
///
/// # Errors
/// A [`Refusal`] inside [`DataFusionError::External`] where the descriptor is not the event time, or where
/// there is an aggregation or another window below.
pub(super) fn push_down(plan: LogicalPlan, catalog: &Catalog<'_>) -> Result<LogicalPlan> {
    let transformed = plan.transform_up(|node| {
        let LogicalPlan::Projection(projection) = node else {
            // The window columns are never null, which was not known above the calls.
            return Ok(Transformed::yes(node.recompute_schema()?));
        };
        let Some(window) = projection.expr.iter().find_map(|expr| bound(expr).map(|bound| bound.window))
        else {
            return Ok(Transformed::yes(LogicalPlan::Projection(projection).recompute_schema()?));
        };
        replace(projection, window, catalog).map(Transformed::yes)
    })?;
    Ok(transformed.data)
}

fn bound(expr: &Expr) -> Option<&Bound> {
    match expr {
        Expr::Alias(alias) => bound(&alias.expr),
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Bound>(),
        _ => None,
    }
}

fn replace(projection: Projection, window: usize, catalog: &Catalog<'_>) -> Result<LogicalPlan> {
    let call = &catalog.windows[window];
    check(&projection, call, catalog)?;
    let input = with_windows(Arc::unwrap_or_clone(projection.input), window, catalog)?;
    let columns = window_columns(&input);
    let exprs = projection.expr.into_iter().map(|expr| match (bound(&expr).map(|b| b.column), expr) {
        (Some(column), Expr::Alias(mut alias)) => {
            alias.expr = Box::new(columns[column].clone());
            Expr::Alias(alias)
        }
        (_, other) => other,
    });
    Ok(LogicalPlan::Projection(Projection::try_new(exprs.collect(), Arc::new(input))?))
}

/// Whether the calls' argument is the source's event time.
fn check(projection: &Projection, call: &WindowCall, catalog: &Catalog<'_>) -> Result<()> {
    let refused = |refusal: Refusal| Err(DataFusionError::External(Box::new(refusal)));
    let WindowInput::Query { descriptor } = &call.input else {
        return internal_err!("a window of a source has no calls");
    };
    let at = call.name.span;
    let chain = match Chain::of(&projection.input, at) {
        Ok(chain) if chain.aggregate.is_none() => chain,
        Ok(_) => {
            let refusal = Refusal::new(WINDOW_FUNCTION, at, "windows come in front of the aggregation");
            return refused(refusal.hint(
                "put the window table function into the subquery: FROM TUMBLE(…) GROUP BY window_start, window_end",
            ));
        }
        Err(refusal) => return refused(refusal),
    };
    let Some(scanned) = chain.scan.source.downcast_ref::<StreamTable>() else {
        return internal_err!("a scan of something else than a source");
    };
    if scanned.window.is_some() {
        let refusal = Refusal::new(WINDOW_FUNCTION, at, "the query in it has windows already");
        return refused(refusal.hint("leave one of the window table functions out"));
    }
    let table = &catalog.tables[scanned.table];
    let n_columns = table.schema.fields().len();
    let base = (0..n_columns)
        .map(|i| if i == table.event_time { Origin::Window(WindowColumn::Time) } else { Origin::Other });
    let origins = trace(&chain.before, base.collect())?;
    let argument = projection.expr.iter().filter(|expr| bound(expr).is_some()).find_map(|expr| {
        let columns: Vec<&Column> = expr.column_refs().into_iter().collect();
        columns.first().map(|column| (*column).clone())
    });
    let schema = projection.input.schema();
    let Some(argument) = argument else { return internal_err!("the calls have an argument") };
    if origins[schema.index_of_column(&argument)?] != Origin::Other {
        return Ok(());
    }
    let event_time = table.schema.field(table.event_time).name();
    let message = if argument.name == *event_time {
        format!("\"{event_time}\" is computed: it is not the event time of \"{}\" itself", table.name)
    } else {
        format!("\"{}\" is not the event time of \"{}\", \"{event_time}\" is", argument.name, table.name)
    };
    let hint = match origins.iter().position(|origin| *origin != Origin::Other) {
        Some(position) => format!("write DESCRIPTOR({})", quoted_if_needed(schema.field(position).name())),
        None => format!("select {} in the query inside, as it is", quoted_if_needed(event_time)),
    };
    refused(Refusal::new(NOT_EVENT_TIME, descriptor.span, message).hint(hint))
}

/// The same chain over a windowed scan: the window columns are the last of every node.
fn with_windows(node: LogicalPlan, window: usize, catalog: &Catalog<'_>) -> Result<LogicalPlan> {
    let below =
        |input: Arc<LogicalPlan>| with_windows(Arc::unwrap_or_clone(input), window, catalog).map(Arc::new);
    Ok(match node {
        LogicalPlan::TableScan(scan) => LogicalPlan::TableScan(windowed(&scan, window, catalog)?),
        LogicalPlan::Filter(filter) => {
            LogicalPlan::Filter(Filter::try_new(filter.predicate, below(filter.input)?)?)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(below(alias.input)?, alias.alias)?)
        }
        LogicalPlan::Projection(projection) => {
            let input = below(projection.input)?;
            let exprs = projection.expr.into_iter().chain(window_columns(&input)).collect();
            LogicalPlan::Projection(Projection::try_new(exprs, input)?)
        }
        other => return internal_err!("\"{}\" below a window", other.display()),
    })
}

fn windowed(scan: &TableScan, window: usize, catalog: &Catalog<'_>) -> Result<TableScan> {
    let Some(table) = scan.source.downcast_ref::<StreamTable>() else {
        return internal_err!("a scan of something else than a source");
    };
    let source = Arc::new(catalog.stream_table(table.table, Some(window)));
    TableScanBuilder::new(scan.table_name.clone(), source).build()
}

/// The last columns of a node.
fn window_columns(node: &LogicalPlan) -> Vec<Expr> {
    let columns = node.schema().columns();
    columns[columns.len() - WINDOW_COLUMNS.len()..].iter().cloned().map(Expr::Column).collect()
}
