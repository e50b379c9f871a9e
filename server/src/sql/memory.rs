//! A query's share of the memory that all queries have together.
//!
//! Invariant: what this pool hands out is counted in the shared pool too, and given back when the
//! query's operators are dropped, so neither limit is ever passed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// The pool of one query.
#[derive(Debug)]
pub(super) struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    limit_bytes: usize,

    used_bytes: AtomicUsize,
}

impl QueryPool {
    /// At most `limit_bytes` of what `shared` has left.
    pub(super) fn new(shared: Arc<dyn MemoryPool>, limit_bytes: usize) -> Self {
        Self { shared, limit_bytes, used_bytes: AtomicUsize::new(0) }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({} of {} bytes)", self.reserved(), self.limit_bytes)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used_bytes.fetch_add(additional, Ordering::Relaxed);
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let grown = |used: usize| used.checked_add(additional).filter(|used| *used <= self.limit_bytes);
        if self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_err() {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "the query needs more than the {} MiB that one query may use",
                self.limit_bytes >> 20
            )));
        }
        self.shared.try_grow(reservation, additional).map_err(|_| {
            self.used_bytes.fetch_sub(additional, Ordering::Relaxed);
            DataFusionError::ResourcesExhausted(
                "the running queries use all the memory there is for them".to_owned(),
            )
        })
    }

    fn reserved(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}
