//! A schema's fingerprint: CRC-64-AVRO of its Parsing Canonical Form, as Avro 1.12 says under "Schema Fingerprints".

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::avro::{Body, Kind, Node, Schema};
use crate::error::SchemaError;
use crate::registry::SchemaText;

/// CRC-64-AVRO. Schemas that write the same bytes have the same one, whatever their docs, defaults, aliases and
/// logical types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a schema.
    ///
    /// # Errors
    /// [`SchemaError`] where it is none.
    pub fn of(schema: &SchemaText) -> Result<Self, SchemaError> {
        let schema = schema.parse()?;
        Ok(Self(crc_64_avro(canonical_form(&schema).as_bytes())))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The checksum of nothing, and the polynomial.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

fn crc_64_avro(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |crc, byte| {
        let low = (crc ^ u64::from(*byte)) & 0xff;
        let shifted = (0..8).fold(low, |low, _| (low >> 1) ^ if low & 1 == 1 { EMPTY } else { 0 });
        (crc >> 8) ^ shifted
    })
}

/// The Parsing Canonical Form: what matters to who reads data of the schema, in one order, without white space.
fn canonical_form(schema: &Schema) -> String {
    let mut form = Form { schema, defined: HashSet::new(), out: String::new() };
    form.node(&schema.root);
    form.out
}

struct Form<'a> {
    schema: &'a Schema,
    /// Where a named type has been written, its name stands for it.
    defined: HashSet<usize>,
    out: String,
}

impl Form<'_> {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Array(items) => self.container("array", "items", items),
            Kind::Map(values) => self.container("map", "values", values),
            Kind::Union(branches) => self.list(branches, Self::node),
            Kind::Named(index) => self.named(*index),
            kind => self.text(&self.schema.describe(&Node::plain(kind.clone()))),
        }
    }

    fn container(&mut self, word: &str, key: &str, inner: &Node) {
        self.out.push_str(&format!(r#"{{"type":"{word}","{key}":"#));
        self.node(inner);
        self.out.push('}');
    }

    fn named(&mut self, index: usize) {
        let definition = &self.schema.definitions[index];
        if !self.defined.insert(index) {
            return self.text(&definition.name.0);
        }
        self.out.push_str(r#"{"name":"#);
        self.text(&definition.name.0);
        self.out.push_str(&format!(r#","type":"{}""#, definition.body.word()));
        match &definition.body {
            Body::Record(fields) => {
                self.out.push_str(r#","fields":"#);
                self.list(fields, |form, field| {
                    form.out.push_str(r#"{"name":"#);
                    form.text(&field.name);
                    form.out.push_str(r#","type":"#);
                    form.node(&field.node);
                    form.out.push('}');
                });
            }
            Body::Enum { symbols, .. } => {
                self.out.push_str(r#","symbols":"#);
                self.list(symbols, |form, symbol| form.text(symbol));
            }
            Body::Fixed(size) => self.out.push_str(&format!(r#","size":{size}"#)),
            Body::Pending => {}
        }
        self.out.push('}');
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.out.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
        self.out.push(']');
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(&Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::rabin::Rabin;

    use super::*;

    fn form(text: &str) -> String {
        canonical_form(&Schema::parse(text, &[]).expect("a schema"))
    }

    fn fingerprint(text: &str) -> u64 {
        Fingerprint::of(&text.into()).expect("a schema").0
    }

    #[test]
    fn primitive_types_have_the_fingerprints_of_apache_avro_for_java() {
        for (name, expected) in [
            ("null", 0x63dd_24e7_cc25_8f8a),
            ("boolean", 0x9f42_fc78_a4d4_f764),
            ("int", 0x7275_d51a_3f39_5c8f),
            ("long", 0xd054_e144_93f4_1db7),
            ("float", 0x4d7c_02cb_3ea8_d790),
            ("double", 0x8e75_35c0_32ab_957e),
            ("bytes", 0x4fc0_16da_c320_1965),
            ("string", 0x8f01_4872_6345_03c7),
        ] {
            assert_eq!(fingerprint(&format!("\"{name}\"")), expected, "{name}");
            assert_eq!(fingerprint(&format!(r#"{{"type": "{name}", "doc": "d"}}"#)), expected, "{name}");
        }
    }

    #[test]
    fn the_canonical_form_has_what_readers_need_and_nothing_else() {
        let all = r#"{"namespace": "a.b", "doc": "d", "type": "record", "name": "R", "aliases": ["S"], "fields": [
            {"default": 1, "type": {"logicalType": "date", "type": "int"}, "name": "day", "order": "ignore"},
            {"name": "e", "type": {"type": "enum", "symbols": ["A", "B"], "name": "E", "default": "A"}},
            {"name": "e2", "type": "E"},
            {"name": "f", "type": {"size": 4, "type": "fixed", "namespace": "c", "name": "F"}},
            {"name": "self", "type": ["null", "R"], "default": null},
            {"name": "m", "type": {"values": {"items": "c.F", "type": "array"}, "type": "map"}}]}"#;
        let expected = concat!(
            r#"{"name":"a.b.R","type":"record","fields":[{"name":"day","type":"int"},"#,
            r#"{"name":"e","type":{"name":"a.b.E","type":"enum","symbols":["A","B"]}},"#,
            r#"{"name":"e2","type":"a.b.E"},"#,
            r#"{"name":"f","type":{"name":"c.F","type":"fixed","size":4}},"#,
            r#"{"name":"self","type":["null","a.b.R"]},"#,
            r#"{"name":"m","type":{"type":"map","values":{"type":"array","items":"c.F"}}}]}"#,
        );
        assert_eq!(form(all), expected);
        assert_eq!(form(expected), expected, "it is its own");
    }

    #[test]
    fn apache_avro_for_rust_finds_the_same() {
        for text in [
            r#"{"type": "record", "name": "r", "doc": "d", "fields": [{"name": "id", "type": "long", "default": 0}]}"#,
            r#"{"type": "record", "name": "R", "namespace": "a.b", "fields": [
                {"name": "f", "type": {"type": "fixed", "name": "F", "size": 3}},
                {"name": "u", "type": ["null", "string", {"type": "array", "items": "R"}]}]}"#,
            r#"{"type": "enum", "name": "n.E", "symbols": ["A", "B"]}"#,
            r#"{"type": "map", "values": "bytes"}"#,
        ] {
            let theirs = apache_avro::Schema::parse_str(text).expect("a schema").fingerprint::<Rabin>();
            assert_eq!(fingerprint(text).to_le_bytes().as_slice(), theirs.bytes, "{text}");
        }
    }

    #[test]
    fn a_referenced_type_stands_where_it_is_used_first() {
        let text = SchemaText {
            text: r#"{"type": "record", "name": "R", "fields": [{"name": "p", "type": "n.P"}]}"#.to_owned(),
            references: vec![r#"{"type": "fixed", "name": "n.P", "size": 2}"#.to_owned()],
            ..SchemaText::from("")
        };
        let whole = r#"{"type": "record", "name": "R", "fields": [
            {"name": "p", "type": {"type": "fixed", "name": "n.P", "size": 2}}]}"#;
        assert_eq!(Fingerprint::of(&text), Ok(Fingerprint(fingerprint(whole))));
    }
}
