//! From a project's pipeline to a plan over its source: reader schemas looked up, SQL planned.
//!
//! ```text
//! source file ─► reader schema (kept with the state, else looked up) ─► TableSource ─► table ┐
//! pipeline file ─► SQL ─────────────────────────────────────────────────────────────────────┴► plan
//! ```
//!
//! Invariants:
//! 1. What may yet come (a registry that is away, a subject that is not registered) is waited for;
//!    what will never work is a problem with a place in a file.
//! 2. `schema: latest` (or `follow`) is looked up when a pipeline first starts; then its state keeps the schema.
//! 3. A plan that does not fit the kept state is refused here, before anything is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use weir_connectors::blackhole::BlackholeSink;
use weir_connectors::file::FileSink;
use weir_connectors::files::{FilesSource, FilesSourceConfig, file_schemas};
use weir_connectors::kafka::{
    DEAD_LETTERS, KafkaConnection, KafkaSink, KafkaSinkConfig, KafkaSource, KafkaSourceConfig, Naming,
    ReaderSchemaText, SchemaChoice, lookup_reader_schema,
};
use weir_connectors::{ConfigError, LookupError, TableSource, chain};
use weir_engine::connector::{Emit, Sink};
use weir_engine::dataflow::plan::Plan;
use weir_engine::operator::stateless::result_schema;
use weir_engine::pipeline::PipelineSink;
use weir_engine::sql::{LeftOut, Refusal, TableDef, described};

use super::connections::Connections;
use super::data_dir::Kept;
use crate::project::{
    Code, LettersTopic, OUTBOX_BYTES, Pipeline, Place, Pos, Problem, Problems, Project, SinkKind, Source,
};

/// Of SQL that names a table which is not there.
pub(crate) const UNKNOWN_TABLE: &str = "E0203";

/// A pipeline that can be started.
pub struct Prepared {
    pub plan: Arc<Plan>,
    pub source: Arc<dyn TableSource>,
    pub sinks: Vec<PipelineSink>,
    /// The text that is kept with the state.
    pub reader_schema: String,
}

/// What came of preparing something.
pub enum Outcome<T> {
    Ready(T),
    /// Try again later; why.
    Waiting(String),
    /// Fix the project.
    Wrong(Problems),
}

/// Prepares the pipelines of one project.
pub struct Preparer {
    project: Arc<Project>,
    connections: Connections,
    /// Reader schemas that were looked up, by source.
    schemas: Mutex<BTreeMap<String, ReaderSchemaText>>,
}

impl Preparer {
    #[must_use]
    pub fn new(project: Arc<Project>, connections: Connections) -> Self {
        Self { project, connections, schemas: Mutex::default() }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Plans a pipeline. `kept` is what its state was made with. May ask registries, for seconds.
    pub fn prepare(&self, name: &str, kept: Option<&Kept>) -> Outcome<Prepared> {
        let Some(pipeline) = self.project.pipelines.get(name) else {
            return Outcome::Waiting(format!("there is no pipeline \"{name}\""));
        };
        let mut sources: BTreeMap<&str, Arc<dyn TableSource>> = BTreeMap::new();
        let (mut waiting, mut problems) = (Vec::new(), Problems::default());
        for source in self.candidates(pipeline.sql()) {
            match self.source(source, name, kept) {
                Outcome::Ready(ready) => drop(sources.insert(source, ready)),
                Outcome::Waiting(why) => waiting.push(why),
                Outcome::Wrong(wrong) => problems.extend(wrong),
            }
        }
        let tables: Vec<TableDef> = sources.values().map(|source| table(&**source)).collect();
        let planned = weir_engine::sql::plan(pipeline.sql(), &tables)
            .map(|plan| Plan { shown_sql: pipeline.shown_sql().to_owned(), ..plan });
        match planned {
            Ok(plan) => match sources.remove(plan.source.as_str()) {
                Some(source) => self.ready(name, pipeline, plan, source, kept),
                None => Outcome::Waiting(format!("source \"{}\" is not ready", plan.source)),
            },
            Err(mut refusals) => {
                // It may name a table that is not there yet, or one that is broken. What else is refused without the
                // table is so with it.
                if !(waiting.is_empty() && problems.is_empty()) {
                    refusals.retain(|refusal| refusal.code != UNKNOWN_TABLE);
                }
                problems.extend(self.refused(name, pipeline, &refusals));
                if problems.is_empty() {
                    Outcome::Waiting(waiting.join("; "))
                } else {
                    Outcome::Wrong(problems)
                }
            }
        }
    }

    /// Checks a source by itself: its schema, its event time. What no query can read of it, with the reason.
    pub fn check_source(&self, name: &str) -> Outcome<Vec<LeftOut>> {
        match self.source(name, "check", None) {
            Outcome::Ready(source) => Outcome::Ready(left_out(&*source)),
            Outcome::Waiting(why) => Outcome::Waiting(why),
            Outcome::Wrong(problems) => Outcome::Wrong(problems),
        }
    }

    /// The clients of a connection.
    pub(super) fn connection(&self, name: &str) -> Option<&KafkaConnection> {
        self.connections.get(name)
    }

    /// The reader schema that a source was looked up with.
    pub(super) fn looked_up(&self, source: &str) -> Option<ReaderSchemaText> {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    /// The same project, with another reader schema for a source.
    pub(super) fn assuming(&self, source: &str, reader: ReaderSchemaText) -> Self {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner).clone();
        schemas.insert(source.to_owned(), reader);
        let (project, connections) = (Arc::clone(&self.project), self.connections.clone());
        Self { project, connections, schemas: Mutex::new(schemas) }
    }

    /// The sources whose names appear in the SQL; all of them where none does, so that a refusal can
    /// name the nearest.
    pub fn candidates(&self, sql: &str) -> Vec<&str> {
        let words: Vec<String> =
            sql.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_lowercase).collect();
        let all = || self.project.sources.keys().map(String::as_str);
        let named: Vec<&str> = all().filter(|name| words.iter().any(|word| word == name)).collect();
        if named.is_empty() { all().collect() } else { named }
    }

    fn source(&self, name: &str, pipeline: &str, kept: Option<&Kept>) -> Outcome<Arc<dyn TableSource>> {
        let Some(source) = self.project.sources.get(name) else {
            return Outcome::Waiting(format!("there is no source \"{name}\""));
        };
        let kept = kept.filter(|kept| kept.identity.source == name);
        let redactor = &self.project.redactor;
        let reader_schema = match self.reader_schema(name, source, kept) {
            Ok(schema) => schema,
            Err(LookupError::Retry(error)) => {
                return Outcome::Waiting(redactor.apply(&format!("source \"{name}\": {error}")));
            }
            Err(error) => {
                return wrong(name, source.spots.schema, Code::Source, redactor.apply(&chain(&error)));
            }
        };
        let made = match &source.place {
            Place::Files { pattern, shown } => files(name, source, pattern, shown, reader_schema),
            Place::Kafka { connection, topic } => {
                let Some(connection) = self.connections.get(connection) else {
                    return Outcome::Waiting(format!("connection of source \"{name}\" is not ready"));
                };
                let client_id = format!("weir.{}.{pipeline}", self.project.name);
                kafka(name, source, connection, topic, client_id, reader_schema)
            }
        };
        match made {
            Ok(source) => Outcome::Ready(source),
            Err(error) => {
                let (at, code) = match error {
                    ConfigError::NoSuchEventTime { .. }
                    | ConfigError::EventTimeLeftOut { .. }
                    | ConfigError::EventTimeType { .. } => (source.spots.event_time, Code::EventTime),
                    _ => (source.spots.schema, Code::Source),
                };
                wrong(name, at, code, redactor.apply(&chain(&error)))
            }
        }
    }

    fn ready(
        &self,
        name: &str,
        pipeline: &Pipeline,
        plan: Plan,
        source: Arc<dyn TableSource>,
        kept: Option<&Kept>,
    ) -> Outcome<Prepared> {
        if let Some(kept) = kept.filter(|kept| kept.identity.fingerprint != plan.fingerprint) {
            let back = format!("put that back, or start over with \"weir reset\" for \"{name}\"");
            let hint = if kept.identity.source_identity == source.identity() {
                let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
                let (made_by, now) = (words(&kept.identity.shown_sql), words(&plan.shown_sql));
                match made_by == now {
                    true => format!("an environment variable in its SQL had another value: {back}"),
                    false => format!("it was made by \"{made_by}\": {back}"),
                }
            } else {
                format!("its topic or event time was another: {back}")
            };
            return Outcome::Wrong(Problems::from(Problem {
                file: format!("pipelines/{name}.yaml"),
                at: pipeline.position(1, 1),
                code: Code::StateChanged.as_str(),
                message: "the state of this pipeline is of another query or source".to_owned(),
                hint: Some(hint),
            }));
        }
        let sinks = match self.sinks(name, &plan) {
            Ok(sinks) => sinks,
            Err(problems) => return Outcome::Wrong(problems),
        };
        match serde_json::to_string(source.reader_schema()) {
            Ok(reader_schema) => {
                Outcome::Ready(Prepared { plan: Arc::new(plan), source, sinks, reader_schema })
            }
            Err(error) => wrong(&plan.source, Pos::START, Code::Source, error.to_string()),
        }
    }

    /// The sinks that get the pipeline's rows.
    fn sinks(&self, pipeline: &str, plan: &Plan) -> Result<Vec<PipelineSink>, Problems> {
        let (mut sinks, mut problems) = (Vec::new(), Problems::default());
        for (name, sink) in self.project.sinks.iter().filter(|(_, sink)| sink.from == pipeline) {
            let mut wrong = |at, code, message: &str| {
                problems.push(&format!("sinks/{name}.yaml"), at, code, message);
            };
            if sink.emit == Emit::Updates && plan.key.is_empty() {
                let message = "a pipeline without GROUP BY has no key to update by: say \"emit: final\"";
                wrong(sink.emit_at, Code::BadValue, message);
            }
            let outbox_bytes_max = sink.outbox_bytes_max;
            let sink: Arc<dyn Sink> = match &sink.kind {
                SinkKind::File { folder } => Arc::new(FileSink::new(name, folder)),
                SinkKind::Blackhole => Arc::new(BlackholeSink::new(name, sink.emit)),
                SinkKind::Kafka { connection, topic, naming, at } => {
                    let naming = Naming { docs: described(&plan.shown_sql), ..naming.clone() };
                    match self.kafka_sink((name, naming), sink.emit, connection, topic, plan) {
                        Ok(sink) => Arc::new(sink),
                        Err(message) => {
                            wrong(*at, Code::Sink, &message);
                            continue;
                        }
                    }
                }
            };
            sinks.push(PipelineSink { sink, outbox_bytes_max });
        }
        if let Some(letters) =
            self.project.pipelines.get(pipeline).and_then(|each| each.letters_topic.as_ref())
        {
            match self.letters_sink(letters, plan) {
                Ok(sink) => sinks.push(sink),
                Err(message) => problems.push(&letters.file, letters.at, Code::Sink, message),
            }
        }
        problems.or(sinks)
    }

    /// The sink of dead letters, or what is wrong with it.
    fn letters_sink(&self, letters: &LettersTopic, plan: &Plan) -> Result<PipelineSink, String> {
        let of_source = self.project.sources.get(&plan.source).and_then(Source::connection);
        let connection = letters.connection.as_deref().or(of_source);
        let connection = connection.ok_or("its pipeline reads files: say \"connection\", too")?;
        let called = (DEAD_LETTERS, Naming::default());
        let sink = self.kafka_sink(called, Emit::DeadLetters, connection, &letters.topic, plan)?;
        Ok(PipelineSink { sink: Arc::new(sink), outbox_bytes_max: OUTBOX_BYTES.1 })
    }

    /// Or what is wrong with it.
    fn kafka_sink(
        &self,
        (name, naming): (&str, Naming),
        emit: Emit,
        connection: &str,
        topic: &str,
        plan: &Plan,
    ) -> Result<KafkaSink, String> {
        let source = self.project.sources.get(&plan.source);
        if source.is_some_and(|source| source.topic() == topic && source.connection() == Some(connection)) {
            return Err(format!(
                "its pipeline reads topic \"{topic}\": what it writes there it would read again"
            ));
        }
        let connection =
            self.connections.get(connection).ok_or_else(|| "its connection is not ready".to_owned())?;
        let config = KafkaSinkConfig { name: name.to_owned(), topic: topic.to_owned(), emit, naming };
        let told = |error: &dyn std::error::Error| self.project.redactor.apply(&chain(error));
        let sink = KafkaSink::new(connection.clone(), config).map_err(|error| told(&error))?;
        let columns = match emit {
            Emit::Final => Arc::clone(&plan.output),
            Emit::Updates => result_schema(&plan.output),
            // They are written as they are.
            Emit::DeadLetters => return Ok(sink),
        };
        sink.check_columns(&columns, &plan.key).map_err(|error| told(&error))?;
        Ok(sink)
    }

    fn refused(&self, name: &str, pipeline: &Pipeline, refusals: &[Refusal]) -> Problems {
        let told = |text: &str| pipeline.redact(&self.project.redactor.apply(text));
        let mut problems = Problems::default();
        for refusal in refusals {
            problems.add(Problem {
                file: format!("pipelines/{name}.yaml"),
                at: pipeline.position(refusal.line as usize, refusal.column as usize),
                code: refusal.code,
                message: told(&refusal.message),
                hint: refusal.hint.as_deref().map(told),
            });
        }
        problems
    }

    fn reader_schema(
        &self,
        name: &str,
        source: &Source,
        kept: Option<&Kept>,
    ) -> Result<ReaderSchemaText, LookupError> {
        if let Some(schema) = kept.and_then(|kept| kept_schema(kept, source)) {
            return Ok(schema);
        }
        let known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let registry = match &source.place {
            Place::Files { pattern, shown } => Some(file_schemas(pattern, shown)),
            Place::Kafka { connection, .. } => {
                self.connections.get(connection).map(|connection| Arc::clone(&connection.registry))
            }
        };
        let Some(registry) = registry else {
            let detail = "its connection is not ready".to_owned();
            return Err(LookupError::Retry(weir_schemas::RegistryError::Unavailable { detail }));
        };
        let message = source.message.as_deref();
        let schema = lookup_reader_schema(&*registry, &source.schema, source.format, message)?;
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(name.to_owned(), schema.clone());
        Ok(schema)
    }
}

/// The kept schema, where it is the one that the source file asks for.
fn kept_schema(kept: &Kept, source: &Source) -> Option<ReaderSchemaText> {
    let schema: ReaderSchemaText = serde_json::from_str(&kept.identity.reader_schema).ok()?;
    let asked_for = match (&source.schema, &schema.subject) {
        (SchemaChoice::Latest { subject } | SchemaChoice::Follow { subject }, Some((kept, _))) => {
            subject == kept
        }
        (SchemaChoice::Version { subject, version }, Some((kept, kept_version))) => {
            subject == kept && version == kept_version
        }
        (SchemaChoice::File(_), _) | (_, None) => false,
    };
    (asked_for && schema.schema.message == source.message).then_some(schema)
}

fn kafka(
    name: &str,
    source: &Source,
    connection: &KafkaConnection,
    topic: &str,
    client_id: String,
    reader_schema: ReaderSchemaText,
) -> Result<Arc<dyn TableSource>, ConfigError> {
    let config = KafkaSourceConfig {
        name: name.to_owned(),
        topic: topic.to_owned(),
        format: source.format,
        reader_schema,
        framing: source.framing,
        follow: matches!(source.schema, SchemaChoice::Follow { .. }),
        event_time: source.event_time.clone(),
        watermark: source.watermark,
        start: source.start,
        metadata: source.metadata.clone(),
        client_id,
    };
    Ok(Arc::new(KafkaSource::new(connection.clone(), config)?))
}

fn files(
    name: &str,
    source: &Source,
    pattern: &Path,
    shown: &str,
    reader_schema: ReaderSchemaText,
) -> Result<Arc<dyn TableSource>, ConfigError> {
    let config = FilesSourceConfig {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        shown: shown.to_owned(),
        reader_schema,
        event_time: source.event_time.clone().unwrap_or_default(),
        watermark: source.watermark,
        start: source.start,
    };
    Ok(Arc::new(FilesSource::new(config)?))
}

fn table(source: &dyn TableSource) -> TableDef {
    TableDef {
        name: source.name().to_owned(),
        schema: source.schema(),
        event_time: source.event_time(),
        identity: source.identity(),
        left_out: left_out(source),
    }
}

/// What no query can read of a source, with the reason.
#[must_use]
pub fn left_out(source: &dyn TableSource) -> Vec<LeftOut> {
    let column = |left_out: &weir_schemas::LeftOut| LeftOut {
        column: left_out.field.clone(),
        reason: left_out.reason.clone(),
    };
    source.left_out().iter().map(column).collect()
}

fn wrong<T>(source: &str, at: Pos, code: Code, message: String) -> Outcome<T> {
    let mut problems = Problems::default();
    problems.push(&format!("sources/{source}.yaml"), at, code, message);
    Outcome::Wrong(problems)
}
