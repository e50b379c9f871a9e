//! `status` events: how each pipeline is doing, sampled once a second for all clients together.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Hub;
use crate::catalog::{Catalog, PipelineView, api_state};
use crate::encode::instant;

const EVERY: Duration = Duration::from_secs(1);
/// Samples that a rate is taken over: long enough to smooth epochs, short enough to see a stall.
const SAMPLES: usize = 4;

/// The newest status of each pipeline.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    /// Grows when a sample says something else than the one before; 0 before the first.
    pub(super) version: u64,
    /// The `data:` of each.
    pub(super) data: Vec<Bytes>,
}

/// Records read by a pipeline at some moments, newest last.
#[derive(Debug, Default)]
struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Adds a sample; rows per second over the last ones.
    fn add(&mut self, now: Instant, records_total: u64) -> f64 {
        self.samples.push_back((now, records_total));
        while SAMPLES < self.samples.len() {
            self.samples.pop_front();
        }
        let Some(&(first_at, first)) = self.samples.front() else { return 0.0 };
        let seconds = now.saturating_duration_since(first_at).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        let rate = records_total.saturating_sub(first) as f64 / seconds;
        (rate * 10.0).round() / 10.0
    }
}

/// Samples until the hub closes.
pub(super) async fn sample(hub: &Hub, catalog: &dyn Catalog) {
    let mut rates: HashMap<String, Rate> = HashMap::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = hub.closing.subscribe();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        let views = catalog.pipelines();
        hub.recovered(&views);
        let now = Instant::now();
        let status = |view: &PipelineView| {
            let rate = rates.entry(view.name.clone()).or_default().add(now, view.live.records_total);
            serde_json::to_vec(&status(view, rate)).map(Bytes::from).unwrap_or_default()
        };
        let data: Vec<Bytes> = views.iter().map(status).collect();
        hub.sampled(data);
    }
}

fn status(view: &PipelineView, rows_per_second: f64) -> weir_api::Status {
    let facts = view.facts();
    let counters = facts.map(|facts| facts.counters).unwrap_or_default();
    weir_api::Status {
        pipeline: view.name.clone(),
        state: api_state(view.state),
        epoch: facts.map_or(0, |facts| facts.epoch.0),
        watermark: facts.and_then(|facts| facts.watermark_ms).map(instant),
        lag_records: view.lag_records(),
        rows_per_second,
        late_rows: counters.late_rows,
        dead_letters: counters.dead_letters,
        error: view.error().map(str::to_owned),
    }
}
