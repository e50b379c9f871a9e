//! AND and OR whose verdict is that of the row: a side that decides wins over an error in the other.
//!
//! DataFusion evaluates the left side first and fails where it fails, so that
//! `total / n > 5 AND n <> 0` fails on rows where `n` is 0, which its mirror image does not.
//!
//! Invariant: on a batch of one row the result does not depend on the order of the sides. A larger
//! batch may fail as a whole; operators halve it until the failing row stands alone.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

/// Replaces every AND and OR of the tree.
pub(super) fn decide_by_row(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let transformed = expr.transform_up(|e| match e.downcast_ref::<BinaryExpr>() {
        Some(binary) if matches!(binary.op(), Operator::And | Operator::Or) => {
            Ok(Transformed::yes(Arc::new(Logic { binary: binary.clone() }) as Arc<dyn PhysicalExpr>))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(transformed.data)
}

/// AND or OR.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Logic {
    binary: BinaryExpr,
}

impl Logic {
    /// Whether `value` decides for all rows: false in AND, true in OR.
    fn decides(&self, value: ColumnarValue, n_rows: usize) -> Result<Option<ColumnarValue>> {
        let array = value.into_array(n_rows)?;
        let values = as_boolean_array(&array)?;
        let n_true = values.true_count();
        let decided = match self.binary.op() {
            Operator::And => values.null_count() == 0 && n_true == 0,
            _ => n_true == n_rows,
        };
        Ok(decided.then(|| ColumnarValue::Array(array)))
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
        self.binary.evaluate(batch).or_else(|error| {
            // Where the right side failed, it was needed: the left one did not decide.
            let right =
                self.binary.right().evaluate(batch).map(|right| self.decides(right, batch.num_rows()));
            match right {
                Ok(Ok(Some(decided))) => Ok(decided),
                _ => Err(error),
            }
        })
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
