//! `corr`, `covar_*` and `regr_*` from exact sums: in every run the same to the last bit.
//!
//! DataFusion's accumulators round at each row and each merge, and near zero that decides: a slope over
//! values that are all the same is NULL in one order of merging and huge in another.
//!
//! Invariant: results depend on the rows alone, not on their order or on how partial states were merged.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};

use super::exact::Exact;

/// What a function says of pairs `(y, x)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Statistic {
    Correlation,
    CovariancePopulation,
    CovarianceSample,
    Slope,
    Intercept,
    R2,
    AverageX,
    AverageY,
    SquaresX,
    SquaresY,
    Products,
}

/// `udf`, computed from exact sums where it is one of these functions.
#[must_use]
pub fn exact_pairs(udf: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    let statistic = match udf.name() {
        "corr" => Statistic::Correlation,
        "covar_pop" => Statistic::CovariancePopulation,
        "covar_samp" => Statistic::CovarianceSample,
        "regr_slope" => Statistic::Slope,
        "regr_intercept" => Statistic::Intercept,
        "regr_r2" => Statistic::R2,
        "regr_avgx" => Statistic::AverageX,
        "regr_avgy" => Statistic::AverageY,
        "regr_sxx" => Statistic::SquaresX,
        "regr_syy" => Statistic::SquaresY,
        "regr_sxy" => Statistic::Products,
        _ => return udf,
    };
    Arc::new(AggregateUDF::from(ExactPairs { inner: udf, statistic }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactPairs {
    inner: Arc<AggregateUDF>,
    statistic: Statistic,
}

impl AggregateUDFImpl for ExactPairs {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Pairs { statistic: self.statistic, n: 0, sums: Default::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field =
            |name: &str, data_type| Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true));
        let sums = ["x", "y", "xx", "yy", "xy"];
        let sums = sums.map(|name| field(name, DataType::new_list(DataType::Float64, true)));
        Ok(std::iter::once(field("count", DataType::UInt64)).chain(sums).collect())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }
}

/// The pairs of a group of which neither value is null.
#[derive(Debug)]
struct Pairs {
    statistic: Statistic,

    n: u64,
    /// Of x, y, x², y², xy.
    sums: [Exact; 5],
}

impl Pairs {
    /// `None`: NULL.
    #[expect(clippy::cast_precision_loss, reason = "a group has fewer rows than 2^53")]
    fn statistic(&self) -> Option<f64> {
        let [x, y, xx, yy, xy] = &self.sums;
        let n = self.n as f64;
        // n² times (co)variances of the population.
        let of = |products: &Exact, left: &Exact, right: &Exact| {
            products.scaled_minus_product(n, left, right).value()
        };
        let (var_x, var_y, covar) = (|| of(xx, x, x), || of(yy, y, y), || of(xy, x, y));
        let is_line = 1 < self.n;
        match self.statistic {
            _ if self.n == 0 => None,
            Statistic::AverageX => Some(x.value() / n),
            Statistic::AverageY => Some(y.value() / n),
            Statistic::SquaresX => Some(var_x() / n),
            Statistic::SquaresY => Some(var_y() / n),
            Statistic::Products => Some(covar() / n),
            Statistic::CovariancePopulation => Some(covar() / n / n),
            Statistic::CovarianceSample => is_line.then(|| covar() / n / (n - 1.0)),
            Statistic::Slope | Statistic::Intercept => {
                let slope = covar() / Some(var_x()).filter(|var| is_line && *var != 0.0)?;
                let is_slope = self.statistic == Statistic::Slope;
                Some(if is_slope { slope } else { y.value() / n - slope * (x.value() / n) })
            }
            Statistic::Correlation | Statistic::R2 => {
                let is_spread = |var: &f64| is_line && *var != 0.0;
                let (var_x, var_y) = (Some(var_x()).filter(is_spread)?, Some(var_y()).filter(is_spread)?);
                let corr = covar() / var_x.sqrt() / var_y.sqrt();
                Some(if self.statistic == Statistic::R2 { corr * corr } else { corr })
            }
        }
    }
}

impl Accumulator for Pairs {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = values.iter().map(|column| cast(column, &DataType::Float64));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let [ys, xs] = [&columns[0], &columns[1]].map(|column| column.as_primitive::<Float64Type>());
        for (y, x) in ys.iter().zip(xs) {
            let (Some(y), Some(x)) = (y, x) else { continue };
            self.n += 1;
            let [sum_x, sum_y, sum_xx, sum_yy, sum_xy] = &mut self.sums;
            sum_x.add(x);
            sum_y.add(y);
            sum_xx.add_product(x, x);
            sum_yy.add_product(y, y);
            sum_xy.add_product(x, y);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.statistic()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.iter().map(Exact::heap_bytes).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |sum: &Exact| {
            let terms: Vec<ScalarValue> = sum.terms().map(ScalarValue::from).collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&terms, &DataType::Float64))
        };
        Ok(std::iter::once(ScalarValue::from(self.n)).chain(self.sums.iter().map(list)).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[0].as_primitive::<UInt64Type>();
        self.n += counts.iter().flatten().sum::<u64>();
        for (sum, lists) in self.sums.iter_mut().zip(&states[1..]) {
            let lists = lists.as_list::<i32>();
            for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
                sum.add_all(lists.value(row).as_primitive::<Float64Type>().iter().flatten());
            }
        }
        Ok(())
    }
}
