//! YAML text to a small tree that knows where each key and scalar stands in its file.
//!
//! Invariants:
//! 1. Lines and columns are 1-based and count characters, as editors do.
//! 2. A position inside a block scalar is a position in the file: errors in `sql: |` point at it.
//! 3. Input is bounded: [`MAX_FILE_BYTES`], [`MAX_DEPTH`]; anchors, aliases and tags are refused.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A literal block: line `n` of the value (from 0) is line `first_line + n` of the file,
    /// shifted by `indent` columns.
    Block { first_line: usize, indent: usize },
    /// On one line, character for character from here on.
    Inline(Pos),
    /// Folded or with escapes: only its beginning is known.
    Point(Pos),
}

impl Layout {
    /// The position in the file of character `index` of `text`.
    pub(crate) fn position(self, text: &str, index: usize) -> Pos {
        match self {
            Self::Point(pos) => pos,
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
    let mut builder = Builder { open: Vec::new(), root: None };
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
                let layout = layout(&text, style, span);
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

fn layout(text: &str, style: ScalarStyle, span: Span) -> Layout {
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
        _ => Layout::Point(start),
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
    }
}
