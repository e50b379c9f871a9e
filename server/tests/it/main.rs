//! The binary from outside: arguments, exit codes, what goes to stdout and what to stderr, signals.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod commands;
mod demo;
mod registry;
mod state;
mod weir;
