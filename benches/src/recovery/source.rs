//! A topic that costs nothing to read: records are made where they are asked for, without an end.
//!
//! The first `n_groups` of its records have each key once, in scattered order; those behind them have
//! any of the keys. All event times are within one hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use weir_engine::connector::{
    Decoded, Decoder, PartitionInfo, Reader, ReaderEvent, RecordBlock, Source, SourceError, Span, Start,
    Topology, WatermarkOptions,
};

use crate::random::Random;

pub(super) const N_PARTITIONS: i32 = 2;
/// Of one partition in one poll.
const BLOCK_RECORDS: i64 = 4_096;
/// Further than anybody reads.
const END_OFFSET: i64 = 1 << 48;
/// 2026-01-01T00:00Z: the hour that all event times are in.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// Coprime to every number of groups that fits into memory.
const SCATTER: u64 = 1_000_000_000_039;
const RECORD_BYTES: u32 = 24;

/// The topic.
#[derive(Debug, Clone)]
pub(crate) struct Synthetic {
    n_groups: u64,
}

impl Synthetic {
    /// With that many keys.
    pub(crate) fn new(n_groups: u64) -> Self {
        Self { n_groups }
    }

    /// Event time in milliseconds, key and amount of a record.
    fn record(&self, partition: i32, offset: i64) -> [i64; 3] {
        let number = (offset * i64::from(N_PARTITIONS) + i64::from(partition)).unsigned_abs();
        let key = if number < self.n_groups {
            (u128::from(number) * u128::from(SCATTER) % u128::from(self.n_groups)) as u64
        } else {
            Random(number).below(self.n_groups)
        };
        [BEGIN_MS + (number / 1_000 % 3_000_000) as i64, key as i64, (number % 10_007) as i64]
    }

    fn block(&self, partition: i32, offsets: std::ops::Range<i64>) -> RecordBlock {
        let fields = offsets.clone().flat_map(|offset| self.record(partition, offset));
        let n = (offsets.end - offsets.start).unsigned_abs() as usize;
        RecordBlock {
            partition,
            data: Buffer::from_vec(fields.collect::<Vec<i64>>()),
            offsets: offsets.collect(),
            timestamps_ms: vec![BEGIN_MS; n],
            keys: vec![Span::NULL; n],
            values: (0..n as u32).map(|i| Span::new(i * RECORD_BYTES, RECORD_BYTES)).collect(),
        }
    }
}

impl Source for Synthetic {
    fn name(&self) -> &str {
        "log"
    }

    fn topic(&self) -> &str {
        "log"
    }

    fn schema(&self) -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("at", time, false),
            Field::new("key", DataType::Int64, false),
            Field::new("amount", DataType::Int64, false),
        ]))
    }

    fn event_time(&self) -> usize {
        0
    }

    fn watermark(&self) -> WatermarkOptions {
        WatermarkOptions {
            delay_ms: 5_000,
            idle_timeout_ms: 30_000,
            max_ahead_ms: 24 * 3_600_000,
            max_drift_ms: 3_600_000,
        }
    }

    fn start(&self) -> Start {
        Start::Earliest
    }

    fn identity(&self) -> String {
        "topic log".to_owned()
    }

    fn discover(&self) -> Result<Topology, SourceError> {
        let info = |partition| PartitionInfo { partition, begin_offset: 0, end_offset: END_OFFSET };
        Ok(Topology { topic_id: None, partitions: (0..N_PARTITIONS).map(info).collect() })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(SyntheticReader { topic: self.clone(), next_offsets: BTreeMap::new() }))
    }

    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let schema = self.schema().project(columns).map_err(|error| SourceError::Fatal(error.to_string()))?;
        Ok(Box::new(SyntheticDecoder { columns: columns.to_vec(), schema: Arc::new(schema) }))
    }
}

struct SyntheticReader {
    topic: Synthetic,
    next_offsets: BTreeMap<i32, i64>,
}

impl Reader for SyntheticReader {
    fn assign(&mut self, partition: i32, start: Start) -> Result<i64, SourceError> {
        let next_offset = if let Start::Offset(offset) = start { offset } else { 0 };
        self.next_offsets.insert(partition, next_offset);
        Ok(next_offset)
    }

    fn set_paused(&mut self, _: i32, _: bool) {}

    fn poll(
        &mut self,
        _: usize,
        max_wait: Duration,
        events: &mut Vec<ReaderEvent>,
    ) -> Result<(), SourceError> {
        if self.next_offsets.is_empty() {
            std::thread::park_timeout(max_wait);
        }
        for (partition, next_offset) in &mut self.next_offsets {
            let end = *next_offset + BLOCK_RECORDS;
            events.push(ReaderEvent::Block(self.topic.block(*partition, *next_offset..end)));
            *next_offset = end;
        }
        Ok(())
    }
}

struct SyntheticDecoder {
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Decoder for SyntheticDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        let fields = block.data.typed_data::<i64>();
        let column = |field: &usize| -> ArrayRef {
            let values = fields[3 * from..].iter().skip(*field).step_by(3).copied();
            match field {
                0 => Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC")),
                _ => Arc::new(Int64Array::from_iter_values(values)),
            }
        };
        let columns = self.columns.iter().map(column).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| SourceError::Fatal(error.to_string()))?;
        Ok(Decoded {
            batch,
            records: (from as u32..block.len() as u32).collect(),
            rejected: Vec::new(),
            tombstones: 0,
            next: block.len(),
            blocked: None,
            schemas: Vec::new(),
        })
    }

    fn schema_id(&self, _: &[u8]) -> Option<u32> {
        None
    }
}
