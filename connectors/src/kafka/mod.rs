//! A Kafka topic as a source, and as a sink: settings in, [`KafkaSource`] and [`KafkaSink`] out.
//!
//! One reader per source subtask: `fetch`, which speaks the protocol itself, or where the connection has
//! settings that only librdkafka knows, `KafkaReader` with a client. Another client is for questions about
//! the topic, and one tells Kafka how far reading is, for tools that show lag (`group`). No consumer group is
//! joined, and no offset is read from one. Writing is `sink`'s.
//!
//! Invariants:
//! 1. Positions are absolute offsets, resolved here; librdkafka never chooses one by itself
//!    (`auto.offset.reset=error`), so a gap can't pass unnoticed.
//! 2. What is queued in the clients of a pipeline's source is bounded by `QUEUE_BYTES_MAX` and
//!    one fetch per partition, however slowly it is taken.
//! 3. No unsafe code outside `native`.

mod decoder;
mod fetch;
mod follow;
mod group;
mod headers;
mod lookup;
mod native;
mod properties;
mod reader;
mod sink;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use weir_engine::connector::{
    Decoder, PartitionInfo, Reader, Source, SourceError, Start, Topology, WatermarkOptions,
};
use weir_schemas::registry::Fingerprints;
use weir_schemas::wire::Framing;
use weir_schemas::{Format, LeftOut, ReaderSchema, SchemaRegistry};

pub use follow::{Follow, grown, table_columns, type_of};
pub use group::ConsumerGroup;
pub use lookup::{ReaderSchemaText, SchemaChoice, lookup_reader_schema};
pub use properties::check_property;
pub use sink::{DEAD_LETTERS, KafkaSink, KafkaSinkConfig, Naming, PROGRESS_TOPIC, SubjectNames};

pub(crate) use self::decoder::{RecordDecoder, Schemas};
pub(crate) use self::table::Table;

use self::fetch::FetchReader;
use self::native::{Client, Failure, LogOffset, Topic};
use self::reader::KafkaReader;
use crate::error::{ConfigError, chain};
use crate::table_source::TableSource;

/// What the clients of one pipeline's source may hold in their queues: 64 MiB.
///
/// Less: a burst of other work (a commit, a slow operator) empties the queue and the broker's round
/// trip shows. More: memory, and nothing else.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How long [`Source::discover`] waits for the broker, for each of its four questions.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reader waits for the broker when it is given a partition: what it reads already waits
/// meanwhile, and so does a stop; it is asked again, over the same connection.
const ASSIGN_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection of `weir.yaml`. Cheap to clone.
#[derive(Clone)]
pub struct KafkaConnection {
    /// `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// For librdkafka; each one accepted by [`check_property`].
    pub properties: BTreeMap<String, String>,
    pub registry: Arc<dyn SchemaRegistry>,
}

/// A column that a record's place in Kafka fills, not its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metadata {
    /// `kafka_timestamp`: `Timestamp(Millisecond, UTC)`, null where the record has none.
    Timestamp,
    /// `kafka_partition`: `Int32`.
    Partition,
    /// `kafka_offset`: `Int64`.
    Offset,
    /// `kafka_key`: `Binary`, null where the record has none.
    Key,
}

/// A source file.
#[derive(Debug, Clone)]
pub struct KafkaSourceConfig {
    /// The source file's name: the table's name in SQL.
    pub name: String,
    pub topic: String,
    pub format: Format,
    /// How Avro records name the schemas they were written with.
    pub framing: Framing,
    pub reader_schema: ReaderSchemaText,
    /// Whether the table gets the columns of newer versions of its subject.
    pub follow: bool,
    /// A timestamp column; `None`: `kafka_timestamp`.
    pub event_time: Option<String>,
    pub watermark: WatermarkOptions,
    pub start: Start,
    /// Columns to add, in this order.
    pub metadata: Vec<Metadata>,
    /// What the broker's logs and quotas know the clients as, and the name of the consumer group:
    /// `weir.<project>.<pipeline>`.
    pub client_id: String,
}

fn c_string(value: &str) -> Result<CString, ConfigError> {
    CString::new(value).map_err(|_| ConfigError::ZeroByte { value: value.replace('\0', "\\0") })
}

/// The topic, or the files, that a source's [`Source::identity`] names.
#[must_use]
pub fn topic_of(identity: &str) -> Option<&str> {
    let first = identity.lines().next()?;
    first.strip_prefix("topic ").or_else(|| first.strip_prefix("files "))
}

/// A topic as a table.
pub struct KafkaSource {
    connection: KafkaConnection,
    config: KafkaSourceConfig,
    reader_schema: Arc<ReaderSchema>,
    table: Table,
    topic: CString,
    /// Where records name fingerprints.
    fingerprints: Option<Arc<Fingerprints>>,

    /// To ask about the topic; made when first needed, then kept with its connections.
    asked: Mutex<Option<Arc<Topic>>>,
    /// As [`Source::discover`] last saw it: readers share [`QUEUE_BYTES_MAX`] by it.
    n_partitions: AtomicUsize,
}

impl KafkaSource {
    /// Checks the settings; talks to nobody.
    ///
    /// # Errors
    /// [`ConfigError`] where they can't work.
    pub fn new(mut connection: KafkaConnection, config: KafkaSourceConfig) -> Result<Self, ConfigError> {
        for (name, value) in &connection.properties {
            check_property(name, value)?;
        }
        properties::keep_reading(&mut connection);
        for value in [&connection.bootstrap_servers, &config.client_id] {
            c_string(value)?;
        }
        let topic = c_string(&config.topic)?;
        let reader_schema = Arc::new(config.reader_schema.parse()?);
        let table = Table::new(
            &reader_schema.arrow_schema(),
            reader_schema.left_out(),
            config.event_time.as_deref(),
            &config.metadata,
        )?;
        let fingerprints = (config.framing == Framing::SingleObject).then(|| {
            let subject = match reader_schema.subject() {
                Some((subject, _)) => subject.to_owned(),
                None => format!("{}-value", config.topic),
            };
            Arc::new(Fingerprints::new(Arc::clone(&connection.registry), &subject))
        });
        Ok(Self {
            connection,
            config,
            reader_schema,
            table,
            topic,
            fingerprints,
            asked: Mutex::new(None),
            n_partitions: AtomicUsize::new(1),
        })
    }

    fn new_client(&self) -> Result<Arc<Client>, SourceError> {
        let n_partitions = self.n_partitions.load(Ordering::Relaxed);
        let conf = properties::client_conf(&self.connection, &self.config.client_id, n_partitions)
            .map_err(|error| SourceError::Fatal(chain(&error)))?;
        Client::new(conf).map(Arc::new).map_err(|failure| {
            SourceError::Fatal(format!("the Kafka client refuses its configuration: {}", failure.detail))
        })
    }

    fn asked(&self) -> Result<Arc<Topic>, SourceError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = &*asked {
            return Ok(Arc::clone(topic));
        }
        let topic = Topic::new(self.new_client()?, &self.topic);
        let topic = topic.map_err(|failure| SourceError::Fatal(failure.detail))?;
        Ok(Arc::clone(asked.insert(Arc::new(topic))))
    }

    /// What a failed question means for the caller, with what the client says about its brokers.
    fn retry(&self, client: &Client, failure: &Failure) -> SourceError {
        let topic = &self.config.topic;
        if failure.is_unknown_topic() {
            return SourceError::Retry(format!("topic \"{topic}\" does not exist yet"));
        }
        let detail = client.cause().unwrap_or_else(|| failure.detail.clone());
        SourceError::Retry(format!(
            "could not ask the broker at \"{}\" about topic \"{topic}\": {detail}",
            self.connection.bootstrap_servers
        ))
    }
}

impl TableSource for KafkaSource {
    fn reader_schema(&self) -> &ReaderSchemaText {
        &self.config.reader_schema
    }

    fn left_out(&self) -> &[LeftOut] {
        self.reader_schema.left_out()
    }

    fn consumer_group(&self) -> Result<Option<ConsumerGroup>, SourceError> {
        self.group().map(Some)
    }
}

impl Source for KafkaSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn topic(&self) -> &str {
        &self.config.topic
    }

    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn event_time(&self) -> usize {
        self.table.event_time()
    }

    fn watermark(&self) -> WatermarkOptions {
        self.config.watermark
    }

    fn start(&self) -> Start {
        self.config.start
    }

    fn identity(&self) -> String {
        let event_time = self.table.schema().field(self.table.event_time()).name().clone();
        // Not the reader schema: the plan's fingerprint has the names and types of the columns in use,
        // and another column that nobody uses changes no state.
        format!("topic {}\nevent time {event_time}", self.config.topic)
    }

    fn discover(&self) -> Result<Topology, SourceError> {
        let asked = self.asked()?;
        let client = asked.client();
        client.serve();
        let topic = asked.describe(BROKER_TIMEOUT).map_err(|failure| self.retry(client, &failure))?;
        let ask = |at| {
            client
                .list_offsets(&self.topic, &topic.partitions, at, BROKER_TIMEOUT)
                .map_err(|failure| self.retry(client, &failure))
        };
        let begin_offsets = ask(LogOffset::Begin)?;
        let end_offsets = ask(LogOffset::End)?;
        self.n_partitions.store(topic.partitions.len().max(1), Ordering::Relaxed);
        let partitions = topic.partitions.iter().zip(begin_offsets.into_iter().zip(end_offsets));
        Ok(Topology {
            topic_id: topic.topic_id,
            partitions: partitions
                .map(|(&partition, (begin_offset, end_offset))| PartitionInfo {
                    partition,
                    begin_offset,
                    end_offset,
                })
                .collect(),
        })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        let topic = self.config.topic.as_str();
        let settings = fetch::Settings::new(
            &self.connection.bootstrap_servers,
            &self.connection.properties,
            topic,
            &self.config.client_id,
            self.n_partitions.load(Ordering::Relaxed),
        );
        match settings {
            Ok(settings) => {
                tracing::info!(topic, reader = "fetch", "reading with Weir's own Fetch reader");
                Ok(Box::new(FetchReader::new(settings)?))
            }
            Err(because) => {
                tracing::info!(topic, reader = "librdkafka", because, "reading with librdkafka");
                let servers = &self.connection.bootstrap_servers;
                let reader = KafkaReader::new(self.new_client()?, &self.topic, servers)
                    .map_err(|failure| SourceError::Fatal(failure.detail))?;
                Ok(Box::new(reader))
            }
        }
    }

    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let schemas = Schemas {
            format: self.config.format,
            reader: Arc::clone(&self.reader_schema),
            registry: Arc::clone(&self.connection.registry),
            fingerprints: self.fingerprints.clone(),
        };
        let KafkaSourceConfig { event_time, metadata, .. } = &self.config;
        let reader = || Arc::clone(&self.reader_schema);
        let follow = self.config.follow.then(|| Follow::new(reader(), event_time.clone(), metadata.clone()));
        let follow = follow.transpose().map_err(|error| SourceError::Fatal(chain(&error)))?;
        let decoder = RecordDecoder::new(&self.table, schemas, columns, follow)
            .map_err(|error| SourceError::Fatal(chain(&error)))?;
        Ok(Box::new(decoder))
    }
}
