//! What SQL becomes: a source, steps on rows, at most one windowed aggregation, steps on groups.
//!
//! ```text
//! scan columns ─► window columns ─► before: filter, project … ─► aggregate ─► after: filter, project … ─► output
//! ```
//!
//! Invariants:
//! 1. A plan is immutable and says all that running it needs; `sql/` makes it, operators read it.
//! 2. Every expression's column indices refer to the schema of the step before it.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use crate::aggregate::{ARRIVAL, Argument, CallSpec};
use crate::time::window::Windows;

/// Most windows that a row may be in where it becomes a row for each of them: a block of 8,192 records
/// must not become more than memory is set aside for.
pub const WINDOWS_PER_ROW_MAX: i64 = 100;

/// A pipeline's query, ready to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The SQL that was planned.
    pub sql: String,
    /// The same, fit to be shown: without values that came from outside the text. `sql`, unless its planner's
    /// caller says otherwise.
    pub shown_sql: String,
    /// The source table's name.
    pub source: String,
    /// Columns to decode: positions in the source's schema, ascending.
    pub scan: Vec<usize>,
    /// The schema of those columns.
    pub scan_schema: SchemaRef,
    /// Position of the event time in `scan`. It is always scanned.
    pub event_time: usize,
    /// The window table function; `None` for a pipeline on the bare table.
    pub window: Option<Window>,
    /// What happens to each row, in order; the first step sees `scan_schema` followed by
    /// `window.columns`.
    pub before: Vec<Step>,
    /// `None`: rows are appended.
    pub aggregate: Option<Aggregate>,
    /// What happens to each group, in order; the first step sees `aggregate.schema`.
    /// Empty without aggregation.
    pub after: Vec<Step>,
    /// The result table's columns, without `_final`: names and types of the SELECT.
    pub output: SchemaRef,
    /// Positions in `output` of the key: the GROUP BY columns in the order of GROUP BY. Empty
    /// without aggregation.
    pub key: Vec<usize>,
    /// Positions in `output` of `window_start` and `window_end`, where the SELECT keeps them
    /// (under any name). An aggregation keeps at least one.
    pub window_start: Option<usize>,
    pub window_end: Option<usize>,
    /// Hash of what state means: the normalised query, source identity, used columns' types.
    /// Formatting of the SQL does not change it. Stable across processes and versions of Rust.
    pub fingerprint: u64,
}

/// `TUMBLE(TABLE t, DESCRIPTOR(c), size [, offset])` or `HOP(TABLE t, DESCRIPTOR(c), slide, size
/// [, offset])`, in milliseconds. A tumbling window is one whose slide equals its size. Windows start
/// at `offset + n * slide`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub size_ms: i64,
    pub slide_ms: i64,
    pub offset_ms: i64,
    /// Window columns that expressions use, appended to each row after the scan columns.
    pub columns: Vec<WindowColumn>,
}

impl Window {
    /// The windows, without the columns.
    #[must_use]
    pub fn windows(&self) -> Windows {
        Windows { size_ms: self.size_ms, slide_ms: self.slide_ms, offset_ms: self.offset_ms }
    }
}

/// A column that the window table function adds; its type is that of the event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowColumn {
    Start,
    End,
    /// `window_end` − 1 ms.
    Time,
}

/// One step of a chain on batches.
#[derive(Debug, Clone)]
pub enum Step {
    /// Keeps the rows for which the expression is true (not false, not null).
    Filter(Arc<dyn PhysicalExpr>),
    /// Replaces the columns by these expressions' values. `schema` has one field per expression.
    Project { exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
}

impl Plan {
    /// Whether literals of its expressions may be shown: none came from outside the SQL's text.
    #[must_use]
    pub fn shows_literals(&self) -> bool {
        self.sql == self.shown_sql
    }

    /// Why an expression failed, fit to be shown: where literals may not be, without texts in quotes and numbers.
    #[must_use]
    pub fn shown_failure(&self, detail: String) -> String {
        if self.shows_literals() { detail } else { without_values(&detail) }
    }

    /// Whether each row becomes a row for each of its windows: where nothing is aggregated, or an
    /// expression on rows uses a window column. Else overlapping windows share panes.
    #[must_use]
    pub fn expands(&self) -> bool {
        self.window.as_ref().is_some_and(|window| {
            window.slide_ms < window.size_ms && (self.aggregate.is_none() || !window.columns.is_empty())
        })
    }
}

fn without_values(detail: &str) -> String {
    const QUOTES: [char; 3] = ['\'', '"', '`'];
    let mut shown = String::with_capacity(detail.len());
    let mut rest = detail;
    while let Some(first) = rest.chars().next() {
        let is_within_word = shown.ends_with(|c: char| c.is_alphanumeric());
        let length = if QUOTES.contains(&first) && !is_within_word {
            // A text may hold such quotes: up to the last one.
            rest.rfind(first).filter(|end| *end != 0).map_or(rest.len(), |end| end + 1)
        } else if first.is_ascii_digit() && !is_within_word {
            rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len())
        } else {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        shown.push('…');
        rest = &rest[length..];
    }
    shown
}

/// `GROUP BY window_start, window_end, keys…` with its aggregates.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// The GROUP BY expressions in their order.
    pub keys: Vec<Key>,
    pub calls: Vec<Call>,
    /// The output: one field per key, then one per call.
    pub schema: SchemaRef,
}

impl Aggregate {
    /// GROUP BY expressions other than the window's: the key columns of states and of the exchange.
    #[must_use]
    pub fn n_exprs(&self) -> usize {
        self.keys.iter().filter(|key| matches!(key, Key::Expr(_))).count()
    }
}

/// One GROUP BY expression.
#[derive(Debug, Clone)]
pub enum Key {
    WindowStart,
    WindowEnd,
    Expr(Arc<dyn PhysicalExpr>),
}

/// One aggregate call, such as `sum(amount) FILTER (WHERE paid)`.
#[derive(Debug, Clone)]
pub struct Call {
    pub function: Function,
    /// Already cast to the types the function wants; then the keys of its own ORDER BY. Empty for
    /// `count(*)`. Rows add event time, partition and offset where the function orders by arrival.
    pub args: Vec<Arc<dyn PhysicalExpr>>,
    /// Input types after the cast, one per argument.
    pub arg_fields: Vec<FieldRef>,
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Name, type and nullability of the result.
    pub field: FieldRef,
}

/// What an aggregate call computes.
pub use crate::aggregate::Function;

impl From<&Call> for CallSpec {
    fn from(call: &Call) -> Self {
        let constant = |arg: &Arc<dyn PhysicalExpr>| {
            arg.downcast_ref::<Literal>().map(|literal| literal.value().clone())
        };
        let args = call.args.iter().zip(&call.arg_fields);
        let args = args.map(|(arg, field)| Argument { field: Arc::clone(field), constant: constant(arg) });
        let arrival = ARRIVAL.into_iter().filter(|_| call.function.by_arrival());
        let arrival = arrival.map(|(name, data_type)| Argument {
            field: Arc::new(Field::new(name, data_type, false)),
            constant: None,
        });
        Self {
            function: call.function.clone(),
            args: args.chain(arrival).collect(),
            field: Arc::clone(&call.field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn a_failure_is_told_without_the_values_that_it_names() {
        for (detail, shown) in [
            ("Divide by zero error", "Divide by zero error"),
            (
                "Cannot cast string 'it's' to value of Int32 type",
                "Cannot cast string … to value of Int32 type",
            ),
            ("Overflow happened on: -5 * 9.5e3", "Overflow happened on: -… * …"),
            ("can't read \"x", "can't read …"),
        ] {
            assert_eq!(without_values(detail), shown);
        }
    }
}
