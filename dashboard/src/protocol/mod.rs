//! From bytes to events, and the life of the one connection that carries them.
//!
//! ```text
//! fetch ──► chunks ──► sse::Parser ──► frames ──► Event ──► store
//!   ▲                                     │
//!   └── connection::Connection ◄──────────┘   when to connect, what the header may claim
//! ```
//!
//! Everything but `stream` and `http` is plain Rust that gets its clock and its randomness as arguments.

pub mod connection;
#[cfg(target_arch = "wasm32")]
pub mod http;
pub mod sse;
#[cfg(target_arch = "wasm32")]
pub mod stream;
pub mod time;

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
        let mut path = String::from("/api/v1/stream");
        let mut separator = '?';
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
        wanted.tables = vec!["revenue".into(), "clicks".into()];
        wanted.last_ms = 30 * 60_000;
        assert_eq!(wanted.path(Some("é")), "/api/v1/stream?table=revenue&table=clicks&last=30m&after=%C3%A9");
    }
}
