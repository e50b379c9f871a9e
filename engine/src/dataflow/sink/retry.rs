//! How long to wait after a failure: longer each time, and not the same for all; and when to let go.
//!
//! The circuit breaker: after `BREAKS_AT` failures in a row the connection is given up. From then
//! on each try is a probe that connects anew, at the longest wait, until one works.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;

/// First and longest wait. Shorter: a sink that restarts is flooded with tries; longer: one that is
/// back is noticed late. Tests wait less.
const WAIT_FIRST: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Failures in a row that open the circuit: about three seconds after the first.
const BREAKS_AT: u32 = 6;

/// Counts the failures of one sink.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// Makes the waits of different sinks differ, and those of a test repeat.
    seed: u64,

    in_a_row: u32,
    total: u64,
}

impl Retry {
    pub(super) fn new(identity: &str) -> Self {
        Self { seed: FixedState::default().hash_one(identity), in_a_row: 0, total: 0 }
    }

    /// Notes a failure. Returns how long to wait: between half and all of a time that doubles.
    pub(super) fn failed(&mut self) -> Duration {
        let doubled = WAIT_FIRST.saturating_mul(1 << self.in_a_row.min(16)).min(WAIT_MAX);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.total += 1;
        let random = FixedState::with_seed(self.seed).hash_one(self.total) >> 32;
        doubled / 2 + doubled.mul_f64(random as f64 / f64::from(u32::MAX) / 2.0)
    }

    /// It works again.
    pub(super) fn worked(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether the last try failed.
    pub(super) fn is_failing(&self) -> bool {
        0 < self.in_a_row
    }

    /// Whether the circuit is open.
    pub(super) fn is_open(&self) -> bool {
        BREAKS_AT <= self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_between_sinks() {
        let waits = |identity: &str| {
            let mut retry = Retry::new(identity);
            (0..10).map(|_| retry.failed()).collect::<Vec<_>>()
        };
        let (a, b) = (waits("a"), waits("b"));
        for (i, wait) in (0u32..).zip(&a) {
            let longest = (WAIT_FIRST * 2u32.pow(i)).min(WAIT_MAX);
            assert!(longest / 2 <= *wait && *wait <= longest, "{i}: {wait:?}");
        }
        assert!(a.iter().zip(&b).all(|(a, b)| a != b));
        assert_eq!(a, waits("a"), "and repeat");
    }

    #[test]
    fn the_circuit_opens_after_failures_in_a_row_and_closes_at_once() {
        let mut retry = Retry::new("a");
        for _ in 1..BREAKS_AT {
            retry.failed();
            assert!(retry.is_failing() && !retry.is_open());
        }
        retry.failed();
        assert!(retry.is_open());
        retry.worked();
        assert!(!retry.is_open() && !retry.is_failing());
    }
}
