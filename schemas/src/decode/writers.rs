//! The writer schemas that a decoder has met, each with its plan.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::SeenSchema;
use super::layout::Layout;
use super::program::Program;
use super::run::Reader;
use crate::avro::Schema;
use crate::registry::{
    Fingerprints, Language, Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion,
};
use crate::resolve::ReaderSchema;
use crate::resolve::compile::{Issue, compile};
use crate::resolve::plan::Plan;
use crate::wire::{Fingerprint, Framing, SINGLE_OBJECT_HEADER_LEN, SchemaId, WrittenBy};

/// Plans kept per decoder. A topic has a handful of writer schemas; one that makes an id per record
/// pays for it by resolving again, not by memory.
const MAX_WRITERS: usize = 1_000;

/// Of an incompatible schema only so many broken rules are told.
const MAX_ISSUES_TOLD: usize = 5;

/// A writer schema and how it is read.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) id: SchemaId,
    /// What its record values begin with, as far as the framing's header goes.
    header: [u8; SINGLE_OBJECT_HEADER_LEN],
    /// How, or why no record of it can be read.
    pub(super) plan: Result<WriterPlan, String>,
    registered: Option<SubjectVersion>,
    text: Option<Arc<SchemaText>>,
    /// `schema 7 ("orders-value" version 3), record "shop.Order"`
    name: String,
    /// The reader schema's name.
    reader: String,
}

/// A plan down to the columns of one decoder.
#[derive(Debug)]
pub(super) struct WriterPlan {
    pub(super) program: Program,
    /// What the program does, for a walk.
    pub(super) root: Plan,
    pub(super) types: Vec<Plan>,
    issues: Vec<Issue>,
}

/// What is known about the schema that a header names.
pub(super) enum Found {
    Writer(Arc<Writer>),
    /// The registry does not know it.
    Unknown(String),
    /// The registry does not answer.
    Away(String),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Writers {
    reader: Arc<ReaderSchema>,
    columns: Vec<usize>,
    layout: Arc<Layout>,
    registry: Arc<dyn SchemaRegistry>,
    /// Where records name fingerprints.
    fingerprints: Option<Arc<Fingerprints>>,

    by_header: HashMap<WrittenBy, (Arc<Writer>, u64)>,
    /// Counts the calls: what was used longest ago goes first.
    n_uses: u64,
    /// Since when the records that are decoded have been there.
    since: Instant,
    /// What could not be said yet, of a record that has been there since.
    waited_for: Option<(Fingerprint, Instant)>,
}

impl Writers {
    pub(super) fn new(
        reader: Arc<ReaderSchema>,
        columns: Vec<usize>,
        layout: Arc<Layout>,
        registry: Arc<dyn SchemaRegistry>,
    ) -> Self {
        Self {
            reader,
            columns,
            layout,
            registry,
            fingerprints: None,
            by_header: HashMap::new(),
            n_uses: 0,
            since: Instant::now(),
            waited_for: None,
        }
    }

    pub(super) fn by_fingerprints(&mut self, fingerprints: Arc<Fingerprints>) {
        self.fingerprints = Some(fingerprints);
    }

    pub(super) fn framing(&self) -> Framing {
        if self.fingerprints.is_some() { Framing::SingleObject } else { Framing::Confluent }
    }

    /// The id of the schema that a header names, as far as it is known.
    pub(super) fn id(&self, by: WrittenBy) -> Option<SchemaId> {
        match by {
            WrittenBy::Id(id) => Some(id),
            WrittenBy::Fingerprint(fingerprint) => self.fingerprints.as_ref()?.id(fingerprint),
        }
    }

    /// Records are to be decoded that are there now.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// The writer schema that a header names, from memory or from the registry.
    pub(super) fn find(&mut self, by: WrittenBy) -> Found {
        self.n_uses += 1;
        if let Some((writer, last_use)) = self.by_header.get_mut(&by) {
            *last_use = self.n_uses;
            return Found::Writer(Arc::clone(writer));
        }
        let writer = match by {
            WrittenBy::Id(id) => self.of_id(id),
            WrittenBy::Fingerprint(fingerprint) => self.of_fingerprint(fingerprint),
        };
        let writer = match writer {
            Ok(writer) => Arc::new(writer),
            Err(found) => return found,
        };
        self.make_room();
        self.by_header.insert(by, (Arc::clone(&writer), self.n_uses));
        Found::Writer(writer)
    }

    fn make_room(&mut self) {
        if self.by_header.len() < MAX_WRITERS {
            return;
        }
        let oldest = self.by_header.iter().min_by_key(|(_, (_, last_use))| *last_use).map(|(by, _)| *by);
        if let Some(oldest) = oldest {
            self.by_header.remove(&oldest);
        }
    }

    fn of_id(&self, id: SchemaId) -> Result<Writer, Found> {
        let text = match self.registry.by_id(id) {
            Ok(text) => Ok(text),
            Err(RegistryError::NotFound { .. }) => {
                return Err(Found::Unknown(format!("the registry has no schema of id {id}")));
            }
            Err(error @ RegistryError::Unavailable { .. }) => return Err(Found::Away(error.to_string())),
            Err(error @ RegistryError::Invalid { .. }) => Err(error.to_string()),
        };
        Ok(self.writer(WrittenBy::Id(id), id, registered(&*self.registry, &self.reader, id), text))
    }

    fn of_fingerprint(&mut self, fingerprint: Fingerprint) -> Result<Writer, Found> {
        let Some(fingerprints) = &self.fingerprints else {
            return Err(Found::Unknown(format!("nobody knows fingerprint {fingerprint}")));
        };
        let waited = self.waited_for.take().filter(|(waited_for, _)| *waited_for == fingerprint);
        let since = waited.map_or(self.since, |(_, since)| since);
        let Registered { id, subject, version, schema } =
            fingerprints.find(fingerprint, since).map_err(|error| match error {
                RegistryError::NotFound { what } => Found::Unknown(format!("the registry has no {what}")),
                RegistryError::Invalid { detail } => Found::Unknown(detail),
                RegistryError::Unavailable { .. } => {
                    self.waited_for = Some((fingerprint, since));
                    Found::Away(error.to_string())
                }
            })?;
        let registered = Some(SubjectVersion { subject, version });
        Ok(self.writer(WrittenBy::Fingerprint(fingerprint), id, registered, Ok(schema)))
    }

    fn writer(
        &self,
        by: WrittenBy,
        id: SchemaId,
        registered: Option<SubjectVersion>,
        text: Result<Arc<SchemaText>, String>,
    ) -> Writer {
        let schema = text.as_ref().map_err(Clone::clone).and_then(|text| match text.language {
            Language::Avro => text.parse().map_err(|error| error.to_string()),
            Language::JsonSchema => {
                Err("it is a JSON Schema: the source's format is json, not avro".to_owned())
            }
            Language::Protobuf => {
                Err("it is of Protobuf: the source's format is protobuf, not avro".to_owned())
            }
        });
        let mut name = match &registered {
            Some(SubjectVersion { subject, version }) => {
                format!("schema {id} (\"{subject}\" version {version})")
            }
            None => format!("schema {id}"),
        };
        if let Ok(schema) = &schema {
            name = format!("{name}, {}", schema.describe(&schema.root));
        }
        let reader = self.reader.describe();
        let plan = match schema {
            Ok(schema) => self.plan(&schema).map_err(|issues| mismatch(&name, &reader, &issues)),
            Err(why) => Err(format!("writer {name} can't be read: {why}")),
        };
        Writer { id, header: by.header(), plan, registered, text: text.ok(), name, reader }
    }

    fn plan(&self, writer: &Schema) -> Result<WriterPlan, String> {
        let compiled = compile(writer, self.reader.schema());
        let hopeless: Vec<_> = compiled.issues.iter().filter(|issue| !issue.conditional).collect();
        if !hopeless.is_empty() {
            return Err(tell(hopeless));
        }
        let mut root = compiled.root;
        root.project(&self.columns);
        let program = Program::new(&root, &compiled.types, &self.layout);
        Ok(WriterPlan { program, root, types: compiled.types, issues: compiled.issues })
    }
}

/// Where a schema is registered: under the reader schema's own subject if it is there, else the first. Nothing depends on it
/// but texts, so failures don't matter.
pub(crate) fn registered(
    registry: &dyn SchemaRegistry,
    reader: &ReaderSchema,
    id: SchemaId,
) -> Option<SubjectVersion> {
    let mut versions = registry.subjects_of(id).ok()?;
    let own = reader.subject().and_then(|(subject, _)| versions.iter().position(|v| v.subject == subject));
    (!versions.is_empty()).then(|| versions.swap_remove(own.unwrap_or(0)))
}

impl WriterPlan {
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { program: &self.program, types: &self.types }
    }
}

impl Writer {
    /// The body of a record value that begins with this writer's header, of `H` bytes.
    #[inline]
    pub(super) fn body_of<'a, const H: usize>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        value.strip_prefix(self.header::<H>()?)
    }

    /// What this writer's values begin with, if that has `H` bytes.
    #[inline]
    pub(super) fn header<const H: usize>(&self) -> Option<&[u8; H]> {
        self.header.first_chunk()
    }

    /// What is to be told about it when record `record` is its first.
    pub(super) fn seen(&self, record: u32) -> SeenSchema {
        let detail = match &self.plan {
            Err(detail) => detail.clone(),
            Ok(plan) if plan.issues.is_empty() => String::new(),
            Ok(plan) => mismatch(&self.name, &self.reader, &format!("some values: {}", tell(&plan.issues))),
        };
        SeenSchema {
            schema_id: self.id.0,
            subject: self.registered.as_ref().map(|registered| registered.subject.clone()),
            version: self.registered.as_ref().map(|registered| registered.version),
            record,
            compatible: self.plan.is_ok(),
            detail,
            schema: self.text.clone(),
        }
    }

    /// For a person.
    pub(super) fn describe(&self) -> String {
        format!("writer {}", self.name)
    }

    /// Why a value of it has no place in the reader schema.
    pub(super) fn value_mismatch(&self, issue: usize) -> String {
        let issue = self.plan.as_ref().ok().and_then(|plan| plan.issues.get(issue));
        mismatch(&self.name, &self.reader, &issue.map(Issue::to_string).unwrap_or_default())
    }
}

fn mismatch(writer: &str, reader: &str, rule: &str) -> String {
    format!("writer {writer} does not fit reader {reader}: {rule}")
}

fn tell<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> String {
    let mut issues = issues.into_iter();
    let mut told: Vec<_> = issues.by_ref().take(MAX_ISSUES_TOLD).map(Issue::to_string).collect();
    match issues.count() {
        0 => {}
        n_more => told.push(format!("and {n_more} more")),
    }
    told.join("; ")
}
