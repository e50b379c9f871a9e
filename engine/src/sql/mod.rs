//! SQL text to dataflow: what a pipeline's query means, or why it can't run.
//!
//! ```text
//! text ─► parse ─► check ────────────► DataFusion: plan, coerce, simplify, prune ─► chain ─► lower ─► Plan
//!         dialect  refusals,           (catalog: the sources as tables;                      physical,
//!                  windows taken out    windowed: windows moved to the source;               logic, aggregates
//!                                       checked: arithmetic that fails)
//! ```
//!
//! Invariants:
//! 1. No SQL text makes the process panic or overflow a stack: the text is bounded, planning has a
//!    thread with a stack of its own, and expressions are no deeper than operators can evaluate.
//! 2. What a plan can't run is refused with a code, a position and the nearest form that can.
//! 3. A plan depends on the text and the tables only: no clock, no configuration, no files.

mod aggregates;
mod bounded;
mod calls;
mod casts;
mod catalog;
mod chain;
mod check;
mod checked;
mod delegate;
mod described;
mod dialect;
mod error;
mod exact_sum;
mod explain;
mod fingerprint;
mod guarded;
mod logic;
mod lower;
mod members;
mod membership;
mod outputs;
mod parse;
mod physical;
mod projections;
mod retyped;
mod strict;
mod suggest;
#[cfg(test)]
mod tests;
mod time_of_day;
mod tvf;
mod type_name;
mod unknown;
mod verbatim;
mod windowed;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Analyzer, Optimizer, OptimizerContext};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::dataflow::plan::Plan;
use catalog::{Catalog, Functions};
use error::{INTERNAL, Sites};
use lower::Context;

pub use bounded::{Limit, bounded};
pub use casts::{name_casts, named_cast};
pub use checked::Protection;
pub use described::described;
pub use error::{CODES, Refusal};
pub use exact_sum::exact;
pub use explain::{call_labels, explain, step_labels};
pub use suggest::edit_distance;
pub use type_name::type_name;

/// Stack of the planning thread. Only what is used of it costs memory.
const PLANNER_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Refusals in spite of which a query has the columns that it would have without them.
const NO_OTHER_COLUMNS: [&str; 13] = [
    error::BAD_EXPRESSION,
    error::ORDERED,
    error::JOIN,
    error::SET_OPERATION,
    error::DISTINCT,
    error::OVER,
    error::SECOND_AGGREGATION,
    error::NOT_IMMUTABLE,
    error::GROUPING_SETS,
    error::SUBQUERY,
    error::AGGREGATE,
    error::NOT_EVENT_TIME,
    error::WINDOW_ARGUMENTS,
];

/// The functions never change, and making them takes longer than planning.
static FUNCTIONS: LazyLock<Functions> = LazyLock::new(Functions::new);

/// A source as a table that SQL may read.
#[derive(Debug, Clone)]
pub struct TableDef {
    /// The source file's name.
    pub name: String,
    /// The reader schema's columns, then the metadata columns.
    pub schema: SchemaRef,
    /// Position in `schema` of the event time: a timestamp column.
    pub event_time: usize,
    /// Text that, with the SQL, decides what state means: topic, event time and reader schema.
    pub identity: String,
    /// What records have besides, but no query can read.
    pub left_out: Vec<LeftOut>,
}

/// Something in a source's records that is no column, since no column can be of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub column: String,
    /// Why, for a person.
    pub reason: String,
}

/// Plans a pipeline's SQL. Blocks for some milliseconds; needs no runtime.
///
/// # Errors
/// All refusals that could be found at once, in the order of the checks; at least one.
pub fn plan(sql: &str, tables: &[TableDef]) -> Result<Plan, Vec<Refusal>> {
    on_planner_stack(|| plan_here(sql, tables))
        .unwrap_or_else(|message| Err(vec![Refusal::new(INTERNAL, Span::empty(), message)]))
}

/// Has a thread with a stack that is deep enough for any text do something.
///
/// # Errors
/// There is no such thread, or it panicked; for a person.
fn on_planner_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let planner = std::thread::Builder::new()
            .name("weir-planner".to_owned())
            .stack_size(PLANNER_STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|error| format!("could not start the planner's thread: {error}"))?;
        // DataFusion has planning bugs that panic; they must not end the process.
        planner.join().map_err(|_| "the planner panicked: please report this SQL".to_owned())
    })
}

fn plan_here(sql: &str, tables: &[TableDef]) -> Result<Plan, Vec<Refusal>> {
    let functions = &*FUNCTIONS;
    let (tokens, mut query) = parse::parse(sql).map_err(|refusal| vec![refusal])?;
    // First: the other check rewrites what it sees.
    let (outputs, unnamed) = outputs::check(&mut query, &tokens);
    let (checked, mut refusals) = check::check(&mut query, &tokens, tables, functions);
    let fits = refusals.is_empty();
    let has_columns =
        !checked.is_partial && refusals.iter().all(|refusal| NO_OTHER_COLUMNS.contains(&refusal.code));
    let n_of_check = refusals.len();
    refusals.extend(unnamed);
    let sites = Sites {
        first: tokens.first(),
        wildcard: outputs.wildcard,
        calls: &checked.calls,
        windows: &checked.windows,
        tables,
    };
    let catalog = Catalog { tables, windows: &checked.windows, functions };
    // Mistakes of all kinds are told at once, as far as one does not make another.
    let more = if fits {
        match optimise(Query::clone(&query), &catalog) {
            Err(error) => unknown::all(Some(&error), *query, &catalog, &sites),
            Ok(optimised) => {
                let context =
                    Context { sql, tables, functions, checked: &checked, outputs: &outputs, sites: &sites };
                match lower::lower(&context, optimised) {
                    Ok(plan) if refusals.is_empty() => return Ok(plan),
                    Ok(_) => Vec::new(),
                    Err(more) => more,
                }
            }
        }
    } else if has_columns {
        let mut more = unknown::all(None, *query, &catalog, &sites);
        let at = |refusal: &Refusal| (refusal.line, refusal.column);
        more.retain(|refusal| refusals[..n_of_check].iter().all(|other| at(other) != at(refusal)));
        more
    } else {
        Vec::new()
    };
    for refusal in more {
        if !refusals.contains(&refusal) && !refusal.message.contains(outputs::MADE_UP) {
            refusals.push(refusal);
        }
    }
    Err(refusals)
}

/// Plans and optimises with DataFusion. Only rules that keep the chain's order: no filter moves, no
/// expression is computed once for two places, no aggregation becomes two.
fn optimise(query: Query, catalog: &Catalog<'_>) -> DfResult<LogicalPlan> {
    let config = &catalog.functions.config;
    let options = ParserOptions::from(&config.sql_parser);
    let plan = SqlToRel::new_with_options(catalog, options)
        .sql_statement_to_plan(Statement::Query(Box::new(query)))?;
    let plan = windowed::push_down(plan, catalog)?;
    let plan = verbatim::keep_failing_constants(plan)?;
    let plan = Analyzer::with_rules(vec![Arc::new(TypeCoercion::new())]).execute_and_check(
        plan,
        config,
        |_, _| {},
    )?;
    let plan = checked::protect(plan, Limit::Row)?;
    let context =
        OptimizerContext::new_with_config_options(Arc::clone(config)).without_query_execution_start_time();
    Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new()), Arc::new(OptimizeProjections::new())])
        .optimize(plan, &context, |_, _| {})
}
