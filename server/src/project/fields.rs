//! Reads the keys of a map: each once, with its type, and at the end nothing is left over.
//!
//! Invariants:
//! 1. A key that nobody asked for is an unknown key ([`Fields::finish`]).
//! 2. A wrong value is reported and reads as absent, so that reading goes on and finds the next.

use super::codes::Code;
use super::problem::Problems;
use super::suggest::did_you_mean;
use super::text::{Env, Redactor, Text};
use super::value;
use super::yaml::{Key, Node, Pos, Value};
use crate::problem::nearest;

/// The file that is being read: where mistakes are noted, and where variables come from.
pub(crate) struct Sheet<'a> {
    pub(crate) file: &'a str,
    pub(crate) env: Env<'a>,
    pub(crate) problems: &'a mut Problems,
    /// Learns every variable that is put in.
    pub(crate) redactor: &'a mut Redactor,
}

impl Sheet<'_> {
    pub(crate) fn problem(&mut self, at: Pos, code: Code, message: impl Into<String>) {
        self.problems.push(self.file, at, code, message);
    }

    /// A scalar with its variables put in.
    pub(crate) fn text(&mut self, what: &str, node: &Node) -> Option<Text> {
        let text = self.put_in(what, node)?;
        self.redactor.add(&text);
        Some(text)
    }

    fn put_in(&mut self, what: &str, node: &Node) -> Option<Text> {
        let Value::Scalar(raw) = &node.value else {
            self.wrong_type(what, "a single value", node);
            return None;
        };
        match Text::new(node.at, raw.clone(), self.env) {
            Ok(text) if text.is_null() => {
                self.problem(node.at, Code::WrongType, format!("{what} has no value"));
                None
            }
            Ok(text) => Some(text),
            Err(errors) => {
                for error in errors {
                    let at = raw.layout.position(&raw.text, error.index);
                    self.problem(at, Code::Variable, error.message);
                }
                None
            }
        }
    }

    pub(crate) fn wrong_type(&mut self, what: &str, expected: &str, node: &Node) {
        let found = match &node.value {
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        self.problem(node.at, Code::WrongType, format!("{what} has to be {expected}, not {found}"));
    }

    /// Notes every key of a map that is there already.
    fn refuse_twice(&mut self, entries: &[(Key, Node)]) {
        for (i, (key, _)) in entries.iter().enumerate() {
            if let Some((first, _)) = entries[..i].iter().find(|(first, _)| first.name == key.name) {
                let message = format!("key \"{}\" is already on line {}", key.name, first.at.line);
                self.problem(key.at, Code::DuplicateKey, message);
            }
        }
    }

    /// Notes that `text` is not what `what` takes.
    pub(crate) fn bad_value(&mut self, what: &str, text: &Text, expected: &str) {
        let message = format!("{what} can't be {}: {expected}", text.shown());
        self.problem(text.at, Code::BadValue, message);
    }

    /// Notes it if `text` is not one of the `known` names; `message` comes before it.
    pub(crate) fn reference(&mut self, message: &str, text: &Text, known: &[String]) {
        if !known.iter().any(|name| name == text.as_str()) {
            let hint = did_you_mean(text.as_str(), known.iter().map(String::as_str));
            self.problem(text.at, Code::UnknownReference, format!("{message} {}{hint}", text.shown()));
        }
    }
}

/// The keys of one map.
pub(crate) struct Fields<'s, 'a> {
    pub(crate) sheet: &'s mut Sheet<'a>,
    /// Where the map begins, for keys that are missing.
    pub(crate) at: Pos,
    /// Such as `a source`.
    what: &'static str,
    entries: &'s [(Key, Node)],
    asked: Vec<&'static str>,
    #[cfg(test)]
    declared: declared::Declared,
}

impl<'s, 'a> Fields<'s, 'a> {
    /// The keys of `node`, if it is a map.
    pub(crate) fn new(sheet: &'s mut Sheet<'a>, what: &'static str, node: &'s Node) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            sheet.wrong_type(what, "a map of keys", node);
            return None;
        };
        sheet.refuse_twice(entries);
        Some(Self {
            sheet,
            at: node.at,
            what,
            entries,
            asked: Vec::new(),
            #[cfg(test)]
            declared: declared::Declared { what, ..Default::default() },
        })
    }

    /// The value of a key, whatever it is.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'s Node> {
        self.asked.push(key);
        self.entries.iter().find(|(entry, _)| entry.name == key).map(|(_, node)| node)
    }

    /// Where a key stands; else where its map begins.
    pub(crate) fn position(&self, key: &str) -> Pos {
        let found = self.entries.iter().find(|(entry, _)| entry.name == key);
        found.map_or(self.at, |(entry, _)| entry.at)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text> {
        let node = self.node(key)?;
        self.sheet.text(&quoted(key), node)
    }

    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<Text> {
        self.require(key);
        self.text(key)
    }

    /// As [`Self::required_text`], of a text that says where something listens.
    pub(crate) fn required_address(&mut self, key: &'static str) -> Option<Text> {
        self.require(key);
        let node = self.node(key)?;
        let text = self.sheet.put_in(&quoted(key), node)?;
        self.sheet.redactor.add_address(&text);
        Some(text)
    }

    /// Whether the key is there, with any value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(entry, _)| entry.name == key)
    }

    /// Notes it if the key is missing.
    pub(crate) fn require(&mut self, key: &'static str) {
        #[cfg(test)]
        self.declared.required.push(key);
        if !self.has(key) {
            let message = self.needs(key);
            self.sheet.problem(self.at, Code::MissingKey, message);
        }
    }

    fn needs(&self, key: &str) -> String {
        format!("{} needs the key \"{key}\"", self.what)
    }

    /// A duration in milliseconds, within `min` and `max`.
    pub(crate) fn duration(&mut self, key: &'static str, min: i64, max: i64) -> Option<i64> {
        let text = self.text(key)?;
        match value::duration_ms(text.as_str()) {
            None => {
                let expected = "write a whole number and ms, s, m, h or d, such as 250ms or 10s";
                self.sheet.bad_value(&quoted(key), &text, expected);
                None
            }
            Some(ms) if ms < min || max < ms => {
                let (min, max) = (value::show_ms(min), value::show_ms(max));
                self.sheet.bad_value(&quoted(key), &text, &format!("from {min} to {max}"));
                None
            }
            Some(ms) => Some(ms),
        }
    }

    /// A size in bytes, within `min` and `max`.
    pub(crate) fn size(&mut self, key: &'static str, min: u64, max: u64) -> Option<u64> {
        let text = self.text(key)?;
        let bytes = value::size_bytes(text.as_str()).filter(|bytes| (min..=max).contains(bytes));
        if bytes.is_none() {
            let (min, max) = (value::show_bytes(min), value::show_bytes(max));
            let expected =
                format!("write a whole number and KiB, MiB, GiB or TiB, such as 64MiB, from {min} to {max}");
            self.sheet.bad_value(&quoted(key), &text, &expected);
        }
        bytes
    }

    /// One of the words of `choices`.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        #[cfg(test)]
        self.declared.choices.push((key, choices.iter().map(|(word, _)| (*word).to_owned()).collect()));
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text.as_str());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.sheet.bad_value(&quoted(key), &text, &value::one_of(&words));
        }
        found.map(|(_, choice)| *choice)
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.choice(key, &[("true", true), ("false", false)])
    }

    /// A whole number within `min` and `max`.
    pub(crate) fn integer(&mut self, key: &'static str, min: u64, max: u64) -> Option<u64> {
        let text = self.text(key)?;
        let number = text.as_str().parse().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let expected = format!("a whole number from {min} to {max}");
            self.sheet.bad_value(&quoted(key), &text, &expected);
        }
        number
    }

    /// The items of a list; none if the key is absent.
    pub(crate) fn list(&mut self, key: &'static str) -> &'s [Node] {
        let Some(node) = self.node(key) else { return &[] };
        match &node.value {
            Value::List(items) => items,
            _ => {
                self.sheet.wrong_type(&quoted(key), "a list", node);
                &[]
            }
        }
    }

    /// The entries of a map with free keys; none if the key is absent.
    pub(crate) fn map(&mut self, key: &'static str) -> &'s [(Key, Node)] {
        let Some(node) = self.node(key) else { return &[] };
        match &node.value {
            Value::Map(entries) => {
                self.sheet.refuse_twice(entries);
                entries
            }
            _ => {
                self.sheet.wrong_type(&quoted(key), "a map", node);
                &[]
            }
        }
    }

    /// Notes every key that nobody asked for. A key that is missing because it was mistyped is one mistake, not two.
    pub(crate) fn finish(self) {
        #[cfg(test)]
        declared::note(&self.declared, &self.asked);
        for (key, _) in self.entries {
            if !self.asked.contains(&key.name.as_str()) {
                let hint = did_you_mean(&key.name, self.asked.iter().copied());
                if let Some(meant) =
                    nearest(&key.name, self.asked.iter().copied()).filter(|key| !self.has(key))
                {
                    self.sheet.problems.take_back(self.sheet.file, self.at, &self.needs(meant));
                }
                let message = format!("unknown key \"{}\"{hint}", key.name);
                self.sheet.problem(key.at, Code::UnknownKey, message);
            }
        }
    }
}

pub(crate) fn quoted(key: &str) -> String {
    format!("\"{key}\"")
}

/// What the parser asks for, for the test of the JSON Schema.
#[cfg(test)]
pub(crate) mod declared {
    use std::cell::RefCell;

    /// The keys of one map that was read.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Declared {
        pub(crate) what: &'static str,
        pub(crate) keys: Vec<&'static str>,
        pub(crate) required: Vec<&'static str>,
        /// Keys, and the words that they take.
        pub(crate) choices: Vec<(&'static str, Vec<String>)>,
    }

    thread_local!(static DECLARED: RefCell<Vec<Declared>> = const { RefCell::new(Vec::new()) });

    pub(super) fn note(declared: &Declared, asked: &[&'static str]) {
        let declared = Declared { keys: asked.to_vec(), ..declared.clone() };
        DECLARED.with_borrow_mut(|all| all.push(declared));
    }

    /// What was declared on this thread since it was last asked.
    pub(crate) fn take() -> Vec<Declared> {
        DECLARED.take()
    }
}
