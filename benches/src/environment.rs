//! What pipelines are given here: the server's memory, the machine's clock, nobody to tell, and what all
//! of them are made of.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use weir_engine::Clock;
use weir_engine::aggregate::GROUP_BYTES_MAX;
use weir_engine::connector::Source;
use weir_engine::dataflow::plan::Plan;
use weir_engine::pipeline::{Committed, Environment, Observer, PipelineOptions};
use weir_engine::result::LettersKept;
use weir_engine::sql::{TableDef, plan};
use weir_engine::state::Memory;

/// As the server has them.
const CACHE_BYTES: usize = 64 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// Tells nobody.
pub(crate) struct Silent;

impl Observer for Silent {
    fn committed(&self, _: &Arc<Committed>) {}
}

/// The machine's clock.
#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What the server gives its pipelines.
pub(crate) fn environment() -> Environment {
    Environment {
        clock: Arc::new(SystemClock(Instant::now())),
        memory: Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES),
    }
}

/// The plan of a query over `source`.
pub(crate) fn planned(sql: &str, source: &dyn Source) -> Result<Arc<Plan>> {
    let table = TableDef {
        name: source.name().to_owned(),
        schema: source.schema(),
        event_time: source.event_time(),
        identity: source.identity(),
        left_out: Vec::new(),
    };
    plan(sql, &[table]).map(Arc::new).map_err(|refusals| anyhow::anyhow!("{refusals:?}"))
}

/// Two of each kind of subtask, epochs of 250 ms, and nothing kept of final rows.
pub(crate) fn options() -> PipelineOptions {
    PipelineOptions {
        name: "bench".to_owned(),
        epoch_ms: 250,
        lateness_ms: 0,
        provisional: true,
        retention_ms: 0,
        parallelism: 2,
        group_bytes_max: GROUP_BYTES_MAX,
        state_bytes_max: usize::MAX,
        letters: LettersKept::DEFAULT,
        bounded: false,
        skip_lost: false,
    }
}
