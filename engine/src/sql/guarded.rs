//! Binary expressions of a pipeline whose results must be looked at: decimals beyond their precision, lost
//! bits, times of another day, texts that grow.
//!
//! Invariant: they compute what [`super::checked`] computes when it folds constants. Arithmetic on integers
//! and floats needs no guard: DataFusion's own fails on overflow.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

use super::checked::{concat_of_row, evaluate, is_shift};

/// Puts the guard around every binary expression of the tree that needs one; `input` is what it reads.
pub(super) fn guard(expr: Arc<dyn PhysicalExpr>, input: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let transformed = expr.transform_up(|e| match e.downcast_ref::<BinaryExpr>() {
        Some(binary) if needs_guard(binary, input)? => {
            Ok(Transformed::yes(Arc::new(Guarded { binary: binary.clone() }) as Arc<dyn PhysicalExpr>))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(transformed.data)
}

fn needs_guard(binary: &BinaryExpr, input: &Schema) -> Result<bool> {
    let op = *binary.op();
    Ok(op == Operator::StringConcat
        || is_shift(op)
        || matches!(
            binary.data_type(input)?,
            DataType::Decimal128(..) | DataType::Time32(_) | DataType::Time64(_)
        ))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Guarded {
    binary: BinaryExpr,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binary.fmt(f)
    }
}

impl PhysicalExpr for Guarded {
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
        let left = self.binary.left().evaluate(batch)?;
        let right = self.binary.right().evaluate(batch)?;
        match self.binary.op() {
            Operator::StringConcat => concat_of_row(left, right, batch.num_rows()),
            op => evaluate(&left, *op, &right, batch.num_rows()),
        }
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
        Ok(Arc::new(Self { binary: binary.with_fail_on_overflow(true) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binary.fmt_sql(f)
    }
}
