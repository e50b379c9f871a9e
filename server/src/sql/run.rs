//! One query from its text to the last piece of its answer, on a query thread.

use std::sync::Arc;
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::{DFSchema, DataFusionError, Result, TableReference};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart};
use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use weir_engine::sql::{Limit, Protection, bounded, exact, name_casts, named_cast};

use super::answer::{Encoder, Format};
use super::memory::QueryPool;
use super::statement::{self, Request};
use super::tables::{PUBLIC, SYSTEM, Tables};
use super::yielding::yielding;
use super::{Piece, error};
use crate::catalog::PipelineView;
use crate::problem::{Code, Fault};

/// A query that may run.
pub(super) struct Job {
    pub(super) views: Vec<PipelineView>,
    pub(super) sql: String,
    pub(super) format: Format,
    pub(super) pool: Arc<QueryPool>,
    pub(super) threads: usize,
}

/// Why a job ends early without a fault of its own.
struct Gone;

impl Job {
    /// Runs to the end, or until nobody receives any more.
    pub(super) async fn run(self, sender: &Sender<Piece>) -> Result<(), Fault> {
        let started = Instant::now();
        let mut tables = Tables::new(self.views);
        match statement::parse(&self.sql)? {
            Request::ShowTables => {
                let rows = tables.list()?;
                constant(self.format, &rows, started, sender).await
            }
            Request::Columns(name) => {
                let described = tables.describe(&reference(&name)?).await;
                let rows = described.map_err(|fault| error::located(fault, &self.sql))?;
                constant(self.format, &rows, started, sender).await
            }
            Request::Query(statement) => {
                let pool = Arc::clone(&self.pool) as Arc<dyn MemoryPool>;
                let mut state = session(&tables, pool, self.threads).map_err(|e| error::execution(&e))?;
                // `now()` is this moment throughout the query.
                state.mark_start_execution();
                let plan = plan(*statement, &self.sql, &state, &mut tables).await?;
                let schema = plan.schema();
                let encoder = Encoder::begin(self.format, schema, tables.epochs().clone(), started)?;
                // The snapshots stay with the plan; the rest need not outlive planning.
                let epochs = tables.epochs().clone();
                drop(tables);
                if sender.send(Piece::Begin(epochs)).await.is_err() {
                    return Ok(());
                }
                let failed = |e| error::execution_of(&self.pool.retold(e), &self.sql);
                execute(plan, state.task_ctx(), failed, encoder, sender).await
            }
        }
    }
}

/// Answers with rows that are at hand.
async fn constant(
    format: Format,
    rows: &RecordBatch,
    started: Instant,
    sender: &Sender<Piece>,
) -> Result<(), Fault> {
    let mut encoder = Encoder::begin(format, rows.schema(), Default::default(), started)?;
    encoder.batch(rows)?;
    let bytes = encoder.end()?;
    for piece in [Piece::Begin(Default::default()), Piece::Bytes(bytes), Piece::End] {
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn execute(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    failed: impl Fn(DataFusionError) -> Fault,
    mut encoder: Encoder,
    sender: &Sender<Piece>,
) -> Result<(), Fault> {
    let mut batches = execute_stream(plan, context).map_err(&failed)?;
    while !encoder.is_full() {
        let Some(batch) = batches.next().await else { break };
        encoder.batch(&batch.map_err(&failed)?)?;
        if let Some(bytes) = encoder.take()
            && hand_over(sender, Piece::Bytes(bytes)).await.is_err()
        {
            return Ok(());
        }
    }
    drop(batches);
    let last = encoder.end()?;
    if !last.is_empty() && hand_over(sender, Piece::Bytes(last)).await.is_err() {
        return Ok(());
    }
    // Nobody may be left to hear it.
    hand_over(sender, Piece::End).await.ok();
    Ok(())
}

async fn hand_over(sender: &Sender<Piece>, piece: Piece) -> Result<(), Gone> {
    sender.send(piece).await.map_err(|_| Gone)
}

/// A session that knows nothing but the query's tables and functions.
fn session(tables: &Tables, pool: Arc<dyn MemoryPool>, threads: usize) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(SYSTEM, PUBLIC)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(threads);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("UTC".to_owned());
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(SYSTEM.to_owned(), tables.catalog()?);
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(catalogs))
        .with_default_features()
        .with_file_formats(Vec::new())
        .with_table_factories(Default::default());
    let mut scalar = builder.scalar_functions().take().unwrap_or_default();
    scalar.push(named_cast());
    let aggregate = builder.aggregate_functions().take().unwrap_or_default();
    let builder = builder.with_scalar_functions(bounded(scalar, Limit::Query));
    let builder = builder.with_aggregate_functions(exact(aggregate));
    Ok(builder.with_analyzer_rule(Arc::new(Protection)).build())
}

async fn plan(
    statement: Statement,
    sql: &str,
    state: &SessionState,
    tables: &mut Tables,
) -> Result<Arc<dyn ExecutionPlan>, Fault> {
    let fault = |e: DataFusionError, tables: &Tables| error::plan(&e, sql, &tables.names());
    for reference in state.resolve_table_references(&statement).map_err(|e| fault(e, tables))? {
        tables.provide(&reference)?;
    }
    let logical = logical(statement, state).await.map_err(|e| fault(e, tables))?;
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&logical).map_err(|_| statement::refused("this form of query"))?;
    unnamed_duplicates(logical.schema())?;
    let plan = state.create_physical_plan(&logical).await;
    plan.and_then(yielding).map_err(|e| fault(e, tables))
}

/// The logical plan. Where there is none, perhaps two casts of one column have the same name: they get others.
async fn logical(mut statement: Statement, state: &SessionState) -> Result<LogicalPlan> {
    let error = match state.statement_to_plan(statement.clone()).await {
        Ok(plan) => return Ok(plan),
        Err(error) => error,
    };
    let has_casts = match &mut statement {
        Statement::Statement(sql) => name_casts(sql.as_mut()),
        _ => false,
    };
    if !has_casts {
        return Err(error);
    }
    state.statement_to_plan(statement).await.map_err(|_| error)
}

/// `SELECT a.x, b.x` has two columns of one name, which an object a row can't hold.
fn unnamed_duplicates(schema: &DFSchema) -> Result<(), Fault> {
    let mut names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::new(Code::WrongQuery, format!("column \"{}\" appears twice", pair[0]))
            .hint("rename one with AS")),
        None => Ok(()),
    }
}

/// A table's name in SHOW COLUMNS and DESCRIBE; identifiers without quotes are lower case.
fn reference(name: &ObjectName) -> Result<TableReference, Fault> {
    let part = |part: &ObjectNamePart| {
        let ident = part.as_ident()?;
        Some(if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() })
    };
    let parts: Option<Vec<String>> = name.0.iter().map(part).collect();
    match parts.as_deref() {
        Some([table]) => Ok(TableReference::bare(table.as_str())),
        Some([schema, table]) => Ok(TableReference::partial(schema.as_str(), table.as_str())),
        Some([catalog, schema, table]) => {
            Ok(TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()))
        }
        _ => Err(Fault::new(Code::WrongQuery, format!("\"{name}\" is not a table's name"))),
    }
}
