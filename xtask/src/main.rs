//! Chores of this repository that need more than a line of shell: `cargo xtask page`, `cargo xtask tidy`.
//!
//! Works from any directory, and in the target directory that cargo was told to use.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod page;
mod tidy;

const HELP: &str = "Chores of this repository

Usage: cargo xtask <COMMAND>

Commands:
  page  Build the dashboard into dashboard/dist, which the server embeds
  tidy  Check the rules that neither rustc nor clippy knows; exit code 1 where one is broken

Example:
  cargo xtask page && cargo build --release";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["page"] => page::build(&root()),
        ["tidy"] => tidy::check(&root()),
        ["--help" | "-h" | "help"] => {
            eprintln!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{HELP}");
            Ok(ExitCode::from(2))
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The repository's folder: the parent of this package, as `cargo run` says where it is now. A target folder that
/// several checkouts share may hold a binary of another one.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("the package is a folder of the repository").to_owned()
}
