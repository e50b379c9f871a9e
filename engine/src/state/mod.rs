//! The persistence of one pipeline: one RocksDB, one atomic synced write per epoch.
//!
//! ```text
//! barrier N ─► Transaction(N): panes that changed, panes that closed ─┐
//!                              result blocks, dead letters           ├─► commit ─► RocksDB
//!                              rows for sinks: the outbox ───────────┤
//!                              facts: offsets, watermarks, counters ─┘
//! restart   ◄── Store: identity, recovered facts, panes, result blocks
//! ```
//!
//! Beside it, [`Journal`]: a log of entries that others keep, each one synced write.
//!
//! It knows Arrow batches and facts, not what they mean: the window operator decides which groups
//! a block of state holds, [`crate::result`] which rows a block of results.
//!
//! Invariants:
//! 1. Everything of an epoch is in one write: it exists whole or not at all.
//! 2. [`Transaction::commit`] returns after the log is synced; an epoch number is never reused.
//! 3. Every value has a format version and a checksum (`frame.rs`); what does not read back as it was
//!    written is an error that names it, never a panic and never a wrong number.

mod error;
pub mod failpoint;
mod frame;
mod ipc;
mod journal;
mod key;
mod memory;
mod outbox;
mod record;
mod reset;
mod store;
mod transaction;

#[cfg(test)]
mod outbox_test;
#[cfg(test)]
mod store_test;

pub use error::Error;
pub use journal::Journal;
pub use memory::Memory;
pub use record::{Identity, Recovered, Settings};
pub use reset::Forgotten;
pub use store::{PaneBlock, Store, WeakStore};
pub use transaction::Transaction;

pub use frame::VERSION as FORMAT_VERSION;
pub(crate) use ipc::raw_bytes;
pub(crate) use key::Series;
pub(crate) use outbox::{Entry, SinkRecord, Size};
