//! Whole pipelines over a log in memory: streaming equals a recomputation, whatever the parallelism,
//! the sizes of batches, or how often it was stopped and started.

mod faults;
mod hops;
mod memory;
mod ordered;
mod panes;
mod pressure;
mod replay;
mod sinks;
mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use proptest::prelude::*;

use super::{
    Committed, Environment, Observer, Pipeline, PipelineHandle, PipelineOptions, PipelineSink, StartError,
    State, open_stopped, start,
};
use crate::aggregate::GROUP_BYTES_MAX;
use crate::connector::{
    Decoded, Decoder, PartitionInfo, Reader, ReaderEvent, Reason, RecordBlock, Rejected, Source, SourceError,
    Span, Start, Topology, WatermarkOptions,
};
use crate::dataflow::plan::Plan;
use crate::result::{LettersKept, Snapshot};
use crate::sql::{TableDef, plan};
use crate::state::Memory;
use crate::time::Clock;

const SUM_BY_KEY: &str = "SELECT window_start, window_end, key, count(*) AS n, sum(amount) AS total \
     FROM TUMBLE(TABLE log, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start, window_end, key";
const DELAY_MS: i64 = 3_000;

/// A record: event time, key, amount.
type Record = (i64, i64, i64);

/// A topic in memory. Its records are three little-endian integers.
#[derive(Clone)]
struct Log {
    partitions: Arc<Mutex<Vec<Vec<Record>>>>,
    records_per_poll: usize,
    idle_timeout_ms: i64,
    max_drift_ms: i64,
    start: Start,
    faults: Arc<Faults>,
}

/// What is wrong with a [`Log`] now.
#[derive(Default)]
struct Faults {
    /// These partitions give nothing, as if their leader were slow.
    withheld: Mutex<BTreeSet<i32>>,
    /// The broker does not say where these partitions start.
    unassignable: Mutex<BTreeSet<i32>>,
    /// Every decoder stops in front of every second record.
    registry_away: AtomicBool,
    reader_fails: AtomicBool,
    decoder_panics: AtomicBool,
    decodes_slowly: AtomicBool,
    /// Records of key 3 can't be decoded.
    unreadable: AtomicBool,
    no_reader: AtomicBool,
    coordinator_panics: AtomicBool,
    /// Taken by the next poll.
    said: Mutex<Vec<ReaderEvent>>,
}

impl Log {
    fn new(partitions: Vec<Vec<Record>>, records_per_poll: usize) -> Self {
        Self {
            partitions: Arc::new(Mutex::new(partitions)),
            records_per_poll,
            idle_timeout_ms: 60_000_000,
            max_drift_ms: 3_600_000,
            start: Start::Earliest,
            faults: Arc::default(),
        }
    }

    fn append(&self, partition: usize, records: &[Record]) {
        self.partitions.lock().unwrap()[partition].extend_from_slice(records);
    }

    fn n_records(&self) -> u64 {
        self.partitions.lock().unwrap().iter().map(|records| records.len() as u64).sum()
    }
}

impl Source for Log {
    fn name(&self) -> &str {
        "log"
    }
    fn topic(&self) -> &str {
        "log"
    }
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
            Field::new("key", DataType::Int64, false),
            Field::new("amount", DataType::Int64, false),
        ]))
    }
    fn event_time(&self) -> usize {
        0
    }
    fn watermark(&self) -> WatermarkOptions {
        WatermarkOptions {
            delay_ms: DELAY_MS,
            idle_timeout_ms: self.idle_timeout_ms,
            max_ahead_ms: i64::MAX,
            max_drift_ms: self.max_drift_ms,
        }
    }
    fn start(&self) -> Start {
        assert!(!self.faults.coordinator_panics.load(Ordering::SeqCst), "the coordinator is broken");
        self.start
    }
    fn identity(&self) -> String {
        "topic log".to_owned()
    }
    fn discover(&self) -> Result<Topology, SourceError> {
        let partitions = self.partitions.lock().unwrap();
        let info = |(i, records): (usize, &Vec<Record>)| PartitionInfo {
            partition: i as i32,
            begin_offset: 0,
            end_offset: records.len() as i64,
        };
        Ok(Topology {
            topic_id: Some("id".into()),
            partitions: partitions.iter().enumerate().map(info).collect(),
        })
    }
    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        if self.faults.no_reader.load(Ordering::SeqCst) {
            return Err(SourceError::Fatal("no client".into()));
        }
        Ok(Box::new(LogReader { log: self.clone(), positions: BTreeMap::new(), paused: BTreeSet::new() }))
    }
    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let schema = Arc::new(self.schema().project(columns).unwrap());
        Ok(Box::new(LogDecoder { columns: columns.to_vec(), schema, faults: Arc::clone(&self.faults) }))
    }
}

struct LogReader {
    log: Log,
    /// Position and whether the end was reported at it.
    positions: BTreeMap<i32, (usize, bool)>,
    paused: BTreeSet<i32>,
}

impl Reader for LogReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        if self.log.faults.unassignable.lock().unwrap().contains(&partition) {
            return Err(SourceError::Retry("the leader is away".into()));
        }
        let position = match start {
            Start::Offset(offset) => offset,
            Start::Latest => self.log.partitions.lock().unwrap()[partition as usize].len() as i64,
            _ => 0,
        };
        self.positions.insert(partition, (position as usize, false));
        Ok(position)
    }
    fn set_paused(&mut self, partition: i32, paused: bool) {
        if !paused {
            self.paused.remove(&partition);
        } else if self.positions.contains_key(&partition) {
            self.paused.insert(partition);
        }
    }
    fn poll(
        &mut self,
        _max: usize,
        wait: Duration,
        events: &mut Vec<ReaderEvent>,
    ) -> Result<(), SourceError> {
        let faults = &self.log.faults;
        if faults.reader_fails.load(Ordering::SeqCst) {
            return Err(SourceError::Fatal("the reader is broken".into()));
        }
        events.append(&mut faults.said.lock().unwrap());
        let withheld = faults.withheld.lock().unwrap().clone();
        let partitions = self.log.partitions.lock().unwrap();
        for (partition, (position, at_end)) in &mut self.positions {
            if withheld.contains(partition) || self.paused.contains(partition) {
                continue;
            }
            let records = &partitions[*partition as usize];
            let until = records.len().min(*position + self.log.records_per_poll);
            if until == *position {
                if !std::mem::replace(at_end, true) {
                    events.push(ReaderEvent::End { partition: *partition, next_offset: until as i64 });
                }
                continue;
            }
            *at_end = false;
            let data: Vec<u8> = records[*position..until]
                .iter()
                .flat_map(|(at, key, amount)| [at, key, amount].map(|v| v.to_le_bytes()).concat())
                .collect();
            let n = until - *position;
            events.push(ReaderEvent::Block(RecordBlock {
                partition: *partition,
                data: Buffer::from(data),
                offsets: (*position as i64..until as i64).collect(),
                timestamps_ms: vec![0; n],
                keys: vec![Span::NULL; n],
                values: (0..n as u32).map(|i| Span::new(i * 24, 24)).collect(),
            }));
            *position = until;
        }
        drop(partitions);
        if events.is_empty() {
            std::thread::park_timeout(wait);
        }
        Ok(())
    }
}

struct LogDecoder {
    columns: Vec<usize>,
    schema: SchemaRef,
    faults: Arc<Faults>,
}

impl Decoder for LogDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        assert!(!self.faults.decoder_panics.load(Ordering::SeqCst), "the decoder is broken");
        if self.faults.decodes_slowly.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let away = self.faults.registry_away.load(Ordering::SeqCst);
        let blocked = (from..block.len()).find(|i| away && block.offsets[*i] % 2 == 1);
        let next = blocked.unwrap_or(block.len());
        let number = |i: usize, column: usize| {
            i64::from_le_bytes(block.value(i).unwrap()[column * 8..column * 8 + 8].try_into().unwrap())
        };
        let unreadable = self.faults.unreadable.load(Ordering::SeqCst);
        let (bad, good): (Vec<usize>, Vec<usize>) =
            (from..next).partition(|i| unreadable && number(*i, 1) == 3);
        let field = |column: usize| -> Vec<i64> { good.iter().map(|i| number(*i, column)).collect() };
        let rejected = |i: &usize| Rejected {
            record: *i as u32,
            reason: Reason::BadPayload,
            detail: "key 3".to_owned(),
        };
        let array = |column: &usize| -> ArrayRef {
            if *column == 0 {
                Arc::new(TimestampMillisecondArray::from(field(0)).with_timezone("UTC"))
            } else {
                Arc::new(Int64Array::from(field(*column)))
            }
        };
        Ok(Decoded {
            batch: RecordBatch::try_new(Arc::clone(&self.schema), self.columns.iter().map(array).collect())
                .unwrap(),
            records: good.iter().map(|i| *i as u32).collect(),
            rejected: bad.iter().map(rejected).collect(),
            tombstones: 0,
            next,
            blocked: blocked.map(|_| "the registry is away".to_owned()),
            schemas: vec![],
        })
    }
    fn schema_id(&self, _value: &[u8]) -> Option<u32> {
        None
    }
}

/// Moves by 50 µs whenever it is looked at, so that idle waits and busy loops both make time pass.
#[derive(Debug, Default)]
struct LookedAtClock(AtomicU64);

impl Clock for LookedAtClock {
    fn wall_ms(&self) -> i64 {
        1_800_000_000_000
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.fetch_add(50_000, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Arc<Committed>>>);

impl Observer for Recorder {
    fn committed(&self, epoch: &Arc<Committed>) {
        self.0.lock().unwrap().push(Arc::clone(epoch));
    }
}

fn options(parallelism: usize, bounded: bool) -> PipelineOptions {
    PipelineOptions {
        name: "p".into(),
        epoch_ms: 1,
        lateness_ms: 0,
        provisional: true,
        retention_ms: i64::MAX,
        parallelism,
        bounded,
        group_bytes_max: GROUP_BYTES_MAX,
        state_bytes_max: usize::MAX,
        letters: LettersKept::DEFAULT,
        skip_lost: false,
    }
}

fn plan_of(sql: &str) -> Plan {
    let log = Log::new(Vec::new(), 0);
    let table = TableDef {
        name: "log".into(),
        schema: log.schema(),
        event_time: 0,
        identity: log.identity(),
        left_out: Vec::new(),
    };
    plan(sql, &[table]).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

fn try_run(
    log: &Log,
    sql: &str,
    dir: &Path,
    options: PipelineOptions,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) -> Result<PipelineHandle, StartError> {
    try_run_into(log, sql, dir, options, clock, observer, Vec::new())
}

fn try_run_into(
    log: &Log,
    sql: &str,
    dir: &Path,
    options: PipelineOptions,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    sinks: Vec<PipelineSink>,
) -> Result<PipelineHandle, StartError> {
    try_run_plan(log, plan_of(sql), dir, options, clock, observer, sinks)
}

fn try_run_plan(
    log: &Log,
    plan: Plan,
    dir: &Path,
    options: PipelineOptions,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    sinks: Vec<PipelineSink>,
) -> Result<PipelineHandle, StartError> {
    let pipeline = Pipeline {
        project: "p".to_owned(),
        plan: Arc::new(plan),
        source: Arc::new(log.clone()),
        sinks,
        reader_schema: String::new(),
        options,
        data_dir: dir.to_owned(),
        observer,
    };
    start(pipeline, &Environment { clock, memory: Memory::new(8 << 20, 8 << 20) })
}

fn run(
    log: &Log,
    sql: &str,
    dir: &Path,
    parallelism: usize,
    bounded: bool,
) -> (PipelineHandle, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
    let clock = Arc::new(LookedAtClock::default());
    (try_run(log, sql, dir, options(parallelism, bounded), clock, observer).unwrap(), recorder)
}

fn run_to_end(log: &Log, sql: &str, dir: &Path, parallelism: usize) -> Rows {
    let (handle, _) = run(log, sql, dir, parallelism, true);
    handle.join();
    assert_eq!(handle.state(), (State::Stopped, None));
    rows(&handle.snapshot())
}

/// `(window_start, key) → (n, total, final)`.
type Rows = BTreeMap<(i64, i64), (i64, i64, bool)>;

fn rows(snapshot: &Snapshot) -> Rows {
    let mut rows = Rows::new();
    for batch in snapshot.scan(None, None).unwrap() {
        let batch = batch.unwrap();
        let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
        let starts = batch.column(0).as_primitive::<TimestampMillisecondType>();
        let finals = batch.column(5).as_boolean();
        for i in 0..batch.num_rows() {
            let key = (starts.value(i), column(2).value(i));
            let row = (column(3).value(i), column(4).value(i), finals.value(i));
            assert_eq!(rows.insert(key, row), None, "a key has one row");
        }
    }
    rows
}

/// What the rows must be: late ones by their own partition, each window over those that were not.
fn recompute(partitions: &[Vec<Record>]) -> (Rows, u64) {
    let (mut rows, mut n_late) = (Rows::new(), 0);
    for records in partitions {
        let mut watermark = i64::MIN;
        for (at, key, amount) in records {
            watermark = watermark.max(at - DELAY_MS);
            let start = at - at.rem_euclid(10_000);
            if start + 10_000 <= watermark {
                n_late += 1;
                continue;
            }
            let row = rows.entry((start, *key)).or_insert((0, 0, true));
            (row.0, row.1) = (row.0 + 1, row.1 + amount);
        }
    }
    (rows, n_late)
}

fn logs() -> impl Strategy<Value = Vec<Vec<Record>>> {
    let record = (0i64..120_000, 0i64..5, -1_000i64..1_000);
    let partition = prop::collection::vec(record, 0..200).prop_map(|mut records| {
        // Mostly in order, with jitter: some rows late, most not.
        records.sort_by_key(|(at, key, amount)| at + (key * 7 + amount).rem_euclid(9_000));
        records
    });
    prop::collection::vec(partition, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn streaming_equals_a_recomputation(
        partitions in logs(),
        records_per_poll in 1usize..64,
        parallelism in 1usize..4,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), records_per_poll);
        let (expected, n_late) = recompute(&partitions);
        prop_assert_eq!(run_to_end(&log, SUM_BY_KEY, dir.path(), parallelism), expected);
        let snapshot = open_stopped(dir.path()).unwrap().snapshot;
        let counters = snapshot.facts().counters;
        prop_assert_eq!(counters.late_rows, n_late);
        prop_assert_eq!(counters.dead_letters, n_late);
        prop_assert_eq!(counters.rows_in, partitions.iter().map(|p| p.len() as u64).sum::<u64>());
    }

    #[test]
    fn stops_and_other_parallelism_change_nothing(
        partitions in logs(),
        cuts in prop::collection::vec((0usize..200, 1usize..4), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.iter().map(|_| Vec::new()).collect(), 16);
        let mut last_epoch = 0;
        for (cut, parallelism) in cuts {
            for (part, whole) in log.partitions.lock().unwrap().iter_mut().zip(&partitions) {
                let cut = cut.min(whole.len()).max(part.len());
                part.extend_from_slice(&whole[part.len()..cut]);
            }
            let n_records: usize = log.partitions.lock().unwrap().iter().map(Vec::len).sum();
            let (handle, recorder) = run(&log, SUM_BY_KEY, dir.path(), parallelism, false);
            while handle.snapshot().facts().counters.rows_in < n_records as u64 {
                std::thread::park_timeout(Duration::from_millis(1));
                prop_assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
            }
            handle.stop();
            handle.join();
            let seen = rows(&handle.snapshot());
            drop(handle);
            let epochs: Vec<u64> = recorder.0.lock().unwrap().iter().map(|c| c.epoch.0).collect();
            prop_assert!(epochs.is_sorted() && epochs.first().is_none_or(|first| *first == last_epoch + 1));
            last_epoch = epochs.last().copied().unwrap_or(last_epoch);
            prop_assert_eq!(rows(&open_stopped(dir.path()).unwrap().snapshot), seen);
        }
        *log.partitions.lock().unwrap() = partitions.clone();
        prop_assert_eq!(run_to_end(&log, SUM_BY_KEY, dir.path(), 2), recompute(&partitions).0);
    }
}

#[test]
fn state_of_another_query_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1, 1, 1)]], 10);
    run_to_end(&log, SUM_BY_KEY, dir.path(), 1);
    let other = SUM_BY_KEY.replace("'10' SECOND", "'20' SECOND");
    let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
    let refused = try_run(&log, &other, dir.path(), options(1, true), clock, observer);
    assert!(matches!(refused, Err(StartError::PlanChanged { .. })));
}

/// An earlier version kept `count(DISTINCT …)` in other columns. Here they are those of a sum.
#[test]
fn state_in_another_form_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1, 1, 1), (2, 1, 2)]], 10);
    let start = |plan: Plan| {
        let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
        try_run_plan(&log, plan, dir.path(), options(1, false), clock, observer, Vec::new())
    };
    let counts = || plan_of(&SUM_BY_KEY.replace("sum(amount)", "count(DISTINCT amount)"));
    let before = || Plan { fingerprint: counts().fingerprint, ..plan_of(SUM_BY_KEY) };
    for _ in 0..2 {
        let handle = start(before()).unwrap();
        while handle.snapshot().facts().counters.rows_in < log.n_records() {
            std::thread::park_timeout(Duration::from_millis(1));
            assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
        }
        handle.stop();
        handle.join();
        drop(handle);
        let Err(refused @ StartError::OtherForm { .. }) = start(counts()) else {
            panic!("the state is of another form");
        };
        assert!(refused.to_string().ends_with("start over with \"weir reset\""), "{refused}");
    }
}

#[test]
fn after_a_bounded_run_its_windows_stay_closed() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 1, 1), (12_000, 1, 1)]], 10);
    let first = run_to_end(&log, SUM_BY_KEY, dir.path(), 1);
    assert_eq!(first, Rows::from([((0, 1), (1, 1, true)), ((10_000, 1), (1, 1, true))]));
    log.partitions.lock().unwrap()[0].extend([(13_000, 1, 1), (25_000, 1, 1)]);
    let second = run_to_end(&log, SUM_BY_KEY, dir.path(), 1);
    assert_eq!(second.get(&(10_000, 1)), Some(&(1, 1, true)), "a final row never changes");
    assert_eq!(second.get(&(20_000, 1)), Some(&(1, 1, true)));
    let snapshot = open_stopped(dir.path()).unwrap().snapshot;
    assert_eq!(snapshot.facts().counters.late_rows, 1);
    assert_eq!(snapshot.facts().floors.len(), 1);
}
