//! What goes wrong with a request, as clients see it: RFC 9457 problems with stable codes.
//!
//! Invariant: a [`Fault`] is safe to show. It holds what the client sent, names of tables and
//! columns, and reasons; never a path of this machine, a credential or a panic's text.

use std::fmt;

use weir_api::Problem;
use weir_engine::sql::edit_distance;

/// The kinds of faults. The code is stable and is on the page `docs/errors.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The SQL can't be parsed or planned.
    WrongQuery,
    /// The SQL asks for more than reading our tables.
    RefusedQuery,
    /// The query was planned and failed while it ran, on its data.
    FailedQuery,
    OutOfMemory,
    TimedOut,
    TooManyQueries,
    /// The table exists, its pipeline has not recovered yet.
    TableNotReady,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    /// What is to be written was changed by somebody else.
    Conflict,
    /// `If-Match` names something else than what is there.
    Outdated,
    BodyTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    HeadersTooLarge,
    TooManyStreams,
    Internal,
    NotReady,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::WrongQuery,
        Self::RefusedQuery,
        Self::FailedQuery,
        Self::OutOfMemory,
        Self::TimedOut,
        Self::TooManyQueries,
        Self::TableNotReady,
        Self::BadRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::Outdated,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::TooManyStreams,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::NotReady,
    ];

    /// The number, as in `E0301`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// A few words, the same for all faults of this kind.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.parts().2
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.parts().1
    }

    /// What to do about it, in Markdown.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::WrongQuery => {
                "Mend the SQL at `line` and `column`. `SHOW TABLES` lists the tables; text stands in 'single quotes'."
            }
            Self::RefusedQuery => {
                "Queries only read: one SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE, of at most 256 KiB."
            }
            Self::FailedQuery => {
                "An expression failed on the data, such as a division by zero: `nullif(x, 0)` and TRY_CAST give NULL instead."
            }
            Self::OutOfMemory => {
                "A query has 256 MiB, all together 512 MiB. Select fewer rows or columns, or group more coarsely."
            }
            Self::TimedOut => {
                "A query has 30 s, to the end of its answer. Select less, or send a longer `timeout`: 300 s at most."
            }
            Self::TooManyQueries => "16 queries run at a time. Try again in a moment.",
            Self::TableNotReady => "Its pipeline is starting. `/readyz` says what it waits for.",
            Self::BadRequest => "`detail` says what of the request can't be read.",
            Self::Forbidden => {
                "Ask by a name that is loopback's or was given with `--allow-host`, from a page given with `--allow-origin`; changes need `weir run --edit`."
            }
            Self::NotFound => "Nothing has that name; `hint` may have the one that was meant.",
            Self::MethodNotAllowed => "The header `Allow` names the methods that are.",
            Self::NotAcceptable => "`hint` names the media types that `Accept` may ask for.",
            Self::RequestTimeout => "A body has to arrive within 10 s.",
            Self::Conflict => "Somebody changed it meanwhile: look at what is there now, and merge.",
            Self::Outdated => {
                "`If-Match` is not the `ETag` of what is there now: look at that, and merge, or write without the header."
            }
            Self::BodyTooLarge => "A body has at most 1 MiB.",
            Self::UriTooLong => "An address has at most 8 KiB.",
            Self::UnsupportedMediaType => "Send the `Content-Type` that `hint` names.",
            Self::HeadersTooLarge => "At most 100 headers of together 16 KiB are taken.",
            Self::TooManyStreams => "8,192 streams are open. Close some, or try again later.",
            Self::Internal => {
                "The mistake is Weir's, not yours. The server's log says more; please report it."
            }
            Self::NotReady => "Try again in a moment; `detail` says what is waited for.",
        }
    }

    /// The code, HTTP status and title.
    fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::WrongQuery => ("E0301", 400, "the query is wrong"),
            Self::RefusedQuery => ("E0302", 400, "the query is not allowed"),
            Self::FailedQuery => ("E0303", 422, "the query failed"),
            Self::OutOfMemory => ("E0304", 422, "the query needs too much memory"),
            Self::TimedOut => ("E0305", 503, "the query timed out"),
            Self::TooManyQueries => ("E0306", 429, "too many queries"),
            Self::TableNotReady => ("E0307", 503, "the table is not ready"),
            Self::BadRequest => ("E0400", 400, "the request is wrong"),
            Self::Forbidden => ("E0403", 403, "the request is refused"),
            Self::NotFound => ("E0404", 404, "not found"),
            Self::MethodNotAllowed => ("E0405", 405, "method not allowed"),
            Self::NotAcceptable => ("E0406", 406, "no such format"),
            Self::RequestTimeout => ("E0408", 408, "the request took too long to arrive"),
            Self::Conflict => ("E0409", 409, "changed meanwhile"),
            Self::Outdated => ("E0412", 412, "somebody was faster"),
            Self::BodyTooLarge => ("E0413", 413, "the body is too large"),
            Self::UriTooLong => ("E0414", 414, "the address is too long"),
            Self::UnsupportedMediaType => ("E0415", 400, "wrong content type"),
            Self::HeadersTooLarge => ("E0431", 431, "the headers are too large"),
            Self::TooManyStreams => ("E0429", 429, "too many streams"),
            Self::Internal => ("E0500", 500, "internal error"),
            Self::NotReady => ("E0503", 503, "not ready"),
        }
    }
}

/// Why a request was refused or failed. Boxed, so that results stay small.
#[derive(Debug, Clone)]
pub struct Fault(Box<Problem>);

impl Fault {
    /// A fault of a kind; `detail` says what was wrong with this request.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (code, status, title) = code.parts();
        Self(Box::new(Problem {
            problem_type: format!("urn:weir:error:{code}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            hint: None,
            line: None,
            column: None,
        }))
    }

    /// Adds what the client can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Without a place: that of a text which the client did not send.
    #[must_use]
    pub fn nowhere(mut self) -> Self {
        (self.0.line, self.0.column) = (None, None);
        self
    }

    /// Adds where in the query the trouble starts: 1-based line and column.
    #[must_use]
    pub fn at(mut self, line: u64, column: u64) -> Self {
        self.0.line = Some(line);
        self.0.column = Some(column);
        self
    }

    /// The body of the answer.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        *fault.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

/// The one of `names` that `name` was probably meant to be: a third of its letters may differ.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|candidate| (edit_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_found_and_far_ones_are_not() {
        let names = ["revenue", "orders", "clicks"];
        assert_eq!(nearest("revenu", names), Some("revenue"));
        assert_eq!(nearest("Ordres", names), Some("orders"));
        assert_eq!(nearest("titel", ["title"]), Some("title"), "swapped letters are one mistake");
        assert_eq!(nearest("customers", names), None);
        assert_eq!(nearest("", names), None);
    }
}
