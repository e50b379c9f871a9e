//! Aggregate calls: which accumulator computes a call, on arguments of which types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr};
use datafusion::physical_expr::PhysicalExpr;

use super::error::{AGGREGATE, Refusal, from_datafusion};
use super::fingerprint::Canonical;
use super::lower::Context;
use super::physical::Physical;
use super::type_name;
use crate::aggregate::Layout;
use crate::dataflow::plan::{Call, Function};

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
    if func.name() == "count" && matches!(args.as_slice(), [Expr::Literal(value, _)] if !value.is_null()) {
        args.clear();
    }
    let lowered =
        args.iter().map(|arg| physical.lower(arg, rows)).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let filter = params.filter.map(|filter| physical.lower(&filter, rows)).transpose().map_err(refused)?;
    canonical.call(
        func.name(),
        params.distinct,
        lowered.iter().map(|arg| arg.canonical.as_str()),
        filter.as_ref().map(|filter| filter.canonical.as_str()),
    );
    let args: Vec<Arc<dyn PhysicalExpr>> = lowered.into_iter().map(|arg| arg.expr).collect();
    let arg_fields = args
        .iter()
        .map(|arg| arg.return_field(rows.as_arrow()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?;
    let field = Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable()));
    let function = function(&func, params.distinct);
    let call = Call { function, args, arg_fields, filter: filter.map(|filter| filter.expr), field };
    if is_computed(&call) {
        return Ok(call);
    }
    let types: Vec<String> = call.arg_fields.iter().map(|arg| type_name(arg.data_type())).collect();
    let message = format!("{} of {} is not supported", func.name(), types.join(", "));
    let at = context.sites.call(func.name()).unwrap_or_else(|| context.aggregation());
    Err(vec![Refusal::new(AGGREGATE, at, message)])
}

/// Whether the engine has an accumulator for the call's types. DataFusion's sums of durations wrap,
/// and its extremes of maps and unions fail at run time: they are none.
fn is_computed(call: &Call) -> bool {
    let result = call.field.data_type();
    match call.function {
        Function::Sum | Function::Avg if !result.is_numeric() => false,
        Function::Min | Function::Max if matches!(result, DataType::Map(..) | DataType::Union(..)) => false,
        _ => Layout::new(Vec::new(), [call]).is_ok(),
    }
}

/// The function of DataFusion's aggregate called `func`. Of DISTINCT ones only `count` gets here.
fn function(func: &Arc<AggregateUDF>, distinct: bool) -> Function {
    let moments = |sample, root| Function::Moments { sample, root };
    match (func.name(), distinct) {
        ("count", false) => Function::Count,
        ("sum", false) => Function::Sum,
        ("avg", false) => Function::Avg,
        ("min", false) => Function::Min,
        ("max", false) => Function::Max,
        ("var", false) => moments(true, false),
        ("var_pop", false) => moments(false, false),
        ("stddev", false) => moments(true, true),
        ("stddev_pop", false) => moments(false, true),
        ("bool_and", false) => Function::BoolAnd,
        ("bool_or", false) => Function::BoolOr,
        _ => Function::Other { udf: Arc::clone(func), distinct },
    }
}
