//! Casts that have names.
//!
//! DataFusion names a cast by what it casts, so that `sum(CAST(price AS INT))` and `sum(price)` are two
//! columns of one name, which it refuses. In a SELECT that aggregates, each cast is put into a call whose
//! name says the type, too, and which changes nothing.
//!
//! Invariant: of a pipeline, lowering takes the calls away again, see [`super::checked::restore`]: they change
//! no fingerprint and cost nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::{
    Expr as Syntax, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Select, Value, VisitMut, visit_expressions_mut,
};

use super::projections;

/// What the call is called; people can't call it, see [`super::calls`].
pub(super) const NAME: &str = "a cast";

/// The function that such a call calls.
#[must_use]
pub fn named_cast() -> Arc<ScalarUDF> {
    projections::apart(NAME, 0)
}

/// Puts the casts of a SELECT that aggregates into calls, as far as their names matter.
pub(super) fn name_in_select(select: &mut Select) {
    name_casts(&mut select.projection);
    name_casts(&mut select.group_by);
    name_casts(&mut select.having);
}

/// Puts every cast into a call of [`named_cast`]; whether there was one.
pub fn name_casts<V: VisitMut>(syntax: &mut V) -> bool {
    let mut any = false;
    let walked = visit_expressions_mut(syntax, |expr| {
        if matches!(expr, Syntax::Cast { .. }) {
            any = true;
            let cast = std::mem::replace(expr, Syntax::value(Value::Null));
            *expr = call(cast);
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(walked.is_continue(), "nothing here breaks the walk off");
    any
}

fn call(cast: Syntax) -> Syntax {
    Syntax::Function(Function {
        name: ObjectName::from(Ident::with_quote('"', NAME)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(cast))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
