//! Why there is no answer, and what an answer that is no success says: in the server's words, or, of a gate that stands
//! before it, in ours.
//!
//! Weir has no passwords: who may read is decided by what stands before it, such as a proxy that wants a sign-in. Such a gate
//! answers 401 or 403, or leads to its own page; the browser keeps what it gave at the sign-in and sends it with each request.

use weir_api::Problem;

use super::wire;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No server, or the connection broke.
    Unreachable,
    /// The server says why not.
    Refused(Problem),
    /// An answer that is not what was promised.
    Unreadable(String),
}

impl Failure {
    /// What an answer with this status says, which is no success. Status 0: the answer leads elsewhere, which the server
    /// itself never does.
    pub fn of_answer(status: u16, status_text: &str, body: &str) -> Self {
        if let Ok(problem) = wire::read(body) {
            return Self::Refused(problem);
        }
        let (status, detail, hint) = match status {
            0 | 401 => (401, "you are not signed in".to_owned(), Some("reload the page to sign in again")),
            403 => (
                403,
                "you are not permitted to see this".to_owned(),
                Some("ask who runs this server, or reload the page to sign in as somebody else"),
            ),
            _ => (status, format!("the server answered {status} {status_text}"), None),
        };
        Self::Refused(Problem {
            problem_type: "about:blank".into(),
            title: status_text.to_owned(),
            status,
            detail,
            hint: hint.map(str::to_owned),
            line: None,
            column: None,
        })
    }

    /// Whether this browser is not let in: asking again is in vain until a person does something.
    pub fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 401 | 403))
    }

    /// One sentence for people, without its full stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::Unreachable => "the server can't be reached".into(),
            Self::Refused(problem) => problem.to_string(),
            Self::Unreadable(reason) => format!("the server's answer can't be read: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_that_wants_a_sign_in_is_told_with_what_to_do() {
        for status in [0, 401] {
            let failure = Failure::of_answer(status, "", "<html>Please sign in</html>");
            assert!(failure.is_not_permitted());
            assert_eq!(failure.sentence(), "you are not signed in (reload the page to sign in again)");
        }
        let forbidden = Failure::of_answer(403, "Forbidden", "no");
        assert!(forbidden.is_not_permitted());
        assert_eq!(
            forbidden.sentence(),
            "you are not permitted to see this (ask who runs this server, or reload the page to sign in as somebody else)"
        );
    }

    #[test]
    fn server_is_told_in_its_own_words() {
        let body = r#"{"type":"urn:weir:error:E0403","title":"the request is refused","status":403,"detail":"host \"x\" is not allowed","hint":"start weir with --allow-host"}"#;
        let ours = Failure::of_answer(403, "Forbidden", body);
        assert!(ours.is_not_permitted());
        assert_eq!(ours.sentence(), "host \"x\" is not allowed (start weir with --allow-host) [E0403]");
        let gone = Failure::of_answer(502, "Bad Gateway", "<html>");
        assert!(!gone.is_not_permitted());
        assert_eq!(gone.sentence(), "the server answered 502 Bad Gateway");
        assert!(!Failure::Unreachable.is_not_permitted());
    }
}
