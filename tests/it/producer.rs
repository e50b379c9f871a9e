//! Topics, schemas and records for the tests.

use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use weir_schemas::wire::{Fingerprint, single_object_header};

/// How long a broker may take for anything; as long as a restart.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Makes, changes and deletes topics.
pub(crate) struct Topics {
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Topics {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { admin, runtime }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
    }

    /// With as many copies as the brokers make by default.
    pub(crate) fn create(&self, topic: &str, n_partitions: i32) {
        let topic = NewTopic::new(topic, n_partitions, TopicReplication::Fixed(-1));
        let results = self.runtime.block_on(self.admin.create_topics([&topic], &Self::options()));
        results.expect("the broker answers").remove(0).expect("the topic is new");
    }

    pub(crate) fn delete(&self, topic: &str) {
        let results = self.runtime.block_on(self.admin.delete_topics(&[topic], &Self::options()));
        results.expect("the broker answers").remove(0).expect("the topic is there");
    }

    /// Adds partitions until there are `n_partitions`.
    pub(crate) fn grow(&self, topic: &str, n_partitions: usize) {
        let partitions = NewPartitions::new(topic, n_partitions);
        let results = self.runtime.block_on(self.admin.create_partitions([&partitions], &Self::options()));
        results.expect("the broker answers").remove(0).expect("the topic is smaller");
    }

    /// A setting of a topic.
    pub(crate) fn setting(&self, topic: &str, name: &str) -> Option<String> {
        let of = [ResourceSpecifier::Topic(topic)];
        let described = self.runtime.block_on(self.admin.describe_configs(&of, &Self::options()));
        let described = described.expect("the broker answers").remove(0).expect("the topic is there");
        described.get(name).and_then(|entry| entry.value.clone())
    }

    /// Deletes the records of a partition before `offset`.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("a valid offset");
        self.runtime
            .block_on(self.admin.delete_records(&before, &Self::options()))
            .expect("the broker answers");
    }
}

/// Registers a schema, and gives its id.
pub(crate) fn register(registry_url: &str, subject: &str, body: &serde_json::Value) -> u32 {
    let mut answer = ureq::post(format!("{registry_url}/subjects/{subject}/versions"))
        .header("Content-Type", "application/vnd.schemaregistry.v1+json")
        .send_json(body)
        .expect("the registry takes it");
    let answer: serde_json::Value = answer.body_mut().read_json().expect("the registry answers JSON");
    answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id")
}

/// A schema that a registry knows.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) id: u32,
    text: String,
    schema: Schema,
}

impl Writer {
    /// Registers `schema` under `subject`.
    pub(crate) fn register(registry_url: &str, subject: &str, schema: &str) -> Self {
        let id = register(registry_url, subject, &serde_json::json!({ "schema": schema }));
        Self { id, text: schema.to_owned(), schema: Schema::parse_str(schema).expect("an Avro schema") }
    }

    /// A record value: magic byte, schema id, Avro.
    pub(crate) fn encode(&self, fields: &[(&str, Value)]) -> Vec<u8> {
        [&[0][..], &self.id.to_be_bytes(), &self.body(fields)].concat()
    }

    /// A record value in Avro's single-object encoding: marker, fingerprint, Avro.
    pub(crate) fn single_object(&self, fields: &[(&str, Value)]) -> Vec<u8> {
        // Not by apache-avro, which leaves an object around a logical type where Java writes the type alone.
        let fingerprint = Fingerprint::of(&self.text.as_str().into()).expect("an Avro schema");
        [&single_object_header(fingerprint)[..], &self.body(fields)].concat()
    }

    fn body(&self, fields: &[(&str, Value)]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let record = Value::Record(fields).resolve(&self.schema).expect("a value of the schema");
        let body = GenericDatumWriter::builder(&self.schema)
            .build()
            .and_then(|writer| writer.write_value_to_vec(record));
        body.expect("a value of the schema")
    }
}

/// Writes records.
pub(crate) struct Producer {
    producer: BaseProducer,
}

/// Where and when a record is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    /// Kafka timestamp.
    pub(crate) timestamp_ms: i64,
}

impl Producer {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { producer: Self::config(bootstrap).create().expect("a client") }
    }

    /// One whose records count when their transaction is committed.
    pub(crate) fn transactional(bootstrap: &str, id: &str) -> Self {
        let producer: BaseProducer =
            Self::config(bootstrap).set("transactional.id", id).create().expect("a client");
        producer.init_transactions(PATIENCE).expect("the broker answers");
        Self { producer }
    }

    fn config(bootstrap: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true").set("linger.ms", "1");
        config
    }

    /// Queues a record; `value: None` is a tombstone.
    pub(crate) fn send(&self, to: To<'_>, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut record = BaseRecord::to(to.topic).partition(to.partition).timestamp(to.timestamp_ms);
        record.key = key;
        record.payload = value;
        self.queue(to, record);
    }

    /// Queues a record with headers and without a key.
    pub(crate) fn send_with(&self, to: To<'_>, headers: &[(&str, Option<&[u8]>)], value: &[u8]) {
        self.send_whole(to, headers, None, value);
    }

    /// Queues a record with headers, and a key or none.
    pub(crate) fn send_whole(
        &self,
        to: To<'_>,
        headers: &[(&str, Option<&[u8]>)],
        key: Option<&[u8]>,
        value: &[u8],
    ) {
        let add = |all: OwnedHeaders, (key, value): &(&str, Option<&[u8]>)| {
            let value = value.map(<[u8]>::to_vec);
            all.insert(Header { key, value: value.as_ref() })
        };
        let headers = headers.iter().fold(OwnedHeaders::new(), add);
        let mut record = BaseRecord::to(to.topic).partition(to.partition).timestamp(to.timestamp_ms);
        (record.key, record.payload) = (key, Some(value));
        self.queue(to, record.headers(headers));
    }

    fn queue(&self, to: To<'_>, mut record: BaseRecord<'_, [u8], [u8]>) {
        while let Err((error, returned)) = self.producer.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(rdkafka::types::RDKafkaErrorCode::QueueFull),
                "could not send to {to:?}"
            );
            self.producer.poll(Duration::from_millis(100));
            record = returned;
        }
    }

    /// Waits until the broker has all that was sent.
    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).expect("the broker takes it");
    }

    pub(crate) fn begin(&self) {
        self.producer.begin_transaction().expect("no transaction is open");
    }

    pub(crate) fn commit(&self) {
        self.producer.commit_transaction(PATIENCE).expect("the broker answers");
    }

    pub(crate) fn abort(&self) {
        self.producer.abort_transaction(PATIENCE).expect("the broker answers");
    }
}
