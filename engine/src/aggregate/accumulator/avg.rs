//! `avg` of floats and decimals: a sum and a count.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, Int64Array, PrimitiveArray};
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, i256};

use super::count::count_rows;
use super::decimal::{Decimal, SumType, add_saturating};
use super::{Accumulator, Input, each_value, gather, primitive, selection};
use crate::aggregate::Error;

/// What [`Avg`] does with values.
pub(super) trait AvgOp: Send + Sync + 'static {
    type Arg: ArrowPrimitiveType;
    type Sum: ArrowPrimitiveType;

    const ZERO: SumOf<Self>;

    fn sum_type(&self) -> DataType;
    fn result_type(&self) -> DataType;
    fn add(sum: &mut SumOf<Self>, value: ArgOf<Self>);
    fn merge(sum: &mut SumOf<Self>, other: SumOf<Self>);
    /// The mean of at least one value, or why there is none.
    fn mean(&self, sum: SumOf<Self>, count: i64) -> Result<ArgOf<Self>, String>;
}

type ArgOf<O> = <<O as AvgOp>::Arg as ArrowPrimitiveType>::Native;
type SumOf<O> = <<O as AvgOp>::Sum as ArrowPrimitiveType>::Native;

pub(super) struct AvgFloat;

impl AvgOp for AvgFloat {
    type Arg = Float64Type;
    type Sum = Float64Type;

    const ZERO: f64 = 0.0;

    fn sum_type(&self) -> DataType {
        DataType::Float64
    }

    fn result_type(&self) -> DataType {
        DataType::Float64
    }

    #[inline]
    fn add(sum: &mut f64, value: f64) {
        *sum += value;
    }

    #[inline]
    fn merge(sum: &mut f64, other: f64) {
        *sum += other;
    }

    fn mean(&self, sum: f64, count: i64) -> Result<f64, String> {
        Ok(sum / count as f64)
    }
}

/// As DataFusion: four more digits after the point where there is room, then cut off towards zero.
pub(super) struct AvgDecimal<T> {
    sum_type: SumType,
    scale_up: i256,
    result_type: DataType,
    _type: PhantomData<fn() -> T>,
}

impl<T> AvgDecimal<T> {
    /// `None` where the types are not decimals.
    pub(super) fn new(arg: &DataType, result: &DataType) -> Option<Self> {
        let sum_type = SumType::new(arg, result)?;
        let scale_up = sum_type.scale_up()?;
        Some(Self { sum_type, scale_up, result_type: result.clone(), _type: PhantomData })
    }
}

impl<T: Decimal> AvgOp for AvgDecimal<T> {
    type Arg = T;
    type Sum = Decimal256Type;

    const ZERO: i256 = i256::ZERO;

    fn sum_type(&self) -> DataType {
        self.sum_type.state_type()
    }

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    #[inline]
    fn add(sum: &mut i256, value: T::Native) {
        *sum = add_saturating(*sum, T::widen(value));
    }

    #[inline]
    fn merge(sum: &mut i256, other: i256) {
        *sum = add_saturating(*sum, other);
    }

    fn mean(&self, sum: i256, count: i64) -> Result<T::Native, String> {
        let scaled = sum.checked_mul(self.scale_up);
        let mean = scaled.and_then(|scaled| scaled.checked_div(i256::from_i128(count.into())));
        mean.filter(|mean| self.sum_type.fits(*mean)).and_then(T::narrow).ok_or_else(|| {
            let sum = self.sum_type.show(sum);
            format!("the average of {count} values with the sum {sum} does not fit into {}", self.result_type)
        })
    }
}

pub(super) struct Avg<O: AvgOp> {
    op: Arc<O>,

    sums: Vec<SumOf<O>>,
    counts: Vec<i64>,
}

impl<O: AvgOp> Avg<O> {
    pub(super) fn new(op: O) -> Self {
        Self::with_op(Arc::new(op))
    }

    fn with_op(op: Arc<O>) -> Self {
        Self { op, sums: Vec::new(), counts: Vec::new() }
    }
}

impl<O: AvgOp> Accumulator for Avg<O> {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        vec![("sum".to_owned(), self.op.sum_type()), ("count".to_owned(), DataType::Int64)]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::with_op(Arc::clone(&self.op)))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.sums.resize(n_groups, O::ZERO);
        self.counts.resize(n_groups, 0);
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let array = primitive::<O::Arg>(&input.args[0])?;
        let selected = selection(array, input.filter);
        let sums = &mut self.sums[..];
        each_value(input.groups, array.values(), selected.as_ref(), |group, value| {
            O::add(&mut sums[group], value);
        });
        count_rows(input.groups, selected.as_ref(), &mut self.counts);
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let sums = primitive::<O::Sum>(&states[0])?.values();
        let counts = primitive::<Int64Type>(&states[1])?.values();
        let selected = selection(&states[1], None);
        let own = &mut self.sums[..];
        each_value(groups, sums, selected.as_ref(), |group, sum| O::merge(&mut own[group], sum));
        let own = &mut self.counts[..];
        each_value(groups, counts, selected.as_ref(), |group, count| {
            own[group] = own[group].wrapping_add(count);
        });
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        for group in groups {
            self.sums[*group as usize] = O::ZERO;
            self.counts[*group as usize] = 0;
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], failed: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let result = |(at, group): (u32, &u32)| {
            let (sum, count) = (self.sums[*group as usize], self.counts[*group as usize]);
            if count == 0 {
                return None;
            }
            match self.op.mean(sum, count) {
                Ok(mean) => Some(mean),
                Err(detail) => {
                    failed.push((at, detail));
                    None
                }
            }
        };
        let array: PrimitiveArray<O::Arg> = (0_u32..).zip(groups).map(result).collect();
        Ok(Arc::new(array.with_data_type(self.op.result_type())))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let sums = PrimitiveArray::<O::Sum>::new(gather(groups, &self.sums).into(), None);
        columns.push(Arc::new(sums.with_data_type(self.op.sum_type())));
        columns.push(Arc::new(Int64Array::from(gather(groups, &self.counts))));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<SumOf<O>>() + self.counts.capacity() * size_of::<i64>()
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.counts.clear();
    }
}
