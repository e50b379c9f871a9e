//! Charts: what to draw, where, and (in the browser) drawing it on a canvas.
//!
//! ```text
//! store::Table ──► series::build, gather ──► ChartData ──► kind (line, area, bar, top) ──► Drawing ──► paint (canvas)
//!                                               └──► frame::hit: which window is under the pointer
//! ```
//!
//! Invariants:
//! 1. Only `paint` knows a canvas; all else is pure and tested natively.
//! 2. Provisional is told apart from final without colour: dashed lines and hollow marks, hatched surfaces. So are
//!    series: by the shape of their marks.

pub mod axes;
pub mod damage;
pub mod draw;
pub mod frame;
pub mod gather;
pub mod kind;
pub mod legend;
#[cfg(target_arch = "wasm32")]
pub mod paint;
pub mod picture;
pub mod plotted;
pub mod scale;
pub mod series;
pub mod stack;
pub mod thin;
