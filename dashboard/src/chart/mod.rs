//! A time chart of windows: what to draw, where, and (in the browser) drawing it on a canvas.
//!
//! ```text
//! store::Table ──► series::build ──► Series ──► frame::Frame (places in pixels) ──► paint (canvas)
//!                                                   └──► hit: which window is under the pointer
//! ```
//!
//! Invariants:
//! 1. Only `paint` knows a canvas; all else is pure and tested natively.
//! 2. Provisional is told apart from final without colour: dashed lines and hollow marks, hatched bars. So are series:
//!    by the shape of their marks.

pub mod frame;
pub mod legend;
#[cfg(target_arch = "wasm32")]
pub mod paint;
pub mod scale;
pub mod series;
