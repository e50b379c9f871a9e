//! A batch to records in Confluent wire format: columns straight to bytes.
//!
//! ```text
//! Arrow schema ─► derive ─► text of an Avro schema ─► registry ─► id ─┐
//!                                                                     ▼
//! RecordBatch ─► column: bound once per batch ─► row by row: header, body ─► Encoded
//! ```
//!
//! Invariants:
//! 1. What has a schema can be encoded: a type that Avro can't represent is refused by
//!    [`WriterSchema::derive`], before there are rows.
//! 2. The text of a schema depends on names, types and [`DOC`]s alone, byte for byte, so that it is registered
//!    once.
//! 3. What was encoded is what [`crate::Decoder`] reads, value for value.

mod column;
mod derive;
pub(crate) mod write;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};

use self::column::Column;
use crate::error::{EncodeError, SchemaError};
use crate::wire::{self, HEADER_LEN, SchemaId};

/// Metadata of a column that is the `doc` of its field.
pub const DOC: &str = "doc";

/// The Avro schema of records made from columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterSchema {
    text: String,
    columns: Fields,
}

impl WriterSchema {
    /// The record `name` in `namespace`, a field per column, in their order.
    ///
    /// | Arrow | Avro |
    /// | --- | --- |
    /// | `Boolean`, `Int8` to `Int32`, `UInt8`, `UInt16` | `boolean`, `int` |
    /// | `Int64`, `UInt32` | `long` |
    /// | `UInt64` | `decimal(20,0)`: a `long` is too short |
    /// | `Float16`, `Float32`, `Float64` | `float`, `double` |
    /// | decimals with a scale that is not negative | `bytes`, `decimal` |
    /// | strings; binaries; binaries of fixed size | `string`; `bytes`; `fixed` |
    /// | `Date32`, `Time32(ms)`, `Time64(µs)` | `date`, `time-millis`, `time-micros` |
    /// | timestamps in ms, µs, ns; those without zone | `timestamp-…`; `local-timestamp-…` |
    /// | lists; maps with strings as keys; structs | `array`; `map`; `record` |
    /// | nullable | union of null and the type, null by default |
    /// | unions | union of null and the types of the branches, null by default |
    ///
    /// # Errors
    /// [`SchemaError`] naming the column that Avro has no type or no name for.
    pub fn derive(namespace: &str, name: &str, columns: &Schema) -> Result<Self, SchemaError> {
        let text = derive::record_text(namespace, name, columns.fields())?;
        Ok(Self { text, columns: columns.fields().clone() })
    }

    /// JSON, always the same for the same names, types and docs.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An encoder of records that bear the id that the schema is registered with.
    #[must_use]
    pub fn encoder(&self, id: SchemaId) -> Encoder {
        Encoder { columns: self.columns.clone(), header: wire::header(id) }
    }
}

/// The namespace of a topic's schemas: its name, with `_` for what Avro does not take.
#[must_use]
pub fn namespace(topic: &str) -> String {
    let parts = topic.split('.').filter(|part| !part.is_empty()).map(|part| {
        let digit = part.starts_with(|c: char| c.is_ascii_digit());
        let plain = part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        let mut name = String::from(if digit { "_" } else { "" });
        name.extend(plain);
        name
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "_".to_owned() } else { parts.join(".") }
}

/// Encodes batches of one schema.
#[derive(Debug, Clone)]
pub struct Encoder {
    columns: Fields,
    header: [u8; HEADER_LEN],
}

impl Encoder {
    /// Appends a record per row of `batch`, in their order.
    ///
    /// # Errors
    /// [`EncodeError`] where the batch is not of the columns that the schema was made of; `into` is
    /// left as it was.
    pub fn encode(&self, batch: &RecordBatch, into: &mut Encoded) -> Result<(), EncodeError> {
        let (n_bytes, n_records) = (into.bytes.len(), into.ends.len());
        let result = self.append(batch, into);
        if result.is_err() {
            into.bytes.truncate(n_bytes);
            into.ends.truncate(n_records);
        }
        result
    }

    fn append(&self, batch: &RecordBatch, into: &mut Encoded) -> Result<(), EncodeError> {
        if batch.num_columns() != self.columns.len() {
            return Err(EncodeError::Columns { found: batch.num_columns(), expected: self.columns.len() });
        }
        let fields = self.columns.iter().zip(batch.columns());
        let columns =
            fields.map(|(field, array)| Column::bind(field, array)).collect::<Result<Vec<_>, _>>()?;
        into.ends.reserve(batch.num_rows());
        for row in 0..batch.num_rows() {
            into.bytes.extend_from_slice(&self.header);
            for (column, field) in columns.iter().zip(&self.columns) {
                column
                    .write(row, &mut into.bytes)
                    .map_err(|_| EncodeError::Null { column: field.name().clone() })?;
            }
            into.ends.push(into.bytes.len());
        }
        Ok(())
    }
}

/// Records, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    bytes: Vec<u8>,
    /// Of each record: where it ends.
    ends: Vec<usize>,
}

impl Encoded {
    /// Records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of record `index`, header included.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn record(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    /// Forgets the records and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::namespace;

    #[test]
    fn namespace_of_any_topic_is_a_name_of_avro() {
        let names = ["shop.revenue", "1-a", "a..b", "...", "é"].map(namespace);
        assert_eq!(names, ["shop.revenue", "_1_a", "a.b", "_", "_"]);
    }
}
