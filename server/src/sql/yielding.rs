//! Plans that let go of their thread.
//!
//! A query that nobody reads any more is dropped where it waits. DataFusion makes the leaves of a plan wait now and then;
//! a join makes any number of batches of one that it got, and what reads them in a loop would go on to the end. One
//! that compares rows by a condition, or only looks whether there are any (IN, EXISTS), makes none for long, and does
//! not wait before it has compared its whole batch with all rows of the other side.
//!
//! Invariant: below every operator that reads a join in a loop the join itself waits now and then, and a join that
//! compares waits each time that it has taken about [`PIECE`], or a row.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use futures::{StreamExt, stream};

/// For how long a join that compares keeps its thread: others wait so long for one, and whoever cancels it.
const PIECE: Duration = Duration::from_millis(20);
/// How many rows it gets at a time at most. DataFusion takes several rows of the other side together where these are few,
/// so that it is as fast as with 8,192.
const ROWS_MAX: usize = 128;

/// Has every operator with several inputs wait now and then.
///
/// # Errors
/// An operator can't be put over its own inputs.
pub(super) fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        if plan.children().len() < 2 {
            return Ok(Transformed::no(plan));
        }
        let plan = if compares(&plan) { with_small_batches(plan)? } else { plan };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

/// Whether a join may compare many rows and make none of them.
fn compares(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let by_key = |join: &HashJoinExec| {
        // The others, such as that of IN, make a row at most of all that have its key.
        let makes_pairs =
            matches!(join.join_type(), JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full);
        join.filter().is_some() || !makes_pairs
    };
    plan.is::<NestedLoopJoinExec>() || plan.downcast_ref::<HashJoinExec>().is_some_and(by_key)
}

/// Cuts what a join reads batch by batch: its second input; the first it keeps as a whole.
fn with_small_batches(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = join.children().into_iter().cloned().collect();
    if let Some(read) = inputs.get_mut(1) {
        *read = Arc::new(SmallBatches { input: Arc::clone(read) });
    }
    replace_children_if_necessary(join, inputs)
}

/// Hands its input over in pieces that are worked on for about [`PIECE`], and waits in front of each.
#[derive(Debug)]
struct SmallBatches {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for SmallBatches {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmallBatches")
    }
}

impl ExecutionPlan for SmallBatches {
    fn name(&self) -> &str {
        "SmallBatches"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self { input })),
            _ => internal_err!("SmallBatches has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let pieces = stream::try_unfold(Pieces::new(input), |mut pieces| async {
            Ok(pieces.next().await?.map(|piece| (piece, pieces)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, pieces)))
    }
}

/// What is left to hand over.
struct Pieces {
    input: SendableRecordBatchStream,
    batch: Option<RecordBatch>,
    n_rows: usize,
    handed_over: Option<Instant>,
}

impl Pieces {
    /// Begins with a row: how long one takes depends on the other side, which is not known here.
    fn new(input: SendableRecordBatchStream) -> Self {
        Self { input, batch: None, n_rows: 1, handed_over: None }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(handed_over) = self.handed_over.take() {
            self.n_rows = fitting(self.n_rows, handed_over.elapsed());
        }
        tokio::task::yield_now().await;
        let batch = loop {
            match self.batch.take().filter(|batch| batch.num_rows() != 0) {
                Some(batch) => break batch,
                None => match self.input.next().await.transpose()? {
                    Some(batch) => self.batch = Some(batch),
                    None => return Ok(None),
                },
            }
        };
        let n_rows = self.n_rows.min(batch.num_rows());
        self.batch = Some(batch.slice(n_rows, batch.num_rows() - n_rows));
        self.handed_over = Some(Instant::now());
        Ok(Some(batch.slice(0, n_rows)))
    }
}

/// How many rows the next piece has, after one of `n_rows` took so long.
fn fitting(n_rows: usize, took: Duration) -> usize {
    let next = match took {
        took if PIECE < took => n_rows / 2,
        took if took < PIECE / 4 => n_rows * 2,
        _ => n_rows,
    };
    next.clamp(1, ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_shrink_where_they_take_long_and_grow_where_they_do_not() {
        assert_eq!([1, 60, 128].map(|n_rows| fitting(n_rows, PIECE * 50)), [1, 30, 64]);
        assert_eq!([1, 60, 128].map(|n_rows| fitting(n_rows, PIECE / 5)), [2, 120, 128]);
        assert_eq!(fitting(60, PIECE), 60);
    }
}
