//! sinks/*.yaml: where a pipeline's rows go.

use std::path::{Path, PathBuf};

use weir_connectors::kafka::{Naming, PROGRESS_TOPIC, SubjectNames};
use weir_engine::connector::Emit;

use super::codes::Code;
use super::fields::{Fields, Sheet};
use super::source;
use super::text::Text;
use super::yaml::{Node, Pos};

/// What waits for a sink at most, on disk, before its sources are slowed down.
pub(crate) const OUTBOX_BYTES: (u64, u64, u64) = (1 << 20, 1 << 30, 1 << 50);

/// A sink file.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The pipeline whose rows it gets.
    pub from: String,
    pub kind: SinkKind,
    pub emit: Emit,
    pub outbox_bytes_max: u64,
    /// Where `emit` stands, for what only the pipeline's plan brings to light.
    pub emit_at: Pos,
}

/// `type`, with the keys that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// Parquet files in this folder.
    File { folder: PathBuf },
    /// A topic, made if missing.
    Kafka {
        connection: String,
        topic: String,
        /// How its records and their subjects are called.
        naming: Naming,
        /// Where `topic` stands.
        at: Pos,
    },
    /// Counts and drops.
    Blackhole,
}

#[derive(Clone, Copy)]
enum Type {
    Kafka,
    File,
    Blackhole,
}

/// Reads a sink file. `dir` is the folder it is in, `pipelines` are the names of those that exist,
/// `connections` too; `None`: weir.yaml could not be read.
pub(crate) fn read(
    sheet: &mut Sheet<'_>,
    node: &Node,
    dir: &Path,
    pipelines: &[String],
    connections: Option<&[String]>,
) -> Option<Sink> {
    let mut fields = Fields::new(sheet, "a sink", node)?;
    let from = fields.required_text("from");
    if let Some(from) = &from {
        fields.sheet.reference("there is no pipeline", from, pipelines);
    }
    fields.require("type");
    let types = [("kafka", Type::Kafka), ("file", Type::File), ("blackhole", Type::Blackhole)];
    let Some(kind) = fields.choice("type", &types) else {
        // Which keys it may have is not known.
        return None;
    };
    let emit = fields.choice("emit", &[("final", Emit::Final), ("updates", Emit::Updates)]);
    let is_wrong = fields.has("emit") && emit.is_none();
    let emit = emit.unwrap_or(Emit::Final);
    let emit_at = fields.position("emit");
    let (outbox, kind) = match kind {
        Type::Kafka => (outbox(&mut fields), kafka(&mut fields, connections)),
        Type::File => (outbox(&mut fields), file(&mut fields, dir, emit)),
        // Nothing waits for it: it has no outbox to bound.
        Type::Blackhole => (Some(OUTBOX_BYTES.1), Some(SinkKind::Blackhole)),
    };
    fields.finish();
    if is_wrong {
        return None;
    }
    Some(Sink { from: from?.as_str().to_owned(), kind: kind?, emit, outbox_bytes_max: outbox?, emit_at })
}

fn outbox(fields: &mut Fields<'_, '_>) -> Option<u64> {
    let (min, default, max) = OUTBOX_BYTES;
    if !fields.has("outbox") {
        return Some(default);
    }
    fields.size("outbox", min, max)
}

fn kafka(fields: &mut Fields<'_, '_>, connections: Option<&[String]>) -> Option<SinkKind> {
    let connection = source::connection(fields, connections);
    let topic = topic(fields);
    let format = fields.node("format").map(|_| fields.choice("format", &[("avro", ())]));
    let naming = naming(fields);
    if format == Some(None) {
        return None;
    }
    let (connection, topic) = (connection?, topic?);
    Some(SinkKind::Kafka {
        connection: connection.as_str().to_owned(),
        topic: topic.as_str().to_owned(),
        naming: naming?,
        at: topic.at,
    })
}

/// The words of `subject_names`.
pub(super) const SUBJECT_NAMES: [(&str, SubjectNames); 3] = [
    ("topic", SubjectNames::Topic),
    ("record", SubjectNames::Record),
    ("topic_record", SubjectNames::TopicRecord),
];

fn naming(fields: &mut Fields<'_, '_>) -> Option<Naming> {
    let subjects = match fields.has("subject_names") {
        true => fields.choice("subject_names", &SUBJECT_NAMES)?,
        false => SubjectNames::default(),
    };
    let record = fields.text("record");
    if let Some(name) = record.as_ref().filter(|name| !name.as_str().split('.').all(is_avro_name)) {
        let expected = "a name of Avro, such as shop.Revenue: letters, digits and \"_\", with dots between";
        fields.sheet.bad_value("\"record\"", name, expected);
        return None;
    }
    Some(Naming { subjects, record: record.map(|name| name.as_str().to_owned()), docs: Vec::new() })
}

fn is_avro_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The key `topic`, of a topic that is written to.
pub(crate) fn topic(fields: &mut Fields<'_, '_>) -> Option<Text> {
    let topic = source::topic(fields)?;
    if topic.as_str() == PROGRESS_TOPIC {
        fields.sheet.bad_value("\"topic\"", &topic, "Weir keeps there how far its sinks are");
        return None;
    }
    Some(topic)
}

fn file(fields: &mut Fields<'_, '_>, dir: &Path, emit: Emit) -> Option<SinkKind> {
    let path = fields.required_text("path");
    let format = fields.node("format").map(|_| fields.choice("format", &[("parquet", ())]));
    if emit == Emit::Updates {
        let at = fields.position("emit");
        let message = "a file can't be updated: say \"emit: final\", which writes each row once";
        fields.sheet.problem(at, Code::BadValue, message);
        return None;
    }
    if format == Some(None) {
        return None;
    }
    Some(SinkKind::File { folder: dir.join(path?.as_str()) })
}
