//! Projections that look the same and are not.
//!
//! DataFusion drops a projection whose expressions equal those of the one below, which is wrong where they
//! compute: of `SELECT x + 1 AS x FROM (SELECT x + 1 AS x FROM …)` one addition was lost.
//!
//! Invariant: what is computed by a projection below one with the same column names is inside a call of its
//! own, which changes nothing but that no two are equal.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, Filter, LogicalPlan, Projection, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, TryCast, Volatility,
};

use super::type_name;

/// Tells the projection below `node` apart from it; `n_told_apart` counts them.
pub(super) fn tell_apart(node: LogicalPlan, n_told_apart: &mut usize) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(outer) = node else { return Ok(node) };
    let names: Vec<String> = outer.schema.fields().iter().map(|field| field.name().clone()).collect();
    let input = marked(Arc::unwrap_or_clone(outer.input), &names, n_told_apart)?;
    let outer = Projection::try_new_with_schema(outer.expr, Arc::new(input), outer.schema)?;
    Ok(LogicalPlan::Projection(outer))
}

/// A function that changes nothing; those of different names or numbers are different.
pub(super) fn apart(name: &'static str, number: usize) -> Arc<ScalarUDF> {
    let apart = Apart { name, number, signature: Signature::any(1, Volatility::Immutable) };
    Arc::new(ScalarUDF::new_from_impl(apart))
}

/// Whether a call is one of those that change nothing.
pub(super) fn is_told_apart(call: &ScalarFunction) -> bool {
    call.func.inner().is::<Apart>() && call.args.len() == 1
}

fn marked(node: LogicalPlan, names: &[String], n_told_apart: &mut usize) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Filter(filter) => {
            let input = marked(Arc::unwrap_or_clone(filter.input), names, n_told_apart)?;
            Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate, Arc::new(input))?))
        }
        LogicalPlan::Projection(inner)
            if inner.schema.fields().iter().map(|field| field.name()).eq(names.iter()) =>
        {
            *n_told_apart += 1;
            let number = *n_told_apart;
            let exprs = inner.expr.into_iter().map(|expr| match expr {
                Expr::Alias(mut alias) if !matches!(*alias.expr, Expr::Column(_) | Expr::Literal(..)) => {
                    let call = ScalarFunction::new_udf(apart("computed", number), vec![*alias.expr]);
                    alias.expr = Box::new(Expr::ScalarFunction(call));
                    Expr::Alias(alias)
                }
                other => other,
            });
            Ok(LogicalPlan::Projection(Projection::try_new_with_schema(
                exprs.collect(),
                inner.input,
                inner.schema,
            )?))
        }
        other => Ok(other),
    }
}

/// Gives back its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Apart {
    name: &'static str,
    number: usize,
    signature: Signature,
}

impl ScalarUDFImpl for Apart {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [arg] = args else { return internal_err!("{} takes one argument", self.name()) };
        Ok(cast_name(arg).unwrap_or_else(|| format!("{}({})", self.name(), arg.schema_name())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [data_type] = types else { return internal_err!("{} takes one argument", self.name()) };
        Ok(data_type.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [field] = args.arg_fields else { return internal_err!("{} takes one argument", self.name()) };
        Ok(Arc::clone(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("{} takes one argument", self.name()),
        }
    }
}

/// The name of a cast, with its type; `None` for other expressions.
fn cast_name(expr: &Expr) -> Option<String> {
    let (function, inner, field) = match expr {
        Expr::Cast(Cast { expr, field }) => ("CAST", expr, field),
        Expr::TryCast(TryCast { expr, field }) => ("TRY_CAST", expr, field),
        _ => return None,
    };
    Some(format!("{function}({} AS {})", inner.schema_name(), type_name(field.data_type())))
}
