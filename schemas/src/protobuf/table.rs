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
    pub(crate) fn to_avro(&self) -> String {
        self.record(0, &mut vec![false; self.messages.len()]).to_string()
    }

    fn record(&self, message: usize, is_defined: &mut [bool]) -> Json {
        let name = &self.names[message];
        if std::mem::replace(&mut is_defined[message], true) {
            return json!(name);
        }
        let fields = self.messages[message].iter().map(|field| {
            let name = field.descriptor.name();
            match &field.shape {
                Shape::List(item) => {
                    json!({ "name": name, "type": { "type": "array", "items": self.avro(item, is_defined) }, "default": [] })
                }
                Shape::Map(value) => {
                    json!({ "name": name, "type": { "type": "map", "values": self.avro(value, is_defined) }, "default": {} })
                }
                Shape::One(ty, Presence::Null) => {
                    json!({ "name": name, "type": ["null", self.avro(ty, is_defined)], "default": null })
                }
                Shape::One(ty, Presence::Required) => json!({ "name": name, "type": self.avro(ty, is_defined) }),
                Shape::One(ty, Presence::Default) => {
                    let default = default(&field.descriptor);
                    json!({ "name": name, "type": self.avro(ty, is_defined), "default": default })
                }
            }
        });
        let fields: Vec<_> = fields.collect();
        json!({ "type": "record", "name": name, "fields": fields })
    }

    fn avro(&self, ty: &Type, is_defined: &mut [bool]) -> Json {
        let decimal = |precision: u32, scale: u32| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
        match ty {
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
            Type::Wrapped(inner) => self.avro(inner, is_defined),
            Type::Record(message) => self.record(*message, is_defined),
        }
    }
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
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => Type::Timestamp,
            "google.protobuf.Duration" => Type::Duration,
            name => {
                let value = message.get_field(1).filter(|_| is_wrapper(name));
                if let Some(value) = value {
                    return Type::Wrapped(Box::new(type_of(&value.kind(), found, places)));
                }
                Type::Record(*places.entry(name.to_owned()).or_insert_with(|| {
                    found.push(message.clone());
                    found.len() - 1
                }))
            }
        },
    }
}

/// Whether a message is one of google/protobuf/wrappers.proto.
fn is_wrapper(name: &str) -> bool {
    let wrapped = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    let wrapped = wrapped.unwrap_or_default();
    ["Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64"].contains(&wrapped)
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
