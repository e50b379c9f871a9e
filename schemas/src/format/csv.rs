//! A line of CSV as an Avro value of the reader schema: RFC 4180, one record, no header.
//!
//! Fields are the schema's, in its order. An empty field is the column's default, else null, else of a text column the
//! empty text; `""` is the empty text everywhere. Arrays, maps and records are JSON in a field.

use std::borrow::Cow;

use super::text::Json;
use super::{Fault, json, scalar};
use crate::avro::{Body, Field, Kind, Node, Schema};
use crate::encode::write;
use crate::resolve::non_null;

/// Appends the record that a line stands for.
pub(super) fn record(schema: &Schema, delimiter: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let line = std::str::from_utf8(value).map_err(|error| Fault::new(format!("not UTF-8: {error}")))?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let found = split(line, delimiter)?;
    let fields = fields(schema);
    if found.len() != fields.len() {
        let what = format!("the line has {} fields, the schema {}", found.len(), fields.len());
        return Err(Fault::new(what));
    }
    let mut pairs = fields.iter().zip(&found);
    pairs.try_for_each(|(field, cell)| {
        self::field(schema, field, cell, out).map_err(|fault| fault.inside(&field.name))
    })
}

fn fields(schema: &Schema) -> &[Field] {
    match schema.root.kind {
        Kind::Named(index) => match &schema.definitions[index].body {
            Body::Record(fields) => fields,
            _ => &[],
        },
        _ => &[],
    }
}

/// A field of a line.
#[derive(Debug, PartialEq)]
struct Cell<'a> {
    text: Cow<'a, str>,
    is_quoted: bool,
}

fn field(schema: &Schema, field: &Field, cell: &Cell<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let is_text = |node: &Node| node.kind == Kind::String;
    let is_empty = cell.text.is_empty() && !cell.is_quoted;
    if is_empty && !(is_text(&field.node) && field.default.is_none()) {
        return json::absent(schema, field, out);
    }
    node(schema, &field.node, &cell.text, out)
}

fn node(schema: &Schema, node: &Node, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let is_nested = |index: usize| matches!(schema.definitions[index].body, Body::Record(_));
    match (&node.kind, non_null(node)) {
        (Kind::Union(branches), Some((only, _))) => {
            write::length(branches.iter().position(|branch| branch == only).unwrap_or(0), out);
            self::node(schema, only, text, out)
        }
        (Kind::Union(_) | Kind::Array(_) | Kind::Map(_), _) => nested(schema, node, text, out),
        (Kind::Named(index), _) if is_nested(*index) => nested(schema, node, text, out),
        _ => scalar::text(schema, node, text, out),
    }
}

fn nested(schema: &Schema, node: &Node, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    json::write(schema, node, Json::new(text.as_bytes())?, out)
}

/// The fields of a line.
fn split(line: &str, delimiter: u8) -> Result<Vec<Cell<'_>>, Fault> {
    let delimiter = char::from(delimiter);
    let (mut cells, mut rest) = (Vec::new(), line);
    loop {
        let cell = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                let (text, behind) = rest.split_at(end);
                rest = behind;
                Cell { text: Cow::Borrowed(text), is_quoted: false }
            }
            Some(quoted) => {
                let (text, behind) = unquote(quoted)?;
                rest = behind;
                Cell { text, is_quoted: true }
            }
        };
        cells.push(cell);
        match rest.strip_prefix(delimiter) {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Ok(cells),
            None => return Err(Fault::new(format!("field {}: text behind its closing quote", cells.len()))),
        }
    }
}

/// What is within quotes, of which the first was taken already, and what is behind them.
fn unquote(quoted: &str) -> Result<(Cow<'_, str>, &str), Fault> {
    let mut text = Cow::Borrowed("");
    let mut rest = quoted;
    loop {
        let Some((part, behind)) = rest.split_once('"') else {
            return Err(Fault::new("a quote is not closed"));
        };
        if text.is_empty() {
            text = Cow::Borrowed(part)
        } else {
            text.to_mut().push_str(part)
        }
        match behind.strip_prefix('"') {
            Some(behind) => {
                text.to_mut().push('"');
                rest = behind;
            }
            None => return Ok((text, behind)),
        }
    }
}
