//! What a Kafka sink wrote, read as anybody else would: committed records, decoded by apache-avro with
//! the schemas of the registry.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use weir_schemas::registry::HttpRegistry;
use weir_schemas::{SchemaId, SchemaRegistry};

use crate::producer::PATIENCE;
use crate::services::{Services, eventually};

/// A record; its fields by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<BTreeMap<String, Value>>,
    /// `None`: a tombstone.
    pub(crate) value: Option<BTreeMap<String, Value>>,
}

/// A topic that sinks write to.
pub(crate) struct SinkTopic {
    bootstrap: String,
    registry: Arc<dyn SchemaRegistry>,
    topic: String,
    schemas: RefCell<HashMap<u32, Schema>>,
}

impl SinkTopic {
    pub(crate) fn new(services: &Services, topic: &str) -> Self {
        Self::of_registry(&services.kafka.bootstrap, topic, &services.registry.url)
    }

    /// At other brokers.
    pub(crate) fn of_registry(bootstrap: &str, topic: &str, registry_url: &str) -> Self {
        let registry = HttpRegistry::new(registry_url, None).expect("a URL");
        Self::with_registry(bootstrap, topic, Arc::new(registry))
    }

    pub(crate) fn with_registry(bootstrap: &str, topic: &str, registry: Arc<dyn SchemaRegistry>) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            registry,
            topic: topic.to_owned(),
            schemas: RefCell::default(),
        }
    }

    fn consumer(&self, isolation: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("isolation.level", isolation);
        config
            .set("group.id", "tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        config.create().expect("a client")
    }

    pub(crate) fn n_partitions(&self) -> usize {
        let metadata = self.consumer("read_committed").fetch_metadata(Some(&self.topic), PATIENCE);
        metadata.expect("the broker answers").topics()[0].partitions().len()
    }

    /// The end of every partition, under an isolation level.
    fn ends(&self, isolation: &str) -> Vec<i64> {
        let consumer = self.consumer(isolation);
        let partitions = 0..i32::try_from(self.n_partitions()).expect("a few");
        let end = |partition| consumer.fetch_watermarks(&self.topic, partition, PATIENCE);
        partitions.map(|partition| end(partition).expect("the broker answers").1).collect()
    }

    /// Whether nothing is open: what can be read ends where the log does.
    pub(crate) fn is_settled(&self) -> bool {
        self.ends("read_committed") == self.ends("read_uncommitted")
    }

    /// All committed records, when no transaction is open any more.
    pub(crate) fn read(&self) -> Vec<Record> {
        self.read_by(|message| Record {
            partition: message.partition(),
            key: message.key().map(|bytes| self.decode(bytes)),
            value: message.payload().map(|bytes| self.decode(bytes)),
        })
    }

    /// As [`Self::read`], of whatever there is.
    pub(crate) fn read_by<T>(&self, each: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        eventually("no transaction is open", PATIENCE, || self.is_settled().then_some(()));
        let consumer = self.consumer("read_committed");
        let n_partitions = self.n_partitions();
        let mut from = TopicPartitionList::new();
        for partition in 0..i32::try_from(n_partitions).expect("a few") {
            from.add_partition_offset(&self.topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&from).expect("no group is joined");
        let (mut records, mut n_ends) = (Vec::new(), 0);
        while n_ends < n_partitions {
            match consumer.poll(PATIENCE).expect("the broker answers") {
                Err(KafkaError::PartitionEOF(_)) => n_ends += 1,
                Err(error) => panic!("{error}"),
                Ok(message) => records.push(each(&message)),
            }
        }
        records
    }

    fn decode(&self, bytes: &[u8]) -> BTreeMap<String, Value> {
        let (header, mut body) = bytes.split_at(5);
        assert_eq!(header[0], 0, "the magic byte");
        let id = u32::from_be_bytes(header[1..].try_into().expect("four bytes"));
        let mut schemas = self.schemas.borrow_mut();
        let schema = schemas.entry(id).or_insert_with(|| self.schema(id));
        let reader = GenericDatumReader::builder(schema).build().expect("a reader");
        let Avro::Record(fields) = reader.read_value(&mut body).expect("a value of the schema") else {
            panic!("{schema:?} is no record");
        };
        assert!(body.is_empty(), "it was read to its end");
        fields.into_iter().map(|(name, value)| (name, json_of(value))).collect()
    }

    fn schema(&self, id: u32) -> Schema {
        let schema = self.registry.by_id(SchemaId(id)).expect("the registry has it");
        Schema::parse_str(&schema.text).expect("an Avro schema")
    }

    /// Waits until there is a committed record.
    pub(crate) fn await_records(&self) {
        let some = || self.try_ends().is_some_and(|ends| ends.iter().any(|end| 0 < *end));
        eventually("rows are in the topic", PATIENCE, || some().then_some(()));
    }

    fn try_ends(&self) -> Option<Vec<i64>> {
        let consumer = self.consumer("read_committed");
        let metadata = consumer.fetch_metadata(Some(&self.topic), Duration::from_secs(5)).ok()?;
        let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
        partitions
            .map(|partition| {
                let ends = consumer.fetch_watermarks(&self.topic, partition, Duration::from_secs(5));
                ends.ok().map(|(_, end)| end)
            })
            .collect()
    }
}

/// A row as [`crate::shop::query`] gives it.
fn row(value: &BTreeMap<String, Value>) -> Vec<Value> {
    ["window_start", "country", "orders", "revenue", "newest"].map(|name| value[name].clone()).to_vec()
}

fn sorted<'a>(values: impl Iterator<Item = &'a BTreeMap<String, Value>>) -> Vec<Vec<Value>> {
    let mut rows: Vec<_> = values.map(row).collect();
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].as_str().map(str::to_owned)));
    rows
}

/// The rows of a topic that is written with `emit: final`: no key twice, and the keys those of the rows.
pub(crate) fn finals(records: &[Record]) -> Vec<Vec<Value>> {
    let mut seen = BTreeMap::new();
    for record in records {
        let (key, value) = (record.key.as_ref().expect("a key"), record.value.as_ref().expect("a row"));
        assert!(key.iter().all(|(name, field)| value[name] == *field), "{record:?}");
        assert_eq!(key.keys().collect::<Vec<_>>(), ["country", "window_end", "window_start"]);
        let again = seen.insert(format!("{key:?}"), record.partition);
        assert_eq!(again, None, "{key:?} is there twice");
    }
    sorted(records.iter().filter_map(|record| record.value.as_ref()))
}

/// What a topic comes to that is written with `emit: updates`.
#[derive(Debug)]
pub(crate) struct Updates {
    /// The last value of each key that has one, as compaction leaves it: all are final.
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) n_tombstones: usize,
    pub(crate) n_provisional: usize,
}

impl Updates {
    /// Reads records in the order of their partitions; a key's are all in one of them, and behind a final
    /// row there is nothing.
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut table: BTreeMap<String, &BTreeMap<String, Value>> = BTreeMap::new();
        let mut partitions = BTreeMap::new();
        let (mut n_tombstones, mut n_provisional) = (0, 0);
        for record in records {
            let key = format!("{:?}", record.key.as_ref().expect("a key"));
            let partition = *partitions.entry(key.clone()).or_insert(record.partition);
            assert_eq!(record.partition, partition, "{key} is in two partitions");
            let before = match &record.value {
                Some(value) => {
                    n_provisional += usize::from(value["_final"] == json!(false));
                    table.insert(key, value)
                }
                None => {
                    n_tombstones += 1;
                    table.remove(&key)
                }
            };
            assert!(before.is_none_or(|row| row["_final"] == json!(false)), "{before:?} became {record:?}");
        }
        assert!(table.values().all(|row| row["_final"] == json!(true)), "{table:?}");
        Self { rows: sorted(table.into_values()), n_tombstones, n_provisional }
    }
}

fn json_of(value: Avro) -> Value {
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(value) => json!(value),
        Avro::Long(n) | Avro::TimestampMillis(n) => json!(n),
        Avro::String(text) => json!(text),
        Avro::Union(_, value) => json_of(*value),
        other => panic!("no test has {other:?}"),
    }
}
