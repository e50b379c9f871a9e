//! JSON values as Avro values of the reader schema.
//!
//! | column | JSON |
//! | --- | --- |
//! | number | a number, or its text; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | decimal | a number, or its text |
//! | date, time, timestamp | ISO 8601, RFC 3339; a number in the unit of the Avro type |
//! | bytes, fixed | base64 |
//! | array; map, record | array; object |
//! | of several types | the first one that the value is one of |
//!
//! A field that is missing has its default, else it is null; where it can be neither, the record is a bad payload. What
//! the schema does not name is passed over. It is what `POST /api/v1/sql` writes, taken back.

use std::borrow::Cow;

use super::text::{Json, Shape};
use super::{Fault, scalar};
use crate::avro::{Body, Field, Kind, Node, Schema, encode_default};
use crate::encode::write;

/// Appends the record that the JSON text `value` stands for.
pub(super) fn record(schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    write(schema, &schema.root, Json::new(value)?, out)
}

/// Appends `value` as a value of type `node`; `out` may have grown after an error.
pub(super) fn write(schema: &Schema, node: &Node, value: Json<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wrong = || scalar::expected(schema, node, value.text());
    if let Kind::Union(branches) = &node.kind {
        return union(schema, node, branches, value, out);
    }
    match (&node.kind, value.shape()) {
        (Kind::Null, Shape::Null) => {}
        (Kind::Boolean, Shape::Boolean(value)) => out.push(u8::from(value)),
        (_, Shape::Number(number)) => scalar::number(schema, node, number, out)?,
        (_, Shape::Text(text)) => scalar::text(schema, node, &text, out)?,
        (Kind::Array(item), Shape::Array(items)) => {
            // A block of its own for each: how many there are is known behind the last one.
            for (at, value) in items.enumerate() {
                write::long(1, out);
                write(schema, item, value, out).map_err(|fault| fault.inside(&at.to_string()))?;
            }
            write::long(0, out);
        }
        (Kind::Map(item), Shape::Object(members)) => {
            for (key, value) in members {
                write::long(1, out);
                write::bytes(key.as_bytes(), out);
                write(schema, item, value, out).map_err(|fault| fault.inside(&key))?;
            }
            write::long(0, out);
        }
        (Kind::Named(index), Shape::Object(members)) => match &schema.definitions[*index].body {
            Body::Record(fields) => {
                let members: Vec<_> = members.collect();
                fields.iter().try_for_each(|field| {
                    self::field(schema, field, &members, out).map_err(|fault| fault.inside(&field.name))
                })?;
            }
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    }
    Ok(())
}

/// The member of a field's name, else of one of its aliases; of several the last one.
fn field(
    schema: &Schema,
    field: &Field,
    members: &[(Cow<'_, str>, Json<'_>)],
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut names = std::iter::once(&*field.name).chain(field.aliases.iter().map(String::as_str));
    match names.find_map(|name| members.iter().rev().find(|(key, _)| key == name)) {
        Some((_, value)) => write(schema, &field.node, *value, out),
        None => absent(schema, field, out),
    }
}

/// Appends what stands for a field that a record does not have.
pub(super) fn absent(schema: &Schema, field: &Field, out: &mut Vec<u8>) -> Result<(), Fault> {
    match &field.default {
        Some(default) => {
            encode_default(schema, &field.node, default, out).map_err(|error| Fault::new(error.to_string()))
        }
        None => write(schema, &field.node, Json::NULL, out)
            .map_err(|_| Fault::new("it is missing, has no default and can't be null")),
    }
}

/// The first branch that the value is one of.
fn union(
    schema: &Schema,
    node: &Node,
    branches: &[Node],
    value: Json<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = out.len();
    let is_null = matches!(value.shape(), Shape::Null);
    let mut last = None;
    for (at, branch) in branches.iter().enumerate() {
        if (branch.kind == Kind::Null) != is_null {
            continue;
        }
        write::length(at, out);
        match write(schema, branch, value, out) {
            Ok(()) => return Ok(()),
            Err(fault) if last.is_none() => last = Some(fault),
            Err(_) => last = Some(scalar::expected(schema, node, value.text())),
        }
        out.truncate(start);
    }
    Err(last.unwrap_or_else(|| scalar::expected(schema, node, value.text())))
}
