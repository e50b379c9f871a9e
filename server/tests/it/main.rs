//! The binary from outside: arguments, exit codes, what goes to stdout and what to stderr, signals.

mod commands;
mod demo;
mod weir;
