//! The catalog of one query: result tables in schema `public`, system tables in schema `weir`.
//!
//! Invariants:
//! 1. All tables come from the same views, taken when the query began.
//! 2. There is nothing else to find: no file, no URL, no settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use weir_connectors::kafka::table_columns;
use weir_engine::connector::TableColumn;
use weir_engine::result::dead_letters_provider;

use super::error::Names;
use super::system;
use crate::catalog::{PipelineView, source_tables};
use crate::problem::{Code, Fault};

/// The schema of result tables, and that of system tables (and of the catalog).
pub(super) const PUBLIC: &str = "public";
pub(super) const SYSTEM: &str = "weir";

/// The tables of one query.
pub(super) struct Tables {
    views: Vec<PipelineView>,
    public: Arc<MemorySchemaProvider>,
    system: Arc<MemorySchemaProvider>,

    /// Epochs of the pipelines whose result tables were used.
    epochs: BTreeMap<String, u64>,
}

impl Tables {
    pub(super) fn new(views: Vec<PipelineView>) -> Self {
        Self {
            views,
            public: Arc::new(MemorySchemaProvider::new()),
            system: Arc::new(MemorySchemaProvider::new()),
            epochs: BTreeMap::new(),
        }
    }

    /// The catalog to plan against; tables appear in it by [`Self::provide`].
    pub(super) fn catalog(&self) -> Result<Arc<dyn CatalogProvider>> {
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(PUBLIC, self.public.clone())?;
        catalog.register_schema(SYSTEM, self.system.clone())?;
        Ok(Arc::new(catalog))
    }

    /// Names of all tables, as one would write them, and of the sources behind them.
    pub(super) fn names(&self) -> Names {
        let results = || self.views.iter().filter(|view| view.retained);
        let system = system::NAMES.iter().map(|name| format!("{SYSTEM}.{name}"));
        Names {
            tables: results().map(|view| view.name.clone()).chain(system).collect(),
            // Of several pipelines the first by name.
            sources: results().rev().map(|view| (view.source.clone(), view.name.clone())).collect(),
        }
    }

    /// The committed epochs of the result tables that were provided.
    pub(super) fn epochs(&self) -> &BTreeMap<String, u64> {
        &self.epochs
    }

    /// Makes a table that a query names visible. A name that is no table is left to the planner.
    ///
    /// # Errors
    /// [`Code::TableNotReady`] where the pipeline has not recovered; [`Code::WrongQuery`] where it
    /// keeps no result table.
    pub(super) fn provide(&mut self, reference: &TableReference) -> Result<(), Fault> {
        let Some((schema, name)) = locate(reference) else { return Ok(()) };
        let name = name.to_owned();
        let found = if schema == PUBLIC { self.result_table(&name)? } else { self.system_table(&name) };
        let Some(provider) = found else { return Ok(()) };
        let target = if schema == PUBLIC { &self.public } else { &self.system };
        let registered = provider.and_then(|provider| target.register_table(name, provider));
        registered.map(|_| ()).map_err(|e| super::error::execution(&e))
    }

    /// The schema of a table, for DESCRIBE; or of a source, which only pipelines read.
    pub(super) async fn describe(&mut self, reference: &TableReference) -> Result<RecordBatch, Fault> {
        self.provide(reference)?;
        let table = match locate(reference) {
            Some((PUBLIC, name)) => self.public.table(name).await,
            Some((_, name)) => self.system.table(name).await,
            None => Ok(None),
        };
        let columns = match table.map_err(|e| super::error::execution(&e))? {
            Some(table) => table_columns(&table.schema()),
            None => self
                .source_columns(reference)
                .ok_or_else(|| super::error::no_table(&reference.to_string(), &self.names()))?,
        };
        let names = StringArray::from_iter_values(columns.iter().map(|column| &column.name));
        let types = StringArray::from_iter_values(columns.iter().map(|column| &column.sql_type));
        let nullable = BooleanArray::from_iter(columns.iter().map(|column| Some(column.nullable)));
        batch(vec![
            ("column_name", Arc::new(names) as ArrayRef),
            ("data_type", Arc::new(types)),
            ("is_nullable", Arc::new(nullable)),
        ])
    }

    /// All tables, for SHOW TABLES.
    pub(super) fn list(&self) -> Result<RecordBatch, Fault> {
        let results = self.views.iter().filter(|view| view.retained).map(|view| (PUBLIC, view.name.as_str()));
        let rows: Vec<(&str, &str)> =
            results.chain(system::NAMES.iter().map(|name| (SYSTEM, *name))).collect();
        let schemas = StringArray::from_iter_values(rows.iter().map(|row| row.0));
        let names = StringArray::from_iter_values(rows.iter().map(|row| row.1));
        batch(vec![("table_schema", Arc::new(schemas) as ArrayRef), ("table_name", Arc::new(names))])
    }

    fn result_table(&mut self, name: &str) -> Result<Option<Result<Arc<dyn TableProvider>>>, Fault> {
        let Some(view) = self.views.iter().find(|view| view.name == name) else { return Ok(None) };
        if !view.retained {
            let detail = format!("pipeline \"{name}\" keeps no result table");
            return Err(Fault::new(Code::WrongQuery, detail).hint("its retention is 0s"));
        }
        let Some(snapshot) = view.table() else {
            let why = view.error().unwrap_or("it is starting");
            return Err(Fault::new(Code::TableNotReady, format!("table \"{name}\" is not ready: {why}")));
        };
        self.epochs.insert(name.to_owned(), snapshot.facts().epoch.0);
        Ok(Some(Ok(snapshot.clone().provider())))
    }

    fn source_columns(&self, reference: &TableReference) -> Option<Vec<TableColumn>> {
        let (schema, name) = locate(reference)?;
        let mut tables = source_tables(&self.views);
        tables.remove(name).filter(|_| schema == PUBLIC).map(|table| table.columns)
    }

    fn system_table(&self, name: &str) -> Option<Result<Arc<dyn TableProvider>>> {
        if name == "dead_letters" {
            return Some(self.dead_letters());
        }
        let rows = system::rows(name, &self.views)?;
        let table = rows.map_err(DataFusionError::from).and_then(|batch| {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            Ok(Arc::new(table) as Arc<dyn TableProvider>)
        });
        Some(table)
    }

    /// The dead letters of all pipelines, one below the other.
    fn dead_letters(&self) -> Result<Arc<dyn TableProvider>> {
        let mut union: Option<LogicalPlanBuilder> = None;
        for view in &self.views {
            let Some(snapshot) = &view.snapshot else { continue };
            let plan = letters(snapshot.clone().dead_letters(&view.name))?;
            union = Some(match union {
                Some(union) => union.union(plan.build()?)?,
                None => plan,
            });
        }
        match union {
            Some(union) => Ok(Arc::new(ViewTable::new(union.build()?, None))),
            None => Ok(dead_letters_provider(Vec::new())),
        }
    }
}

/// Schema and name of a reference that can be one of our tables.
fn locate(reference: &TableReference) -> Option<(&str, &str)> {
    let schema = reference.schema().unwrap_or(PUBLIC);
    let ours = reference.catalog().is_none_or(|catalog| catalog == SYSTEM);
    (ours && (schema == PUBLIC || schema == SYSTEM)).then(|| (schema, reference.table()))
}

/// A plan that reads one pipeline's dead letters.
fn letters(letters: Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan("dead_letters", provider_as_source(letters), None)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Fault> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false)).collect();
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))
}
