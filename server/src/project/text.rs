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

    /// The value, or the text as it stands in the file where a variable's value is in it.
    pub(crate) fn fit_to_be_shown(&self) -> &str {
        if self.from_env { &self.raw.text } else { &self.value }
    }

    /// Nothing after the colon, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.raw.plain && matches!(self.raw.text.as_str(), "" | "~" | "null")
    }

    /// The value in quotes, or as written where a variable was put in.
    pub(crate) fn shown(&self) -> String {
        format!("\"{}\"", self.fit_to_be_shown())
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

    /// A message about this text. What is too short for a [`Redactor`] is taken out where it stands as a word: words
    /// of the message that happen to be such a value go, too.
    pub(crate) fn redact_words(&self, message: &str) -> String {
        let short = |(_, value): &&(String, String)| (1..MIN_REDACTED_CHARS).contains(&value.chars().count());
        let mut clean = message.to_owned();
        for (name, value) in self.variables().filter(short) {
            clean = replace_words(&clean, value, &format!("${{{name}}}"));
        }
        clean
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
    /// Longest value first.
    values: Vec<Known>,
}

/// A value that came from the environment.
#[derive(Clone)]
struct Known {
    value: String,
    /// What to write instead.
    shown: String,
    /// Wherever it was put in, it says no more than where something listens.
    is_address: bool,
}

/// Shorter values stand in any message by chance: they are taken out where a place says that they are one.
const MIN_REDACTED_CHARS: usize = 3;

impl Redactor {
    pub(crate) fn add(&mut self, text: &Text) {
        self.learn(text, false);
    }

    /// As [`Self::add`], of a text that says where something listens. One that says more, such as a password in front of
    /// the host or a token in the path, is like any other.
    pub(crate) fn add_address(&mut self, text: &Text) {
        self.learn(text, is_address(text.as_str()));
    }

    fn learn(&mut self, text: &Text, is_address: bool) {
        if !text.from_env {
            return;
        }
        // Of a list of brokers, messages name one.
        let parts = |list: &str| list.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        for (name, value) in text.variables() {
            let shown = format!("${{{name}}}");
            self.know(value, &shown, is_address);
            parts(value).iter().for_each(|part| self.know(part, &shown, is_address));
        }
        // The whole, too: `k:9092` is told of `${HOST}:9092`, whatever `k` may be elsewhere.
        self.know(text.as_str(), &text.raw.text, is_address);
        let (values, written) = (parts(text.as_str()), parts(&text.raw.text));
        if values.len() == written.len() {
            values.iter().zip(&written).for_each(|(value, written)| self.know(value, written, is_address));
        }
        self.values.sort_by_key(|known| std::cmp::Reverse(known.value.len()));
    }

    fn know(&mut self, value: &str, shown: &str, is_address: bool) {
        if value.is_empty() || value == shown {
            return;
        }
        match self.values.iter_mut().find(|known| known.value == value) {
            // A password that happens to be a host's name is a password.
            Some(known) => known.is_address &= is_address,
            None => self.values.push(Known { value: value.to_owned(), shown: shown.to_owned(), is_address }),
        }
    }

    /// One that leaves addresses as they are: for those who set the variables, at the terminal where they ask. Never for
    /// what is served, kept or logged.
    #[must_use]
    pub fn showing_addresses(&self) -> Self {
        Self { values: self.values.iter().filter(|known| !known.is_address).cloned().collect() }
    }

    /// `message` with every known value replaced by its `${NAME}`; short ones only in quotes.
    #[must_use]
    pub fn apply(&self, message: &str) -> String {
        let mut clean = message.to_owned();
        for Known { value, shown, .. } in &self.values {
            if !clean.contains(value.as_str()) {
                continue;
            }
            clean = if MIN_REDACTED_CHARS <= value.chars().count() {
                clean.replace(value.as_str(), shown)
            } else {
                let quoted = |text: String, quote| {
                    text.replace(&format!("{quote}{value}{quote}"), &format!("{quote}{shown}{quote}"))
                };
                ['"', '\'', '`'].into_iter().fold(clean, quoted)
            };
        }
        clean
    }
}

/// Whether it is one or several hosts with their ports, or a URL with no more than that.
fn is_address(text: &str) -> bool {
    let hosts = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    !hosts.is_empty()
        && hosts
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | ',' | ' '))
}

/// `text` with `word` replaced where no letter, digit or underscore is beside it.
fn replace_words(text: &str, word: &str, by: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        if !text[..at].ends_with(is_part) && !text[end..].starts_with(is_part) {
            replaced.push_str(&text[from..at]);
            replaced.push_str(by);
            from = end;
        }
    }
    replaced.push_str(&text[from..]);
    replaced
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|known| &known.shown)).finish()
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
            "SHORT" => Some("k".to_owned()),
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
    fn an_address_is_shown_to_those_who_set_it_unless_it_says_more() {
        let env = |name: &str| {
            let values = [
                ("URL", "http://registry:8081"),
                ("HOST", "kafka-1"),
                ("SAME", "kafka-2"),
                ("USER_INFO", "http://weir:hunter2@registry"),
                ("PATH", "http://registry/t0ken"),
            ];
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let text = |raw: &str| {
            let at = Pos { line: 1, column: 1 };
            let raw = Raw { text: raw.to_owned(), plain: true, layout: Layout::Inline(at) };
            Text::new(at, raw, &env).unwrap()
        };
        let mut redactor = Redactor::default();
        for address in ["${URL}", "${HOST}:9092", "${SAME}:9092", "${USER_INFO}", "${PATH}"] {
            redactor.add_address(&text(address));
        }
        redactor.add(&text("${SAME}"));
        let told =
            "http://registry:8081 kafka-1:9092 kafka-2 http://weir:hunter2@registry http://registry/t0ken";
        let hidden = "${URL} ${HOST}:9092 ${SAME} ${USER_INFO} ${PATH}";
        assert_eq!(redactor.apply(told), hidden);
        let shown = "http://registry:8081 kafka-1:9092 ${SAME} ${USER_INFO} ${PATH}";
        assert_eq!(redactor.showing_addresses().apply(told), shown);
    }

    #[test]
    fn a_short_value_is_taken_out_where_it_stands_for_itself() {
        let mut redactor = Redactor::default();
        redactor.add(&text("${SHORT}:9092,${SECRET}:1").unwrap());
        let told = "k:9092: k records of \"k\", hunter2:1 and hunter2 are away, 'k' too";
        let clean =
            "${SHORT}:9092: k records of \"${SHORT}\", ${SECRET}:1 and ${SECRET} are away, '${SHORT}' too";
        assert_eq!(redactor.apply(told), clean);
        let sql = text("SELECT ${SHORT}, ${SECRET} FROM kk").unwrap();
        assert_eq!(sql.redact_words("write k + 1 AS name: a_k, kk"), "write ${SHORT} + 1 AS name: a_k, kk");
        assert_eq!(text("SELECT ${EMPTY}").unwrap().redact_words("as it is"), "as it is");
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
