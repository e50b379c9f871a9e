//! Groups in columns: the interner from key to group index, and the accumulators.
//!
//! ```text
//!  key columns ──► interner ──► group index ──┬──► accumulator of call 0: a Vec per state field
//!                  (interner/)                ├──► accumulator of call 1   (accumulator/)
//!  arguments, FILTER results ─────────────────┘      …                      + a byte "changed"
//!
//!  evaluate(groups) ──► result columns          state(groups) ──► key columns, state columns
//! ```
//!
//! A [`Layout`] says what all panes of one aggregation share; [`Groups`] is one pane.
//!
//! Invariants:
//! 1. Reading (`evaluate`, `state`, `keys`) never changes what is read: twice gives the same.
//! 2. `state` followed by `replace`, or by `merge` into an empty pane, restores a group exactly.
//! 3. Keys and results are those of DataFusion's GROUP BY over the same rows: null is a key of its
//!    own, `-0.0` is `0.0`, NaNs are the same where their bits are. Floating-point results differ
//!    by rounding only. `min` and `max` order floats totally, as DataFusion does without GROUP BY
//!    (with it, the order of the rows decides once there is a NaN or a zero of each sign).
//! 4. A result that does not fit its type is reported, never wrapped around.
//! 5. All memory is counted by [`Groups::memory_bytes`].
//!
//! This module knows Arrow and DataFusion's functions, nothing of the rest of the engine: a plan's
//! calls become [`CallSpec`]s.

mod accumulator;
mod column;
mod exact;
mod groups;
mod hash;
mod interner;
mod layout;
mod pairs;
#[cfg(test)]
mod tests;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use groups::each_group;
pub use groups::{Evaluated, Groups};
pub use hash::hash_keys;
pub use layout::{ARRIVAL, Argument, CallSpec, Function, GROUP_BYTES_MAX, Layout, Order};
pub use pairs::exact_pairs;

/// What is wrong with an aggregation or its input. Nothing here is worth a retry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The function can't be computed over these types. Refuse the query.
    #[error("{function} of {types} is not supported")]
    Unsupported { function: String, types: String },
    /// Columns are not what the layout says: the plan, or state written by another plan.
    #[error("expected {expected}, found {found}")]
    Mismatch { expected: String, found: String },
    /// Group indices have 32 bits.
    #[error("a pane can't hold more than 4294967295 groups")]
    TooManyGroups,
    /// A column of keys or values would pass the 2 GiB that an Arrow column of text can hold.
    #[error("{bytes} bytes of text do not fit into one column; read fewer groups at once")]
    TooLarge { bytes: usize },
    #[error("could not compute on columns")]
    Arrow(#[from] ArrowError),
    #[error("an aggregate function failed")]
    Function(#[source] Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::Function(Box::new(error))
    }
}

/// `16MiB`, as project files write it.
pub(crate) fn size_text(bytes: usize) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| 0 < bytes && bytes.trailing_zeros() >= *shift) {
        Some((shift, name)) => format!("{}{name}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}
