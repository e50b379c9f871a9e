//! What state means, as one number: a hash of the query in canonical form.
//!
//! Invariants:
//! 1. The number depends on the source's identity, the scanned columns' names and types, and what is
//!    computed from them; not on the formatting of the SQL, on aliases of tables and inner columns,
//!    or on columns that are not used.
//! 2. It is the same in every process and with every version of Rust: FNV-1a over text. State on
//!    disk carries it, so a change of this text makes all state unreadable.

use arrow::datatypes::{Schema, SchemaRef};

use super::TableDef;
use crate::dataflow::plan::Window;

/// The canonical text, one line per fact, in the order of the data path.
#[derive(Debug)]
pub(super) struct Canonical(String);

impl Canonical {
    /// Starts with where rows come from.
    pub(super) fn of_source(table: &TableDef) -> Self {
        let mut canonical = Self(String::new());
        let event_time = table.schema.field(table.event_time).name();
        canonical.line("plan", ["1"]);
        canonical.line("source", [table.name.as_str(), table.identity.as_str(), event_time.as_str()]);
        canonical
    }

    pub(super) fn window(&mut self, window: Option<&Window>) {
        if let Some(Window { size_ms, slide_ms, offset_ms, columns }) = window {
            let numbers = [size_ms, slide_ms, offset_ms].map(ToString::to_string);
            let columns = columns.iter().map(|column| format!("{column:?}"));
            self.line("window", numbers.into_iter().chain(columns));
        }
    }

    pub(super) fn scan(&mut self, columns: &[usize], schema: &Schema) {
        let fields = columns.iter().map(|column| schema.field(*column));
        self.line("scan", fields.map(|field| format!("{} {}", field.name(), field.data_type())));
    }

    pub(super) fn filter(&mut self, predicate: &str) {
        self.line("filter", [predicate]);
    }

    pub(super) fn project<'a>(&mut self, exprs: impl Iterator<Item = &'a str>) {
        self.line("project", exprs);
    }

    pub(super) fn key(&mut self, expr: &str) {
        self.line("key", [expr]);
    }

    pub(super) fn call<'a>(
        &mut self,
        function: &'a str,
        distinct: bool,
        args: impl Iterator<Item = &'a str>,
        filter: Option<&'a str>,
    ) {
        let head = [function, if distinct { "distinct" } else { "all" }, filter.unwrap_or("")];
        self.line("call", head.into_iter().chain(args));
    }

    pub(super) fn output(&mut self, schema: &SchemaRef) {
        let fields = schema.fields().iter();
        self.line("output", fields.map(|field| format!("{} {}", field.name(), field.data_type())));
    }

    /// The hash of all lines.
    pub(super) fn fingerprint(&self) -> u64 {
        fnv_1a(self.0.as_bytes())
    }

    /// Each part ends with a byte that names can't hold, so that no two lists read the same.
    fn line<T: AsRef<str>>(&mut self, kind: &str, parts: impl IntoIterator<Item = T>) {
        self.0.push_str(kind);
        for part in parts {
            self.0.push('\u{1f}');
            self.0.push_str(part.as_ref());
        }
        self.0.push('\n');
    }
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv_1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_fnv_1a() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
