//! Which records of one message can be read as another: fields are who they are by their numbers.
//!
//! A field that only one side has is no matter. One that both have must mean the same: a number may become wider, a flag or
//! an enum's value a number, text bytes and the reverse, one value several. Stricter than Protobuf's own "wire-compatible" in
//! what would change values silently: numbers cut off, signed ones read as unsigned, the last of several taken. So fields of
//! one `oneof` here are those of which the writer, too, sets one at most: all of one `oneof` of its own, or the only one.

use std::collections::{HashMap, HashSet};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};

use super::File;

/// Broken rules that are told.
const MAX_ISSUES: usize = 20;

/// What `reader` can't read of what `writer` writes, for a person; empty if nothing.
pub(crate) fn broken(reader: &File, writer: &File) -> Vec<String> {
    let readers = reader.messages();
    let readers: HashMap<_, _> = readers.iter().map(|message| (message.full_name(), message)).collect();
    let mut comparison = Comparison::default();
    for message in writer.messages() {
        match readers.get(message.full_name()) {
            Some(other) => {
                comparison.messages(other, &message, message.full_name());
                comparison.removed(other, &message);
            }
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

/// The same of a whole file's records of the message that `reader` is of, whichever others it has.
pub(crate) fn not_read(reader: &MessageDescriptor, writer: &File) -> Vec<String> {
    match writer.message_named(reader.full_name()) {
        Some(message) => mismatch(reader, &message),
        None => vec![format!("there is no message \"{}\" in it", reader.full_name())],
    }
}

#[derive(Default)]
struct Comparison {
    issues: Vec<String>,
    /// Pairs of messages that were compared, or are to be: they may be within themselves.
    seen: HashSet<(String, String)>,
    /// Those that are to be, of reader and writer, each with its path.
    open: Vec<(MessageDescriptor, MessageDescriptor, String)>,
}

impl Comparison {
    /// Compares two messages with all that is in them. Not a recursion: messages may be nested by name as deep as there
    /// are messages.
    fn messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        self.open_pair(reader.clone(), writer.clone(), path.to_owned());
        while let Some((reader, writer, path)) = self.open.pop() {
            if self.issues.len() <= MAX_ISSUES {
                self.pair(&reader, &writer, &path);
            }
        }
    }

    fn open_pair(&mut self, reader: MessageDescriptor, writer: MessageDescriptor, path: String) {
        if self.seen.insert((reader.full_name().to_owned(), writer.full_name().to_owned())) {
            self.open.push((reader, writer, path));
        }
    }

    fn pair(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        for field in reader.fields() {
            let inside = within(path, field.name());
            match writer.get_field(field.number()) {
                Some(other) => self.fields(&field, &other, &inside),
                None if field.is_required() => {
                    self.issues.push(format!("{inside}: the writer lacks the field, and it is required"));
                }
                None => {}
            }
        }
        for oneof in reader.oneofs() {
            let writers: Vec<_> =
                oneof.fields().filter_map(|field| writer.get_field(field.number())).collect();
            let groups: HashSet<_> = writers
                .iter()
                .map(|field| {
                    let oneof = field.containing_oneof().map(|oneof| oneof.name().to_owned());
                    oneof.ok_or_else(|| field.number())
                })
                .collect();
            if 1 < groups.len() {
                let names: Vec<_> = writers.iter().map(FieldDescriptor::name).collect();
                self.issues.push(format!(
                    "{}: of {} the writer may set several, and here they are one of a oneof",
                    within(path, oneof.name()),
                    names.join(", ")
                ));
            }
        }
    }

    /// What a registry does not let go, though records are read without it: as Confluent's.
    fn removed(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        for field in writer.fields().filter(|field| reader.get_field(field.number()).is_none()) {
            let path = within(writer.full_name(), field.name());
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            // Gone as a whole it is no matter; renamed or taken apart it is not gone.
            let is_left = |oneof: &OneofDescriptor| {
                reader.oneofs().any(|left| left.name() == oneof.name())
                    || oneof.fields().any(|field| reader.get_field(field.number()).is_some())
            };
            if field.is_required() {
                self.issues.push(format!("{path}: the field was required, and is there no more"));
            } else if let Some(oneof) = oneof.filter(is_left) {
                self.issues.push(format!(
                    "{path}: the field was one of oneof \"{}\", and is there no more",
                    oneof.name()
                ));
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
            (Kind::Message(reader), Kind::Message(writer)) => self.open_pair(reader, writer, path.to_owned()),
            (reader, writer) if is_read(&reader, &writer) => {}
            (reader, writer) => {
                self.issues.push(format!(
                    "{path}: field {number} is {writer:?} of the writer, and can't be read as {reader:?}"
                ));
            }
        }
    }
}

/// The last part of a path that is longer than this many bytes.
const MAX_PATH_BYTES: usize = 1_000;

fn within(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path if MAX_PATH_BYTES < path.len() => format!("….{name}"),
        path => format!("{path}.{name}"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::SchemaText;

    /// What a registry says of a message whose fields change.
    fn told(new: &str, old: &str) -> String {
        let file = |fields: &str| {
            let text = format!("syntax = \"proto2\"; message M {{ {fields} }}");
            File::parse(&SchemaText::of_file(&text)).expect("a schema")
        };
        broken(&file(new), &file(old)).join("; ")
    }

    #[test]
    fn what_leaves_a_oneof_or_was_required_is_kept_by_a_registry() {
        let both = "oneof o { int32 a = 1; int32 b = 2; }";
        let gone = "M.b: the field was one of oneof \"o\", and is there no more";
        assert_eq!(told("oneof o { int32 a = 1; }", both), gone);
        // Renamed or taken apart it is the same.
        assert_eq!(told("oneof p { int32 a = 1; }", both), gone);
        assert_eq!(told("optional int32 a = 1;", both), gone);
        // The whole of it, a field beside it, or into the open: nothing is lost that somebody would look for there.
        for new in [
            "",
            "oneof o { int32 a = 1; } optional int32 b = 2;",
            "oneof p { int32 a = 1; int32 b = 2; }",
            both,
        ] {
            assert_eq!(told(new, &format!("{both} optional int32 c = 3;")), "", "{new}");
        }
        assert_eq!(told("", "required int32 a = 1;"), "M.a: the field was required, and is there no more");
        let moved = told(both, "optional int32 a = 1; optional int32 b = 2;");
        assert_eq!(moved, "M.o: of a, b the writer may set several, and here they are one of a oneof");
    }

    /// Of a chain of messages, each in the one before it, and the last of a type of its own.
    #[test]
    fn messages_as_deep_as_there_are_any_are_compared() {
        const N: usize = 5_000;
        let chain = |last: &str| {
            let messages: String =
                (0..N).map(|n| format!("message M{n} {{ M{} f{n} = 1; }}\n", n + 1)).collect();
            let text = format!("syntax = \"proto3\"; {messages} message M{N} {{ {last} end = 1; }}");
            File::parse(&SchemaText::of_file(&text)).expect("a schema")
        };
        let (old, new) = (chain("string"), chain("int64"));
        assert_eq!(broken(&old, &old), Vec::<String>::new());
        let told = broken(&new, &old).join("; ");
        assert!(
            told.ends_with(".end: field 1 is string of the writer, and can't be read as int64"),
            "{told}"
        );
        let first = |file: &File| file.message(None).expect("there is one");
        assert_eq!(mismatch(&first(&new), &first(&old)).len(), 1);
    }
}
