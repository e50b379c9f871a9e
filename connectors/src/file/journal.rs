//! The journal of a file sink: one small JSON file that is replaced whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use weir_engine::connector::Progress;

/// The format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// How far a file sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    version: u32,
    pub(super) progress: Progress,
    /// The file that the last rows are in, as it is called when it is finished.
    pub(super) file: String,
}

/// Why a journal could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Try again.
    Io(io::Error),
    /// It is not what was written.
    Damaged(String),
}

impl Journal {
    pub(super) fn new(progress: Progress, file: &str) -> Self {
        Self { version: VERSION, progress, file: file.to_owned() }
    }

    /// Reads the journal at `path`; `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Unreadable> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unreadable::Io(error)),
        };
        let damaged = |detail: String| {
            Unreadable::Damaged(format!("the journal \"{}\" is damaged: {detail}", path.display()))
        };
        let (checksum, text) =
            text.split_at_checked(9).ok_or_else(|| damaged(format!("it has {} bytes", text.len())))?;
        let computed = checksum_of(text);
        if checksum != computed.as_bytes() {
            return Err(damaged(format!("its bytes give the checksum {}", computed.trim_end())));
        }
        let journal: Self = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if journal.version != VERSION {
            return Err(Unreadable::Damaged(format!(
                "the journal \"{}\" has format version {}, this version of weir reads version {VERSION}",
                path.display(),
                journal.version
            )));
        }
        Ok(Some(journal))
    }

    /// Writes the journal next to `path`, synced, as `new`; renaming it commits.
    pub(super) fn write(&self, new: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let mut file = File::create(new)?;
        file.write_all(checksum_of(&text).as_bytes())?;
        file.write_all(&text)?;
        file.sync_all()
    }
}

/// CRC-32 in hexadecimal, and a line feed.
fn checksum_of(text: &[u8]) -> String {
    format!("{:08x}\n", crc32fast::hash(text))
}
