//! Which row stands where: the order of one column's values, by what they are and not by how they look.
//!
//! Invariant: nulls come last in both directions, and rows that are equal keep the order in which they came.

use std::cmp::Ordering;

use weir_api::Column;

use super::answer::Answer;
use super::cells;

/// How the rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub column: usize,
    pub is_descending: bool,
}

impl Sort {
    /// What a press on a column's head makes of the present order: ascending, descending, as it came.
    pub fn pressed(before: Option<Self>, column: usize) -> Option<Self> {
        match before {
            Some(Self { column: same, is_descending: false }) if same == column => {
                Some(Self { column, is_descending: true })
            }
            Some(Self { column: same, .. }) if same == column => None,
            _ => Some(Self { column, is_descending: false }),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    /// An exact number, scaled by the column's scale.
    Exact(i128),
    Double(f64),
    Text(String),
}

/// The rows' indices in their order; `None` for the order in which they came.
pub fn order(answer: &Answer, sort: Option<Sort>) -> Option<Vec<u32>> {
    let Sort { column, is_descending } = sort?;
    let described = answer.columns().get(column)?;
    let mut keys: Vec<(Option<Key>, u32)> = Vec::with_capacity(answer.n_rows());
    for (row, at) in (0..answer.n_rows()).zip(0_u32..) {
        keys.push((key(described, cells::nth(answer.row(row), column)), at));
    }
    keys.sort_by(|(left, _), (right, _)| match (left, right) {
        (Some(left), Some(right)) => {
            let ascending = compare(left, right);
            if is_descending { ascending.reverse() } else { ascending }
        }
        (left, right) => left.is_none().cmp(&right.is_none()),
    });
    Some(keys.into_iter().map(|(_, at)| at).collect())
}

fn key(column: &Column, json: &str) -> Option<Key> {
    if cells::is_null(json) {
        return None;
    }
    let word = column.sql_type.split(['(', ' ']).next().unwrap_or_default();
    let text = cells::text(json);
    Some(match word {
        "TINYINT" | "SMALLINT" | "INT" | "BIGINT" | "DECIMAL" => {
            exact(&text, scale(&column.sql_type)).map_or(Key::Text(text), Key::Exact)
        }
        "REAL" | "DOUBLE" => match text.as_str() {
            "Infinity" => Key::Double(f64::INFINITY),
            "-Infinity" => Key::Double(f64::NEG_INFINITY),
            text => Key::Double(text.parse().unwrap_or(f64::NAN)),
        },
        // Instants of one column have one precision, so that their texts are ordered as they are.
        _ => Key::Text(text),
    })
}

/// The digits behind the point of `DECIMAL(18,2)`.
fn scale(sql_type: &str) -> usize {
    let scale =
        sql_type.rsplit_once(',').and_then(|(_, scale)| scale.trim_end_matches(')').trim().parse().ok());
    scale.unwrap_or(0)
}

fn exact(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = whole.to_owned() + fraction;
    for _ in fraction.len()..scale {
        digits.push('0');
    }
    digits.parse().ok()
}

fn compare(left: &Key, right: &Key) -> Ordering {
    match (left, right) {
        (Key::Exact(left), Key::Exact(right)) => left.cmp(right),
        (Key::Double(left), Key::Double(right)) => left.total_cmp(right),
        (Key::Text(left), Key::Text(right)) => left.cmp(right),
        // A number that can't be read comes behind those that can.
        (Key::Text(_), _) => Ordering::Greater,
        (_, Key::Text(_)) => Ordering::Less,
        (Key::Exact(_), Key::Double(_)) => Ordering::Less,
        (Key::Double(_), Key::Exact(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::of;
    use super::*;

    fn ordered(sql_type: &str, values: &[&str], is_descending: bool) -> Vec<String> {
        let rows: Vec<String> = values.iter().map(|value| format!("[{value}]")).collect();
        let answer = of(&[("c", sql_type)], &rows.iter().map(String::as_str).collect::<Vec<_>>());
        let order = order(&answer, Some(Sort { column: 0, is_descending })).expect("an order");
        order.iter().map(|at| cells::text(cells::nth(answer.row(*at as usize), 0))).collect()
    }

    #[test]
    fn values_are_ordered_by_what_they_are() {
        assert_eq!(ordered("BIGINT", &["10", "9", "null", "-1"], false), ["-1", "9", "10", "null"]);
        assert_eq!(ordered("BIGINT", &["10", "9", "null", "-1"], true), ["10", "9", "-1", "null"]);
        assert_eq!(
            ordered("DECIMAL(18,2)", &["\"10.00\"", "\"9.50\"", "\"-0.01\""], false),
            ["-0.01", "9.50", "10.00"]
        );
        assert_eq!(
            ordered("DOUBLE", &["1.5", "\"NaN\"", "\"-Infinity\"", "1e3"], false),
            ["-Infinity", "1.5", "1e3", "NaN"]
        );
        assert_eq!(ordered("VARCHAR", &["\"b\"", "\"a\"", "\"\""], false), ["", "a", "b"]);
    }

    #[test]
    fn three_presses_come_back() {
        let first = Sort::pressed(None, 1);
        let second = Sort::pressed(first, 1);
        assert_eq!(first, Some(Sort { column: 1, is_descending: false }));
        assert_eq!(second, Some(Sort { column: 1, is_descending: true }));
        assert_eq!(Sort::pressed(second, 1), None);
        assert_eq!(Sort::pressed(second, 0), Some(Sort { column: 0, is_descending: false }));
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_numbers_and_stable(numbers in prop::collection::vec(-3..3_i64, 0..40)) {
            let rows: Vec<String> = numbers.iter().map(|number| format!("[{number}]")).collect();
            let answer = of(&[("c", "BIGINT")], &rows.iter().map(String::as_str).collect::<Vec<_>>());
            let order = order(&answer, Some(Sort { column: 0, is_descending: false })).expect("an order");
            let mut expected: Vec<u32> = (0..).take(numbers.len()).collect();
            expected.sort_by_key(|at| numbers[*at as usize]);
            prop_assert_eq!(order, expected);
        }
    }
}
