//! Sums of floats without rounding: kept as several floats, rounded once when they are read.
//!
//! Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997; Python's
//! `math.fsum` is the same.
//!
//! Invariants:
//! 1. The exact sum of `parts` is that of all that was added, so no order of additions changes what is read.
//! 2. `parts` do not overlap, none is zero, and their magnitudes ascend: there are few of them.
//! 3. What is not finite, or gets beyond the largest float on the way, ends exactness: it is in `special`.

/// A sum, exact as long as it is finite.
#[derive(Debug, Clone, Default)]
pub(super) struct Exact {
    parts: Vec<f64>,
    /// The sum of what is not finite; 0 where all is.
    special: f64,
}

impl Exact {
    pub(super) fn add(&mut self, value: f64) {
        let mut sum = value;
        let mut n_kept = 0;
        for i in 0..self.parts.len() {
            let (high, low) = two_sum(sum, self.parts[i]);
            if low != 0.0 {
                self.parts[n_kept] = low;
                n_kept += 1;
            }
            sum = high;
        }
        self.parts.truncate(n_kept);
        if !sum.is_finite() {
            self.parts.clear();
            self.special += sum;
        } else if sum != 0.0 {
            self.parts.push(sum);
        }
    }

    /// Adds `left * right`, exact but for what is too small for any float.
    pub(super) fn add_product(&mut self, left: f64, right: f64) {
        let product = left * right;
        self.add(product);
        if product.is_finite() {
            self.add(left.mul_add(right, -product));
        }
    }

    /// Adds another sum: its [`Self::terms`].
    pub(super) fn add_all(&mut self, terms: impl IntoIterator<Item = f64>) {
        terms.into_iter().for_each(|term| self.add(term));
    }

    /// Floats whose sum it is.
    pub(super) fn terms(&self) -> impl Iterator<Item = f64> {
        let special = Some(self.special).filter(|special| *special != 0.0);
        self.parts.iter().copied().chain(special)
    }

    /// `factor * self - left * right`.
    pub(super) fn scaled_minus_product(&self, factor: f64, left: &Self, right: &Self) -> Self {
        let mut result = Self::default();
        self.terms().for_each(|term| result.add_product(factor, term));
        for a in left.terms() {
            right.terms().for_each(|b| result.add_product(-a, b));
        }
        result
    }

    /// The sum, rounded to the nearest float, to the even one of two.
    pub(super) fn value(&self) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let mut parts = self.parts.iter().rev().copied();
        let Some(mut high) = parts.next() else { return 0.0 };
        while let Some(part) = parts.next() {
            let (sum, low) = two_sum(high, part);
            high = sum;
            if low == 0.0 {
                continue;
            }
            // Half way between two floats the parts behind decide.
            let is_beyond = parts.next().is_some_and(|next| (low < 0.0) == (next < 0.0));
            let nudged = high + 2.0 * low;
            return if is_beyond && nudged - high == 2.0 * low { nudged } else { high };
        }
        high
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.parts.capacity() * size_of::<f64>()
    }
}

/// The rounded sum, and what rounding took from it.
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    let of_left = sum - of_right;
    (sum, (left - of_left) + (right - of_right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: impl IntoIterator<Item = f64>) -> Exact {
        let mut sum = Exact::default();
        sum.add_all(values);
        sum
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(sum([1e16, 1.0, -1e16]).value(), 1.0);
        assert_eq!(sum([1e300, 1e-300, -1e300]).value(), 1e-300);
        assert_eq!(sum(std::iter::repeat_n(0.1, 10)).value(), 1.0);
        assert_eq!(sum([]).value(), 0.0);
        // Just above half way between two floats, and half way.
        assert_eq!(sum([9_007_199_254_740_992.0, 1.0, 1e-9]).value(), 9_007_199_254_740_994.0);
        assert_eq!(sum([9_007_199_254_740_992.0, 1.0]).value(), 9_007_199_254_740_992.0);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        assert_eq!(sum([1.0, f64::INFINITY, 2.0]).value(), f64::INFINITY);
        assert!(sum([f64::NEG_INFINITY, f64::INFINITY, 2.0]).value().is_nan());
        assert!(sum([f64::NAN, 2.0]).value().is_nan());
        assert_eq!(sum([f64::MAX, f64::MAX]).value(), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn no_order_changes_the_sum(
            mut values in prop::collection::vec((-1.0..1.0f64, -60..60i32), 0..60),
            cut in 0usize..60,
        ) {
            let floats = |values: &[(f64, i32)]| -> Vec<f64> {
                values.iter().map(|(digits, exponent)| digits * 2f64.powi(*exponent)).collect()
            };
            let expected = sum(floats(&values)).value();
            let cut = cut.min(values.len());
            let mut merged = sum(floats(&values[cut..]));
            merged.add_all(sum(floats(&values[..cut])).terms());
            prop_assert_eq!(merged.value(), expected);
            values.sort_by(|a, b| a.partial_cmp(b).unwrap());
            prop_assert_eq!(sum(floats(&values)).value(), expected);
        }

        #[test]
        fn products_are_exact(values in prop::collection::vec((-1i64 << 40..1i64 << 40, -1i64 << 40..1i64 << 40), 0..20)) {
            let mut products = Exact::default();
            values.iter().for_each(|(a, b)| products.add_product(*a as f64, *b as f64));
            let expected: i128 = values.iter().map(|(a, b)| i128::from(*a) * i128::from(*b)).sum();
            // The cast rounds to the nearest, too.
            prop_assert_eq!(products.value(), expected as f64);
        }
    }
}
