//! The embedded schema registry: its log on disk, and a listener of its own.
//!
//! ```text
//! Confluent's clients ─► http ─► weir_schemas' EmbeddedRegistry ─► Journal: DATA_DIR/registry, synced
//! ```
//!
//! It is the same alone (`weir registry`) and inside `weir run`: the pipelines' connections ask it by its
//! URL, as they would any other.

mod http;

use std::error::Error;

use weir_engine::state::{Error as StateError, Journal, Memory};
use weir_schemas::registry::EmbeddedRegistry;
use weir_schemas::registry::embedded::{self, Replay, ReplayError};

use crate::pipeline::DataDir;

pub use http::serve;

/// Where it listens unless told otherwise: where clients look for a registry.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8081";

/// Why what is kept of a registry can't be read. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Opens the registry of a data directory, made if there is none.
///
/// # Errors
/// [`OpenError`].
pub fn open(data_dir: &DataDir, memory: &Memory) -> Result<EmbeddedRegistry, OpenError> {
    let mut replay = Replay::default();
    let journal =
        Journal::open(&data_dir.registry(), memory, |entry| replay.entry(entry).map_err(OpenError::Replay))?;
    Ok(replay.finish(Box::new(OnDisk(journal))))
}

struct OnDisk(Journal);

impl embedded::Journal for OnDisk {
    fn append(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.append(entry).map_err(|error| {
            tracing::error!(%error, source = error.source().map(ToString::to_string), "the registry's log failed");
            error.into()
        })
    }
}
