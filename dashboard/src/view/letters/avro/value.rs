//! Values out of bytes, one field after the other.

use super::schema::{Kind, Logical, Schema};
use super::{DEPTH_MAX, FIELDS_MAX, Field, TEXT_CHARS_MAX};
use crate::protocol::time;

/// Values that are entered, records and lists included. No record that a person reads has as many.
const STEPS_MAX: u32 = 20_000;

/// Why reading ends early.
#[derive(Debug)]
pub(super) enum Stop {
    Cut,
    Broken { at: usize, path: String, reason: String },
}

/// Reads a payload from a place on.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    schema: &'a Schema,
    fields: Vec<Field>,
    /// Values that may still be entered: a schema can name a value of no bytes many times over.
    steps_left: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, schema: &'a Schema) -> Self {
        Self { bytes, at, schema, fields: Vec::new(), steps_left: STEPS_MAX }
    }

    /// The first byte not yet read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn into_fields(self) -> Vec<Field> {
        self.fields
    }

    pub(super) fn value(&mut self, kind: &'a Kind, path: &str, depth: usize) -> Result<(), Stop> {
        let start = self.at;
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Stop::Cut)?;
        if DEPTH_MAX < depth {
            return self.broken(start, path, "it nests too deeply to be shown");
        }
        let schema = self.schema;
        let Some(kind) = schema.resolve(kind) else {
            return self.broken(start, path, "the schema does not say what this type is");
        };
        match kind {
            Kind::Record(fields) => {
                for (name, kind) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.value(kind, &path, depth + 1)?;
                }
                Ok(())
            }
            Kind::Union(branches) => {
                let branch = self.long(path)?;
                let chosen = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
                let Some(kind) = chosen else {
                    let reason = format!("branch {branch} of a union of {}", branches.len());
                    return self.broken(start, path, &reason);
                };
                let n_before = self.fields.len();
                self.value(kind, path, depth + 1)?;
                // The branch's number belongs to its value.
                if let Some(field) = self.fields.get_mut(n_before) {
                    field.bytes.start = start;
                }
                Ok(())
            }
            Kind::Array(items) => self
                .blocks(path, depth, |reader, n, depth| reader.value(items, &format!("{path}[{n}]"), depth)),
            Kind::Map(values) => self.blocks(path, depth, |reader, _, depth| {
                let key = reader.text(path)?;
                reader.value(values, &format!("{path}[\"{}\"]", cut(&key)), depth)
            }),
            kind => self.scalar(kind, path),
        }
    }

    /// The items of an array or a map: blocks with a count each, and a zero at the end.
    fn blocks(
        &mut self,
        path: &str,
        depth: usize,
        mut item: impl FnMut(&mut Self, u64, usize) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let start = self.at;
        let mut n = 0;
        loop {
            let count = self.long(path)?;
            if count < 0 {
                // Its size in bytes, for those who skip it.
                self.long(path)?;
            }
            if count == 0 {
                break;
            }
            for _ in 0..count.unsigned_abs() {
                item(self, n, depth + 1)?;
                n += 1;
            }
        }
        if n == 0 {
            return self.push(path, "list", "empty".to_owned(), start);
        }
        Ok(())
    }

    fn scalar(&mut self, kind: &Kind, path: &str) -> Result<(), Stop> {
        let start = self.at;
        let (name, text) = match kind {
            Kind::Null => ("null", "null".to_owned()),
            Kind::Boolean => match self.take(1, path)? {
                [0] => ("boolean", "false".to_owned()),
                [1] => ("boolean", "true".to_owned()),
                [byte, ..] => return self.broken(start, path, &format!("{byte} is no boolean")),
                [] => ("boolean", String::new()),
            },
            Kind::Int(logical) => {
                let number = self.long(path)?;
                if i32::try_from(number).is_err() {
                    return self.broken(start, path, &format!("{number} is no int"));
                }
                return self.push_logical(path, "int", logical, number_text(number, logical), start);
            }
            Kind::Long(logical) => {
                let number = self.long(path)?;
                return self.push_logical(path, "long", logical, number_text(number, logical), start);
            }
            Kind::Float => ("float", f32::from_le_bytes(self.array(path)?).to_string()),
            Kind::Double => ("double", f64::from_le_bytes(self.array(path)?).to_string()),
            Kind::String => ("string", cut(&self.text(path)?)),
            Kind::Bytes(logical) => {
                let bytes = self.sized(path)?;
                return self.push_logical(path, "bytes", logical, bytes_text(bytes, logical), start);
            }
            Kind::Fixed(size, logical) => {
                let bytes = self.take(*size, path)?;
                return self.push_logical(path, "fixed", logical, bytes_text(bytes, logical), start);
            }
            Kind::Enum(symbols) => {
                let at = self.long(path)?;
                match usize::try_from(at).ok().and_then(|at| symbols.get(at)) {
                    Some(symbol) => ("enum", symbol.clone()),
                    None => {
                        let reason = format!("symbol {at} of an enum of {}", symbols.len());
                        return self.broken(start, path, &reason);
                    }
                }
            }
            // `value` has dealt with all others.
            _ => return self.broken(start, path, "the schema does not say what this type is"),
        };
        self.push(path, name, text, start)
    }

    fn push_logical(
        &mut self,
        path: &str,
        name: &str,
        logical: &Logical,
        text: String,
        start: usize,
    ) -> Result<(), Stop> {
        match logical {
            Logical::None => self.push(path, name, text, start),
            Logical::Decimal { scale } => {
                self.push(path, &format!("{name} (decimal, scale {scale})"), text, start)
            }
            Logical::Named(logical) => self.push(path, &format!("{name} ({logical})"), text, start),
        }
    }

    fn push(&mut self, path: &str, type_name: &str, text: String, start: usize) -> Result<(), Stop> {
        if self.fields.len() == FIELDS_MAX {
            return Err(Stop::Cut);
        }
        let path = if path.is_empty() { "value".to_owned() } else { path.to_owned() };
        self.fields.push(Field { path, type_name: type_name.to_owned(), text, bytes: start..self.at });
        Ok(())
    }

    fn broken<T>(&self, at: usize, path: &str, reason: &str) -> Result<T, Stop> {
        let path = if path.is_empty() { "value" } else { path };
        Err(Stop::Broken { at, path: path.to_owned(), reason: reason.to_owned() })
    }

    fn take(&mut self, n: usize, path: &str) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            let n_left = self.bytes.len() - self.at;
            return self.broken(self.at, path, &format!("{n} bytes are needed and {n_left} are left"));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, path: &str) -> Result<[u8; N], Stop> {
        let taken = self.take(N, path)?;
        Ok(taken.try_into().unwrap_or([0; N]))
    }

    /// A zigzag number of at most ten bytes.
    fn long(&mut self, path: &str) -> Result<i64, Stop> {
        let start = self.at;
        let mut bits = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.broken(start, path, "the bytes end inside a number");
            };
            self.at += 1;
            bits |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                // Two's complement: the lowest bit is the sign.
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        self.broken(start, path, "a number does not end after ten bytes")
    }

    fn sized(&mut self, path: &str) -> Result<&'a [u8], Stop> {
        let start = self.at;
        let size = self.long(path)?;
        match usize::try_from(size) {
            Ok(size) if size <= self.bytes.len() - self.at => self.take(size, path),
            _ => {
                let n_left = self.bytes.len() - self.at;
                self.broken(start, path, &format!("its length is {size}, and {n_left} bytes are left"))
            }
        }
    }

    fn text(&mut self, path: &str) -> Result<String, Stop> {
        let start = self.at;
        let bytes = self.sized(path)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => self.broken(start, path, "it is not UTF-8"),
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A number, and what it means.
fn number_text(number: i64, logical: &Logical) -> String {
    let Logical::Named(name) = logical else { return number.to_string() };
    let instant = match name.as_str() {
        "timestamp-millis" | "local-timestamp-millis" => number.checked_mul(1_000),
        "timestamp-micros" | "local-timestamp-micros" => Some(number),
        "timestamp-nanos" | "local-timestamp-nanos" => Some(number.div_euclid(1_000)),
        "date" => number.checked_mul(86_400 * time::SECOND),
        _ => return number.to_string(),
    };
    // Beyond the year 9999 a date says nothing.
    const LAST: i64 = 253_402_300_800 * time::SECOND;
    let Some(instant) = instant.filter(|instant| (-LAST..LAST).contains(instant)) else {
        return number.to_string();
    };
    let text = time::instant_text(instant);
    let text = if name == "date" { text[..10].to_owned() } else { text };
    let text = if name.starts_with("local") { text.trim_end_matches('Z').to_owned() } else { text };
    format!("{number} = {text}")
}

fn bytes_text(bytes: &[u8], logical: &Logical) -> String {
    if let Logical::Decimal { scale } = logical
        && let Some(text) = decimal(bytes, *scale)
    {
        return text;
    }
    let shown = &bytes[..bytes.len().min(TEXT_CHARS_MAX / 3)];
    let more = if shown.len() < bytes.len() { " …" } else { "" };
    format!("{}{more}", super::super::bytes::hex(shown))
}

/// Two's complement, the greatest byte first, of at most 16 bytes.
fn decimal(bytes: &[u8], scale: usize) -> Option<String> {
    if bytes.is_empty() || 16 < bytes.len() || 38 < scale {
        return None;
    }
    let sign = if bytes[0] < 0x80 { 0_i128 } else { -1 };
    let number = bytes.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte));
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let minus = if number < 0 { "-" } else { "" };
    Some(if scale == 0 { format!("{minus}{whole}") } else { format!("{minus}{whole}.{fraction}") })
}
