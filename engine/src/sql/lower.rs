//! The optimised logical plan to a [`Plan`]: positions for names, steps for nodes.
//!
//! Invariants:
//! 1. A window column that only is a key is not computed per row: windows know their bounds.
//! 2. The event time is scanned even where no expression uses it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScanBuilder};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::aggregates::lower_call;
use super::catalog::{Functions, StreamTable};
use super::chain::{Chain, Link, Op, Origin, columns, needed, origin, trace};
use super::check::Checked;
use super::error::{
    BAD_EXPRESSION, INTERNAL, KEY_NOT_SELECTED, Refusal, Sites, UNBOUNDED_AGGREGATION, UNSUPPORTED,
    from_datafusion,
};
use super::fingerprint::Canonical;
use super::outputs::{Outputs, refuse_name};
use super::physical::{Physical, pruned};
use super::{TableDef, tvf};
use crate::dataflow::plan::{Aggregate, Key, Plan, Step, WINDOWS_PER_ROW_MAX, Window, WindowColumn};

/// What lowering needs besides the plan.
pub(super) struct Context<'a> {
    pub(super) sql: &'a str,
    pub(super) tables: &'a [TableDef],
    pub(super) functions: &'a Functions,
    pub(super) checked: &'a Checked,
    pub(super) outputs: &'a Outputs,
    pub(super) sites: &'a Sites<'a>,
}

impl Context<'_> {
    fn refused(&self, error: &DataFusionError) -> Vec<Refusal> {
        from_datafusion(error, self.sites)
    }

    pub(super) fn aggregation(&self) -> Span {
        self.checked.aggregation.unwrap_or(self.sites.first)
    }
}

/// Lowers an optimised plan.
pub(super) fn lower(context: &Context<'_>, optimised: LogicalPlan) -> Result<Plan, Vec<Refusal>> {
    let wanted = Arc::clone(optimised.schema());
    check_output(context, &wanted)?;
    let complete = with_event_time(context, optimised).map_err(|e| context.refused(&e))?;
    let chain = Chain::of(&complete, context.sites.first).map_err(|refusal| vec![refusal])?;
    let Some(table) = chain.scan.source.downcast_ref::<StreamTable>() else {
        let message = "the planner failed: a scan of something else than a source";
        return Err(vec![Refusal::new(INTERNAL, context.sites.first, message)]);
    };
    Lowering { context, chain: &chain, table, physical: Physical::new(&context.functions.config) }
        .plan(&wanted)
}

/// The result table's columns must have plain, unique names and a type.
fn check_output(context: &Context<'_>, schema: &DFSchema) -> Result<(), Vec<Refusal>> {
    let mut seen = HashSet::new();
    let mut refusals = Vec::new();
    for field in schema.fields() {
        let at = context.outputs.site(field.name());
        refusals.extend(refuse_name(field.name(), at, !seen.insert(field.name())));
        if field.data_type() == &DataType::Null {
            let message = format!("column \"{}\" has no type", field.name());
            refusals.push(Refusal::new(BAD_EXPRESSION, at, message).hint("write CAST(NULL AS BIGINT)"));
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// Adds the event time to the scan, where pruning took it out.
fn with_event_time(context: &Context<'_>, plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let transformed = plan.transform_up(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let Some(table) = scan.source.downcast_ref::<StreamTable>() else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let all = 0..scan.source.schema().fields().len();
            let mut columns: BTreeSet<usize> = match &scan.projection {
                Some(projection) => projection.iter().copied().collect(),
                None => all.collect(),
            };
            columns.insert(context.tables[table.table].event_time);
            let complete = TableScanBuilder::new(scan.table_name.clone(), Arc::clone(&scan.source))
                .with_projection(Some(columns.into_iter().collect()))
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(complete)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    })?;
    Ok(transformed.data)
}

/// Batches at some point of the chain.
struct Rows {
    /// Their columns.
    schema: DFSchema,
    /// Their positions in the logical schema at this point, ascending.
    positions: Vec<usize>,
}

struct Lowering<'a> {
    context: &'a Context<'a>,
    chain: &'a Chain<'a>,
    table: &'a StreamTable,
    physical: Physical,
}

impl Lowering<'_> {
    fn plan(&self, wanted: &DFSchema) -> Result<Plan, Vec<Refusal>> {
        let refused = |error: DataFusionError| self.context.refused(&error);
        let def = &self.context.tables[self.table.table];
        let mut canonical = Canonical::of_source(def);
        let base = self.base_origins();
        let before_origins = trace(&self.chain.before, base.clone()).map_err(refused)?;
        let needed_last = self.needed_before(wanted, &before_origins).map_err(refused)?;
        let needed = needed(&self.chain.before, needed_last).map_err(refused)?;

        let (mut rows, scan, window_columns) = self.scan(&base, &needed[0]).map_err(refused)?;
        let window = self.table.window.map(|i| {
            let call = &self.context.checked.windows[i];
            let (size_ms, slide_ms, offset_ms) = (call.size_ms, call.slide_ms, call.offset_ms);
            Window { size_ms, slide_ms, offset_ms, columns: window_columns }
        });
        canonical.window(window.as_ref());
        canonical.scan(&scan, &def.schema);
        let mut before =
            self.steps(&self.chain.before, &needed, &mut rows, &mut canonical).map_err(refused)?;
        let mut after = Vec::new();
        let mut aggregate = None;
        let mut origins = before_origins;
        let mut keys = Vec::new();
        let last = if let Some(node) = self.chain.aggregate {
            let lowered = self.aggregate(node, &origins, &rows, &mut canonical)?;
            keys = lowered.keys.iter().map(window_column).collect();
            aggregate = Some(lowered);
            let all: Vec<usize> = (0..node.schema.fields().len()).collect();
            rows = Rows { schema: pruned(&node.schema, &all).map_err(refused)?, positions: all };
            let first = (0..rows.positions.len())
                .map(|i| if i < keys.len() { Origin::Key(i) } else { Origin::Other })
                .collect();
            origins = trace(&self.chain.after, first).map_err(refused)?;
            let all_needed = self.needed_after(wanted).map_err(refused)?;
            after = self.steps(&self.chain.after, &all_needed, &mut rows, &mut canonical).map_err(refused)?;
            &mut after
        } else {
            &mut before
        };
        let top = self.top();
        let selected = positions_of(wanted, top).map_err(refused)?;
        if rows.positions != selected {
            last.push(self.select(&selected, top, &mut rows, &mut canonical).map_err(refused)?);
        }
        let origins: Vec<Origin> = selected.iter().map(|position| origins[*position]).collect();
        let (key, window_start, window_end) = self.key_positions(&origins, &keys)?;
        let output = plain_schema(wanted);
        canonical.output(&output);
        let event_time = scan.iter().position(|column| *column == def.event_time);
        let plan = Plan {
            sql: self.context.sql.to_owned(),
            shown_sql: self.context.sql.to_owned(),
            source: def.name.clone(),
            scan_schema: Arc::new(def.schema.project(&scan).map_err(|e| refused(e.into()))?),
            event_time: event_time.expect("the event time is always scanned"),
            scan,
            window,
            before,
            aggregate,
            after,
            output,
            key,
            window_start,
            window_end,
            fingerprint: canonical.fingerprint(),
        };
        self.check_expansion(&plan)?;
        Ok(plan)
    }

    /// The schema behind the whole chain.
    fn top(&self) -> &DFSchema {
        let last = self.chain.after.last().or_else(|| self.chain.before.last()).map(|link| link.output);
        match (self.chain.aggregate, self.chain.after.is_empty()) {
            (Some(node), true) => node.schema.as_ref(),
            _ => last.unwrap_or(&self.chain.scan.projected_schema),
        }
    }

    /// A row that becomes a row for each of its windows must not become too many.
    fn check_expansion(&self, plan: &Plan) -> Result<(), Vec<Refusal>> {
        let n = plan.window.as_ref().map_or(1, |window| window.windows().n_per_row());
        if !plan.expands() || n <= WINDOWS_PER_ROW_MAX {
            return Ok(());
        }
        let (what, hint) = match &plan.aggregate {
            None => ("without an aggregation", "aggregate: GROUP BY window_start, window_end"),
            Some(_) => (
                "where an expression on rows uses a window column",
                "use window_start and window_end in GROUP BY, and behind the aggregation, only",
            ),
        };
        let message = format!(
            "{what} a row is a row in each of its windows: {n} of them, at most {WINDOWS_PER_ROW_MAX} are allowed"
        );
        let call = self.table.window.map(|i| self.context.checked.windows[i].name.span);
        let at = call.unwrap_or(self.context.sites.first);
        Err(vec![Refusal::new(UNSUPPORTED, at, message).hint(hint)])
    }

    /// The origins of the scan's columns.
    fn base_origins(&self) -> Vec<Origin> {
        let n_columns = self.context.tables[self.table.table].schema.fields().len();
        let window = [WindowColumn::Start, WindowColumn::End, WindowColumn::Time];
        self.projection()
            .iter()
            .map(|column| match column.checked_sub(n_columns) {
                Some(i) => Origin::Window(window[i]),
                None => Origin::Other,
            })
            .collect()
    }

    fn projection(&self) -> &[usize] {
        self.chain.scan.projection.as_deref().unwrap_or_default()
    }

    /// What is needed behind the last link in front of the aggregation, or of the output.
    fn needed_before(&self, wanted: &DFSchema, origins: &[Origin]) -> DfResult<BTreeSet<usize>> {
        let top = self
            .chain
            .before
            .last()
            .map_or(&self.chain.scan.projected_schema as &DFSchema, |link| link.output);
        let Some(node) = self.chain.aggregate else {
            return Ok(positions_of(wanted, top)?.into_iter().collect());
        };
        let mut needed = BTreeSet::new();
        for key in &node.group_expr {
            if bound(origin(key, top, origins)?).is_none() {
                needed.extend(columns(key, top)?);
            }
        }
        for call in &node.aggr_expr {
            needed.extend(columns(call, top)?);
        }
        Ok(needed)
    }

    fn needed_after(&self, wanted: &DFSchema) -> DfResult<Vec<BTreeSet<usize>>> {
        let last = match self.chain.after.last() {
            Some(link) => positions_of(wanted, link.output)?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        needed(&self.chain.after, last)
    }

    /// The columns to decode and the window columns to add, and the rows that they make.
    fn scan(
        &self,
        base: &[Origin],
        needed: &BTreeSet<usize>,
    ) -> DfResult<(Rows, Vec<usize>, Vec<WindowColumn>)> {
        let mut scan = Vec::new();
        let mut window_columns = Vec::new();
        let mut positions = Vec::new();
        for (position, (origin, column)) in base.iter().zip(self.projection()).enumerate() {
            match origin {
                Origin::Window(window_column) if needed.contains(&position) => {
                    window_columns.push(*window_column)
                }
                Origin::Window(_) => continue,
                _ => scan.push(*column),
            }
            positions.push(position);
        }
        let schema = pruned(&self.chain.scan.projected_schema, &positions)?;
        Ok((Rows { schema, positions }, scan, window_columns))
    }

    /// Lowers links; `rows` is what goes in and becomes what comes out.
    fn steps(
        &self,
        links: &[Link<'_>],
        needed: &[BTreeSet<usize>],
        rows: &mut Rows,
        canonical: &mut Canonical,
    ) -> DfResult<Vec<Step>> {
        let mut steps = Vec::new();
        for (link, needed) in links.iter().zip(&needed[1..]) {
            match link.op {
                Op::Rename => rows.schema = pruned(link.output, &rows.positions)?,
                Op::Filter(predicate) => {
                    let lowered = self.physical.lower(predicate, &rows.schema)?;
                    canonical.filter(&lowered.canonical);
                    steps.push(Step::Filter(lowered.expr));
                }
                Op::Project(exprs) => {
                    let positions: Vec<usize> = needed.iter().copied().collect();
                    let kept = positions.iter().map(|position| &exprs[*position]);
                    let schema = pruned(link.output, &positions)?;
                    // Rows of which nothing but their number is needed keep their columns.
                    if !positions.is_empty() {
                        steps.push(self.project(kept, &rows.schema, &schema, canonical)?);
                    }
                    *rows = Rows { schema, positions };
                }
            }
        }
        Ok(steps)
    }

    fn project<'e>(
        &self,
        exprs: impl Iterator<Item = &'e Expr>,
        input: &DFSchema,
        output: &DFSchema,
        canonical: &mut Canonical,
    ) -> DfResult<Step> {
        let lowered = exprs.map(|expr| self.physical.lower(expr, input)).collect::<DfResult<Vec<_>>>()?;
        canonical.project(lowered.iter().map(|l| l.canonical.as_str()));
        let exprs = lowered.into_iter().map(|l| l.expr).collect();
        Ok(Step::Project { exprs, schema: plain_schema(output) })
    }

    /// The last step of a plan whose rows have more columns than are selected.
    fn select(
        &self,
        selected: &[usize],
        top: &DFSchema,
        rows: &mut Rows,
        canonical: &mut Canonical,
    ) -> DfResult<Step> {
        let output = pruned(top, selected)?;
        let exprs: Vec<Expr> = output.columns().into_iter().map(Expr::Column).collect();
        let step = self.project(exprs.iter(), &rows.schema, &output, canonical)?;
        *rows = Rows { schema: output, positions: selected.to_vec() };
        Ok(step)
    }

    fn aggregate(
        &self,
        node: &datafusion::logical_expr::Aggregate,
        origins: &[Origin],
        rows: &Rows,
        canonical: &mut Canonical,
    ) -> Result<Aggregate, Vec<Refusal>> {
        let refused = |error: DataFusionError| self.context.refused(&error);
        let mut keys = Vec::new();
        for expr in &node.group_expr {
            let key = match bound(origin(expr, node.input.schema(), origins).map_err(refused)?) {
                Some(WindowColumn::Start) => Key::WindowStart,
                Some(_) => Key::WindowEnd,
                None => {
                    let lowered = self.physical.lower(expr, &rows.schema).map_err(refused)?;
                    canonical.key(&lowered.canonical);
                    Key::Expr(lowered.expr)
                }
            };
            if let Some(column) = window_column(&key) {
                canonical.key(&format!("{column:?}"));
            }
            keys.push(key);
        }
        if keys.iter().all(|key| window_column(key).is_none()) {
            return Err(vec![self.without_window()]);
        }
        let mut calls = Vec::new();
        for (i, expr) in node.aggr_expr.iter().enumerate() {
            let field = node.schema.field(keys.len() + i);
            calls.push(lower_call(self.context, &self.physical, expr, field, &rows.schema, canonical)?);
        }
        Ok(Aggregate { keys, calls, schema: plain_schema(&node.schema) })
    }

    fn without_window(&self) -> Refusal {
        let refusal = Refusal::new(
            UNBOUNDED_AGGREGATION,
            self.context.aggregation(),
            "an aggregation without a window never ends",
        );
        if self.table.window.is_some() {
            return refusal.hint("add window_start, window_end to GROUP BY");
        }
        let example = tvf::example_of(&self.context.tables[self.table.table]);
        refusal.hint(format!("write FROM {example} and GROUP BY window_start, window_end"))
    }

    /// Positions in the output of the key, `window_start` and `window_end`.
    #[expect(clippy::type_complexity, reason = "three fields of the plan")]
    fn key_positions(
        &self,
        origins: &[Origin],
        keys: &[Option<WindowColumn>],
    ) -> Result<(Vec<usize>, Option<usize>, Option<usize>), Vec<Refusal>> {
        let position = |wanted: Origin| origins.iter().position(|origin| *origin == wanted);
        if self.chain.aggregate.is_none() {
            let of = |column| position(Origin::Window(column));
            return Ok((Vec::new(), of(WindowColumn::Start), of(WindowColumn::End)));
        }
        let mut key = Vec::new();
        let mut refusals = Vec::new();
        for i in 0..keys.len() {
            match position(Origin::Key(i)) {
                Some(found) => key.push(found),
                None => refusals.push(self.key_not_selected(i, keys.len())),
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let of = |column| keys.iter().position(|key| *key == Some(column)).map(|i| key[i]);
        Ok((key.clone(), of(WindowColumn::Start), of(WindowColumn::End)))
    }

    fn key_not_selected(&self, key: usize, n_keys: usize) -> Refusal {
        let group_by = &self.context.checked.group_by;
        let at = if group_by.len() == n_keys { group_by[key] } else { Span::empty() };
        let at = if at == Span::empty() { self.context.aggregation() } else { at };
        let message = match self.chain.aggregate.map(|node| &node.group_expr[key]) {
            Some(Expr::Column(column)) => format!("the GROUP BY column \"{}\" is not selected", column.name),
            _ => "this GROUP BY expression is not selected".to_owned(),
        };
        Refusal::new(KEY_NOT_SELECTED, at, message)
            .hint("select it: the GROUP BY expressions are the result table's key")
    }
}

/// The window bound that an origin stands for; `window_time` is none.
fn bound(origin: Origin) -> Option<WindowColumn> {
    match origin {
        Origin::Window(column @ (WindowColumn::Start | WindowColumn::End)) => Some(column),
        _ => None,
    }
}

fn window_column(key: &Key) -> Option<WindowColumn> {
    match key {
        Key::WindowStart => Some(WindowColumn::Start),
        Key::WindowEnd => Some(WindowColumn::End),
        Key::Expr(_) => None,
    }
}

/// Positions in `top` of the columns of `wanted`, in that order.
fn positions_of(wanted: &DFSchema, top: &DFSchema) -> DfResult<Vec<usize>> {
    wanted.columns().iter().map(|column| top.index_of_column(column)).collect()
}

/// Names, types and nullability, without qualifiers and metadata.
fn plain_schema(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
