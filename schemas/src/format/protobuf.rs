//! Protobuf messages as Avro values of the reader schema, and which writer schemas a table can read.
//!
//! A value is a message alone, or one behind Confluent's header and the place of its message in the schema of that id. It
//! is read by the numbers of its fields with the table's own schema; the writer's says whether they mean the same there.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use prost::encoding::decode_varint;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, Value};

use super::{Fault, is_new};
use crate::decode::{RejectReason, SeenSchema, registered};
use crate::encode::write;
use crate::error::SchemaError;
use crate::protobuf::{File, Presence, Shape, Table, Type, enum_text, mismatch, not_read};
use crate::registry::{Language, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::resolve::ReaderSchema;
use crate::wire::{self, SchemaId};

/// Writer schemas, and verdicts on their messages, that are remembered; past that all are asked for anew.
const MAX_WRITERS: usize = 1_000;
/// Messages around each other that a record may name.
const MAX_PLACES: usize = 32;
/// What a record may become: fields that are not set take room as values, too.
const MAX_GROWTH: usize = 64;
const ROOM: usize = 64 << 10;
/// Seconds that a duration may have: 10,000 years.
const MAX_DURATION_S: i64 = 315_576_000_000;
const NANOS: i128 = 1_000_000_000;

/// Reads the messages of one table.
#[derive(Debug)]
pub(super) struct Protobuf {
    table: Table,
    writers: HashMap<SchemaId, Arc<Writer>>,
    /// Whether records of a writer schema's message fit the table, or why not.
    verdicts: HashMap<(SchemaId, Vec<usize>), Result<(), String>>,
}

/// A writer schema.
#[derive(Debug)]
pub(super) struct Writer {
    id: SchemaId,
    registered: Option<SubjectVersion>,
    text: Option<Arc<SchemaText>>,
    /// Why it is none.
    file: Result<File, String>,
    /// Whether records of its message of the table's name fit, or why not; it may have others, too.
    fit: Result<(), String>,
}

/// A value, before it is read.
pub(super) enum Found<'a> {
    Message(&'a [u8]),
    /// Of no use.
    Rejected(RejectReason, String),
    Away(String),
}

impl Protobuf {
    /// # Errors
    /// [`SchemaError`] where it is no schema of a table.
    pub(super) fn new(text: &SchemaText) -> Result<Self, SchemaError> {
        Ok(Self { table: Table::new(text)?, writers: HashMap::new(), verdicts: HashMap::new() })
    }

    /// What a value is, `record` among its batch. Adds the schema that it names to those of the batch.
    pub(super) fn find<'a>(
        &mut self,
        value: &'a [u8],
        record: u32,
        registry: &dyn SchemaRegistry,
        reader: &ReaderSchema,
        schemas: &mut Vec<SeenSchema>,
    ) -> Found<'a> {
        // No message begins with a zero byte: there is no field 0.
        if value.first() != Some(&0) {
            return Found::Message(value);
        }
        let bad = |what: String| Found::Rejected(RejectReason::BadFraming, what);
        let (id, rest) = match wire::parse(value) {
            Ok(parts) => parts,
            Err(error) => return bad(error.to_string()),
        };
        let Some((places, body)) = places(rest) else {
            return bad("behind the schema id there is no list of messages' places".to_owned());
        };
        let writer = match self.writer(id, registry, reader) {
            Ok(writer) => writer,
            Err(RegistryError::NotFound { .. }) => {
                let detail = format!("the registry has no schema of id {id}");
                return Found::Rejected(RejectReason::UnknownSchema, detail);
            }
            Err(error) => return Found::Away(error.to_string()),
        };
        if is_new(schemas, id) {
            schemas.push(writer.seen(record));
        }
        match self.verdict(&writer, places) {
            Ok(()) => Found::Message(body),
            Err(detail) => Found::Rejected(RejectReason::IncompatibleSchema, detail),
        }
    }

    fn verdict(&mut self, writer: &Writer, places: Vec<usize>) -> Result<(), String> {
        let key = (writer.id, places);
        if let Some(verdict) = self.verdicts.get(&key) {
            return verdict.clone();
        }
        let verdict = writer.judged(&self.table, |file| match file.message_at(&key.1) {
            Some(message) => mismatch(&self.table.root, &message),
            None => vec![format!("it has no message at {:?}", key.1)],
        });
        if MAX_WRITERS <= self.verdicts.len() {
            self.verdicts.clear();
        }
        self.verdicts.insert(key, verdict.clone());
        verdict
    }

    fn writer(
        &mut self,
        id: SchemaId,
        registry: &dyn SchemaRegistry,
        reader: &ReaderSchema,
    ) -> Result<Arc<Writer>, RegistryError> {
        if let Some(writer) = self.writers.get(&id) {
            return Ok(Arc::clone(writer));
        }
        let (text, file) = match registry.by_id(id) {
            Ok(text) if text.language == Language::Protobuf => {
                let file = File::parse(&text).map_err(|error| error.to_string());
                (Some(text), file)
            }
            Ok(text) => (Some(text), Err("it is not of Protobuf".to_owned())),
            Err(RegistryError::Invalid { detail }) => (None, Err(detail)),
            Err(error) => return Err(error),
        };
        let mut writer = Writer { id, registered: registered(registry, reader, id), text, file, fit: Ok(()) };
        writer.fit = writer.judged(&self.table, |file| not_read(&self.table.root, file));
        let writer = Arc::new(writer);
        if MAX_WRITERS <= self.writers.len() {
            self.writers.clear();
        }
        self.writers.insert(id, Arc::clone(&writer));
        Ok(writer)
    }

    /// Appends the record that a message stands for.
    pub(super) fn record(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let message = DynamicMessage::decode(self.table.root.clone(), bytes).map_err(|error| {
            Fault::new(format!("not a message of \"{}\": {error}", self.table.root.full_name()))
        })?;
        let end = out.len() + ROOM + bytes.len().saturating_mul(MAX_GROWTH);
        Output { table: &self.table, out, end }.message(0, &message)
    }
}

impl Writer {
    /// A verdict, with both schemas named.
    fn judged(&self, table: &Table, issues: impl FnOnce(&File) -> Vec<String>) -> Result<(), String> {
        let issues = match &self.file {
            Err(why) => return Err(format!("writer {} can't be read: {why}", self.name())),
            Ok(file) => issues(file),
        };
        if issues.is_empty() {
            return Ok(());
        }
        let reader = table.root.full_name();
        Err(format!("writer {} does not fit reader message \"{reader}\": {}", self.name(), issues.join("; ")))
    }

    /// `schema 7 ("orders-value" version 3)`
    fn name(&self) -> String {
        match &self.registered {
            Some(SubjectVersion { subject, version }) => {
                format!("schema {} (\"{subject}\" version {version})", self.id)
            }
            None => format!("schema {}", self.id),
        }
    }

    fn seen(&self, record: u32) -> SeenSchema {
        let issue = self.fit.as_ref().err();
        SeenSchema {
            schema_id: self.id.0,
            subject: self.registered.as_ref().map(|registered| registered.subject.clone()),
            version: self.registered.as_ref().map(|registered| registered.version),
            record,
            compatible: issue.is_none(),
            detail: issue.cloned().unwrap_or_default(),
            schema: self.text.clone(),
        }
    }
}

/// The places of a message and those around it, and what is behind them: a number, then so many numbers, all of them zig-zag
/// varints; a single 0 is the first message.
fn places(bytes: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let mut rest = bytes;
    let n = number(&mut rest)?;
    if n == 0 {
        return Some((vec![0], rest));
    }
    let n = Some(n).filter(|n| *n <= MAX_PLACES)?;
    let places = (0..n).map(|_| number(&mut rest)).collect::<Option<_>>()?;
    Some((places, rest))
}

/// None is negative.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let zigzag = decode_varint(rest).ok()?;
    if zigzag & 1 == 0 { usize::try_from(zigzag >> 1).ok() } else { None }
}

struct Output<'a> {
    table: &'a Table,
    out: &'a mut Vec<u8>,
    /// Where it must not get to.
    end: usize,
}

impl Output<'_> {
    fn message(&mut self, at: usize, message: &DynamicMessage) -> Result<(), Fault> {
        let table = self.table;
        for field in &table.messages[at] {
            self.field(&field.descriptor, &field.shape, message)
                .map_err(|fault| fault.inside(field.descriptor.name()))?;
        }
        if self.end < self.out.len() {
            return Err(Fault::new(format!(
                "it is too large: with all fields that are not set it is over {MAX_GROWTH} times as long"
            )));
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        shape: &Shape,
        message: &DynamicMessage,
    ) -> Result<(), Fault> {
        match shape {
            Shape::One(ty, Presence::Null) => {
                let is_set = message.has_field(field);
                write::length(usize::from(is_set), self.out);
                if !is_set {
                    return Ok(());
                }
                self.value(field, ty, &message.get_field(field))
            }
            Shape::One(_, Presence::Required) if !message.has_field(field) => {
                Err(Fault::new("it is required, and missing"))
            }
            Shape::One(ty, _) => self.value(field, ty, &message.get_field(field)),
            Shape::List(ty) => {
                let values = message.get_field(field);
                let values = values.as_list().unwrap_or_default();
                if !values.is_empty() {
                    write::length(values.len(), self.out);
                }
                for (at, value) in values.iter().enumerate() {
                    self.value(field, ty, value).map_err(|fault| fault.inside(&at.to_string()))?;
                }
                write::length(0, self.out);
                Ok(())
            }
            Shape::Map(ty) => self.map(field, ty, &message.get_field(field)),
        }
    }

    fn map(&mut self, field: &FieldDescriptor, ty: &Type, value: &Value) -> Result<(), Fault> {
        let entries = value.as_map().into_iter().flatten();
        let mut entries: Vec<_> = entries.map(|(key, value)| (key_text(key), value)).collect();
        // In memory they have no order, and the same record is the same row every time.
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if !entries.is_empty() {
            write::length(entries.len(), self.out);
        }
        for (key, value) in entries {
            write::bytes(key.as_bytes(), self.out);
            self.value(field, ty, value).map_err(|fault| fault.inside(&key))?;
        }
        write::length(0, self.out);
        Ok(())
    }

    fn value(&mut self, field: &FieldDescriptor, ty: &Type, value: &Value) -> Result<(), Fault> {
        match (ty, value) {
            (Type::Wrapped(inner), Value::Message(message)) => match message.get_field_by_number(1) {
                Some(value) => self.value(field, inner, &value)?,
                None => return Err(unlike(value)),
            },
            (Type::Timestamp, Value::Message(message)) => {
                let (seconds, nanos) = seconds(message);
                let is_within = (0..NANOS).contains(&i128::from(nanos));
                let micros = seconds
                    .checked_mul(1_000_000)
                    .and_then(|micros| micros.checked_add(i64::from(nanos) / 1_000));
                let micros = micros.filter(|_| is_within);
                write::long(
                    micros
                        .ok_or_else(|| Fault::new(format!("{seconds} s and {nanos} ns are no timestamp")))?,
                    self.out,
                );
            }
            (Type::Duration, Value::Message(message)) => {
                let (seconds, nanos) = seconds(message);
                let is_within = seconds.unsigned_abs() <= MAX_DURATION_S.unsigned_abs()
                    && i128::from(nanos).abs() < NANOS;
                if !is_within {
                    return Err(Fault::new(format!("{seconds} s and {nanos} ns are no duration")));
                }
                write::decimal(&(i128::from(seconds) * NANOS + i128::from(nanos)).to_be_bytes(), self.out);
            }
            (Type::Record(at), Value::Message(message)) => self.message(*at, message)?,
            (Type::Int, Value::I32(value)) => write::long(i64::from(*value), self.out),
            (Type::Long, Value::I64(value)) => write::long(*value, self.out),
            (Type::Long, Value::U32(value)) => write::long(i64::from(*value), self.out),
            (Type::Unsigned, Value::U64(value)) => {
                write::decimal(&i128::from(*value).to_be_bytes(), self.out)
            }
            (Type::Float, Value::F32(value)) => self.out.extend_from_slice(&value.to_le_bytes()),
            (Type::Double, Value::F64(value)) => self.out.extend_from_slice(&value.to_le_bytes()),
            (Type::Boolean, Value::Bool(value)) => self.out.push(u8::from(*value)),
            (Type::Text, Value::String(value)) => write::bytes(value.as_bytes(), self.out),
            (Type::Bytes, Value::Bytes(value)) => write::bytes(value, self.out),
            (Type::Enum, Value::EnumNumber(number)) => {
                write::bytes(enum_text(field, *number).as_bytes(), self.out)
            }
            _ => return Err(unlike(value)),
        }
        Ok(())
    }
}

/// A message was read with another descriptor than its table's: a bug here.
fn unlike(value: &Value) -> Fault {
    Fault::new(format!("{value:?} is not of the field's type"))
}

/// `seconds` and `nanos` of a message that has them.
fn seconds(message: &DynamicMessage) -> (i64, i32) {
    let number = |number| message.get_field_by_number(number);
    (
        number(1).and_then(|value| value.as_i64()).unwrap_or_default(),
        number(2).and_then(|value| value.as_i32()).unwrap_or_default(),
    )
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
