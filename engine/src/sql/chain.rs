//! The optimised plan as a chain, and what flows through it: which columns are needed where, and which
//! of them are window columns or keys.
//!
//! ```text
//! scan ─► links: Filter, Project, Rename … ─► aggregate ─► links ─► output
//! ```
//!
//! Invariant: a column is known by its position in a node's schema. DataFusion knows columns by
//! qualified names, which a pruned schema may not hold; [`Link`]s translate.

use std::collections::BTreeSet;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, TableScan};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{Refusal, UNSUPPORTED};
use crate::dataflow::plan::WindowColumn;

/// What a node between scan, aggregation and output does to its rows.
#[derive(Debug)]
pub(super) enum Op<'a> {
    Filter(&'a Expr),
    Project(&'a [Expr]),
    /// Gives the columns other qualifiers.
    Rename,
}

/// One node between scan, aggregation and output.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) op: Op<'a>,
    pub(super) input: &'a DFSchema,
    pub(super) output: &'a DFSchema,
}

/// A plan that a pipeline can run.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) scan: &'a TableScan,
    pub(super) before: Vec<Link<'a>>,
    pub(super) aggregate: Option<&'a Aggregate>,
    pub(super) after: Vec<Link<'a>>,
}

/// Where a column's values come from, if that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Other,
    Window(WindowColumn),
    /// The GROUP BY expression at this position.
    Key(usize),
}

impl<'a> Chain<'a> {
    /// Takes a plan apart.
    ///
    /// # Errors
    /// A refusal at `at` for a plan of another shape: the checks of the syntax tree should have
    /// refused its query at a better place.
    pub(super) fn of(plan: &'a LogicalPlan, at: Span) -> Result<Self, Refusal> {
        let refused = |what: &str| {
            Refusal::new(UNSUPPORTED, at, format!("a pipeline can't run {what}"))
                .hint("write one SELECT with filters, projections and one aggregation")
        };
        let mut links = Vec::new();
        let mut aggregated: Option<(&'a Aggregate, Vec<Link<'a>>)> = None;
        let mut node = plan;
        loop {
            let (op, input) = match node {
                LogicalPlan::Filter(filter) => (Op::Filter(&filter.predicate), filter.input.as_ref()),
                LogicalPlan::Projection(project) => (Op::Project(&project.expr), project.input.as_ref()),
                LogicalPlan::SubqueryAlias(alias) => (Op::Rename, alias.input.as_ref()),
                LogicalPlan::Aggregate(aggregate) if aggregated.is_none() => {
                    aggregated = Some((aggregate, std::mem::take(&mut links)));
                    node = aggregate.input.as_ref();
                    continue;
                }
                LogicalPlan::TableScan(scan) => {
                    links.reverse();
                    let Some((aggregate, mut after)) = aggregated else {
                        return Ok(Self { scan, before: links, aggregate: None, after: Vec::new() });
                    };
                    after.reverse();
                    return Ok(Self { scan, before: links, aggregate: Some(aggregate), after });
                }
                LogicalPlan::Aggregate(_) => return Err(refused("a second aggregation")),
                other => return Err(refused(&format!("\"{}\"", other.display()))),
            };
            links.push(Link { op, input: input.schema(), output: node.schema() });
            node = input;
        }
    }
}

/// Positions in `schema` of the columns that `expr` uses.
pub(super) fn columns(expr: &Expr, schema: &DFSchema) -> Result<BTreeSet<usize>> {
    expr.column_refs().into_iter().map(|column| schema.index_of_column(column)).collect()
}

/// The origin of an expression's value, given those of its input's columns.
pub(super) fn origin(expr: &Expr, input: &DFSchema, origins: &[Origin]) -> Result<Origin> {
    match expr {
        Expr::Alias(alias) => origin(&alias.expr, input, origins),
        Expr::Column(column) => Ok(origins[input.index_of_column(column)?]),
        _ => Ok(Origin::Other),
    }
}

/// The origins of the columns behind the last link.
pub(super) fn trace(links: &[Link<'_>], mut origins: Vec<Origin>) -> Result<Vec<Origin>> {
    for link in links {
        if let Op::Project(exprs) = link.op {
            origins = exprs.iter().map(|expr| origin(expr, link.input, &origins)).collect::<Result<_>>()?;
        }
    }
    Ok(origins)
}

/// What each link must give, where `last` is needed behind the last one. The first entry is needed
/// in front of the first link, entry `i + 1` behind link `i`.
pub(super) fn needed(links: &[Link<'_>], last: BTreeSet<usize>) -> Result<Vec<BTreeSet<usize>>> {
    let mut needed = vec![last];
    for link in links.iter().rev() {
        let behind = &needed[needed.len() - 1];
        let mut front = BTreeSet::new();
        match link.op {
            Op::Rename => front.extend(behind),
            Op::Filter(predicate) => {
                front.extend(behind);
                front.extend(columns(predicate, link.input)?);
            }
            Op::Project(exprs) => {
                for position in behind {
                    front.extend(columns(&exprs[*position], link.input)?);
                }
            }
        }
        needed.push(front);
    }
    needed.reverse();
    Ok(needed)
}
