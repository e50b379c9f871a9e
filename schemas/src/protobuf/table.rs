//! A message as the columns of a table, in the order of the file.
//!
//! | Protobuf | Avro |
//! | --- | --- |
//! | `int32 sint32 sfixed32`; `uint32 fixed32`, `int64 sint64 sfixed64` | `int`; `long` |
//! | `uint64 fixed64` | `decimal(20,0)` |
//! | `float double bool string bytes` | the same |
//! | an enum | `string`: the value's name, or its number where it has none |
//! | a message; a message within itself | `record`; not a column |
//! | `repeated T`, `map<K, V>` | `array`, `map` with keys as texts |
//! | `google.protobuf.Timestamp` | `timestamp-micros` |
//! | `google.protobuf.Duration` | `decimal(21,9)`: seconds |
//! | `google.protobuf.Int64Value` and other wrappers | what they wrap, nullable |
//!
//! A field that knows whether it is set (`optional`, in a `oneof`, a message) is nullable, and null where it is not; one
//! of proto2 with a default of its own is that. Any other that is not set is 0, `false`, empty, or the enum's first value.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::{Value as Json, json};

use super::File;
use crate::error::SchemaError;
use crate::registry::SchemaText;

/// Types of messages that one message may be made of.
const MAX_MESSAGES: usize = 1_000;

/// Messages in messages; an Avro schema has fewer levels.
const MAX_DEPTH: usize = 64;

/// A message with all that it is made of.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) root: MessageDescriptor,
    /// The first one is the root.
    pub(crate) messages: Vec<Vec<Field>>,
    names: Vec<String>,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) descriptor: FieldDescriptor,
    pub(crate) shape: Shape,
}

/// How many values a field has.
#[derive(Debug)]
pub(crate) enum Shape {
    One(Type, Presence),
    List(Type),
    Map(Type),
}

/// What a field is that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Default,
    Null,
    /// It must be.
    Required,
}

/// What a value is written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Long,
    Unsigned,
    Float,
    Double,
    Boolean,
    Text,
    Bytes,
    Enum,
    Timestamp,
    Duration,
    /// A message of one field, `value`.
    Wrapped(Box<Self>),
    /// Index of the message.
    Record(usize),
}

impl Table {
    /// The table of the message that a schema means.
    ///
    /// # Errors
    /// [`SchemaError`] where the text is no schema, or has no message that can be a table.
    pub(crate) fn new(text: &SchemaText) -> Result<Self, SchemaError> {
        let root = File::parse(text)?.message(text.message.as_deref())?;
        let mut found = vec![root.clone()];
        let mut places = HashMap::from([(root.full_name().to_owned(), 0)]);
        let mut messages = Vec::new();
        while let Some(message) = found.get(messages.len()).cloned() {
            if MAX_MESSAGES < found.len() {
                return Err(SchemaError::new(format!("it is made of more than {MAX_MESSAGES} messages")));
            }
            let declared = message.descriptor_proto().field.iter();
            let fields = declared.filter_map(|field| message.get_field(u32::try_from(field.number()).ok()?));
            let fields = fields
                .map(|descriptor| Field { shape: shape(&descriptor, &mut found, &mut places), descriptor });
            messages.push(fields.collect());
        }
        let names = found.iter().map(|message| message.full_name().to_owned()).collect();
        Ok(Self { root, messages, names })
    }

    /// The text of the Avro schema.
    ///
    /// # Errors
    /// [`SchemaError`] where it is nested too deeply.
    pub(crate) fn to_avro(&self) -> Result<String, SchemaError> {
        let mut written = Written { is_defined: vec![false; self.messages.len()], depth: 0 };
        Ok(self.record(0, &mut written)?.to_string())
    }

    fn record(&self, message: usize, written: &mut Written) -> Result<Json, SchemaError> {
        let name = &self.names[message];
        if std::mem::replace(&mut written.is_defined[message], true) {
            return Ok(json!(name));
        }
        if MAX_DEPTH <= written.depth {
            return Err(SchemaError::new(format!("messages nested deeper than {MAX_DEPTH} levels")));
        }
        written.depth += 1;
        let fields = self.messages[message].iter().map(|field| {
            let name = field.descriptor.name();
            let (Shape::One(ty, _) | Shape::List(ty) | Shape::Map(ty)) = &field.shape;
            let ty = self.avro(ty, written)?;
            Ok(match &field.shape {
                Shape::List(_) => {
                    json!({ "name": name, "type": { "type": "array", "items": ty }, "default": [] })
                }
                Shape::Map(_) => {
                    json!({ "name": name, "type": { "type": "map", "values": ty }, "default": {} })
                }
                Shape::One(_, Presence::Null) => {
                    json!({ "name": name, "type": ["null", ty], "default": null })
                }
                Shape::One(_, Presence::Required) => json!({ "name": name, "type": ty }),
                Shape::One(_, Presence::Default) => {
                    json!({ "name": name, "type": ty, "default": default(&field.descriptor) })
                }
            })
        });
        let fields = fields.collect::<Result<Vec<_>, SchemaError>>()?;
        written.depth -= 1;
        Ok(json!({ "type": "record", "name": name, "fields": fields }))
    }

    fn avro(&self, ty: &Type, written: &mut Written) -> Result<Json, SchemaError> {
        let decimal = |precision: u32, scale: u32| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
        Ok(match ty {
            Type::Int => json!("int"),
            Type::Long => json!("long"),
            Type::Unsigned => decimal(20, 0),
            Type::Float => json!("float"),
            Type::Double => json!("double"),
            Type::Boolean => json!("boolean"),
            Type::Text | Type::Enum => json!("string"),
            Type::Bytes => json!("bytes"),
            Type::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
            Type::Duration => decimal(21, 9),
            Type::Wrapped(inner) => self.avro(inner, written)?,
            Type::Record(message) => self.record(*message, written)?,
        })
    }
}

/// How far an Avro schema is written.
struct Written {
    /// By message: what follows has its name alone.
    is_defined: Vec<bool>,
    /// Messages around the one that is being written.
    depth: usize,
}

fn shape(
    field: &FieldDescriptor,
    found: &mut Vec<MessageDescriptor>,
    places: &mut HashMap<String, usize>,
) -> Shape {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            Shape::Map(type_of(&entry.map_entry_value_field().kind(), found, places))
        }
        kind if field.is_list() => Shape::List(type_of(&kind, found, places)),
        kind => {
            let has_default = field.field_descriptor_proto().default_value.is_some();
            let presence = match (field.is_required(), field.supports_presence()) {
                (true, _) => Presence::Required,
                (false, true) if !has_default => Presence::Null,
                _ => Presence::Default,
            };
            Shape::One(type_of(&kind, found, places), presence)
        }
    }
}

fn type_of(kind: &Kind, found: &mut Vec<MessageDescriptor>, places: &mut HashMap<String, usize>) -> Type {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Type::Int,
        Kind::Uint32 | Kind::Fixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Type::Long,
        Kind::Uint64 | Kind::Fixed64 => Type::Unsigned,
        Kind::Float => Type::Float,
        Kind::Double => Type::Double,
        Kind::Bool => Type::Boolean,
        Kind::String => Type::Text,
        Kind::Bytes => Type::Bytes,
        Kind::Enum(_) => Type::Enum,
        Kind::Message(message) => well_known(message).unwrap_or_else(|| {
            Type::Record(*places.entry(message.full_name().to_owned()).or_insert_with(|| {
                found.push(message.clone());
                found.len() - 1
            }))
        }),
    }
}

/// What a message of Google's is that stands for one value. One that only bears the name of one, as a file may that
/// says it were theirs, is a message as any other.
fn well_known(message: &MessageDescriptor) -> Option<Type> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    let kinds: Vec<_> =
        message.fields().map(|field| (field.number(), field.is_list(), field.kind())).collect();
    match (name, &kinds[..]) {
        ("Timestamp", [(1, false, Kind::Int64), (2, false, Kind::Int32)]) => Some(Type::Timestamp),
        ("Duration", [(1, false, Kind::Int64), (2, false, Kind::Int32)]) => Some(Type::Duration),
        (name, [(1, false, value)]) => {
            let wrapped = match value {
                Kind::Bool => ("BoolValue", Type::Boolean),
                Kind::Bytes => ("BytesValue", Type::Bytes),
                Kind::Double => ("DoubleValue", Type::Double),
                Kind::Float => ("FloatValue", Type::Float),
                Kind::Int32 => ("Int32Value", Type::Int),
                Kind::Int64 => ("Int64Value", Type::Long),
                Kind::String => ("StringValue", Type::Text),
                Kind::Uint32 => ("UInt32Value", Type::Long),
                Kind::Uint64 => ("UInt64Value", Type::Unsigned),
                _ => return None,
            };
            (wrapped.0 == name).then(|| Type::Wrapped(Box::new(wrapped.1)))
        }
        _ => None,
    }
}

/// What a field is that is not set, as a default of Avro.
fn default(field: &FieldDescriptor) -> Json {
    let float = |value: f64| match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if 0.0 < value { "Infinity" } else { "-Infinity" }),
        value => json!(value),
    };
    let latin1 = |bytes: &[u8]| json!(bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
    match field.default_value() {
        Value::Bool(value) => json!(value),
        Value::I32(value) => json!(value),
        Value::I64(value) => json!(value),
        Value::U32(value) => json!(value),
        Value::U64(value) => {
            let bytes = i128::from(value).to_be_bytes();
            // As few bytes as it needs would do as well.
            latin1(&bytes[7..])
        }
        Value::F32(value) => float(f64::from(value)),
        Value::F64(value) => float(value),
        Value::String(value) => json!(value),
        Value::Bytes(value) => latin1(&value),
        Value::EnumNumber(number) => json!(enum_text(field, number)),
        Value::Message(_) | Value::List(_) | Value::Map(_) => Json::Null,
    }
}

/// The name of an enum's value, or its number where it has none.
pub(crate) fn enum_text(field: &FieldDescriptor, number: i32) -> String {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    let value = kind.as_enum().and_then(|kind| kind.get_value(number));
    value.map_or_else(|| number.to_string(), |value| value.name().to_owned())
}
