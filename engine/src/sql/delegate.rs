//! What a function that is made around another one leaves to it.

/// Methods of `ScalarUDFImpl` that are those of the function in `self.inner`.
macro_rules! left_to_inner {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }

        fn return_type(
            &self,
            arg_types: &[::arrow::datatypes::DataType],
        ) -> ::datafusion::common::Result<::arrow::datatypes::DataType> {
            self.inner.return_type(arg_types)
        }

        fn return_field_from_args(
            &self,
            args: ::datafusion::logical_expr::ReturnFieldArgs<'_>,
        ) -> ::datafusion::common::Result<::arrow::datatypes::FieldRef> {
            self.inner.return_field_from_args(args)
        }

        fn coerce_types(
            &self,
            arg_types: &[::arrow::datatypes::DataType],
        ) -> ::datafusion::common::Result<Vec<::arrow::datatypes::DataType>> {
            self.inner.coerce_types(arg_types)
        }
    };
}
pub(super) use left_to_inner;
