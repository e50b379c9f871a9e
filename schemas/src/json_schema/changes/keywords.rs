//! Keywords that say which values are accepted without schemas within them: what a new schema's accept less than an old one's.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{MAX_ISSUES, Object};
use crate::json_schema::short;

/// Keywords whose larger values accept more, and those whose smaller ones do.
const UPPER: [&str; 6] =
    ["maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "exclusiveMaximum"];
const LOWER: [&str; 6] =
    ["minContains", "minItems", "minLength", "minProperties", "minimum", "exclusiveMinimum"];
/// Keywords that are not looked into: a change, or a new one, is taken to accept less.
const OPAQUE: [&str; 12] = [
    "contains",
    "contentSchema",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "pattern",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// `type`.
pub(super) fn types(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    let words = |object: &Object| match object.get("type") {
        None => None,
        Some(Value::Array(words)) => {
            Some(words.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(word) => Some(vec![word.as_str().unwrap_or_default().to_owned()]),
    };
    let Some(now): Option<Vec<String>> = words(newer) else { return };
    match words(older) {
        None => match listed(older) {
            // An enumeration says it without.
            Some(values) => {
                for value in values.iter().filter(|value| !now.iter().any(|word| is_of(value, word))) {
                    issues.push(format!("{path}: the value {} is no longer accepted", short(value)));
                }
            }
            None => issues.push(format!("{path}: only {} is accepted now", now.join(", "))),
        },
        Some(before) => {
            let has = |word: &str| now.iter().any(|now| now == word);
            let is_wider = |word: &String| word == "integer" && has("number");
            for word in before.iter().filter(|word| !has(word) && !is_wider(word)) {
                issues.push(format!("{path}: type {word} is no longer accepted"));
            }
        }
    }
}

/// Whether a value is of a type.
fn is_of(value: &Value, word: &str) -> bool {
    match value {
        Value::Null => word == "null",
        Value::Bool(_) => word == "boolean",
        Value::String(_) => word == "string",
        Value::Array(_) => word == "array",
        Value::Object(_) => word == "object",
        Value::Number(number) => {
            let is_whole = || number.as_f64().is_none_or(|number| number.fract() == 0.0);
            word == "number" || (word == "integer" && is_whole())
        }
    }
}

/// The values of `enum` or `const`.
fn listed(object: &Object) -> Option<Vec<&Value>> {
    match (object.get("const"), object.get("enum")) {
        (Some(only), _) => Some(vec![only]),
        (None, all) => all.and_then(Value::as_array).map(|values| values.iter().collect()),
    }
}

/// `enum` and `const`.
pub(super) fn values(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    let Some(now) = listed(newer) else { return };
    let now: HashSet<_> = now.into_iter().collect();
    match listed(older) {
        None => issues.push(format!("{path}: only certain values are accepted now")),
        Some(before) => {
            for value in before.iter().filter(|value| !now.contains(*value)).take(MAX_ISSUES) {
                issues.push(format!("{path}: the value {} is no longer accepted", short(value)));
            }
        }
    }
}

/// Keywords that are compared as a whole.
pub(super) fn opaque(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    for key in OPAQUE.iter().filter(|key| newer.contains_key(**key) && newer.get(**key) != older.get(**key)) {
        issues.push(format!("{path}: \"{key}\" is new, or another one"));
    }
}

/// Numbers and lengths.
pub(super) fn bounds<'a>(older: &'a Object, newer: &'a Object, path: &str, issues: &mut Vec<String>) {
    let number = |object: &Object, key: &str| object.get(key).and_then(Value::as_f64);
    for key in UPPER {
        if let Some(now) =
            number(newer, key).filter(|now| number(older, key).is_none_or(|before| *now < before))
        {
            issues.push(format!("{path}: \"{key}\" is {now} now"));
        }
    }
    for key in LOWER {
        // Nothing has less than no items, characters or properties; of what it must contain an array has one at least.
        let least = match key {
            "minContains" => Some(1.0),
            key if key.ends_with("inimum") => None,
            _ => Some(0.0),
        };
        let before = number(older, key).or(least);
        if let Some(now) = number(newer, key).filter(|now| before.is_none_or(|before| before < *now)) {
            issues.push(format!("{path}: \"{key}\" is {now} now"));
        }
    }
    let multiple = |object: &'a Object| object.get("multipleOf").and_then(Value::as_number);
    if let Some(now) = multiple(newer)
        && multiple(older).is_none_or(|before| !is_multiple(before, now))
    {
        issues.push(format!("{path}: \"multipleOf\" is {now} now"));
    }
    let is = |object: &Object, key: &str| object.get(key) == Some(&Value::Bool(true));
    for key in ["uniqueItems", "exclusiveMaximum", "exclusiveMinimum"]
        .iter()
        .filter(|key| is(newer, key) && !is(older, key))
    {
        issues.push(format!("{path}: \"{key}\" is true now"));
    }
}

/// Whether a number is another one some whole number of times, digit by digit: 1 is so of 0.01.
fn is_multiple(number: &Number, of: &Number) -> bool {
    let scaled = || {
        let ((number, exponent), (of, of_exponent)) = (digits(number)?, digits(of)?);
        let least = exponent.min(of_exponent);
        let scale = |digits: i128, exponent: i32| {
            digits.checked_mul(10_i128.checked_pow(exponent.checked_sub(least)?.try_into().ok()?)?)
        };
        scale(number, exponent)?.checked_rem(scale(of, of_exponent)?)
    };
    number == of || scaled() == Some(0)
}

/// A number as its digits and how many zeros follow them.
fn digits(number: &Number) -> Option<(i128, i32)> {
    let text = number.to_string();
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent.checked_sub(fraction.len().try_into().ok()?)?))
}
