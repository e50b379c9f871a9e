//! Whether a schema may follow the versions before it, and which rules it breaks.
//!
//! Avro's own rules of schema resolution decide, as for records: [`crate::resolve`].

use super::entry::Level;
use crate::avro::Schema;
use crate::resolve::compile;

/// Messages of one comparison; a subject has many versions, and who gets a hundred reads the first ones.
const MAX_MESSAGES: usize = 20;

/// What `new` breaks at `level`, for a person; empty if nothing. `earlier` are versions with their schemas,
/// ascending; which of them count is the caller's to say.
pub(super) fn broken<'a>(
    level: Level,
    new: &Schema,
    earlier: impl Iterator<Item = (u32, &'a Schema)>,
) -> Vec<String> {
    let mut messages = Vec::new();
    for (version, old) in earlier {
        if level.is_backward() {
            for issue in compile::check(old, new) {
                messages.push(format!("BACKWARD: it can't read what version {version} wrote: {issue}"));
            }
        }
        if level.is_forward() {
            for issue in compile::check(new, old) {
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
