//! The cells of a row: the values of a JSON array, as they were written.
//!
//! Invariant: only what is shown is shortened (`shown`); what is copied, saved or ordered is [`text`].

use weir_api::Column;

use crate::protocol::time;
use crate::view::clock::Fine;
use crate::view::zone::Zone;

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

/// What the grid needs to know of a column to show its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Plain,
    /// Instants: on the clock of the reader's zone.
    Instant,
    /// Times of day and date without a zone.
    Local,
}

impl Look {
    pub fn of(column: &Column) -> Self {
        match column.sql_type.starts_with("TIMESTAMP") {
            true if column.sql_type.ends_with("WITH TIME ZONE") => Self::Instant,
            true => Self::Local,
            false => Self::Plain,
        }
    }
}

/// Where and when the grid is read: what times in it are shortened by.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub zone: &'a Zone,
    /// Microseconds since 1970.
    pub now: i64,
}

impl Reader<'_> {
    /// A value in the grid: one line; times with their day, for an answer is looked at on other days, and to all of their
    /// digits.
    pub fn shown(&self, json: &str, look: Look) -> String {
        let text = short_text(json);
        if look == Look::Plain {
            return text;
        }
        let Some(instant) = time::parse_instant(&text) else { return text };
        let digits = text.split_once('.').map_or("", |(_, rest)| rest.trim_end_matches(['Z', '0']));
        let fine = if digits.is_empty() { Fine::Seconds } else { Fine::Digits(digits) };
        match look {
            Look::Local => Zone::default().dated(instant, fine, self.zone.local(self.now)),
            _ => self.zone.dated(instant, fine, self.now),
        }
    }
}

/// A value as one line of at most [`SHOWN_CHARS`] letters.
fn short_text(json: &str) -> String {
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

    #[test]
    fn times_are_shown_with_their_day_and_to_their_last_digit() {
        let berlin = Zone::new("Europe/Berlin".into(), vec![(i64::MIN, 3_600 * time::SECOND)]);
        let now = time::parse_instant("2026-11-22T22:30:00Z").expect("an instant");
        let shown = |json: &str, look| Reader { zone: &berlin, now }.shown(json, look);
        assert_eq!(shown(r#""2026-11-22T12:04:30.000Z""#, Look::Instant), "22 Nov, 13:04:30");
        assert_eq!(shown(r#""2026-11-22T23:04:30.250Z""#, Look::Instant), "23 Nov, 00:04:30.25");
        assert_eq!(shown(r#""2026-11-22T12:04:30.000001500""#, Look::Local), "22 Nov, 12:04:30.0000015");
        assert_eq!(shown(r#""2024-11-22T12:04:30.000""#, Look::Local), "22 Nov 2024, 12:04:30");
        assert_eq!(shown("null", Look::Instant), "null");
        assert_eq!(shown(r#""2026-11-22T12:04:30.000Z""#, Look::Plain), "2026-11-22T12:04:30.000Z");
        let look = |sql_type: &str| {
            Look::of(&Column { name: "c".into(), sql_type: sql_type.into(), nullable: true })
        };
        assert_eq!(look("TIMESTAMP(3) WITH TIME ZONE"), Look::Instant);
        assert_eq!(
            [look("TIMESTAMP(9)"), look("TIME(3)"), look("DATE")],
            [Look::Local, Look::Plain, Look::Plain]
        );
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
