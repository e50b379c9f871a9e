//! Where writer schemas come from: any registry that speaks Confluent's API, or the embedded one.
//!
//! Calls block; whoever decodes has a thread of its own.

pub mod embedded;
mod fingerprints;
pub mod http;
mod prompt;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::avro::Schema;
use crate::error::SchemaError;
use crate::json_schema::{is_json_schema, to_avro};
use crate::protobuf;
use crate::wire::SchemaId;

pub use embedded::EmbeddedRegistry;
pub use fingerprints::Fingerprints;
pub use http::HttpRegistry;
pub use prompt::PromptRegistry;

/// A schema with everything needed to parse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaText {
    /// JSON, of Avro or of JSON Schema; the text of a `.proto` file, or its descriptor in base64.
    pub text: String,
    /// The schemas that it refers to by name, each after those that it refers to itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// What each of the references is called where it is referred to: files that are imported, `$ref`s. None of Avro,
    /// whose types have their names in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    #[serde(default, skip_serializing_if = "Language::is_avro")]
    pub language: Language,
    /// Of Protobuf the message that is meant: its full name, or the end of it. `None`: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Avro,
    JsonSchema,
    Protobuf,
}

impl Language {
    const ALL: [Self; 3] = [Self::Avro, Self::JsonSchema, Self::Protobuf];

    /// As registries call it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::JsonSchema => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == word)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_avro(&self) -> bool {
        *self == Self::Avro
    }
}

impl SchemaText {
    /// The schema of a file: of the language that it looks like.
    #[must_use]
    pub fn of_file(text: &str) -> Self {
        let language = match text {
            text if is_json_schema(text) => Language::JsonSchema,
            text if protobuf::is_proto(text) => Language::Protobuf,
            _ => Language::Avro,
        };
        Self { language, ..text.into() }
    }

    /// The schema; of other languages the Avro schema of the same table.
    ///
    /// # Errors
    /// [`SchemaError`] where it is none.
    pub(crate) fn parse(&self) -> Result<Schema, SchemaError> {
        match self.language {
            Language::Avro => Schema::parse(&self.text, &self.references),
            Language::JsonSchema | Language::Protobuf => self.in_avro()?.parse(),
        }
    }

    /// The same in Avro.
    ///
    /// # Errors
    /// [`SchemaError`] where it is a schema that is no table.
    pub(crate) fn in_avro(&self) -> Result<Self, SchemaError> {
        match self.language {
            Language::Avro => Ok(self.clone()),
            Language::JsonSchema => Ok(to_avro(self)?.as_str().into()),
            Language::Protobuf => Ok(protobuf::Table::new(self)?.to_avro()?.as_str().into()),
        }
    }

    /// The references by what they are called; of Avro none.
    pub(crate) fn named_references(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(String::as_str).zip(self.references.iter().map(String::as_str))
    }
}

impl From<&str> for SchemaText {
    fn from(text: &str) -> Self {
        let (references, names, language) = (Vec::new(), Vec::new(), Language::Avro);
        Self { text: text.to_owned(), references, names, language, message: None }
    }
}

/// A schema's place in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectVersion {
    pub subject: String,
    pub version: u32,
}

/// A schema under a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub id: SchemaId,
    pub subject: String,
    pub version: u32,
    pub schema: Arc<SchemaText>,
}

/// A schema registry.
pub trait SchemaRegistry: Send + Sync + fmt::Debug {
    /// The schema of an id; it never changes.
    ///
    /// # Errors
    /// [`RegistryError`], as all calls here.
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError>;

    /// Whether it is known, without anybody being asked, that [`Self::by_id`] finds nothing.
    fn is_missing(&self, _: SchemaId) -> bool {
        false
    }

    /// Where the schema of an id is registered.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError>;

    /// The newest version of a subject.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn latest(&self, subject: &str) -> Result<Registered, RegistryError>;

    /// The numbers of a subject's versions, ascending.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError>;

    /// A version of a subject.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError>;

    /// Registers a schema without references under a subject, unless it is there already.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] where the registry refuses it, as not compatible for one.
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError>;
}

/// Why a registry gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry says that it has no such thing. Only registering it helps.
    #[error("the schema registry has no {what}")]
    NotFound { what: String },
    /// The registry is away, busy, or does not let us in. Ask again later.
    #[error("could not ask the schema registry: {detail}")]
    Unavailable { detail: String },
    /// The registry refused the request, or the schema is in a language that we don't know. Give up.
    #[error("{detail}")]
    Invalid { detail: String },
}

impl RegistryError {
    fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable { detail: detail.into() }
    }

    fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into() }
    }
}
