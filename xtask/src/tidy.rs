//! The rules of this repository that neither rustc, rustfmt nor clippy checks.
//!
//! Every `.rs` file starts with `//!`, has at most [`MAX_FILE_LINES`] lines, and its functions at most
//! [`MAX_FUNCTION_LINES`]; tests are apart. All violations are printed, not just the first. Relies on rustfmt: a
//! function ends at the first line that is a brace as far indented as its `fn`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// Checks all Rust files below `root`.
///
/// # Errors
/// A file or folder can't be read, or the violations can't be printed.
pub(crate) fn check(root: &Path) -> Result<ExitCode> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut violations = String::new();
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/");
        for violation in violations_of(&name, &text) {
            writeln!(violations, "{name}:{violation}")?;
        }
    }
    std::io::stdout().write_all(violations.as_bytes())?;
    eprintln!("{} files checked, {} violations", files.len(), violations.lines().count());
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let explain = || format!("could not list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(explain)? {
        let entry = entry.with_context(explain)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type().with_context(explain)?.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "dist"].contains(&&*name) {
                collect(&path, files)?;
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// What is wrong with one file, as `LINE: reason`, in the order of the rules.
fn violations_of(name: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    if !text.starts_with("//!") {
        violations.push("1: does not start with //! saying what it is for".to_owned());
    }
    let is_test = name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("/tests.rs");
    if is_test {
        return violations;
    }
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[..tests_start(&lines)];
    if MAX_FILE_LINES < lines.len() {
        violations.push(format!("1: has {} lines, {MAX_FILE_LINES} at most (tests apart)", lines.len()));
    }
    for (at, line) in lines.iter().enumerate() {
        if let Some(function) = function_name(line) {
            let n_lines = function_lines(&lines[at..]);
            if MAX_FUNCTION_LINES < n_lines {
                violations.push(format!(
                    "{}: fn {function} has {n_lines} lines, {MAX_FUNCTION_LINES} at most",
                    at + 1
                ));
            }
        }
    }
    violations
}

/// The index of the line where the test module begins; the number of lines where there is none.
fn tests_start(lines: &[&str]) -> usize {
    let is_start = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ");
    lines.windows(2).position(is_start).unwrap_or(lines.len())
}

fn function_name(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once("fn ")?;
    let is_qualifier = |word: &str| {
        word.starts_with("pub")
            || ["async", "const", "unsafe", "extern", "\"C\"", "in", "crate)"].contains(&word)
    };
    if !before.split_whitespace().all(is_qualifier) {
        return None;
    }
    let end = behind.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (end != 0).then(|| &behind[..end])
}

/// The number of lines of the function that begins with the first one; 1 where it has no body of its own lines.
fn function_lines(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    if lines[0].ends_with(';') || lines[0].ends_with('}') {
        return 1;
    }
    let is_end = |line: &&str| -> bool {
        let is_level = line.len() - line.trim_start().len() == indent;
        let end = line.trim_end();
        is_level && (end.trim_start() == "}" || end.ends_with(';') || end.ends_with("{}"))
    };
    lines[1..].iter().position(is_end).map_or(lines.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(n_lines: usize) -> String {
        let body = "        let x = 1;\n".repeat(n_lines - 2);
        format!("impl A {{\n    pub(crate) async fn long(&self) {{\n{body}    }}\n}}\n")
    }

    #[test]
    fn each_rule_has_its_line() {
        let check = |text: &str| violations_of("a/src/b.rs", text);
        assert_eq!(check("//! Good.\nfn f() {}\n"), [""; 0]);
        assert_eq!(check("fn f() {}\n").len(), 1);
        assert_eq!(check(&format!("//! Long.\n{}", "//\n".repeat(599))), [""; 0]);
        assert_eq!(check(&format!("//! Long.\n{}", "//\n".repeat(600))).len(), 1);
        assert_eq!(check(&format!("//! Fits.\n{}", function(70))), [""; 0]);
        assert_eq!(check(&format!("//! Long.\n{}", function(71))), ["3: fn long has 71 lines, 70 at most"]);
    }

    #[test]
    fn tests_are_apart() {
        let long = format!("//! Tests.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(700));
        assert_eq!(violations_of("a/src/b.rs", &long), [""; 0]);
        assert_eq!(violations_of("tests/src/b.rs", &"//!\n".repeat(700)), [""; 0]);
        assert_eq!(violations_of("tests/src/b.rs", "fn f() {}").len(), 1);
    }

    #[test]
    fn declarations_have_no_body() {
        let lines = ["    fn far(", "        &self,", "    ) -> u8;", "    fn near(&self) {", "    }"];
        assert_eq!(function_lines(&lines), 3);
        assert_eq!(function_lines(&["fn one() -> u8 { 1 }", "}"]), 1);
        assert_eq!(function_name("    // the fn is long"), None);
        assert_eq!(function_name("    let f = |x: fn (u8)| 1;"), None);
        assert_eq!(function_name("pub(in crate) const unsafe fn f<T>() {"), Some("f"));
    }
}
