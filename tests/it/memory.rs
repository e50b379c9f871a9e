//! A source over Arrow batches in memory, and pipelines that run over it to its end.
//!
//! ```text
//! RecordBatch per partition ─► MemorySource: record = row index ─► Decoder: rows by index, projected ─► engine
//! ```
//!
//! Nothing but the source is a stand-in: planner, threads, epochs and RocksDB are the engine's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::buffer::Buffer;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use weir_engine::Clock;
use weir_engine::aggregate::GROUP_BYTES_MAX;
use weir_engine::connector::{
    Decoded, Decoder, PartitionInfo, Reader, ReaderEvent, RecordBlock, Source, SourceError, Span, Start,
    Topology, WatermarkOptions,
};
use weir_engine::dataflow::plan::Plan;
use weir_engine::facts::Counters;
use weir_engine::pipeline::{Committed, Environment, Observer, Pipeline, PipelineOptions, State, start};
use weir_engine::result::{LettersKept, Scan, dead_letter_schema};
use weir_engine::sql::{LeftOut, Refusal, TableDef, plan};
use weir_engine::state::Memory;

/// Bytes of a record's value: its row index.
const RECORD_BYTES: u32 = 4;

/// A topic in memory. Record `i` of partition `p` is row `i` of `partitions[p]`.
#[derive(Debug, Clone)]
pub(crate) struct MemorySource {
    pub(crate) name: String,
    /// Of the same schema; at least one.
    pub(crate) partitions: Arc<Vec<RecordBatch>>,
    /// Position of the event time in the schema.
    pub(crate) event_time: usize,
    pub(crate) watermark: WatermarkOptions,
    /// The Kafka timestamp of every record; -1: none.
    pub(crate) record_time_ms: i64,
    pub(crate) records_per_poll: usize,
    /// What the planner is told of columns that there are not.
    pub(crate) left_out: Vec<LeftOut>,
}

impl MemorySource {
    /// A source whose event time is the first column, without bounds but `delay_ms`.
    pub(crate) fn new(name: &str, partitions: Vec<RecordBatch>, delay_ms: i64) -> Self {
        Self {
            name: name.to_owned(),
            partitions: Arc::new(partitions),
            event_time: 0,
            watermark: WatermarkOptions {
                delay_ms,
                idle_timeout_ms: 600_000,
                max_ahead_ms: 86_400_000,
                max_drift_ms: 3_600_000,
            },
            record_time_ms: -1,
            records_per_poll: 1_000,
            left_out: Vec::new(),
        }
    }

    /// The source as the planner sees it.
    pub(crate) fn table(&self) -> TableDef {
        TableDef {
            name: self.name.clone(),
            schema: self.schema(),
            event_time: self.event_time,
            identity: self.identity(),
            left_out: self.left_out.clone(),
        }
    }
}

impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }
    fn topic(&self) -> &str {
        &self.name
    }
    fn schema(&self) -> SchemaRef {
        self.partitions[0].schema()
    }
    fn event_time(&self) -> usize {
        self.event_time
    }
    fn watermark(&self) -> WatermarkOptions {
        self.watermark
    }
    fn start(&self) -> Start {
        Start::Earliest
    }
    fn identity(&self) -> String {
        format!("memory {}", self.name)
    }
    fn discover(&self) -> Result<Topology, SourceError> {
        let info = |(partition, rows): (i32, &RecordBatch)| PartitionInfo {
            partition,
            begin_offset: 0,
            end_offset: rows.num_rows() as i64,
        };
        Ok(Topology { topic_id: None, partitions: (0..).zip(self.partitions.iter()).map(info).collect() })
    }
    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(MemoryReader { source: self.clone(), positions: BTreeMap::new() }))
    }
    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let project = |rows: &RecordBatch| rows.project(columns).map_err(fatal);
        Ok(Box::new(MemoryDecoder {
            partitions: self.partitions.iter().map(project).collect::<Result<_, _>>()?,
        }))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn fatal(error: arrow::error::ArrowError) -> SourceError {
    SourceError::Fatal(error.to_string())
}

struct MemoryReader {
    source: MemorySource,
    positions: BTreeMap<i32, Position>,
}

struct Position {
    next: usize,
    paused: bool,
    /// The end was reported.
    at_end: bool,
}

impl Reader for MemoryReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        let n_rows = self.source.partitions[partition as usize].num_rows() as i64;
        let next_offset = match start {
            Start::Earliest => 0,
            Start::Latest | Start::At(_) => n_rows,
            Start::Offset(next_offset) => next_offset,
        };
        let position = Position { next: next_offset as usize, paused: false, at_end: false };
        assert!(self.positions.insert(partition, position).is_none(), "a partition is assigned once");
        Ok(next_offset)
    }

    fn set_paused(&mut self, partition: i32, paused: bool) {
        self.positions.get_mut(&partition).expect("only assigned partitions are paused").paused = paused;
    }

    fn poll(&mut self, _: usize, wait: Duration, events: &mut Vec<ReaderEvent>) -> Result<(), SourceError> {
        for (partition, position) in self.positions.iter_mut().filter(|(_, position)| !position.paused) {
            let n_rows = self.source.partitions[*partition as usize].num_rows();
            let until = n_rows.min(position.next + self.source.records_per_poll);
            if until == position.next {
                if !std::mem::replace(&mut position.at_end, true) {
                    events.push(ReaderEvent::End { partition: *partition, next_offset: until as i64 });
                }
                continue;
            }
            let n = until - position.next;
            let indices = position.next as u32..until as u32;
            events.push(ReaderEvent::Block(RecordBlock {
                partition: *partition,
                data: Buffer::from(indices.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()),
                offsets: (position.next as i64..until as i64).collect(),
                timestamps_ms: vec![self.source.record_time_ms; n],
                keys: vec![Span::NULL; n],
                values: (0..n as u32).map(|i| Span::new(i * RECORD_BYTES, RECORD_BYTES)).collect(),
            }));
            position.next = until;
        }
        if events.is_empty() {
            std::thread::park_timeout(wait);
        }
        Ok(())
    }
}

struct MemoryDecoder {
    /// With the columns that were asked for.
    partitions: Vec<RecordBatch>,
}

impl Decoder for MemoryDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        let index = |i| {
            let value = block.value(i).expect("there are no tombstones here");
            u32::from_le_bytes(value.try_into().expect("a record is a row index"))
        };
        let indices: UInt32Array = (from..block.len()).map(|i| Some(index(i))).collect();
        Ok(Decoded {
            batch: take_record_batch(&self.partitions[block.partition as usize], &indices).map_err(fatal)?,
            records: (from as u32..block.len() as u32).collect(),
            rejected: vec![],
            tombstones: 0,
            next: block.len(),
            blocked: None,
            schemas: vec![],
        })
    }

    fn schema_id(&self, _value: &[u8]) -> Option<u32> {
        None
    }
}

/// What a pipeline's numbers must not depend on, and `lateness_ms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) parallelism: usize,
    pub(crate) epoch_ms: u64,
    pub(crate) lateness_ms: i64,
    pub(crate) provisional: bool,
}

/// What a bounded run left behind.
pub(crate) struct Outcome {
    pub(crate) plan: Arc<Plan>,
    /// The result table without `_final`, which was true in every row.
    pub(crate) rows: RecordBatch,
    /// With the columns of `weir.dead_letters` but `pipeline`.
    pub(crate) dead_letters: RecordBatch,
    pub(crate) counters: Counters,
}

/// Runs `sql` over the one of `sources` that it reads, to the end of all partitions.
///
/// # Errors
/// The planner's refusals. A pipeline that fails is a panic.
pub(crate) fn run_bounded(sources: &[MemorySource], sql: &str, run: Run) -> Result<Outcome, Vec<Refusal>> {
    let tables: Vec<TableDef> = sources.iter().map(MemorySource::table).collect();
    let plan = Arc::new(plan(sql, &tables)?);
    let source = sources.iter().find(|source| source.name == plan.source).expect("plans read a source");
    let dir = tempfile::tempdir().expect("a folder for the state");
    let pipeline = Pipeline {
        project: "p".to_owned(),
        plan: Arc::clone(&plan),
        source: Arc::new(source.clone()),
        sinks: Vec::new(),
        reader_schema: String::new(),
        options: PipelineOptions {
            name: "p".to_owned(),
            epoch_ms: run.epoch_ms,
            lateness_ms: run.lateness_ms,
            provisional: run.provisional,
            retention_ms: i64::MAX,
            parallelism: run.parallelism,
            bounded: true,
            group_bytes_max: GROUP_BYTES_MAX,
            state_bytes_max: usize::MAX,
            letters: LettersKept::DEFAULT,
            skip_lost: false,
        },
        data_dir: dir.path().to_owned(),
        observer: Arc::new(Nobody),
    };
    let environment =
        Environment { clock: Arc::new(TestClock(Instant::now())), memory: Memory::new(8 << 20, 8 << 20) };
    let handle = start(pipeline, &environment).expect("a new pipeline starts");
    handle.join();
    assert_eq!(handle.state(), (State::Stopped, None), "of {sql}");

    let snapshot = handle.snapshot();
    let read = |scan: Scan| scan.collect::<Result<Vec<_>, _>>().expect("a readable table");
    let rows = read(snapshot.scan(None, None).expect("a result table"));
    let rows = concat_batches(snapshot.schema(), &rows).expect("batches of one schema");
    let is_final = rows.column(rows.num_columns() - 1).as_boolean();
    assert_eq!(is_final.true_count(), rows.num_rows(), "a bounded run closes every window");
    let columns: Vec<usize> = (0..rows.num_columns() - 1).collect();
    let dead_letters = read(snapshot.dead_letters(None).expect("a table of dead letters"));
    Ok(Outcome {
        plan,
        rows: rows.project(&columns).expect("the columns are there"),
        dead_letters: concat_batches(&dead_letter_schema(), &dead_letters).expect("batches of one schema"),
        counters: snapshot.facts().counters,
    })
}

struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _epoch: &Arc<Committed>) {}
}

/// Real time for epochs; the date stands still.
#[derive(Debug)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        1_800_000_000_000
    }
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a test ends within 500 years")
    }
}

/// Whether two floats are the same but for the order in which they were added: to 1e-12 of the sum of absolute
/// values, of which only the result is known here.
pub(crate) fn same_float(a: f64, b: f64) -> bool {
    a.total_cmp(&b).is_eq() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// A value as text: as HTTP's JSON has it, without quotes; null is `NULL`, an empty string `(empty)`.
pub(crate) fn text(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
        return format!("{:?}", floats.value(row)).replace("inf", "Infinity");
    }
    if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
        return format!("{:?}", floats.value(row)).replace("inf", "Infinity");
    }
    if array.as_binary_opt::<i32>().is_some_and(|binary| std::str::from_utf8(binary.value(row)).is_ok()) {
        return String::from_utf8_lossy(array.as_binary::<i32>().value(row)).into_owned();
    }
    let precise = match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => "%.6f",
        _ => "%.3f",
    };
    let (zoned, local) = (format!("%Y-%m-%dT%H:%M:%S{precise}Z"), format!("%Y-%m-%dT%H:%M:%S{precise}"));
    let options =
        FormatOptions::new().with_timestamp_tz_format(Some(&zoned)).with_timestamp_format(Some(&local));
    let formatter = ArrayFormatter::try_new(array, &options).expect("every type can be shown");
    match formatter.value(row).to_string() {
        empty if empty.is_empty() => "(empty)".to_owned(),
        text => text,
    }
}

#[test]
fn a_bounded_run_waits_for_no_partition_that_it_has_read() {
    let rows = |times: Vec<i64>| {
        let times = TimestampMillisecondArray::from(times).with_timezone("UTC");
        RecordBatch::try_from_iter([("at", Arc::new(times) as ArrayRef)]).expect("one column")
    };
    // Partition 1 is ahead of where partition 0 ends by more than may be, and idleness is far away.
    let mut source =
        MemorySource::new("t", vec![rows(vec![0]), rows((0..50).map(|i| i * 1_000).collect())], 0);
    source.watermark.max_drift_ms = 1_000;
    source.records_per_poll = 1;
    let run = Run { parallelism: 2, epoch_ms: 1, lateness_ms: 0, provisional: false };
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let outcome = run_bounded(&[source], "SELECT at FROM t", run).expect("a query that can run");
        done.send(outcome.rows.num_rows()).expect("somebody waits");
    });
    assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(51), "rows in a minute");
}
