//! The dataflow: what a plan says, and the subtasks, channels and coordinator that run it.
//!
//! ```text
//!                 ┌─ source subtask 0 ─┐   ┌─ window subtask 0 ─┐
//! coordinator ───►│                    │ × │                    │───► committer ───► observer
//!                 └─ source subtask 1 ─┘   └─ window subtask 1 ─┘
//! ```
//!
//! Each box is an actor ([`actor`]) with a thread of its own, in a simulation one of many on one thread.
//! None of them ever runs on the runtime that serves HTTP.

pub mod actor;
pub mod commit;
pub mod coordinator;
pub mod exchange;
pub mod live;
pub mod message;
pub mod partitions;
pub mod plan;
pub mod replay;
pub mod sink;
pub mod source;
pub mod subtask;
pub mod threads;
