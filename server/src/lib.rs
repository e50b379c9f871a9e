//! The one binary, `weir`: project files, command line, pipelines, SQL and streams over HTTP.

pub mod pipeline;
pub mod project;
