//! A field's default, given as JSON, as Avro bytes of the field's own type.
//!
//! A default is then read by the same code as a record's bytes, so that no column needs a second
//! way in.

use serde_json::Value;

use super::{Body, Field, Kind, Node, Schema};
use crate::encode::write;
use crate::error::SchemaError;

/// Appends the Avro encoding of `value` as `node` to `out`.
///
/// A union takes the first branch that the value fits, as since Avro 1.12.
///
/// # Errors
/// [`SchemaError`] where the value is not one of that type; `out` may have grown then.
pub(crate) fn encode_default(
    schema: &Schema,
    node: &Node,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), SchemaError> {
    let wrong =
        || SchemaError::new(format!("default {value} is not a value of type {}", schema.describe(node)));
    match (&node.kind, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
        (Kind::Int, Value::Number(n)) => {
            let n = n.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(wrong)?;
            write::long(i64::from(n), out);
        }
        (Kind::Long, Value::Number(n)) => write::long(n.as_i64().ok_or_else(wrong)?, out),
        (Kind::Float, value) => {
            out.extend_from_slice(&(default_number(value).ok_or_else(wrong)? as f32).to_le_bytes())
        }
        (Kind::Double, value) => {
            out.extend_from_slice(&default_number(value).ok_or_else(wrong)?.to_le_bytes())
        }
        (Kind::String, Value::String(text)) => write::bytes(text.as_bytes(), out),
        (Kind::Bytes, Value::String(text)) => write::bytes(&latin1(text).ok_or_else(wrong)?, out),
        (Kind::Array(item), Value::Array(values)) => {
            if !values.is_empty() {
                write::length(values.len(), out);
                values.iter().try_for_each(|value| encode_default(schema, item, value, out))?;
            }
            write::long(0, out);
        }
        (Kind::Map(item), Value::Object(entries)) => {
            if !entries.is_empty() {
                write::length(entries.len(), out);
                for (key, value) in entries {
                    write::bytes(key.as_bytes(), out);
                    encode_default(schema, item, value, out)?;
                }
            }
            write::long(0, out);
        }
        (Kind::Union(branches), value) => union(schema, branches, value, out).ok_or_else(wrong)?,
        (Kind::Named(index), value) => match (&schema.definitions[*index].body, value) {
            (Body::Record(fields), Value::Object(values)) => record(schema, fields, values, out)?,
            (Body::Enum { symbols, .. }, Value::String(symbol)) => {
                write::length(symbols.iter().position(|s| **s == **symbol).ok_or_else(wrong)?, out);
            }
            (Body::Fixed(size), Value::String(text)) => {
                let fixed = latin1(text).filter(|fixed| fixed.len() == *size).ok_or_else(wrong)?;
                out.extend_from_slice(&fixed);
            }
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    }
    Ok(())
}

fn union(schema: &Schema, branches: &[Node], value: &Value, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    for (index, branch) in branches.iter().enumerate() {
        write::length(index, out);
        if encode_default(schema, branch, value, out).is_ok() {
            return Some(());
        }
        out.truncate(start);
    }
    None
}

fn record(
    schema: &Schema,
    fields: &[Field],
    values: &serde_json::Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), SchemaError> {
    for field in fields {
        let Some(value) = values.get(&*field.name).or(field.default.as_ref()) else {
            return Err(SchemaError::new(format!("the default has no value for field \"{}\"", field.name)));
        };
        encode_default(schema, &field.node, value, out)?;
    }
    Ok(())
}

/// JSON has no infinite numbers, nor those that are none: the libraries write their names.
pub(crate) fn default_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Bytes are written in JSON as the characters U+0000 to U+00FF.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
