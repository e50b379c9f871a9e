//! The command line: arguments, and what each command does with them.
//!
//! Invariants:
//! 1. stdout is data, stderr is talk.
//! 2. Exit codes: 0 done, 1 failed, 2 the command line or the project is wrong.
//! 3. A command or flag whose function comes later is refused, never ignored.

mod args;
mod check;
mod client;
mod end;
mod inspect;
mod log;
mod new;
mod reach;
mod registry;
mod replay;
mod reset;
mod run;
mod signals;
mod sql;
mod versions;

use std::io::{self, Write};
use std::path::Path;

use clap::Parser;
use weir_connectors::chain;

use crate::demo;
use crate::project::{self, KINDS, Problems, Project};

pub(crate) use args::DEFAULT_LISTEN;
pub use args::{Args, Command, DemoArgs, LogFormat, RunArgs, SqlArgs};
pub use log::init as init_log;
pub use run::{Run, run};

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 2; each line names a place in a file.
    #[error("{0}")]
    Project(#[from] Problems),
    /// Exit code 2: the command line asks for what can't be.
    #[error("error: {0}\n")]
    Usage(String),
    /// Exit code 1.
    #[error("error: {0}\n")]
    Failed(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Project(_) | Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

/// The error with its causes.
fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(chain(error))
}

/// Does what the process's command line says, and ends the process.
pub fn main() -> ! {
    end::end(run_command())
}

/// The process's exit code.
fn run_command() -> u8 {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help goes to stdout with 0, mistakes to stderr with 2.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { code } else { 1 };
        }
    };
    match dispatch(args.command) {
        Ok(()) => 0,
        Err(failure) => {
            talk(&failure.to_string());
            failure.code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::New { dir } => new::command(&dir),
        Command::Run(args) => run::command(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain { dir, pipeline } => check::explain(&dir, &pipeline),
        Command::Sql(args) => sql::command(&args),
        Command::Registry(args) => registry::command(&args),
        Command::Demo(args) => demo::command(&args),
        Command::Inspect { data_dir, format } => inspect::command(&data_dir, format),
        Command::Reset(args) => reset::command(&args),
        Command::Replay(args) => replay::command(&args),
        Command::Schema { kind } => schema(kind.as_deref()),
    }
}

fn schema(kind: Option<&str>) -> Result<(), Failure> {
    let schema = project::schema(kind).ok_or_else(|| {
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        Failure::Usage(format!("\"{}\" is no kind of file: {}", kind.unwrap_or_default(), kinds.join(", ")))
    })?;
    writeln!(io::stdout(), "{schema:#}").map_err(|error| Failure::Failed(format!("could not write: {error}")))
}

/// Reads a project, with the process's environment.
pub(crate) fn load(dir: &Path) -> Result<Project, Failure> {
    Ok(Project::load(dir, &environment)?)
}

/// A variable of the process's environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Writes to stderr. Whoever closed it does not want to know.
pub(crate) fn talk(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}
