//! AND and OR whose verdict is that of the row: a side that decides wins over an error in the other.
//!
//! DataFusion evaluates the left side first and fails where it fails, so that
//! `total / n > 5 AND n <> 0` fails on rows where `n` is 0, which its mirror image does not.
//!
//! Invariants:
//! 1. On a batch of one row the result does not depend on the order of the sides. A larger batch may
//!    fail as a whole; operators halve it until the failing row stands alone.
//! 2. Each side is evaluated once: retrying would double the work with each level of nesting.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, not, or_kleene};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};

use super::membership::Membership;

/// Replaces every AND and OR of the tree whose sides may fail, and every IN whose items may.
pub(super) fn decide_by_row(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let transformed = expr.transform_up(|e| match e.downcast_ref::<BinaryExpr>() {
        None => match e.downcast_ref::<InListExpr>() {
            Some(list) if !list.list().iter().all(cannot_fail) => {
                Ok(Transformed::yes(Arc::new(Membership::of(list)) as Arc<dyn PhysicalExpr>))
            }
            _ => Ok(Transformed::no(e)),
        },
        Some(binary)
            if matches!(binary.op(), Operator::And | Operator::Or)
                && !(cannot_fail(binary.left()) && cannot_fail(binary.right())) =>
        {
            Ok(Transformed::yes(Arc::new(Logic { binary: binary.clone() }) as Arc<dyn PhysicalExpr>))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(transformed.data)
}

/// Whether an expression evaluates on every row. False where that is not certain.
fn cannot_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let itself = expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<NotExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<InListExpr>()
        || expr
            .downcast_ref::<BinaryExpr>()
            .is_some_and(|binary| binary.op().is_logic_operator() || is_comparison(*binary.op()));
    itself && expr.children().into_iter().all(cannot_fail)
}

pub(super) fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// AND or OR of which a side may fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Logic {
    binary: BinaryExpr,
}

impl Logic {
    fn is_and(&self) -> bool {
        *self.binary.op() == Operator::And
    }

    /// The rows that `values` do not decide: those not false in AND, not true in OR.
    fn undecided(&self, values: &BooleanArray) -> Result<BooleanArray> {
        let decided = if self.is_and() { not(values)? } else { values.clone() };
        let is_decided = (0..decided.len()).map(|i| decided.is_valid(i) && decided.value(i));
        Ok(not(&BooleanArray::from_iter(is_decided.map(Some)))?)
    }
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binary.fmt(f)
    }
}

impl PhysicalExpr for Logic {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.binary.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.binary.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.binary.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let (left, right) = (self.binary.left(), self.binary.right());
        let n_rows = batch.num_rows();
        let left = match left.evaluate(batch) {
            Ok(left) => left.into_array(n_rows)?,
            Err(error) => {
                let Ok(right) = right.evaluate(batch) else { return Err(error) };
                let right = right.into_array(n_rows)?;
                let all_decided = self.undecided(as_boolean_array(&right)?)?.true_count() == 0;
                return if all_decided { Ok(ColumnarValue::Array(right)) } else { Err(error) };
            }
        };
        let left = as_boolean_array(&left)?;
        let right = if cannot_fail(right) {
            right.evaluate(batch)?
        } else {
            // Guards such as `n <> 0 AND total / n > 5` are meant to keep rows from the other side.
            right.evaluate_selection(batch, &self.undecided(left)?)?
        };
        let right = right.into_array(n_rows)?;
        let right = as_boolean_array(&right)?;
        let result = if self.is_and() { and_kleene(left, right)? } else { or_kleene(left, right)? };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.binary.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [left, right] = children.as_slice() else {
            return internal_err!("{} has two sides", self.binary.op());
        };
        let binary = BinaryExpr::new(Arc::clone(left), *self.binary.op(), Arc::clone(right));
        Ok(Arc::new(Self { binary }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binary.fmt_sql(f)
    }
}
