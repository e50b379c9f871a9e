//! A query cut into words, texts, comments and signs: enough to know where the cursor stands.

/// What a stretch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword, in double quotes or not.
    Word,
    Number,
    /// In single quotes; one that does not end goes to the end of the query.
    Text,
    Comment,
    Sign,
}

/// A stretch of the query, in bytes. White space is in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    pub(super) fn text<'a>(&self, query: &'a str) -> &'a str {
        &query[self.start..self.end]
    }
}

pub(super) fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = query[start..].chars().next() {
        let rest = &query[start..];
        let (kind, length) = match first {
            space if space.is_whitespace() => {
                start += space.len_utf8();
                continue;
            }
            '\'' => (Kind::Text, enclosed(rest, '\'')),
            '"' => (Kind::Word, enclosed(rest, '"')),
            '-' if rest.starts_with("--") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (Kind::Comment, rest.find("*/").map_or(rest.len(), |end| end + 2))
            }
            digit if digit.is_ascii_digit() => {
                (Kind::Number, run(rest, |letter| letter.is_alphanumeric() || letter == '.'))
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                (Kind::Word, run(rest, |letter| letter.is_alphanumeric() || letter == '_'))
            }
            sign => (Kind::Sign, sign.len_utf8()),
        };
        tokens.push(Token { kind, start, end: start + length });
        start += length;
    }
    tokens
}

fn run(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !fits(letter)).unwrap_or(text.len())
}

/// The length of what stands in quotes; two quotes inside are one.
fn enclosed(text: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(end) = text[from..].find(quote) {
        let after = from + end + 1;
        if !text[after..].starts_with(quote) {
            return after;
        }
        from = after + 1;
    }
    text.len()
}

/// A name as the server knows it: without quotes, in small letters unless it had some.
pub(super) fn unquoted(word: &str) -> String {
    match word.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').unwrap_or(rest).replace("\"\"", "\""),
        None => word.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_in_order_and_hold_all_but_space(query in "[a-z0-9'\"\\-/*\\n .é]{0,40}") {
            let tokens = tokens(&query);
            let mut at = 0;
            for token in &tokens {
                prop_assert!(at <= token.start && token.start < token.end);
                prop_assert!(query[at..token.start].chars().all(char::is_whitespace));
                at = token.end;
            }
            prop_assert!(query[at..].chars().all(char::is_whitespace));
        }
    }
}
