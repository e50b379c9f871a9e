//! Members of a record: NULL where the record is, which DataFusion's function forgets.
//!
//! What is in a struct's column where the struct is null means nothing; of a decoded record it is 0, or an empty
//! text. `get_field` hands it out as if it were a value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::delegate::left_to_inner;

/// The function, and `get_field` with the nulls of the records on its way.
pub(super) fn masked(function: &Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
    let is_plain = function.name() == "get_field" && !function.inner().is::<Masked>();
    is_plain.then(|| Arc::new(ScalarUDF::new_from_impl(Masked { inner: Arc::clone(function) })))
}

/// `get_field`; NULL where one of the records is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Masked {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Masked {
    left_to_inner!();

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let nulls = match &args.args[..] {
            [ColumnarValue::Array(record), path @ ..] => nulls_on(record, path),
            _ => None,
        };
        match (self.inner.invoke_with_args(args)?, nulls) {
            (ColumnarValue::Array(member), Some(nulls)) => {
                Ok(ColumnarValue::Array(with_nulls(&member, &nulls)?))
            }
            (member, _) => Ok(member),
        }
    }
}

/// Where one of the records that `path` leads through is null; `None` where none is.
fn nulls_on(record: &ArrayRef, path: &[ColumnarValue]) -> Option<NullBuffer> {
    let (mut record, mut nulls) = (record, None);
    for name in path {
        let Some(members) = record.as_struct_opt() else { break };
        nulls = NullBuffer::union(nulls.as_ref(), members.nulls());
        let name = match name {
            ColumnarValue::Scalar(name) => name.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        };
        let Some(member) = name.and_then(|name| members.column_by_name(name)) else { break };
        record = member;
    }
    nulls.filter(|nulls| 0 < nulls.null_count())
}

fn with_nulls(member: &ArrayRef, nulls: &NullBuffer) -> Result<ArrayRef> {
    match member.data_type() {
        // They have no nulls of their own; below a null record, what was decoded is null.
        DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..) => Ok(Arc::clone(member)),
        _ => Ok(nullif(member, &BooleanArray::new(!nulls.inner(), None))?),
    }
}
