//! The schemas of a topic's keys and values: from columns, to a registry.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use weir_engine::connector::SinkError;
use weir_schemas::encode::{DOC, namespace};
use weir_schemas::{Encoder, RegistryError, SchemaError, SchemaRegistry, WriterSchema};

use crate::error::chain;

/// Which subjects the schemas of a topic's records are registered under, as Confluent's serializers call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubjectNames {
    /// `<topic>-key` and `<topic>-value`.
    #[default]
    Topic,
    /// The record's full name: one subject for all topics that have such records.
    Record,
    /// `<topic>-<full name>`: a subject for each kind of record of a topic.
    TopicRecord,
}

/// What the schemas of a sink's records say beside the columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    pub subjects: SubjectNames,
    /// Full name of the value record; that of the key has `Key` behind it. `None`: `Value` and `Key` in the topic's
    /// namespace.
    pub record: Option<String>,
    /// What columns are, for a person: the `doc` of their fields.
    pub docs: Vec<(String, String)>,
}

/// See the module.
pub(super) struct Schemas {
    topic: String,
    subjects: SubjectNames,
    /// `None`: there is no key.
    key: Option<Part>,
    value: Part,
}

/// The schema of keys, or of values.
struct Part {
    word: &'static str,
    full_name: String,
    schema: WriterSchema,
}

impl Schemas {
    /// A record of all `columns`, and one of those at `key`, if there are any.
    pub(super) fn derive(
        topic: &str,
        naming: &Naming,
        columns: &Schema,
        key: &[usize],
    ) -> Result<Self, SchemaError> {
        let columns = described(columns, &naming.docs);
        let full_name = |default: &str, behind: &str| match &naming.record {
            Some(name) => format!("{name}{behind}"),
            None => format!("{}.{default}", namespace(topic)),
        };
        let part = |word, full_name: String, columns: &Schema| {
            let (space, name) = full_name.rsplit_once('.').unwrap_or(("", &full_name));
            let schema = WriterSchema::derive(space, name, columns)?;
            Ok::<_, SchemaError>(Part { word, full_name, schema })
        };
        let value = part("value", full_name("Value", ""), &columns)?;
        let key_columns = columns.project(key).expect("positions of the plan's own output");
        let key = match key.is_empty() {
            true => None,
            false => Some(part("key", full_name("Key", "Key"), &key_columns)?),
        };
        Ok(Self { topic: topic.to_owned(), subjects: naming.subjects, key, value })
    }

    fn subject(&self, part: &Part) -> String {
        match self.subjects {
            SubjectNames::Topic => format!("{}-{}", self.topic, part.word),
            SubjectNames::Record => part.full_name.clone(),
            SubjectNames::TopicRecord => format!("{}-{}", self.topic, part.full_name),
        }
    }

    /// Registers them under their subjects. Returns encoders of keys and values.
    pub(super) fn register(
        &self,
        registry: &dyn SchemaRegistry,
    ) -> Result<(Option<Encoder>, Encoder), SinkError> {
        let register = |part: &Part| {
            let (subject, word, schema) = (self.subject(part), part.word, &part.schema);
            match registry.register(&subject, schema.text()) {
                Ok(id) => Ok(schema.encoder(id)),
                Err(RegistryError::Invalid { detail }) => {
                    let newest = registry.latest(&subject).map_or_else(
                        |error| format!("the newest one there is not known ({error})"),
                        |newest| format!("the newest one there is {}", newest.schema.text),
                    );
                    Err(SinkError::Fatal(format!(
                        "the schema registry refuses the schema of its {word}s under subject \"{subject}\": {detail}; the \
                         schema is {}, {newest}; select columns that are compatible, or write to another topic",
                        schema.text()
                    )))
                }
                Err(error) => Err(SinkError::Reopen(chain(&error))),
            }
        };
        let key = self.key.as_ref().map(register).transpose()?;
        Ok((key, register(&self.value)?))
    }
}

/// The columns, with what they are.
fn described(columns: &Schema, docs: &[(String, String)]) -> Schema {
    let described = |field: &Arc<Field>| {
        let doc = docs.iter().find(|(name, _)| name == field.name());
        // What a source's schema says of them is of the source.
        let metadata = doc.map(|(_, doc)| (DOC.to_owned(), doc.clone())).into_iter().collect();
        Arc::new(Field::clone(field).with_metadata(metadata))
    };
    Schema::new(columns.fields().iter().map(described).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use weir_schemas::registry::EmbeddedRegistry;

    use super::*;

    /// The subjects of key and value, and the value's schema.
    fn registered(naming: &Naming) -> (Vec<String>, String) {
        let columns =
            Schema::new(vec![Field::new("k", DataType::Utf8, false), Field::new("n", DataType::Int64, true)]);
        let registry = EmbeddedRegistry::new();
        let schemas = Schemas::derive("shop.out", naming, &columns, &[0]).expect("columns of Avro");
        schemas.register(&registry).expect("they are new");
        let (_, subjects) = registry.handle("GET", "/subjects", b"");
        let subjects: Vec<String> = serde_json::from_value(subjects).expect("names");
        let value = registry.latest(&schemas.subject(&schemas.value)).expect("it is registered");
        (subjects, value.schema.text.clone())
    }

    #[test]
    fn subjects_and_names_are_those_of_the_strategies() {
        let of = |subjects, record: Option<&str>| {
            registered(&Naming { subjects, record: record.map(str::to_owned), docs: Vec::new() }).0
        };
        let own = Some("a.b.Revenue");
        assert_eq!(of(SubjectNames::Topic, None), ["shop.out-key", "shop.out-value"]);
        assert_eq!(of(SubjectNames::Topic, own), ["shop.out-key", "shop.out-value"]);
        assert_eq!(of(SubjectNames::Record, None), ["shop.out.Key", "shop.out.Value"]);
        assert_eq!(of(SubjectNames::Record, own), ["a.b.Revenue", "a.b.RevenueKey"]);
        assert_eq!(of(SubjectNames::TopicRecord, own), ["shop.out-a.b.Revenue", "shop.out-a.b.RevenueKey"]);
    }

    #[test]
    fn fields_say_what_they_are() {
        let docs = vec![("n".to_owned(), "sum(\"a\" + 1)".to_owned())];
        let (_, text) = registered(&Naming { record: Some("R".to_owned()), docs, ..Naming::default() });
        assert_eq!(
            text,
            r#"{"type":"record","name":"R","namespace":"","fields":[{"name":"k","type":"string"},{"name":"n","type":["null","long"],"default":null,"doc":"sum(\"a\" + 1)"}]}"#
        );
    }
}
