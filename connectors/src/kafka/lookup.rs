//! The reader schema of a source file: looked up once, then kept with the pipeline's state.

use serde::{Deserialize, Serialize};
use weir_schemas::registry::Language;
use weir_schemas::{Format, ReaderSchema, RegistryError, SchemaError, SchemaRegistry, SchemaText};

use crate::error::LookupError;

/// `schema` of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaChoice {
    /// The newest version of a subject.
    Latest {
        subject: String,
    },
    /// As `Latest`; and the table has the columns of newer versions as soon as there are records of them.
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
    let registered = match choice {
        SchemaChoice::File(text) => {
            let schema = of_message(SchemaText::of_file(text));
            return checked(ReaderSchemaText { schema, subject: None }, format);
        }
        SchemaChoice::Latest { subject } | SchemaChoice::Follow { subject } => registry.latest(subject),
        SchemaChoice::Version { subject, version } => registry.version(subject, *version),
    };
    let registered = registered.map_err(|error| match error {
        RegistryError::NotFound { .. } | RegistryError::Unavailable { .. } => LookupError::Retry(error),
        _ => LookupError::Registry(error),
    })?;
    let text = ReaderSchemaText {
        schema: of_message((*registered.schema).clone()),
        subject: Some((registered.subject, registered.version)),
    };
    checked(text, format)
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
