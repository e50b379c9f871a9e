//! `x IN (a, b)` whose items may fail: it means `x = a OR x = b`, so an item that is equal wins over an error
//! in another, as in [`super::logic`]. DataFusion's own fails, but not where it made an OR of the list.
//!
//! Invariants:
//! 1. On a batch of one row the result does not depend on the order of the items.
//! 2. Operand and items are evaluated once each, items only for rows that are not decided yet.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{not, or_kleene};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::InListExpr;
use datafusion::physical_expr_common::datum::apply_cmp;

/// IN of which an item may fail.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Membership {
    /// The operand, then the items.
    parts: Vec<Arc<dyn PhysicalExpr>>,
    negated: bool,
}

impl Membership {
    pub(super) fn of(list: &InListExpr) -> Self {
        let parts = std::iter::once(list.expr()).chain(list.list()).cloned().collect();
        Self { parts, negated: list.negated() }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.parts[1..].iter().map(ToString::to_string).collect();
        let not = if self.negated { "NOT " } else { "" };
        write!(f, "{} {not}IN ({})", self.parts[0], items.join(", "))
    }
}

impl PhysicalExpr for Membership {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        let nullable = self.nullable(input)?;
        Ok(Arc::new(arrow::datatypes::Field::new(self.to_string(), DataType::Boolean, nullable)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let n_rows = batch.num_rows();
        let operand = self.parts[0].evaluate(batch)?;
        let mut found = BooleanArray::from(vec![false; n_rows]);
        let mut failed: Option<DataFusionError> = None;
        for item in &self.parts[1..] {
            let undecided: BooleanArray =
                (0..n_rows).map(|row| Some(found.is_null(row) || !found.value(row))).collect();
            let equal = item
                .evaluate_selection(batch, &undecided)
                .and_then(|item| apply_cmp(Operator::Eq, &operand, &item)?.into_array(n_rows));
            match equal {
                Ok(equal) => found = or_kleene(&found, as_boolean_array(&equal)?)?,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed
            && found.true_count() < n_rows
        {
            return Err(error);
        }
        Ok(ColumnarValue::Array(Arc::new(if self.negated { not(&found)? } else { found })))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.parts.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        if children.len() != self.parts.len() {
            return internal_err!("IN has an operand and {} items", self.parts.len() - 1);
        }
        Ok(Arc::new(Self { parts: children, negated: self.negated }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
