//! JSON Schema, draft 4 to 2020-12: what a text says, as the columns of a table, and what it no longer accepts.
//!
//! ```text
//! text, references ─► JsonSchema ─► table: Avro schema
//!                               └─► changes: rules of compatibility
//! ```
//!
//! Invariants:
//! 1. Of a [`JsonSchema`] that was checked every `$ref` leads to a schema of its own text or of its references.
//! 2. Nesting is at most [`MAX_DEPTH`].

mod changes;
mod table;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::SchemaError;

pub(crate) use changes::broken;
pub(crate) use table::{is_json_schema, to_avro};

/// Levels of schemas in schemas.
const MAX_DEPTH: usize = 64;

/// `$ref`s that lead to each other.
const MAX_REFS: usize = 32;

/// A schema further inside than such a pointer has no name.
const MAX_POINTER_BYTES: usize = 4_000;

/// The words of `type`.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords whose value is a schema.
const SCHEMA: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Whose value is a list of schemas.
const SCHEMAS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
/// Whose value is schemas by name.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
/// Whose value is a number that is not negative, and is one of bytes or items.
const LENGTHS: [&str; 6] =
    ["maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"];

/// A schema with what it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonSchema {
    root: Document,
    /// By the names that `$ref`s call them.
    references: BTreeMap<String, Document>,
}

/// A text of its own.
#[derive(Debug, Clone, PartialEq)]
struct Document {
    json: Value,
    /// Pointers to the schemas that have a name in it: `$anchor`, or of older drafts `$id: "#name"`.
    anchors: HashMap<String, String>,
}

/// A schema, and the document that its `$ref`s are within.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    schema: &'a Value,
    document: &'a Document,
}

impl JsonSchema {
    /// `references` are texts by the names that `$ref`s call them.
    ///
    /// # Errors
    /// [`SchemaError`] where it is no JSON Schema, or refers to what is not there.
    pub(crate) fn parse<'a>(
        text: &str,
        references: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SchemaError> {
        let schema = Self::read(text, references)?;
        schema.check(schema.top(), 0)?;
        Ok(schema)
    }

    /// The same, unchecked.
    fn read<'a>(
        text: &str,
        references: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SchemaError> {
        let references = references.map(|(name, text)| Ok((name.to_owned(), Document::parse(text)?)));
        Ok(Self { root: Document::parse(text)?, references: references.collect::<Result<_, SchemaError>>()? })
    }

    /// The schema's own text.
    pub(crate) fn json(&self) -> &Value {
        &self.root.json
    }

    fn top(&self) -> Place<'_> {
        Place { schema: &self.root.json, document: &self.root }
    }

    /// What a schema says, behind its `$ref`s.
    fn follow<'a>(&'a self, place: Place<'a>) -> Result<Place<'a>, SchemaError> {
        let mut place = place;
        for _ in 0..MAX_REFS {
            let Some(target) = place.schema.get("$ref") else { return Ok(place) };
            let target = target.as_str().ok_or_else(|| wrong("$ref", "a text"))?;
            place = self
                .find(place.document, target)
                .ok_or_else(|| SchemaError::new(format!("\"$ref\": {target:?} leads nowhere: it is neither in the schema nor the name of a reference")))?;
        }
        Err(SchemaError::new("\"$ref\" leads to itself"))
    }

    fn find<'a>(&'a self, document: &'a Document, target: &str) -> Option<Place<'a>> {
        let (name, fragment) = target.split_once('#').unwrap_or((target, ""));
        let own = document.own_name();
        let document = match self.references.get(target).or_else(|| self.reference(name, own)) {
            Some(other) => other,
            None if name.is_empty() || name == own => document,
            None => return None,
        };
        let schema = match fragment {
            "" => &document.json,
            pointer if pointer.starts_with('/') => document.json.pointer(&unescaped(pointer))?,
            anchor => document.json.pointer(document.anchors.get(anchor)?)?,
        };
        Some(Place { schema, document })
    }

    /// The reference that a document of the name `own` calls `name`: by what the registry calls it, or by what it calls
    /// itself.
    fn reference(&self, name: &str, own: &str) -> Option<&Document> {
        if name.is_empty() {
            return None;
        }
        // A relative one is beside the document.
        let beside = own.rfind('/').map(|end| format!("{}{name}", &own[..=end]));
        let names = [Some(name), beside.as_deref()];
        names.into_iter().flatten().find_map(|name| {
            let by_itself = || self.references.values().find(|reference| reference.own_name() == name);
            self.references.get(name).or_else(by_itself)
        })
    }

    fn check(&self, place: Place<'_>, depth: usize) -> Result<(), SchemaError> {
        if MAX_DEPTH <= depth {
            return Err(SchemaError::new(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        let object = match place.schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(object) => object,
            other => {
                return Err(SchemaError::new(format!(
                    "{} is not a schema: an object, true or false",
                    short(other)
                )));
            }
        };
        self.follow(place)?;
        let at = |schema| Place { schema, ..place };
        for (key, value) in object {
            let (key, inside) = (key.as_str(), depth + 1);
            match value {
                Value::Object(schemas) if NAMED.contains(&key) => {
                    for (name, schema) in schemas {
                        self.check(at(schema), inside).map_err(|error| error.at(name))?;
                    }
                }
                Value::Array(schemas) if SCHEMAS.contains(&key) => {
                    schemas
                        .iter()
                        .try_for_each(|schema| self.check(at(schema), inside))
                        .map_err(|error| error.at(key))?;
                }
                Value::Object(_) | Value::Bool(_) if SCHEMA.contains(&key) => {
                    self.check(at(value), inside).map_err(|error| error.at(key))?;
                }
                value => check_value(key, value)?,
            }
        }
        Ok(())
    }
}

/// Whether a keyword's value is of its kind.
fn check_value(key: &str, value: &Value) -> Result<(), SchemaError> {
    let is_text = |value: &Value| value.is_string();
    let is_type = |value: &Value| value.as_str().is_some_and(|word| TYPES.contains(&word));
    let expected = match key {
        "type" if !is_type(value) && !value.as_array().is_some_and(|words| words.iter().all(is_type)) => {
            return Err(SchemaError::new(format!(
                "\"type\": {} is none of {}",
                short(value),
                TYPES.join(", ")
            )));
        }
        "enum" if !value.is_array() => "a list",
        // In draft 3 and, where it is a boolean, in a property of it: no other draft knows it.
        "required" if !value.as_array().is_some_and(|names| names.iter().all(is_text)) => "a list of texts",
        "pattern" | "$schema" | "$id" | "$anchor" | "title" | "description" | "format" if !is_text(value) => {
            "a text"
        }
        "maximum" | "minimum" | "multipleOf" if !value.is_number() => "a number",
        "exclusiveMaximum" | "exclusiveMinimum" if !value.is_number() && !value.is_boolean() => "a number",
        "uniqueItems" if !value.is_boolean() => "true or false",
        key if LENGTHS.contains(&key) && value.as_u64().is_none() => "a number of things",
        key if NAMED.contains(&key) => "schemas by name",
        key if SCHEMAS.contains(&key) && !SCHEMA.contains(&key) => "a list of schemas",
        "additionalProperties" | "items" | "not" | "additionalItems" => "a schema",
        _ => return Ok(()),
    };
    Err(wrong(key, expected))
}

fn wrong(key: &str, expected: &str) -> SchemaError {
    SchemaError::new(format!("\"{key}\" must be {expected}"))
}

impl Document {
    fn parse(text: &str) -> Result<Self, SchemaError> {
        let json = serde_json::from_str(text);
        let json = json.map_err(|error| SchemaError::new(format!("it is not JSON: {error}")))?;
        let mut anchors = HashMap::new();
        name_anchors(&json, &mut String::new(), 0, &mut anchors);
        Ok(Self { json, anchors })
    }

    /// What it calls itself; empty: nothing.
    fn own_name(&self) -> &str {
        let own = self.json.get("$id").or(self.json.get("id")).and_then(Value::as_str).unwrap_or_default();
        own.trim_end_matches('#')
    }
}

/// Adds the schemas that have a name, each by the first that has it.
fn name_anchors(schema: &Value, pointer: &mut String, depth: usize, anchors: &mut HashMap<String, String>) {
    for (key, sign) in [("$anchor", ""), ("$id", "#"), ("id", "#")] {
        let name = schema.get(key).and_then(Value::as_str).and_then(|name| name.strip_prefix(sign));
        if let Some(name) = name.filter(|_| pointer.len() <= MAX_POINTER_BYTES) {
            anchors.entry(name.to_owned()).or_insert_with(|| pointer.clone());
        }
    }
    if MAX_DEPTH <= depth {
        return;
    }
    let length = pointer.len();
    let mut inside = |step: &str, inner: &Value| {
        pointer.push('/');
        pointer.push_str(step);
        name_anchors(inner, pointer, depth + 1, anchors);
        pointer.truncate(length);
    };
    match schema {
        Value::Object(object) => {
            object.iter().for_each(|(key, inner)| inside(&key.replace('~', "~0").replace('/', "~1"), inner))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, inner)| inside(&at.to_string(), inner));
        }
        _ => {}
    }
}

/// A pointer in a URI, where some characters are percent-encoded.
fn unescaped(pointer: &str) -> String {
    pointer.replace("%24", "$").replace("%20", " ").replace("%25", "%")
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JsonSchema, String> {
        let base = ("base.json", r#"{"$id":"http://x/ids.json","$defs":{"id":{"type":"integer"}}}"#);
        JsonSchema::parse(text, [base].into_iter()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schema_is_one_and_what_is_none_says_why() {
        for text in [
            "true",
            "{}",
            r##"{"type":["object","null"],"properties":{"a":{"$ref":"base.json#/$defs/id"},"b":{"$ref":"#"}}}"##,
            r##"{"$id":"http://x/y","properties":{"a":{"$ref":"#a"},"b":{"$ref":"http://x/y#/definitions/c"}},"definitions":{"a":{"$anchor":"a"},"c":{"$id":"#c"}}}"##,
            // By what it calls itself, whole or beside the document.
            r##"{"properties":{"a":{"$ref":"http://x/ids.json#/$defs/id"}}}"##,
            r##"{"$id":"http://x/y.json","properties":{"a":{"$ref":"ids.json#/$defs/id"}}}"##,
            r#"{"items":[{"type":"string"},true],"additionalItems":false,"maximum":5,"exclusiveMaximum":true,"x":{"y":1}}"#,
        ] {
            parse(text).expect(text);
        }
        for (text, expected) in [
            ("{", "it is not JSON: EOF while parsing an object at line 1 column 1"),
            ("[]", "[] is not a schema: an object, true or false"),
            (
                r#"{"type":"text"}"#,
                "\"type\": \"text\" is none of array, boolean, integer, null, number, object, string",
            ),
            (
                r#"{"properties":{"a":{"type":7}}}"#,
                "a: \"type\": 7 is none of array, boolean, integer, null, number, object, string",
            ),
            (r#"{"properties":[]}"#, "\"properties\" must be schemas by name"),
            (r#"{"maxLength":-1}"#, "\"maxLength\" must be a number of things"),
            (r##"{"$ref":"#"}"##, "\"$ref\" leads to itself"),
        ] {
            assert_eq!(parse(text).expect_err(text), expected);
        }
        let nowhere = parse(r##"{"items":{"$ref":"#/definitions/a"}}"##).expect_err("it leads nowhere");
        assert!(nowhere.starts_with("items: \"$ref\": \"#/definitions/a\" leads nowhere"), "{nowhere}");
        let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(70), "}".repeat(70));
        assert!(parse(&deep).expect_err("it is deep").contains("64 levels deep"));
    }
}
