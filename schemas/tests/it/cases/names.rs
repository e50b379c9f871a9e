//! The named types of a schema of apache-avro, and its values as plain JSON.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use crate::support::avro_json;

/// Named types by their full name.
pub(super) struct Names<'s>(HashMap<String, &'s Schema>);

impl<'s> Names<'s> {
    pub(super) fn of(schema: &'s Schema) -> Self {
        let mut names = Self(HashMap::new());
        names.add(schema);
        names
    }

    fn add(&mut self, schema: &'s Schema) {
        match schema {
            Schema::Array(array) => self.add(&array.items),
            Schema::Map(map) => self.add(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.add(branch)),
            Schema::Record(record) => {
                self.0.insert(name_of(schema), schema);
                record.fields.iter().for_each(|field| self.add(&field.schema));
            }
            Schema::Ref { .. } => {}
            named if named.name().is_some() => drop(self.0.insert(name_of(named), named)),
            _ => {}
        }
    }

    /// What a reference refers to.
    pub(super) fn resolve(&self, schema: &'s Schema) -> &'s Schema {
        match schema {
            Schema::Ref { .. } => self.0[&name_of(schema)],
            other => other,
        }
    }

    /// As rows have it: a value of a union of several types besides null as an object of its branch.
    pub(super) fn plain(&self, schema: &'s Schema, value: Avro) -> Json {
        match (self.resolve(schema), value) {
            (Schema::Array(array), Avro::Array(items)) => {
                items.into_iter().map(|item| self.plain(&array.items, item)).collect()
            }
            (Schema::Map(map), Avro::Map(entries)) => {
                let entries = entries.into_iter().map(|(key, value)| (key, self.plain(&map.types, value)));
                Json::Object(entries.collect())
            }
            (Schema::Record(record), Avro::Record(values)) => {
                let fields = record.fields.iter().zip(values);
                Json::Object(
                    fields.map(|(field, (name, value))| (name, self.plain(&field.schema, value))).collect(),
                )
            }
            (Schema::Union(union), Avro::Union(index, value)) => {
                let branch = &union.variants()[index as usize];
                let n_types = union.variants().iter().filter(|branch| **branch != Schema::Null).count();
                let value = self.plain(branch, *value);
                if n_types < 2 || value.is_null() { value } else { json!({ name_of(branch): value }) }
            }
            (_, value) => avro_json(value),
        }
    }
}

/// The name of a branch in Avro's JSON encoding.
pub(super) fn name_of(schema: &Schema) -> String {
    match (schema.name(), schema) {
        (Some(name), _) => name.to_string(),
        (None, Schema::Null) => "null".into(),
        (None, Schema::Boolean) => "boolean".into(),
        (None, Schema::Int | Schema::Date | Schema::TimeMillis) => "int".into(),
        (None, Schema::Float) => "float".into(),
        (None, Schema::Double) => "double".into(),
        (None, Schema::Bytes | Schema::Decimal(_)) => "bytes".into(),
        (None, Schema::String | Schema::Uuid(_)) => "string".into(),
        (None, Schema::Array(_)) => "array".into(),
        (None, Schema::Map(_)) => "map".into(),
        (None, _) => "long".into(),
    }
}
