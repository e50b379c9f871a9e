//! The Kafka source against a real broker: what the mock cluster of its own tests does not have. Each of
//! its two readers sees the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_connectors::kafka::{KafkaConnection, KafkaSource, KafkaSourceConfig, Metadata, ReaderSchemaText};
use weir_engine::connector::{
    PartitionInfo, Reader, ReaderEvent, Source, SourceError, Start, WatermarkOptions,
};
use weir_schemas::registry::EmbeddedRegistry;

use crate::producer::{PATIENCE, Producer, To, Topics};
use crate::services::{disturb, eventually, services};

/// One that is read by Weir's own Fetch reader, as plaintext is.
fn source(bootstrap: &str, topic: &str) -> KafkaSource {
    source_with(bootstrap, topic, &[])
}

/// That one, and one that is read by librdkafka: the property is its business only.
fn both(bootstrap: &str, topic: &str) -> [KafkaSource; 2] {
    [source(bootstrap, topic), source_with(bootstrap, topic, &[("client.rack", "a")])]
}

fn source_with(bootstrap: &str, topic: &str, properties: &[(&str, &str)]) -> KafkaSource {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let connection = KafkaConnection {
        bootstrap_servers: bootstrap.to_owned(),
        properties: properties.collect(),
        registry: Arc::new(EmbeddedRegistry::new()),
    };
    let schema = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}"#;
    let config = KafkaSourceConfig {
        name: "t".to_owned(),
        topic: topic.to_owned(),
        format: weir_schemas::Format::Avro,
        reader_schema: ReaderSchemaText::from_file(schema),
        framing: weir_schemas::wire::Framing::Confluent,
        follow: false,
        event_time: None,
        watermark: WatermarkOptions {
            delay_ms: 0,
            idle_timeout_ms: 1_000,
            max_ahead_ms: 1_000,
            max_drift_ms: 1_000,
        },
        start: Start::Earliest,
        metadata: vec![Metadata::Offset],
        client_id: "weir.tests.t".to_owned(),
    };
    KafkaSource::new(connection, config).expect("settings that work")
}

/// What a reader said: values with their offsets, and ends, per partition.
#[derive(Debug, Default)]
struct Seen {
    values: BTreeMap<i32, Vec<(i64, String)>>,
    ends: BTreeMap<i32, i64>,
    n_troubles: usize,
    n_recoveries: usize,
}

impl Seen {
    fn add(&mut self, event: ReaderEvent) {
        match event {
            ReaderEvent::Block(block) => {
                let values = self.values.entry(block.partition).or_default();
                for i in 0..block.len() {
                    let value = block.value(i).expect("no tombstone was written");
                    values.push((block.offsets[i], String::from_utf8_lossy(value).into_owned()));
                }
            }
            ReaderEvent::End { partition, next_offset } => {
                self.ends.insert(partition, next_offset);
            }
            ReaderEvent::Trouble { .. } => self.n_troubles += 1,
            ReaderEvent::Recovered => self.n_recoveries += 1,
            ReaderEvent::HighWatermark { .. } => {}
        }
    }

    /// Polls until `done`.
    fn poll(&mut self, reader: &mut dyn Reader, done: impl Fn(&Self) -> bool) -> Result<(), SourceError> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "only saw {self:?}");
            let mut events = Vec::new();
            reader.poll(10_000, Duration::from_secs(1), &mut events)?;
            events.into_iter().for_each(|event| self.add(event));
        }
        Ok(())
    }
}

/// Writes `v0`, `v1`, … with the timestamps 1,000, 2,000, … (0 would mean now).
fn write(producer: &Producer, topic: &str, partition: i32, range: std::ops::Range<i64>) {
    for i in range {
        let to = To { topic, partition, timestamp_ms: (i + 1) * 1_000 };
        producer.send(to, None, Some(format!("v{i}").as_bytes()));
    }
    producer.flush();
}

fn numbered(range: std::ops::Range<i64>) -> Vec<(i64, String)> {
    range.map(|i| (i, format!("v{i}"))).collect()
}

#[test]
fn a_start_time_is_the_first_record_at_or_after_it() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("start_time", 1);
    write(&Producer::new(bootstrap), "start_time", 0, 0..5);
    for source in both(bootstrap, "start_time") {
        for (time_ms, first) in [(0, 0), (2_500, 2), (4_000, 3), (5_001, 5)] {
            let mut reader = source.reader().expect("a client");
            assert_eq!(reader.assign(0, Start::At(time_ms)).expect("the broker answers"), first, "{time_ms}");
            let mut seen = Seen::default();
            seen.poll(&mut *reader, |seen| seen.ends.get(&0) == Some(&5)).expect("nothing is lost");
            assert_eq!(seen.values.remove(&0).unwrap_or_default(), numbered(first..5), "{time_ms}");
        }
    }
}

#[test]
fn only_committed_records_are_read_and_the_end_is_the_last_stable_offset() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("committed", 1);
    let sources = both(bootstrap, "committed");
    let end_of = |source: &KafkaSource| {
        let topology = source.discover().expect("the broker answers");
        let [PartitionInfo { begin_offset: 0, end_offset, .. }] = topology.partitions[..] else {
            panic!("{topology:?}");
        };
        end_offset
    };
    let ends = || [0, 1].map(|i| end_of(&sources[i]));
    let producer = Producer::transactional(bootstrap, "weir.tests.committed");
    producer.begin();
    write(&producer, "committed", 0, 0..2);
    producer.commit();
    producer.begin();
    write(&producer, "committed", 0, 2..4);
    // Two records and the commit's marker; the open transaction is behind the end.
    assert_eq!(ends(), [3, 3]);
    let mut readers = sources.each_ref().map(|source| {
        let mut reader = source.reader().expect("a client");
        reader.assign(0, Start::Earliest).expect("the broker answers");
        let mut seen = Seen::default();
        seen.poll(&mut *reader, |seen| seen.ends.get(&0) == Some(&3)).expect("nothing is lost");
        assert_eq!(seen.values[&0], numbered(0..2));
        (reader, seen)
    });

    producer.abort();
    producer.begin();
    write(&producer, "committed", 0, 4..5);
    producer.commit();
    eventually("the last transaction is committed", PATIENCE, || (ends() == [8, 8]).then_some(()));
    let read = [(0, "v0"), (1, "v1"), (6, "v4")].map(|(offset, value)| (offset, value.to_owned()));
    for (reader, seen) in &mut readers {
        seen.poll(&mut **reader, |seen| seen.ends.get(&0) == Some(&8)).expect("nothing is lost");
        assert_eq!(seen.values[&0], read);
    }
}

#[test]
fn added_partitions_are_found_and_read_from_their_beginning() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let topics = Topics::new(bootstrap);
    topics.create("added", 1);
    let source = source(bootstrap, "added");
    let mut reader = source.reader().expect("a client");
    reader.assign(0, Start::Earliest).expect("the broker answers");
    topics.grow("added", 3);
    eventually("three partitions are there", PATIENCE, || {
        source.discover().is_ok_and(|topology| topology.partitions.len() == 3).then_some(())
    });
    let producer = Producer::new(bootstrap);
    for partition in 0..3 {
        write(&producer, "added", partition, 0..4);
    }
    for partition in 1..3 {
        eventually("a new partition has a leader", PATIENCE, || {
            reader.assign(partition, Start::Earliest).ok()
        });
    }
    let mut seen = Seen::default();
    seen.poll(&mut *reader, |seen| (0..3).all(|p| seen.ends.get(&p) == Some(&4))).expect("nothing is lost");
    assert!((0..3).all(|partition| seen.values[&partition] == numbered(0..4)), "{seen:?}");
}

#[test]
fn a_topic_that_is_made_anew_has_another_identity() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let topics = Topics::new(bootstrap);
    topics.create("anew", 1);
    let source = source(bootstrap, "anew");
    let first = source.discover().expect("the broker answers").topic_id.expect("this Kafka has ids");
    assert_eq!(source.discover().expect("the broker answers").topic_id.as_ref(), Some(&first));
    topics.delete("anew");
    eventually("the topic is gone", PATIENCE, || match source.discover() {
        Err(SourceError::Retry(detail)) => detail.contains("does not exist yet").then_some(()),
        _ => None,
    });
    topics.create("anew", 1);
    let second = eventually("the topic is back", PATIENCE, || source.discover().ok()?.topic_id);
    assert_ne!(first, second);
}

#[test]
fn deleted_records_are_lost_at_the_offset_where_they_were_to_be_read() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let topics = Topics::new(bootstrap);
    topics.create("deleted", 1);
    write(&Producer::new(bootstrap), "deleted", 0, 0..10);
    topics.delete_records("deleted", 0, 7);
    for source in both(bootstrap, "deleted") {
        let mut reader = source.reader().expect("a client");
        reader.assign(0, Start::Offset(3)).expect("the broker answers");
        let error = Seen::default().poll(&mut *reader, |_| false).expect_err("the records are gone");
        let SourceError::Lost { partition: 0, next_offset: 3, begin_offset: 7 } = error else {
            panic!("{error:?}");
        };

        let mut reader = source.reader().expect("a client");
        assert_eq!(reader.assign(0, Start::Earliest).expect("the broker answers"), 7);
        let mut seen = Seen::default();
        seen.poll(&mut *reader, |seen| seen.ends.get(&0) == Some(&10)).expect("nothing is lost");
        assert_eq!(seen.values[&0], numbered(7..10));
    }
}

#[test]
fn a_broker_that_restarts_is_trouble_and_then_reading_goes_on() {
    let mut services = disturb();
    let bootstrap = services.kafka.bootstrap.clone();
    Topics::new(&bootstrap).create("restarted", 2);
    let producer = Producer::new(&bootstrap);
    write(&producer, "restarted", 0, 0..5);
    let mut readers = both(&bootstrap, "restarted").map(|source| {
        let mut reader = source.reader().expect("a client");
        for partition in 0..2 {
            reader.assign(partition, Start::Earliest).expect("the broker answers");
        }
        let mut seen = Seen::default();
        seen.poll(&mut *reader, |seen| seen.ends.len() == 2).expect("nothing is lost");
        (reader, seen)
    });

    services.kafka.stop();
    for (reader, seen) in &mut readers {
        seen.poll(&mut **reader, |seen| seen.n_troubles > 0).expect("a broker that is away is no error");
        assert_eq!(seen.n_recoveries, 0);
    }
    services.kafka.restart();
    // Nothing was written meanwhile: it has to notice without a record.
    for (reader, seen) in &mut readers {
        seen.poll(&mut **reader, |seen| seen.n_recoveries > 0).expect("a broker that is away is no error");
    }
    write(&producer, "restarted", 0, 5..10);
    write(&producer, "restarted", 1, 0..3);
    for (reader, seen) in &mut readers {
        let is_done = |seen: &Seen| seen.ends[&0] == 10 && seen.ends[&1] == 3;
        seen.poll(&mut **reader, is_done).expect("nothing is lost");
        assert_eq!(seen.values[&0], numbered(0..10));
        assert_eq!(seen.values[&1], numbered(0..3));
    }
}
