//! The one binary, `weir`: project files, command line, pipelines, SQL and streams over HTTP.

pub mod catalog;
pub mod cli;
pub mod demo;
pub mod encode;
pub mod http;
pub mod metrics;
pub mod pipeline;
pub mod problem;
pub mod project;
pub mod registry;
pub mod sql;
pub mod stream;

#[cfg(test)]
mod testing;
