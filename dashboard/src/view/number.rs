//! Numbers, spans and values as people read them.
//!
//! Invariant: the marks of the reader's locale are put in last, by [`grouped`] and `pointed`; what is exact or is read by
//! programs (`fixed`, [`exact_cell`], files) has a point.

use std::cell::Cell;

use serde_json::Value;
use weir_api::Column;

use super::zone::Zone;
use crate::protocol::{json, time};

/// What stands between groups of digits, if anything, and before a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    group: Option<char>,
    decimal: char,
}

thread_local! {
    static MARKS: Cell<Marks> = const { Cell::new(Marks { group: Some(','), decimal: '.' }) };
}

/// Writes numbers from now on as the text writes 12345.6, such as `12.345,6`; as before where it has other digits.
pub fn write_as(sample: &str) {
    let marks = || {
        let rest = sample.strip_prefix("12")?.strip_suffix('6')?;
        let (group, decimal) = rest.split_once("345")?;
        Some(Marks { group: group.chars().next(), decimal: decimal.chars().next()? })
    };
    if let Some(marks) = marks() {
        MARKS.set(marks);
    }
}

/// What stands before a fraction.
pub(super) fn decimal_mark() -> char {
    MARKS.get().decimal
}

/// A number with a point, with the mark that is to be there.
fn pointed(number: &str) -> String {
    number.replace('.', decimal_mark().encode_utf8(&mut [0; 4]))
}

/// `1,234,567`. Also of the integer part of a decimal that comes as text; other texts stay as they are.
pub fn grouped(number: &str) -> String {
    let (sign, rest) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, fraction) = rest.split_at(n_digits);
    if digits.is_empty() || !(fraction.is_empty() || fraction.starts_with('.')) {
        return number.to_owned();
    }
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (n_digits - at).is_multiple_of(3) {
            text.extend(MARKS.get().group);
        }
        text.push(digit);
    }
    text + &pointed(fraction)
}

/// `number` with so many digits behind the point, rounded half away from zero; what is beyond 64 bits has an exponent. The
/// standard library's way, which is exact for any number of digits, is 10 KB of the page.
pub fn fixed(number: f64, n_decimals: usize) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    let (mut size, mut exponent) = (number.abs(), 0_u32);
    if 1e18 <= size {
        for (power, by) in [(1e16, 16), (10.0, 1)] {
            while power <= size {
                size /= power;
                exponent += by;
            }
        }
    }
    // A larger number has no half to round, and its scaled value might not fit.
    let scale = 10_u64.pow(u32::try_from(n_decimals.min(9)).unwrap_or(9));
    let (mut whole, mut rest) = (size as u64, 0);
    if size < 9e15 {
        rest = ((size - size.trunc()) * scale as f64).round() as u64;
        whole += rest / scale;
        rest %= scale;
    }
    let sign = if number < 0.0 && (whole, rest) != (0, 0) { "-" } else { "" };
    let mut text = format!("{sign}{whole}");
    if n_decimals != 0 {
        let digits = rest.to_string();
        text.push('.');
        text.extend(std::iter::repeat_n('0', n_decimals.min(9) - digits.len()));
        text += &digits;
    }
    if exponent != 0 {
        text.push('e');
        text += &exponent.to_string();
    }
    text
}

/// A decimal without the zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Smaller numbers have an exponent, where they have no fixed number of digits.
const SMALL: f64 = 1e-3;

/// Three significant digits and an exponent: `3e-10`. Of a number between 0 and 1.
fn tiny(value: f64) -> String {
    let (mut scaled, mut exponent) = (value, 0);
    while scaled.abs() < 0.999_5 && exponent < 400 {
        scaled *= 10.0;
        exponent += 1;
    }
    format!("{}e-{exponent}", pointed(without_zeros(&fixed(scaled, 2))))
}

/// At most four significant digits with an SI step: `950`, `1.25 k`, `12.5 M`; an exponent where a number is next to nothing.
pub fn si(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    const STEPS: [(f64, &str); 7] =
        [(1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let size = value.abs();
    if 0.0 < size && size < SMALL {
        return tiny(value);
    }
    // The threshold is that of rounding: 999.96 is shown as 1 k and not as 1000.
    let (unit, suffix) = STEPS.into_iter().find(|(unit, _)| unit * 0.999_95 <= size).unwrap_or((1.0, ""));
    let scaled = value / unit;
    let n_decimals = match scaled.abs() {
        digits if 99.995 <= digits => 1,
        digits if 9.9995 <= digits => 2,
        _ => 3,
    };
    let text = fixed(scaled, n_decimals);
    pointed(without_zeros(&text)) + suffix
}

/// A rate: whole numbers from ten on, so that the last digit does not flicker.
pub fn rate(per_second: f64) -> String {
    if 10_000.0 <= per_second {
        si(per_second)
    } else if 10.0 <= per_second {
        grouped(&fixed(per_second, 0))
    } else if per_second == 0.0 {
        "0".to_owned()
    } else {
        pointed(&fixed(per_second, 1))
    }
}

/// Bytes with a decimal step: `950 B`, `1.25 MB`.
pub fn bytes(n_bytes: f64) -> String {
    let text = si(n_bytes);
    if text.contains(' ') { text + "B" } else { format!("{text} B") }
}

/// A short time in milliseconds: `0.8 ms`, `12 ms`, `1.25 s`.
pub fn millis(millis: f64) -> String {
    match millis {
        ms if !ms.is_finite() => "–".to_owned(),
        ms if 999.5 <= ms => format!("{} s", si(ms / 1_000.0)),
        ms if 9.95 <= ms => fixed(ms, 0) + " ms",
        ms if ms == 0.0 || 0.05 <= ms.abs() => pointed(&fixed(ms, 1)) + " ms",
        ms => si(ms) + " ms",
    }
}

/// A span in its two largest units: `4 s`, `1 min 05 s`, `3 h 20 min`, `12 d 4 h`; tenths under ten seconds.
pub fn span(millis: f64) -> String {
    if !millis.is_finite() {
        return "–".to_owned();
    }
    let tenths = (millis.max(0.0) / 100.0).floor();
    if tenths < 100.0 {
        return pointed(&fixed(tenths / 10.0, 1)) + " s";
    }
    whole_span(millis)
}

/// As [`span`], in whole seconds: for ages that are counted while one looks.
pub fn whole_span(millis: f64) -> String {
    // The cast saturates, and no span that is shown comes near its limits.
    let seconds = (millis.max(0.0) / 1_000.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The number in a value: integers, doubles, and the decimals that come as text.
pub fn of(value: &Value) -> Option<f64> {
    json::number(value)
}

/// Whether the values of a column can be drawn and added.
pub fn is_numeric(column: &Column) -> bool {
    const NAMES: [&str; 7] = ["INT", "BIGINT", "SMALLINT", "TINYINT", "REAL", "DOUBLE", "DECIMAL"];
    // `DECIMAL(18,2)`, `BIGINT UNSIGNED`: the first word decides.
    let word = column.sql_type.split(['(', ' ']).next();
    word.is_some_and(|word| NAMES.contains(&word))
}

/// A value in a live table: digits grouped, doubles with at most four decimals, instants as clock times of `zone`, local
/// times as they are.
pub fn live_cell(column: &Column, value: &Value, zone: &Zone) -> String {
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64().unwrap_or_default() {
            value if 0.0 < value.abs() && value.abs() < SMALL => tiny(value),
            value => grouped(without_zeros(&fixed(value, 4))),
        },
        Value::String(text) if column.sql_type.starts_with("TIMESTAMP") => {
            let clock = |instant| match column.sql_type.ends_with("WITH TIME ZONE") {
                true => zone.short_clock(instant),
                false => Zone::default().short_clock(instant),
            };
            time::parse_instant(text).map_or_else(|| text.clone(), clock)
        }
        Value::String(text) if is_numeric(column) => grouped(&shortened(text)),
        Value::Number(_) => grouped(&json::text(value)),
        other => exact_cell(other),
    }
}

/// A decimal to read. More than four digits behind the point, as averages have them, are two, below one four, below a thousandth
/// all; no zeros behind the second.
fn shortened(text: &str) -> String {
    let Some((whole, fraction)) = text.split_once('.').filter(|(_, fraction)| 2 < fraction.len()) else {
        return text.to_owned();
    };
    let is_small = whole.trim_start_matches('-') == "0";
    let n_kept = match fraction.starts_with("000") {
        true if is_small => fraction.len(),
        _ if is_small => 4,
        _ => 2,
    };
    let n_cut = if 4 < fraction.len() { fraction.len().saturating_sub(n_kept) } else { 0 };
    let mut digits: Vec<u8> = text.as_bytes()[..text.len() - n_cut].to_vec();
    let mut carries = 0 < n_cut && b'5' <= fraction.as_bytes()[n_kept];
    for digit in digits.iter_mut().rev().filter(|digit| digit.is_ascii_digit()) {
        if !carries {
            break;
        }
        carries = *digit == b'9';
        *digit = if carries { b'0' } else { *digit + 1 };
    }
    let mut short = String::from_utf8(digits).unwrap_or_default();
    if carries {
        let at = usize::from(short.starts_with('-'));
        short.insert(at, '1');
    }
    let n_zeros = short.bytes().rev().take_while(|byte| *byte == b'0').count();
    let n_behind = fraction.len() - n_cut;
    short.truncate(short.len() - n_zeros.min(n_behind - 2));
    short
}

/// A value exactly as it came: for answers to queries.
pub fn exact_cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        other => json::text(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn column(sql_type: &str) -> Column {
        Column { name: "c".into(), sql_type: sql_type.into(), nullable: true }
    }

    #[test]
    fn decimals_are_as_short_as_doubles() {
        let short = ["122.550000", "-0.999950", "9.99995", "1.23454", "7.123", "12.30", "5", "1.005000"]
            .map(shortened);
        assert_eq!(short, ["122.55", "-1.00", "10.00", "1.23", "7.123", "12.30", "5", "1.01"]);
    }

    #[test]
    fn figures_read_well() {
        let texts = [0.0, 5.25, 950.0, 999.96, 1_250.0, -12_345_678.0, 0.0004, f64::NAN].map(si);
        assert_eq!(texts, ["0", "5.25", "950", "1 k", "1.25 k", "-12.35 M", "4e-4", "–"]);
        assert_eq!(
            [1.5e17, -2.5e18, 3e-10, -0.000_999_9, f64::MIN_POSITIVE].map(si),
            ["150 P", "-2.5 E", "3e-10", "-1e-3", "2.23e-308"]
        );
        assert_eq!([0.0, 0.26, 12.4, 1_234.6, 98_765.0].map(rate), ["0", "0.3", "12", "1,235", "98.77 k"]);
        assert_eq!([950.0, 1_250.0, 1.25e6].map(bytes), ["950 B", "1.25 kB", "1.25 MB"]);
        assert_eq!([0.84, 12.4, 1_250.0].map(millis), ["0.8 ms", "12 ms", "1.25 s"]);
        assert_eq!([0.0, 0.000_12].map(millis), ["0.0 ms", "1.2e-4 ms"]);
        let spans = [0.0, 4_260.0, 10_000.0, 65_000.0, 12_000_000.0, 1_051_200_000.0].map(span);
        assert_eq!(spans, ["0.0 s", "4.2 s", "10 s", "1 min 05 s", "3 h 20 min", "12 d 4 h"]);
    }

    #[test]
    fn cells_keep_every_digit() {
        let berlin = Zone::new("Europe/Berlin".into(), vec![(i64::MIN, 3_600_000_000)]);
        let cell = |sql_type: &str, value: &Value| live_cell(&column(sql_type), value, &berlin);
        assert_eq!(cell("BIGINT", &json!(9_223_372_036_854_775_807_i64)), "9,223,372,036,854,775,807");
        assert_eq!(cell("DECIMAL(18,2)", &json!("-1234567.50")), "-1,234,567.50");
        assert_eq!(cell("DOUBLE", &json!(1_234.567_89)), "1,234.5679");
        assert_eq!(cell("DOUBLE", &json!("NaN")), "NaN");
        assert_eq!(cell("VARCHAR", &json!("12345")), "12345");
        assert_eq!(cell("TIMESTAMP(3) WITH TIME ZONE", &json!("2026-11-22T12:04:30.000Z")), "13:04:30");
        assert_eq!(
            cell("TIMESTAMP(3)", &json!("2026-11-22T12:04:30.000")),
            "12:04:30",
            "a local time is nobody's"
        );
        assert_eq!(cell("BIGINT", &Value::Null), "null");
        assert_eq!(exact_cell(&json!([1, "a"])), r#"[1,"a"]"#);
    }

    #[test]
    fn numbers_are_written_as_the_reader_does() {
        let texts = || [grouped("-1234567.50"), si(1_250.0), rate(0.26), millis(0.84), span(4_260.0)];
        write_as("١٢٬٣٤٥٫٦");
        assert_eq!(texts(), ["-1,234,567.50", "1.25 k", "0.3", "0.8 ms", "4.2 s"]);
        write_as("12.345,6");
        assert_eq!(texts(), ["-1.234.567,50", "1,25 k", "0,3", "0,8 ms", "4,2 s"]);
        write_as("12\u{202f}345,6");
        assert_eq!(grouped("1234.5"), "1\u{202f}234,5");
        write_as("12345,6");
        assert_eq!(grouped("1234.5"), "1234,5");
        assert_eq!(exact_cell(&json!(1_234.5)), "1234.5");
    }

    #[test]
    fn first_word_of_a_type_says_whether_it_is_a_number() {
        assert!(["INT", "BIGINT UNSIGNED", "DECIMAL(18,2)"].iter().all(|name| is_numeric(&column(name))));
        assert!(["VARCHAR", "ARRAY<INT>", "INTERVAL"].iter().all(|name| !is_numeric(&column(name))));
    }

    #[test]
    fn decimals_are_rounded_as_people_do() {
        let texts = [(0.25, 1), (-0.04, 1), (1_234.567_8, 2), (0.999_99, 2), (7.0, 0), (-2.5, 0)]
            .map(|(it, n)| fixed(it, n));
        assert_eq!(texts, ["0.3", "0.0", "1234.57", "1.00", "7", "-3"]);
        assert_eq!(fixed(9_007_199_254_740_993.0, 3), "9007199254740992.000");
        assert_eq!([1e30, -1.5e300].map(|it| fixed(it, 2)), ["1.00e30", "-1.50e300"]);
        assert_eq!([f64::INFINITY, f64::NAN].map(|it| fixed(it, 2)), ["–", "–"]);
    }

    proptest! {
        #[test]
        fn decimals_are_the_number(number in -1e15_f64..1e15, n_decimals in 0_usize..5) {
            let read: f64 = fixed(number, n_decimals).parse().expect("a number");
            let half = 0.500_001 / 10_f64.powi(n_decimals as i32);
            prop_assert!((read - number).abs() <= half + number.abs() * 1e-15, "{} of {}", read, number);
        }

        #[test]
        fn grouping_only_adds_commas(number in any::<i64>()) {
            let text = grouped(&number.to_string());
            prop_assert_eq!(text.replace(',', ""), number.to_string());
            let groups: Vec<&str> = text.trim_start_matches('-').split(',').collect();
            prop_assert!(groups[1..].iter().all(|group| group.len() == 3));
            prop_assert!((1..=3).contains(&groups[0].len()));
        }
    }
}
