//! The files that a pattern names: which partition each is, and how many records it has.
//!
//! Invariants:
//! 1. A file keeps its partition: numbers are given once, and told again at each start ([`Folder::recall`]).
//! 2. A file is what it was: one that bears the name of another that was read is refused.
//! 3. Of each file no more is read again than what was added to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_engine::connector::{PartitionInfo, SourceError};
use weir_schemas::SchemaText;

use super::container::{Begin, Header, Walk, begin};
use super::pattern;
use super::schemas::FileSchemas;

/// What is committed with each epoch grows with the partitions.
pub(super) const FILES_MAX: usize = 10_000;

/// A file that is read.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// As a person writes it.
    pub(super) shown: String,
    pub(super) contents: Contents,
}

/// What a file is.
#[derive(Debug, Clone)]
pub(super) enum Contents {
    Records {
        header: Arc<Header>,
        schema_id: u32,
    },
    /// No record of it can be read: it is one dead letter.
    Damaged(Arc<str>),
}

impl Contents {
    /// Tells the file from another one of the same name.
    fn mark(&self) -> String {
        match self {
            Self::Records { header, .. } => {
                header.marker.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            }
            Self::Damaged(_) => "damaged".to_owned(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Folder {
    /// The folder, and the pattern of names in it.
    folder: PathBuf,
    names: String,
    /// The folder as the source file writes it, for messages.
    shown: String,
    schemas: Arc<FileSchemas>,

    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By partition.
    files: BTreeMap<i32, Numbered>,
    by_name: BTreeMap<String, i32>,
    /// The numbers that were given before are known.
    is_recalled: bool,
}

/// A file that has a number.
#[derive(Debug)]
struct Numbered {
    name: String,
    mark: String,
    /// `None`: it was not looked at yet.
    looked: Option<Looked>,
}

#[derive(Debug)]
struct Looked {
    contents: Contents,
    walk: Option<Walk>,
    n_bytes: u64,
    n_records: i64,
    /// It was told that it ends within a block.
    is_cut: bool,
}

impl Folder {
    pub(super) fn new(pattern: &Path, shown: &str) -> Self {
        let folder = pattern.parent().map_or_else(PathBuf::new, Path::to_owned);
        let names = pattern.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let shown_folder =
            Path::new(shown).parent().map_or_else(String::new, |dir| dir.display().to_string());
        let schemas = Arc::new(FileSchemas::new(&folder, &names));
        Self { folder, names, shown: shown_folder, schemas, known: Mutex::default() }
    }

    /// The schemas of the files.
    pub(super) fn schemas(&self) -> &Arc<FileSchemas> {
        &self.schemas
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, name: &str) -> String {
        Path::new(&self.shown).join(name).display().to_string()
    }

    /// Partitions and their names, as [`Self::name`] gave them.
    pub(super) fn recall(&self, names: &[(i32, &str)]) {
        let mut known = self.known();
        known.is_recalled = true;
        for (partition, told) in names {
            let (shown, mark) = told.rsplit_once('#').unwrap_or((told, ""));
            let name = Path::new(shown).file_name().unwrap_or_default().to_string_lossy().into_owned();
            known.by_name.insert(name.clone(), *partition);
            let file = Numbered { name, mark: mark.to_owned(), looked: None };
            known.files.insert(*partition, file);
        }
    }

    /// What a partition is known by at the next start.
    pub(super) fn name(&self, partition: i32) -> Option<String> {
        self.known().files.get(&partition).map(|file| format!("{}#{}", self.shown(&file.name), file.mark))
    }

    /// The file of a partition, for a person.
    pub(super) fn place(&self, partition: i32) -> Option<String> {
        self.known().files.get(&partition).map(|file| self.shown(&file.name))
    }

    /// The file of a partition that was discovered.
    pub(super) fn get(&self, partition: i32) -> Option<Found> {
        let known = self.known();
        let file = known.files.get(&partition)?;
        let contents = file.looked.as_ref()?.contents.clone();
        Some(Found { path: self.folder.join(&file.name), shown: self.shown(&file.name), contents })
    }

    /// How many records a partition has, as it was last looked at.
    pub(super) fn n_records(&self, partition: i32) -> i64 {
        let known = self.known();
        let looked = known.files.get(&partition).and_then(|file| file.looked.as_ref());
        looked.map_or(0, |looked| looked.n_records)
    }

    /// Looks for files, and at what was added to those that are known. Ascending by partition.
    pub(super) fn discover(&self) -> Result<Vec<PartitionInfo>, SourceError> {
        let names = pattern::list(&self.folder, &self.names).map_err(|error| {
            SourceError::Retry(format!("could not list the folder \"{}\": {error}", self.shown))
        })?;
        let mut known = self.known();
        if !known.is_recalled {
            // Only how many there are counts: which is which is not known yet.
            let numbers = 0..i32::try_from(names.len()).unwrap_or(i32::MAX);
            return Ok(numbers.map(|partition| info(partition, 0)).collect());
        }
        let mut found = BTreeMap::new();
        for name in names {
            let failed = |error: io::Error| {
                SourceError::Retry(format!("could not read the file \"{}\": {error}", self.shown(&name)))
            };
            if let Some((partition, n_records)) = self.look(&mut known, &name, &failed)? {
                found.insert(partition, n_records);
            }
        }
        Ok(found.into_iter().map(|(partition, n_records)| info(partition, n_records)).collect())
    }

    /// The partition and the number of records of a file; `None` where its header is not whole yet.
    fn look(
        &self,
        known: &mut Known,
        name: &str,
        failed: &dyn Fn(io::Error) -> SourceError,
    ) -> Result<Option<(i32, i64)>, SourceError> {
        let path = self.folder.join(name);
        let partition = known.by_name.get(name).copied();
        let n_bytes = path.metadata().map_err(failed)?.len();
        if let Some(partition) = partition
            && let Some(looked) = known.files.get(&partition).and_then(|file| file.looked.as_ref())
            && looked.n_bytes == n_bytes
        {
            return Ok(Some((partition, looked.n_records)));
        }
        let file = File::open(&path).map_err(failed)?;
        let Some(contents) = self.contents(&file, name).map_err(failed)? else { return Ok(None) };
        let partition = match partition {
            Some(partition) => partition,
            None => self.add(known, name, &contents)?,
        };
        let entry = known.files.get_mut(&partition).expect("it has just been found or added");
        if entry.mark != contents.mark() {
            return Err(SourceError::Fatal(format!(
                "the file \"{}\" is another one than the one of this name that was read before: put that one back and \
                 give this one a name of its own, or start this pipeline over with \"weir reset\"",
                self.shown(name)
            )));
        }
        let looked = entry.looked.get_or_insert_with(|| Looked {
            walk: match &contents {
                Contents::Records { header, .. } => Some(Walk::new(header)),
                Contents::Damaged(_) => None,
            },
            n_records: i64::from(matches!(contents, Contents::Damaged(_))),
            contents,
            n_bytes: 0,
            is_cut: false,
        });
        if let Some(walk) = &mut looked.walk {
            while walk.step(&file, n_bytes).map_err(failed)?.is_some() {}
            looked.n_records = walk.next;
            let is_cut = walk.at() < n_bytes;
            if is_cut && !looked.is_cut {
                let (file, at) = (self.shown(name), walk.at());
                tracing::info!(file, at, "the file ends within a block: the rest of it is waited for");
            }
            looked.is_cut = is_cut;
        }
        looked.n_bytes = n_bytes;
        Ok(Some((partition, looked.n_records)))
    }

    fn add(&self, known: &mut Known, name: &str, contents: &Contents) -> Result<i32, SourceError> {
        if FILES_MAX <= known.files.len() {
            return Err(SourceError::Fatal(format!(
                "more than {FILES_MAX} files were found in \"{}\": put them into several folders, with a source each",
                self.shown
            )));
        }
        let partition = known.files.last_key_value().map_or(0, |(last, _)| last + 1);
        known.by_name.insert(name.to_owned(), partition);
        let file = Numbered { name: name.to_owned(), mark: contents.mark(), looked: None };
        known.files.insert(partition, file);
        Ok(partition)
    }

    /// `None`: its header is not whole yet.
    fn contents(&self, file: &File, name: &str) -> io::Result<Option<Contents>> {
        let damaged = |why: &str| {
            tracing::warn!(file = self.shown(name), why, "the file can't be read: it is a dead letter");
            Some(Contents::Damaged(why.into()))
        };
        Ok(match begin(file)? {
            Begin::Cut => None,
            Begin::Damaged(why) => damaged(&why),
            Begin::Header(header) => match self.schemas.add(&SchemaText::from(header.schema.as_str())) {
                Ok(schema_id) => Some(Contents::Records { header: Arc::new(header), schema_id }),
                Err(why) => damaged(&why),
            },
        })
    }
}

fn info(partition: i32, n_records: i64) -> PartitionInfo {
    PartitionInfo { partition, begin_offset: 0, end_offset: n_records }
}
