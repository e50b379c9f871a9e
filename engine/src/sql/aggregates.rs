//! Aggregate calls: which accumulator computes a call, on arguments of which types.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment, Sort};
use datafusion::logical_expr::{AggregateUDF, Expr};
use datafusion::physical_expr::PhysicalExpr;

use super::error::{AGGREGATE, Refusal, from_datafusion};
use super::fingerprint::Canonical;
use super::lower::Context;
use super::physical::Physical;
use super::type_name;
use crate::aggregate::{Layout, Order};
use crate::dataflow::plan::{Call, Function};

/// Aggregates that take their rows in an order, beside `first_value` and `last_value`.
const BY_ROWS: [&str; 3] = ["array_agg", "nth_value", "string_agg"];
/// Aggregates over all values of a group, whatever the order of its rows.
const BY_VALUE: [&str; 5] = [
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "median",
    "percentile_cont",
];

/// Lowers one aggregate expression for rows of `rows`; `field` is its column in the plan.
pub(super) fn lower_call(
    context: &Context<'_>,
    physical: &Physical,
    expr: &Expr,
    field: &FieldRef,
    rows: &DFSchema,
    canonical: &mut Canonical,
) -> Result<Call, Vec<Refusal>> {
    let refused = |error: DataFusionError| from_datafusion(&error, context.sites);
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else {
        let message = format!("\"{expr}\" is not an aggregate call");
        return Err(vec![Refusal::new(AGGREGATE, context.aggregation(), message)]);
    };
    let mut args = params.args;
    // count(*) arrives as count(1): it needs no column.
    let is_plain = func.name() == "count" && !params.distinct;
    if is_plain && matches!(args.as_slice(), [Expr::Literal(value, _)] if !value.is_null()) {
        args.clear();
    }
    let descending = params.order_by.first().is_some_and(|key| !key.asc);
    let keys: Vec<Sort> = if BY_VALUE.contains(&func.name()) { Vec::new() } else { params.order_by };
    let options: Vec<_> = keys.iter().map(|key| SortOptions::new(!key.asc, key.nulls_first)).collect();
    // With DISTINCT they are the first argument.
    let keys = if params.distinct { Vec::new() } else { keys };
    args.extend(keys.into_iter().map(|key| key.expr));
    let lowered =
        args.iter().map(|arg| physical.lower(arg, rows)).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let filter = params.filter.map(|filter| physical.lower(&filter, rows)).transpose().map_err(refused)?;
    let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let ordering = Ordering { options, descending, ignore_nulls };
    let order = ordering.canonical();
    canonical.call(
        func.name(),
        params.distinct,
        lowered.iter().map(|arg| arg.canonical.as_str()).chain(order.iter().map(String::as_str)),
        filter.as_ref().map(|filter| filter.canonical.as_str()),
    );
    let args: Vec<Arc<dyn PhysicalExpr>> = lowered.into_iter().map(|arg| arg.expr).collect();
    let arg_fields = args
        .iter()
        .map(|arg| arg.return_field(rows.as_arrow()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?;
    let field = Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable()));
    let function = function(&func, params.distinct, ordering);
    let call = Call { function, args, arg_fields, filter: filter.map(|filter| filter.expr), field };
    if is_computed(&call) {
        return Ok(call);
    }
    let n_keys = call.function.order().map_or(0, Order::n_keys);
    let own = &call.arg_fields[..call.arg_fields.len() - n_keys];
    let types: Vec<String> = own.iter().map(|arg| type_name(arg.data_type())).collect();
    let message = format!("{} of {} is not supported", func.name(), types.join(", "));
    let at = context.sites.call(func.name()).unwrap_or_else(|| context.aggregation());
    Err(vec![Refusal::new(AGGREGATE, at, message)])
}

/// Whether the engine has an accumulator for the call's types. DataFusion's sums of durations wrap,
/// and its extremes of maps and unions fail at run time: they are none.
fn is_computed(call: &Call) -> bool {
    let result = call.field.data_type();
    let function = if let Function::Distinct(function) = &call.function { function } else { &call.function };
    match function {
        Function::Sum | Function::Avg if !result.is_numeric() => false,
        Function::Min | Function::Max if matches!(result, DataType::Map(..) | DataType::Union(..)) => false,
        _ => Layout::new(Vec::new(), [call]).is_ok(),
    }
}

/// What a call says about the order of its rows.
struct Ordering {
    /// Of its ORDER BY keys.
    options: Vec<SortOptions>,
    /// Of WITHIN GROUP.
    descending: bool,
    ignore_nulls: bool,
}

impl Ordering {
    /// For the fingerprint: nothing for calls without an order.
    fn canonical(&self) -> Vec<String> {
        let key = |key: &SortOptions| {
            let direction = if key.descending { "descending" } else { "ascending" };
            format!("{direction}, nulls {}", if key.nulls_first { "first" } else { "last" })
        };
        let within = (self.options.is_empty() && self.descending).then_some("within group descending");
        let others = [within, self.ignore_nulls.then_some("ignore nulls")].into_iter().flatten();
        self.options.iter().map(key).chain(others.map(str::to_owned)).collect()
    }
}

/// The function of DataFusion's aggregate called `func`. With DISTINCT only those get here whose result it
/// changes.
fn function(func: &Arc<AggregateUDF>, distinct: bool, ordering: Ordering) -> Function {
    let moments = |sample, root| Function::Moments { sample, root };
    let Ordering { options, descending, ignore_nulls } = ordering;
    if distinct {
        let first = options.first().copied().unwrap_or_default();
        return match function(func, false, Ordering { options, descending, ignore_nulls }) {
            Function::Collect { udf, ignore_nulls, .. } => {
                Function::Collect { udf, ignore_nulls, order: Order::Distinct(first) }
            }
            plain => Function::Distinct(Box::new(plain)),
        };
    }
    let by_rows = Order::Rows(options);
    match func.name() {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "avg" => Function::Avg,
        "min" => Function::Min,
        "max" => Function::Max,
        "var" => moments(true, false),
        "var_pop" => moments(false, false),
        "stddev" => moments(true, true),
        "stddev_pop" => moments(false, true),
        "bool_and" => Function::BoolAnd,
        "bool_or" => Function::BoolOr,
        "first_value" => Function::FirstLast { last: false, ignore_nulls, order: by_rows },
        "last_value" => Function::FirstLast { last: true, ignore_nulls, order: by_rows },
        name if BY_ROWS.contains(&name) => {
            Function::Collect { udf: Arc::clone(func), ignore_nulls, order: by_rows }
        }
        name if BY_VALUE.contains(&name) => {
            Function::Collect { udf: Arc::clone(func), ignore_nulls, order: Order::Value { descending } }
        }
        _ => Function::Other { udf: Arc::clone(func) },
    }
}
