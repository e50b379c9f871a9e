//! What can be wrong with the settings of a connector, before anything runs.
//!
//! A message names the setting and what would be right, in the words of the project's files, so
//! that the server only has to add the position. Values of properties are never in a message:
//! they may be secrets.

use weir_schemas::{FatalError, RegistryError, SchemaError};

/// A property of a connection that can't be handed to librdkafka. Fix the project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// Weir sets it itself, or it has no meaning for a source.
    #[error("property \"{name}\" can't be set: {reason}")]
    Refused { name: String, reason: &'static str },
    /// librdkafka has no such property.
    #[error("unknown property \"{name}\"{}", did_you_mean(.suggestion.as_deref()))]
    Unknown { name: String, suggestion: Option<String> },
    /// librdkafka does not take the value.
    #[error("property \"{name}\" does not take this value: {detail}")]
    Invalid { name: String, detail: String },
}

/// Settings of a source that can't work. Fix the project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// The reader schema is not one that a table can have.
    #[error("the reader schema can't be used")]
    Schema(#[from] SchemaError),
    /// `event_time` names nothing.
    #[error("event time \"{name}\" is not a column of the table{}", did_you_mean(.suggestion.as_deref()))]
    NoSuchEventTime { name: String, suggestion: Option<String> },
    /// `event_time` names a field that can't be a column.
    #[error("event time \"{name}\" is not a column of the table: {reason}")]
    EventTimeLeftOut { name: String, reason: String },
    /// `event_time` names a column of another type.
    #[error(
        "event time \"{name}\" is a column of type {found}, not a timestamp{}",
        did_you_mean(.suggestion.as_deref())
    )]
    EventTimeType { name: String, found: String, suggestion: Option<String> },
    /// A field of the reader schema has the name of a metadata column.
    #[error("the reader schema has a field \"{name}\", which is the name of a metadata column")]
    NameTaken { name: String },
    /// The topic's name, or another setting, has a zero byte in it.
    #[error("\"{value}\" has a zero byte in it")]
    ZeroByte { value: String },
    /// The decoder can't be made.
    #[error("the columns can't be decoded")]
    Columns(#[from] FatalError),
}

/// The reader schema could not be looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The registry is away, or has no such subject or version yet. Ask again later.
    #[error("could not look up the reader schema")]
    Retry(#[source] RegistryError),
    /// What is there is not a reader schema, or the registry refused to answer. Give up.
    #[error("the reader schema can't be used")]
    Registry(#[source] RegistryError),
    /// As [`Self::Registry`].
    #[error("the reader schema can't be used")]
    Schema(#[source] SchemaError),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(", did you mean \"{name}\"?")).unwrap_or_default()
}

/// An error with its causes, in one line: `could not …: connection refused`.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
