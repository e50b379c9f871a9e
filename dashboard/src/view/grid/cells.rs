//! The cells of a row: the values of a JSON array, as they were written.

/// Letters of a cell that are put into the grid; the whole of it is shown below.
pub const SHOWN_CHARS: usize = 120;

/// The JSON of each value of a row. What is no array has none.
pub fn split(row: &str) -> Vec<&str> {
    let Some(inside) = row.strip_prefix('[').and_then(|row| row.strip_suffix(']')) else { return Vec::new() };
    if inside.is_empty() {
        return Vec::new();
    }
    let mut cells = Vec::new();
    let (mut start, mut depth, mut in_text, mut is_escaped) = (0, 0_usize, false, false);
    for (at, byte) in inside.bytes().enumerate() {
        if in_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                cells.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(&inside[start..]);
    cells
}

/// The JSON of one value of a row; `null` where there is none.
pub fn nth(row: &str, column: usize) -> &str {
    split(row).get(column).copied().unwrap_or("null")
}

/// A value as people read it: texts without their quotes, all else as it was written.
pub fn text(json: &str) -> String {
    match json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) {
        Some(inside) if !inside.contains('\\') => inside.to_owned(),
        Some(_) => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
        None => json.to_owned(),
    }
}

pub fn is_null(json: &str) -> bool {
    json == "null"
}

/// A value in the grid: one line of at most [`SHOWN_CHARS`] letters.
pub fn short_text(json: &str) -> String {
    let text = text(json);
    let is_short = text.len() <= SHOWN_CHARS && !text.contains(char::is_control);
    if is_short {
        return text;
    }
    let letters = text.chars().map(|letter| if letter.is_control() { '␤' } else { letter });
    let mut short: String = letters.take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_keep_how_they_were_written() {
        let row = r#"[9223372036854775807,1.50,"a\",[\"b",null,[1,{"x":"]"}],"NaN"]"#;
        assert_eq!(
            split(row),
            ["9223372036854775807", "1.50", r#""a\",[\"b""#, "null", r#"[1,{"x":"]"}]"#, "\"NaN\""]
        );
        assert_eq!(text(r#""a\",[\"b""#), "a\",[\"b");
        assert_eq!(
            (text("1.50"), text("\"é\""), is_null("null"), is_null("\"null\"")),
            ("1.50".into(), "é".into(), true, false)
        );
        assert_eq!((split("[]"), split("{}")), (vec![], vec![]));
        assert_eq!(nth("[1]", 3), "null");
        assert_eq!(short_text(r#""a\nb""#), "a␤b");
        assert_eq!(short_text(&format!("\"{}\"", "é".repeat(200))).chars().count(), SHOWN_CHARS + 1);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}[\"\\\\\\[\\],{}]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"]{0,3}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn cells_are_the_values(values in prop::collection::vec(value(), 0..6)) {
            let row = serde_json::to_string(&values).expect("plain data");
            let cells: Vec<Value> = split(&row).into_iter().map(|cell| serde_json::from_str(cell).expect("a value")).collect();
            prop_assert_eq!(cells, values);
        }
    }
}
