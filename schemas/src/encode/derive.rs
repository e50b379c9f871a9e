//! The text of an Avro schema from Arrow fields.
//!
//! It is put together by hand: a JSON library sorts keys or not, depending on how it was built, and
//! a text that is another one is registered anew. Names are checked or made here, so none of them
//! needs escaping; docs are escaped.

use std::collections::HashSet;
use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit, UnionFields};
use serde_json::Value;

use super::DOC;
use crate::error::SchemaError;

/// The record `namespace.name`.
///
/// # Errors
/// [`SchemaError`] naming the column that can't be a field.
pub(super) fn record_text(namespace: &str, name: &str, fields: &Fields) -> Result<String, SchemaError> {
    let mut text = Text { out: String::new(), named: HashSet::new() };
    let name = text.new_name(name);
    let head = format!(r#"{{"type":"record","name":"{name}","namespace":"{namespace}","fields":["#);
    text.out.push_str(&head);
    text.fields(&name, fields, "column")?;
    text.out.push_str("]}");
    Ok(text.out)
}

struct Text {
    out: String,
    /// Names of records and fixed types: each may be defined once.
    named: HashSet<String>,
}

impl Text {
    fn new_name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.named.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    fn fields(&mut self, path: &str, fields: &Fields, word: &str) -> Result<(), SchemaError> {
        let mut seen = HashSet::new();
        for (i, field) in fields.iter().enumerate() {
            let name = field.name();
            let place = format!("{word} \"{name}\"");
            if !is_name(name) {
                let problem = "Avro takes names of ASCII letters, digits and _ that don't start with a digit";
                return Err(SchemaError::new(problem).at(&place));
            }
            if !seen.insert(name) {
                return Err(SchemaError::new("the name comes twice").at(&place));
            }
            let comma = if i == 0 { "" } else { "," };
            write!(self.out, r#"{comma}{{"name":"{name}","type":"#).expect("a String takes everything");
            self.field(&format!("{path}_{name}"), field).map_err(|error| error.at(&place))?;
            if is_nullable(field) {
                self.out.push_str(r#","default":null"#);
            }
            if let Some(doc) = field.metadata().get(DOC) {
                write!(self.out, r#","doc":{}"#, Value::from(doc.as_str()))
                    .expect("a String takes everything");
            }
            self.out.push('}');
        }
        Ok(())
    }

    /// The type of a field, an item or a value, with null if it may be null.
    fn field(&mut self, path: &str, field: &Field) -> Result<(), SchemaError> {
        if let DataType::Union(branches, _) = field.data_type() {
            return self.union(path, branches);
        }
        if !is_nullable(field) {
            return self.data_type(path, field.data_type());
        }
        self.out.push_str(r#"["null","#);
        self.data_type(path, field.data_type())?;
        self.out.push(']');
        Ok(())
    }

    fn data_type(&mut self, path: &str, data_type: &DataType) -> Result<(), SchemaError> {
        if let Some(primitive) = primitive(data_type) {
            self.out.push_str(primitive);
            return Ok(());
        }
        match data_type {
            DataType::UInt64 => self.decimal(20, 0),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => self.decimal(*precision, *scale),
            DataType::FixedSizeBinary(size) if 0 < *size => {
                let name = self.new_name(path);
                write!(self.out, r#"{{"type":"fixed","name":"{name}","size":{size}}}"#)
                    .expect("a String takes everything");
                Ok(())
            }
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                self.out.push_str(r#"{"type":"array","items":"#);
                self.field(path, item)?;
                self.out.push('}');
                Ok(())
            }
            DataType::Map(entries, _) => self.map(path, entries),
            DataType::Struct(fields) if !fields.is_empty() => {
                let name = self.new_name(path);
                write!(self.out, r#"{{"type":"record","name":"{name}","fields":["#)
                    .expect("a String takes everything");
                self.fields(&name, fields, "field")?;
                self.out.push_str("]}");
                Ok(())
            }
            other => Err(refused(other)),
        }
    }

    /// Null, which every union has, then the other branches in their order.
    fn union(&mut self, path: &str, branches: &UnionFields) -> Result<(), SchemaError> {
        let mut seen = HashSet::new();
        self.out.push_str(r#"["null""#);
        for (_, branch) in branches.iter().filter(|(_, branch)| *branch.data_type() != DataType::Null) {
            let data_type = branch.data_type();
            // Types with a name may come more than once.
            let word = match data_type {
                DataType::Struct(_) | DataType::FixedSizeBinary(_) => None,
                DataType::List(_) => Some("array"),
                DataType::Map(..) => Some("map"),
                _ => primitive(data_type).or(Some("decimal")),
            };
            if word.is_some_and(|word| !seen.insert(word)) {
                let problem = format!("two of its types are {data_type}, and a union of Avro has each once");
                return Err(SchemaError::new(problem));
            }
            self.out.push(',');
            let name = branch.name().rsplit('.').next().unwrap_or_default();
            self.data_type(&format!("{path}_{name}"), data_type)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn decimal(&mut self, precision: u8, scale: i8) -> Result<(), SchemaError> {
        match u8::try_from(scale) {
            Ok(scale) if scale <= precision => {
                write!(
                    self.out,
                    r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
                )
                .expect("a String takes everything");
                Ok(())
            }
            _ => Err(SchemaError::new(format!(
                "a decimal of precision {precision} and scale {scale} has no Avro type: cast it"
            ))),
        }
    }

    fn map(&mut self, path: &str, entries: &Field) -> Result<(), SchemaError> {
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(SchemaError::new("a map without entries"));
        };
        let [key, value] = &fields[..] else {
            return Err(SchemaError::new("a map's entries are keys and values"));
        };
        if !matches!(key.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            return Err(SchemaError::new("the keys of a map must be strings in Avro"));
        }
        self.out.push_str(r#"{"type":"map","values":"#);
        self.field(path, value)?;
        self.out.push('}');
        Ok(())
    }
}

/// Whether its type is a union with null. A field of type null is null and nothing else; one of several types is always
/// such a union.
pub(super) fn is_nullable(field: &Field) -> bool {
    match field.data_type() {
        DataType::Null => false,
        DataType::Union(..) => true,
        _ => field.is_nullable(),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Types that need nothing but their name.
fn primitive(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Null => r#""null""#,
        DataType::Boolean => r#""boolean""#,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => r#""int""#,
        DataType::Int64 | DataType::UInt32 => r#""long""#,
        DataType::Float16 | DataType::Float32 => r#""float""#,
        DataType::Float64 => r#""double""#,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => r#""string""#,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => r#""bytes""#,
        DataType::Date32 => r#"{"type":"int","logicalType":"date"}"#,
        DataType::Time32(TimeUnit::Millisecond) => r#"{"type":"int","logicalType":"time-millis"}"#,
        DataType::Time64(TimeUnit::Microsecond) => r#"{"type":"long","logicalType":"time-micros"}"#,
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => {
            r#"{"type":"long","logicalType":"timestamp-millis"}"#
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            r#"{"type":"long","logicalType":"timestamp-micros"}"#
        }
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => {
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#
        }
        DataType::Timestamp(TimeUnit::Millisecond, None) => {
            r#"{"type":"long","logicalType":"local-timestamp-millis"}"#
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            r#"{"type":"long","logicalType":"local-timestamp-micros"}"#
        }
        DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            r#"{"type":"long","logicalType":"local-timestamp-nanos"}"#
        }
        _ => return None,
    })
}

fn refused(data_type: &DataType) -> SchemaError {
    let advice = match data_type {
        DataType::Timestamp(..) | DataType::Date64 => "cast it to TIMESTAMP(3)",
        DataType::Time32(_) | DataType::Time64(_) => "cast it to TIME(6)",
        DataType::Interval(_) | DataType::Duration(_) => "cast it to BIGINT or VARCHAR",
        _ => "cast it, or leave it out",
    };
    SchemaError::new(format!("Avro has no type for {data_type}: {advice}"))
}
