//! What could not be used, record by record: which there are, and what is in one.
//!
//! ```text
//! Choice (address) ──► queries ──► summary   by reason and time, for the chart and the filters
//!                            ├──► list      the newest that fit
//!                            ├──► record    one: origin, reason, bytes::dump beside avro::decode
//!                            └──► replay    what running those that fit again means, and what came of it
//! ```
//!
//! Invariants:
//! 1. Every query is bounded: groups or a LIMIT, and texts are cut by the server.
//! 2. What is shown of a record is bounded too ([`bytes::SHOWN_BYTES`], [`avro::FIELDS_MAX`]); what is copied is whole.

pub mod avro;
pub mod bytes;
mod choice;
pub mod list;
pub mod reasons;
pub mod record;
pub mod replay;
pub mod summary;

pub use choice::{Choice, Place};

/// A text as a SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
