//! Waiting for several queues at once: each raises the same flag when it is no longer empty.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A flag that a thread can wait for. Lower it, look at the queues, wait: nothing that arrives
/// after the look is slept through.
#[derive(Debug, Default)]
pub(super) struct Wake {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub(super) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    pub(super) fn lower(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Waits until the flag is up; false if `deadline` came first.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        while !*raised {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return false;
            }
            (raised, _) =
                self.changed.wait_timeout(raised, remaining).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}
