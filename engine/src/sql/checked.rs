//! Arithmetic that fails instead of wrapping.
//!
//! DataFusion's `+ - * / %` on integers wrap, also where it folds constants. Before it simplifies,
//! each becomes a call of a checked function, which folding leaves alone where it fails; lowering
//! turns what is left into binary expressions that fail on overflow.
//!
//! Invariant: no wrapping arithmetic expression is ever evaluated, at planning or at run time.

use std::sync::Arc;

use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr as PhysicalBinaryExpr;
use datafusion::physical_expr_common::datum::apply;

/// One of `+ - * / %`, checked.
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
        match self.op {
            Operator::Plus => apply(left, right, add),
            Operator::Minus => apply(left, right, sub),
            Operator::Multiply => apply(left, right, mul),
            Operator::Divide => apply(left, right, div),
            _ => apply(left, right, rem),
        }
    }
}

fn is_arithmetic(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

/// Replaces arithmetic in a plan whose types are final by checked calls. Names stay.
pub(super) fn protect(plan: LogicalPlan) -> Result<LogicalPlan> {
    let transformed = plan.transform_up(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|e| protect_one(e, &schema))?.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(transformed.data)
}

fn protect_one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            Ok(Transformed::yes(Checked::call(*left, op, *right)))
        }
        // Negating the smallest integer wraps too.
        Expr::Negative(inner) => {
            let data_type = inner.get_type(schema)?;
            if !data_type.is_integer() {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
            Ok(Transformed::yes(Checked::call(zero, Operator::Minus, *inner)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The inverse of [`protect`] for one expression; [`fail_on_overflow`] must follow.
pub(super) fn restore(expr: Expr) -> Result<Expr> {
    let transformed = expr.transform_up(|e| match e {
        Expr::ScalarFunction(mut call) => {
            let op = call.func.inner().downcast_ref::<Checked>().map(|checked| checked.op);
            match (op, call.args.pop(), call.args.pop()) {
                (Some(op), Some(right), Some(left)) => {
                    let binary = BinaryExpr::new(Box::new(left), op, Box::new(right));
                    Ok(Transformed::yes(Expr::BinaryExpr(binary)))
                }
                (_, last, second_last) => {
                    call.args.extend(second_last);
                    call.args.extend(last);
                    Ok(Transformed::no(Expr::ScalarFunction(call)))
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
