//! JSON as the text that it is: numbers keep every digit, and what nobody asks for is only passed over.
//!
//! Invariant: a [`Json`] is the text of one valid value, seen to be by `serde_json`, so that walking over it can't fail.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::Fault;

/// White space of JSON.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The text of a value, without white space around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(&'a str);

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Items<'a>),
    Object(Members<'a>),
}

/// The values of an array.
#[derive(Debug, Clone)]
pub(super) struct Items<'a>(&'a str);

/// The members of an object, in their order.
#[derive(Debug, Clone)]
pub(super) struct Members<'a>(Items<'a>);

impl<'a> Json<'a> {
    pub(super) const NULL: Json<'static> = Json("null");

    /// # Errors
    /// [`Fault`] where the bytes are not one JSON value.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|error| Fault::new(format!("not UTF-8: {error}")))?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| Fault::new(format!("not JSON: {error}")))?;
        Ok(Self(text.trim_matches(SPACE)))
    }

    pub(super) fn text(self) -> &'a str {
        self.0
    }

    pub(super) fn shape(self) -> Shape<'a> {
        match self.0.as_bytes().first() {
            Some(b'n') => Shape::Null,
            Some(b't') => Shape::Boolean(true),
            Some(b'f') => Shape::Boolean(false),
            Some(b'"') => Shape::Text(self.unquoted()),
            Some(b'[') => Shape::Array(Items(&self.0[1..])),
            Some(b'{') => Shape::Object(Members(Items(&self.0[1..]))),
            _ => Shape::Number(self.0),
        }
    }

    fn unquoted(self) -> Cow<'a, str> {
        let inside = self.0.get(1..self.0.len() - 1).unwrap_or_default();
        if inside.contains('\\') {
            // Half of a surrogate pair is all that can be wrong with it: no text has one.
            Cow::Owned(serde_json::from_str(self.0).unwrap_or_else(|_| inside.to_owned()))
        } else {
            Cow::Borrowed(inside)
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let rest = self.0.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        if rest.starts_with([']', '}']) {
            return None;
        }
        let (value, behind) = rest.split_at(end(rest));
        self.0 = behind;
        (!value.is_empty()).then_some(Json(value))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?.unquoted(), self.0.next()?))
    }
}

/// Where the value that a text begins with ends.
fn end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_text(bytes, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => depth -= 1,
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b']' | b'}') {
            return at;
        }
    }
    at
}

/// Where the closing quote is of a text whose opening one is at `at`.
fn end_of_text(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') | None => return at,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}
