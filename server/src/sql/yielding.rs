//! Plans that let go of their thread.
//!
//! A query that nobody reads any more is dropped where it waits. DataFusion makes the leaves of a plan wait now and then;
//! a join makes any number of batches of one that it got, and what reads them in a loop would go on to the end.
//!
//! Invariant: below every operator that reads a join in a loop the join itself waits now and then. One batch against all rows
//! of the other side is still done at a stretch where nothing comes out of it.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Has every operator with several inputs wait now and then.
///
/// # Errors
/// An operator can't be put over its own inputs.
pub(super) fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        if plan.children().len() < 2 {
            return Ok(Transformed::no(plan));
        }
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>))
    })
    .data()
}
