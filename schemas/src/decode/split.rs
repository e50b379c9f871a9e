//! Where records end that stand one behind the other, without headers: those of a block of an Avro file.
//!
//! Invariant: what [`super::walk`] reads to its end has the same end here, so that a record that can't be split off can't
//! be decoded either. What is wrong within a record is left to the decoder.

use super::cursor::{Cursor, Outcome};
use crate::avro::{Body, Definition, Kind, Schema};
use crate::error::SchemaError;
use crate::registry::SchemaText;

/// Splits the records of one writer schema.
#[derive(Debug)]
pub struct Splitter {
    schema: Schema,
}

impl Splitter {
    /// # Errors
    /// [`SchemaError`] where the text is no Avro schema.
    pub fn new(writer: &SchemaText) -> Result<Self, SchemaError> {
        Ok(Self { schema: writer.parse()? })
    }

    /// How many bytes the record has that `data` begins with; `None` where no record does.
    #[must_use]
    pub fn record_len(&self, data: &[u8]) -> Option<usize> {
        let mut cursor = Cursor::new(data);
        skip(&self.schema.definitions, &self.schema.root.kind, &mut cursor).ok()?;
        Some(data.len() - cursor.pause().0.len())
    }
}

fn skip(definitions: &[Definition], kind: &Kind, cursor: &mut Cursor<'_>) -> Outcome {
    match kind {
        Kind::Null => Ok(()),
        Kind::Boolean => cursor.take(1).map(drop),
        Kind::Int | Kind::Long => cursor.long().map(drop),
        Kind::Float => cursor.take(4).map(drop),
        Kind::Double => cursor.take(8).map(drop),
        Kind::Bytes | Kind::String => cursor.bytes().map(drop),
        Kind::Array(item) => cursor.blocks(|cursor| skip(definitions, &item.kind, cursor)).map(drop),
        Kind::Map(value) => {
            let entry = |cursor: &mut Cursor<'_>| {
                cursor.bytes()?;
                skip(definitions, &value.kind, cursor)
            };
            cursor.blocks(entry).map(drop)
        }
        Kind::Union(branches) => {
            let branch = cursor.branch(branches.len())?;
            skip(definitions, &branches[branch].kind, cursor)
        }
        Kind::Named(index) => match &definitions[*index].body {
            Body::Record(fields) => cursor.nested(|cursor| {
                fields.iter().try_for_each(|field| skip(definitions, &field.node.kind, cursor))
            }),
            Body::Enum { .. } => cursor.long().map(drop),
            Body::Fixed(size) => cursor.take(*size).map(drop),
            Body::Pending => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
        {"name": "id", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "k", "symbols": ["a", "b"]}},
        {"name": "tags", "type": {"type": "map", "values": ["null", "string"]}},
        {"name": "hash", "type": {"type": "fixed", "name": "h", "size": 2}},
        {"name": "next", "type": ["null", "r"]}]}"#;

    #[test]
    fn records_are_split_where_they_end() {
        let splitter = Splitter::new(&SchemaText::from(SCHEMA)).unwrap();
        let end: &[u8] = &[2, 2, 0, 7, 7, 0];
        let tagged: &[u8] = &[4, 0, 2, 2, b'x', 2, 2, b'y', 0, 7, 7, 2, 2, 2, 0, 7, 7, 0];
        let all = [tagged, end].concat();
        assert_eq!(splitter.record_len(&all), Some(tagged.len()));
        assert_eq!(splitter.record_len(&all[tagged.len()..]), Some(end.len()));
        for cut in 0..tagged.len() {
            assert_eq!(splitter.record_len(&tagged[..cut]), None, "{cut} bytes");
        }
    }
}
