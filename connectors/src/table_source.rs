//! What the server needs of a source beside what the engine reads.

use weir_engine::connector::{Source, SourceError};
use weir_schemas::LeftOut;

use crate::kafka::{ConsumerGroup, ReaderSchemaText};

/// A source whose records are rows of a schema.
pub trait TableSource: Source {
    /// The schema that the table is read with, for whoever keeps it with a pipeline's state.
    fn reader_schema(&self) -> &ReaderSchemaText;

    /// The fields of the reader schema that are no columns.
    fn left_out(&self) -> &[LeftOut];

    /// Whom to tell how far reading is, for tools that show lag; `None`: there is nobody.
    ///
    /// # Errors
    /// [`SourceError::Fatal`] where there can be no client.
    fn consumer_group(&self) -> Result<Option<ConsumerGroup>, SourceError> {
        Ok(None)
    }
}
