//! The reader schema of a table, and what stands between it and a writer's.
//!
//! [`ReaderSchema`] decides which columns a table has; `compile` turns a pair of schemas into a
//! `Plan`, once per writer schema.

mod arrow;
pub(crate) mod compile;
pub(crate) mod plan;
mod recursion;

use std::sync::Arc;

use ::arrow::datatypes::SchemaRef;

use crate::avro::Schema;
use crate::error::SchemaError;
use crate::protobuf::{File, not_read};
use crate::registry::{Language, SchemaText};

pub use arrow::LeftOut;
pub(crate) use arrow::non_null;
pub use compile::Issue;

/// The schema that a table is read with.
#[derive(Debug)]
pub struct ReaderSchema {
    source: SchemaText,
    schema: Schema,
    arrow: SchemaRef,
    left_out: Vec<LeftOut>,
    subject: Option<(String, u32)>,
}

impl ReaderSchema {
    /// Parses a schema that stands for itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        Self::new(text.into())
    }

    /// Parses a schema whose named types may be in its references.
    ///
    /// # Errors
    /// [`SchemaError`] where it is not a schema, not of a record, one of Avro in which a record contains
    /// itself, or has no field that can be a column, see [`Self::left_out`].
    pub fn new(source: SchemaText) -> Result<Self, SchemaError> {
        let mut schema = source.parse()?;
        if source.language == Language::Avro {
            recursion::refuse(&schema)?;
        }
        let (arrow, left_out) = arrow::arrow_schema(&mut schema)?;
        Ok(Self { source, schema, arrow, left_out, subject: None })
    }

    /// Remembers where the schema is from: details of dead letters name it.
    #[must_use]
    pub fn with_subject(mut self, subject: &str, version: u32) -> Self {
        self.subject = Some((subject.to_owned(), version));
        self
    }

    /// The record's fields as columns, in the schema's order.
    ///
    /// | Avro | Arrow |
    /// | --- | --- |
    /// | boolean, int, long, float, double | `Boolean Int32 Int64 Float32 Float64` |
    /// | bytes, fixed, duration | `Binary`, `FixedSizeBinary` |
    /// | string, enum, uuid | `Utf8` |
    /// | decimal | `Decimal128` to 38 digits, else `Decimal256` |
    /// | date, time-millis, time-micros | `Date32`, `Time32(ms)`, `Time64(µs)` |
    /// | timestamp-millis, -micros, -nanos | `Timestamp(unit, "+00:00")` |
    /// | local-timestamp-… | `Timestamp(unit, None)` |
    /// | array, map, record | `List`, `Map`, `Struct` |
    /// | union of null and T | T, nullable |
    /// | any other union | `Union`, sparse: a nullable field for each branch, by its name in Avro's JSON encoding |
    ///
    /// A time is within a day of 24 hours; a record with another number there is a bad payload.
    #[must_use]
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// The fields that are no columns, in the schema's order, since their type can't be one: it is a
    /// decimal of more than 76 digits, a message of Protobuf within itself, or the like.
    /// Whatever records have there is checked and passed over.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The text it was parsed from, with references: whoever keeps it can parse it again.
    #[must_use]
    pub fn source(&self) -> &SchemaText {
        &self.source
    }

    /// Where it is from, if it is from a registry.
    #[must_use]
    pub fn subject(&self) -> Option<(&str, u32)> {
        self.subject.as_ref().map(|(subject, version)| (subject.as_str(), *version))
    }

    /// Why records of `writer` can't be read, or not all of them; empty if all can.
    ///
    /// # Errors
    /// [`SchemaError`] where `writer` is not a schema.
    pub fn check_writer(&self, writer: &SchemaText) -> Result<Vec<Issue>, SchemaError> {
        if [self.source.language, writer.language] == [Language::Protobuf; 2] {
            // Their fields are who they are by number, not by name.
            let reader = File::parse(&self.source)?.message(self.source.message.as_deref())?;
            let rules = not_read(&reader, &File::parse(writer)?).into_iter();
            return Ok(rules.map(|rule| Issue { path: String::new(), rule, conditional: false }).collect());
        }
        let writer = writer.parse()?;
        Ok(compile::compile(&writer, &self.schema).issues)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// `"orders-value" version 3, record "shop.Order"`, for a person.
    pub(crate) fn describe(&self) -> String {
        let record = self.schema.describe(&self.schema.root);
        match &self.subject {
            Some((subject, version)) => format!("\"{subject}\" version {version}, {record}"),
            None => record,
        }
    }
}
