//! The source against librdkafka's mock cluster, through the engine's traits only; what a reader does,
//! with both of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use weir_engine::connector::{
    Reader, ReaderEvent, Reason, RecordBlock, Source, SourceError, Start, WatermarkOptions,
};
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::EmbeddedRegistry;
use weir_schemas::wire::{self, Framing};

use super::*;
use crate::mock::MockKafka;

const SCHEMA: &str = r#"{"type": "record", "name": "order", "fields": [{"name": "id", "type": "long"}]}"#;

/// Key and value of a record to produce.
type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Fetch,
    Librdkafka,
}

/// Runs claims about readers for each of them.
macro_rules! with_each_reader {
    ($($claim:ident)*) => {
        mod with_fetch {
            $(#[test] fn $claim() { super::$claim(super::Who::Fetch); })*
        }
        mod with_librdkafka {
            $(#[test] fn $claim() { super::$claim(super::Who::Librdkafka); })*
        }
    };
}

struct Fixture {
    who: Who,
    kafka: MockKafka,
    producer: BaseProducer,
    registry: Arc<EmbeddedRegistry>,
}

impl Fixture {
    /// A cluster with a topic `orders` of `n_partitions`.
    fn new(who: Who, n_partitions: i32) -> Self {
        let kafka = MockKafka::start(1).unwrap();
        kafka.create_topic("orders", n_partitions).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap_servers())
            // What is produced together is one batch; `flush` does not wait for it.
            .set("linger.ms", "100")
            .create()
            .unwrap();
        Self { who, kafka, producer, registry: Arc::new(EmbeddedRegistry::new()) }
    }

    fn source(&self, topic: &str, metadata: &[Metadata]) -> KafkaSource {
        // One that only librdkafka knows.
        let theirs = ("socket.timeout.ms".to_owned(), "60000".to_owned());
        let connection = KafkaConnection {
            bootstrap_servers: self.kafka.bootstrap_servers().to_owned(),
            properties: BTreeMap::from_iter((self.who == Who::Librdkafka).then_some(theirs)),
            registry: Arc::clone(&self.registry) as Arc<dyn SchemaRegistry>,
        };
        let config = KafkaSourceConfig {
            name: "orders".to_owned(),
            topic: topic.to_owned(),
            format: Format::Avro,
            reader_schema: ReaderSchemaText::from_file(SCHEMA),
            framing: Framing::Confluent,
            follow: false,
            event_time: None,
            watermark: WatermarkOptions {
                delay_ms: 0,
                idle_timeout_ms: 1_000,
                max_ahead_ms: 1_000,
                max_drift_ms: 1_000,
            },
            start: Start::Earliest,
            metadata: metadata.to_vec(),
            client_id: "weir.test.orders".to_owned(),
        };
        KafkaSource::new(connection, config).unwrap()
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.source("orders", &[]).reader().unwrap()
    }

    /// Produces records with the timestamps 1000, 1001, … and waits until the cluster has them.
    fn produce(&self, partition: i32, records: &[KeyValue]) {
        for (timestamp_ms, (key, value)) in (1000..).zip(records) {
            let mut record = BaseRecord::to("orders").partition(partition).timestamp(timestamp_ms);
            record.key = *key;
            record.payload = *value;
            while let Err((_, returned)) = self.producer.send(record) {
                self.producer.poll(Duration::from_millis(10));
                record = returned;
            }
        }
        self.producer.flush(Duration::from_secs(30)).unwrap();
    }

    fn produce_values(&self, partition: i32, values: &[&str]) {
        let records: Vec<_> = values.iter().map(|value| (None, Some(value.as_bytes()))).collect();
        self.produce(partition, &records);
    }
}

/// Polls until `done` says so of all events so far.
fn poll_until(
    reader: &mut dyn Reader,
    mut done: impl FnMut(&[ReaderEvent]) -> bool,
) -> Result<Vec<ReaderEvent>, SourceError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut events = Vec::new();
    while !done(&events) {
        assert!(Instant::now() < deadline, "only got {events:?}");
        reader.poll(1_000, Duration::from_secs(1), &mut events)?;
    }
    Ok(events)
}

fn ends(events: &[ReaderEvent]) -> Vec<(i32, i64)> {
    let end = |event: &ReaderEvent| match event {
        ReaderEvent::End { partition, next_offset } => Some((*partition, *next_offset)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

fn blocks(events: &[ReaderEvent], partition: i32) -> impl Iterator<Item = &RecordBlock> {
    events.iter().filter_map(move |event| match event {
        ReaderEvent::Block(block) if block.partition == partition => Some(block),
        _ => None,
    })
}

/// Offset and value of each record.
fn values(events: &[ReaderEvent], partition: i32) -> Vec<(i64, String)> {
    blocks(events, partition)
        .flat_map(|block| {
            (0..block.len()).map(|i| {
                let value = String::from_utf8_lossy(block.value(i).unwrap_or(b"tombstone")).into_owned();
                (block.offsets[i], value)
            })
        })
        .collect()
}

fn numbered(range: std::ops::Range<i64>) -> Vec<(i64, String)> {
    range.map(|i| (i, format!("v{i}"))).collect()
}

fn produce_numbered(fixture: &Fixture, partition: i32, range: std::ops::Range<i64>) {
    let values: Vec<String> = range.map(|i| format!("v{i}")).collect();
    fixture.produce_values(partition, &values.iter().map(String::as_str).collect::<Vec<_>>());
}

with_each_reader! {
    records_come_as_they_were_written_and_then_the_end
    start_decides_the_first_record
    readers_get_their_own_partitions_only_and_new_records_as_they_come
    a_paused_partition_keeps_its_records_and_goes_on_where_it_was
    a_poll_takes_no_more_than_asked_and_the_rest_is_still_there
    a_broker_that_is_away_is_trouble_and_then_nothing_is_missing
    records_deleted_before_they_were_read_are_lost_and_say_which
    an_offset_behind_the_end_of_the_topic_is_refused
    metadata_columns_are_those_of_the_rows_behind_what_was_rejected
}

fn records_come_as_they_were_written_and_then_the_end(who: Who) {
    let fixture = Fixture::new(who, 1);
    let records: [KeyValue; 4] =
        [(Some(b"k0"), Some(b"v0")), (None, Some(b"v1")), (Some(b"k2"), None), (Some(b""), Some(b""))];
    fixture.produce(0, &records);
    let mut reader = fixture.reader();
    assert_eq!(reader.assign(0, Start::Earliest).unwrap(), 0);
    let events = poll_until(&mut *reader, |events| !ends(events).is_empty()).unwrap();

    let mut seen = Vec::new();
    for block in blocks(&events, 0) {
        for i in 0..block.len() {
            seen.push((
                block.offsets[i],
                block.timestamps_ms[i],
                block.key(i).map(<[u8]>::to_vec),
                block.value(i).map(<[u8]>::to_vec),
            ));
        }
    }
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let expected: Vec<_> =
        (0..).zip(records).map(|(i, (key, value))| (i, 1000 + i, own(key), own(value))).collect();
    assert_eq!(seen, expected);
    assert_eq!(ends(&events), [(0, 4)]);
    let is_high = |e: &ReaderEvent| matches!(e, ReaderEvent::HighWatermark { partition: 0, end_offset: 4 });
    poll_until(&mut *reader, |more| more.iter().chain(&events).any(is_high)).unwrap();
}

fn start_decides_the_first_record(who: Who) {
    let fixture = Fixture::new(who, 1);
    produce_numbered(&fixture, 0, 0..5);
    for (start, first) in [(Start::Earliest, 0), (Start::Offset(3), 3), (Start::Latest, 5)] {
        let mut reader = fixture.reader();
        assert_eq!(reader.assign(0, start).unwrap(), first, "{start:?}");
        let events = poll_until(&mut *reader, |events| !ends(events).is_empty()).unwrap();
        assert_eq!(values(&events, 0), numbered(first..5), "{start:?}");
        assert_eq!(ends(&events), [(0, 5)], "{start:?}");
    }
    let error = fixture.reader().assign(0, Start::At(1002)).unwrap_err();
    assert!(error.to_string().contains("does not look up offsets by time"), "{error}");
}

fn readers_get_their_own_partitions_only_and_new_records_as_they_come(who: Who) {
    let fixture = Fixture::new(who, 2);
    let mut readers = [fixture.reader(), fixture.reader()];
    for (partition, reader) in (0..).zip(&mut readers) {
        reader.assign(partition, Start::Earliest).unwrap();
        let events = poll_until(&mut **reader, |events| !ends(events).is_empty()).unwrap();
        assert_eq!(ends(&events), [(partition, 0)]);
    }
    for (partition, reader) in (0..).zip(&mut readers) {
        produce_numbered(&fixture, partition, 0..3);
        let events = poll_until(&mut **reader, |events| !ends(events).is_empty()).unwrap();
        assert_eq!(values(&events, partition), numbered(0..3));
        assert_eq!(values(&events, 1 - partition), []);
    }
}

fn a_paused_partition_keeps_its_records_and_goes_on_where_it_was(who: Who) {
    let fixture = Fixture::new(who, 2);
    let mut reader = fixture.reader();
    for partition in 0..2 {
        reader.assign(partition, Start::Earliest).unwrap();
    }
    poll_until(&mut *reader, |events| ends(events).len() == 2).unwrap();
    reader.set_paused(0, true);
    produce_numbered(&fixture, 0, 0..10);
    produce_numbered(&fixture, 1, 0..10);
    let events = poll_until(&mut *reader, |events| ends(events).contains(&(1, 10))).unwrap();
    assert_eq!(values(&events, 0), []);
    assert_eq!(values(&events, 1), numbered(0..10));

    reader.set_paused(0, false);
    let events = poll_until(&mut *reader, |events| ends(events).contains(&(0, 10))).unwrap();
    assert_eq!(values(&events, 0), numbered(0..10));
}

fn a_poll_takes_no_more_than_asked_and_the_rest_is_still_there(who: Who) {
    let fixture = Fixture::new(who, 1);
    produce_numbered(&fixture, 0, 0..100);
    let mut reader = fixture.reader();
    reader.assign(0, Start::Earliest).unwrap();
    let mut events = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while values(&events, 0).len() < 100 {
        assert!(Instant::now() < deadline);
        let n_before = values(&events, 0).len();
        reader.poll(7, Duration::from_secs(1), &mut events).unwrap();
        assert!(values(&events, 0).len() - n_before <= 7);
    }
    assert_eq!(values(&events, 0), numbered(0..100));
}

fn a_broker_that_is_away_is_trouble_and_then_nothing_is_missing(who: Who) {
    let fixture = Fixture::new(who, 1);
    produce_numbered(&fixture, 0, 0..3);
    let mut reader = fixture.reader();
    reader.assign(0, Start::Earliest).unwrap();
    poll_until(&mut *reader, |events| !ends(events).is_empty()).unwrap();

    fixture.kafka.set_down(true).unwrap();
    let is_trouble = |event: &ReaderEvent| matches!(event, ReaderEvent::Trouble { .. });
    let events = poll_until(&mut *reader, |events| events.iter().any(is_trouble)).unwrap();
    assert!(!events.iter().any(|event| matches!(event, ReaderEvent::Recovered)));

    fixture.kafka.set_down(false).unwrap();
    let is_recovered = |event: &ReaderEvent| matches!(event, ReaderEvent::Recovered);
    poll_until(&mut *reader, |events| events.iter().any(is_recovered)).unwrap();
    produce_numbered(&fixture, 0, 3..6);
    let events = poll_until(&mut *reader, |events| !ends(events).is_empty()).unwrap();
    assert_eq!(values(&events, 0), numbered(3..6));
}

fn records_deleted_before_they_were_read_are_lost_and_say_which(who: Who) {
    let fixture = Fixture::new(who, 1);
    // The mock keeps 5 MiB of a partition.
    let large = "x".repeat(100_000);
    fixture.produce_values(0, &vec![large.as_str(); 100]);
    let begin = fixture.source("orders", &[]).discover().unwrap().partitions[0].begin_offset;
    assert!(begin > 0);
    let mut reader = fixture.reader();
    reader.assign(0, Start::Offset(0)).unwrap();
    match poll_until(&mut *reader, |_| false) {
        Err(SourceError::Lost { partition: 0, next_offset: 0, begin_offset }) => {
            assert_eq!(begin_offset, begin)
        }
        other => panic!("{other:?}"),
    }
    reader.skip_to(0, begin).unwrap();
    let events = poll_until(&mut *reader, |events| ends(events) == [(0, 100)]).unwrap();
    let offsets: Vec<i64> = blocks(&events, 0).flat_map(|block| block.offsets.clone()).collect();
    assert_eq!(offsets, (begin..100).collect::<Vec<_>>(), "what is still there, once");
}

fn an_offset_behind_the_end_of_the_topic_is_refused(who: Who) {
    let fixture = Fixture::new(who, 1);
    produce_numbered(&fixture, 0, 0..3);
    let mut reader = fixture.reader();
    reader.assign(0, Start::Offset(10)).unwrap();
    match poll_until(&mut *reader, |_| false) {
        Err(SourceError::Fatal(detail)) => {
            assert!(detail.contains("ends at offset 3, before the next offset 10"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

/// The offsets of partitions 0 and 1 in the source's group, as a tool asks for them; -1 where there is none.
fn group_offsets(fixture: &Fixture) -> [i64; 2] {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let tool: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", fixture.kafka.bootstrap_servers())
        .set("group.id", "weir.test.orders")
        .create()
        .unwrap();
    let mut of = rdkafka::TopicPartitionList::new();
    of.add_partition_range("orders", 0, 1);
    let committed = tool.committed_offsets(of, Duration::from_secs(30)).unwrap();
    [0, 1].map(|partition| match committed.find_partition("orders", partition).unwrap().offset() {
        rdkafka::Offset::Offset(offset) => offset,
        _ => -1,
    })
}

#[test]
fn the_group_has_what_it_was_told_last_whatever_the_broker_did_meanwhile() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let fixture = Fixture::new(Who::Fetch, 2);
    let source = fixture.source("orders", &[]);
    let mut group = source.group().unwrap();
    group.tell(&[(0, 7), (1, 0)], PATIENCE).unwrap();
    assert_eq!(group_offsets(&fixture), [7, 0]);
    for round in 0..3 {
        fixture.kafka.set_down(true).unwrap();
        for behind in 0..3 {
            let before = Instant::now();
            let error =
                group.tell(&[(0, 10 * round + behind), (1, 0)], Duration::from_millis(200)).unwrap_err();
            assert!(before.elapsed() < Duration::from_secs(2), "it is told within its time");
            assert!(
                matches!(&error, SourceError::Retry(why) if why.contains("\"weir.test.orders\"")),
                "{error}"
            );
        }
        fixture.kafka.set_down(false).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let told = [(0, 10 * round + 9), (1, round)];
        while group.tell(&told, Duration::from_secs(2)).is_err() {
            assert!(Instant::now() < deadline);
        }
        assert_eq!(group_offsets(&fixture), told.map(|(_, offset)| offset), "the last one counts");
    }
    // One that goes while something is under way takes nobody with it.
    fixture.kafka.set_down(true).unwrap();
    group.tell(&[(0, 99)], Duration::from_millis(50)).unwrap_err();
    drop(group);
}

#[test]
fn discover_tells_partitions_offsets_and_identity() {
    let fixture = Fixture::new(Who::Fetch, 2);
    produce_numbered(&fixture, 1, 0..3);
    let topology = fixture.source("orders", &[]).discover().unwrap();
    assert!(topology.topic_id.is_some());
    let info = |partition, end_offset| PartitionInfo { partition, begin_offset: 0, end_offset };
    assert_eq!(topology.partitions, [info(0, 0), info(1, 3)]);

    match fixture.source("clicks", &[]).discover() {
        Err(SourceError::Retry(detail)) => assert_eq!(detail, "topic \"clicks\" does not exist yet"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn broker_that_is_not_there_is_retried_and_named() {
    let fixture = Fixture::new(Who::Fetch, 1);
    let source = fixture.source("orders", &[]);
    fixture.kafka.set_down(true).unwrap();
    match source.discover() {
        Err(SourceError::Retry(detail)) => {
            assert!(detail.contains(fixture.kafka.bootstrap_servers()), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    fixture.kafka.set_down(false).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while source.discover().is_err() {
        assert!(Instant::now() < deadline);
    }
}

fn metadata_columns_are_those_of_the_rows_behind_what_was_rejected(who: Who) {
    let fixture = Fixture::new(who, 1);
    let id = fixture.registry.register("orders-value", SCHEMA).unwrap();
    // A long in Avro: 7 and 8 are the bytes 14 and 16.
    let record = |body: u8| [wire::header(id).as_slice(), &[body]].concat();
    let (seven, eight) = (record(14), record(16));
    fixture.produce(
        0,
        &[(Some(b"a"), Some(b"?")), (Some(b"b"), Some(&seven)), (Some(b"c"), None), (None, Some(&eight))],
    );
    let source = fixture.source("orders", &[Metadata::Offset, Metadata::Key]);
    let names: Vec<_> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "kafka_offset", "kafka_key", "kafka_timestamp"]);
    assert_eq!(source.event_time(), 3);

    // A slow broker may hand over a part first, and the rest in a block of its own.
    let block = (0..100).find_map(|_| {
        let mut reader = source.reader().unwrap();
        reader.assign(0, Start::Earliest).unwrap();
        let events = poll_until(&mut *reader, |events| !ends(events).is_empty()).unwrap();
        blocks(&events, 0).find(|block| block.len() == 4).cloned()
    });
    let block = &block.expect("four records of one batch are one block");

    let mut decoder = source.decoder(&[3, 1, 2, 0]).unwrap();
    let decoded = decoder.decode(block, 0).unwrap();
    let batch = &decoded.batch;
    assert_eq!(batch.column(0).as_primitive::<TimestampMillisecondType>().values(), &[1001, 1003]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[1, 3]);
    assert_eq!(batch.column(2).as_binary::<i32>().iter().collect::<Vec<_>>(), [Some(&b"b"[..]), None]);
    assert_eq!(batch.column(3).as_primitive::<Int64Type>().values(), &[7, 8]);
    assert_eq!((decoded.records.as_slice(), decoded.tombstones, decoded.next), (&[1, 3][..], 1, 4));
    assert_eq!((decoded.rejected[0].record, decoded.rejected[0].reason), (0, Reason::BadFraming));
    assert_eq!((decoded.schemas[0].schema_id, decoded.schemas[0].first_offset), (id.0, 1));
    assert_eq!(decoder.schema_id(&seven), Some(id.0));
    assert!(decoder.decode(block, 0).unwrap().schemas.is_empty(), "told once");
    let elsewhere = RecordBlock { partition: 1, ..block.clone() };
    let told = decoder.decode(&elsewhere, 0).unwrap().schemas;
    assert_eq!((told.len(), told[0].partition, told[0].first_offset), (1, 1, 1), "once for each partition");

    // Only the count, and only metadata.
    let rows =
        |columns: &[usize]| source.decoder(columns).unwrap().decode(block, 0).unwrap().batch.num_rows();
    assert_eq!((rows(&[]), rows(&[1])), (2, 2));
}
