//! Expressions that may fail on a row, kept from the planner's rules.
//!
//! DataFusion simplifies by rules that are right for values and not for errors: `x AND (x OR y)` becomes `x`
//! also where only `y` decides that the row fails, `y = NULL` becomes NULL, `y IS NULL` is false where the
//! type says so, and a CASE of booleans becomes AND and OR, where a side that decides wins. So that the
//! verdict stays that of the row, an operator above something that may fail is, while rules run, a call of a
//! function of its own, whose arguments are the operator's operands. Operands are simplified by themselves.
//!
//! Invariants:
//! 1. A rule sees an operator only if no operand of it can fail on any row; so does the rule of a function
//!    that would leave an argument out.
//! 2. [`released`] gives back the operator as it was, over what its operands have become.

use std::sync::Arc;

use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, when,
};

use super::logic::is_comparison;

/// `expr` as a call that rules leave alone, where it is an operator that may fail on a row, by itself or
/// by an operand. Operands have been through this before. `schema` is what it reads.
pub(super) fn kept(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !is_operator(&expr) || !fails_itself(&expr, schema)? && !has_failing_operand(&expr)? {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(verbatim(expr, schema, Volatility::Volatile)?))
}

/// A cast that changes values, as a call that the rules of a query's planner leave alone: for them
/// `CAST(price AS INT) > 0` is `price > 0.00`, which is another question. Unlike the others, the call may be
/// evaluated.
pub(super) fn kept_cast(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (from, to) = match &expr {
        Expr::Cast(cast) => (cast.expr.get_type(schema)?, cast.field.data_type()),
        Expr::TryCast(cast) => (cast.expr.get_type(schema)?, cast.field.data_type()),
        _ => return Ok(Transformed::no(expr)),
    };
    if !is_lossy(&from, to) {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(verbatim(expr, schema, Volatility::Immutable)?))
}

/// The operator `expr` as a call.
fn verbatim(expr: Expr, schema: &DFSchema, volatility: Volatility) -> Result<Expr> {
    let (_, field) = expr.to_field(schema)?;
    let mut operands = Vec::new();
    let operator = expr.map_children(|operand| {
        operands.push(operand);
        Ok(Transformed::yes(Expr::Literal(ScalarValue::Null, None)))
    })?;
    let signature = Signature::any(operands.len(), volatility);
    let verbatim = Verbatim { operator: operator.data, field, signature };
    let udf = Arc::new(ScalarUDF::new_from_impl(verbatim));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, operands)))
}

/// Keeps casts of constants that fail, which the planner's rules would refuse: perhaps no row gets there. Comes
/// in front of type coercion: a constant that is no value of the type it is compared with is a mistake.
pub(super) fn keep_failing_constants(plan: LogicalPlan) -> Result<LogicalPlan> {
    let nothing = DFSchema::empty();
    let is_failing = |expr: &Expr| match expr {
        Expr::Cast(Cast { expr, field }) => {
            matches!(&**expr, Expr::Literal(value, _) if value.cast_to(field.data_type()).is_err())
        }
        _ => false,
    };
    let transformed = plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| match is_failing(&e) {
                true => Ok(Transformed::yes(verbatim(e, &nothing, Volatility::Volatile)?)),
                false => Ok(Transformed::no(e)),
            })?;
            Ok(expr.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(transformed.data)
}

/// The operator that `call` stands for, or else the call.
pub(super) fn released(call: ScalarFunction) -> Result<Transformed<Expr>> {
    let Some(verbatim) = call.func.inner().downcast_ref::<Verbatim>() else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let mut operands = call.args.into_iter();
    let operator = verbatim.operator.clone().map_children(|_| match operands.next() {
        Some(operand) => Ok(Transformed::yes(operand)),
        None => internal_err!("an operator lost an operand"),
    })?;
    Ok(Transformed::yes(operator.data))
}

/// `nvl2(x, y, z)` as the CASE that it stands for: DataFusion forgets an `x` whose type has no NULL.
///
/// # Errors
/// Where the call has another number of arguments.
pub(super) fn nvl2_as_case(call: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    let Ok([tested, present, absent]) = <[Expr; 3]>::try_from(call.args) else {
        return internal_err!("nvl2 takes three arguments");
    };
    let is_present = kept(Expr::IsNotNull(Box::new(tested)), schema)?.data;
    Ok(kept(when(is_present, present).otherwise(absent)?, schema)?.data)
}

/// Whether rules know it: what is not an operator is a leaf, a function, or not inside a row.
fn is_operator(expr: &Expr) -> bool {
    /// Functions whose own rules leave arguments out; each can be evaluated as it is, unlike `nvl2`.
    const FORGETFUL: [&str; 4] = ["concat", "concat_ws", "log", "power"];
    matches!(
        expr,
        Expr::ScalarFunction(call) if FORGETFUL.contains(&call.func.name())
    ) || matches!(
        expr,
        Expr::BinaryExpr(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::InList(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
    )
}

fn fails_itself(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    use Operator::{BitwiseAnd, BitwiseOr, BitwiseXor, ILikeMatch, LikeMatch, NotILikeMatch, NotLikeMatch};
    Ok(match expr {
        Expr::BinaryExpr(binary) => {
            let is_total = matches!(
                binary.op,
                BitwiseAnd | BitwiseOr | BitwiseXor | LikeMatch | ILikeMatch | NotLikeMatch | NotILikeMatch
            );
            !(is_total || binary.op.is_logic_operator() || is_comparison(binary.op))
        }
        Expr::Negative(inner) => !inner.get_type(schema)?.is_floating(),
        // Those that fail are kept already, see [`keep_failing_constants`].
        Expr::Cast(cast) if !matches!(&*cast.expr, Expr::Literal(..)) => {
            !is_total(&cast.expr.get_type(schema)?, cast.field.data_type())
        }
        // It never fails, but rules may ask its operand instead.
        Expr::TryCast(cast) => is_lossy(&cast.expr.get_type(schema)?, cast.field.data_type()),
        _ => false,
    })
}

/// Operators above one that may fail are kept too, so a look at the operand itself is enough.
fn has_failing_operand(expr: &Expr) -> Result<bool> {
    fn is_failing(operand: &Expr) -> bool {
        match operand {
            Expr::Alias(alias) => is_failing(&alias.expr),
            Expr::Column(_) | Expr::Literal(..) => false,
            Expr::ScalarFunction(_) => true,
            other => !is_operator(other),
        }
    }
    let mut found = false;
    expr.apply_children(|operand| {
        found |= is_failing(operand);
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a cast keeps every value apart and works on each. That of a timestamp to a finer unit counts as
/// such, although it fails far from today: the planner makes it to compare a column with a constant, and
/// undoes it.
fn is_total(from: &DataType, to: &DataType) -> bool {
    let is_number = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
    let is_time = |data_type: &DataType| {
        matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    };
    from == to
        || *from == DataType::Null
        || to.is_string()
        || is_number(from) && to.is_floating()
        || (is_number(from) && is_number(to) && !from.is_floating() || is_time(from) && is_time(to))
            && !is_lossy(from, to)
}

/// Whether a cast between numbers or times changes values or fails on some.
fn is_lossy(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Decimal128, Timestamp};
    /// Decimal digits in front of the point.
    fn digits(data_type: &DataType) -> i32 {
        match data_type {
            Decimal128(precision, scale) => i32::from(*precision) - i32::from(*scale),
            other => match other.primitive_width().unwrap_or(8) {
                1 => 3,
                2 => 5,
                4 => 10,
                _ => 20,
            },
        }
    }
    match (from, to) {
        (Decimal128(_, scale), Decimal128(_, to_scale)) => to_scale < scale || digits(to) < digits(from),
        (Decimal128(..), to) => to.is_integer(),
        (from, Decimal128(..)) => from.is_integer() && digits(to) < digits(from),
        (Timestamp(from, _), Timestamp(to, _)) => to < from,
        (Timestamp(..), Date32 | Date64) => true,
        (from, Boolean) => *from != Boolean,
        (from, to) if from.is_floating() => to.is_integer(),
        (from, to) if from.is_integer() && to.is_integer() => {
            let is_wider = from.primitive_width() < to.primitive_width();
            let same_sign = from.is_signed_integer() == to.is_signed_integer();
            !(from == to || is_wider && (same_sign || from.is_unsigned_integer()))
        }
        _ => false,
    }
}

/// An operator whose operands are the call's arguments. Only a cast is ever evaluated as such.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Verbatim {
    /// With NULL for each operand.
    operator: Expr,
    field: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for Verbatim {
    fn name(&self) -> &str {
        match self.operator {
            Expr::Cast(_) => "cast",
            Expr::TryCast(_) => "try_cast",
            _ => "verbatim",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.field.data_type().clone(), self.field.is_nullable());
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let options = |safe| CastOptions { safe, ..DEFAULT_CAST_OPTIONS };
        match (&self.operator, args.args.as_slice()) {
            (Expr::Cast(cast), [value]) => value.cast_to(cast.field.data_type(), Some(&options(false))),
            (Expr::TryCast(cast), [value]) => value.cast_to(cast.field.data_type(), Some(&options(true))),
            _ => internal_err!("{} is no expression by itself", self.operator),
        }
    }
}
