//! The errors of this crate but for [`crate::RegistryError`], which lives with its trait.

/// A schema that can't be used: not Avro, not valid, or not supported as a reader schema.
/// Give up: the same text will never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    message: String,
}

impl SchemaError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// Puts where it happened in front.
    pub(crate) fn at(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message) }
    }
}

/// Why a decoder can't go on at all. Never the fault of one record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatalError {
    /// A column was asked for that the reader schema does not have, or twice. Fix the caller.
    #[error("column {column} is asked for twice, or is not one of the reader schema's {n_columns}")]
    Columns { column: usize, n_columns: usize },
    /// More than 2 GiB in one column of one batch. Decode smaller batches.
    #[error("a column of the batch is larger than 2 GiB")]
    BatchTooLarge,
    /// The reader schema can't be written as Avro, though it was read: a bug here.
    #[error("the reader schema can't be used")]
    Schema(#[source] SchemaError),
    /// Arrow refused the decoded columns: a bug here.
    #[error("could not build the batch")]
    Arrow(#[source] arrow::error::ArrowError),
}

/// A batch that is not of the columns that a schema was derived from. Fix the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    #[error("a batch of {found} columns can't be encoded with a schema of {expected}")]
    Columns { found: usize, expected: usize },
    #[error("column \"{column}\" is of type {found}, its schema was made for {expected}")]
    Type { column: String, found: String, expected: String },
    #[error("column \"{column}\" has a null that its schema has no place for")]
    Null { column: String },
}
