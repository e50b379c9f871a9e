//! A project: a folder of YAML files, read whole, checked, and turned into typed settings.
//!
//! ```text
//! file ─► yaml (tree with positions) ─► fields (keys, types) ─► weir.yaml, source, pipeline, dashboard
//!            text (${NAME})  ┘                                     └─► references between files
//! ```
//!
//! Invariants:
//! 1. Every key does what it says or is refused; a file that Weir would not read is refused too.
//! 2. Reading goes on behind a mistake: all of them are reported at once, at their places.
//! 3. A value that came from the environment is never in a message, a log or a `Debug` output.

pub mod codes;

mod connection;
mod dashboard;
mod fields;
mod pipeline;
mod problem;
mod source;
mod suggest;
mod text;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use codes::Code;
pub use connection::{Connection, Registry};
pub use dashboard::{Dashboard, Use};
pub use pipeline::{Pipeline, Settings};
pub use problem::{Problem, Problems};
pub use source::{Source, Spots};
pub use text::{Env, Opaque, Redactor};
pub use value::{duration_ms, show_ms};
pub use yaml::{MAX_FILE_BYTES, Pos};

use fields::Sheet;
use suggest::did_you_mean;

/// The file that makes a folder a project.
pub const ROOT_FILE: &str = "weir.yaml";

/// A project without mistakes, as far as can be told without its broker and registry.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    pub dir: PathBuf,
    pub connections: BTreeMap<String, Connection>,
    pub sources: BTreeMap<String, Source>,
    pub pipelines: BTreeMap<String, Pipeline>,
    pub dashboards: BTreeMap<String, Dashboard>,
}

impl Project {
    /// Reads the project in `dir`.
    ///
    /// # Errors
    /// All mistakes at once. Fix the files.
    pub fn load(dir: &Path, env: Env<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let root = read_root(dir, env, &mut problems);
        let known = root.as_ref().map(|root| root.names.clone());
        let root = root.unwrap_or_default();
        refuse_strangers(dir, &mut problems);
        let mut read = |folder: &str, kind: &str| Folder::read(dir, folder, kind, &mut problems);
        let (sources, pipelines) = (read("sources", "source"), read("pipelines", "pipeline"));
        let (dashboards, sinks) = (read("dashboards", "dashboard"), read("sinks", "sink"));
        for file in sinks.files {
            problems.push(&file.path, Pos::START, Code::NotSupportedYet, "sinks are not supported yet");
        }
        let source_dir = dir.join("sources");
        let sources = sources
            .each(env, &mut problems, |sheet, node| source::read(sheet, node, &source_dir, known.as_deref()));
        let names: Vec<String> = pipelines.files.iter().map(|file| file.name.clone()).collect();
        let pipelines =
            pipelines.each(env, &mut problems, |sheet, node| pipeline::read(sheet, node, root.defaults));
        let dashboards =
            dashboards.each(env, &mut problems, |sheet, node| dashboard::read(sheet, node, &names));
        if names.is_empty() && problems.is_empty() {
            let message = "the project has no pipeline: add pipelines/NAME.yaml";
            problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
        }
        let name = root.project.clone().or_else(|| folder_name(dir)).unwrap_or_default();
        if !value::is_project_name(&name) {
            let message = format!("the folder's name \"{name}\" can't name a project: add \"project: NAME\"");
            problems.push(ROOT_FILE, Pos::START, Code::BadName, message);
        }
        problems.or(()).map(|()| Self {
            name,
            dir: dir.to_owned(),
            connections: root.connections,
            sources,
            pipelines,
            dashboards,
        })
    }
}

/// The name of the folder, links and `.` resolved.
fn folder_name(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    Some(dir.file_name()?.to_string_lossy().into_owned())
}

/// `None` where the file can't be read at all.
fn read_root(dir: &Path, env: Env<'_>, problems: &mut Problems) -> Option<connection::Root> {
    if !dir.is_dir() {
        let message = format!("there is no folder \"{}\"", dir.display());
        problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
        return None;
    }
    match read_file(&dir.join(ROOT_FILE)) {
        Ok(text) => read_yaml(ROOT_FILE, &text, env, problems, connection::read),
        Err(error) => {
            let message = format!("could not read the file that makes a folder a project: {error}");
            problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
            None
        }
    }
}

fn read_yaml<T>(
    file: &str,
    text: &str,
    env: Env<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&mut Sheet<'_>, &yaml::Node) -> Option<T>,
) -> Option<T> {
    match yaml::parse(text) {
        Ok(node) => read(&mut Sheet { file, env, problems }, &node),
        Err(error) => {
            problems.push(file, error.at, Code::Syntax, error.message);
            None
        }
    }
}

/// The text of a file that is neither too large nor anything but text.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if MAX_FILE_BYTES < text.len() as u64 {
        return Err(std::io::Error::other("the file is larger than 1 MiB"));
    }
    Ok(text)
}

/// The project files of one folder.
struct Folder {
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
    fn read(dir: &Path, folder: &str, kind: &str, problems: &mut Problems) -> Self {
        let mut names: Vec<String> = match std::fs::read_dir(dir.join(folder)) {
            Ok(entries) => entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let message = format!("could not read the folder: {error}");
                problems.push(folder, Pos::START, Code::Unreadable, message);
                Vec::new()
            }
        };
        names.sort();
        let mut files = Vec::new();
        for entry in names.into_iter().filter(|name| !name.starts_with('.')) {
            let path = format!("{folder}/{entry}");
            if let Some(name) = entry.strip_suffix(".yaml") {
                Sheet { file: &path, env: &|_| None, problems }.name(kind, name, Pos::START);
                files.push(File { name: name.to_owned(), full: dir.join(folder).join(&entry), path });
            } else if entry.ends_with(".yml") {
                let message =
                    format!("name it {}.yaml: other files are not read", entry.trim_end_matches(".yml"));
                problems.push(&path, Pos::START, Code::BadName, message);
            }
        }
        Self { files }
    }

    /// Reads each file; those with mistakes are left out.
    fn each<T>(
        &self,
        env: Env<'_>,
        problems: &mut Problems,
        read: impl Fn(&mut Sheet<'_>, &yaml::Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        for file in &self.files {
            let value = match read_file(&file.full) {
                Ok(text) => read_yaml(&file.path, &text, env, problems, &read),
                Err(error) => {
                    let message = format!("could not read the file: {error}");
                    problems.push(&file.path, Pos::START, Code::Unreadable, message);
                    None
                }
            };
            if let Some(value) = value {
                all.insert(file.name.clone(), value);
            }
        }
        all
    }
}

/// A folder whose name is almost one of ours would silently not be read.
fn refuse_strangers(dir: &Path, problems: &mut Problems) {
    const FOLDERS: [&str; 4] = ["sources", "pipelines", "sinks", "dashboards"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let hint = did_you_mean(&name, FOLDERS);
        if entry.path().is_dir() && !FOLDERS.contains(&name.as_str()) && !hint.is_empty() {
            problems.push(&name, Pos::START, Code::BadName, format!("unknown folder \"{name}\"{hint}"));
        } else if name == "weir.yml" {
            problems.push(&name, Pos::START, Code::BadName, "name it weir.yaml");
        }
    }
}

#[cfg(test)]
mod tests;
