//! Committed epochs to browsers: server-sent events, one stream per client for many tables; and the
//! same events, with the same ids, for clients that poll.
//!
//! ```text
//! commit thread ─► Table (ring of the last epochs) ◄─ asks ─ Client ◄─ polls ─ socket with room
//!       └────────► changed (a counter) ─── wakes ──────────────┘
//! ```
//!
//! Nothing is pushed to a client. When its socket has room, it asks its tables for what came behind
//! the epoch that it has: so a slow client skips epochs (they are merged per key), a stalled one
//! holds at most one event, and neither is ever waited for.
//!
//! Invariants:
//! 1. Only committed epochs are sent, and a table's epochs only grow.
//! 2. A client that folds its events has, at each event's epoch, the table of that epoch.
//! 3. Memory is bounded: per table by its ring, per client by one event, and clients by their number.

mod client;
mod event;
mod id;
mod poll;
mod rows;
mod status;
mod table;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use weir_engine::dataflow::plan::Plan;

pub use client::{Client, Subscription};
use rows::TimeColumn;
use table::{Change, Table};

use crate::catalog::{Catalog, Committed, PipelineView};
use crate::metrics::Metrics;
use status::Statuses;

/// Most rows of an event.
const ROWS_MAX: usize = 10_000;
/// Most bytes of an event's data: 4 MiB with its id and frame.
const BYTES_MAX: usize = (4 << 20) - 16 * 1024;
/// Streams at the same time.
const CLIENTS_MAX: usize = 8_192;
/// Encodings at the same time, so that many new clients do not take all threads.
const ENCODINGS_MAX: usize = 2;

/// What all streams of a process share.
pub struct Hub {
    /// By name; pipelines without a result table are not here.
    tables: BTreeMap<String, Arc<Table>>,
    /// Random: ids of another process are not ours.
    process: u64,
    metrics: Arc<Metrics>,
    clients: Arc<Semaphore>,
    encodings: Arc<Semaphore>,

    /// Events sent so far, to all clients.
    events: AtomicU64,
    /// Grows with each commit.
    changed: watch::Sender<u64>,
    statuses: watch::Sender<Arc<Statuses>>,
    closing: watch::Sender<bool>,
}

impl Hub {
    /// A hub for these pipelines: names, and whether they keep a result table.
    #[must_use]
    pub fn new(pipelines: impl IntoIterator<Item = (String, bool)>, metrics: Arc<Metrics>) -> Arc<Self> {
        let names: Vec<String> =
            pipelines.into_iter().filter(|(_, retained)| *retained).map(|(name, _)| name).collect();
        let table = |(number, name): (u32, String)| (name.clone(), Arc::new(Table::new(name, number)));
        Arc::new(Self {
            tables: (0..).zip(names).map(table).collect(),
            process: RandomState::new().hash_one(Instant::now()),
            metrics,
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
            encodings: Arc::new(Semaphore::new(ENCODINGS_MAX)),
            events: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            statuses: watch::Sender::new(Arc::default()),
            closing: watch::Sender::new(false),
        })
    }

    /// What the engine tells of a pipeline's commits. It never blocks the committing thread.
    #[must_use]
    pub fn observer(self: &Arc<Self>, pipeline: &str) -> Arc<dyn weir_engine::pipeline::Observer> {
        Arc::new(Observer { hub: self.clone(), pipeline: pipeline.to_owned() })
    }

    /// Ends all streams, for a shutdown. Clients reconnect and go on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Samples the pipelines once a second for `status` events, until [`Self::close`].
    pub async fn sample(self: Arc<Self>, catalog: Arc<dyn Catalog>) {
        status::sample(&self, catalog.as_ref()).await;
    }

    /// Makes a sample of all pipelines known to the clients.
    fn sampled(&self, data: Vec<Bytes>) {
        self.statuses.send_modify(|statuses| {
            let version = statuses.version + u64::from(statuses.data != data);
            *statuses = Arc::new(Statuses { version, data });
        });
    }

    /// Publishes an epoch committed `now`. `pipeline` may have no table: then only its metrics count.
    fn publish(&self, pipeline: &str, change: Change, now: Instant) {
        self.metrics.committed(pipeline, change.table.facts());
        if let Some(table) = self.tables.get(pipeline) {
            table.publish(change, now);
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// Makes recovered state known to the tables, so that clients see it before the next commit.
    fn recovered(&self, views: &[PipelineView]) {
        for view in views {
            let Some(table) = self.tables.get(&view.name) else { continue };
            let (Some(committed), Some(plan)) = (view.table(), &view.plan) else { continue };
            if table.recovered(committed, time_column(plan)) {
                self.changed.send_modify(|count| *count += 1);
            }
        }
    }
}

/// Where the time of a plan's rows is; a table without windows does not show it.
fn time_column(plan: &Plan) -> Option<TimeColumn> {
    let size_ms = plan.window.as_ref()?.size_ms;
    let end = plan.window_end.map(|column| TimeColumn { column, add_ms: 0 });
    end.or_else(|| plan.window_start.map(|column| TimeColumn { column, add_ms: size_ms }))
}

struct Observer {
    hub: Arc<Hub>,
    pipeline: String,
}

impl weir_engine::pipeline::Observer for Observer {
    fn committed(&self, epoch: &Arc<weir_engine::pipeline::Committed>) {
        let upserts = epoch.finals.iter().chain(&epoch.provisionals).cloned().collect();
        let change = Change {
            epoch: epoch.epoch.0,
            watermark_ms: epoch.watermark_ms,
            upserts,
            deletes: epoch.deletes.clone(),
            table: epoch.snapshot.clone() as Arc<dyn Committed>,
        };
        self.hub.publish(&self.pipeline, change, Instant::now());
    }
}

#[cfg(test)]
mod tests;

/// Commits rows of the test table `revenue`, as the engine would.
#[cfg(test)]
pub(crate) fn publish_for_test(hub: &Hub, table: &str, epoch: u64, rows: &[crate::testing::RevenueRow]) {
    let change = Change {
        epoch,
        watermark_ms: Some(0),
        upserts: vec![crate::testing::revenue_batch(rows)],
        deletes: Vec::new(),
        table: crate::testing::revenue(epoch, Some(0), true, rows),
    };
    hub.publish(table, change, Instant::now());
}
