//! The schemas of a topic's keys and values: from columns, to a registry.

use arrow::datatypes::Schema;
use weir_engine::connector::SinkError;
use weir_schemas::encode::namespace;
use weir_schemas::{Encoder, RegistryError, SchemaError, SchemaRegistry, WriterSchema};

use crate::error::chain;

/// See the module.
pub(super) struct Schemas {
    topic: String,
    /// `None`: there is no key.
    key: Option<WriterSchema>,
    value: WriterSchema,
}

impl Schemas {
    /// A record of all `columns`, and one of those at `key`, if there are any.
    pub(super) fn derive(topic: &str, columns: &Schema, key: &[usize]) -> Result<Self, SchemaError> {
        let namespace = namespace(topic);
        let value = WriterSchema::derive(&namespace, "Value", columns)?;
        let key_columns = columns.project(key).expect("positions of the plan's own output");
        let key = match key.is_empty() {
            true => None,
            false => Some(WriterSchema::derive(&namespace, "Key", &key_columns)?),
        };
        Ok(Self { topic: topic.to_owned(), key, value })
    }

    /// Registers them as `<topic>-key` and `<topic>-value`. Returns encoders of keys and values.
    pub(super) fn register(
        &self,
        registry: &dyn SchemaRegistry,
    ) -> Result<(Option<Encoder>, Encoder), SinkError> {
        let register = |part: &str, schema: &WriterSchema| {
            let subject = format!("{}-{part}", self.topic);
            match registry.register(&subject, schema.text()) {
                Ok(id) => Ok(schema.encoder(id)),
                Err(RegistryError::Invalid { detail }) => {
                    let newest = registry.latest(&subject).map_or_else(
                        |error| format!("the newest one there is not known ({error})"),
                        |newest| format!("the newest one there is {}", newest.schema.text),
                    );
                    Err(SinkError::Fatal(format!(
                        "the schema registry refuses the schema of its {part}s under subject \"{subject}\": {detail}; the \
                         schema is {}, {newest}; select columns that are compatible, or write to another topic",
                        schema.text()
                    )))
                }
                Err(error) => Err(SinkError::Reopen(chain(&error))),
            }
        };
        let key = self.key.as_ref().map(|schema| register("key", schema)).transpose()?;
        Ok((key, register("value", &self.value)?))
    }
}
