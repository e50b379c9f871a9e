//! The queries that were run in this browser, the newest first.
//!
//! Invariants:
//! 1. At most [`ENTRIES_MAX`] and [`BYTES_MAX`]: browsers keep a few megabytes for a site, and refuse what is more.
//! 2. A query that is run again moves to the front; it is not there twice.

use serde::{Deserialize, Serialize};

pub const ENTRIES_MAX: usize = 200;
pub const BYTES_MAX: usize = 512 << 10;
/// Longer ones are not kept.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// One query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub query: String,
    /// When it was last run, milliseconds since 1970.
    pub at_ms: f64,
    /// `12 rows in 3.1 ms`, or what was wrong.
    pub outcome: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Reads what [`History::text`] wrote; what can't be read is forgotten.
    pub fn parse(text: &str) -> Self {
        let mut history: Self = serde_json::from_str(text).unwrap_or_default();
        history.bound();
        history
    }

    /// What is kept in the browser.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts a query to the front.
    pub fn add(&mut self, entry: Entry) {
        if QUERY_BYTES_MAX < entry.query.len() || entry.query.trim().is_empty() {
            return;
        }
        self.entries.retain(|kept| kept.query.trim() != entry.query.trim());
        self.entries.insert(0, entry);
        self.bound();
    }

    /// Forgets one.
    pub fn remove(&mut self, query: &str) {
        self.entries.retain(|kept| kept.query != query);
    }

    fn bound(&mut self) {
        self.entries.truncate(ENTRIES_MAX);
        let mut n_bytes = 0;
        let fits = |entry: &Entry| {
            n_bytes += entry.query.len() + entry.outcome.len();
            n_bytes <= BYTES_MAX
        };
        let n_kept = self.entries.iter().map(fits).take_while(|fits| *fits).count();
        self.entries.truncate(n_kept);
    }

    /// The entries whose query holds a text, whatever its case.
    pub fn find(&self, text: &str) -> Vec<Entry> {
        let text = text.trim().to_lowercase();
        self.entries.iter().filter(|entry| entry.query.to_lowercase().contains(&text)).cloned().collect()
    }
}

/// How long ago a query was run, as it stands in a list: it changes once a minute at most.
pub fn age(millis: f64) -> String {
    // The cast saturates: what is still to come was just now.
    match (millis / 60_000.0) as u64 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1_440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1_440),
    }
}

/// The first line of a query that says something, for a list.
pub fn headline(query: &str) -> String {
    let words: Vec<&str> = query.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(query: &str) -> Entry {
        Entry { query: query.to_owned(), at_ms: 1.0, outcome: "1 row".to_owned() }
    }

    #[test]
    fn queries_are_kept_once_and_found() {
        let mut history = History::default();
        for query in ["SELECT 1", "SELECT 2", " SELECT 1\n", "  "] {
            history.add(entry(query));
        }
        let queries =
            |history: &History| history.entries().iter().map(|entry| entry.query.clone()).collect::<Vec<_>>();
        assert_eq!(queries(&history), [" SELECT 1\n", "SELECT 2"]);
        assert_eq!(queries(&History::parse(&history.text())), queries(&history));
        assert_eq!(history.find("select 2 ").len(), 1);
        history.remove("SELECT 2");
        assert_eq!(history.entries().len(), 1);
        assert_eq!(History::parse("{"), History::default());
        assert_eq!(headline("SELECT *\n  FROM t"), "SELECT * FROM t");
    }

    #[test]
    fn ages_are_of_one_unit() {
        let ages = [-5.0, 59_999.0, 60_000.0, 3_599_999.0, 7_200_000.0, 200_000_000.0].map(age);
        assert_eq!(ages, ["just now", "just now", "1 min ago", "59 min ago", "2 h ago", "2 d ago"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for n in 0..300 {
            history.add(entry(&format!("SELECT {n}")));
        }
        assert_eq!((history.entries().len(), &*history.entries()[0].query), (ENTRIES_MAX, "SELECT 299"));
        for n in 0..20 {
            history.add(entry(&format!("SELECT {n}{}", " ".repeat(60_000))));
        }
        assert!(history.text().len() < BYTES_MAX + 10_000);
        history.add(entry(&"x".repeat(100_000)));
        assert!(history.entries()[0].query.len() < 100_000);
    }
}
