//! What sums and extremes do with values.
//!
//! Invariant: no operation depends on the order of the rows, but for the rounding of float sums and
//! for sums of `Decimal256` that leave 256 bits on the way.

use std::marker::PhantomData;

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    ArrowNativeTypeOp, ArrowNumericType, DataType, Decimal128Type, Decimal256Type, Float64Type, i256,
};

use super::WIDE_INTEGER;
use super::decimal::{Decimal, SumType, add_saturating};
use super::fold::{Op, StateOf};

/// Integers and durations, summed in 128 bits: 2^63 rows would be needed to leave them.
pub(super) struct SumInteger<T> {
    data_type: DataType,
    _type: PhantomData<fn() -> T>,
}

impl<T> SumInteger<T> {
    pub(super) fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), _type: PhantomData }
    }
}

impl<T> Op for SumInteger<T>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + TryFrom<i128>,
{
    type Arg = T;
    type State = Decimal128Type;
    type Result = T;

    const NAME: &'static str = "sum";
    const EMPTY: i128 = 0;

    fn state_type(&self) -> DataType {
        WIDE_INTEGER
    }

    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    #[inline]
    fn add(state: &mut i128, value: T::Native) {
        *state = state.wrapping_add(value.into());
    }

    #[inline]
    fn merge(state: &mut i128, other: i128) {
        *state = state.wrapping_add(other);
    }

    fn finish(&self, state: i128) -> Result<T::Native, String> {
        T::Native::try_from(state)
            .map_err(|_| format!("the sum {state} does not fit into {}", self.data_type))
    }
}

pub(super) struct SumFloat;

impl Op for SumFloat {
    type Arg = Float64Type;
    type State = Float64Type;
    type Result = Float64Type;

    const NAME: &'static str = "sum";
    const EMPTY: f64 = 0.0;

    fn state_type(&self) -> DataType {
        DataType::Float64
    }

    fn result_type(&self) -> DataType {
        DataType::Float64
    }

    #[inline]
    fn add(state: &mut f64, value: f64) {
        *state += value;
    }

    #[inline]
    fn merge(state: &mut f64, other: f64) {
        *state += other;
    }

    fn finish(&self, state: f64) -> Result<f64, String> {
        Ok(state)
    }
}

/// Decimals, summed in 256 bits.
pub(super) struct SumDecimal<T> {
    sum_type: SumType,
    result_type: DataType,
    _type: PhantomData<fn() -> T>,
}

impl<T: Decimal> SumDecimal<T> {
    /// `None` where the types are not decimals.
    pub(super) fn new(arg: &DataType, result: &DataType) -> Option<Self> {
        let sum_type = SumType::new(arg, result)?;
        Some(Self { sum_type, result_type: result.clone(), _type: PhantomData })
    }
}

impl<T: Decimal> Op for SumDecimal<T> {
    type Arg = T;
    type State = Decimal256Type;
    type Result = T;

    const NAME: &'static str = "sum";
    const EMPTY: i256 = i256::ZERO;

    fn state_type(&self) -> DataType {
        self.sum_type.state_type()
    }

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    #[inline]
    fn add(state: &mut i256, value: T::Native) {
        *state = add_saturating(*state, T::widen(value));
    }

    #[inline]
    fn merge(state: &mut i256, other: i256) {
        *state = add_saturating(*state, other);
    }

    fn finish(&self, state: i256) -> Result<T::Native, String> {
        let fitting = Some(state).filter(|state| self.sum_type.fits(*state)).and_then(T::narrow);
        fitting.ok_or_else(|| {
            format!("the sum {} does not fit into {}", self.sum_type.show(state), self.result_type)
        })
    }
}

macro_rules! extreme {
    ($(#[$doc:meta])* $name:ident, $empty:ident, $better:ident) => {
        $(#[$doc])*
        pub(super) struct $name<T> {
            data_type: DataType,
            _type: PhantomData<fn() -> T>,
        }

        impl<T> $name<T> {
            pub(super) fn new(data_type: &DataType) -> Self {
                Self { data_type: data_type.clone(), _type: PhantomData }
            }
        }

        impl<T: ArrowNumericType> Op for $name<T> {
            type Arg = T;
            type State = T;
            type Result = T;

            const NAME: &'static str = "value";
            const EMPTY: T::Native = T::Native::$empty;

            fn state_type(&self) -> DataType {
                self.data_type.clone()
            }

            fn result_type(&self) -> DataType {
                self.data_type.clone()
            }

            #[inline]
            fn add(state: &mut T::Native, value: T::Native) {
                if value.$better(*state) {
                    *state = value;
                }
            }

            #[inline]
            fn merge(state: &mut T::Native, other: T::Native) {
                Self::add(state, other);
            }

            fn finish(&self, state: StateOf<Self>) -> Result<T::Native, String> {
                Ok(state)
            }
        }
    };
}

extreme!(
    /// The smallest value; floats in their total order, where negative NaNs come first.
    Min, MAX_TOTAL_ORDER, is_lt
);
extreme!(
    /// The largest value; floats in their total order, where positive NaNs come last.
    Max, MIN_TOTAL_ORDER, is_gt
);
