//! Ad-hoc SQL over committed epochs: one query, one answer, within limits.
//!
//! ```text
//! text ─► statement ─► tables (from one look at the pipelines) ─► DataFusion ─► encoder ─► pieces
//!         (refusals)                      └── the query runtime: own threads, deep stacks ──┘
//! ```
//!
//! Invariants:
//! 1. A query sees the result and system tables of one set of snapshots and nothing else; nothing
//!    it does changes anything.
//! 2. No query work runs on the runtime that serves HTTP, and a query that nobody reads any more
//!    is dropped.
//! 3. Number, time and memory of queries are bounded; no text panics or overflows a stack.

mod answer;
mod error;
mod memory;
mod offline;
mod run;
mod statement;
mod system;
mod tables;
mod text_table;
mod yielding;

use std::collections::BTreeMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

pub use answer::Format;
pub use offline::{OfflineError, query_offline};
pub(crate) use statement::condition;
pub(crate) use text_table::write as write_table;

use crate::catalog::PipelineView;
use crate::problem::{Code, Fault};

/// Stack of a query thread. Some walks over plans use the stack; `statement` bounds their depth.
/// Memory is taken only as far as it is used.
const STACK_BYTES: usize = 64 << 20;
/// Pieces of an answer that wait for a client to read them.
const PIECES_MAX: usize = 2;

/// Bounds of ad-hoc queries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeout_default: Duration,
    pub timeout_max: Duration,
    pub memory_query_bytes: usize,
    pub memory_total_bytes: usize,
    /// Queries at the same time; more are refused.
    pub running_max: usize,
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout_default: Duration::from_secs(30),
            timeout_max: Duration::from_secs(300),
            memory_query_bytes: 256 << 20,
            memory_total_bytes: 512 << 20,
            running_max: 16,
            threads: 2,
        }
    }
}

/// Runs queries on threads of its own.
pub struct Queries {
    limits: Limits,
    memory: Arc<dyn MemoryPool>,
    permits: Arc<Semaphore>,
    /// `Some` until dropped.
    runtime: Option<Runtime>,
}

/// An answer that is being made. Dropping it stops its query.
#[derive(Debug)]
pub struct Answer {
    epochs: BTreeMap<String, u64>,
    deadline: Instant,

    first: Option<Piece>,
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
    _task: AbortOnDrop,
}

/// What a query's task hands over, in this order: `Begin`, any number of `Bytes`, `End`; or
/// `Failed` at any time.
#[derive(Debug)]
enum Piece {
    Begin(BTreeMap<String, u64>),
    Bytes(Bytes),
    End,
    Failed(Fault),
}

#[derive(Debug)]
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Queries {
    /// Starts the query threads.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn new(limits: Limits) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .max_blocking_threads(limits.threads)
            .thread_name("weir-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()?;
        Ok(Self {
            limits,
            memory: Arc::new(GreedyMemoryPool::new(limits.memory_total_bytes)),
            permits: Arc::new(Semaphore::new(limits.running_max)),
            runtime: Some(runtime),
        })
    }

    /// The limits that hold for each query.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Begins a query over `views` and waits until it is known whether it can be answered.
    /// `timeout` counts to the end of the answer; `None`: the default.
    ///
    /// # Errors
    /// 400 for the SQL, 422 for its data or memory, 429 when too many run, 503 when it took too
    /// long or a table is not ready.
    pub async fn run(
        &self,
        views: Vec<PipelineView>,
        sql: String,
        timeout: Option<Duration>,
        format: Format,
    ) -> Result<Answer, Fault> {
        let timeout = timeout.unwrap_or(self.limits.timeout_default).min(self.limits.timeout_max);
        let deadline = Instant::now() + timeout;
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} queries are running", self.limits.running_max);
            Fault::new(Code::TooManyQueries, detail).hint("try again in a moment")
        })?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let job = run::Job {
            views,
            sql,
            format,
            pool: Arc::new(memory::QueryPool::new(self.memory.clone(), self.limits.memory_query_bytes)),
            threads: self.limits.threads,
        };
        let runtime = self.runtime.as_ref().expect("taken only by drop");
        let task = runtime.spawn(async move {
            // The permit lives as long as the work: planning can't be interrupted.
            let _permit = permit;
            // Some of DataFusion's functions panic on some of their arguments. What a query made is dropped.
            let ended = AssertUnwindSafe(Box::pin(job.run(&sender))).catch_unwind().await;
            if let Err(fault) = ended.unwrap_or_else(|_| Err(panicked())) {
                // A failure to send means that nobody waits for the answer.
                sender.send(Piece::Failed(fault)).await.ok();
            }
        });
        let task = AbortOnDrop(task.abort_handle());
        let mut answer =
            Answer { epochs: BTreeMap::new(), deadline, first: None, pieces, ended: false, _task: task };
        match answer.receive().await? {
            Piece::Begin(epochs) => answer.epochs = epochs,
            _ => return Err(internal()),
        }
        // The first bytes too, so that a query that fails at once gets a status that says so.
        answer.first = Some(answer.receive().await?);
        Ok(answer)
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Answer {
    /// The committed epochs that were read, by pipeline.
    #[must_use]
    pub fn epochs(&self) -> &BTreeMap<String, u64> {
        &self.epochs
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The query failed or timed out on the way: what came before is not the whole answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let piece = match self.first.take() {
            Some(piece) => piece,
            None => self.receive().await?,
        };
        match piece {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End => {
                self.ended = true;
                Ok(None)
            }
            Piece::Begin(_) | Piece::Failed(_) => Err(internal()),
        }
    }

    async fn receive(&mut self) -> Result<Piece, Fault> {
        match timeout_at(self.deadline, self.pieces.recv()).await {
            Err(_) => Err(Fault::new(Code::TimedOut, "the query did not finish in its time")
                .hint("select less, or send a longer timeout")),
            Ok(Some(Piece::Failed(fault))) => Err(fault),
            Ok(Some(piece)) => Ok(piece),
            // The task ended without a last word: the process is about to end.
            Ok(None) => Err(internal()),
        }
    }
}

fn panicked() -> Fault {
    Fault::new(Code::FailedQuery, "one of its functions does not take what it was given")
        .hint("the server's log says which; leave such rows out by a WHERE, or take another function")
}

fn internal() -> Fault {
    Fault::new(Code::Internal, "the query ended unexpectedly").hint("the server's log says more")
}

#[cfg(test)]
mod tests;
