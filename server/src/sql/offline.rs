//! Queries without a server: over the last committed epochs of a stopped process's data.

use std::io::{self, Write};
use std::time::Duration;

use super::{Format, Limits, Queries};
use crate::catalog::PipelineView;
use crate::problem::{Code, Fault};

/// Why a query without a server gave no (whole) answer.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The query was refused or failed.
    #[error(transparent)]
    Query(#[from] Fault),
    /// The answer could not be written.
    #[error("could not write the answer")]
    Write(#[from] io::Error),
}

/// Answers `sql` over `views` to `out`. Blocks; not to be called on a tokio thread.
///
/// # Errors
/// As [`Queries::run`], or `out` could not be written to.
pub fn query_offline(
    views: Vec<PipelineView>,
    sql: &str,
    timeout: Option<Duration>,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), OfflineError> {
    let limits = Limits { timeout_default: Limits::default().timeout_max, ..Limits::default() };
    let queries = Queries::new(limits)?;
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    waiting.block_on(async {
        let mut answer = queries.run(views, sql.to_owned(), timeout, format).await?;
        while let Some(bytes) = answer.next().await? {
            out.write_all(&bytes)?;
        }
        Ok(out.flush()?)
    })
}
