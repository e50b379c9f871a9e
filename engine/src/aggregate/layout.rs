//! What all panes of one aggregation share: key types, calls and the schema of their state.
//!
//! Invariants:
//! 1. A layout that could be made works: every accumulator was built once.
//! 2. The state schema depends only on key types and calls, not on the names in the query.

use std::ops::Range;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::AggregateUDF;
use datafusion::scalar::ScalarValue;

use super::Error;
use super::accumulator::{self, Accumulator};
use super::column::stored_type;
use super::interner::Interner;

/// What a call that keeps rows keeps of one group, where configuration says nothing. A median over 1.8
/// million integers fits, or an `array_agg` of some 400,000. Larger: fewer groups go without a result, and a
/// single one takes more of the memory and makes every epoch that changes it slower.
pub const GROUP_BYTES_MAX: usize = 16 << 20;

/// What an aggregate call computes.
#[derive(Debug, Clone)]
pub enum Function {
    /// Rows (no argument) or rows whose argument is not null.
    Count,
    /// Integers in 128 bits, checked at evaluation; decimals in 256; floats as they are.
    Sum,
    Avg,
    Min,
    Max,
    /// Variance or standard deviation, of a sample or of the population, of `Float64`.
    Moments {
        sample: bool,
        root: bool,
    },
    BoolAnd,
    BoolOr,
    /// The value of the first or the last row.
    FirstLast {
        last: bool,
        /// Only rows whose value is not null count.
        ignore_nulls: bool,
        order: Order,
    },
    /// A DataFusion aggregate whose result depends on all rows or on their order: they are kept.
    Collect {
        udf: Arc<AggregateUDF>,
        /// Only rows whose first argument is not null count.
        ignore_nulls: bool,
        order: Order,
    },
    /// `Count`, `Sum`, `Avg` or `Moments` over the different values that are not null.
    Distinct(Box<Function>),
    /// Any other DataFusion aggregate, through the adapter: a row `Accumulator` per group. Its state is
    /// small, whatever the number of rows.
    Other {
        udf: Arc<AggregateUDF>,
    },
}

/// The order of a group's rows; the same in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// By the function's arguments: nothing else about a row counts.
    Value {
        /// `WITHIN GROUP (ORDER BY … DESC)`: what the function counts from the other end.
        descending: bool,
    },
    /// By ORDER BY keys, then by [`ARRIVAL`]. Both follow the function's own arguments.
    Rows(Vec<SortOptions>),
    /// By the function's first argument in this order, then by the others; equal rows count once.
    Distinct(SortOptions),
}

/// What orders rows that ORDER BY leaves equal: event time in its column's unit, partition and offset.
pub const ARRIVAL: [(&str, DataType); 3] =
    [("event_time", DataType::Int64), ("partition", DataType::Int32), ("offset", DataType::Int64)];

impl Order {
    /// How many arguments are keys of ORDER BY.
    #[must_use]
    pub fn n_keys(&self) -> usize {
        match self {
            Self::Value { .. } | Self::Distinct(_) => 0,
            Self::Rows(keys) => keys.len(),
        }
    }

    /// Whether [`ARRIVAL`] are the last arguments.
    #[must_use]
    pub fn by_arrival(&self) -> bool {
        matches!(self, Self::Rows(_))
    }
}

impl Function {
    /// The order of rows, for functions that have one.
    #[must_use]
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::FirstLast { order, .. } | Self::Collect { order, .. } => Some(order),
            _ => None,
        }
    }

    /// Whether [`ARRIVAL`] are the call's last arguments.
    #[must_use]
    pub fn by_arrival(&self) -> bool {
        self.order().is_some_and(Order::by_arrival)
    }

    /// For messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Moments { root: false, .. } => "var",
            Self::Moments { root: true, .. } => "stddev",
            Self::BoolAnd => "bool_and",
            Self::BoolOr => "bool_or",
            Self::FirstLast { last: false, .. } => "first_value",
            Self::FirstLast { last: true, .. } => "last_value",
            Self::Collect { udf, .. } | Self::Other { udf } => udf.name(),
            Self::Distinct(function) => function.name(),
        }
    }
}

/// One argument of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Its type, already cast to what the function wants.
    pub field: FieldRef,
    /// Its value, where it is a literal: some functions read it when they are built.
    pub constant: Option<ScalarValue>,
}

/// What this module has to know of one aggregate call.
#[derive(Debug, Clone)]
pub struct CallSpec {
    pub function: Function,
    /// The function's own, then what its [`Order`] adds.
    pub args: Vec<Argument>,
    /// Name, type and nullability of the result.
    pub field: FieldRef,
}

impl CallSpec {
    /// The type of the first argument; `Null` without one.
    pub(super) fn arg_type(&self) -> &DataType {
        self.args.first().map_or(&DataType::Null, |arg| arg.field.data_type())
    }

    /// How many of the arguments are the function's own.
    pub(super) fn n_values(&self) -> usize {
        let added = self
            .function
            .order()
            .map_or(0, |order| order.n_keys() + if order.by_arrival() { ARRIVAL.len() } else { 0 });
        self.args.len().saturating_sub(added)
    }

    pub(super) fn unsupported(&self) -> Error {
        let types: Vec<_> =
            self.args[..self.n_values()].iter().map(|arg| arg.field.data_type().to_string()).collect();
        Error::Unsupported { function: self.function.name().to_owned(), types: types.join(", ") }
    }
}

/// Key types, calls and state schema of one aggregation. Made once, shared by its panes.
pub struct Layout {
    pub(super) keys: Vec<KeyColumn>,
    pub(super) calls: Vec<CallSpec>,
    /// Empty ones, to make the accumulators of a pane from.
    pub(super) accumulators: Vec<Box<dyn Accumulator>>,
    pub(super) interner: Interner,
    /// `state_columns[c]`: positions in the state schema of call `c`.
    pub(super) state_columns: Vec<Range<usize>>,
    state_schema: SchemaRef,
}

/// A key column: the type it comes in and leaves with, and the type that is interned and stored.
pub(super) struct KeyColumn {
    pub(super) data_type: DataType,
    pub(super) stored: DataType,
}

impl Layout {
    /// The layout of `calls` grouped by `key_fields` (the GROUP BY expressions other than the
    /// window's; may be empty). A plan's `&[Call]` can be given as it is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a call can't be computed over its types, or a key's type can't
    /// be grouped by. Refuse the query.
    pub fn new<C: Into<CallSpec>>(
        key_fields: Vec<FieldRef>,
        calls: impl IntoIterator<Item = C>,
    ) -> Result<Arc<Self>, Error> {
        Self::with_group_bytes(key_fields, calls, GROUP_BYTES_MAX)
    }

    /// The same with another bound of what a call that keeps rows keeps of a group; below 2 GiB.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_group_bytes<C: Into<CallSpec>>(
        key_fields: Vec<FieldRef>,
        calls: impl IntoIterator<Item = C>,
        group_bytes_max: usize,
    ) -> Result<Arc<Self>, Error> {
        let calls: Vec<CallSpec> = calls.into_iter().map(Into::into).collect();
        let keys: Vec<_> = key_fields
            .iter()
            .map(|field| KeyColumn {
                data_type: field.data_type().clone(),
                stored: stored_type(field.data_type()),
            })
            .collect();
        let stored: Vec<_> = keys.iter().map(|key| key.stored.clone()).collect();
        let interner = Interner::new(&stored)?;
        let accumulators = calls
            .iter()
            .map(|call| accumulator::new(call, group_bytes_max))
            .collect::<Result<Vec<_>, _>>()?;

        let key = |(i, data_type)| Field::new(format!("key_{i}"), data_type, true);
        let mut fields: Vec<_> = stored.into_iter().enumerate().map(key).collect();
        let mut state_columns = Vec::with_capacity(calls.len());
        for (c, accumulator) in accumulators.iter().enumerate() {
            let start = fields.len();
            for (name, data_type) in accumulator.state_fields() {
                fields.push(Field::new(format!("call_{c}_{name}"), data_type, true));
            }
            state_columns.push(start..fields.len());
        }
        let state_schema = Arc::new(Schema::new(fields));
        Ok(Arc::new(Self { keys, calls, accumulators, interner, state_columns, state_schema }))
    }

    /// Key columns, then the state columns of each call: the shape of partial flushes and of state
    /// blocks on disk. Names are unique.
    ///
    /// | function | state |
    /// | --- | --- |
    /// | count | `count` |
    /// | sum, avg | `sum`: `Decimal128(38, 0)` for integers (all 128 bits: Arrow does not check the digits of a decimal unless it casts), `Decimal256(76, scale)` for decimals, `Float64`; avg also `count` |
    /// | min, max, bool_and, bool_or | `value` |
    /// | var, stddev | `count`, and `mean`, `m2` in two `Float64` each |
    /// | first_value, last_value | the row: ORDER BY keys, `event_time`, `partition`, `offset`, `value_0` |
    /// | those that keep rows, DISTINCT | `rows`: a list of them, null if they were too large |
    /// | corr, covar_*, regr_* | `count`, and `x`, `y`, `xx`, `yy`, `xy`: lists of floats, whose exact sum it is |
    /// | others | what DataFusion's accumulator says |
    #[must_use]
    pub fn state_schema(&self) -> SchemaRef {
        Arc::clone(&self.state_schema)
    }
}

impl Layout {
    /// Whether states are about as large as the rows they are made of: partial aggregation saves nothing.
    #[must_use]
    pub fn keeps_rows(&self) -> bool {
        let keeps_all = |order: &Order| !matches!(order, Order::Distinct(_));
        self.calls.iter().any(|call| match &call.function {
            Function::Collect { order, .. } => keeps_all(order),
            _ => false,
        })
    }

    /// Whether the state of a group may be large.
    #[must_use]
    pub fn has_large_groups(&self) -> bool {
        let is_large =
            |call: &CallSpec| matches!(call.function, Function::Collect { .. } | Function::Distinct(_));
        self.calls.iter().any(is_large)
    }
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout")
            .field("calls", &self.calls)
            .field("state_schema", &self.state_schema)
            .finish()
    }
}
