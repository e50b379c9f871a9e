//! The embedded registry: subjects and schemas in memory, gone with the process.
//!
//! For the demo and for tests. It speaks Confluent's API by [`MemoryRegistry::handle`], which any
//! HTTP server can call.
//!
//! Invariants:
//! 1. Equal schemas with equal references have one id, whatever the order of keys and the spaces in
//!    the text; ids and versions count from 1.
//! 2. Each version of a subject can read what the one before it wrote (BACKWARD).

mod handle;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::avro::Schema;
use crate::resolve::compile;
use crate::wire::SchemaId;

/// Schemas that it holds at most; it is not made for more.
const MAX_SCHEMAS: usize = 10_000;

/// A registry in this process; clones share their contents.
#[derive(Clone, Default)]
pub struct MemoryRegistry {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    /// The schema of id `i + 1`.
    schemas: Vec<Stored>,
    /// Per subject the ids of its versions.
    subjects: BTreeMap<String, Vec<SchemaId>>,
}

struct Stored {
    json: Value,
    references: Vec<Reference>,
    schema: Arc<SchemaText>,
}

/// A version of another subject whose types a schema uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: u32,
}

/// Confluent's error: its code starts with the HTTP status.
#[derive(Debug)]
struct Refusal {
    code: u32,
    message: String,
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Every change is made at its end and in one go, so a panic elsewhere spoils nothing.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn stored(&self, id: SchemaId) -> Result<&Stored, Refusal> {
        let index = usize::try_from(id.0).ok().and_then(|id| id.checked_sub(1));
        let stored = index.and_then(|index| self.schemas.get(index));
        stored.ok_or_else(|| Refusal::new(40403, format!("Schema {id} not found")))
    }

    fn versions(&self, subject: &str) -> Result<&[SchemaId], Refusal> {
        let versions = self.subjects.get(subject).map(Vec::as_slice);
        versions.ok_or_else(|| Refusal::new(40401, format!("Subject '{subject}' not found.")))
    }

    /// The version's number and id; `None` is the latest.
    fn version(&self, subject: &str, version: Option<u32>) -> Result<(u32, SchemaId), Refusal> {
        let versions = self.versions(subject)?;
        let number = version.unwrap_or(n_as_u32(versions.len()));
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| versions.get(index)) {
            Some(id) => Ok((number, *id)),
            None => Err(Refusal::new(40402, format!("Version {number} not found."))),
        }
    }

    /// The text with what it refers to, each schema after those that it refers to itself.
    fn complete(&self, text: &str, references: &[Reference]) -> Result<SchemaText, Refusal> {
        let mut texts: Vec<String> = Vec::new();
        for reference in references {
            let (_, id) = self.version(&reference.subject, Some(reference.version)).map_err(|refusal| {
                Refusal::new(
                    42201,
                    format!("Invalid schema: reference \"{}\": {}", reference.name, refusal.message),
                )
            })?;
            let schema = &self.stored(id)?.schema;
            for text in schema.references.iter().chain([&schema.text]) {
                if !texts.contains(text) {
                    texts.push(text.clone());
                }
            }
        }
        Ok(SchemaText { text: text.to_owned(), references: texts })
    }

    fn find(&self, json: &Value, references: &[Reference]) -> Option<SchemaId> {
        let position = self.schemas.iter().position(|s| s.json == *json && s.references == references)?;
        Some(SchemaId(n_as_u32(position + 1)))
    }

    fn register(
        &mut self,
        subject: &str,
        text: &str,
        references: Vec<Reference>,
    ) -> Result<SchemaId, Refusal> {
        let json = parse_json(text)?;
        let known = self.find(&json, &references);
        let versions = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        if let Some(id) = known.filter(|id| versions.contains(id)) {
            return Ok(id);
        }
        let schema = self.complete(text, &references)?;
        let parsed = parse_schema(&schema)?;
        if let Some(latest) = versions.last() {
            let writer = parse_schema(&self.stored(*latest)?.schema)?;
            let issues = compile::check(&writer, &parsed);
            if !issues.is_empty() {
                return Err(Refusal::incompatible(subject, versions.len(), &issues));
            }
        }
        let id = match known {
            Some(id) => id,
            None if self.schemas.len() >= MAX_SCHEMAS => {
                return Err(Refusal::new(
                    50001,
                    format!("The embedded registry holds {MAX_SCHEMAS} schemas at most"),
                ));
            }
            None => {
                self.schemas.push(Stored { json, references, schema: Arc::new(schema) });
                SchemaId(n_as_u32(self.schemas.len()))
            }
        };
        self.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok(id)
    }

    fn registered(&self, subject: &str, version: Option<u32>) -> Result<Registered, Refusal> {
        let (version, id) = self.version(subject, version)?;
        let schema = Arc::clone(&self.stored(id)?.schema);
        Ok(Registered { id, subject: subject.to_owned(), version, schema })
    }

    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, Refusal> {
        self.stored(id)?;
        let places = self.subjects.iter().flat_map(|(subject, versions)| {
            let numbers = versions.iter().zip(1..).filter(move |(version, _)| **version == id);
            numbers.map(|(_, version)| SubjectVersion { subject: subject.clone(), version })
        });
        Ok(places.collect())
    }
}

impl SchemaRegistry for MemoryRegistry {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        Ok(Arc::clone(&self.contents().stored(id)?.schema))
    }

    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Ok(self.contents().subjects_of(id)?)
    }

    fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        Ok(self.contents().registered(subject, None)?)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
        Ok(self.contents().registered(subject, Some(version))?)
    }

    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        Ok(self.contents().register(subject, schema, Vec::new())?)
    }
}

impl fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRegistry").finish_non_exhaustive()
    }
}

impl Refusal {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn incompatible(subject: &str, version: usize, issues: &[compile::Issue]) -> Self {
        let rules: Vec<_> = issues.iter().map(ToString::to_string).collect();
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\" \
             (version {version}, BACKWARD): {}",
            rules.join("; ")
        );
        Self::new(409, message)
    }
}

impl From<Refusal> for RegistryError {
    fn from(Refusal { code, message }: Refusal) -> Self {
        match code {
            40401..=40403 => Self::NotFound { what: format!("such thing: {message}") },
            _ => Self::invalid(format!("the schema registry refused: {message}")),
        }
    }
}

fn parse_json(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::new(42201, format!("Invalid schema: {error}")))
}

fn parse_schema(schema: &SchemaText) -> Result<Schema, Refusal> {
    Schema::parse(&schema.text, &schema.references)
        .map_err(|error| Refusal::new(42201, format!("Invalid schema: {error}")))
}

fn n_as_u32(n: usize) -> u32 {
    u32::try_from(n).expect("MAX_SCHEMAS bounds schemas, and versions are distinct schemas")
}
