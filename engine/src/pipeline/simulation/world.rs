//! The outside world of a simulated pipeline: a clock, a topic whose records arrive at given times, a
//! broker and a registry that are away at given times.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::random::Random;
use crate::connector::{
    Decoded, Decoder, PartitionInfo, Reader, ReaderEvent, Reason, RecordBlock, Rejected, SchemaSeen, Source,
    SourceError, Span, Start, Topology, WatermarkOptions,
};
use crate::time::Clock;

/// When every simulation begins, in milliseconds since 1970.
pub(super) const BEGIN_MS: i64 = 1_800_000_000_000;

/// Time that passes only when the simulation says so.
#[derive(Debug, Default)]
pub(super) struct SimClock(AtomicU64);

impl SimClock {
    pub(super) fn set_ns(&self, ns: u64) {
        self.0.store(ns, Ordering::SeqCst);
    }

    pub(super) fn ms(&self) -> i64 {
        (self.0.load(Ordering::SeqCst) / 1_000_000) as i64
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        BEGIN_MS + self.ms()
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One offset of a partition. Times in milliseconds since the simulation began.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) arrives_ms: i64,
    /// Decides which schema it was written with.
    pub(super) schema: u8,
    pub(super) value: Value,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// Event time in milliseconds since 1970; `None` is null.
    Row {
        at: Option<i64>,
        key: i64,
        amount: i64,
    },
    Tombstone,
    /// Not Avro.
    Poison,
    /// A row that can't be decoded before the world is mended.
    Broken {
        at: i64,
        key: i64,
        amount: i64,
    },
    /// No record: a transaction's marker, or compacted away.
    Gap,
}

#[derive(Debug, Clone)]
pub(super) struct PartitionLog {
    pub(super) created_ms: i64,
    /// Ascending by arrival.
    pub(super) entries: Vec<Entry>,
}

impl PartitionLog {
    pub(super) fn n_visible(&self, now_ms: i64) -> usize {
        self.entries.partition_point(|entry| entry.arrives_ms <= now_ms)
    }
}

/// What is away, and when.
#[derive(Debug, Clone, Default)]
pub(super) struct Weather {
    /// A partition gives nothing; `true`: and the client says so.
    pub(super) leader_away: Vec<(i32, Range<i64>, bool)>,
    /// Records of a schema can't be decoded.
    pub(super) registry_away: Vec<(u8, Range<i64>)>,
    /// No answer to questions about the topic.
    pub(super) broker_away: Vec<Range<i64>>,
}

/// A topic in memory, with all its future.
#[derive(Debug)]
pub(super) struct World {
    pub(super) partitions: Vec<PartitionLog>,
    pub(super) weather: Weather,
    pub(super) watermark: WatermarkOptions,
    pub(super) records_per_poll: i64,
    pub(super) clock: Arc<SimClock>,
    pub(super) random: Mutex<Random>,
    pub(super) is_mended: AtomicBool,
}

impl World {
    /// When the last record has arrived, and everything is there again.
    pub(super) fn last_ms(&self) -> i64 {
        let arrivals = self.partitions.iter().filter_map(|log| Some(log.entries.last()?.arrives_ms));
        let weather = &self.weather;
        let ends = weather.leader_away.iter().map(|(_, range, _)| range.end);
        let ends = ends.chain(weather.registry_away.iter().map(|(_, range)| range.end));
        let ends = ends.chain(weather.broker_away.iter().map(|range| range.end));
        arrivals.chain(ends).chain(self.partitions.iter().map(|log| log.created_ms)).max().unwrap_or(0)
    }

    /// Whether a partition gives nothing at `now_ms`, and whether the client says so.
    fn is_away(&self, partition: i32, now_ms: i64) -> Option<bool> {
        let ranges = self.weather.leader_away.iter();
        let mut now = ranges.filter(|(which, range, _)| *which == partition && range.contains(&now_ms));
        now.next().map(|(_, _, said)| *said)
    }

    /// When a reader that has nothing else to do could see the entry.
    pub(super) fn visible_ms(&self, partition: i32, offset: usize) -> i64 {
        let mut visible = self.partitions[partition as usize].entries[offset].arrives_ms;
        let mut ranges = self.weather.leader_away.clone();
        ranges.sort_by_key(|(_, range, _)| range.start);
        for (which, range, _) in ranges {
            if which == partition && range.contains(&visible) {
                visible = range.end;
            }
        }
        visible
    }

    fn broker_is_away(&self) -> Option<SourceError> {
        let now_ms = self.clock.ms();
        let away = self.weather.broker_away.iter().any(|range| range.contains(&now_ms));
        away.then(|| SourceError::Retry("the broker is away".to_owned()))
    }
}

/// [`World`] as the engine sees it.
#[derive(Debug, Clone)]
pub(super) struct Topic(pub(super) Arc<World>);

pub(super) fn topic_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("key", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, false),
    ]))
}

/// The `name` of a row: some have none.
pub(super) fn name_of(key: i64) -> Option<String> {
    (key % 4 != 3).then(|| format!("name{}", key % 3))
}

impl Source for Topic {
    fn name(&self) -> &str {
        "log"
    }
    fn topic(&self) -> &str {
        "log"
    }
    fn schema(&self) -> SchemaRef {
        topic_schema()
    }
    fn event_time(&self) -> usize {
        0
    }
    fn watermark(&self) -> WatermarkOptions {
        self.0.watermark
    }
    fn start(&self) -> Start {
        Start::Earliest
    }
    fn identity(&self) -> String {
        "topic log".to_owned()
    }
    fn discover(&self) -> Result<Topology, SourceError> {
        if let Some(away) = self.0.broker_is_away() {
            return Err(away);
        }
        let now_ms = self.0.clock.ms();
        let there = self.0.partitions.iter().take_while(|log| log.created_ms <= now_ms);
        let info = |(i, log): (usize, &PartitionLog)| PartitionInfo {
            partition: i as i32,
            begin_offset: 0,
            end_offset: log.n_visible(now_ms) as i64,
        };
        let partitions = there.enumerate().map(info).collect();
        Ok(Topology { topic_id: Some("id".into()), partitions })
    }
    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(TopicReader {
            world: Arc::clone(&self.0),
            positions: BTreeMap::new(),
            paused: BTreeSet::new(),
            in_trouble: false,
        }))
    }
    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let schema = Arc::new(topic_schema().project(columns).expect("columns of the topic"));
        let world = Arc::clone(&self.0);
        Ok(Box::new(TopicDecoder { world, columns: columns.to_vec(), schema, seen: BTreeSet::new() }))
    }
}

struct TopicReader {
    world: Arc<World>,
    /// Position, and whether the end was reported at it.
    positions: BTreeMap<i32, (usize, bool)>,
    paused: BTreeSet<i32>,
    in_trouble: bool,
}

impl Reader for TopicReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        if let Some(away) = self.world.broker_is_away() {
            return Err(away);
        }
        let position = if let Start::Offset(offset) = start { offset } else { 0 };
        let before = self.positions.insert(partition, (position as usize, false));
        assert!(before.is_none(), "partition {partition} is assigned twice");
        Ok(position)
    }

    fn set_paused(&mut self, partition: i32, paused: bool) {
        if !paused {
            self.paused.remove(&partition);
        } else if self.positions.contains_key(&partition) {
            self.paused.insert(partition);
        }
    }

    fn poll(&mut self, _: usize, _: Duration, events: &mut Vec<ReaderEvent>) -> Result<(), SourceError> {
        let now_ms = self.world.clock.ms();
        let in_trouble =
            self.positions.keys().any(|partition| self.world.is_away(*partition, now_ms) == Some(true));
        match (self.in_trouble, in_trouble) {
            (false, true) => events.push(ReaderEvent::Trouble { detail: "a leader is away".to_owned() }),
            (true, false) => events.push(ReaderEvent::Recovered),
            _ => {}
        }
        self.in_trouble = in_trouble;
        let mut random = self.world.random.lock().expect("one thread");
        for (partition, (position, at_end)) in &mut self.positions {
            let away = self.world.is_away(*partition, now_ms).is_some();
            if away || self.paused.contains(partition) || random.chance(10) {
                continue;
            }
            let log = &self.world.partitions[*partition as usize];
            let n_visible = log.n_visible(now_ms);
            let until = n_visible.min(*position + 1 + random.below(self.world.records_per_poll) as usize);
            if until == *position {
                if !std::mem::replace(at_end, true) {
                    events.push(ReaderEvent::End { partition: *partition, next_offset: until as i64 });
                }
                continue;
            }
            *at_end = false;
            if random.chance(30) {
                let end_offset = n_visible as i64;
                events.push(ReaderEvent::HighWatermark { partition: *partition, end_offset });
            }
            let block = block(*partition, *position, &log.entries[*position..until]);
            if !block.is_empty() {
                events.push(ReaderEvent::Block(block));
            }
            *position = until;
        }
        Ok(())
    }
}

fn block(partition: i32, first_offset: usize, entries: &[Entry]) -> RecordBlock {
    let mut data = Vec::new();
    let mut block = RecordBlock {
        partition,
        data: Buffer::from(Vec::<u8>::new()),
        offsets: vec![],
        timestamps_ms: vec![],
        keys: vec![],
        values: vec![],
    };
    for (offset, entry) in (first_offset as i64..).zip(entries) {
        let start = data.len() as u32;
        let value = match entry.value {
            Value::Gap => continue,
            Value::Tombstone => Span::NULL,
            Value::Poison => {
                data.extend([entry.schema, 0xFF]);
                Span::new(start, 2)
            }
            Value::Broken { at, key, amount } => {
                data.extend([entry.schema, 0xFE]);
                data.extend([at, key, amount].map(i64::to_le_bytes).concat());
                Span::new(start, 26)
            }
            Value::Row { at, key, amount } => {
                data.extend([entry.schema, u8::from(at.is_some())]);
                data.extend([at.unwrap_or(0), key, amount].map(i64::to_le_bytes).concat());
                Span::new(start, 26)
            }
        };
        block.offsets.push(offset);
        block.timestamps_ms.push(BEGIN_MS + entry.arrives_ms);
        block.keys.push(Span::NULL);
        block.values.push(value);
    }
    block.data = Buffer::from(data);
    block
}

struct TopicDecoder {
    world: Arc<World>,
    columns: Vec<usize>,
    schema: SchemaRef,
    seen: BTreeSet<u8>,
}

impl Decoder for TopicDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        let now_ms = self.world.clock.ms();
        let away = |schema: u8| {
            let mut ranges = self.world.weather.registry_away.iter();
            !self.seen.contains(&schema)
                && ranges.any(|(which, range)| *which == schema && range.contains(&now_ms))
        };
        let blocked = (from..block.len()).find(|i| block.value(*i).is_some_and(|value| away(value[0])));
        let next = blocked.unwrap_or(block.len());
        let (mut rows, mut records, mut rejected, mut schemas) = (vec![], vec![], vec![], vec![]);
        let mut tombstones = 0;
        for i in from..next {
            let Some(value) = block.value(i) else {
                tombstones += 1;
                continue;
            };
            if self.seen.insert(value[0]) {
                schemas.push(SchemaSeen {
                    schema_id: value[0].into(),
                    subject: None,
                    version: None,
                    partition: block.partition,
                    first_offset: block.offsets[i],
                    compatible: true,
                    detail: String::new(),
                    table: Vec::new(),
                });
            }
            let is_broken = value[1] == 0xFE && !self.world.is_mended.load(Ordering::Relaxed);
            if value[1] == 0xFF || is_broken {
                let detail = "not a row".to_owned();
                rejected.push(Rejected { record: i as u32, reason: Reason::BadPayload, detail });
                continue;
            }
            let field = |at: usize| i64::from_le_bytes(value[at..at + 8].try_into().expect("8 bytes"));
            rows.push(((value[1] != 0).then(|| field(2)), field(10), field(18)));
            records.push(i as u32);
        }
        let array = |column: &usize| -> ArrayRef {
            match column {
                0 => {
                    let times: TimestampMillisecondArray = rows.iter().map(|row| row.0).collect();
                    Arc::new(times.with_timezone("UTC"))
                }
                1 => Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>()),
                2 => Arc::new(rows.iter().map(|row| name_of(row.1)).collect::<StringArray>()),
                _ => Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>()),
            }
        };
        let columns = self.columns.iter().map(array).collect();
        Ok(Decoded {
            batch: RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("columns of the schema"),
            records,
            rejected,
            tombstones,
            next,
            blocked: blocked.map(|_| "the registry is away".to_owned()),
            schemas,
        })
    }

    fn schema_id(&self, value: &[u8]) -> Option<u32> {
        value.first().map(|schema| u32::from(*schema))
    }
}
