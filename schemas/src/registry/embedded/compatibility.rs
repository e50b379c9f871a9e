//! Whether a schema may follow the versions before it, and which rules it breaks.
//!
//! Of Avro its own rules of schema resolution decide, as for records: [`crate::resolve`]; of Protobuf those by which
//! records are read: [`crate::protobuf`]; of JSON Schema those of [`crate::json_schema`].

use super::entry::Level;
use super::model::Meaning;
use crate::json_schema;
use crate::protobuf;
use crate::resolve::compile;

/// Messages of one comparison; a subject has many versions, and who gets a hundred reads the first ones.
const MAX_MESSAGES: usize = 20;

/// What `new` breaks at `level`, for a person; empty if nothing. `earlier` are versions with their schemas,
/// ascending; which of them count is the caller's to say.
pub(super) fn broken<'a>(
    level: Level,
    new: &Meaning,
    earlier: impl Iterator<Item = (u32, &'a Meaning)>,
) -> Vec<String> {
    let mut messages = Vec::new();
    for (version, old) in earlier {
        if level.is_backward() {
            for issue in unread(old, new) {
                messages.push(format!("BACKWARD: it can't read what version {version} wrote: {issue}"));
            }
        }
        if level.is_forward() {
            for issue in unread(new, old) {
                messages.push(format!("FORWARD: version {version} can't read what it writes: {issue}"));
            }
        }
        if messages.len() >= MAX_MESSAGES {
            messages.truncate(MAX_MESSAGES);
            break;
        }
    }
    messages
}

/// What of `writer`'s values `reader` can't read.
fn unread(writer: &Meaning, reader: &Meaning) -> Vec<String> {
    match (writer, reader) {
        (Meaning::Avro(writer), Meaning::Avro(reader)) => {
            compile::check(writer, reader).iter().map(ToString::to_string).collect()
        }
        (Meaning::Json(writer), Meaning::Json(reader)) => json_schema::broken(reader, writer),
        (Meaning::Protobuf(writer), Meaning::Protobuf(reader)) => protobuf::broken(reader, writer),
        _ => vec!["it is of another type".to_owned()],
    }
}
