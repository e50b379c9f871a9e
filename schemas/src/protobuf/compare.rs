//! Which records of one message can be read as another: fields are who they are by their numbers.
//!
//! A field that only one side has is no matter. One that both have must mean the same: a number may become wider, a flag or
//! an enum's value a number, text bytes and the reverse, one value several. Stricter than Protobuf's own "wire-compatible" in
//! what would change values silently: numbers cut off, signed ones read as unsigned, the last of several taken.

use std::collections::HashSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::File;

/// Broken rules that are told.
const MAX_ISSUES: usize = 20;

/// What `reader` can't read of what `writer` writes, for a person; empty if nothing.
pub(crate) fn broken(reader: &File, writer: &File) -> Vec<String> {
    let readers = reader.messages();
    let mut comparison = Comparison::default();
    for message in writer.messages() {
        match readers.iter().find(|other| other.full_name() == message.full_name()) {
            Some(other) => comparison.messages(other, &message, message.full_name()),
            None => {
                comparison.issues.push(format!("there is no message \"{}\" any more", message.full_name()))
            }
        }
    }
    comparison.issues.truncate(MAX_ISSUES);
    comparison.issues
}

/// What can't be read of records of `writer` as `reader`, for a person; empty if nothing.
pub(crate) fn mismatch(reader: &MessageDescriptor, writer: &MessageDescriptor) -> Vec<String> {
    if reader.full_name() != writer.full_name() {
        return vec![format!(
            "it is of message \"{}\", not of \"{}\"",
            writer.full_name(),
            reader.full_name()
        )];
    }
    let mut comparison = Comparison::default();
    comparison.messages(reader, writer, "");
    comparison.issues.truncate(MAX_ISSUES);
    comparison.issues
}

#[derive(Default)]
struct Comparison {
    issues: Vec<String>,
    /// Pairs of messages that were compared, or are being: they may be within themselves.
    seen: HashSet<(String, String)>,
}

impl Comparison {
    fn messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        let pair = (reader.full_name().to_owned(), writer.full_name().to_owned());
        if MAX_ISSUES < self.issues.len() || !self.seen.insert(pair) {
            return;
        }
        for field in reader.fields() {
            let inside =
                if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
            match writer.get_field(field.number()) {
                Some(other) => self.fields(&field, &other, &inside),
                None if field.is_required() => {
                    self.issues.push(format!("{inside}: the writer lacks the field, and it is required"));
                }
                None => {}
            }
        }
    }

    fn fields(&mut self, reader: &FieldDescriptor, writer: &FieldDescriptor, path: &str) {
        let number = reader.number();
        if reader.is_map() != writer.is_map() || (writer.is_list() && !reader.is_list()) {
            self.issues.push(format!(
                "{path}: field {number} is {} of the writer, and {} here",
                many(writer),
                many(reader)
            ));
            return;
        }
        if reader.is_required() && !writer.is_required() {
            self.issues
                .push(format!("{path}: field {number} is required here, and the writer may leave it out"));
        }
        match (reader.kind(), writer.kind()) {
            (Kind::Message(reader), Kind::Message(writer)) => self.messages(&reader, &writer, path),
            (reader, writer) if is_read(&reader, &writer) => {}
            (reader, writer) => {
                self.issues.push(format!(
                    "{path}: field {number} is {writer:?} of the writer, and can't be read as {reader:?}"
                ));
            }
        }
    }
}

fn many(field: &FieldDescriptor) -> &'static str {
    match (field.is_map(), field.is_list()) {
        (true, _) => "a map",
        (_, true) => "repeated",
        _ => "one value",
    }
}

/// Whether a value of a kind can be read as one of another, whatever it is.
fn is_read(reader: &Kind, writer: &Kind) -> bool {
    match (writer, reader) {
        (Kind::Int32, Kind::Int64 | Kind::Enum(_))
        | (Kind::Uint32, Kind::Uint64 | Kind::Int64)
        | (Kind::Sint32, Kind::Sint64)
        | (Kind::Bool, Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64)
        | (Kind::Enum(_), Kind::Int32 | Kind::Int64 | Kind::Enum(_))
        | (Kind::String, Kind::Bytes)
        | (Kind::Bytes, Kind::String) => true,
        (Kind::Message(_), _) | (_, Kind::Message(_)) => false,
        (writer, reader) => writer == reader,
    }
}
