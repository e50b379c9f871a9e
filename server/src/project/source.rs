//! sources/*.yaml: a Kafka topic as a table, or the Avro files of a folder.

use std::path::{Path, PathBuf};

use weir_connectors::kafka::{Metadata, SchemaChoice};
use weir_engine::connector::{Start, WatermarkOptions};
use weir_schemas::Format;
use weir_schemas::format::RAW_SCHEMA;
use weir_schemas::wire::Framing;

use super::codes::Code;
use super::fields::{Fields, Sheet};
use super::files;
use super::read_file;
use super::text::Text;
use super::value;
use super::yaml::{Node, Pos, Value};

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
/// A hundred years: longer durations are mistakes, and sums with event times must not overflow.
pub(crate) const MAX_DURATION_MS: i64 = 36_500 * 24 * HOUR_MS;

/// The words of `metadata`.
pub(super) const METADATA: [(&str, Metadata); 4] = [
    ("timestamp", Metadata::Timestamp),
    ("partition", Metadata::Partition),
    ("offset", Metadata::Offset),
    ("key", Metadata::Key),
];

/// A source file.
#[derive(Debug, Clone)]
pub struct Source {
    pub place: Place,
    pub format: Format,
    pub framing: Framing,
    pub schema: SchemaChoice,
    /// Of Protobuf: which message of the schema the table is of; `None`: the first.
    pub message: Option<String>,
    pub start: Start,
    /// A column of the reader schema; `None`: the Kafka timestamp.
    pub event_time: Option<String>,
    pub watermark: WatermarkOptions,
    /// In the order of the file.
    pub metadata: Vec<Metadata>,
    pub spots: Spots,
}

/// `type`, with the keys that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Kafka {
        connection: String,
        topic: String,
    },
    /// Avro's object container files.
    Files {
        /// A folder, and a pattern of names in it.
        pattern: PathBuf,
        /// The same as it stands in the file.
        shown: String,
    },
}

impl Source {
    /// A connection of weir.yaml; `None`: it needs none.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        match &self.place {
            Place::Kafka { connection, .. } => Some(connection),
            Place::Files { .. } => None,
        }
    }

    /// The topic, or the files.
    #[must_use]
    pub fn topic(&self) -> &str {
        match &self.place {
            Place::Kafka { topic, .. } => topic,
            Place::Files { shown, .. } => shown,
        }
    }
}

/// The words of `type`.
pub(super) const TYPES: [(&str, Type); 2] = [("kafka", Type::Kafka), ("files", Type::Files)];

#[derive(Clone, Copy)]
pub(super) enum Type {
    Kafka,
    Files,
}

/// Where things stand in the file, for mistakes that only the registry brings to light.
#[derive(Debug, Clone, Copy)]
pub struct Spots {
    pub schema: Pos,
    pub event_time: Pos,
}

/// Reads a source file; `None` where anything is wrong with it. `dir` is the folder it is in, `connections` are those that
/// exist; `None`: weir.yaml could not be read.
pub(crate) fn read(
    sheet: &mut Sheet<'_>,
    node: &Node,
    dir: &Path,
    connections: Option<&[String]>,
) -> Option<Source> {
    let before = sheet.problems.len();
    let mut fields = Fields::new(sheet, "a source", node)?;
    let kind = match fields.node("type") {
        None => Type::Kafka,
        // Which keys it may have is not known else.
        Some(_) => fields.choice("type", &TYPES)?,
    };
    let source = match kind {
        Type::Kafka => kafka(fields, dir, connections),
        Type::Files => files::read(fields, dir),
    };
    // With a key that was mistyped its columns and its time would be others than meant, and queries wrong that are
    // right.
    source.filter(|_| before == sheet.problems.len())
}

fn kafka(mut fields: Fields<'_, '_>, dir: &Path, connections: Option<&[String]>) -> Option<Source> {
    let connection = connection(&mut fields, connections);
    let topic = topic(&mut fields);
    let format = format(&mut fields);
    let framing = framing(&mut fields, format);
    let message = message(&mut fields, format);
    let event_time = fields.text("event_time");
    let schema = match format {
        Some(Format::Raw) => raw_schema(&mut fields),
        _ => schema(&mut fields, format, topic.as_ref().map(|topic| topic.as_str()), dir),
    };
    let start = start(&mut fields);
    let watermark = watermark(&mut fields);
    let metadata = metadata(&mut fields);
    let spots = Spots {
        schema: fields.position("schema"),
        event_time: event_time.as_ref().map_or(fields.at, |text| text.at),
    };
    fields.finish();
    Some(Source {
        place: Place::Kafka {
            connection: connection?.as_str().to_owned(),
            topic: topic?.as_str().to_owned(),
        },
        format: format?,
        framing: framing?,
        schema: schema?,
        message: message?,
        start: start?,
        event_time: event_time.map(|text| text.as_str().to_owned()),
        watermark: watermark?,
        metadata: metadata?,
        spots,
    })
}

/// The key `connection`, which names one of `known`.
pub(crate) fn connection(fields: &mut Fields<'_, '_>, known: Option<&[String]>) -> Option<Text> {
    fields.require("connection");
    known_connection(fields, known)
}

/// As [`connection`], where it may be missing.
pub(crate) fn known_connection(fields: &mut Fields<'_, '_>, known: Option<&[String]>) -> Option<Text> {
    let connection = fields.text("connection");
    if let (Some(connection), Some(known)) = (&connection, known) {
        fields.sheet.reference("weir.yaml has no connection", connection, known);
    }
    connection
}

/// The key `topic`.
pub(crate) fn topic(fields: &mut Fields<'_, '_>) -> Option<Text> {
    let topic = fields.required_text("topic")?;
    if is_topic(topic.as_str()) {
        return Some(topic);
    }
    let expected = "Kafka takes at most 249 letters, digits, \".\", \"_\" and \"-\"";
    fields.sheet.bad_value("\"topic\"", &topic, expected);
    None
}

fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal)
}

/// The words of `framing`.
pub(super) const FRAMING: [(&str, Framing); 2] =
    [("confluent", Framing::Confluent), ("single_object", Framing::SingleObject)];

/// `framing`, of Avro alone.
fn framing(fields: &mut Fields<'_, '_>, format: Option<Format>) -> Option<Framing> {
    if fields.node("framing").is_none() {
        return Some(Framing::default());
    }
    if format.is_some_and(|format| format != Format::Avro) {
        let at = fields.position("framing");
        fields.sheet.problem(at, Code::WrongType, "\"framing\" is a key of \"format: avro\" alone");
        return None;
    }
    fields.choice("framing", &FRAMING)
}

/// `message`, of Protobuf alone; `None` is a mistake.
fn message(fields: &mut Fields<'_, '_>, format: Option<Format>) -> Option<Option<String>> {
    if fields.node("message").is_none() {
        return Some(None);
    }
    if format.is_some_and(|format| format != Format::Protobuf) {
        let at = fields.position("message");
        fields.sheet.problem(at, Code::WrongType, "\"message\" is a key of \"format: protobuf\" alone");
        return None;
    }
    fields.text("message").map(|name| Some(name.as_str().to_owned()))
}

/// The words of `format`.
pub(super) const FORMATS: [(&str, Format); 5] = [
    ("avro", Format::Avro),
    ("json", Format::Json),
    ("csv", Format::Csv { delimiter: b',' }),
    ("protobuf", Format::Protobuf),
    ("raw", Format::Raw),
];

/// `format`, and of csv the `delimiter`.
fn format(fields: &mut Fields<'_, '_>) -> Option<Format> {
    let format = match fields.node("format") {
        None => Format::default(),
        Some(_) => fields.choice("format", &FORMATS)?,
    };
    if fields.node("delimiter").is_none() {
        return Some(format);
    }
    let text = fields.text("delimiter")?;
    if !matches!(format, Format::Csv { .. }) {
        let at = fields.position("delimiter");
        fields.sheet.problem(at, Code::WrongType, "\"delimiter\" is a key of \"format: csv\" alone");
        return None;
    }
    match *text.as_str().as_bytes() {
        [delimiter] if delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\r' | b'\n') => {
            Some(Format::Csv { delimiter })
        }
        _ => {
            fields.sheet.bad_value(
                "\"delimiter\"",
                &text,
                "one character of ASCII, such as \";\" or \"\\t\"",
            );
            None
        }
    }
}

/// The schema of raw values, which no file may say otherwise: `schema` is refused as a key that means nothing.
fn raw_schema(fields: &mut Fields<'_, '_>) -> Option<SchemaChoice> {
    if fields.node("schema").is_none() {
        return Some(SchemaChoice::File(RAW_SCHEMA.to_owned()));
    }
    let message = "\"schema\" means nothing to raw values: their only column is \"value\"".to_owned();
    let at = fields.position("schema");
    fields.sheet.problem(at, Code::WrongType, message);
    None
}

const SCHEMA_FORMS: &str = "it is latest, follow, { subject: s, version: 3 } or { file: orders.avsc }";

/// `latest`, `follow`, `{ subject, version }` or `{ file }`. `None` is a mistake, or the topic is missing.
pub(super) fn schema(
    fields: &mut Fields<'_, '_>,
    format: Option<Format>,
    topic: Option<&str>,
    dir: &Path,
) -> Option<SchemaChoice> {
    let subject = || topic.map(|topic| format!("{topic}-value"));
    let latest = || subject().map(|subject| SchemaChoice::Latest { subject });
    let Some(node) = fields.node("schema") else { return latest() };
    match &node.value {
        Value::Map(_) => schema_map(fields.sheet, node, dir),
        _ => {
            let text = fields.text("schema")?;
            match text.as_str() {
                "latest" => latest(),
                // Values of other formats are read without the schemas that wrote them.
                "follow" if !format.is_none_or(is_of_versions) => {
                    let expected = "only a source with \"format: avro\" or \"protobuf\" can follow";
                    fields.sheet.bad_value("\"schema\"", &text, expected);
                    None
                }
                "follow" => subject().map(|subject| SchemaChoice::Follow { subject }),
                _ => {
                    fields.sheet.bad_value("\"schema\"", &text, SCHEMA_FORMS);
                    None
                }
            }
        }
    }
}

/// Whether a value is of one version of its schema or another.
fn is_of_versions(format: Format) -> bool {
    matches!(format, Format::Avro | Format::Protobuf)
}

fn schema_map(sheet: &mut Sheet<'_>, node: &Node, dir: &Path) -> Option<SchemaChoice> {
    let mut fields = Fields::new(sheet, "\"schema\"", node)?;
    let (subject, file) = (fields.text("subject"), fields.text("file"));
    let version = fields.node("version").map(|_| fields.integer("version", 1, u64::from(u32::MAX)));
    let schema = match (&subject, &file) {
        (Some(subject), None) => version.unwrap_or(Some(0)).map(|version| {
            let subject = subject.as_str().to_owned();
            match u32::try_from(version) {
                Ok(0) | Err(_) => SchemaChoice::Latest { subject },
                Ok(version) => SchemaChoice::Version { subject, version },
            }
        }),
        (None, Some(file)) if version.is_none() => match read_file(&dir.join(file.as_str())) {
            Ok(text) => Some(SchemaChoice::File(text)),
            Err(error) => {
                let message = format!("could not read schema file {}: {error}", file.shown());
                fields.sheet.problem(file.at, Code::Unreadable, message);
                None
            }
        },
        (None, None) if fields.node("subject").is_some() || fields.node("file").is_some() => None,
        _ => {
            let message = format!("\"schema\" can't be this map: {SCHEMA_FORMS}");
            fields.sheet.problem(fields.at, Code::WrongType, message);
            None
        }
    };
    fields.finish();
    schema
}

pub(super) fn start(fields: &mut Fields<'_, '_>) -> Option<Start> {
    if fields.node("start").is_none() {
        return Some(Start::Earliest);
    }
    let text = fields.text("start")?;
    match text.as_str() {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        instant => {
            let at = value::instant_ms(instant).map(Start::At);
            if at.is_none() {
                let expected = "earliest, latest or an instant such as 2026-11-22T00:00:00Z";
                fields.sheet.bad_value("\"start\"", &text, expected);
            }
            at
        }
    }
}

pub(super) fn watermark(fields: &mut Fields<'_, '_>) -> Option<WatermarkOptions> {
    let defaults = WatermarkOptions {
        delay_ms: 5 * SECOND_MS,
        idle_timeout_ms: 30 * SECOND_MS,
        max_ahead_ms: 24 * HOUR_MS,
        max_drift_ms: HOUR_MS,
    };
    let Some(node) = fields.node("watermark") else { return Some(defaults) };
    let mut fields = Fields::new(fields.sheet, "\"watermark\"", node)?;
    let mut duration = |key, min, default| match fields.node(key) {
        Some(_) => fields.duration(key, min, MAX_DURATION_MS),
        None => Some(default),
    };
    let delay_ms = duration("delay", 0, defaults.delay_ms);
    let idle_timeout_ms = duration("idle_timeout", 1, defaults.idle_timeout_ms);
    let max_ahead_ms = duration("max_ahead", 0, defaults.max_ahead_ms);
    let max_drift_ms = duration("max_drift", SECOND_MS, defaults.max_drift_ms);
    fields.finish();
    Some(WatermarkOptions {
        delay_ms: delay_ms?,
        idle_timeout_ms: idle_timeout_ms?,
        max_ahead_ms: max_ahead_ms?,
        max_drift_ms: max_drift_ms?,
    })
}

fn metadata(fields: &mut Fields<'_, '_>) -> Option<Vec<Metadata>> {
    let items = fields.list("metadata");
    let mut read = |item| {
        let what = "an item of \"metadata\"";
        let text = fields.sheet.text(what, item)?;
        let column = METADATA.iter().find(|(word, _)| *word == text.as_str()).map(|(_, column)| *column);
        if column.is_none() {
            let words = METADATA.map(|(word, _)| word);
            fields.sheet.bad_value(what, &text, &value::one_of(&words));
        }
        column
    };
    let columns: Vec<_> = items.iter().map(&mut read).collect();
    for (i, (column, item)) in columns.iter().zip(items).enumerate() {
        if column.is_some() && columns[..i].contains(column) {
            let word = METADATA
                .iter()
                .find(|(_, known)| Some(known) == column.as_ref())
                .map_or("", |(word, _)| word);
            let message = format!("\"metadata\" has \"{word}\" already");
            fields.sheet.problem(item.at, Code::DuplicateKey, message);
        }
    }
    columns.into_iter().collect()
}
