//! What is wrong with a project: collected, so that a person sees all of it at once.

use std::fmt;

use super::codes::Code;
use super::yaml::Pos;

/// One mistake, at a place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Relative to the project's folder, with `/`.
    pub file: String,
    pub at: Pos,
    /// As in `E0102`.
    pub code: &'static str,
    pub message: String,
    /// What would work instead.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, code, message, hint } = self;
        write!(f, "{file}:{}:{}: error: {message} [{code}]", at.line, at.column)?;
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All mistakes of a project. As an error it is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, repetitions included.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of files, lines and columns, without repetitions.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<&Problem> = self.0.iter().collect();
        sorted.sort();
        sorted.dedup();
        sorted
    }

    pub(crate) fn push(&mut self, file: &str, at: Pos, code: Code, message: impl Into<String>) {
        let (file, message) = (file.to_owned(), message.into());
        self.0.push(Problem { file, at, code: code.as_str(), message, hint: None });
    }

    /// Forgets a mistake that another one turned out to make.
    pub(super) fn take_back(&mut self, file: &str, at: Pos, message: &str) {
        self.0.retain(|problem| {
            (problem.file.as_str(), problem.at, problem.message.as_str()) != (file, at, message)
        });
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Those that are not of `code`, if `drop`; else all.
    pub(crate) fn without(mut self, code: &str, drop: bool) -> Self {
        self.0.retain(|problem| !drop || problem.code != code);
        self
    }

    /// `value` if nothing is wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self(problems.into_iter().collect())
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.sorted() {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
