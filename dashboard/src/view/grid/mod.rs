//! The answer to a query as a grid of any length: rows kept as the bytes they came in, read where they are looked at.
//!
//! ```text
//! chunks ──► Answer (lines of bytes) ──► cells of a row ──► texts on the screen
//!               └──► sort::order ──► which row stands where      layout ──► which rows and columns are in sight
//! ```
//!
//! Invariants:
//! 1. Memory is that of the answer's bytes and 4 bytes a row, up to [`answer::BYTES_MAX`] and [`answer::ROWS_MAX`]; what is
//!    past that is left out and said.
//! 2. Every value is shown, copied and saved as the server wrote it: nothing is rounded on the way.

pub mod answer;
pub mod cells;
pub mod export;
pub mod layout;
pub mod select;
pub mod sort;
