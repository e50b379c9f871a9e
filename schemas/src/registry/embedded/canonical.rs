//! What makes two schema texts the same schema, and which of a schema's defaults are none.
//!
//! The normal form is JSON without spaces: keys sorted, names in full without `namespace`, `{"type": "int"}`
//! as `"int"`. Everything that says more than the shape stays: docs, defaults, aliases, properties of others.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::avro::{Body, Kind, Node, Schema, default_number};

/// Steps that all defaults of a schema may take to be checked. Unions in unions multiply; real schemas
/// stay below a hundredth of this.
const MAX_STEPS: usize = 200_000;

/// The normal form of a schema whose text parsed as `schema`, itself a schema of the same meaning.
pub(super) fn normal_form(json: &Value, schema: &Schema) -> String {
    let names = schema.definitions.iter().map(|definition| definition.name.0.as_str()).collect();
    let mut out = String::new();
    Writer { names }.node(json, "", &mut out);
    out
}

struct Writer<'a> {
    /// Of all types that the schema defines or refers to, in full.
    names: HashSet<&'a str>,
}

impl Writer<'_> {
    fn node(&self, json: &Value, namespace: &str, out: &mut String) {
        match json {
            Value::String(name) => push_text(&self.full_name(name, namespace), out),
            Value::Array(branches) => list(branches, out, |branch, out| self.node(branch, namespace, out)),
            Value::Object(object) => self.object(object, namespace, out),
            other => push_json(other, out),
        }
    }

    fn object(&self, object: &Map<String, Value>, namespace: &str, out: &mut String) {
        match object.get("type") {
            Some(Value::String(word)) if is_definition(word) => {
                self.definition(object, namespace, out);
            }
            Some(inner) if object.len() == 1 => self.node(inner, namespace, out),
            _ => self.entries(object, false, namespace, out),
        }
    }

    fn definition(&self, object: &Map<String, Value>, outer: &str, out: &mut String) {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let full = match text("namespace") {
            Some(own) if !name.contains('.') => qualified(name, own),
            _ => qualified(name, outer),
        };
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let mut object = object.clone();
        object.remove("namespace");
        if namespace.is_empty() && !outer.is_empty() {
            // Else the outer one would be its own.
            object.insert("namespace".to_owned(), Value::String(String::new()));
        }
        let aliases = object.get_mut("aliases").and_then(Value::as_array_mut);
        for alias in aliases.into_iter().flatten() {
            if let Value::String(alias) = alias {
                *alias = qualified(alias, &namespace);
            }
        }
        object.insert("name".to_owned(), Value::String(full));
        self.entries(&object, false, &namespace, out);
    }

    /// Keys sorted; types inside in their normal form, all else as it is. A field's keys are not those of
    /// a type, but for its `type`.
    fn entries(&self, object: &Map<String, Value>, is_field: bool, namespace: &str, out: &mut String) {
        let sorted: BTreeMap<&String, &Value> = object.iter().collect();
        let is_nothing = |key: &str, value: &Value| key == "aliases" && *value == Value::Array(Vec::new());
        let sorted = sorted.into_iter().filter(|(key, value)| !is_nothing(key, value));
        out.push('{');
        for (i, (key, value)) in sorted.enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_text(key, out);
            out.push(':');
            match (key.as_str(), value) {
                ("type", Value::String(word)) if !is_field && is_word(word) => push_text(word, out),
                ("type", value) => self.node(value, namespace, out),
                ("items" | "values", value) if !is_field => self.node(value, namespace, out),
                ("fields", Value::Array(fields)) if !is_field => {
                    list(fields, out, |field, out| match field {
                        Value::Object(field) => self.entries(field, true, namespace, out),
                        other => push_json(other, out),
                    });
                }
                (_, value) => push_json(value, out),
            }
        }
        out.push('}');
    }

    /// A name that is used, in full where a type of that name is there.
    fn full_name(&self, name: &str, namespace: &str) -> String {
        let full = qualified(name, namespace);
        if !is_primitive(name) && self.names.contains(full.as_str()) { full } else { name.to_owned() }
    }
}

fn is_definition(word: &str) -> bool {
    matches!(word, "record" | "error" | "enum" | "fixed")
}

/// Whether the word says what a type is made of, and is not the name of one.
fn is_word(word: &str) -> bool {
    is_definition(word) || matches!(word, "array" | "map")
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn list(values: &[Value], out: &mut String, mut each: impl FnMut(&Value, &mut String)) {
    out.push('[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(value, out);
    }
    out.push(']');
}

fn push_text(text: &str, out: &mut String) {
    out.push_str(&Value::String(text.to_owned()).to_string());
}

/// JSON in one line, keys sorted.
pub(super) fn json_form(value: &Value) -> String {
    let mut out = String::new();
    push_json(value, &mut out);
    out
}

/// As it is, but for the order of keys.
fn push_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(values) => list(values, out, push_json),
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_text(key, out);
                out.push(':');
                push_json(value, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Why a default of the schema can't be one: who reads with it would fail. `None`: all can.
///
/// A union takes the default of any branch, as since Avro 1.12. A record's default leaves fields with a
/// default of their own to that one, which is looked at where it stands.
pub(super) fn bad_default(schema: &Schema) -> Option<String> {
    let mut n_steps = 0;
    for definition in &schema.definitions {
        let Body::Record(fields) = &definition.body else { continue };
        for field in fields {
            let Some(default) = &field.default else { continue };
            if !fits(schema, &field.node, default, &mut n_steps) {
                let kind = schema.describe(&field.node);
                return Some(if n_steps > MAX_STEPS {
                    "its defaults are too large to be checked".to_owned()
                } else {
                    format!(
                        "the default {default} of field \"{}\" of \"{}\" is not a value of type {kind}",
                        field.name, definition.name
                    )
                });
            }
        }
    }
    None
}

fn fits(schema: &Schema, node: &Node, value: &Value, n_steps: &mut usize) -> bool {
    *n_steps += 1;
    if *n_steps > MAX_STEPS {
        return false;
    }
    match (&node.kind, value) {
        (Kind::Null, Value::Null) | (Kind::Boolean, Value::Bool(_)) | (Kind::String, Value::String(_)) => {
            true
        }
        (Kind::Int, Value::Number(n)) => n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Kind::Long, Value::Number(n)) => n.is_i64(),
        (Kind::Float | Kind::Double, value) => default_number(value).is_some(),
        (Kind::Bytes, Value::String(text)) => is_latin1(text),
        (Kind::Array(item), Value::Array(values)) => {
            values.iter().all(|value| fits(schema, item, value, n_steps))
        }
        (Kind::Map(item), Value::Object(values)) => {
            values.values().all(|value| fits(schema, item, value, n_steps))
        }
        (Kind::Union(branches), value) => branches.iter().any(|branch| fits(schema, branch, value, n_steps)),
        (Kind::Named(index), value) => match (&schema.definitions[*index].body, value) {
            (Body::Record(fields), Value::Object(values)) => {
                fields.iter().all(|field| match values.get(&*field.name) {
                    Some(value) => fits(schema, &field.node, value, n_steps),
                    None => field.default.is_some(),
                })
            }
            (Body::Enum { symbols, .. }, Value::String(symbol)) => symbols.iter().any(|s| **s == **symbol),
            (Body::Fixed(size), Value::String(text)) => is_latin1(text) && text.chars().count() == *size,
            _ => false,
        },
        _ => false,
    }
}

/// Bytes are written in JSON as the characters U+0000 to U+00FF.
fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| u32::from(c) <= 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        let schema = Schema::parse(text, &[]).expect("a schema");
        normal_form(&serde_json::from_str(text).expect("JSON"), &schema)
    }

    /// That texts in a row are one schema, and those of different rows are not.
    #[test]
    fn the_same_schema_has_one_normal_form() {
        let rows: &[&[&str]] = &[
            &[r#""int""#, r#"{"type": "int"}"#, r#"{"type": {"type": "int"}}"#],
            &[r#"{"type":"int","logicalType":"date"}"#, r#"{"logicalType":"date", "type":"int"}"#],
            &[
                r#"{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"x","type":"long"}]}"#,
                r#"{"name":"a.b.R","type":"record","fields":[{"type":{"type":"long"},"name":"x","aliases":[]}]}"#,
                r#"{"name":"a.b.R","namespace":"ignored","type":"record","fields":[{"type":"long","name":"x"}]}"#,
            ],
            &[r#"{"name":"a.b.R","type":"record","fields":[{"type":"long","name":"x"}],"doc":"d"}"#],
            &[r#"{"name":"a.b.R","type":"record","fields":[{"type":"long","name":"x","default":0}]}"#],
            &[r#"{"name":"a.b.R","type":"record","fields":[{"type":"long","name":"x","order":"ignore"}]}"#],
            &[
                r#"{"name":"a.b.R","type":"record","aliases":["S"],"fields":[{"type":"long","name":"x"}]}"#,
                r#"{"name":"a.b.R","type":"record","aliases":["a.b.S"],"fields":[{"type":"long","name":"x"}]}"#,
            ],
            &[
                r#"{"type":"record","name":"n.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"f","type":"E"}]}"#,
                r#"{"type":"record","name":"n.R","fields":[{"name":"e","type":{"type":"enum","name":"n.E","symbols":["A"]}},{"name":"f","type":"n.E"}]}"#,
            ],
            // The same names, but one in no namespace.
            &[
                r#"{"type":"record","name":"n.R","fields":[{"name":"e","type":{"type":"enum","name":"E","namespace":"","symbols":["A"]}},{"name":"f","type":"E"}]}"#,
            ],
            &[r#"["null","int"]"#],
            &[r#"["int","null"]"#],
        ];
        let mut seen = HashSet::new();
        for row in rows {
            let forms: HashSet<String> = row.iter().map(|text| normal(text)).collect();
            assert_eq!(forms.len(), 1, "{forms:?}");
            assert!(forms.into_iter().all(|form| seen.insert(form)), "{row:?} is that of another row");
        }
    }

    #[test]
    fn the_normal_form_is_the_same_schema_and_its_own_normal_form() {
        for text in [
            r#"{"type":"record","name":"R","namespace":"a.b","doc":"ü \" x","fields":[
                {"name":"self","type":["null","R"],"default":null},
                {"name":"m","type":{"type":"map","values":{"type":"array","items":"R"}}},
                {"name":"f","type":{"type":"fixed","name":"F","size":3},"default":"\u0001\u0002\u0003"},
                {"name":"e","type":{"type":"enum","name":"E","namespace":"","symbols":["A","B"],"default":"A"}},
                {"name":"e2","type":"E"},
                {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}},
                {"name":"o","type":"string","custom":{"b":1,"a":[{"d":1,"c":2}]}}]}"#,
            r#"["null",{"type":"string","avro.java.string":"String"}]"#,
        ] {
            let form = normal(text);
            assert_eq!(normal(&form), form);
            let (before, after) = (Schema::parse(text, &[]), Schema::parse(&form, &[]));
            assert_eq!(before.expect("a schema"), after.expect("a schema"), "{form}");
        }
    }

    #[test]
    fn defaults_that_no_reader_could_use_are_found() {
        let check = |field: &str| {
            let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"x",{field}}}]}}"#);
            bad_default(&Schema::parse(&text, &[]).expect("a schema"))
        };
        for field in [
            r#""type":"int","default":-2147483648"#,
            r#""type":"double","default":1"#,
            r#""type":"float","default":"-Infinity""#,
            r#""type":["null","int"],"default":7"#,
            r#""type":"bytes","default":"\u00ff""#,
            r#""type":{"type":"array","items":"int"},"default":[1]"#,
            r#""type":{"type":"map","values":"string"},"default":{"a":"b"}"#,
            r#""type":{"type":"enum","name":"E","symbols":["A"]},"default":"A""#,
            r#""type":{"type":"record","name":"S","fields":[{"name":"y","type":"int","default":1}]},"default":{}"#,
            r#""type":"R","default":{}"#,
        ] {
            assert_eq!(check(field), None, "{field}");
        }
        for field in [
            r#""type":"int","default":2147483648"#,
            r#""type":"int","default":"1""#,
            r#""type":"long","default":1.5"#,
            r#""type":["null","int"],"default":"x""#,
            r#""type":"bytes","default":"\u0100""#,
            r#""type":{"type":"fixed","name":"F","size":2},"default":"a""#,
            r#""type":{"type":"array","items":"int"},"default":["a"]"#,
            r#""type":{"type":"enum","name":"E","symbols":["A"]},"default":"B""#,
            r#""type":{"type":"record","name":"S","fields":[{"name":"y","type":"int"}]},"default":{}"#,
        ] {
            let reason = check(field).expect(field);
            assert!(reason.contains("field \"x\" of \"R\" is not a value of type"), "{reason}");
        }
    }

    #[test]
    fn of_json_spaces_and_the_order_of_keys_do_not_count() {
        let json = serde_json::from_str(r#"{ "type":"string",  "minLength":1 }"#).expect("JSON");
        assert_eq!(json_form(&json), r#"{"minLength":1,"type":"string"}"#);
    }
}
