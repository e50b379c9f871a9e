//! Reads the files of one source subtask, in turns.
//!
//! Invariants:
//! 1. Of all files together one block is in memory, decompressed, and what is handed over.
//! 2. Few files are open at a time, however many there are.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_engine::connector::{Reader, ReaderEvent, SourceError, Start};
use weir_schemas::{SchemaId, SchemaRegistry as _, Splitter};

use super::cursor::{Cursor, Taken};
use super::folder::{Contents, Folder};

/// How often a file that was read to its end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// As long as no file has more, this is slept between two looks around.
const PAUSE: Duration = Duration::from_millis(10);

/// Why records that were handed over can't be used: by partition and offset, until the decoder asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Damages(Arc<Mutex<HashMap<(i32, i64), String>>>);

impl Damages {
    fn all(&self) -> MutexGuard<'_, HashMap<(i32, i64), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what is wrong with a record, if anything is.
    pub(super) fn take(&self, partition: i32, offset: i64) -> Option<String> {
        self.all().remove(&(partition, offset))
    }
}

/// See the module.
pub(super) struct FilesReader {
    folder: Arc<Folder>,
    damages: Damages,

    files: BTreeMap<i32, Assigned>,
    /// The one whose turn it is, or that of the next.
    turn: i32,
    is_in_trouble: bool,
}

struct Assigned {
    cursor: Cursor,
    is_paused: bool,
    /// When to look whether it has grown; `None`: it is not at its end.
    look_at: Option<Instant>,
}

impl FilesReader {
    pub(super) fn new(folder: Arc<Folder>, damages: Damages) -> Self {
        Self { folder, damages, files: BTreeMap::new(), turn: 0, is_in_trouble: false }
    }

    /// The partitions in the order of their turns.
    fn turns(&self) -> Vec<i32> {
        let (before, from) = (self.files.range(..self.turn), self.files.range(self.turn..));
        from.chain(before).filter(|(_, file)| !file.is_paused).map(|(partition, _)| *partition).collect()
    }

    /// Takes what there is of the next file that has anything; how many records.
    fn take(&mut self, max_records: usize, events: &mut Vec<ReaderEvent>) -> Result<usize, Trouble> {
        for partition in self.turns() {
            let Some(file) = self.files.get_mut(&partition) else { continue };
            let trouble = |error: io::Error, cursor: &Cursor| {
                Trouble(format!("could not read the file \"{}\": {error}", cursor.shown()))
            };
            if let Some(look_at) = file.look_at {
                let now = Instant::now();
                if now < look_at {
                    continue;
                }
                file.look_at = Some(now + LOOK_EVERY);
                match file.cursor.has_grown() {
                    Ok(false) => continue,
                    // It was read to its end: whoever takes it away may.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(trouble(error, &file.cursor)),
                    Ok(true) => file.look_at = None,
                }
            }
            self.turn = partition;
            let taken = file.cursor.take(max_records).map_err(|error| trouble(error, &file.cursor))?;
            let n_taken = match taken {
                Taken::Records(block) => {
                    let n_records = block.len();
                    events.push(ReaderEvent::Block(block));
                    n_records
                }
                Taken::Damaged(block, why) => {
                    self.damages.all().insert((partition, block.offsets[0]), why);
                    events.push(ReaderEvent::Block(block));
                    1
                }
                Taken::End(next_offset) => {
                    file.look_at = Some(Instant::now() + LOOK_EVERY);
                    events.push(ReaderEvent::End { partition, next_offset });
                    0
                }
            };
            if !file.cursor.is_open() {
                file.cursor.let_go();
                self.turn = partition.saturating_add(1);
            }
            if 0 < n_taken {
                return Ok(n_taken);
            }
        }
        Ok(0)
    }
}

/// What keeps a file from being read, for a person.
struct Trouble(String);

impl Reader for FilesReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        let retry = SourceError::Retry;
        let found = self.folder.get(partition);
        let found = found.ok_or_else(|| retry(format!("the file of partition {partition} is not there")))?;
        let splitter = match &found.contents {
            Contents::Records { schema_id, .. } => {
                let schema = self.folder.schemas().by_id(SchemaId(*schema_id));
                let schema = schema.map_err(|error| retry(error.to_string()))?;
                Some(Splitter::new(&schema).map_err(|error| SourceError::Fatal(error.to_string()))?)
            }
            Contents::Damaged(_) => None,
        };
        let n_records = self.folder.n_records(partition);
        let next = match start {
            Start::Offset(next) => next,
            Start::Latest => n_records,
            Start::Earliest | Start::At(_) => 0,
        };
        if n_records < next {
            return Err(SourceError::Fatal(format!(
                "the file \"{}\" has {n_records} records, and {next} were read of it: it was cut",
                found.shown
            )));
        }
        let cursor = Cursor::new(partition, found, splitter, next);
        self.files.insert(partition, Assigned { cursor, is_paused: false, look_at: None });
        Ok(next)
    }

    fn set_paused(&mut self, partition: i32, paused: bool) {
        if let Some(file) = self.files.get_mut(&partition) {
            file.is_paused = paused;
            if paused {
                file.cursor.let_go();
            }
        }
    }

    fn poll(
        &mut self,
        max_records: usize,
        max_wait: Duration,
        events: &mut Vec<ReaderEvent>,
    ) -> Result<(), SourceError> {
        match self.take(max_records, events) {
            Err(Trouble(detail)) => {
                events.push(ReaderEvent::Trouble { detail });
                self.is_in_trouble = true;
                // The others have their turn.
                self.turn = self.turn.saturating_add(1);
                std::thread::sleep(PAUSE.min(max_wait));
            }
            Ok(n_taken) => {
                if std::mem::take(&mut self.is_in_trouble) {
                    events.push(ReaderEvent::Recovered);
                }
                if n_taken == 0 && events.is_empty() {
                    std::thread::sleep(PAUSE.min(max_wait));
                }
            }
        }
        Ok(())
    }
}
