//! An immutable block of rows on disk, and what is known of it without reading it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::range::Range;

/// The name of the column behind the table's own: each row's time, in milliseconds since 1970.
pub(super) const TIME: &str = "_time_ms";

/// What is known of a block. Kept in memory for every block of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Place in the series: a merged block takes that of its first part.
    pub(super) order: u64,
    pub(super) rows: u64,
    /// On disk, compressed.
    pub(super) stored_bytes: u64,
    /// In memory, read.
    pub(super) raw_bytes: u64,
    pub(super) time_min_ms: i64,
    pub(super) time_max_ms: i64,
    /// One per column that has ranges ([`super::range::columns`]).
    pub(super) ranges: Vec<Option<Range>>,
    /// On disk, the time included; 0: a version wrote it that did not say so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) columns: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Meta {
    /// What merging goes by: rows, or 64 bytes for one where rows are longer than that.
    pub(super) fn weight(&self) -> u64 {
        self.rows.max(self.raw_bytes / 64)
    }
}

/// Ids of retired blocks that no snapshot lists any more.
pub(super) type Garbage = Arc<Mutex<Vec<u64>>>;

/// A block that a table or a snapshot lists.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: u64,
    pub(super) meta: Meta,
    retired: AtomicBool,
    garbage: Garbage,
}

impl Block {
    pub(super) fn new(id: u64, meta: Meta, garbage: Garbage) -> Self {
        Self { id, meta, retired: AtomicBool::new(false), garbage }
    }

    /// Says that the table no longer lists it: its rows go when the last snapshot has gone.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            self.garbage.lock().expect("nothing panics while it is held").push(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_bytes_are_pinned() {
        let meta = Meta {
            order: 1,
            rows: 2,
            stored_bytes: 3,
            raw_bytes: 4,
            time_min_ms: -5,
            time_max_ms: 6,
            ranges: vec![Some(Range::Int(7, 8)), None, Some(Range::Text("a".into(), "b".into()))],
            columns: 0,
        };
        let text = r#"{"order":1,"rows":2,"stored_bytes":3,"raw_bytes":4,"time_min_ms":-5,"time_max_ms":6,"ranges":[{"i":[7,8]},null,{"t":["a","b"]}]}"#;
        assert_eq!(serde_json::to_string(&meta).expect("plain values"), text);
        assert_eq!(serde_json::from_str::<Meta>(text).expect("own format"), meta);
        let (meta, text) = (Meta { columns: 9, ..meta }, text.replace("]}]}", "]}],\"columns\":9}"));
        assert_eq!(serde_json::to_string(&meta).expect("plain values"), text);
        assert_eq!(serde_json::from_str::<Meta>(&text).expect("own format"), meta);
    }
}
