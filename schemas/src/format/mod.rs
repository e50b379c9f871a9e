//! Formats besides Avro: a value is rewritten as the Avro record of the reader schema that it stands for, and read as one.
//!
//! ```text
//! value ─► json, csv, protobuf or raw ─► Avro bytes of the reader schema ─► Decoder ─► columns
//!            └ bad_payload: which field, what was expected
//! ```
//!
//! So every type of column is filled in one way, and Avro, which everything is tuned for, pays nothing for the others.
//!
//! Invariants:
//! 1. As of a `Decoder`: a record is a row, a rejection or a tombstone, by itself alone.
//! 2. No registry has to answer for records to be read, but for those of Protobuf that name their schema: of them as of
//!    Avro's.

mod csv;
mod json;
mod protobuf;
mod scalar;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use self::protobuf::{Found, Protobuf};
use crate::avro::Schema;
use crate::decode::{DecodedBatch, Decoder, RejectReason, Rejected, SeenSchema, registered};
use crate::encode::write;
use crate::error::FatalError;
use crate::registry::{Fingerprints, Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::resolve::ReaderSchema;
use crate::wire::{self, SchemaId};

/// How record values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Avro behind a header that names the schema.
    #[default]
    Avro,
    /// A JSON object, alone or behind the header of Confluent's wire format.
    Json,
    /// A line of RFC 4180, its fields in the order of the schema's.
    Csv {
        /// What is between fields: a character of ASCII.
        delimiter: u8,
    },
    /// A Protobuf message, alone or behind the header of Confluent's wire format and the place of its message.
    Protobuf,
    /// Any bytes: the only column, `value`.
    Raw,
}

/// The schema of a table of [`Format::Raw`].
pub const RAW_SCHEMA: &str = r#"{"type":"record","name":"raw","fields":[{"name":"value","type":"bytes"}]}"#;

/// Decodes values of any format.
#[derive(Debug)]
pub enum AnyDecoder {
    Avro(Box<Decoder>),
    Other(Box<Rewriting>),
}

impl AnyDecoder {
    /// A decoder to the fields at `columns` of the reader schema, in that order.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub fn new(
        format: Format,
        reader: Arc<ReaderSchema>,
        columns: Vec<usize>,
        registry: Arc<dyn SchemaRegistry>,
    ) -> Result<Self, FatalError> {
        if format == Format::Avro {
            return Decoder::new(reader, columns, registry).map(|decoder| Self::Avro(Box::new(decoder)));
        }
        let own = Arc::new(OwnSchema(Arc::new(reader.source().in_avro().map_err(FatalError::Schema)?)));
        let inner = Decoder::new(Arc::clone(&reader), columns, own)?;
        let protobuf = match format {
            Format::Protobuf => Some(Protobuf::new(reader.source()).map_err(FatalError::Schema)?),
            _ => None,
        };
        Ok(Self::Other(Box::new(Rewriting {
            format,
            reader,
            registry,
            inner,
            protobuf,
            bytes: Vec::new(),
            registered: HashMap::new(),
        })))
    }

    /// The same; where it is one of Avro, for values in single-object encoding, of the schemas of one subject.
    #[must_use]
    pub fn single_object(self, fingerprints: Arc<Fingerprints>) -> Self {
        match self {
            Self::Avro(decoder) => Self::Avro(Box::new(decoder.single_object(fingerprints))),
            other => other,
        }
    }

    /// Decodes `values` from index `from` on; `None` is a tombstone.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode<'a>(
        &mut self,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
        from: usize,
    ) -> Result<DecodedBatch, FatalError> {
        match self {
            Self::Avro(decoder) => decoder.decode(values, from),
            Self::Other(rewriting) => rewriting.decode(values, from),
        }
    }

    /// The id of the schema that a value was written with, where it says so.
    #[must_use]
    pub fn schema_id(&self, value: &[u8]) -> Option<SchemaId> {
        match self {
            Self::Avro(decoder) => decoder.schema_id(value),
            Self::Other(rewriting) => rewriting.split(value).0,
        }
    }
}

/// Ids whose subjects are remembered; past that all are asked for anew.
const MAX_IDS: usize = 1_000;

/// A decoder of rewritten values.
#[derive(Debug)]
pub struct Rewriting {
    format: Format,
    reader: Arc<ReaderSchema>,
    registry: Arc<dyn SchemaRegistry>,
    inner: Decoder,
    protobuf: Option<Protobuf>,

    /// The rewritten values of a batch, one behind the other.
    bytes: Vec<u8>,
    registered: HashMap<SchemaId, Option<SubjectVersion>>,
}

impl Rewriting {
    /// The schema id that a value names, and what is behind it.
    fn split<'a>(&self, value: &'a [u8]) -> (Option<SchemaId>, &'a [u8]) {
        // No JSON text begins with a zero byte, and no message of Protobuf.
        match wire::parse(value) {
            Ok((id, body)) if matches!(self.format, Format::Json | Format::Protobuf) => (Some(id), body),
            _ => (None, value),
        }
    }

    fn decode<'a>(
        &mut self,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
        from: usize,
    ) -> Result<DecodedBatch, FatalError> {
        let (mut kept, mut ends, mut rejected, mut schemas) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut tombstones, mut next, mut blocked) = (0, from, None);
        self.bytes.clear();
        for value in values.into_iter().skip(from) {
            let record = u32::try_from(next).expect("a batch has fewer than 2^32 records");
            next += 1;
            let Some(value) = value else {
                tombstones += 1;
                continue;
            };
            let body = match self.body(value, record, &mut schemas) {
                Found::Message(body) => body,
                Found::Rejected(reason, detail) => {
                    rejected.push(Rejected { record, reason, detail });
                    continue;
                }
                Found::Away(detail) => {
                    blocked = Some(detail);
                    next -= 1;
                    break;
                }
            };
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&wire::header(OWN_ID));
            let rewritten = match &self.protobuf {
                Some(protobuf) => protobuf.record(body, &mut self.bytes),
                None => rewrite(self.format, self.reader.schema(), body, &mut self.bytes),
            };
            match rewritten {
                Ok(()) => {
                    kept.push(record);
                    ends.push(self.bytes.len());
                }
                Err(fault) => {
                    self.bytes.truncate(start);
                    let reason = RejectReason::BadPayload;
                    rejected.push(Rejected { record, reason, detail: fault.to_string() });
                }
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let rewritten = starts.zip(&ends).map(|(start, end)| Some(&self.bytes[start..*end]));
        let decoded = self.inner.decode(rewritten, 0)?;
        let in_values = |inner: u32| kept[inner as usize];
        rejected
            .extend(decoded.rejected.into_iter().map(|it| Rejected { record: in_values(it.record), ..it }));
        rejected.sort_by_key(|rejected| rejected.record);
        Ok(DecodedBatch {
            batch: decoded.batch,
            records: decoded.records.into_iter().map(in_values).collect(),
            rejected,
            tombstones,
            next,
            blocked,
            schemas,
        })
    }

    /// What of a value is to be read. Adds the schema that it names to those of the batch.
    fn body<'a>(&mut self, value: &'a [u8], record: u32, schemas: &mut Vec<SeenSchema>) -> Found<'a> {
        if let Some(protobuf) = &mut self.protobuf {
            return protobuf.find(value, record, &*self.registry, &self.reader, schemas);
        }
        let (id, body) = self.split(value);
        if let Some(id) = id.filter(|id| is_new(schemas, *id)) {
            schemas.push(self.seen(id, record));
        }
        Found::Message(body)
    }

    /// A schema that values name. They are read without it: that a registry is away only costs its subject.
    fn seen(&mut self, id: SchemaId, record: u32) -> SeenSchema {
        if MAX_IDS < self.registered.len() {
            self.registered.clear();
        }
        let (registry, reader) = (&*self.registry, &self.reader);
        // The schema itself is asked for first: a registry that hangs is waited for a moment then.
        let place = self
            .registered
            .entry(id)
            .or_insert_with(|| registry.by_id(id).ok().and_then(|_| registered(registry, reader, id)));
        SeenSchema {
            schema_id: id.0,
            subject: place.as_ref().map(|place| place.subject.clone()),
            version: place.as_ref().map(|place| place.version),
            record,
            compatible: true,
            detail: String::new(),
            schema: None,
        }
    }
}

/// Whether a schema is not among those of a batch yet.
fn is_new(schemas: &[SeenSchema], id: SchemaId) -> bool {
    schemas.iter().all(|seen| seen.schema_id != id.0)
}

fn rewrite(format: Format, schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    match format {
        Format::Json => json::record(schema, value, out),
        Format::Csv { delimiter } => csv::record(schema, delimiter, value, out),
        Format::Raw | Format::Avro | Format::Protobuf => {
            write::bytes(value, out);
            Ok(())
        }
    }
}

/// What is wrong with a value.
#[derive(Debug)]
struct Fault {
    /// The fields that lead to it, from the inside out.
    path: Vec<String>,
    what: String,
}

impl Fault {
    fn new(what: impl Into<String>) -> Self {
        Self { path: Vec::new(), what: what.into() }
    }

    fn inside(mut self, field: &str) -> Self {
        self.path.push(field.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: Vec<_> = self.path.iter().rev().map(String::as_str).collect();
            write!(f, "field \"{}\": ", path.join("."))?;
        }
        f.write_str(&self.what)
    }
}

/// The id that rewritten values carry.
const OWN_ID: SchemaId = SchemaId(0);

/// The registry of rewritten values: it has their schema and nothing else.
#[derive(Debug)]
struct OwnSchema(Arc<SchemaText>);

impl OwnSchema {
    fn nothing<T>(what: &str) -> Result<T, RegistryError> {
        Err(RegistryError::NotFound { what: what.to_owned() })
    }
}

impl SchemaRegistry for OwnSchema {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        if id == OWN_ID { Ok(Arc::clone(&self.0)) } else { Self::nothing("schema") }
    }

    fn subjects_of(&self, _: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Ok(Vec::new())
    }

    fn latest(&self, _: &str) -> Result<Registered, RegistryError> {
        Self::nothing("subject")
    }

    fn versions(&self, _: &str) -> Result<Vec<u32>, RegistryError> {
        Self::nothing("subject")
    }

    fn version(&self, _: &str, _: u32) -> Result<Registered, RegistryError> {
        Self::nothing("subject")
    }

    fn register(&self, _: &str, _: &str) -> Result<SchemaId, RegistryError> {
        Self::nothing("place for a schema")
    }
}
