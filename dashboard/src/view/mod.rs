//! What components show, as plain values: texts, figures, rows. Pure functions of the store and the clock.
//!
//! Nothing here knows a browser, so that what is said to people is tested natively.

pub mod address;
pub mod board;
pub mod clock;
pub mod complete;
pub mod dataflow;
pub mod detail;
pub mod epochs;
pub mod explain;
pub mod grid;
pub mod health;
pub mod history;
pub mod late;
pub mod letters;
pub mod losses;
pub mod number;
pub mod palette;
pub mod partitions;
pub mod pin;
pub mod pipelines;
pub mod query;
pub mod schemas;
pub mod sql_look;
pub mod waiting;
pub mod windows;
pub mod zone;
