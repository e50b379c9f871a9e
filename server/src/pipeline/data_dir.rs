//! A data directory: whose it is, and where in it each pipeline lives.
//!
//! ```text
//! .weir/lock               held by the process that writes, and bears its number; a second one is refused
//! .weir/pipelines/NAME/    state, results and dead letters of one pipeline
//! .weir/registry/          the log of the embedded schema registry, where there is one
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use weir_engine::state::{Error as StateError, Identity, Settings, Store};

use crate::project::ROOT_FILE;

/// The data directory of a project, in its folder, unless another one is named.
pub(crate) const DEFAULT_NAME: &str = ".weir";

/// A data directory that this process holds: exclusively to write, or shared to read.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Stop the other process, or ask it over HTTP.
    #[error("the data directory \"{}\" is in use by another weir{}", .path.display(), shown(.process))]
    InUse {
        path: PathBuf,
        /// The process that writes it; `None` where only readers hold it.
        process: Option<u32>,
    },
    /// Name another directory.
    #[error("there is no data directory \"{}\"", .0.display())]
    Missing(PathBuf),
    /// Name the directory in it.
    #[error("\"{project}\" is a project, not a data directory: did you mean \"{data_dir}\"?",
        project = .0.display(), data_dir = .0.join(DEFAULT_NAME).display())]
    IsProject(PathBuf),
    /// Run it first.
    #[error("\"{project}\" is a project, not a data directory, and has none yet: weir run {project} makes \"{data_dir}\"",
        project = .0.display(), data_dir = .0.join(DEFAULT_NAME).display())]
    NeverRun(PathBuf),
    /// Make it writable, or name another one.
    #[error("could not open the data directory \"{}\"", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn shown(process: &Option<u32>) -> String {
    process.map(|process| format!(", process {process}")).unwrap_or_default()
}

impl DataDir {
    /// Makes the directory if it is missing, and holds it until dropped.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] where any process reads or writes it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        if !path.exists() {
            std::fs::create_dir_all(path).map_err(failed)?;
            // Projects are kept in git, their state is not.
            std::fs::write(path.join(".gitignore"), "*\n").map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).open(path.join("lock")).map_err(failed)?;
        Self::hold(path, lock)
    }

    /// Holds a directory that exists, as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`], and [`DataDirError::Missing`] where none was ever made.
    pub fn open_existing(path: &Path) -> Result<Self, DataDirError> {
        let lock = OpenOptions::new().write(true).open(path.join("lock"));
        Self::hold(path, lock.map_err(|source| Self::not_opened(path, source))?)
    }

    fn hold(path: &Path, mut lock: File) -> Result<Self, DataDirError> {
        lock.try_lock().map_err(|error| Self::refused(path, error))?;
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Holds a directory that nobody writes, to read it.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] where a process writes it, [`DataDirError::Missing`] where none ever did.
    pub fn open_to_read(path: &Path) -> Result<Self, DataDirError> {
        let lock = File::open(path.join("lock")).map_err(|source| Self::not_opened(path, source))?;
        lock.try_lock_shared().map_err(|error| Self::refused(path, error))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn not_opened(path: &Path, source: io::Error) -> DataDirError {
        match source.kind() {
            io::ErrorKind::NotFound if path.join(ROOT_FILE).exists() => {
                let was_run = path.join(DEFAULT_NAME).join("lock").exists();
                if was_run {
                    DataDirError::IsProject(path.to_owned())
                } else {
                    DataDirError::NeverRun(path.to_owned())
                }
            }
            io::ErrorKind::NotFound => DataDirError::Missing(path.to_owned()),
            _ => DataDirError::Io { path: path.to_owned(), source },
        }
    }

    fn refused(path: &Path, error: TryLockError) -> DataDirError {
        match error {
            TryLockError::WouldBlock => {
                let noted = std::fs::read_to_string(path.join("lock")).unwrap_or_default();
                // What a killed process left says nothing of those that read.
                let is_alive = |process: &u32| Path::new(&format!("/proc/{process}")).exists();
                let process = noted.trim().parse().ok().filter(is_alive);
                DataDirError::InUse { path: path.to_owned(), process }
            }
            TryLockError::Error(source) => DataDirError::Io { path: path.to_owned(), source },
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a pipeline, which may not exist yet.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> PathBuf {
        self.path.join("pipelines").join(name)
    }

    /// The folder of the embedded schema registry, which may not exist.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.path.join("registry")
    }

    /// The names of the pipelines that were ever started here, ascending.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn pipelines(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.path.join("pipelines")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
        names.retain(|name| Store::exists(&self.pipeline(name)));
        names.sort();
        Ok(names)
    }

    /// What is kept of a pipeline; `None` where it was never started.
    ///
    /// # Errors
    /// What is kept can't be read.
    pub fn kept(&self, name: &str) -> Result<Option<Kept>, StateError> {
        let folder = self.pipeline(name);
        if !Store::exists(&folder) {
            return Ok(None);
        }
        let store = Store::open_read_only(&folder)?;
        let settings = store.recovered().map(|recovered| recovered.settings);
        Ok(store.identity()?.map(|identity| Kept { identity, settings }))
    }
}

/// What a pipeline was started with before.
#[derive(Debug, Clone)]
pub struct Kept {
    pub identity: Identity,
    /// Of its last epoch; `None` before the first.
    pub settings: Option<Settings>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_writes_and_readers_wait_for_it_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        assert!(matches!(DataDir::open_to_read(&path), Err(DataDirError::Missing(_))));
        assert!(matches!(DataDir::open_existing(&path), Err(DataDirError::Missing(_))));
        let writer = DataDir::open(&path).unwrap();
        let by_us = format!("the data directory \"{}\" is in use by another weir, process ", path.display());
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert_eq!(refused, format!("{by_us}{}", std::process::id()));
        assert!(matches!(DataDir::open_existing(&path), Err(DataDirError::InUse { .. })));
        assert!(matches!(DataDir::open_to_read(&path), Err(DataDirError::InUse { .. })));
        drop(writer);
        let reader = DataDir::open_to_read(&path).unwrap();
        assert!(DataDir::open_to_read(&path).is_ok());
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse { .. })));
        assert!(reader.pipelines().unwrap().is_empty());
    }

    #[test]
    fn a_project_is_no_data_directory_and_the_one_in_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::fs::write(path.join(ROOT_FILE), "").unwrap();
        let refused = DataDir::open_to_read(path).unwrap_err().to_string();
        let shown = path.display();
        let none_yet = format!(
            "\"{shown}\" is a project, not a data directory, and has none yet: weir run {shown} makes \"{shown}/.weir\""
        );
        assert_eq!(refused, none_yet);
        drop(DataDir::open(&path.join(DEFAULT_NAME)).unwrap());
        let refused = DataDir::open_to_read(path).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("\"{shown}\" is a project, not a data directory: did you mean \"{shown}/.weir\"?")
        );
    }
}
