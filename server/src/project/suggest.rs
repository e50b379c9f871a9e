//! "Did you mean": the name nearest to a mistyped one, as the end of a message.

use crate::problem::nearest;

/// `, did you mean "topic"?`, or nothing where no candidate is near.
pub(crate) fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates).map(|candidate| format!(", did you mean \"{candidate}\"?")).unwrap_or_default()
}
