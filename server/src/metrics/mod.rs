//! `/metrics`: what the process counts, in OpenMetrics text.
//!
//! Invariants:
//! 1. Counters count since the process started and never go down.
//! 2. Labels are bounded: names from the project, partitions, operators, reasons, routes. Never a key, a
//!    query, an error's text or an address that a client made up.

mod histogram;
mod render;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_engine::Epoch;
use weir_engine::facts::Facts;

use histogram::Histogram;
pub use render::CONTENT_TYPE;

/// Upper bounds of `weir_epoch_duration_seconds`.
const EPOCH_BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of `weir_http_request_duration_seconds`.
const HTTP_BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What the server itself counts; the rest is read from the pipelines when asked for.
#[derive(Debug, Default)]
pub struct Metrics {
    epochs: Mutex<BTreeMap<String, Epochs>>,
    requests: Mutex<BTreeMap<Route, Requests>>,
    conflated: Mutex<BTreeMap<String, u64>>,
    stream_clients: AtomicI64,
}

#[derive(Debug)]
struct Epochs {
    /// The newest epoch that was counted.
    last: Epoch,
    duration_s: Histogram,
}

/// Method and route of a request; both from fixed lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    method: &'static str,
    path: String,
}

#[derive(Debug)]
struct Requests {
    by_status: BTreeMap<u16, u64>,
    duration_s: Histogram,
}

impl Metrics {
    /// Counts the epochs of a pipeline that `facts` knows and that were committed in this process.
    pub fn committed(&self, pipeline: &str, facts: &Facts) {
        let mut all = locked(&self.epochs);
        if !all.contains_key(pipeline) {
            // The first commit of this process is the newest one; older ones are of an earlier process.
            let last = Epoch(facts.epoch.0.saturating_sub(1));
            all.insert(pipeline.to_owned(), Epochs { last, duration_s: Histogram::new(&EPOCH_BOUNDS) });
        }
        let Some(epochs) = all.get_mut(pipeline) else { return };
        for fact in facts.epochs.iter().rev().take_while(|fact| epochs.last < fact.epoch) {
            epochs.duration_s.observe(fact.duration_ms / 1_000.0);
        }
        epochs.last = epochs.last.max(facts.epoch);
    }

    /// Counts an answered request. `path` is a route, not what the client wrote.
    pub fn request(&self, method: &'static str, path: &str, status: u16, took: Duration) {
        let route = Route { method, path: path.to_owned() };
        let mut all = locked(&self.requests);
        let requests = all.entry(route).or_insert_with(|| Requests {
            by_status: BTreeMap::new(),
            duration_s: Histogram::new(&HTTP_BOUNDS),
        });
        *requests.by_status.entry(status).or_default() += 1;
        requests.duration_s.observe(took.as_secs_f64());
    }

    /// Counts epochs that a stream client got merged into a later one.
    pub fn conflated(&self, pipeline: &str, epochs: u64) {
        let mut all = locked(&self.conflated);
        match all.get_mut(pipeline) {
            Some(count) => *count += epochs,
            None => {
                all.insert(pipeline.to_owned(), epochs);
            }
        }
    }

    /// A stream client came (1) or went (-1).
    pub fn stream_clients(&self, change: i64) {
        self.stream_clients.fetch_add(change, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
