//! The dataflow: what a plan says, and the subtasks, channels and coordinator that run it.
//!
//! ```text
//!                 ┌─ source subtask 0 ─┐   ┌─ window subtask 0 ─┐
//! coordinator ───►│                    │ × │                    │───► committer ───► observer
//!                 └─ source subtask 1 ─┘   └─ window subtask 1 ─┘
//! ```
//!
//! Each box is a thread of its own; none of them ever runs on the runtime that serves HTTP.

pub mod commit;
pub mod coordinator;
pub mod exchange;
pub mod live;
pub mod message;
pub mod partitions;
pub mod plan;
pub mod source;
pub mod subtask;
pub mod threads;
