//! Aggregate calls: which accumulator computes a call, on arguments of which types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;

use super::error::{AGGREGATE, Refusal, from_datafusion};
use super::fingerprint::Canonical;
use super::lower::Context;
use super::physical::Physical;
use super::type_name;
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
    check_types(&function, &arg_fields, &field).map_err(|message| {
        let at = context.sites.call(func.name()).unwrap_or_else(|| context.aggregation());
        vec![Refusal::new(AGGREGATE, at, message)]
    })?;
    if let Function::Other { .. } = function {
        check_accumulator(&func, &args, params.distinct, rows).map_err(refused)?;
    }
    Ok(Call { function, args, arg_fields, filter: filter.map(|filter| filter.expr), field })
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

/// Refuses what DataFusion sums and averages, but the engine does not: durations and intervals.
fn check_types(function: &Function, args: &[FieldRef], result: &FieldRef) -> Result<(), String> {
    let is_number = |data_type: &DataType| data_type.is_numeric();
    let (name, is_supported): (_, fn(&DataType) -> bool) = match function {
        Function::Sum => ("sum", DataType::is_numeric),
        Function::Avg => ("avg", DataType::is_numeric),
        Function::Moments { .. } => ("variance", |data_type| *data_type == DataType::Float64),
        _ => return Ok(()),
    };
    let unsupported = args.iter().find(|arg| !is_supported(arg.data_type()));
    match unsupported {
        Some(arg) => Err(format!("{name} of {} is not supported", type_name(arg.data_type()))),
        None if !is_number(result.data_type()) => {
            Err(format!("{name} as {} is not supported", type_name(result.data_type())))
        }
        None => Ok(()),
    }
}

/// DataFusion says only when an accumulator is made whether it exists for the types.
fn check_accumulator(
    func: &Arc<AggregateUDF>,
    args: &[Arc<dyn PhysicalExpr>],
    distinct: bool,
    rows: &DFSchema,
) -> Result<(), DataFusionError> {
    let call = AggregateExprBuilder::new(Arc::clone(func), args.to_vec())
        .schema(Arc::clone(rows.inner()))
        .alias(func.name())
        .with_distinct(distinct)
        .build()?;
    call.create_accumulator().map(drop)
}
