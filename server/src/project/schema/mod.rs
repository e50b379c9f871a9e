//! A JSON Schema of all project files, for editors: `weir schema`.
//!
//! Invariant: it has the keys and words that the parser takes, no more and no fewer. Words come from the
//! parser's own tables where it has some; a test compares the rest with what the parser asks for.

use serde_json::{Value, json};

use super::dashboard::{AGGREGATES, CHARTS, MAX_HEIGHT, MAX_WIDTH};
use super::pipeline::MAX_PARALLELISM;
use super::sink::SUBJECT_NAMES;
use super::source::{FORMATS, FRAMING, METADATA, TYPES};

/// The kinds of project files, as `weir schema KIND` names them, and where they lie.
pub const KINDS: [(&str, &str); 5] = [
    ("project", "weir.yaml"),
    ("source", "sources/*.yaml"),
    ("pipeline", "pipelines/*.yaml"),
    ("sink", "sinks/*.yaml"),
    ("dashboard", "dashboards/*.yaml"),
];

/// The schema of one kind of file; without a kind, one that each of them fits. `None`: no such kind.
#[must_use]
pub fn schema(kind: Option<&str>) -> Option<Value> {
    let root = match kind {
        Some(kind) => {
            let (kind, path) = KINDS.iter().find(|(name, _)| *name == kind)?;
            json!({ "title": format!("weir: {path}"), "$ref": format!("#/$defs/{kind}") })
        }
        None => {
            let each = KINDS.map(|(kind, _)| json!({ "$ref": format!("#/$defs/{kind}") }));
            json!({ "title": "weir: a file of a project", "anyOf": each })
        }
    };
    let mut root = root;
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["$defs"] = json!({
        "project": project(),
        "source": source(),
        "pipeline": pipeline(),
        "sink": sink(),
        "dashboard": dashboard(),
        "connection": connection(),
        "panel": panel(),
        "settings": object("Defaults for all pipelines.", &[], settings()),
        "variable": { "type": "string", "pattern": r"\$\{" },
        "text": { "type": ["string", "number", "boolean"] },
        "name": { "type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": 64 },
        "duration": { "type": "string", "pattern": r"^[0-9]+(ms|s|m|h|d)$|\$\{" },
        "size": { "type": "string", "pattern": r"^[0-9]+(KiB|MiB|GiB|TiB)$|\$\{" },
    });
    Some(root)
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// A value of the kind `of` in `$defs`.
fn value(of: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{of}"), "description": description })
}

fn duration(default: &str, description: &str) -> Value {
    json!({ "$ref": "#/$defs/duration", "default": default, "description": description })
}

fn size(default: &str, description: &str) -> Value {
    json!({ "$ref": "#/$defs/size", "default": default, "description": description })
}

/// One of the words, or a variable that holds one.
fn words(words: &[&str], description: &str) -> Value {
    json!({ "description": description, "anyOf": [{ "enum": words }, { "$ref": "#/$defs/variable" }] })
}

fn integer(min: u64, max: u64, description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "$ref": "#/$defs/variable" }],
    })
}

fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

fn project() -> Value {
    object(
        "weir.yaml: connections, and defaults for all pipelines.",
        &[],
        json!({
            "project": value("text", "The project's name, part of consumer groups and transactional ids; default: the folder's name."),
            "connections": {
                "description": "Kafka clusters, by name.",
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": { "$ref": "#/$defs/connection" },
            },
            "pipelines": { "$ref": "#/$defs/settings" },
            "registry": object(
                "A schema registry of its own, run beside the pipelines; a connection names its url.",
                &[],
                json!({ "listen": value("text", "Its address; default 127.0.0.1:8081.") }),
            ),
        }),
    )
}

fn connection() -> Value {
    let registry = object(
        "A schema registry that speaks Confluent's API.",
        &["url"],
        json!({
            "url": value("text", "Such as http://localhost:8081."),
            "username": value("text", "With a password."),
            "password": value("text", "Better a variable: \"${REGISTRY_PASSWORD}\"."),
        }),
    );
    object(
        "A Kafka cluster and its schema registry.",
        &["type", "bootstrap_servers", "schema_registry"],
        json!({
            "type": words(&["kafka"], "What is at the other end."),
            "bootstrap_servers": value("text", "One host:port or several, with commas between."),
            "schema_registry": registry,
            "properties": {
                "description": "Handed to librdkafka, such as security.protocol: sasl_ssl.",
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/text" },
            },
        }),
    )
}

fn source() -> Value {
    let schema_map = object(
        "A version of a subject, or a file.",
        &[],
        json!({
            "subject": value("text", "Its name in the registry."),
            "version": integer(1, u64::from(u32::MAX), "Of the subject; default: the latest."),
            "file": value("text", "An Avro schema, relative to this file."),
        }),
    );
    let watermark = object(
        "How far event time is trusted.",
        &[],
        json!({
            "delay": duration("5s", "The watermark follows the highest event time of a partition at this distance."),
            "idle_timeout": duration("30s", "A partition read to its end and silent for so long holds nothing back."),
            "max_ahead": duration("24h", "A row further past its own Kafka timestamp is a dead letter."),
            "max_drift": duration("1h", "A partition further ahead of the slowest one waits for it."),
        }),
    );
    let mut source = object(
        "A Kafka topic, or the Avro files of a folder, as a table.",
        &[],
        json!({
            "type": words(&names(&TYPES), "kafka, the default, or files: Avro's object container files."),
            "connection": value("text", "type: kafka: a connection of weir.yaml."),
            "topic": value("text", "type: kafka: the topic's name."),
            "path": value("text", "type: files: a folder, relative to this file, and a name in which * and ? may stand."),
            "format": words(&names(&FORMATS), "How values are written; default avro."),
            "framing": words(&names(&FRAMING), "How a record of format: avro names its schema: Confluent's magic byte and id, the default, or Avro's single-object encoding."),
            "message": value("text", "Of format: protobuf, the message that the table is of, such as Order or shop.Order; default: the first of the schema."),
            "delimiter": { "description": "Between the fields of format: csv; default a comma.", "type": "string" },
            "schema": {
                "description": "The reader schema; default latest, of the subject TOPIC-value. follow: and the table gets the columns of newer versions.",
                "anyOf": [{ "enum": ["latest", "follow"] }, { "$ref": "#/$defs/variable" }, schema_map],
            },
            "start": {
                "description": "Where to begin without a committed offset; default earliest.",
                "anyOf": [
                    { "enum": ["earliest", "latest"] },
                    { "type": "string", "pattern": r"^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$|\$\{" },
                ],
            },
            "event_time": value("text", "A timestamp column; default: kafka_timestamp."),
            "watermark": watermark,
            "metadata": {
                "description": "Adds the columns kafka_timestamp, kafka_partition, kafka_offset, kafka_key.",
                "type": "array",
                "items": words(&names(&METADATA), "Which to add."),
            },
        }),
    );
    let is_files = json!({ "properties": { "type": { "const": "files" } }, "required": ["type"] });
    source["if"] = is_files;
    source["then"] = json!({ "required": ["path", "event_time"] });
    source["else"] = json!({ "required": ["connection", "topic"] });
    source
}

/// The keys of a pipeline but `sql`.
fn settings() -> Value {
    let dead_letters = object(
        "Which dead letters are kept, the newest, and where they go besides.",
        &[],
        json!({
            "retention": duration("7d", "For so long after they became dead letters."),
            "size": size("1GiB", "At most so many bytes on disk."),
            "topic": value("text", "A Kafka topic that gets each of them, too, as it was read; made if missing, with the source's number of partitions."),
            "connection": value("text", "Of that topic: a connection of weir.yaml; default: the source's."),
        }),
    );
    json!({
        "epoch": duration("250ms", "How often results are committed and shown."),
        "lateness": duration("0s", "Added to the watermark's delay: windows close so much later."),
        "provisional": words_or_boolean("Publish open windows too; default true."),
        "retention": duration("7d", "Of final rows, in event time behind the watermark; 0s: no result table."),
        "parallelism": integer(1, MAX_PARALLELISM, "Default: the smaller of cores and partitions."),
        "group_memory": size("16MiB", "What median, array_agg, DISTINCT and the like keep of one group; a group with more has no row, even if this is raised before its window closes."),
        "dead_letters": dead_letters,
        "state_memory": value("size", "What groups of open windows may take, past which the pipeline fails; default: its share of a quarter of the memory."),
    })
}

fn words_or_boolean(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [{ "enum": [true, false, "true", "false"] }, { "$ref": "#/$defs/variable" }],
    })
}

fn pipeline() -> Value {
    let mut properties = settings();
    properties["sql"] = value("text", "The query that is kept up to date.");
    object("SQL kept up to date.", &["sql"], properties)
}

fn sink() -> Value {
    let mut sink = object(
        "Where a pipeline's rows go.",
        &["from", "type"],
        json!({
            "from": value("text", "The pipeline."),
            "type": words(&["kafka", "file", "blackhole"], "blackhole counts and drops, for measurements."),
            "emit": words(&["final", "updates"], "final: each window's rows once; updates: by key, provisional ones too."),
            "outbox": size("1GiB", "What may wait for the sink before its sources are slowed down."),
            "path": value("text", "type: file: the folder, relative to this file."),
            "format": words(&["avro", "parquet"], "avro for type: kafka, parquet for type: file; the default."),
            "connection": value("text", "type: kafka: a connection of weir.yaml."),
            "topic": value("text", "type: kafka: made if missing, with the source's number of partitions."),
            "subject_names": words(&names(&SUBJECT_NAMES), "type: kafka: under which subjects schemas are registered: TOPIC-key and TOPIC-value, the default, the record's name, or TOPIC- and that."),
            "record": value("text", "type: kafka: full name of the value record, such as shop.Revenue; that of the key has Key behind it."),
        }),
    );
    let needs = |kind: &str, keys: &[&str]| json!({ "if": { "properties": { "type": { "const": kind } } }, "then": { "required": keys } });
    sink["allOf"] = json!([needs("file", &["path"]), needs("kafka", &["connection", "topic"])]);
    sink
}

fn dashboard() -> Value {
    object(
        "Panels over pipelines.",
        &["title", "panels"],
        json!({
            "title": value("text", "Its name on the page."),
            "panels": { "type": "array", "items": { "$ref": "#/$defs/panel" } },
        }),
    )
}

fn panel() -> Value {
    object(
        "One chart.",
        &["title", "pipeline", "chart"],
        json!({
            "title": value("text", "Stands above it."),
            "pipeline": value("text", "The pipeline whose rows it shows."),
            "chart": words(&names(&CHARTS), "How they are drawn."),
            "x": value("text", "A column: the horizontal axis of line, area and bar."),
            "y": value("text", "A column: what is drawn."),
            "series": value("text", "A column: one line, or row of top, for each of its values."),
            "aggregate": words(&names(&AGGREGATES), "How the rows of one place become one number."),
            "last": value("duration", "Only rows so far behind the watermark."),
            "unit": value("text", "What y counts, such as EUR, ms or B; else the end of the column's name may say it."),
            "width": integer(1, MAX_WIDTH, "In columns of a grid of twelve."),
            "height": integer(1, MAX_HEIGHT, "In lines of the grid."),
        }),
    )
}

#[cfg(test)]
mod tests;
