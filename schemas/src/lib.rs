//! Avro to Arrow and back: wire format, registries, schema evolution, decoding, encoding.
//!
//! ```text
//! record value ─► wire ─► id ─► registry ─► writer schema ─┐     (or its fingerprint)
//!                  │                                       ├─► resolve ─► plan (cached per id)
//!                  │                        reader schema ─┘                │
//!                  └────────────── body ────────────────────► decode ◄──────┘ ─► RecordBatch
//!
//! other formats ─► format: rewritten as records of the reader schema ─► decode
//!
//! RecordBatch ─► encode ─► record values, of a schema derived from the columns
//! ```
//!
//! This crate has never heard of Kafka, of the engine or of an HTTP server; the registry client
//! and [`registry::EmbeddedRegistry::handle`], which knows paths and statuses, are all the HTTP there is.
//!
//! Invariants:
//! 1. What becomes of a record depends on its bytes, the two schemas and nothing else: not on its
//!    neighbours in the batch, and not on which columns were asked for.
//! 2. Nothing here panics on what a record, a schema or a registry says, and what it says can
//!    make nothing grow without limit.
//! 3. No credential appears in an error, a log or a `Debug` output.

pub mod decode;
pub mod encode;
pub mod format;
pub mod registry;
pub mod resolve;
pub mod wire;

mod avro;
mod error;
mod json_schema;
mod protobuf;

pub use decode::{DecodedBatch, Decoder, RejectReason, Rejected, SeenSchema, Splitter};
pub use encode::{Encoded, Encoder, WriterSchema};
pub use error::{EncodeError, FatalError, SchemaError};
pub use format::{AnyDecoder, Format};
pub use registry::{RegistryError, SchemaRegistry, SchemaText};
pub use resolve::{LeftOut, ReaderSchema};
pub use wire::SchemaId;
