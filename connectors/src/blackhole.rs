//! A sink that counts rows and drops them: for measurements.
//!
//! Nothing of it could be missed after a crash, so its rows never enter an outbox.

use weir_engine::connector::{Emit, Progress, Sink, SinkContext, SinkError, SinkWriter};

/// Counts and drops.
#[derive(Debug, Clone)]
pub struct BlackholeSink {
    name: String,
    emit: Emit,
}

impl BlackholeSink {
    /// The sink of the file `name`.
    #[must_use]
    pub fn new(name: &str, emit: Emit) -> Self {
        Self { name: name.to_owned(), emit }
    }
}

impl Sink for BlackholeSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "blackhole"
    }

    fn emit(&self) -> Emit {
        self.emit
    }

    fn only_counts(&self) -> bool {
        true
    }

    fn open(&self, _: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        Err(SinkError::Fatal("a blackhole has nothing to open".to_owned()))
    }
}
