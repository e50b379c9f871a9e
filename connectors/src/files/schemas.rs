//! The schemas of a folder's files, as the registry of their records: a record is framed with the id of its file's schema.
//!
//! Invariant: an id is that of one text, in every process: a dead letter that is run again after a restart finds the
//! schema it was written with.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_schemas::registry::{Registered, SubjectVersion};
use weir_schemas::{RegistryError, SchemaId, SchemaRegistry, SchemaText, Splitter};

use super::container::{Begin, begin};
use super::pattern;

/// See the module.
#[derive(Debug)]
pub(super) struct FileSchemas {
    folder: PathBuf,
    names: String,

    by_id: Mutex<BTreeMap<u32, Arc<SchemaText>>>,
}

impl FileSchemas {
    pub(super) fn new(folder: &Path, names: &str) -> Self {
        Self { folder: folder.to_owned(), names: names.to_owned(), by_id: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<SchemaText>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file's schema in, and gives its id.
    ///
    /// # Errors
    /// Why its records can't be read, for a person.
    pub(super) fn add(&self, schema: &SchemaText) -> Result<u32, String> {
        let id = crc32fast::hash(schema.text.as_bytes());
        let mut known = self.known();
        match known.get(&id) {
            Some(other) if **other != *schema => {
                Err("its schema and that of another file have the same checksum: write it with other spaces"
                    .to_owned())
            }
            Some(_) => Ok(id),
            None => {
                Splitter::new(schema).map_err(|error| format!("its schema is no Avro schema: {error}"))?;
                known.insert(id, Arc::new(schema.clone()));
                Ok(id)
            }
        }
    }

    /// The schema of a file; `None` where it has none that can be read.
    fn of_file(&self, name: &str) -> Option<SchemaText> {
        let file = File::open(self.folder.join(name)).ok()?;
        match begin(&file).ok()? {
            Begin::Header(header) => Some(SchemaText::from(header.schema.as_str())),
            Begin::Cut | Begin::Damaged(_) => None,
        }
    }

    fn list(&self) -> Result<Vec<String>, RegistryError> {
        pattern::list(&self.folder, &self.names).map_err(|error| RegistryError::Unavailable {
            detail: format!("could not list the folder \"{}\": {error}", self.folder.display()),
        })
    }
}

fn none(what: String) -> RegistryError {
    RegistryError::NotFound { what }
}

impl SchemaRegistry for FileSchemas {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        if let Some(known) = self.known().get(&id.0) {
            return Ok(Arc::clone(known));
        }
        // Of a file that this process has not read.
        for schema in self.list()?.iter().filter_map(|name| self.of_file(name)) {
            // What can't be read is nobody's.
            drop(self.add(&schema));
        }
        self.known().get(&id.0).cloned().ok_or_else(|| none(format!("file with schema {id}")))
    }

    fn subjects_of(&self, _: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Ok(Vec::new())
    }

    /// That of the last file, by name.
    fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        let newest = self.list()?.iter().rev().find_map(|name| self.of_file(name));
        let schema = newest.ok_or_else(|| none(format!("Avro file in \"{subject}\" yet")))?;
        let id = self.add(&schema).map_err(|detail| RegistryError::Invalid { detail })?;
        let schema = Arc::new(schema);
        Ok(Registered { id: SchemaId(id), subject: subject.to_owned(), version: 1, schema })
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        Err(none(format!("subject \"{subject}\": it is a folder")))
    }

    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
        Err(none(format!("version {version} of \"{subject}\": it is a folder")))
    }

    fn register(&self, subject: &str, _: &str) -> Result<SchemaId, RegistryError> {
        let detail = format!("\"{subject}\" is a folder: schemas are those of its files");
        Err(RegistryError::Invalid { detail })
    }
}
