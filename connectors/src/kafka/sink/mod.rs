//! A Kafka topic as a sink: each row in one committed transaction, whatever dies when.
//!
//! ```text
//! open:     topics made if missing ─► init_transactions (fences) ─► progress read ─► schemas ─► claim
//! deliver:  begin ─► rows, progress record ─► flush ─► commit
//!                                              └── undecided: the producer is destroyed, open finds out
//! ```
//!
//! Invariants:
//! 1. Rows and progress record are in one transaction: a read_committed reader has both or none.
//! 2. Earlier writers are fenced before progress is read, so that what it says stays true.
//! 3. No transaction is open but during [`SinkWriter::deliver`] and [`Sink::open`]; a producer whose
//!    transaction ended in any way but committed or aborted is never used again.
//! 4. Of two processes that write one sink, the one that opened it last goes on: the other finds, when
//!    it opens it anew, that somebody else has, and gives up instead of fencing it in turn.

mod letters;
mod producer;
mod progress;
mod schemas;
mod topics;
mod writer;

use std::ffi::{CStr, CString};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::Schema;
use weir_engine::connector::{Emit, Progress, Sink, SinkContext, SinkError, SinkWriter};
use weir_schemas::SchemaError;

use self::producer::Producer;
use self::schemas::Schemas;
pub use self::schemas::{Naming, SubjectNames};
use self::writer::{Encoders, KafkaWriter};
use super::native::{Client, Topic};
use super::{KafkaConnection, c_string, check_property, properties};
use crate::error::{ConfigError, chain};

/// The topic of progress records, one per sink that counts: the newest of its key.
pub const PROGRESS_TOPIC: &str = "_weir_progress";
const PROGRESS_NAME: &CStr = c"_weir_progress";

/// The name of the sink of a pipeline's dead letters, which no file can have.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Compacted, in segments small enough that it is: the one that is written to never is, and all of it
/// is read whenever a sink is opened.
const PROGRESS_SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];

/// A sink file of type `kafka`, or a pipeline's dead letters.
#[derive(Debug, Clone)]
pub struct KafkaSinkConfig {
    /// The sink file's name; [`DEAD_LETTERS`].
    pub name: String,
    pub topic: String,
    pub emit: Emit,
    pub naming: Naming,
}

/// Writes rows to a topic, which is made if missing.
pub struct KafkaSink {
    connection: KafkaConnection,
    config: KafkaSinkConfig,
    topic: CString,
    /// Tells this process's progress records from those of others.
    attempt: String,

    /// Whether a progress record of this attempt was committed.
    has_claimed: AtomicBool,
}

impl KafkaSink {
    /// Checks the settings; talks to nobody.
    ///
    /// # Errors
    /// [`ConfigError`] where they can't work.
    pub fn new(connection: KafkaConnection, config: KafkaSinkConfig) -> Result<Self, ConfigError> {
        for (name, value) in &connection.properties {
            check_property(name, value)?;
        }
        c_string(&connection.bootstrap_servers)?;
        let topic = c_string(&config.topic)?;
        let attempt = format!("{:016x}", RandomState::new().build_hasher().finish());
        Ok(Self { connection, config, topic, attempt, has_claimed: AtomicBool::new(false) })
    }

    /// Checks that columns can be written: `columns` and `key` as in [`SinkContext`].
    ///
    /// # Errors
    /// [`SchemaError`] naming the column that Avro has no type or no name for.
    pub fn check_columns(&self, columns: &Schema, key: &[usize]) -> Result<(), SchemaError> {
        self.derive(columns, key).map(drop)
    }

    fn derive(&self, columns: &Schema, key: &[usize]) -> Result<Schemas, SchemaError> {
        Schemas::derive(&self.config.topic, &self.config.naming, columns, key)
    }

    /// Those of its records; `None` where they are dead letters.
    fn schemas(&self, context: &SinkContext) -> Result<Option<Schemas>, SinkError> {
        if self.config.emit == Emit::DeadLetters {
            return Ok(None);
        }
        self.derive(&context.schema, &context.key)
            .map(Some)
            .map_err(|error| SinkError::Fatal(format!("its columns can't be written as Avro: {error}")))
    }

    /// A client that asks about topics and reads what is there, committed or not.
    fn asking_client(&self, identity: &str, isolation: &str) -> Result<Arc<Client>, SinkError> {
        let mut connection = self.connection.clone();
        properties::keep_reading(&mut connection);
        connection.properties.insert("isolation.level".to_owned(), isolation.to_owned());
        let conf = properties::client_conf(&connection, identity, 1)
            .map_err(|error| SinkError::Fatal(chain(&error)))?;
        Client::new(conf).map(Arc::new).map_err(|failure| refused(&failure.detail))
    }

    /// Whether somebody else has opened the sink since this process did.
    fn is_taken_over(&self, found: Option<&progress::Record>) -> bool {
        self.has_claimed.load(Ordering::Relaxed) && found.is_some_and(|record| record.attempt != self.attempt)
    }

    fn open_writer(&self, context: &SinkContext) -> Result<(KafkaWriter, Option<Progress>), SinkError> {
        let identity = context.identity();
        let schemas = self.schemas(context)?;
        let servers = &self.connection.bootstrap_servers;
        let asked = self.asking_client(&identity, "read_uncommitted")?;
        let ensure = |topic: &CStr, n_partitions, settings: &[(&str, &str)]| {
            topics::ensure(&asked, servers, topic, n_partitions, settings, &context.stopping)
        };
        ensure(&self.topic, context.source_partitions, &[])?;
        let partitions = ensure(PROGRESS_NAME, 1, &PROGRESS_SETTINGS)?;

        let conf = properties::producer_conf(&self.connection, &identity)
            .map_err(|error| SinkError::Fatal(chain(&error)))?;
        let client = Client::producer(conf).map_err(|failure| refused(&failure.detail))?;
        let producer = Producer::new(Arc::new(client), servers, &context.stopping);
        producer.fence_others()?;

        let reads = self.asking_client(&identity, "read_committed")?;
        let found = progress::read(&asked, reads, servers, &partitions, &identity, &context.stopping)?;
        if self.is_taken_over(found.as_ref()) {
            return Err(SinkError::Fatal(format!(
                "another process has taken over \"{identity}\": stop one of the two, or give one of their projects \
                 another name"
            )));
        }
        let progress = found.and_then(|record| record.progress);
        let register = |schemas: Schemas| schemas.register(&*self.connection.registry);
        let encoders = schemas.map(register).transpose()?;
        let topic = |name: &CStr| {
            Topic::new(producer.client(), name).map_err(|failure| SinkError::Reopen(failure.detail))
        };
        let mut writer = KafkaWriter {
            rows: topic(&self.topic)?,
            progress: topic(PROGRESS_NAME)?,
            producer,
            encoders: encoders.map(|(keys, values)| Encoders::new(keys, values)),
            attempt: self.attempt.clone(),
            context: context.clone(),
        };
        writer.claim(progress)?;
        self.has_claimed.store(true, Ordering::Relaxed);
        Ok((writer, progress))
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn emit(&self) -> Emit {
        self.config.emit
    }

    fn open(&self, context: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        let (writer, progress) = self.open_writer(context)?;
        Ok((Box::new(writer), progress))
    }
}

fn refused(detail: &str) -> SinkError {
    SinkError::Fatal(format!("the Kafka client refuses its configuration: {detail}"))
}
