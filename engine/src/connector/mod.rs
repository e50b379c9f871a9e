//! The traits that sources and sinks implement, and what passes through them.
//!
//! ```text
//! Source ─► Reader ─► RecordBlock ─► Decoder ─► Arrow batch      (source.rs: where data enters)
//! outbox ─► Delivery ─► SinkWriter ◄─ Sink                       (sink.rs: where it leaves)
//! ```
//!
//! The engine knows external systems by these traits only.

mod sink;
mod source;

pub use sink::{
    Batching, Change, Delivery, Emit, Position, Progress, Sink, SinkContext, SinkError, SinkWriter, Stopping,
};
pub use source::{
    Decoded, Decoder, Header, PartitionInfo, Reader, ReaderEvent, Reason, RecordBlock, Rejected, SchemaSeen,
    Source, SourceError, Span, Start, TableColumn, Topology, WatermarkOptions,
};
