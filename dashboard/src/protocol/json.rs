//! JSON as text, written without what serde and the standard library bring for numbers with a fraction: 20 KB of tables that
//! no visit needs. In the browser its own numbers do that.

use serde_json::Value;

/// The text of a value, as `serde_json` writes it.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    push(&mut text, value);
    text
}

/// Puts the text of a value behind `text`.
pub fn push(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => {
            if let Some(count) = number.as_u64() {
                text.push_str(&count.to_string());
            } else if let Some(count) = number.as_i64() {
                text.push_str(&count.to_string());
            } else {
                text.push_str(&double(number.as_f64().unwrap_or_default()));
            }
        }
        Value::String(string) => push_string(text, string),
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                if at != 0 {
                    text.push(',');
                }
                push(text, value);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at != 0 {
                    text.push(',');
                }
                push_string(text, name);
                text.push(':');
                push(text, value);
            }
            text.push('}');
        }
    }
}

/// Puts a string in quotes behind `text`.
pub fn push_string(text: &mut String, string: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    text.push('"');
    for letter in string.chars() {
        let escape = match letter {
            '"' => '"',
            '\\' => '\\',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\0'..' ' => {
                let code = letter as usize;
                text.push_str("\\u00");
                text.push(char::from(HEX[code >> 4]));
                text.push(char::from(HEX[code & 15]));
                continue;
            }
            _ => {
                text.push(letter);
                continue;
            }
        };
        text.push('\\');
        text.push(escape);
    }
    text.push('"');
}

/// The shortest text that is read as this number again, and as one with a fraction.
#[cfg(target_arch = "wasm32")]
fn double(value: f64) -> String {
    let text = js_sys::JSON::stringify(&value.into()).map(String::from).unwrap_or_default();
    if text.contains(['.', 'e']) { text } else { text + ".0" }
}

#[cfg(not(target_arch = "wasm32"))]
fn double(value: f64) -> String {
    Value::from(value).to_string()
}

/// Reads a decimal number, as decimals are spelt on the wire; `None` for anything else, infinities and NaN included.
pub fn parse_double(text: &str) -> Option<f64> {
    let is_number = text.ends_with(|last: char| last.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    parse_digits(Some(text).filter(|_| is_number)?).filter(|number| number.is_finite())
}

#[cfg(target_arch = "wasm32")]
fn parse_digits(text: &str) -> Option<f64> {
    Some(js_sys::parse_float(text))
}

#[cfg(not(target_arch = "wasm32"))]
fn parse_digits(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// The number in a value: integers, doubles, and the decimals that come as text.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => parse_double(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_is_that_of_serde(value in value()) {
            prop_assert_eq!(text(&value), value.to_string());
        }

        #[test]
        fn numbers_are_read_as_they_are_spelt(number in any::<f64>(), cents in any::<i64>()) {
            prop_assert_eq!(parse_double(&format!("{number:e}")), Some(number).filter(|it| it.is_finite()));
            let decimal = format!("{}.{:02}", cents / 100, (cents % 100).abs());
            prop_assert_eq!(parse_double(&decimal), decimal.parse().ok());
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for wrong in ["", " 1", "0x1", "NaN", "Infinity", "1e999", "1.", "one", "."] {
            assert_eq!(parse_double(wrong), None, "{wrong}");
        }
        assert_eq!(text(&json!("\u{1f}\"\n")), r#""\u001f\"\n""#);
    }
}
