//! Result tables: immutable final blocks, a provisional overlay, snapshots of committed epochs.
//!
//! ```text
//! finals ──────► series of blocks in RocksDB ─┐          ┌─► Snapshot N   ─► scan, DataFusion
//! provisionals ► overlay in memory ───────────┼─ publish ┼─► Snapshot N-1
//! dead letters ► series of blocks in RocksDB ─┘          └─► …  (as long as somebody holds it)
//! ```
//!
//! [`Tables`] belongs to the committing thread; what readers hold is a [`Snapshot`]. Nothing here
//! knows how a row came to be.
//!
//! Invariants:
//! 1. A snapshot never changes: blocks are immutable, and one that was merged or has aged out is
//!    deleted from disk only after the last snapshot that lists it is gone.
//! 2. Of a table with a key, a key is in the final blocks or in the overlay, never in both.
//! 3. A row is visible while its time is later than the watermark minus the retention, to the row,
//!    whatever block it is in.
//! 4. The number of blocks is bounded by the rows kept, not by the epochs that wrote them.

mod block;
mod dead_letter;
mod overlay;
mod provider;
mod range;
mod scan;
mod series;
mod snapshot;
mod stored;
mod tables;
mod tier;

#[cfg(test)]
mod letters_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod query_test;

pub(crate) use dead_letter::Why;
pub use dead_letter::{DeadLetter, LetterId, dead_letter_schema};
pub use provider::dead_letters_provider;
pub use scan::Scan;
pub use series::Sizes;
pub(crate) use series::sizes;
pub use snapshot::Snapshot;
pub use tables::{Applied, Changes, LettersKept, TableSpec, Tables, TimedRows};

pub use crate::state::Error;
