//! The file sink: final rows as Parquet files in a folder, each row in one file, whatever dies when.
//!
//! ```text
//! deliver:  .NAME.parquet.pending ─ sync ─► .SINK.journal (position, NAME) ─ sync ─► rename to NAME.parquet
//!                                              this is the commit ▲
//! open:     lock ─► journal ─► pending file of the journal? rename it ─► remove other pending files
//! ```
//!
//! Invariants:
//! 1. The journal's rename is the commit: before it the rows are not there, whatever is on disk; behind
//!    it they are, and whoever opens the folder next finishes what is missing.
//! 2. The journal alone says how far the sink is: finished files may be moved away or deleted at any
//!    time. They end in `.parquet`; all others start with a dot.
//! 3. One writer at a time: it holds a lock that ends with its process, however that ends.

mod journal;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_engine::connector::{Batching, Emit, Progress, Sink, SinkContext, SinkError, SinkWriter};

use writer::FileWriter;

/// Writes Parquet files into a folder, which is made if missing.
#[derive(Debug, Clone)]
pub struct FileSink {
    name: String,
    folder: PathBuf,
    linger: Duration,
}

/// How long rows wait for others to be in a file with them. Less makes many small files, more delays
/// what reads them.
const LINGER: Duration = Duration::from_secs(5);

impl FileSink {
    /// The sink of the file `name`, into `folder`.
    #[must_use]
    pub fn new(name: &str, folder: &Path) -> Self {
        Self { name: name.to_owned(), folder: folder.to_owned(), linger: LINGER }
    }
}

impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn emit(&self) -> Emit {
        Emit::Final
    }

    /// A file per delivery: as large as memory allows, or what came within some seconds.
    fn batching(&self) -> Batching {
        Batching { rows_max: 500_000, bytes_max: 32 << 20, linger: self.linger }
    }

    fn open(&self, context: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        let (writer, progress) = FileWriter::open(&self.folder, context)?;
        Ok((Box::new(writer), progress))
    }
}
