//! Arithmetic that fails instead of wrapping, and `||` whose result is bounded.
//!
//! DataFusion's `+ - * / %` on integers wrap, also where it folds constants; its decimals exceed their
//! precision, and its shifts lose bits. Before it simplifies, each becomes a call of a checked function,
//! which folding leaves alone where it fails. Ad-hoc queries run these calls; in a pipeline lowering turns
//! what is left into binary expressions again, see [`super::guarded`].
//!
//! Invariant: no wrapping arithmetic expression is ever evaluated, at planning or at run time.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type, Schema, UInt64Type};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr as PhysicalBinaryExpr, Column, Literal};

use super::bounded::{Limit, bound, unbounded};
use super::members;
use super::projections;
use super::time_of_day;
use super::verbatim;

/// Makes what a query computes checked and bounded. Comes behind type coercion.
#[derive(Debug)]
pub struct Protection;

impl AnalyzerRule for Protection {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        protect(plan, Limit::Query)
    }

    fn name(&self) -> &str {
        "protection"
    }
}

/// One of `+ - * / % << >> ||`, checked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    signature: Signature,
}

impl Checked {
    fn call(left: Expr, op: Operator, right: Expr) -> Expr {
        let checked = Self { op, signature: Signature::any(2, Volatility::Immutable) };
        let udf = Arc::new(ScalarUDF::new_from_impl(checked));
        Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![left, right]))
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_sub",
            Operator::Multiply => "checked_mul",
            Operator::Divide => "checked_div",
            Operator::BitwiseShiftLeft => "checked_shl",
            Operator::BitwiseShiftRight => "checked_shr",
            Operator::StringConcat => "concat_operator",
            _ => "checked_rem",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [left, right] = types else { return internal_err!("{} takes two arguments", self.name()) };
        BinaryTypeCoercer::new(left, &self.op, right).get_result_type()
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return internal_err!("{} takes two arguments", self.name());
        };
        evaluate(left, self.op, right, args.number_rows)
    }
}

/// Evaluates a binary operator without any loss: this is the one meaning of arithmetic, when planning
/// folds, in pipelines and in queries.
///
/// # Errors
/// Where the result is not exact within its type.
pub(super) fn evaluate(
    left: &ColumnarValue,
    op: Operator,
    right: &ColumnarValue,
    n_rows: usize,
) -> Result<ColumnarValue> {
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    let mut operand = |value: &ColumnarValue| -> Arc<dyn PhysicalExpr> {
        match value {
            ColumnarValue::Scalar(value) => Arc::new(Literal::new(value.clone())),
            ColumnarValue::Array(array) => {
                fields.push(Field::new("", array.data_type().clone(), true));
                columns.push(Arc::clone(array));
                Arc::new(Column::new("", columns.len() - 1))
            }
        }
    };
    let binary = PhysicalBinaryExpr::new(operand(left), op, operand(right)).with_fail_on_overflow(true);
    // A constant stays one.
    let is_constant = columns.is_empty();
    let n_rows = if is_constant { 1 } else { n_rows };
    let array_of = |value: &ColumnarValue| value.clone().into_array(n_rows);
    let result = if time_of_day::has(&left.data_type(), op, &right.data_type()) {
        ColumnarValue::Array(time_of_day::shift(&array_of(left)?, op, &array_of(right)?)?)
    } else {
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        binary.evaluate(&batch)?
    };
    let array = match &result {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(value) => value.to_array()?,
    };
    if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
        decimals.validate_decimal_precision(decimals.precision())?;
    }
    if matches!(op, Operator::BitwiseShiftLeft | Operator::BitwiseShiftRight) {
        check_shift(&left.clone().into_array(array.len())?, op, right, &array)?;
    }
    match result {
        ColumnarValue::Array(array) if is_constant => {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
        result => Ok(result),
    }
}

/// A shift moves by less than the type's bits, and to the left it loses none of value and sign.
fn check_shift(left: &ArrayRef, op: Operator, by: &ColumnarValue, result: &ArrayRef) -> Result<()> {
    let n_bits = left.data_type().primitive_width().unwrap_or(0) * 8;
    let by = by.clone().into_array(result.len())?;
    let amounts = cast(&by, &DataType::Int64)?;
    let amounts = amounts.as_primitive::<Int64Type>();
    let wide = |array: &ArrayRef| -> Result<Vec<i128>> {
        Ok(if array.data_type().is_unsigned_integer() {
            let array = cast(array, &DataType::UInt64)?;
            array.as_primitive::<UInt64Type>().values().iter().map(|value| i128::from(*value)).collect()
        } else {
            let array = cast(array, &DataType::Int64)?;
            array.as_primitive::<Int64Type>().values().iter().map(|value| i128::from(*value)).collect()
        })
    };
    let (before, after) = (wide(left)?, wide(result)?);
    for row in (0..result.len()).filter(|row| result.is_valid(*row)) {
        let amount = amounts.value(row);
        let fits = usize::try_from(amount).is_ok_and(|amount| amount < n_bits);
        if !fits || op == Operator::BitwiseShiftLeft && before[row] << amount != after[row] {
            let message = format!("Overflow happened on: {} {op} {amount}", before[row]);
            return Err(DataFusionError::from(ArrowError::ArithmeticOverflow(message)));
        }
    }
    Ok(())
}

/// `left || right`, within the limit of a pipeline's row.
pub(super) fn concat_of_row(
    left: ColumnarValue,
    right: ColumnarValue,
    n_rows: usize,
) -> Result<ColumnarValue> {
    static CONCAT: LazyLock<(Arc<ScalarUDF>, FieldRef, Arc<ConfigOptions>)> = LazyLock::new(|| {
        let field = Arc::new(Field::new("", DataType::Utf8, true));
        (concat_operator(Limit::Row), field, Arc::new(ConfigOptions::new()))
    });
    let (concat, field, config) = &*CONCAT;
    concat.invoke_with_args(ScalarFunctionArgs {
        args: vec![left, right],
        arg_fields: vec![Arc::clone(field), Arc::clone(field)],
        number_rows: n_rows,
        return_field: Arc::clone(field),
        config_options: Arc::clone(config),
    })
}

fn concat_operator(limit: Limit) -> Arc<ScalarUDF> {
    let op = Operator::StringConcat;
    let checked = Checked { op, signature: Signature::any(2, Volatility::Immutable) };
    let unlimited = Arc::new(ScalarUDF::new_from_impl(checked));
    bound(&unlimited, limit).unwrap_or(unlimited)
}

fn is_arithmetic(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

pub(super) fn is_shift(op: Operator) -> bool {
    matches!(op, Operator::BitwiseShiftLeft | Operator::BitwiseShiftRight)
}

/// Replaces arithmetic in a plan whose types are final by checked calls, and puts a limit around functions
/// that the planner called by itself. Names stay.
pub(super) fn protect(plan: LogicalPlan, limit: Limit) -> Result<LogicalPlan> {
    let mut n_projections = 0;
    let transformed = plan.transform_up_with_subqueries(|node| {
        let node = projections::tell_apart(node, &mut n_projections)?;
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|e| protect_one(e, &schema, limit))?.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(transformed.data)
}

fn protect_one(expr: Expr, schema: &DFSchema, limit: Limit) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) || is_shift(op) => {
            Ok(Transformed::yes(Checked::call(*left, op, *right)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let call = ScalarFunction::new_udf(concat_operator(limit), vec![*left, *right]);
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::ScalarFunction(mut call) => {
            if matches!(limit, Limit::Row) && call.func.name() == "nvl2" {
                return Ok(Transformed::yes(verbatim::nvl2_as_case(call, schema)?));
            }
            if let Some(masked) = members::masked(&call.func) {
                call.func = masked;
            }
            if let Some(bounded) = bound(&call.func, limit) {
                call.func = bounded;
            }
            // Its function may be another one by now.
            Ok(Transformed::yes(shield(Expr::ScalarFunction(call), schema, limit)?.data))
        }
        // Negating the smallest integer wraps too.
        Expr::Negative(inner) => {
            let data_type = inner.get_type(schema)?;
            if !data_type.is_integer() {
                return shield(Expr::Negative(inner), schema, limit);
            }
            let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
            Ok(Transformed::yes(Checked::call(zero, Operator::Minus, *inner)))
        }
        other => shield(other, schema, limit),
    }
}

/// Keeps from the planner's rules what they would get wrong: for a row whatever may fail, for a query casts.
fn shield(expr: Expr, schema: &DFSchema, limit: Limit) -> Result<Transformed<Expr>> {
    match limit {
        Limit::Row => verbatim::kept(expr, schema),
        Limit::Query => verbatim::kept_cast(expr, schema),
    }
}

/// The inverse of [`protect`] for one expression; [`fail_on_overflow`] must follow.
pub(super) fn restore(expr: Expr) -> Result<Expr> {
    let transformed = expr.transform_up(|e| match e {
        Expr::ScalarFunction(mut call) if projections::is_told_apart(&call) => {
            Ok(Transformed::yes(call.args.swap_remove(0)))
        }
        Expr::ScalarFunction(mut call) => {
            let op = unbounded(&call.func).inner().downcast_ref::<Checked>().map(|checked| checked.op);
            match (op, call.args.pop(), call.args.pop()) {
                (Some(op), Some(right), Some(left)) => {
                    let binary = BinaryExpr::new(Box::new(left), op, Box::new(right));
                    Ok(Transformed::yes(Expr::BinaryExpr(binary)))
                }
                (_, last, second_last) => {
                    call.args.extend(second_last);
                    call.args.extend(last);
                    verbatim::released(call)
                }
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(transformed.data)
}

/// Makes every arithmetic expression of the tree fail on overflow.
pub(super) fn fail_on_overflow(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let transformed = expr.transform_up(|e| match e.downcast_ref::<PhysicalBinaryExpr>() {
        Some(binary) if is_arithmetic(*binary.op()) => {
            let (left, right) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
            let checked = PhysicalBinaryExpr::new(left, *binary.op(), right).with_fail_on_overflow(true);
            Ok(Transformed::yes(Arc::new(checked) as Arc<dyn PhysicalExpr>))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(transformed.data)
}
