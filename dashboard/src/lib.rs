//! The live page: a client of the server's HTTP and event stream that runs in the browser.
//!
//! ```text
//! protocol ──► store ──► view ──► chart ──► page
//!  bytes to     what      texts    places    Leptos components, canvas
//!  events       is known  of it    of it
//! ```
//!
//! Invariants:
//! 1. Uses go to the left only. All but `page` and the parts marked `wasm32` is plain Rust, compiled and tested
//!    natively.
//! 2. The page shows committed epochs only, all of one refresh of the same epoch, and never a number that looks alive
//!    when it is not.
//! 3. No request leaves the server that served the page; no inline script or style: a strict content security policy
//!    holds.

pub mod chart;
#[cfg(target_arch = "wasm32")]
pub mod page;
pub mod protocol;
pub mod store;
pub mod view;
