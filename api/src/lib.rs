//! The wire types of HTTP and server-sent events: what the server writes and the page reads.
//!
//! Invariants:
//! 1. Shapes only. This crate knows serde and nothing of Arrow, the engine or a browser; whoever owns a value converts
//!    it. So the page and the server can never disagree about a field, and neither drags the other in.
//! 2. Readers ignore fields they do not know: columns may be added to system tables. Requests are the exception: a key
//!    that the server would ignore is refused.
//! 3. Values inside rows are JSON as users see it: integers as exact digits (`i64` and `u64` survive the round trip),
//!    decimals, 128-bit sums and times as strings, null as null.
//! 4. Watermarks and other instants are RFC 3339 strings with `Z`, watermarks to the millisecond.

mod dashboard;
mod pipeline;
mod problem;
mod source;
mod sql;
mod stream;

pub use dashboard::{Aggregate, Chart, Dashboard, DashboardEntry, DashboardList, Panel};
pub use pipeline::{
    Graph, GraphEdge, GraphNode, Partition, Pipeline, PipelineDetail, PipelineState, PipelinesResponse,
    ReplayRequest, ReplayResponse, Sink, Timing,
};
pub use problem::{CONTENT_TYPE_PROBLEM, Problem};
pub use source::{Source, WriterSchema};
pub use sql::{CONTENT_TYPE_ROWS, Column, RowsEnd, RowsHead, SqlRequest, SqlResponse};
pub use stream::{Delta, Event, PollEvent, PollResponse, Snapshot, Status};

/// One row: the values in the order of the columns that came with it.
pub type Row = Vec<serde_json::Value>;
