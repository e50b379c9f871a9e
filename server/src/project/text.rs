//! Scalars with environment variables put in: `${NAME}`, `${NAME:-default}`, `$${` for a plain `${`.
//!
//! Invariants:
//! 1. A value that came from a variable is never shown: not by `Debug`, not by [`Text::shown`], and
//!    a [`Redactor`] takes it out of messages made elsewhere.
//! 2. Characters that were written in the file keep their place in it ([`Text::position`]).

use std::fmt;

use super::yaml::{Pos, Raw};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A scalar, ready to use.
#[derive(Clone)]
pub(crate) struct Text {
    /// Where it begins in its file.
    pub(crate) at: Pos,
    value: String,
    raw: Raw,
    pieces: Vec<Piece>,
    from_env: bool,
}

/// A run of the value's characters.
#[derive(Clone)]
struct Piece {
    /// Indices of its first character, in the value and in what is written.
    start: usize,
    raw_start: usize,
    /// Character for character as written; else put in place of what is written at `raw_start`.
    verbatim: bool,
    /// Name and value of the variable it was taken from.
    variable: Option<(String, String)>,
}

/// A `${` that can't be resolved. The index is that of a character of the raw text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EnvError {
    pub(crate) index: usize,
    pub(crate) message: String,
}

impl Text {
    /// Puts the variables in.
    ///
    /// # Errors
    /// Every variable that is unset and has no default, and every malformed `${`.
    pub(crate) fn new(at: Pos, raw: Raw, env: Env<'_>) -> Result<Self, Vec<EnvError>> {
        let chars: Vec<char> = raw.text.chars().collect();
        let mut text = Self { at, value: String::new(), raw, pieces: Vec::new(), from_env: false };
        let (mut n_out, mut i, mut errors) = (0, 0, Vec::new());
        let mut in_run = false;
        while i < chars.len() {
            let rest = &chars[i..];
            let (taken, put, variable) = if rest.starts_with(&['$', '$', '{']) {
                (3, "${".to_owned(), None)
            } else if rest.starts_with(&['$', '{']) {
                match variable(rest, env) {
                    Ok(found) => found,
                    Err(message) => {
                        errors.push(EnvError { index: i, message });
                        (2, String::new(), None)
                    }
                }
            } else {
                (1, chars[i].to_string(), None)
            };
            text.from_env |= variable.is_some();
            let verbatim = taken == 1;
            if !(verbatim && in_run) {
                text.pieces.push(Piece { start: n_out, raw_start: i, verbatim, variable });
            }
            in_run = verbatim;
            n_out += put.chars().count();
            i += taken;
            text.value.push_str(&put);
        }
        if errors.is_empty() { Ok(text) } else { Err(errors) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.value
    }

    /// The text as it stands in the file, variables not put in: fit to be shown.
    pub(crate) fn written(&self) -> &str {
        &self.raw.text
    }

    /// Nothing after the colon, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.raw.plain && matches!(self.raw.text.as_str(), "" | "~" | "null")
    }

    /// The value in quotes, or as written where a variable was put in.
    pub(crate) fn shown(&self) -> String {
        format!("\"{}\"", if self.from_env { self.written() } else { self.as_str() })
    }

    /// The place in the file of a line and column (1-based, in characters) of the value.
    pub(crate) fn position(&self, line: usize, column: usize) -> Pos {
        let mut index = 0;
        for (n, text) in self.value.split('\n').enumerate() {
            if n + 1 == line {
                index += text.chars().count().min(column.saturating_sub(1));
                break;
            }
            index += text.chars().count() + 1;
        }
        let at = self.pieces.partition_point(|piece| piece.start <= index);
        let raw_index = match at.checked_sub(1).map(|i| &self.pieces[i]) {
            None => 0,
            Some(piece) if piece.verbatim => piece.raw_start + (index - piece.start),
            Some(piece) => piece.raw_start,
        };
        self.raw.layout.position(&self.raw.text, raw_index)
    }

    /// The variables that were put in, as `(name, value)`.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &(String, String)> {
        self.pieces.iter().filter_map(|piece| piece.variable.as_ref())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Reads `${NAME}` or `${NAME:-default}` at the start of `chars`: characters taken, what to put
/// there, and name and value if it came from the environment.
#[expect(clippy::type_complexity, reason = "three results of one private function")]
fn variable(chars: &[char], env: Env<'_>) -> Result<(usize, String, Option<(String, String)>), String> {
    let Some(end) = chars.iter().position(|c| *c == '}') else {
        return Err("\"${\" without \"}\"; write \"$${\" for a plain \"${\"".to_owned());
    };
    let inside: String = chars[2..end].iter().collect();
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside.as_str(), None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!(
            "\"${{{inside}}}\" names no environment variable; write \"$${{\" for a plain \"${{\""
        ));
    }
    match (env(name), default) {
        // As in a shell, an empty variable counts as unset where there is a default.
        (Some(value), Some(_)) if value.is_empty() => {
            Ok((end + 1, default.unwrap_or_default().to_owned(), None))
        }
        (Some(value), _) => Ok((end + 1, value.clone(), Some((name.to_owned(), value)))),
        (None, Some(default)) => Ok((end + 1, default.to_owned(), None)),
        (None, None) => Err(format!(
            "environment variable \"{name}\" is not set; \"${{{name}:-…}}\" would give it a default"
        )),
    }
}

/// Takes values of environment variables out of messages that others made.
#[derive(Clone, Default)]
pub struct Redactor {
    /// `(value, what to write instead)`, longest value first.
    values: Vec<(String, String)>,
}

/// Shorter values are no secrets, and replacing them would make any message unreadable.
const MIN_REDACTED_CHARS: usize = 3;

impl Redactor {
    pub(crate) fn add(&mut self, text: &Text) {
        for (name, value) in text.variables() {
            let shown = format!("${{{name}}}");
            // Of a list of brokers, messages name one.
            for part in std::iter::once(value.as_str()).chain(value.split(',').map(str::trim)) {
                let known = self.values.iter().any(|(value, _)| value == part);
                if MIN_REDACTED_CHARS <= part.chars().count() && !known {
                    self.values.push((part.to_owned(), shown.clone()));
                }
            }
        }
        self.values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    }

    /// `message` with every known value replaced by its `${NAME}`.
    #[must_use]
    pub fn apply(&self, message: &str) -> String {
        let mut clean = message.to_owned();
        for (value, shown) in &self.values {
            if clean.contains(value.as_str()) {
                clean = clean.replace(value.as_str(), shown);
            }
        }
        clean
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(_, shown)| shown)).finish()
    }
}

/// A string that is never shown: a password, or what may have come from the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Opaque(String);

impl Opaque {
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the client that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::Layout;
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "SECRET" => Some("hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(raw: &str) -> Result<Text, Vec<EnvError>> {
        let at = Pos { line: 3, column: 5 };
        let layout = Layout::Inline(at);
        Text::new(at, Raw { text: raw.to_owned(), plain: true, layout }, &env)
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (raw, value) in [
            ("a ${SECRET} b", "a hunter2 b"),
            ("${NONE:-x:-y}", "x:-y"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("$${SECRET} $ $$", "${SECRET} $ $$"),
            ("é${NONE:-}é", "éé"),
        ] {
            assert_eq!(text(raw).unwrap().as_str(), value, "{raw}");
        }
        let errors = text("${NONE} ${bad name} ${").unwrap_err();
        assert_eq!(errors.iter().map(|e| e.index).collect::<Vec<_>>(), [0, 8, 20]);
        assert!(errors[0].message.contains("\"NONE\" is not set"), "{}", errors[0].message);
    }

    #[test]
    fn a_value_from_the_environment_is_never_shown() {
        let text = text("sasl://${SECRET}@x").unwrap();
        assert_eq!(text.shown(), "\"sasl://${SECRET}@x\"");
        assert_eq!(format!("{text:?}"), "\"sasl://${SECRET}@x\"");
        let mut redactor = Redactor::default();
        redactor.add(&text);
        assert_eq!(redactor.apply("no hunter2 here"), "no ${SECRET} here");
        assert!(!format!("{redactor:?} {:?}", Opaque::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn positions_behind_a_variable_are_those_of_the_file() {
        let text = text("ab ${SECRET} cd").unwrap();
        let column = |value_column| text.position(1, value_column).column;
        assert_eq!(column(1), 5);
        assert_eq!(column(4), 8, "the variable begins at its dollar sign");
        assert_eq!(column(9), 8, "and all of its value stands there");
        assert_eq!(column(12), 18, "the \"c\"");
    }
}
