//! YAML text to a small tree that knows where each key and scalar stands in its file.
//!
//! Invariants:
//! 1. Lines and columns are 1-based and count characters, as editors do.
//! 2. A position inside a block scalar is a position in the file: errors in `sql: |` point at it.
//! 3. Input is bounded: [`MAX_FILE_BYTES`], [`MAX_DEPTH`]; anchors, aliases and tags are refused.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// The largest project file: a hundred times a big one; larger is a mistake, not a config file.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Nesting of maps and lists. Project files need four.
const MAX_DEPTH: usize = 32;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    pub line: usize,
    pub column: usize,
}

impl Pos {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Raw),
    List(Vec<Node>),
    /// In the order of the file; keys may repeat.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: Pos,
    pub(crate) name: String,
}

/// A scalar as it is written, before environment variables are put in.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) text: String,
    /// Not quoted: `null`, `true` and numbers are what they look like.
    pub(crate) plain: bool,
    pub(crate) layout: Layout,
}

/// How characters of a scalar's value lie in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A literal block: line `n` of the value (from 0) is line `first_line + n` of the file,
    /// shifted by `indent` columns.
    Block { first_line: usize, indent: usize },
    /// On one line, character for character from here on.
    Inline(Pos),
    /// Folded, on several lines or with escapes: the place of each character, and of the end.
    Each(Arc<[Pos]>),
    /// Only its beginning is known.
    Point(Pos),
}

impl Layout {
    /// The position in the file of character `index` of `text`.
    pub(crate) fn position(&self, text: &str, index: usize) -> Pos {
        match self {
            Self::Point(pos) => *pos,
            Self::Each(places) => places.get(index).or(places.last()).copied().unwrap_or(Pos::START),
            Self::Inline(pos) => Pos { line: pos.line, column: pos.column + index },
            Self::Block { first_line, indent } => {
                let (mut line, mut column) = (0, 0);
                for c in text.chars().take(index) {
                    if c == '\n' {
                        line += 1;
                        column = 0;
                    } else {
                        column += 1;
                    }
                }
                Pos { line: first_line + line, column: indent + column + 1 }
            }
        }
    }
}

/// What is wrong with a file's YAML, in the words of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Pos,
    pub(crate) message: String,
}

/// Reads one document. An empty file is an empty map.
///
/// # Errors
/// The first thing that is no YAML, or that project files may not contain.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder { text: text.chars().collect(), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| SyntaxError {
            at: Pos { line: error.marker().line(), column: error.marker().col() + 1 },
            message: error.info().to_owned(),
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node { at: Pos::START, value: Value::Map(Vec::new()) }))
}

struct Builder {
    /// The file.
    text: Vec<char>,

    open: Vec<Open>,
    root: Option<Node>,
}

/// A map or list whose end has not come yet.
enum Open {
    List { at: Pos, items: Vec<Node> },
    Map { at: Pos, entries: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let at = Pos { line: span.start.line(), column: span.start.col() + 1 };
        let refused = |message: &str| Err(SyntaxError { at, message: message.to_owned() });
        match event {
            Event::Alias(_) => refused("aliases are not allowed: write the value again"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                refused("anchors are not allowed")
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => refused("tags are not allowed"),
            Event::SequenceStart(..) => self.push(Open::List { at, items: Vec::new() }, at),
            Event::MappingStart(..) => self.push(Open::Map { at, entries: Vec::new(), key: None }, at),
            Event::Scalar(text, style, ..) => {
                let layout = layout(&text, style, span, &self.text);
                let plain = style == ScalarStyle::Plain;
                let raw = Raw { text: text.into_owned(), plain, layout };
                self.add(Node { at, value: Value::Scalar(raw) })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, items }) => self.add(Node { at, value: Value::List(items) }),
                Some(Open::Map { at, entries, .. }) => self.add(Node { at, value: Value::Map(entries) }),
                None => refused("unexpected end of a map or list"),
            },
            Event::DocumentStart(_) if self.root.is_some() => refused("a project file holds one document"),
            _ => Ok(()),
        }
    }

    fn push(&mut self, open: Open, at: Pos) -> Result<(), SyntaxError> {
        if self.open.len() == MAX_DEPTH {
            return Err(SyntaxError { at, message: "maps and lists are nested too deeply".to_owned() });
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), SyntaxError> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => match node.value {
                    Value::Scalar(raw) => *key = Some(Key { at: node.at, name: raw.text }),
                    Value::List(_) | Value::Map(_) => {
                        let message = "a key has to be a plain word".to_owned();
                        return Err(SyntaxError { at: node.at, message });
                    }
                },
            },
        }
        Ok(())
    }
}

fn layout(text: &str, style: ScalarStyle, span: Span, file: &[char]) -> Layout {
    let start = Pos { line: span.start.line(), column: span.start.col() + 1 };
    let written = span.end.index() - span.start.index();
    let length = text.chars().count();
    match style {
        // The span begins at the first line with text; blank lines may come before it.
        ScalarStyle::Literal => {
            let n_blank = text.chars().take_while(|c| *c == '\n').count();
            Layout::Block { first_line: start.line.saturating_sub(n_blank), indent: span.start.col() }
        }
        ScalarStyle::Plain if written == length => Layout::Inline(start),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if written == length + 2 => {
            Layout::Inline(Pos { line: start.line, column: start.column + 1 })
        }
        _ => {
            let written = file.get(span.start.index()..span.end.index()).unwrap_or_default();
            let places = Walk { written, next: 0, at: start }.places(text, style);
            places.map_or(Layout::Point(start), |places| Layout::Each(places.into()))
        }
    }
}

/// Goes along a scalar as it is written, beside its value. What YAML does to one is in its white space and, in quotes,
/// its escapes; all other characters are in both, in the same order.
struct Walk<'a> {
    written: &'a [char],
    next: usize,
    /// The place of the next one.
    at: Pos,
}

impl Walk<'_> {
    /// The place of each character of the value `text`, and of its end. `None`: it is written in a way that this does
    /// not know.
    fn places(mut self, text: &str, style: ScalarStyle) -> Option<Vec<Pos>> {
        let has_escapes = style == ScalarStyle::DoubleQuoted;
        if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            self.skip(1);
        }
        let mut places = Vec::with_capacity(text.len() + 1);
        for c in text.chars() {
            self.skip_breaks(has_escapes);
            if !c.is_whitespace() {
                while self.peek(0).is_some_and(char::is_whitespace) {
                    self.skip(1);
                    self.skip_breaks(has_escapes);
                }
            }
            places.push(self.at);
            match self.peek(0) {
                Some('\\') if has_escapes => self.skip(self.escape()),
                Some('\'') if style == ScalarStyle::SingleQuoted => self.skip(2),
                Some(found) if found == c || (found.is_whitespace() && c.is_whitespace()) => self.skip(1),
                // Blank lines in front of a block are not in its span; the end of a line may stand for several.
                _ if c.is_whitespace() => {}
                _ => return None,
            }
        }
        places.push(self.at);
        Some(places)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.written.get(self.next + ahead).copied()
    }

    fn skip(&mut self, n: usize) {
        for _ in 0..n {
            match self.peek(0) {
                Some('\n') => self.at = Pos { line: self.at.line + 1, column: 1 },
                Some(_) => self.at.column += 1,
                None => return,
            }
            self.next += 1;
        }
    }

    /// Goes past ends of lines that are escaped, which stand for nothing, and the white space behind them.
    fn skip_breaks(&mut self, has_escapes: bool) {
        while has_escapes && self.peek(0) == Some('\\') && matches!(self.peek(1), Some('\n' | '\r')) {
            self.skip(1);
            while self.peek(0).is_some_and(char::is_whitespace) {
                self.skip(1);
            }
        }
    }

    /// Characters of the escape that comes next.
    fn escape(&self) -> usize {
        match self.peek(1) {
            Some('x') => 4,
            Some('u') => 6,
            Some('U') => 10,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(node: &Node) -> &[(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            other => panic!("a map, not {other:?}"),
        }
    }

    fn scalar(node: &Node) -> &Raw {
        match &node.value {
            Value::Scalar(raw) => raw,
            other => panic!("a scalar, not {other:?}"),
        }
    }

    #[test]
    fn keys_and_scalars_know_their_place() {
        let root = parse("a: 1\nb: { c: 'x', d: [y] }\n").unwrap();
        let b = &map(&root)[1];
        assert_eq!(b.0.at, Pos { line: 2, column: 1 });
        let (c, x) = &map(&b.1)[0];
        assert_eq!(c.at, Pos { line: 2, column: 6 });
        assert_eq!(x.at, Pos { line: 2, column: 9 });
        assert_eq!(scalar(x).layout.position("x", 0), Pos { line: 2, column: 10 });
    }

    #[test]
    fn a_character_of_a_block_scalar_has_its_place_in_the_file() {
        let root = parse("# c\nsql: |  # why\n\n   SELECT é,\n     b\nepoch: 1s\n").unwrap();
        let sql = scalar(&map(&root)[0].1);
        assert_eq!(sql.text, "\nSELECT é,\n  b\n");
        let index = sql.text.chars().position(|c| c == 'b').unwrap();
        assert_eq!(sql.layout.position(&sql.text, index), Pos { line: 5, column: 6 });
        let index = sql.text.chars().position(|c| c == 'é').unwrap();
        assert_eq!(sql.layout.position(&sql.text, index), Pos { line: 4, column: 11 });
    }

    #[test]
    fn a_character_of_a_folded_or_quoted_scalar_has_its_place_in_the_file() {
        for yaml in [
            "sql: >\n\n  SELECT id,\n\n    b,\n  @ FROM t\n",
            "sql: >-\n     SELECT id,\n     c\n\n\n     @ FROM t",
            "sql: \"SELECT id,\\n\\tb, '\\x41\\u00e9\\\"', @ FROM t\"\n",
            "sql: \"SELECT id,\n  b, \\\n    c  \n\n  ,@ FROM t\"\n",
            "sql: 'SELECT ''x'' AS x,\n    @ FROM t'\n",
            "sql: SELECT id,\n   b,\n   @ FROM t\n",
            "sql: >\r\n  SELECT id,\r\n  @ FROM t\r\n",
        ] {
            let root = parse(yaml).unwrap();
            let sql = scalar(&map(&root)[0].1);
            let index = sql.text.chars().position(|c| c == '@').unwrap();
            let line = yaml.split('\n').position(|line| line.contains('@')).unwrap();
            let column = yaml.split('\n').nth(line).unwrap().chars().position(|c| c == '@').unwrap();
            let expected = Pos { line: line + 1, column: column + 1 };
            assert_eq!(sql.layout.position(&sql.text, index), expected, "{yaml:?} {:?}", sql.text);
            assert!(expected < sql.layout.position(&sql.text, sql.text.chars().count()), "{yaml:?}");
        }
    }

    #[test]
    fn what_project_files_may_not_hold_is_refused() {
        for (text, part) in [
            ("a: &x 1\nb: *x", "anchors"),
            ("a: !!int 1", "tags"),
            ("a: 1\n---\nb: 1", "one document"),
            ("a: [1", ""),
            ("[a]: 1", "plain word"),
            (&"[".repeat(40), "nested"),
            (&"[".repeat(100_000), ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text:.20}: {}", error.message);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z:|>{}\\[\\]'\"#&*!\\- \n\té]{0,60}") {
            parse(&text).ok();
        }

        #[test]
        fn places_of_a_quoted_text_are_found_and_grow(text in "[a-z '\\\\\"\n\té]{0,40}") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
            let file = format!("a: \"{escaped}\"\n");
            let root = parse(&file).unwrap();
            let raw = scalar(&map(&root)[0].1);
            prop_assert_eq!(&raw.text, &text);
            let columns: Vec<usize> =
                (0..=text.chars().count()).map(|i| raw.layout.position(&text, i).column).collect();
            prop_assert!(columns.is_sorted_by(|a, b| a < b), "{:?}", columns);
            prop_assert_eq!(columns.last(), Some(&(file.chars().count() - 1)));
        }
    }
}
