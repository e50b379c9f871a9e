//! Sources and sinks behind the engine's traits, one folder per external system.
//!
//! ```text
//! Kafka topic ─┬► kafka::fetch ──────────────────────┬► engine::connector::RecordBlock
//!              └► kafka::native ──► kafka::reader ───┘      │
//!                 (librdkafka)      (events, errors)        │
//!                 weir-schemas ◄─────────────────── kafka::decoder ──► Decoded
//! Avro files ──► files::cursor ──► RecordBlock ──► the same decoder
//! ```
//!
//! This crate has never heard of YAML, HTTP or windows: the server hands it checked settings, the
//! engine drives it through [`weir_engine::connector`].

pub mod blackhole;
pub mod file;
pub mod files;
pub mod kafka;
pub mod mock;

mod decompress;
mod error;
mod suggest;
mod table_source;

pub use error::{ConfigError, LookupError, PropertyError, chain};
pub use table_source::TableSource;
