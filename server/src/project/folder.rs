//! The files of one folder of a project, by name.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::codes::Code;
use super::fields::Sheet;
use super::problem::Problems;
use super::suggest::did_you_mean;
use super::value;
use super::yaml::{Node, Pos};
use super::{ROOT_FILE, Reading, read_file};

/// The project files of one folder, ascending by name.
pub(super) struct Folder {
    files: Vec<File>,
}

struct File {
    name: String,
    /// Relative to the project's folder.
    path: String,
    full: PathBuf,
}

impl Folder {
    /// Lists `dir/folder`; a missing one is empty. Files that do not look like YAML are left alone.
    pub(super) fn list(dir: &Path, folder: &str, kind: &str, reading: &mut Reading<'_>) -> Self {
        let problems = &mut reading.problems;
        let mut entries: Vec<String> = match std::fs::read_dir(dir.join(folder)) {
            Ok(entries) => entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let message = format!("could not read the folder: {error}");
                problems.push(folder, Pos::START, Code::Unreadable, message);
                Vec::new()
            }
        };
        entries.retain(|name| !name.starts_with('.'));
        entries.sort();
        let mut files = Vec::new();
        for entry in entries {
            let path = format!("{folder}/{entry}");
            if let Some(name) = entry.strip_suffix(".yaml") {
                if let Some(message) = value::bad_name(kind, name) {
                    problems.push(&path, Pos::START, Code::BadName, message);
                }
                files.push(File { name: name.to_owned(), full: dir.join(folder).join(&entry), path });
            } else if let Some(name) = entry.strip_suffix(".yml") {
                let message = format!("name it {name}.yaml: other files are not read");
                problems.push(&path, Pos::START, Code::BadName, message);
            }
        }
        Self { files }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Reads each file; those with mistakes are left out.
    pub(super) fn each<T>(
        &self,
        reading: &mut Reading<'_>,
        read: impl Fn(&mut Sheet<'_>, &Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        for file in &self.files {
            match read_file(&file.full) {
                Ok(text) => {
                    if let Some(value) = reading.yaml(&file.path, &text, &read) {
                        all.insert(file.name.clone(), value);
                    }
                }
                Err(error) => {
                    let message = format!("could not read the file: {error}");
                    reading.problems.push(&file.path, Pos::START, Code::Unreadable, message);
                }
            }
        }
        all
    }
}

/// What looks like ours and would silently not be read: a folder whose name is almost one of ours, a YAML file beside
/// weir.yaml. One whose name begins with a dot is another program's.
pub(super) fn refuse_strangers(dir: &Path, problems: &mut Problems) {
    const FOLDERS: [&str; 4] = ["sources", "pipelines", "sinks", "dashboards"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let hint = did_you_mean(&name, FOLDERS);
        if entry.path().is_dir() && !FOLDERS.contains(&name.as_str()) && !hint.is_empty() {
            problems.push(&name, Pos::START, Code::BadName, format!("unknown folder \"{name}\"{hint}"));
        } else if name == "weir.yml" {
            problems.push(&name, Pos::START, Code::BadName, "name it weir.yaml");
        } else if is_yaml(&name) && name != ROOT_FILE && entry.path().is_file() {
            let message = match did_you_mean(&name, [ROOT_FILE]) {
                hint if hint.is_empty() => {
                    "this file would not be read: move it to sources/, pipelines/, sinks/ or \
                     dashboards/, or out of the project"
                        .to_owned()
                }
                hint => format!("this file would not be read{hint}"),
            };
            problems.push(&name, Pos::START, Code::BadName, message);
        }
    }
}

fn is_yaml(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}
