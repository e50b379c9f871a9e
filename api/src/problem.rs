//! `application/problem+json` (RFC 9457): what every refused or failed request answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// Why a request was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name, such as `urn:weir:error:E0102`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The same for every problem of this type.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: String,
    /// What the caller can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// 1-based line of the query text where the trouble starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// 1-based column, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
}

impl Problem {
    /// The code at the end of the type, such as `E0102`, where it has one.
    pub fn code(&self) -> Option<&str> {
        self.problem_type.strip_prefix("urn:weir:error:")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, " at {line}:{column}")?;
        }
        match self.code() {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::round_trip;

    #[test]
    fn optional_members_are_left_out() {
        let problem: Problem = round_trip(
            r#"{"type":"urn:weir:error:E0301","title":"the query is wrong","status":400,"detail":"no column \"contry\"","hint":"did you mean \"country\"?","line":1,"column":8}"#,
        );
        assert_eq!(problem.code(), Some("E0301"));
        assert_eq!(problem.to_string(), r#"no column "contry" (did you mean "country"?) at 1:8 [E0301]"#);
        let bare: Problem = round_trip(
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no table \"x\""}"#,
        );
        assert_eq!(bare.code(), None);
        assert_eq!(bare.to_string(), "no table \"x\"");
    }
}
