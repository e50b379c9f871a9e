//! A datum in Avro's JSON encoding to bytes, by apache-avro.

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value as Json;

use super::names::{Names, name_of};

/// The body of a record of `writer`, whose field `x` is `datum`, if it has one.
///
/// # Panics
/// If the datum is not one of the schema: the table is wrong.
pub(crate) fn encode(writer: &Json, datum: &Json) -> Vec<u8> {
    // Bytes know no logical types: so any number can be written as any of them.
    let schema = Schema::parse(&without_logical_types(writer)).expect("the table's writer schema is valid");
    let names = Names::of(&schema);
    let value = value(&names, &schema, &serde_json::json!({ "x": datum }));
    let writer = GenericDatumWriter::builder(&schema).build().expect("the schema stands for itself");
    writer.write_value_to_vec(value).expect("the datum is of the schema")
}

fn without_logical_types(schema: &Json) -> Json {
    match schema {
        Json::Object(object) => {
            let parts = object.iter().filter(|(key, _)| *key != "logicalType");
            parts
                .map(|(key, part)| (key.clone(), without_logical_types(part)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Json::Array(parts) => parts.iter().map(without_logical_types).collect(),
        other => other.clone(),
    }
}

fn value(names: &Names<'_>, schema: &Schema, json: &Json) -> Avro {
    let integer = || json.as_i64().unwrap_or_else(|| panic!("{json} is no integer"));
    let number = || json.as_f64().unwrap_or_else(|| panic!("{json} is no number"));
    let text = || json.as_str().unwrap_or_else(|| panic!("{json} is no text"));
    let latin1 = || text().chars().map(|c| u8::try_from(c).expect("up to U+00FF")).collect::<Vec<_>>();
    match names.resolve(schema) {
        Schema::Null => Avro::Null,
        Schema::Boolean => Avro::Boolean(json.as_bool().expect("a boolean")),
        Schema::Int => Avro::Int(integer().try_into().expect("32 bits")),
        Schema::Long => Avro::Long(integer()),
        Schema::Float => Avro::Float(number() as f32),
        Schema::Double => Avro::Double(number()),
        Schema::Bytes => Avro::Bytes(latin1()),
        Schema::String => Avro::String(text().into()),
        Schema::Fixed(fixed) => Avro::Fixed(fixed.size, latin1()),
        Schema::Enum(of) => {
            let index = of.symbols.iter().position(|symbol| symbol == text()).expect("a symbol");
            Avro::Enum(u32::try_from(index).expect("a few"), text().into())
        }
        Schema::Array(array) => {
            let items = json.as_array().expect("an array");
            Avro::Array(items.iter().map(|item| value(names, &array.items, item)).collect())
        }
        Schema::Map(map) => {
            let entries = json.as_object().expect("an object").iter();
            Avro::Map(entries.map(|(key, json)| (key.clone(), value(names, &map.types, json))).collect())
        }
        Schema::Record(record) => {
            let fields = record.fields.iter();
            let fields =
                fields.map(|field| (field.name.clone(), value(names, &field.schema, &json[&field.name])));
            Avro::Record(fields.collect())
        }
        Schema::Union(union) => {
            let (branch, json) = match json.as_object() {
                Some(object) => {
                    object.iter().next().map(|(name, json)| (name.as_str(), json)).expect("a branch")
                }
                None => ("null", json),
            };
            let index = union.variants().iter().position(|variant| name_of(variant) == branch);
            let index = index.unwrap_or_else(|| panic!("no branch {branch}"));
            Avro::Union(
                u32::try_from(index).expect("a few"),
                Box::new(value(names, &union.variants()[index], json)),
            )
        }
        other => panic!("no table has {other:?}"),
    }
}
