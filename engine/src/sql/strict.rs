//! Functions that make NULL of what does not fit their type: here it is an error, as everywhere.

use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::delegate::left_to_inner;

/// The function, failing where it would make NULL of an overflow.
pub(super) fn strict(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match function.name() {
        "date_bin" => Arc::new(ScalarUDF::new_from_impl(Strict { inner: function })),
        _ => function,
    }
}

/// NULL only where an argument is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Strict {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Strict {
    left_to_inner!();

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (given, n_rows) = (args.args.clone(), args.number_rows);
        let result = self.inner.invoke_with_args(args)?;
        let array = result.to_array(n_rows)?;
        if array.null_count() == 0 {
            return Ok(result);
        }
        let given = given.iter().map(|arg| arg.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let is_lost = |row: &usize| array.is_null(*row) && given.iter().all(|arg| arg.is_valid(*row));
        match (0..n_rows).find(is_lost) {
            None => Ok(result),
            Some(_) => {
                Err(DataFusionError::Execution(format!("the result of {}(…) does not fit", self.name())))
            }
        }
    }
}
