//! What stands in front of a record's Avro body and says which schema wrote it.
//!
//! | framing | header |
//! | --- | --- |
//! | Confluent's wire format | byte 0, the schema's id in the registry in 4 big-endian bytes |
//! | Avro's single-object encoding | bytes C3 01, the schema's fingerprint in 8 little-endian bytes |

mod fingerprint;

use std::fmt;

pub use fingerprint::Fingerprint;

/// Length of the header of Confluent's wire format.
pub const HEADER_LEN: usize = 5;

/// Length of the header of single-object encoding.
pub const SINGLE_OBJECT_HEADER_LEN: usize = 10;

const MAGIC: u8 = 0;
const MARKER: [u8; 2] = [0xc3, 0x01];

/// The registry's number for a writer schema; the same number never means another schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How records say which schema wrote them. All records of a topic do it in one way: what looks like the other one
/// is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    Confluent,
    SingleObject,
}

/// What a header says of the writer schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WrittenBy {
    Id(SchemaId),
    Fingerprint(Fingerprint),
}

/// A record value that does not start with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("the value has {len} bytes, fewer than the {HEADER_LEN} of magic byte and schema id")]
    TooShort { len: usize },
    #[error("the value starts with byte 0x{found:02x}, not with magic byte 0")]
    BadMagic { found: u8 },
    #[error("the value has {len} bytes, fewer than the {SINGLE_OBJECT_HEADER_LEN} of marker and fingerprint")]
    TooShortForFingerprint { len: usize },
    #[error("the value starts with bytes 0x{:02x}{:02x}, not with the marker 0xc301", found[0], found[1])]
    BadMarker { found: [u8; 2] },
}

impl Framing {
    /// Splits a record value into what it says of its writer schema, and its Avro body.
    ///
    /// # Errors
    /// [`FramingError`] where there is no header.
    pub fn parse(self, value: &[u8]) -> Result<(WrittenBy, &[u8]), FramingError> {
        match self {
            Self::Confluent => parse(value).map(|(id, body)| (WrittenBy::Id(id), body)),
            Self::SingleObject => match value.split_first_chunk::<SINGLE_OBJECT_HEADER_LEN>() {
                Some(([a, b, fingerprint @ ..], body)) if [*a, *b] == MARKER => {
                    let fingerprint = Fingerprint(u64::from_le_bytes(*fingerprint));
                    Ok((WrittenBy::Fingerprint(fingerprint), body))
                }
                Some(([a, b, ..], _)) => Err(FramingError::BadMarker { found: [*a, *b] }),
                None => Err(FramingError::TooShortForFingerprint { len: value.len() }),
            },
        }
    }
}

impl WrittenBy {
    /// The header that says so, and zeros behind it where it is the shorter one.
    pub(crate) fn header(self) -> [u8; SINGLE_OBJECT_HEADER_LEN] {
        match self {
            Self::Id(id) => {
                let [a, b, c, d, e] = header(id);
                [a, b, c, d, e, 0, 0, 0, 0, 0]
            }
            Self::Fingerprint(fingerprint) => single_object_header(fingerprint),
        }
    }
}

/// Splits a record value in Confluent's wire format into the id of its writer schema and its Avro body.
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

/// The header of single-object encoding in front of a body that was written with a schema of this fingerprint.
#[must_use]
pub fn single_object_header(fingerprint: Fingerprint) -> [u8; SINGLE_OBJECT_HEADER_LEN] {
    let [a, b, c, d, e, f, g, h] = fingerprint.0.to_le_bytes();
    [MARKER[0], MARKER[1], a, b, c, d, e, f, g, h]
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

    #[test]
    fn header_bytes_are_those_of_single_object_encoding() {
        let fingerprint = Fingerprint(0x0807_0605_0403_0201);
        let header = single_object_header(fingerprint);
        assert_eq!(header, [0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let value = [&header[..], &[9]].concat();
        assert_eq!(
            Framing::SingleObject.parse(&value),
            Ok((WrittenBy::Fingerprint(fingerprint), &[9u8][..]))
        );
        assert_eq!(WrittenBy::Fingerprint(fingerprint).header(), header);
        assert_eq!(
            Framing::SingleObject.parse(&header[..9]),
            Err(FramingError::TooShortForFingerprint { len: 9 })
        );
        let confluent = [0; SINGLE_OBJECT_HEADER_LEN];
        let error = Framing::SingleObject.parse(&confluent).unwrap_err();
        assert_eq!(error.to_string(), "the value starts with bytes 0x0000, not with the marker 0xc301");
        assert_eq!(Framing::Confluent.parse(&header), Err(FramingError::BadMagic { found: 0xc3 }));
    }
}
