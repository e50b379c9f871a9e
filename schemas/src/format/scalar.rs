//! Texts and JSON numbers as single Avro values.
//!
//! Invariant: a value is taken exactly or refused, but for what a column's unit can't hold of a time: that is cut off.

use std::fmt::Display;

use arrow::array::timezone::Tz;
use arrow::array::types::{Date32Type, Time64NanosecondType};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::i256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Fault;
use crate::avro::{Body, Kind, Logical, Node, Schema, default_number};
use crate::encode::write;

/// Of the largest long.
const LONG_DIGITS: u32 = 19;

const MICROS_PER_MILLI: i64 = 1_000;

/// Appends the value that `text` stands for as a value of type `node`.
///
/// # Errors
/// [`Fault`] where it stands for none; `out` may have grown then.
pub(super) fn text(schema: &Schema, node: &Node, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wrong = || expected(schema, node, format!("{text:?}"));
    match (&node.kind, node.logical) {
        (_, Some(Logical::Decimal { precision, scale })) => {
            let number = decimal(text, precision, scale).ok_or_else(wrong)?;
            return unscaled(schema, node, number, out);
        }
        (Kind::String, _) => write::bytes(text.as_bytes(), out),
        (Kind::Boolean, _) => out.push(match text {
            "true" => 1,
            "false" => 0,
            _ => return Err(wrong()),
        }),
        (Kind::Int, None) => write::long(i64::from(text.parse::<i32>().map_err(|_| wrong())?), out),
        (Kind::Long, None) => write::long(text.parse().map_err(|_| wrong())?, out),
        (Kind::Int | Kind::Long, Some(logical)) => write::long(time(logical, text).ok_or_else(wrong)?, out),
        (Kind::Float, _) => {
            out.extend_from_slice(&(finite(text).ok_or_else(wrong)? as f32).to_le_bytes());
        }
        (Kind::Double, _) => {
            out.extend_from_slice(&finite(text).ok_or_else(wrong)?.to_le_bytes());
        }
        (Kind::Bytes, _) => write::bytes(&STANDARD.decode(text).map_err(|_| wrong())?, out),
        (Kind::Named(index), logical) => match &schema.definitions[*index].body {
            Body::Fixed(size) => {
                let bytes = match logical {
                    Some(Logical::Uuid) => uuid(text),
                    _ => STANDARD.decode(text).ok(),
                };
                out.extend_from_slice(&bytes.filter(|bytes| bytes.len() == *size).ok_or_else(wrong)?);
            }
            Body::Enum { symbols, default } => {
                let at =
                    symbols.iter().position(|symbol| **symbol == *text).or(*default).ok_or_else(wrong)?;
                write::length(at, out);
            }
            Body::Record(_) | Body::Pending => return Err(wrong()),
        },
        (Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_), _) => return Err(wrong()),
    }
    Ok(())
}

/// Appends a JSON number as a value of type `node`: dates and times are in the unit that Avro has them in.
///
/// # Errors
/// As [`text`].
pub(super) fn number(schema: &Schema, node: &Node, number: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wrong = || expected(schema, node, number);
    // `1e3` and `1.0` are integers, too.
    let integer = || {
        decimal(number, LONG_DIGITS, 0).and_then(|wide| wide.to_i128()).and_then(|n| i64::try_from(n).ok())
    };
    match (&node.kind, node.logical) {
        (_, Some(Logical::Decimal { .. })) | (Kind::Float | Kind::Double, _) => {
            text(schema, node, number, out).map_err(|_| wrong())?
        }
        (Kind::Int, _) => {
            let int = integer().and_then(|long| i32::try_from(long).ok()).ok_or_else(wrong)?;
            write::long(i64::from(int), out);
        }
        (Kind::Long, _) => write::long(integer().ok_or_else(wrong)?, out),
        _ => return Err(wrong()),
    }
    Ok(())
}

/// `a value of type X was expected, not Y`.
pub(super) fn expected(schema: &Schema, node: &Node, found: impl Display) -> Fault {
    /// Characters of a value that are shown.
    const SHOWN: usize = 100;
    let mut shown = found.to_string();
    if let Some((cut, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(cut);
        shown.push('…');
    }
    Fault::new(format!("a value of type {} was expected, not {shown}", schema.describe(node)))
}

/// A number that is one: JSON's grammar knows no other, the names of those that are none are Avro's.
fn finite(text: &str) -> Option<f64> {
    default_number(&serde_json::Value::from(text))
        .or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// `text` times 10^`scale`, where that is an integer of at most `precision` digits.
fn decimal(text: &str, precision: u32, scale: u32) -> Option<i256> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    // Zeros to put behind what is significant.
    let n_zeros = i64::from(exponent.parse::<i32>().ok()?) + i64::from(scale)
        - i64::try_from(fraction.len()).ok()?
        + i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(i256::ZERO);
    }
    let n_zeros = usize::try_from(n_zeros).ok()?;
    if (precision as usize) < significant.len().checked_add(n_zeros)? {
        return None;
    }
    i256::from_string(&format!("{sign}{significant}{}", "0".repeat(n_zeros)))
}

/// Appends a decimal's number: as few bytes as it needs, or those of its fixed.
fn unscaled(schema: &Schema, node: &Node, number: i256, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wide = number.to_be_bytes();
    let Kind::Named(index) = node.kind else {
        write::decimal(&wide, out);
        return Ok(());
    };
    let Body::Fixed(size) = schema.definitions[index].body else {
        return Err(expected(schema, node, number));
    };
    let sign = if number.is_negative() { 0xff } else { 0 };
    let n_padding = size.saturating_sub(wide.len());
    out.resize(out.len() + n_padding, sign);
    // The precision of a fixed is one that its size can hold: what is cut off is sign.
    out.extend_from_slice(&wide[wide.len() - (size - n_padding)..]);
    Ok(())
}

/// A date or time in the unit of its logical type.
fn time(logical: Logical, text: &str) -> Option<i64> {
    let nanos_of_day = || Time64NanosecondType::parse(text);
    match logical {
        Logical::Date => Date32Type::parse(text).map(i64::from),
        Logical::TimeMillis => nanos_of_day().map(|nanos| nanos / 1_000_000),
        Logical::TimeMicros => nanos_of_day().map(|nanos| nanos / 1_000),
        Logical::TimestampMillis => micros(text).map(|micros| micros.div_euclid(MICROS_PER_MILLI)),
        Logical::TimestampMicros => micros(text),
        Logical::TimestampNanos => nanos(text),
        Logical::LocalTimestampMillis => {
            local(text).and_then(micros).map(|micros| micros.div_euclid(MICROS_PER_MILLI))
        }
        Logical::LocalTimestampMicros => local(text).and_then(micros),
        Logical::LocalTimestampNanos => local(text).and_then(nanos),
        Logical::Decimal { .. } | Logical::Uuid | Logical::Duration => None,
    }
}

/// Microseconds since 1970 of RFC 3339; without a zone it is UTC.
fn micros(text: &str) -> Option<i64> {
    let utc: Tz = "+00:00".parse().ok()?;
    string_to_datetime(&utc, text).ok().map(|at| at.timestamp_micros())
}

/// As [`micros`], in nanoseconds: from 1677 to 2262.
fn nanos(text: &str) -> Option<i64> {
    let utc: Tz = "+00:00".parse().ok()?;
    string_to_datetime(&utc, text).ok().and_then(|at| at.timestamp_nanos_opt())
}

/// A time that names no zone.
fn local(text: &str) -> Option<&str> {
    let time = text.get(10..).unwrap_or_default();
    (!time.contains(['Z', 'z', '+', '-'])).then_some(text)
}

/// The 16 bytes of `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
fn uuid(text: &str) -> Option<Vec<u8>> {
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || !text.is_ascii() || dashes.iter().any(|&at| text.as_bytes()[at] != b'-') {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'-').collect();
    let digit = |byte: u8| (byte as char).to_digit(16);
    digits.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}
