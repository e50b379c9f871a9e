//! Sums without rounding: what a panel's table and CSV show is what SQL gives.

use serde_json::{Number, Value};
use weir_api::Aggregate;

use crate::view::number;

/// Digits behind the point that a decimal can have.
const MAX_SCALE: usize = 38;

/// What the values of several rows come to, as the wire would spell it; null where none of them has a number.
/// Integers and decimals are added exactly; averages and floating-point numbers are rounded as doubles are.
pub fn combine<'a>(values: impl Iterator<Item = &'a Value> + Clone, aggregate: Aggregate) -> Value {
    let numbers = values.clone().filter(|value| number::of(value).is_some());
    match aggregate {
        Aggregate::Count => Value::from(values.count()),
        Aggregate::Sum => sum(numbers),
        Aggregate::Min => pick(numbers, std::cmp::Ordering::Less),
        Aggregate::Max => pick(numbers, std::cmp::Ordering::Greater),
        Aggregate::Avg => {
            let n_numbers = numbers.clone().count();
            let sum: f64 = numbers.filter_map(number::of).sum();
            double(sum / n_numbers as f64)
        }
    }
}

fn sum<'a>(mut numbers: impl Iterator<Item = &'a Value> + Clone) -> Value {
    let all = numbers.clone();
    let Some(first) = numbers.next() else { return Value::Null };
    if numbers.next().is_none() {
        return first.clone();
    }
    exact_sum(all.clone()).unwrap_or_else(|| double(all.filter_map(number::of).sum()))
}

/// The sum of integers and decimals; `None` where one is a double or the sum has too many digits.
fn exact_sum<'a>(numbers: impl Iterator<Item = &'a Value> + Clone) -> Option<Value> {
    let parts = numbers.clone().map(decimal).collect::<Option<Vec<(i128, usize)>>>()?;
    let scale = parts.iter().map(|(_, scale)| *scale).max()?;
    let digits = parts.into_iter().try_fold(0_i128, |sum, (digits, own_scale)| {
        let factor = 10_i128.checked_pow(u32::try_from(scale - own_scale).ok()?)?;
        sum.checked_add(digits.checked_mul(factor)?)
    })?;
    let is_text = numbers.clone().any(Value::is_string);
    let text = decimal_text(digits, scale);
    if is_text {
        return Some(Value::String(text));
    }
    serde_json::from_str::<Number>(&text).ok().map(Value::Number)
}

/// A number's digits and how many of them stand behind the point.
fn decimal(value: &Value) -> Option<(i128, usize)> {
    let text = match value {
        Value::Number(number) if number.is_f64() => return None,
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    (fraction.len() <= MAX_SCALE).then_some((digits, fraction.len()))
}

fn decimal_text(digits: i128, scale: usize) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = text.split_at(text.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn pick<'a>(numbers: impl Iterator<Item = &'a Value>, wanted: std::cmp::Ordering) -> Value {
    let picked = numbers.reduce(|best, other| {
        let order = number::of(other).partial_cmp(&number::of(best));
        if order == Some(wanted) { other } else { best }
    });
    picked.cloned().unwrap_or(Value::Null)
}

fn double(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(values: Value, aggregate: Aggregate, expected: Value) {
        let values = values.as_array().expect("an array").clone();
        assert_eq!(combine(values.iter(), aggregate), expected);
    }

    #[test]
    fn decimals_are_added_exactly() {
        check(json!(["0.10", "0.20", "0.30"]), Aggregate::Sum, json!("0.60"));
        check(json!(["-1.5", "1", null]), Aggregate::Sum, json!("-0.5"));
        check(json!([9_007_199_254_740_993_i64, 2]), Aggregate::Sum, json!(9_007_199_254_740_995_i64));
        check(json!([1, 2.5]), Aggregate::Sum, json!(3.5));
        check(json!(["1.25"]), Aggregate::Sum, json!("1.25"));
        check(json!([null]), Aggregate::Sum, json!(null));
    }

    #[test]
    fn other_aggregates_keep_the_values() {
        check(json!(["2.50", "10.00", "3.00"]), Aggregate::Max, json!("10.00"));
        check(json!(["2.50", "10.00", "3.00"]), Aggregate::Min, json!("2.50"));
        check(json!([1, 2, null]), Aggregate::Avg, json!(1.5));
        check(json!([1, 2, null]), Aggregate::Count, json!(3));
        check(json!([]), Aggregate::Avg, json!(null));
    }

    proptest! {
        #[test]
        fn sums_are_those_of_hundredths(cents in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 2..20)) {
            let text = |cents: i128| json!(decimal_text(cents, 2));
            let values: Vec<Value> = cents.iter().map(|cents| text(i128::from(*cents))).collect();
            prop_assert_eq!(combine(values.iter(), Aggregate::Sum), text(cents.iter().map(|cents| i128::from(*cents)).sum()));
        }
    }
}
