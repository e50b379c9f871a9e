//! One measured run over the topic, from its beginning to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use weir_connectors::blackhole::BlackholeSink;
use weir_connectors::kafka::{KafkaConnection, KafkaSource, KafkaSourceConfig, ReaderSchemaText};
use weir_engine::connector::{Emit, ReaderEvent, Source, Start, WatermarkOptions};
use weir_engine::pipeline::{Pipeline, PipelineOptions, PipelineSink, State, start};
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::EmbeddedRegistry;

use crate::bids::SCHEMA;
use crate::environment::{Silent, environment, options, planned};
use crate::machine::process_cpu_s;
use crate::process::say;

const DAY_MS: i64 = 24 * 3_600_000;
/// As the engine's source subtasks take them.
const RECORDS_PER_POLL: usize = 8_192;

/// What a run does with the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Takes them off librdkafka's queue into blocks, and no more.
    ReadByLibrdkafka,
    /// Fetches them with Weir's own reader into blocks, and no more.
    Read,
    PassThrough,
    Filter,
    MaxOfAll,
    SumByAuction,
    HopByAuction,
    /// [`Self::SumByAuction`] as a pipeline usually is: with a result table, open windows published.
    SumToTable,
    /// 10,000 groups of one window, all of which change all the time.
    Groups10k,
    /// A million of them.
    Groups1m,
}

impl Work {
    /// The query; `None` where there is none. Flink is given the same text.
    pub(super) fn sql(self) -> Option<&'static str> {
        match self {
            Self::ReadByLibrdkafka | Self::Read => None,
            Self::PassThrough => Some("SELECT auction, bidder, price, date_time, extra FROM bid"),
            Self::Filter => Some("SELECT auction, bidder, price, date_time FROM bid WHERE auction % 123 = 0"),
            Self::MaxOfAll => Some(
                "SELECT window_start, window_end, max(price) AS highest \
                 FROM TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '10' SECOND) \
                 GROUP BY window_start, window_end",
            ),
            Self::SumByAuction | Self::SumToTable => Some(
                "SELECT window_start, window_end, auction, count(*) AS bids, sum(price) AS total, \
                 max(price) AS highest \
                 FROM TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '10' SECOND) \
                 GROUP BY window_start, window_end, auction",
            ),
            Self::Groups10k => Some(
                "SELECT window_start, window_end, auction % 10000 AS key, count(*) AS bids, \
                 sum(price) AS total, max(price) AS highest \
                 FROM TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '1' DAY) \
                 GROUP BY window_start, window_end, auction % 10000",
            ),
            Self::Groups1m => Some(
                "SELECT window_start, window_end, (auction * 7919 + bidder * 31 + price) % 1000000 AS key, \
                 count(*) AS bids, sum(price) AS total, max(price) AS highest \
                 FROM TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '1' DAY) \
                 GROUP BY window_start, window_end, (auction * 7919 + bidder * 31 + price) % 1000000",
            ),
            Self::HopByAuction => Some(
                "SELECT window_start, window_end, auction, count(*) AS bids \
                 FROM HOP(TABLE bid, DESCRIPTOR(date_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND) \
                 GROUP BY window_start, window_end, auction",
            ),
        }
    }

    /// What the query gives, for Flink's sink; `None` for what Flink does not run.
    pub(super) fn flink_columns(self) -> Option<&'static str> {
        let columns = match self {
            Self::ReadByLibrdkafka | Self::Read | Self::SumToTable | Self::Groups10k | Self::Groups1m => {
                return None;
            }
            Self::PassThrough => {
                "auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3), extra STRING"
            }
            Self::Filter => "auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3)",
            Self::MaxOfAll => "window_start TIMESTAMP(3), window_end TIMESTAMP(3), highest BIGINT",
            Self::SumByAuction => {
                "window_start TIMESTAMP(3), window_end TIMESTAMP(3), auction BIGINT, \
                 bids BIGINT, total BIGINT, highest BIGINT"
            }
            Self::HopByAuction => {
                "window_start TIMESTAMP(3), window_end TIMESTAMP(3), auction BIGINT, bids BIGINT"
            }
        };
        Some(columns)
    }

    /// For the table of figures.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ReadByLibrdkafka => "librdkafka alone",
            Self::Read => "Weir's reader alone",
            Self::PassThrough => "pass-through",
            Self::Filter => "filter",
            Self::MaxOfAll => "max, 10 s",
            Self::SumByAuction => "count, sum, max by auction, 10 s",
            Self::HopByAuction => "count by auction, 10 s every 2 s",
            Self::SumToTable => "count, sum, max by auction, 10 s, into a result table",
            Self::Groups10k => "10,000 groups",
            Self::Groups1m => "1,000,000 groups",
        }
    }

    /// As the command line takes it.
    pub(super) fn argument(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What to run on which topic.
#[derive(Debug, Args)]
pub(crate) struct Station {
    #[arg(long, value_enum)]
    work: Work,
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    parallelism: usize,
    #[arg(long, default_value_t = 250)]
    epoch_ms: u64,
}

/// Registers the schema of the bids and returns its id, the same in every process.
pub(super) fn registry() -> Result<(EmbeddedRegistry, u32)> {
    let registry = EmbeddedRegistry::new();
    let id = registry.register("bid-value", SCHEMA)?;
    Ok((registry, id.0))
}

/// Runs it and says records, bytes of record values, seconds and CPU-seconds. What a process takes to
/// start, and to plan the query, is not in them; opening and closing the state is.
pub(crate) fn measure(station: &Station) -> Result<()> {
    let source = Arc::new(source(station)?);
    // The readers share the client's memory by the number of partitions.
    source.discover()?;
    let (started, cpu_s) = (Instant::now(), process_cpu_s());
    let (n_records, n_bytes) = match station.work.sql() {
        None => read(&*source, station.parallelism)?,
        Some(sql) => run(sql, source, station)?,
    };
    let wall_s = started.elapsed().as_secs_f64();
    say(&[n_records as f64, n_bytes as f64, wall_s, process_cpu_s() - cpu_s])
}

fn source(station: &Station) -> Result<KafkaSource> {
    // A property that only librdkafka knows leaves reading to it.
    let theirs = ("socket.timeout.ms".to_owned(), "60000".to_owned());
    let properties = BTreeMap::from_iter((station.work == Work::ReadByLibrdkafka).then_some(theirs));
    let connection = KafkaConnection {
        bootstrap_servers: station.bootstrap.clone(),
        properties,
        registry: Arc::new(registry()?.0),
    };
    let config = KafkaSourceConfig {
        name: "bid".to_owned(),
        topic: station.topic.clone(),
        format: weir_schemas::Format::Avro,
        reader_schema: ReaderSchemaText::from_file(SCHEMA),
        framing: weir_schemas::wire::Framing::Confluent,
        follow: false,
        event_time: Some("date_time".to_owned()),
        watermark: WatermarkOptions {
            delay_ms: 4_000,
            idle_timeout_ms: 30_000,
            max_ahead_ms: DAY_MS,
            max_drift_ms: 3_600_000,
        },
        start: Start::Earliest,
        metadata: Vec::new(),
        client_id: "weir.benches.bid".to_owned(),
    };
    Ok(KafkaSource::new(connection, config)?)
}

/// Reads as the source subtasks of a pipeline would: a thread and a client each, for the partitions
/// that would be theirs.
fn read(source: &dyn Source, parallelism: usize) -> Result<(u64, u64)> {
    let partitions: Vec<i32> = source.discover()?.partitions.iter().map(|info| info.partition).collect();
    std::thread::scope(|scope| {
        let subtask = |i| partitions.iter().copied().skip(i).step_by(parallelism).collect();
        let threads: Vec<_> = (0..parallelism)
            .map(|i| {
                let partitions = subtask(i);
                scope.spawn(move || read_partitions(source, partitions))
            })
            .collect();
        let mut total = (0, 0);
        for thread in threads {
            let Ok(read) = thread.join() else { bail!("a reading thread panicked") };
            let (n_records, n_bytes) = read?;
            total = (total.0 + n_records, total.1 + n_bytes);
        }
        Ok(total)
    })
}

fn read_partitions(source: &dyn Source, mut unread: BTreeSet<i32>) -> Result<(u64, u64)> {
    let mut reader = source.reader()?;
    for partition in &unread {
        reader.assign(*partition, Start::Earliest)?;
    }
    let (mut n_records, mut n_bytes) = (0, 0);
    let mut events = Vec::new();
    while !unread.is_empty() {
        reader.poll(RECORDS_PER_POLL, Duration::from_millis(10), &mut events)?;
        for event in events.drain(..) {
            match event {
                ReaderEvent::Block(block) => {
                    n_records += block.len() as u64;
                    n_bytes +=
                        (0..block.len()).filter_map(|i| block.value(i)).map(|v| v.len() as u64).sum::<u64>();
                }
                ReaderEvent::End { partition, .. } => {
                    unread.remove(&partition);
                }
                ReaderEvent::Trouble { detail } => bail!("the broker is in trouble: {detail}"),
                ReaderEvent::HighWatermark { .. } | ReaderEvent::Recovered => {}
            }
        }
    }
    Ok((n_records, n_bytes))
}

fn run(sql: &str, source: Arc<KafkaSource>, station: &Station) -> Result<(u64, u64)> {
    let has_table = station.work == Work::SumToTable;
    let folder = tempfile::Builder::new().prefix("weir-benches-state").tempdir()?;
    let plan = planned(sql, &*source)?;
    let pipeline = Pipeline {
        project: "p".to_owned(),
        plan,
        source,
        sinks: vec![PipelineSink {
            sink: Arc::new(BlackholeSink::new("nowhere", Emit::Final)),
            outbox_bytes_max: u64::MAX,
        }],
        reader_schema: SCHEMA.to_owned(),
        options: PipelineOptions {
            epoch_ms: station.epoch_ms,
            provisional: has_table,
            retention_ms: if has_table { 7 * DAY_MS } else { 0 },
            parallelism: station.parallelism,
            bounded: true,
            ..options()
        },
        data_dir: folder.path().to_owned(),
        observer: Arc::new(Silent),
    };
    let handle = start(pipeline, &environment())?;
    handle.join();
    let (state, error) = handle.state();
    ensure!(state == State::Stopped, "the pipeline {}: {error:?}", state.as_str());
    let counters = handle.snapshot().facts().counters;
    ensure!(counters.dead_letters == 0 && 0 < counters.rows_out, "wrong results: {counters:?}");
    let n_bytes = handle.live().bytes_total;
    drop(handle);
    folder.close().context("could not remove the state")?;
    Ok((counters.rows_in, n_bytes))
}
