//! Weir's engine: windowed SQL kept up to date over a stream of Arrow batches, exactly once.
//!
//! ```text
//! Source ──► decode ──► stateless ──► partial ──► exchange ──► window ──► commit ──► result table
//! (connector/)         (operator/)   (operator/) (dataflow/)  (operator/) (state/)   (result/)
//! ```
//!
//! The engine has never heard of Kafka, Avro or HTTP: data enters through the traits of
//! [`connector`] and leaves through [`result`] and [`pipeline::Observer`]. Uses go down only:
//! `pipeline → sql → dataflow → operator, connector → result → aggregate, state, time`.

pub mod aggregate;
pub mod connector;
pub mod dataflow;
pub mod facts;
pub mod operator;
mod panics;
pub mod pipeline;
pub mod result;
pub mod sql;
pub mod state;
pub mod time;

pub use time::{Clock, Epoch};
