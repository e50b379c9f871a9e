//! A query's share of the memory that all queries have together.
//!
//! Invariant: what this pool hands out is counted in the shared pool too, and given back when the
//! query's operators are dropped, so neither limit is ever passed.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// The pool of one query.
#[derive(Debug)]
pub(super) struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    limit_bytes: usize,

    used_bytes: AtomicUsize,
    /// Why memory was first refused.
    refusal: OnceLock<String>,
}

impl QueryPool {
    /// At most `limit_bytes` of what `shared` has left.
    pub(super) fn new(shared: Arc<dyn MemoryPool>, limit_bytes: usize) -> Self {
        Self { shared, limit_bytes, used_bytes: AtomicUsize::new(0), refusal: OnceLock::new() }
    }

    /// The error as this pool would tell it. An operator that is refused memory and would rather spill
    /// to disk, which queries may not, tells of the disk instead; which operator is refused is chance.
    pub(super) fn retold(&self, error: DataFusionError) -> DataFusionError {
        match self.refusal.get() {
            Some(refusal) if error.to_string().contains("DiskManager is disabled") => {
                DataFusionError::ResourcesExhausted(refusal.clone())
            }
            _ => error,
        }
    }

    fn refuse(&self, why: String) -> DataFusionError {
        self.refusal.get_or_init(|| why.clone());
        DataFusionError::ResourcesExhausted(why)
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
            let limit_mib = self.limit_bytes >> 20;
            return Err(
                self.refuse(format!("the query needs more than the {limit_mib} MiB that one query may use"))
            );
        }
        self.shared.try_grow(reservation, additional).map_err(|_| {
            self.used_bytes.fetch_sub(additional, Ordering::Relaxed);
            self.refuse("the running queries use all the memory there is for them".to_owned())
        })
    }

    fn reserved(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer};

    use super::*;

    #[test]
    fn a_refusal_is_told_even_by_an_operator_that_would_spill() {
        let pool = Arc::new(QueryPool::new(Arc::new(GreedyMemoryPool::new(usize::MAX)), 1 << 20));
        let spill = || DataFusionError::ResourcesExhausted("… (DiskManager is disabled)".to_owned());
        let other = || DataFusionError::Execution("other".to_owned());
        assert_eq!(pool.retold(spill()).to_string(), spill().to_string(), "nothing was refused");

        let shared = Arc::clone(&pool) as Arc<dyn MemoryPool>;
        let refused = MemoryConsumer::new("test").register(&shared).try_grow(2 << 20).unwrap_err();
        assert_eq!(pool.retold(spill()).to_string(), refused.to_string());
        assert_eq!(pool.retold(other()).to_string(), other().to_string());
    }
}
