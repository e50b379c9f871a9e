//! Sums of decimals in 256 bits.
//!
//! Invariant: a sum that leaves 256 bits stays at the nearest bound, which no decimal type can hold,
//! so that it is reported and never wraps around.

use arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, i256,
};

/// A decimal type whose values go through 256 bits.
pub(super) trait Decimal: DecimalType {
    fn widen(value: Self::Native) -> i256;
    /// `None` where it does not fit.
    fn narrow(value: i256) -> Option<Self::Native>;
}

macro_rules! decimal {
    ($t:ty, $native:ty) => {
        impl Decimal for $t {
            #[inline]
            fn widen(value: $native) -> i256 {
                i256::from_i128(value.into())
            }

            fn narrow(value: i256) -> Option<$native> {
                value.to_i128().and_then(|value| value.try_into().ok())
            }
        }
    };
}
decimal!(Decimal32Type, i32);
decimal!(Decimal64Type, i64);
decimal!(Decimal128Type, i128);

impl Decimal for Decimal256Type {
    #[inline]
    fn widen(value: i256) -> i256 {
        value
    }

    fn narrow(value: i256) -> Option<i256> {
        Some(value)
    }
}

/// `a + b`, or the bound that it would pass. A bound once reached is kept.
#[inline]
pub(super) fn add_saturating(a: i256, b: i256) -> i256 {
    if a == i256::MAX || a == i256::MIN {
        return a;
    }
    a.checked_add(b).unwrap_or(if b.is_negative() { i256::MIN } else { i256::MAX })
}

/// Scales of a sum and its result.
pub(super) struct SumType {
    /// Of the argument, so of the sum.
    scale: i8,
    pub(super) result_scale: i8,
    /// 10 to the number of the result's digits.
    limit: i256,
}

impl SumType {
    /// `None` where the types are not decimals.
    pub(super) fn new(arg: &DataType, result: &DataType) -> Option<Self> {
        let (_, scale) = digits(arg)?;
        let (precision, result_scale) = digits(result)?;
        Some(Self { scale, result_scale, limit: power_of_ten(precision.into())? })
    }

    pub(super) fn state_type(&self) -> DataType {
        DataType::Decimal256(DECIMAL256_MAX_PRECISION, self.scale)
    }

    /// By what a sum has to be multiplied to have the scale of the result; `None` where it has more.
    pub(super) fn scale_up(&self) -> Option<i256> {
        power_of_ten(u32::try_from(i16::from(self.result_scale) - i16::from(self.scale)).ok()?)
    }

    /// Whether a value has no more digits than the result.
    pub(super) fn fits(&self, value: i256) -> bool {
        value.checked_abs().is_some_and(|value| value < self.limit)
    }

    /// A sum as text.
    pub(super) fn show(&self, sum: i256) -> String {
        if sum == i256::MAX || sum == i256::MIN {
            return "of more than 256 bits".to_owned();
        }
        Decimal256Type::format_decimal(sum, DECIMAL256_MAX_PRECISION, self.scale)
    }
}

/// Precision and scale.
fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

fn power_of_ten(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}
