//! What DataFusion's planner may know: the sources as tables, and its own functions.
//!
//! Invariant: names resolve to the tables of this call and to built-in functions, nothing else: no
//! files, no variables, no table functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use super::TableDef;
use super::bounded::{Limit, bounded};
use super::casts;
use super::retyped::retyped;
use super::tvf::{WINDOW_COLUMNS, WindowCall, WindowInput};
use super::windowed;
use crate::aggregate::exact_pairs;

/// A source as a table: its columns, and the window columns where a window table function is
/// around it.
#[derive(Debug)]
pub(super) struct StreamTable {
    /// Position in the tables.
    pub(super) table: usize,
    /// Position in the window calls.
    pub(super) window: Option<usize>,
    schema: SchemaRef,
}

impl TableSource for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The functions and settings of every query.
pub(super) struct Functions {
    pub(super) scalar: BTreeMap<String, Arc<ScalarUDF>>,
    pub(super) aggregate: BTreeMap<String, Arc<AggregateUDF>>,
    pub(super) window: BTreeMap<String, Arc<WindowUDF>>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    pub(super) config: Arc<ConfigOptions>,
}

impl Functions {
    pub(super) fn new() -> Self {
        let mut config = ConfigOptions::new();
        config.execution.time_zone = Some("+00:00".to_owned());
        config.sql_parser.collect_spans = true;
        // Result tables and sinks know one string type.
        config.sql_parser.map_string_types_to_utf8view = false;
        let mut functions = Self {
            scalar: BTreeMap::new(),
            aggregate: BTreeMap::new(),
            window: BTreeMap::new(),
            expr_planners: SessionStateDefaults::default_expr_planners(),
            config: Arc::new(config),
        };
        for udf in bounded(SessionStateDefaults::default_scalar_functions(), Limit::Row) {
            for name in names(udf.name(), udf.aliases()) {
                functions.scalar.insert(name, Arc::clone(&udf));
            }
        }
        let aggregates = SessionStateDefaults::default_aggregate_functions().into_iter();
        for udf in aggregates.map(retyped).map(exact_pairs) {
            for name in names(udf.name(), udf.aliases()) {
                functions.aggregate.insert(name, Arc::clone(&udf));
            }
        }
        for udf in SessionStateDefaults::default_window_functions() {
            for name in names(udf.name(), udf.aliases()) {
                functions.window.insert(name, Arc::clone(&udf));
            }
        }
        functions
    }
}

fn names(name: &str, aliases: &[String]) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain(aliases.iter().cloned()).collect::<Vec<_>>().into_iter()
}

/// The answer to DataFusion's questions while it plans one query.
pub(super) struct Catalog<'a> {
    pub(super) tables: &'a [TableDef],
    pub(super) windows: &'a [WindowCall],
    pub(super) functions: &'a Functions,
}

/// The name under which the window call at `position` is a table.
pub(super) fn window_table_name(position: usize) -> String {
    format!("window {position}")
}

impl Catalog<'_> {
    /// A source as a table, in the window call at `window` if any. Where that is around a query, the window
    /// columns have names of their own until the query's columns are behind them.
    pub(super) fn stream_table(&self, table: usize, window: Option<usize>) -> StreamTable {
        let source = &self.tables[table].schema;
        let schema = match window {
            None => Arc::clone(source),
            Some(window) => {
                let event_time = source.field(self.tables[table].event_time).data_type();
                let is_own = matches!(self.windows[window].input, WindowInput::Table(_));
                let added = WINDOW_COLUMNS.map(|column| {
                    let name =
                        if is_own { column.to_owned() } else { format!("{column} of window {window}") };
                    Arc::new(Field::new(name, event_time.clone(), false))
                });
                let fields = source.fields().iter().cloned().chain(added);
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
        };
        StreamTable { table, window, schema }
    }
}

impl ContextProvider for Catalog<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let TableReference::Bare { table: name } = &name else {
            return plan_err!("unknown table \"{name}\"");
        };
        let mut calls = self.windows.iter().enumerate();
        let windowed = calls.find_map(|(i, call)| match call.input {
            WindowInput::Table(table) if window_table_name(i) == **name => Some((table, Some(i))),
            _ => None,
        });
        let plain = || self.tables.iter().position(|table| table.name == **name).map(|table| (table, None));
        match windowed.or_else(plain) {
            Some((table, window)) => Ok(Arc::new(self.stream_table(table, window))),
            None => plan_err!("unknown table \"{name}\""),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.functions.expr_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let built_in = self.functions.scalar.get(name).cloned();
        built_in
            .or_else(|| windowed::function(name, self.windows.len()))
            .or_else(|| (name == casts::NAME).then(casts::named_cast))
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window.get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.functions.config
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.window.keys().cloned().collect()
    }
}
