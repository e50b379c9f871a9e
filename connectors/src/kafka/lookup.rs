//! The reader schema of a source file: looked up once, then kept with the pipeline's state.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_schemas::{ReaderSchema, RegistryError, SchemaError, SchemaRegistry, SchemaText};

use crate::error::LookupError;

/// `schema` of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaChoice {
    /// The newest version of a subject.
    Latest {
        subject: String,
    },
    Version {
        subject: String,
        version: u32,
    },
    /// The text of a file.
    File(String),
}

/// A reader schema as text, and where it is from. What a pipeline keeps to start with the same
/// one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderSchemaText {
    pub schema: SchemaText,
    /// Subject and version, if it is from a registry.
    pub subject: Option<(String, u32)>,
}

impl ReaderSchemaText {
    /// A schema that is from no registry and refers to no other.
    #[must_use]
    pub fn from_file(text: &str) -> Self {
        Self { schema: SchemaText { text: text.to_owned(), references: Vec::new() }, subject: None }
    }

    /// The schema itself.
    ///
    /// # Errors
    /// [`SchemaError`] where a table can't be read with it.
    pub fn parse(&self) -> Result<ReaderSchema, SchemaError> {
        let schema = ReaderSchema::new(self.schema.clone())?;
        Ok(match &self.subject {
            Some((subject, version)) => schema.with_subject(subject, *version),
            None => schema,
        })
    }

    /// The text without what does not change what a record decodes to: white space, documentation,
    /// the order of attributes.
    pub(super) fn meaning(&self) -> String {
        let texts = self.schema.references.iter().chain([&self.schema.text]);
        texts.map(|text| meaning(text)).collect::<Vec<_>>().join(" ")
    }
}

/// Looks up a reader schema and checks that a table can be read with it.
///
/// # Errors
/// [`LookupError::Retry`] where the registry is away, or the subject is not there yet.
pub fn lookup_reader_schema(
    registry: &dyn SchemaRegistry,
    choice: &SchemaChoice,
) -> Result<ReaderSchemaText, LookupError> {
    let registered = match choice {
        SchemaChoice::File(text) => {
            let file = ReaderSchemaText::from_file(text);
            file.parse().map_err(LookupError::Schema)?;
            return Ok(file);
        }
        SchemaChoice::Latest { subject } => registry.latest(subject),
        SchemaChoice::Version { subject, version } => registry.version(subject, *version),
    };
    let registered = registered.map_err(|error| match error {
        RegistryError::NotFound { .. } | RegistryError::Unavailable { .. } => LookupError::Retry(error),
        _ => LookupError::Registry(error),
    })?;
    let text = ReaderSchemaText {
        schema: (*registered.schema).clone(),
        subject: Some((registered.subject, registered.version)),
    };
    text.parse().map_err(LookupError::Schema)?;
    Ok(text)
}

fn meaning(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let mut out = String::new();
    write_meaning(&value, &mut out);
    out
}

fn write_meaning(value: &Value, out: &mut String) {
    match value {
        Value::Object(attributes) => {
            let mut attributes: Vec<_> = attributes.iter().filter(|(name, _)| *name != "doc").collect();
            attributes.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (i, (name, value)) in attributes.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_meaning(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_meaning(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::meaning;

    #[test]
    fn meaning_ignores_formatting_and_documentation_only() {
        let plain = r#"{"type":"record","name":"o","fields":[{"name":"a","type":"int","default":1}]}"#;
        let dressed = r#"{ "name": "o", "doc": "an order", "type": "record",
            "fields": [ {"type": "int", "name": "a", "doc": "…", "default": 1} ] }"#;
        assert_eq!(meaning(plain), meaning(dressed));
        assert_ne!(meaning(plain), meaning(&plain.replace("\"default\":1", "\"default\":2")));
        assert_ne!(meaning(plain), meaning(&plain.replace("\"int\"", "\"long\"")));
    }
}
