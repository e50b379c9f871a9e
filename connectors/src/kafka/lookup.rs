//! The reader schema of a source file: looked up once, then kept with the pipeline's state.

use serde::{Deserialize, Serialize};
use weir_schemas::registry::{Language, Registered};
use weir_schemas::{Format, ReaderSchema, RegistryError, SchemaError, SchemaRegistry, SchemaText};

use crate::error::LookupError;

/// Versions that are looked at for one that a table can be read with: the newest ones. Each is a request to the
/// registry.
const MAX_VERSIONS: usize = 50;

/// `schema` of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaChoice {
    /// The newest version of a subject.
    Latest {
        subject: String,
    },
    /// The newest version that a table can be read with; and the table has the columns of newer ones as soon as there
    /// are records of them.
    Follow {
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
        Self { schema: SchemaText::of_file(text), subject: None }
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
}

/// Looks up a reader schema and checks that a table can be read with it; of Protobuf one of `message`, see
/// [`SchemaText::message`].
///
/// # Errors
/// [`LookupError::Retry`] where the registry is away, or the subject is not there yet.
pub fn lookup_reader_schema(
    registry: &dyn SchemaRegistry,
    choice: &SchemaChoice,
    format: Format,
    message: Option<&str>,
) -> Result<ReaderSchemaText, LookupError> {
    let of_message = |schema: SchemaText| SchemaText { message: message.map(str::to_owned), ..schema };
    let reader = |registered: Result<Registered, RegistryError>| {
        let Registered { subject, version, schema, .. } = registered.map_err(failed)?;
        let (schema, subject) = (of_message((*schema).clone()), Some((subject, version)));
        checked(ReaderSchemaText { schema, subject }, format)
    };
    match choice {
        SchemaChoice::File(text) => {
            let schema = of_message(SchemaText::of_file(text));
            checked(ReaderSchemaText { schema, subject: None }, format)
        }
        SchemaChoice::Latest { subject } => reader(registry.latest(subject)),
        SchemaChoice::Version { subject, version } => reader(registry.version(subject, *version)),
        SchemaChoice::Follow { subject } => {
            let newest = reader(registry.latest(subject));
            let Err(LookupError::Schema(_)) = newest else { return newest };
            // One that no table can be read with is not followed: the table is that of the one before it.
            let versions = registry.versions(subject).map_err(failed)?;
            for version in versions.into_iter().rev().skip(1).take(MAX_VERSIONS) {
                match reader(registry.version(subject, version)) {
                    Err(LookupError::Schema(_)) => {}
                    found => return found,
                }
            }
            newest
        }
    }
}

fn failed(error: RegistryError) -> LookupError {
    match error {
        RegistryError::NotFound { .. } | RegistryError::Unavailable { .. } => LookupError::Retry(error),
        _ => LookupError::Registry(error),
    }
}

/// A schema that a table of the format can be read with.
fn checked(text: ReaderSchemaText, format: Format) -> Result<ReaderSchemaText, LookupError> {
    let says = match (text.schema.language, format) {
        (Language::Avro, Format::Protobuf) => Some("it is of Avro: say \"format: avro\", or json"),
        (Language::JsonSchema, Format::Avro | Format::Protobuf) => {
            Some("it is a JSON Schema: say \"format: json\"")
        }
        (Language::Protobuf, Format::Protobuf) => None,
        (Language::Protobuf, _) => Some("it is of Protobuf: say \"format: protobuf\""),
        _ => None,
    };
    if let Some(detail) = says {
        return Err(LookupError::Registry(RegistryError::Invalid { detail: detail.to_owned() }));
    }
    text.parse().map_err(LookupError::Schema)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use weir_schemas::registry::EmbeddedRegistry;

    use super::*;

    #[test]
    fn a_table_that_follows_begins_with_the_newest_version_that_is_one() {
        let registry = EmbeddedRegistry::new();
        let register = |fields: &str| {
            let schema = format!(r#"{{"type":"record","name":"o","fields":[{fields}]}}"#);
            registry.register("s", &schema).expect("it can read what the ones before wrote");
        };
        let version = |choice: &SchemaChoice| {
            lookup_reader_schema(&registry, choice, Format::Avro, None)
                .map(|found| found.subject.expect("it is of a subject").1)
                .map_err(|error| crate::error::chain(&error))
        };
        let (latest, follow) = (
            SchemaChoice::Latest { subject: "s".to_owned() },
            SchemaChoice::Follow { subject: "s".to_owned() },
        );
        let former = r#"{"name":"former","type":["null","o"],"default":null}"#;
        register(former);
        let refused =
            "the reader schema can't be used: record \"o\" contains itself in field \"former\", and";
        for choice in [&latest, &follow] {
            let why = version(choice).expect_err("it has no columns");
            assert!(why.starts_with(refused), "{why}");
        }
        let id = r#"{"name":"id","type":"long","default":0}"#;
        register(id);
        assert_eq!([&latest, &follow].map(version), [Ok(2), Ok(2)]);
        register(&format!("{id},{former}"));
        register(&format!(r#"{{"name":"note","type":"string","default":""}},{former}"#));
        assert!(version(&latest).is_err_and(|why| why.starts_with(refused)));
        assert_eq!(version(&follow), Ok(2));
        let third = SchemaChoice::Version { subject: "s".to_owned(), version: 3 };
        assert!(version(&third).is_err_and(|why| why.starts_with(refused)));
    }
}
