//! The dataflow: what a plan says, and the subtasks, channels and coordinator that run it.

pub mod plan;
