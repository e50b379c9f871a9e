//! Rows on their way through filters and projections, and the search for rows that fail.
//!
//! Invariants:
//! 1. Tags (window, record index) stay with their rows through every step.
//! 2. A row on which an expression fails takes no other row with it: the batch is halved until the
//!    row stands alone, so that the verdict is that of the row, whatever its batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::FilterBuilder;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use crate::dataflow::plan::Step;
use crate::panics::panic_text;

/// Most bytes of copies of a constant that are made at once.
const COPIES_BYTES_MAX: usize = 64 << 20;

/// A batch and what belongs to its rows without being a column. Each tag has one entry per row.
#[derive(Debug, Clone)]
pub struct Rows {
    pub batch: RecordBatch,
    pub tags: Vec<ArrayRef>,
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` rows from `start` on, without a copy.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        Self {
            batch: self.batch.slice(start, len),
            tags: self.tags.iter().map(|tag| tag.slice(start, len)).collect(),
        }
    }

    /// The rows where `mask` is true; a null is false.
    ///
    /// # Errors
    /// Where Arrow has no kernel for a column's type.
    pub fn filter(self, mask: &BooleanArray) -> Result<Self, DataFusionError> {
        if mask.null_count() == 0 && mask.true_count() == mask.len() {
            return Ok(self);
        }
        let predicate = FilterBuilder::new(mask).optimize().build();
        let tags = self.tags.iter().map(|tag| predicate.filter(tag)).collect::<Result<_, _>>()?;
        Ok(Self { batch: predicate.filter_record_batch(&self.batch)?, tags })
    }
}

/// Runs rows through a chain of steps, as far as there are any: what comes out empty may have the
/// columns of an earlier step.
///
/// # Errors
/// The first evaluation error; which row it was is not known, see [`halve`].
pub fn run_steps(steps: &[Step], mut rows: Rows) -> Result<Rows, DataFusionError> {
    for step in steps {
        // A constant that fails would fail for no row.
        if rows.is_empty() {
            break;
        }
        rows = match step {
            Step::Filter(expr) => {
                let mask = spread(expr.evaluate(&rows.batch)?, rows.len())?;
                rows.filter(as_boolean_array(&mask)?)?
            }
            Step::Project { exprs, schema } => {
                let n_rows = rows.len();
                let columns = exprs
                    .iter()
                    .map(|expr| spread(expr.evaluate(&rows.batch)?, n_rows))
                    .collect::<Result<Vec<_>, _>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
                let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
                Rows { batch, tags: rows.tags }
            }
        };
    }
    Ok(rows)
}

/// A value per row.
///
/// # Errors
/// So many copies of a large constant that fewer rows must do.
pub fn spread(value: ColumnarValue, n_rows: usize) -> Result<ArrayRef, DataFusionError> {
    if let ColumnarValue::Scalar(value) = &value
        && 1 < n_rows
        && COPIES_BYTES_MAX < value.size().saturating_mul(n_rows)
    {
        return Err(DataFusionError::Execution("a constant is too large for so many rows".to_owned()));
    }
    value.into_array(n_rows)
}

/// What came of [`halve`]: results of the runs of rows that succeeded, in order, and the rows that
/// fail alone with the reason.
#[derive(Debug)]
pub struct Halved<T> {
    pub results: Vec<T>,
    /// Single rows, in order.
    pub failed: Vec<(Rows, String)>,
}

/// Applies `apply` to the rows; where it fails, to their halves, down to single rows.
///
/// A panic is a failure too: DataFusion's functions have some, and a record that makes one would end the
/// pipeline at each start anew.
///
/// Costs one call where nothing fails, and about `2 log2(n)` calls per failing row.
pub fn halve<T>(rows: Rows, apply: &impl Fn(Rows) -> Result<T, DataFusionError>) -> Halved<T> {
    let mut halved = Halved { results: Vec::new(), failed: Vec::new() };
    let mut stack = vec![rows];
    while let Some(rows) = stack.pop() {
        if rows.is_empty() {
            continue;
        }
        match caught(|| apply(rows.clone())) {
            Ok(result) => halved.results.push(result),
            Err(error) if rows.len() == 1 => halved.failed.push((rows, plain_text(&error))),
            Err(_) => {
                let middle = rows.len() / 2;
                stack.push(rows.slice(middle, rows.len() - middle));
                stack.push(rows.slice(0, middle));
            }
        }
    }
    halved
}

fn caught<T>(apply: impl FnOnce() -> Result<T, DataFusionError>) -> Result<T, DataFusionError> {
    // What is read is not changed, and what was made is dropped.
    catch_unwind(AssertUnwindSafe(apply)).unwrap_or_else(|panic| {
        Err(DataFusionError::Execution(format!("a function panicked: {}", panic_text(&*panic))))
    })
}

/// The error's own words, without the prefix of its kind and without a back trace.
#[must_use]
pub fn plain_text(error: &DataFusionError) -> String {
    match error {
        DataFusionError::ArrowError(inner, _) => inner.to_string(),
        other => other.strip_backtrace(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};
    use proptest::prelude::*;

    fn divide(values: Vec<i64>) -> (Vec<Step>, Rows) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let expr = binary(lit(100i64), Operator::Divide, col("a", &schema).unwrap(), &schema).unwrap();
        let out = Arc::new(Schema::new(vec![Field::new("q", DataType::Int64, false)]));
        let tags: ArrayRef = Arc::new(Int64Array::from_iter_values(0..values.len() as i64));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).unwrap();
        (vec![Step::Project { exprs: vec![expr], schema: out }], Rows { batch, tags: vec![tags] })
    }

    #[test]
    fn a_constant_that_fails_fails_for_rows_that_reach_it_only() {
        let (_, rows) = divide(vec![1, 2, 3]);
        let schema = rows.batch.schema();
        let keep = binary(col("a", &schema).unwrap(), Operator::Gt, lit(2i64), &schema).unwrap();
        let constant = binary(lit(1i64), Operator::Divide, lit(0i64), &schema).unwrap();
        let out = Arc::new(Schema::new(vec![Field::new("q", DataType::Int64, false)]));
        let steps = [Step::Filter(keep), Step::Project { exprs: vec![constant], schema: out }];
        let halved = halve(rows, &|rows| run_steps(&steps, rows));
        let failed: Vec<i64> =
            halved.failed.iter().map(|(row, _)| row.tags[0].as_primitive::<Int64Type>().value(0)).collect();
        assert_eq!(failed, [2]);
    }

    #[test]
    fn a_panic_is_the_failure_of_its_row() {
        let (_, rows) = divide(vec![1, 2, 3]);
        let halved = halve(rows, &|rows| {
            let values = rows.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
            assert!(!values.contains(&2), "two is too much");
            Ok(values)
        });
        assert_eq!(halved.results, [[1], [3]]);
        let failed: Vec<&str> = halved.failed.iter().map(|(_, detail)| detail.as_str()).collect();
        assert_eq!(failed, ["Execution error: a function panicked: two is too much"]);
    }

    proptest! {
        #[test]
        fn exactly_the_failing_rows_fail(values in prop::collection::vec(-1i64..3, 0..60)) {
            let (steps, rows) = divide(values.clone());
            let halved = halve(rows, &|rows| run_steps(&steps, rows));
            let failed: Vec<i64> =
                halved.failed.iter().map(|(row, _)| row.tags[0].as_primitive::<Int64Type>().value(0)).collect();
            let zeros: Vec<i64> = (0..values.len()).filter(|i| values[*i] == 0).map(|i| i as i64).collect();
            prop_assert_eq!(failed, zeros);
            let got: Vec<i64> = halved.results.iter()
                .flat_map(|rows| rows.batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
            let expected: Vec<i64> = values.iter().filter(|v| **v != 0).map(|v| 100 / v).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
