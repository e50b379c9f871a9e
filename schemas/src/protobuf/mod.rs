//! Protobuf: what a `.proto` file says, as the columns of a table, and which records of one can be read with another.
//!
//! ```text
//! text or descriptor, references ─► File ─► Table ─► Avro schema (and `format::protobuf`: values)
//!                                    └────► broken, mismatch, not_read: rules of compatibility
//! ```
//!
//! Invariants:
//! 1. A [`File`] has all that it imports; nothing is read from disk.
//! 2. Depth and number of what is in a file are bounded before anything walks over it.

mod compare;
mod table;

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use prost_reflect::{FileDescriptor, MessageDescriptor};
use prost_types::FileDescriptorProto;
use protox::Compiler;
use protox::file::{ChainFileResolver, File as Source, FileResolver, GoogleFileResolver};

use crate::error::SchemaError;
use crate::registry::SchemaText;

pub(crate) use compare::{broken, mismatch, not_read};
pub(crate) use table::{Presence, Shape, Table, Type, enum_text};

/// What the schema itself is called among what it imports.
const NAME: &str = "weir_schema.proto";

/// Brackets within brackets. Messages alone may be 31 levels deep.
const MAX_NESTING: usize = 64;

/// Messages that are named to a person.
const MAX_TOLD: usize = 20;

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    file: FileDescriptor,
}

impl File {
    /// # Errors
    /// [`SchemaError`] where it is none, or imports what is not there.
    pub(crate) fn parse(text: &SchemaText) -> Result<Self, SchemaError> {
        let mut sources = HashMap::from([(NAME.to_owned(), text.text.clone())]);
        sources.extend(text.named_references().map(|(name, text)| (name.to_owned(), text.to_owned())));
        if let Some(text) = sources.values().find(|text| is_too_deep(text)) {
            let start: String = text.chars().take(60).collect();
            return Err(SchemaError::new(format!(
                "more than {MAX_NESTING} brackets within each other: {start}…"
            )));
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(sources));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.open_file(NAME).map_err(|error| SchemaError::new(error.to_string()))?;
        let file = compiler.descriptor_pool().get_file_by_name(NAME);
        Ok(Self { file: file.ok_or_else(|| SchemaError::new("it has no file"))? })
    }

    /// The message that a table is of: the one whose full name is, or ends with, `name`; the first one where nobody says.
    ///
    /// # Errors
    /// [`SchemaError`] where there is none, or several of a name that is not whole.
    pub(crate) fn message(&self, name: Option<&str>) -> Result<MessageDescriptor, SchemaError> {
        let all = self.messages();
        let Some(name) = name else {
            return all.into_iter().next().ok_or_else(|| SchemaError::new("there is no message in it"));
        };
        let is_meant = |message: &&MessageDescriptor| {
            let outer = message.full_name().strip_suffix(name);
            outer.is_some_and(|outer| outer.is_empty() || outer.ends_with('.'))
        };
        let meant: Vec<_> = all.iter().filter(is_meant).collect();
        match (self.message_named(name), &meant[..]) {
            (Some(whole), _) => Ok(whole),
            (None, [only]) => Ok((*only).clone()),
            (None, []) => Err(SchemaError::new(format!(
                "there is no message \"{name}\" in it: it has {}",
                listed(all.iter())
            ))),
            (None, several) => Err(SchemaError::new(format!(
                "there are several messages \"{name}\" in it: {}",
                listed(several.iter().copied())
            ))),
        }
    }

    /// The message of a full name.
    pub(crate) fn message_named(&self, full_name: &str) -> Option<MessageDescriptor> {
        self.messages().into_iter().find(|message| message.full_name() == full_name)
    }

    /// The message that Confluent's wire format names by its place, and those of the messages around it. Entries of maps,
    /// which no text has, don't count.
    pub(crate) fn message_at(&self, places: &[usize]) -> Option<MessageDescriptor> {
        let (first, inner) = places.split_first()?;
        let outer = self.file.messages().nth(*first)?;
        inner.iter().try_fold(outer, |outer, place| {
            outer.child_messages().filter(|message| !message.is_map_entry()).nth(*place)
        })
    }

    /// All messages of the file, by their full names; entries of maps are none.
    fn messages(&self) -> Vec<MessageDescriptor> {
        let mut all: Vec<_> = self.file.messages().collect();
        let mut at = 0;
        while let Some(message) = all.get(at).cloned() {
            all.extend(message.child_messages().filter(|message| !message.is_map_entry()));
            at += 1;
        }
        all
    }

    /// The file as Google's `FileDescriptorProto`: what makes it itself, whatever its text looks like.
    pub(crate) fn descriptor_in_base64(&self) -> String {
        let mut descriptor = self.file.file_descriptor_proto().clone();
        descriptor.source_code_info = None;
        BASE64_STANDARD.encode(descriptor.encode_to_vec())
    }
}

/// The full names of messages, for a person.
fn listed<'a>(messages: impl Iterator<Item = &'a MessageDescriptor>) -> String {
    let mut messages = messages.map(|message| format!("\"{}\"", message.full_name()));
    let told: Vec<_> = messages.by_ref().take(MAX_TOLD).collect();
    match messages.count() {
        0 => told.join(", "),
        n_more => format!("{} and {n_more} more", told.join(", ")),
    }
}

/// Whether a schema's text looks like a `.proto` file.
pub(crate) fn is_proto(text: &str) -> bool {
    !text.trim_start().starts_with(['{', '[', '"']) && text.contains("message")
}

/// What can be imported, by name: texts, or descriptors in base64, as Confluent's client for Python sends them.
struct Sources(HashMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<Source, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        let descriptor = BASE64_STANDARD.decode(text.trim()).ok();
        let descriptor = descriptor.and_then(|bytes| FileDescriptorProto::decode(bytes.as_slice()).ok());
        match descriptor {
            Some(mut descriptor) => {
                descriptor.name = Some(name.to_owned());
                Ok(Source::from_file_descriptor_proto(descriptor))
            }
            None => Source::from_source(name, text),
        }
    }
}

/// Whether brackets are nested deeper than a parser should follow; those in comments count, those in texts don't.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    for byte in text.bytes() {
        match (quote, byte) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            // No text goes over the end of its line; an apostrophe in a comment does not hide what follows.
            (Some(open), byte) if byte == open || byte == b'\n' => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{' | b'[' | b'(' | b'<') => depth += 1,
            (None, b'}' | b']' | b')' | b'>') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if MAX_NESTING < depth {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, references: &[(&str, &str)]) -> SchemaText {
        let (names, texts) =
            references.iter().map(|(name, text)| (name.to_string(), text.to_string())).unzip();
        SchemaText { names, references: texts, ..SchemaText::of_file(text) }
    }

    #[test]
    fn a_file_is_parsed_with_what_it_imports() {
        let money = "syntax = \"proto3\"; package shop; message Money { int64 cents = 1; }";
        let order = r#"syntax = "proto3"; package shop; import "shop/money.proto"; import "google/protobuf/timestamp.proto";
            message Order { Money total = 1; google.protobuf.Timestamp at = 2; map<string, int32> m = 3; message Item { int32 n = 1; } }
            message Other {}"#;
        let file = File::parse(&text(order, &[("shop/money.proto", money)])).expect("a schema");
        let of = |name| {
            file.message(name)
                .map(|message| message.full_name().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(None).as_deref(), Ok("shop.Order"));
        for (name, full) in [
            ("Other", "shop.Other"),
            ("shop.Other", "shop.Other"),
            ("Item", "shop.Order.Item"),
            ("Order.Item", "shop.Order.Item"),
        ] {
            assert_eq!(of(Some(name)).as_deref(), Ok(full));
        }
        let none =
            r#"there is no message "ther" in it: it has "shop.Order", "shop.Other", "shop.Order.Item""#;
        assert_eq!(of(Some("ther")), Err(none.to_owned()));
        let name = |places: &[usize]| file.message_at(places).map(|message| message.full_name().to_owned());
        assert_eq!(name(&[1]).as_deref(), Some("shop.Other"));
        assert_eq!(name(&[0, 0]).as_deref(), Some("shop.Order.Item"));
        assert_eq!(name(&[0, 1]), None);
        assert_eq!(name(&[]), None);
        let missing = File::parse(&text(order, &[])).expect_err("an import is missing").to_string();
        assert!(missing.contains("shop/money.proto"), "{missing}");
    }

    #[test]
    fn a_name_that_several_messages_have_is_refused_unless_it_is_whole() {
        let schema = "syntax = \"proto3\"; message A { message Item {} } message B { message Item {} } message Item {}";
        let file = File::parse(&text(schema, &[])).expect("a schema");
        assert_eq!(file.message(Some("Item")).expect("its full name").full_name(), "Item");
        let schema = schema.replace("message Item {} }", "message Item { message X {} } }");
        let file = File::parse(&text(&schema, &[])).expect("a schema");
        let several = file.message(Some("Item.X")).expect_err("there are two").to_string();
        assert_eq!(several, r#"there are several messages "Item.X" in it: "A.Item.X", "B.Item.X""#);
    }

    #[test]
    fn a_descriptor_is_the_same_schema_as_its_text() {
        let file = File::parse(&text("syntax = \"proto3\";\n// A note.\nmessage A { int32 b = 1; }", &[]))
            .expect("a schema");
        let descriptor = file.descriptor_in_base64();
        let again = SchemaText { text: descriptor.clone(), ..text("message", &[]) };
        assert_eq!(File::parse(&again).expect("a schema").descriptor_in_base64(), descriptor);
        let spaced = File::parse(&text("syntax='proto3'; message A{int32 b=1;}", &[])).expect("a schema");
        assert_eq!(spaced.descriptor_in_base64(), descriptor);
    }

    #[test]
    fn texts_that_are_none_are_refused_and_none_is_followed_too_deep() {
        let refused = |schema: &str| File::parse(&text(schema, &[])).expect_err("it is none").to_string();
        assert!(refused("message {").contains("expected an identifier"), "{}", refused("message {"));
        let deep =
            |open: &str, close: &str, n| format!("syntax=\"proto3\"; {}{}", open.repeat(n), close.repeat(n));
        assert!(refused(&deep("message A{", "}", 100_000)).starts_with("more than 64 brackets"));
        assert!(
            refused(&deep("message A{", "}", 40)).contains("nested"),
            "{}",
            refused(&deep("message A{", "}", 40))
        );
        let (open, close) = ("{a:".repeat(90_000), "}".repeat(90_000));
        let option = format!("syntax=\"proto3\"; option (a) = {open}{close};");
        assert!(refused(&option).starts_with("more than 64 brackets"));
        let hidden = format!("syntax=\"proto3\"; // don't {}", deep("\nmessage A{", "}", 100_000));
        assert!(refused(&hidden).starts_with("more than 64 brackets"));
    }
}
