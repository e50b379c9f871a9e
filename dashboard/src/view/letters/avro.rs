//! A record value field by field, as far as it can be read, each with the bytes that it stands in.
//!
//! Not the server's decoder: that stops at the first mistake and makes columns. This one is for a person who wants to
//! know where the mistake is.
//!
//! Invariants:
//! 1. Any bytes under any schema end in a [`Decoded`]; nothing panics and nothing is allocated by a length that the bytes
//!    claim.
//! 2. At most [`FIELDS_MAX`] fields are listed and [`DEPTH_MAX`] levels entered; a text is cut at [`TEXT_CHARS_MAX`].

mod schema;
mod value;

use std::ops::Range;

pub use schema::{Kind, Schema};

/// Fields that are listed; what is behind them is read no more.
pub const FIELDS_MAX: usize = 200;
/// Levels of records, lists and unions.
pub const DEPTH_MAX: usize = 32;
/// Letters of a value that are shown.
pub const TEXT_CHARS_MAX: usize = 200;

/// A value that is no record or list itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// `address.city`, `lines[2].price`; `value` for a schema that is no record.
    pub path: String,
    /// As Avro calls it, such as `long (timestamp-millis)`.
    pub type_name: String,
    pub text: String,
    /// Of the record value, its header included.
    pub bytes: Range<usize>,
}

/// What could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    pub fields: Vec<Field>,
    pub end: End,
}

/// How reading ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum End {
    /// With the last byte.
    #[default]
    Whole,
    /// All fields were read, and there are more bytes.
    Trailing { at: usize },
    /// A field can't be read.
    Broken { at: usize, path: String, reason: String },
    /// There is more than is listed.
    Cut,
}

impl End {
    /// A sentence; empty where all is well.
    pub fn sentence(&self, n_bytes: usize) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Trailing { at } => {
                format!(
                    "All fields are read, but {} more bytes follow from byte {at} on.",
                    n_bytes.saturating_sub(*at)
                )
            }
            Self::Broken { at, path, reason } => {
                format!("Decoding stops at {path}, byte {at} of {n_bytes}: {reason}.")
            }
            Self::Cut => format!("Only the first {FIELDS_MAX} fields are listed."),
        }
    }

    /// The bytes that are to blame.
    pub fn bytes(&self, n_bytes: usize) -> Option<Range<usize>> {
        match self {
            Self::Trailing { at } | Self::Broken { at, .. } => Some(*at..n_bytes.max(at + 1)),
            Self::Whole | Self::Cut => None,
        }
    }
}

/// The schema id in the header of a record value: a zero byte and four bytes.
pub fn schema_id(payload: &[u8]) -> Option<u32> {
    match payload {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// Bytes in front of the data.
pub const HEADER_BYTES: usize = 5;

/// Reads a record value, its header included.
pub fn decode(payload: &[u8], schema: &Schema) -> Decoded {
    let mut reader = value::Reader::new(payload, HEADER_BYTES.min(payload.len()), schema);
    let end = match reader.value(schema.root(), "", 0) {
        Ok(()) if reader.at() < payload.len() => End::Trailing { at: reader.at() },
        Ok(()) => End::Whole,
        Err(value::Stop::Cut) => End::Cut,
        Err(value::Stop::Broken { at, path, reason }) => End::Broken { at, path, reason },
    };
    Decoded { fields: reader.into_fields(), end }
}

#[cfg(test)]
mod tests;
