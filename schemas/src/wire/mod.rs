//! The Confluent wire format: magic byte 0, schema id in 4 big-endian bytes, Avro body.

use std::fmt;

/// Length of the header in front of the Avro body.
pub const HEADER_LEN: usize = 5;

const MAGIC: u8 = 0;

/// The registry's number for a writer schema; the same number never means another schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record value that does not start with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("the value has {len} bytes, fewer than the {HEADER_LEN} of magic byte and schema id")]
    TooShort { len: usize },
    #[error("the value starts with byte 0x{found:02x}, not with magic byte 0")]
    BadMagic { found: u8 },
}

/// Splits a record value into the id of its writer schema and its Avro body.
///
/// # Errors
/// [`FramingError`] where there is no header.
pub fn parse(value: &[u8]) -> Result<(SchemaId, &[u8]), FramingError> {
    match value {
        [MAGIC, a, b, c, d, body @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), body)),
        [found, _, _, _, _, ..] => Err(FramingError::BadMagic { found: *found }),
        _ => Err(FramingError::TooShort { len: value.len() }),
    }
}

/// The header to put in front of a body that was written with schema `id`.
#[must_use]
pub fn header(id: SchemaId) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = id.0.to_be_bytes();
    [MAGIC, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes_are_those_of_confluent() {
        assert_eq!(header(SchemaId(0x0102_0304)), [0, 1, 2, 3, 4]);
        assert_eq!(parse(&[0, 1, 2, 3, 4, 9]), Ok((SchemaId(0x0102_0304), &[9u8][..])));
        assert_eq!(parse(&header(SchemaId(7))), Ok((SchemaId(7), &[][..])));
    }

    #[test]
    fn values_without_header_are_refused() {
        assert_eq!(parse(&[]), Err(FramingError::TooShort { len: 0 }));
        assert_eq!(parse(&[0, 0, 0, 1]), Err(FramingError::TooShort { len: 4 }));
        assert_eq!(parse(b"{\"a\":1}"), Err(FramingError::BadMagic { found: b'{' }));
    }
}
