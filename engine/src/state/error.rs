//! What can go wrong with a pipeline's data folder. Bad bytes on disk are errors, never panics.

use std::path::PathBuf;

use arrow::error::ArrowError;

use crate::time::Epoch;

/// Why the data folder of a pipeline could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process (or a second pipeline of this one) has it open. Stop that one first.
    #[error("data folder {path:?} is in use by another process")]
    Locked { path: PathBuf },
    /// The disk, the file system or RocksDB refused. Trying again may work once the cause is gone.
    #[error("could not {action} data folder {path:?}")]
    Storage {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: rocksdb::Error,
    },
    /// The folder could not be made.
    #[error("could not make data folder {path:?}")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Bytes on disk are not what was written. Restore a checkpoint, or reset the pipeline.
    #[error("{what} is damaged: {detail}")]
    Damaged { what: String, detail: String },
    /// Written by another version of Weir. Use that version, or reset the pipeline.
    #[error("{what} has format version {found}, this version of weir reads version {known}")]
    UnknownVersion { what: String, found: u8, known: u8 },
    /// Rows do not have the columns of the table or state they are written to: a bug in the caller.
    #[error("could not {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
    /// An epoch number would have been used twice: a bug in the caller.
    #[error("epoch {epoch} cannot be committed after epoch {committed}")]
    StaleEpoch { epoch: Epoch, committed: Epoch },
}

impl Error {
    /// Wraps an Arrow error: `map_err(Error::arrow("merge blocks"))`.
    pub(crate) fn arrow(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { action, source }
    }
}
