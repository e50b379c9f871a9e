//! Snapshots as DataFusion tables.
//!
//! Filters and the projection are pushed down: blocks whose ranges exclude every row are not read,
//! and of the others only the columns asked for. DataFusion filters the rows again, so a range that
//! is too wide costs time, never a wrong answer. Blocks are read and decoded on a blocking thread,
//! a few batches ahead of who takes them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use super::block::Block;
use super::dead_letter::dead_letter_schema;
use super::range;
use super::scan::{Input, Scan};
use super::snapshot::Snapshot;
use crate::state::{Error, Series as Name};

/// The column of `weir.dead_letters` in front of a snapshot's own.
const PIPELINE: &str = "pipeline";

/// Batches read ahead of who takes them.
const BATCHES_AHEAD: usize = 2;

/// A pipeline's result table at one epoch.
#[derive(Debug)]
pub(super) struct ResultTable {
    snapshot: Arc<Snapshot>,
}

impl ResultTable {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }
}

/// The dead letters of these pipelines as one table: column `pipeline`, then those of
/// [`dead_letter_schema`].
#[must_use]
pub fn dead_letters_provider(pipelines: Vec<(String, Arc<Snapshot>)>) -> Arc<dyn TableProvider> {
    let pipeline = Arc::new(Field::new(PIPELINE, DataType::Utf8, false));
    let mut fields = vec![pipeline];
    fields.extend(dead_letter_schema().fields().iter().cloned());
    let schema = Arc::new(Schema::new(fields));
    Arc::new(DeadLetters { schema, pipelines })
}

#[derive(Debug)]
struct DeadLetters {
    schema: SchemaRef,
    pipelines: Vec<(String, Arc<Snapshot>)>,
}

#[async_trait]
impl TableProvider for ResultTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.snapshot.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let (blocks, range_columns) = self.snapshot.ranged_blocks(Name::Finals);
        let known = Known { schema: &schema, blocks, range_columns, pipeline: None };
        let blocks = known.not_excluded(state, filters)?;
        let partition = ScanPartition {
            schema: projected(&schema, projection)?,
            input: self.snapshot.input(),
            blocks,
            projection: projection.cloned(),
            pipeline: None,
        };
        plan(vec![Arc::new(partition)], limit)
    }
}

#[async_trait]
impl TableProvider for DeadLetters {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = projected(&self.schema, projection)?;
        let all = || (0..self.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or_else(all);
        let mut partitions: Vec<Arc<dyn PartitionStream>> = Vec::new();
        for (pipeline, snapshot) in &self.pipelines {
            let (blocks, range_columns) = snapshot.ranged_blocks(Name::DeadLetters);
            let pipeline = pipeline.as_str();
            let known = Known { schema: &self.schema, blocks, range_columns, pipeline: Some(pipeline) };
            let blocks = known.not_excluded(state, filters)?;
            if blocks.is_empty() {
                continue;
            }
            partitions.push(Arc::new(ScanPartition {
                schema: Arc::clone(&schema),
                input: snapshot.dead_letter_input(),
                blocks,
                // Without the column that the snapshot does not have.
                projection: Some(columns.iter().filter_map(|i| i.checked_sub(1)).collect()),
                pipeline: columns.iter().position(|i| *i == 0).map(|at| (at, pipeline.to_owned())),
            }));
        }
        if partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        plan(partitions, limit)
    }
}

fn plan(partitions: Vec<Arc<dyn PartitionStream>>, limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(partitions[0].schema());
    Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, limit)?))
}

fn projected(schema: &SchemaRef, projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
    Ok(match projection {
        Some(projection) => Arc::new(schema.project(projection)?),
        None => Arc::clone(schema),
    })
}

/// One snapshot's share of a query.
struct ScanPartition {
    schema: SchemaRef,
    input: Input,
    blocks: Vec<Arc<Block>>,
    projection: Option<Vec<usize>>,
    /// Where the pipeline's name goes among the columns, if it is asked for.
    pipeline: Option<(usize, String)>,
}

impl fmt::Debug for ScanPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanPartition")
            .field("series", &self.input.series)
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

impl PartitionStream for ScanPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&schema), BATCHES_AHEAD);
        let batches = builder.tx();
        let (input, blocks) = (self.input.clone(), self.blocks.clone());
        let (projection, pipeline) = (self.projection.clone(), self.pipeline.clone());
        builder.spawn_blocking(move || {
            for rows in Scan::new(input, blocks, projection, None).map_err(external)? {
                let batch = match &pipeline {
                    Some((at, name)) => insert_text(&schema, &rows.map_err(external)?, *at, name)?,
                    None => rows.map_err(external)?,
                };
                // Nobody takes them any more: a limit was reached or the query was cancelled.
                if batches.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}

fn insert_text(schema: &SchemaRef, rows: &RecordBatch, at: usize, text: &str) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    let repeated = StringArray::from_iter_values(std::iter::repeat_n(text, rows.num_rows()));
    columns.insert(at, Arc::new(repeated));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What is known of the rows of blocks without reading them.
struct Known<'a> {
    schema: &'a SchemaRef,
    blocks: &'a [Arc<Block>],
    /// Positions in the series' own columns, in the order of a block's ranges.
    range_columns: &'a [usize],
    /// The value of column `pipeline` in front of the series' own, if there is one.
    pipeline: Option<&'a str>,
}

impl Known<'_> {
    /// The blocks that may hold rows which pass all `filters`.
    fn not_excluded(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Arc<Block>>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(self.blocks.to_vec());
        };
        let columns = DFSchema::try_from(Arc::clone(self.schema))?;
        let filter = state.create_physical_expr(filter, &columns)?;
        let predicate =
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(self.schema)).try_build(filter)?;
        let kept = predicate.prune(self)?;
        let kept = self.blocks.iter().zip(kept).filter_map(|(block, kept)| kept.then_some(block));
        Ok(kept.cloned().collect())
    }

    fn bounds(&self, column: &Column, upper: bool) -> Option<ArrayRef> {
        let at = self.schema.index_of(&column.name).ok()?;
        let own = match self.pipeline {
            Some(name) if at == 0 => {
                let names = std::iter::repeat_n(name, self.blocks.len());
                return Some(Arc::new(StringArray::from_iter_values(names)));
            }
            Some(_) => at - 1,
            None => at,
        };
        let nth = self.range_columns.iter().position(|column| *column == own)?;
        let ranges = self.blocks.iter().map(|block| block.meta.ranges.get(nth)?.as_ref());
        range::bounds(self.schema.field(at).data_type(), ranges, upper)
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, true)
    }

    fn num_containers(&self) -> usize {
        self.blocks.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(
        &self,
        _column: &Column,
        _values: &std::collections::HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}
