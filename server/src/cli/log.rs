//! The log on stderr.
//!
//! Invariant: no value of an environment variable that the project uses is written, whoever logs it.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;
use crate::project::Redactor;

/// Sets the process's log up, from `level` on. `WEIR_LOG` filters it instead, as in
/// `info,weir_engine=debug`.
pub fn init(format: LogFormat, level: &str, redactor: Redactor) {
    let filter = std::env::var("WEIR_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(level)))
        .with_writer(Redacting(redactor));
    // Fails only where a log is set up already.
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .ok();
}

/// Takes values out of each line on its way to stderr.
struct Redacting(Redactor);

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { redactor: &self.0, buffer: Vec::new() }
    }
}

/// One line; written when dropped.
struct Line<'a> {
    redactor: &'a Redactor,
    buffer: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = self.redactor.apply(&String::from_utf8_lossy(&self.buffer));
        io::stderr().write_all(line.as_bytes()).ok();
    }
}
