//! Expressions ready to evaluate, and their canonical text for the fingerprint.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::{checked, guarded, logic};

/// How deep an expression may be once WITH queries and subqueries are merged into it. Operators
/// evaluate it recursively, at up to 2 KiB of stack a level.
const DEPTH_MAX: usize = 512;

/// Turns logical expressions into ones that evaluate.
pub(super) struct Physical {
    props: ExecutionProps,
    planning: PhysicalPlanningContext,
}

/// An expression that evaluates on batches of a known schema.
pub(super) struct Lowered {
    pub(super) expr: Arc<dyn PhysicalExpr>,
    /// What it computes, with positions for columns: independent of aliases.
    pub(super) canonical: String,
}

impl Physical {
    pub(super) fn new(config: &Arc<ConfigOptions>) -> Self {
        let mut props = ExecutionProps::new();
        props.config_options = Some(Arc::clone(config));
        Self { props, planning: PhysicalPlanningContext::default() }
    }

    /// Lowers `expr` for batches of `schema`.
    pub(super) fn lower(&self, expr: &Expr, schema: &DFSchema) -> Result<Lowered> {
        let expr = checked::restore(expr.clone().unalias_nested().data)?;
        let physical = create_physical_expr(&expr, schema, &self.props, &self.planning)?;
        if !is_at_most(&physical, DEPTH_MAX) {
            return plan_err!(
                "an expression is more than {DEPTH_MAX} deep once subqueries are merged into it"
            );
        }
        let canonical = canonical(expr, schema)?;
        let expr =
            logic::decide_by_row(guarded::guard(checked::fail_on_overflow(physical)?, schema.as_arrow())?)?;
        Ok(Lowered { expr, canonical })
    }
}

fn canonical(expr: Expr, schema: &DFSchema) -> Result<String> {
    let transformed = expr.transform_up(|e| match e {
        Expr::Column(column) => {
            let position = schema.index_of_column(&column)?;
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(format!("c{position}")))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(transformed.data.to_string())
}

fn is_at_most(expr: &Arc<dyn PhysicalExpr>, depth: usize) -> bool {
    0 < depth && expr.children().into_iter().all(|child| is_at_most(child, depth - 1))
}

/// The columns of `schema` at `positions`, in that order.
pub(super) fn pruned<'a>(
    schema: &DFSchema,
    positions: impl IntoIterator<Item = &'a usize>,
) -> Result<DFSchema> {
    let fields = positions.into_iter().map(|position| {
        let (qualifier, field) = schema.qualified_field(*position);
        (qualifier.cloned(), Arc::clone(field))
    });
    DFSchema::new_with_metadata(fields.collect(), HashMap::new())
}

#[cfg(test)]
mod tests {
    use arrow::array::{RecordBatch, RecordBatchOptions};
    use arrow::datatypes::Schema;
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn expression_that_is_too_deep_to_evaluate_is_refused() {
        let lower = |depth: usize| {
            let nested = (0..depth).fold(lit(true), |expr, _| Expr::Not(Box::new(expr)));
            let schema = DFSchema::try_from(Schema::empty()).unwrap();
            Physical::new(&Arc::new(ConfigOptions::new())).lower(&nested, &schema)
        };
        let planner = std::thread::Builder::new().stack_size(crate::sql::PLANNER_STACK_BYTES);
        let lowered =
            planner.spawn(move || (lower(DEPTH_MAX - 1), lower(DEPTH_MAX).map(|l| l.canonical))).unwrap();
        let (deepest, too_deep) = lowered.join().unwrap();
        assert!(too_deep.is_err());
        // An operator's thread has the default stack.
        let batch = RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(1)),
        );
        let deepest = deepest.unwrap().expr;
        let evaluated = std::thread::spawn(move || deepest.evaluate(&batch.unwrap()));
        assert!(evaluated.join().unwrap().is_ok());
    }
}
