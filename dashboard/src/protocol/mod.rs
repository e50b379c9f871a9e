//! From bytes to events, and the life of the one connection that carries them.
//!
//! ```text
//! stream: fetch ──► chunks ──► sse::Parser ─┬─► frames ──► Event ──► store
//! poll:   fetch, again and again ───────────┘     │  ▲
//!   ▲                                             ▼  │
//!   └── connection::Connection ◄─────────────   tabs::Message   frames of another tab's connection
//!       when to connect, and how
//! ```
//!
//! Everything but `stream`, `body`, `http` and the asking of `poll` is plain Rust that gets its clock and its randomness as
//! arguments.

#[cfg(target_arch = "wasm32")]
pub mod body;
pub mod connection;
pub mod failure;
#[cfg(target_arch = "wasm32")]
pub mod http;
pub mod json;
pub mod poll;
pub mod sse;
#[cfg(target_arch = "wasm32")]
pub mod stream;
pub mod tabs;
pub mod time;
pub mod wire;

/// A stream carries at most so many tables, as the server has it.
pub const TABLES_MAX: usize = 100;

/// What the page wants to see: it decides the address of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Result tables; none: only the status of all pipelines.
    pub tables: Vec<String>,
    /// How far back behind the watermark, in milliseconds.
    pub last_ms: i64,
}

impl Wanted {
    /// The path and query of the stream; `after` is the id of the last event that was folded.
    pub fn path(&self, after: Option<&str>) -> String {
        self.path_of("/api/v1/stream", '?', after)
    }

    /// The path and query of a poll, which waits for something new, but no longer than a stream's heartbeat takes.
    pub fn poll_path(&self, after: Option<&str>) -> String {
        self.path_of("/api/v1/poll?wait=500ms", '&', after)
    }

    fn path_of(&self, start: &str, mut separator: char, after: Option<&str>) -> String {
        let mut path = String::from(start);
        let mut pair = |name: &str, value: &str| {
            path.push(separator);
            separator = '&';
            path.push_str(name);
            path.push('=');
            path.push_str(&percent_encode(value));
        };
        for table in &self.tables {
            pair("table", table);
        }
        if !self.tables.is_empty() {
            pair("last", &time::duration_text(self.last_ms));
        }
        if let Some(id) = after {
            pair("after", id);
        }
        path
    }
}

/// Escapes all but RFC 3986's unreserved characters, so that the text may stand in a query or a path segment.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_names_tables_span_and_place() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.path(None), "/api/v1/stream");
        assert_eq!(wanted.path(Some("a&b")), "/api/v1/stream?after=a%26b");
        assert_eq!(wanted.poll_path(Some("a")), "/api/v1/poll?wait=500ms&after=a");
        wanted.tables = vec!["revenue".into(), "clicks".into()];
        wanted.last_ms = 30 * 60_000;
        assert_eq!(wanted.path(Some("é")), "/api/v1/stream?table=revenue&table=clicks&last=30m&after=%C3%A9");
    }
}
