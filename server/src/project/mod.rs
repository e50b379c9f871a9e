//! A project: a folder of YAML files, read whole, checked, and turned into typed settings.
//!
//! ```text
//! file ─► yaml (tree with positions) ─► fields (keys, types) ─► weir.yaml, source, pipeline, sink, dashboard
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
mod files;
mod folder;
mod pipeline;
mod problem;
mod schema;
mod sink;
mod source;
mod suggest;
mod text;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use codes::Code;
pub use connection::{Connection, Embedded, Registry};
pub use dashboard::{Dashboard, Use, check_columns};
pub use pipeline::{LettersTopic, Pipeline, Resources, Settings};
pub use problem::{Problem, Problems};
pub use schema::{KINDS, schema};
pub(crate) use sink::OUTBOX_BYTES;
pub use sink::{Sink, SinkKind};
pub use source::{Place, Source, Spots};
pub(crate) use suggest::did_you_mean;
pub use text::{Env, Opaque, Redactor};
pub(crate) use value::is_project_name;
pub use value::{duration_ms, show_ms};
pub use yaml::{MAX_FILE_BYTES, Pos};

use fields::Sheet;
use folder::Folder;
use yaml::Node;

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
    pub sinks: BTreeMap<String, Sink>,
    pub dashboards: BTreeMap<String, Dashboard>,
    /// A schema registry to be run beside the pipelines.
    pub registry: Option<Embedded>,
    /// Takes the values of environment variables out of messages that others make.
    pub redactor: Redactor,
}

impl Project {
    /// Reads the project in `dir`.
    ///
    /// # Errors
    /// All mistakes at once. Fix the files.
    pub fn load(dir: &Path, env: Env<'_>) -> Result<Self, Problems> {
        let (project, problems) = Self::read(dir, env)?;
        problems.or(project)
    }

    /// Reads what can be read of the project in `dir`, and what is wrong with the rest.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn read(dir: &Path, env: Env<'_>) -> Result<(Self, Problems), Problems> {
        let mut reading = Reading { env, problems: Problems::default(), redactor: Redactor::default() };
        if !dir.is_dir() {
            let message = format!("there is no folder \"{}\"", dir.display());
            reading.problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
            return Err(reading.problems);
        }
        let root = read_root(dir, &mut reading);
        let known = root.as_ref().map(|root| root.names.clone());
        let root = root.unwrap_or_default();
        folder::refuse_strangers(dir, &mut reading.problems);
        let mut list = |folder: &str, kind: &str| Folder::list(dir, folder, kind, &mut reading);
        let (sources, pipelines) = (list("sources", "source"), list("pipelines", "pipeline"));
        let (dashboards, sinks) = (list("dashboards", "dashboard"), list("sinks", "sink"));
        let source_dir = dir.join("sources");
        let read =
            |sheet: &mut Sheet<'_>, node: &Node| source::read(sheet, node, &source_dir, known.as_deref());
        let sources = sources.each(&mut reading, read);
        let names = pipelines.names();
        let read = |sheet: &mut Sheet<'_>, node: &Node| {
            pipeline::read(sheet, node, &root.defaults, known.as_deref())
        };
        let pipelines = pipelines.each(&mut reading, read);
        let sink_dir = dir.join("sinks");
        let read =
            |sheet: &mut Sheet<'_>, node: &Node| sink::read(sheet, node, &sink_dir, &names, known.as_deref());
        let sinks = sinks.each(&mut reading, read);
        let read = |sheet: &mut Sheet<'_>, node: &Node| dashboard::read(sheet, node, &names);
        let dashboards = dashboards.each(&mut reading, read);
        let Reading { mut problems, redactor, .. } = reading;
        let boards = dashboards.iter().map(|(name, board)| (name.as_str(), board));
        refuse_unkept(boards, &pipelines, &mut problems);
        if names.is_empty() && problems.is_empty() {
            let message = "the project has no pipeline: add pipelines/NAME.yaml";
            problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
        }
        let name = root.project.clone().or_else(|| folder_name(dir)).unwrap_or_default();
        if !is_project_name(&name) {
            let message = format!("the folder's name \"{name}\" can't name a project: add \"project: NAME\"");
            problems.push(ROOT_FILE, Pos::START, Code::BadName, message);
        }
        let (dir, connections, registry) = (dir.to_owned(), root.connections, root.registry);
        let project =
            Self { name, dir, connections, sources, pipelines, sinks, dashboards, registry, redactor };
        Ok((project, problems))
    }
}

impl Project {
    /// The dashboards by name.
    pub fn boards(&self) -> impl Iterator<Item = (&str, &Dashboard)> {
        self.dashboards.iter().map(|(name, board)| (name.as_str(), board))
    }

    /// Reads the text of a dashboard that is not a file yet, as [`Project::read`] would read its file; only variables it
    /// may not name: who sends it is not to read this process's environment.
    ///
    /// # Errors
    /// All mistakes at once, at their places in the text.
    pub fn read_dashboard(&self, name: &str, text: &str) -> Result<Dashboard, Problems> {
        let file = format!("dashboards/{name}.yaml");
        let (problems, redactor) = (Problems::default(), self.redactor.clone());
        let mut reading = Reading { env: &|_| None, problems, redactor };
        if let Some(message) = value::bad_name("dashboard", name) {
            reading.problems.push(&file, Pos::START, Code::BadName, message);
            return Err(reading.problems);
        }
        let names: Vec<String> = self.pipelines.keys().cloned().collect();
        let board = reading.yaml(&file, text, |sheet, node| dashboard::read(sheet, node, &names));
        let mut problems = reading.problems;
        refuse_unkept(board.iter().map(|board| (name, board)), &self.pipelines, &mut problems);
        match board {
            Some(board) => problems.or(board),
            None => Err(problems),
        }
    }
}

/// Panels over pipelines that keep no rows to be shown.
fn refuse_unkept<'a>(
    dashboards: impl Iterator<Item = (&'a str, &'a Dashboard)>,
    pipelines: &BTreeMap<String, Pipeline>,
    problems: &mut Problems,
) {
    for (name, dashboard) in dashboards {
        for (pipeline, at) in &dashboard.shows {
            if pipelines.get(pipeline).is_some_and(|pipeline| pipeline.settings.retention_ms == 0) {
                let message =
                    format!("pipeline \"{pipeline}\" keeps no result table to show: its retention is 0s");
                problems.push(&format!("dashboards/{name}.yaml"), *at, Code::NoTable, message);
            }
        }
    }
}

/// What reading a project gathers.
struct Reading<'a> {
    env: Env<'a>,
    problems: Problems,
    redactor: Redactor,
}

impl Reading<'_> {
    /// Parses a file and reads its root; `None` where that is a mistake.
    fn yaml<T>(
        &mut self,
        file: &str,
        text: &str,
        read: impl FnOnce(&mut Sheet<'_>, &Node) -> Option<T>,
    ) -> Option<T> {
        let Self { env, problems, redactor } = self;
        match yaml::parse(text) {
            Ok(node) => read(&mut Sheet { file, env, problems, redactor }, &node),
            Err(error) => {
                problems.push(file, error.at, Code::Syntax, error.message);
                None
            }
        }
    }
}

/// The name of the folder, links and `.` resolved.
fn folder_name(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    Some(dir.file_name()?.to_string_lossy().into_owned())
}

/// `None` where the file can't be read at all.
fn read_root(dir: &Path, reading: &mut Reading<'_>) -> Option<connection::Root> {
    match read_file(&dir.join(ROOT_FILE)) {
        Ok(text) => reading.yaml(ROOT_FILE, &text, connection::read),
        Err(error) => {
            let message = format!("could not read the file that makes a folder a project: {error}");
            reading.problems.push(ROOT_FILE, Pos::START, Code::Unreadable, message);
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

#[cfg(test)]
mod tests;
