//! A dashboard: which rows its panels show, what these come to, and what is said of them.
//!
//! ```text
//! Panel, Table ──► columns, span ──► cells ─┬─► chart::gather (series of points)
//!                                           ├─► figure (one number)
//!                                           └─► grid (table and CSV)  =  the answer to sql
//! ```

pub mod cells;
pub mod exact;
pub mod figure;
pub mod grid;
pub mod lines;
pub mod place;
pub mod shown;
pub mod span;
pub mod sql;
pub mod state;
pub mod unit;
pub mod yaml;
