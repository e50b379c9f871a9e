//! Aggregates whose result type no sink has: `approx_distinct` and `regr_count` are BIGINT UNSIGNED in
//! DataFusion, `string_agg` is text with long offsets.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};

/// DataFusion's function, said to return another type of the same meaning. Its accumulator's results are
/// cast where they are read.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Retyped {
    inner: Arc<AggregateUDF>,
    result: DataType,
}

/// `udf`, with a result type that result tables and sinks know.
pub(super) fn retyped(udf: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    let result = match udf.name() {
        "approx_distinct" | "regr_count" => DataType::Int64,
        "string_agg" => DataType::Utf8,
        _ => return udf,
    };
    Arc::new(AggregateUDF::from(Retyped { inner: udf, result }))
}

impl AggregateUDFImpl for Retyped {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)?.cast_to(&self.result)
    }
}
