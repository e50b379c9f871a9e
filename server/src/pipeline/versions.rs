//! Which versions of its subject a source can read, and which queries and panels a version would break as its
//! reader schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_connectors::chain;
use weir_connectors::kafka::{Follow, ReaderSchemaText, SchemaChoice};
use weir_engine::connector::TableColumn;
use weir_schemas::resolve::Issue;
use weir_schemas::{ReaderSchema, RegistryError, SchemaText};

use super::prepare::{Outcome, Preparer};
use crate::project::{Problem, Problems, Source, check_columns};

/// Versions that are looked at: the newest ones. Each is a request to the registry.
const MAX_VERSIONS: usize = 50;

/// What a source makes of the versions of its subject.
#[derive(Debug)]
pub struct Readable {
    pub subject: String,
    /// The version that it reads with; `None` where that is from a file.
    pub reader: Option<u32>,
    /// Whether its table follows newer versions.
    pub follows: bool,
    /// Ascending.
    pub versions: Vec<(u32, Verdict)>,
}

/// What becomes of a schema.
#[derive(Debug)]
pub struct Verdict {
    /// Why records that were written with it can't be read, or not all of them.
    pub issues: Vec<Issue>,
    /// What is wrong with queries and panels, were it the reader schema.
    pub breaks: Problems,
    /// Where the source follows its subject: the columns that a table of the version before gains with it, the newest
    /// that is one, or why it does not follow it.
    pub gained: Result<Vec<TableColumn>, String>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { issues: Vec::new(), breaks: Problems::default(), gained: Ok(Vec::new()) }
    }
}

impl Preparer {
    /// What the versions of a source's subject are to it. `None`: there is nothing to say. The source itself
    /// can't be checked, or its schema is from a file and nobody knows a subject of its topic.
    ///
    /// # Errors
    /// The registry does not say.
    pub fn readable(&self, source: &str) -> Result<Option<Readable>, RegistryError> {
        let (Some((text, reader)), Some(file)) = (self.reader(source), self.project().sources.get(source))
        else {
            return Ok(None);
        };
        let connection = file.connection().and_then(|connection| self.connection(connection));
        let Some(connection) = connection else { return Ok(None) };
        let (subject, is_sure) = match &file.schema {
            SchemaChoice::Latest { subject }
            | SchemaChoice::Follow { subject }
            | SchemaChoice::Version { subject, .. } => (subject.clone(), true),
            SchemaChoice::File(_) => (format!("{}-value", file.topic()), false),
        };
        let numbers = match connection.registry.versions(&subject) {
            Ok(numbers) => numbers,
            Err(_) if !is_sure => return Ok(None),
            Err(error) => return Err(error),
        };
        let known = text.subject.as_ref().map(|(_, version)| *version);
        let follows = matches!(file.schema, SchemaChoice::Follow { .. });
        let (mut versions, mut before) = (Vec::new(), None);
        for number in &numbers[numbers.len().saturating_sub(MAX_VERSIONS)..] {
            let schema = connection.registry.version(&subject, *number)?.schema;
            let mut verdict = Verdict { issues: issues(&reader, &schema), ..Verdict::default() };
            let own = of_message((*schema).clone(), file);
            let table = ReaderSchema::new(own.clone()).ok().map(Arc::new);
            if let Some(before) = before.as_ref().filter(|_| follows) {
                verdict.gained = gained(file, before, &schema);
            }
            // An older one is nobody's next reader schema, nor is one that is not followed for it has no columns.
            if known.is_some_and(|known| known < *number) && !(follows && table.is_none()) {
                let subject = Some((subject.clone(), *number));
                verdict.breaks = self.broken_by(source, ReaderSchemaText { schema: own, subject });
            }
            before = table.or(before);
            versions.push((*number, verdict));
        }
        Ok(Some(Readable { subject, reader: known, follows, versions }))
    }

    /// What a schema that is not registered yet would be to a source; `None` where that can't be checked
    /// itself.
    ///
    /// # Errors
    /// The text is not a schema.
    pub fn would_be(&self, source: &str, text: &str) -> Result<Option<Verdict>, weir_schemas::SchemaError> {
        let mut next = ReaderSchemaText::from_file(text);
        if let Some(file) = self.project().sources.get(source) {
            next.schema = of_message(next.schema, file);
        }
        let file = self.project().sources.get(source);
        let follows = file.filter(|file| matches!(file.schema, SchemaChoice::Follow { .. }));
        let is_table = next.parse();
        let Some((_, reader)) = self.reader(source) else { return is_table.map(|_| None) };
        let reader = Arc::new(reader);
        let mut verdict = Verdict { issues: reader.check_writer(&next.schema)?, ..Verdict::default() };
        if let Some(file) = follows {
            verdict.gained = gained(file, &reader, &next.schema);
        }
        if is_table.is_ok() || follows.is_none() {
            verdict.breaks = self.broken_by(source, next);
        }
        Ok(Some(verdict))
    }

    /// The schema that a source is read with.
    fn reader(&self, source: &str) -> Option<(ReaderSchemaText, ReaderSchema)> {
        let text = self.looked_up(source)?;
        let reader = text.parse().ok()?;
        Some((text, reader))
    }

    /// What is wrong with the queries that a source is read by, and with the panels that show their results, were
    /// `next` its reader schema. What is wrong with them now is left out.
    fn broken_by(&self, source: &str, next: ReaderSchemaText) -> Problems {
        let assumed = self.assuming(source, next);
        let mut broken: Vec<Problem> = Vec::new();
        if let Outcome::Wrong(problems) = assumed.check_source(source) {
            broken.extend(problems.sorted().into_iter().cloned());
        }
        let mut plans = BTreeMap::new();
        for (name, pipeline) in &self.project().pipelines {
            let reads = self.candidates(pipeline.sql()).contains(&source)
                && matches!(self.prepare(name, None), Outcome::Ready(prepared) if prepared.plan.source == source);
            if !reads {
                continue;
            }
            match assumed.prepare(name, None) {
                Outcome::Ready(prepared) => drop(plans.insert(name.as_str(), prepared.plan)),
                Outcome::Wrong(problems) => broken.extend(problems.sorted().into_iter().cloned()),
                Outcome::Waiting(_) => {}
            }
        }
        broken.extend(check_columns(self.project().boards(), &plans).sorted().into_iter().cloned());
        broken.into_iter().collect()
    }
}

/// The columns that a table of a schema gains with a newer one, or why it does not follow it.
fn gained(
    source: &Source,
    before: &Arc<ReaderSchema>,
    newer: &SchemaText,
) -> Result<Vec<TableColumn>, String> {
    if let Some(issue) = issues(before, newer).into_iter().find(|issue| !issue.conditional) {
        return Err(format!("the table does not follow it: its records can't be read: {issue}"));
    }
    let follow = Follow::new(Arc::clone(before), source.event_time.clone(), source.metadata.clone());
    follow.map_err(|error| format!("the version before it is no table: {}", chain(&error)))?.gained(newer)
}

/// The schema as that of the message that a source is of.
fn of_message(schema: SchemaText, source: &Source) -> SchemaText {
    SchemaText { message: source.message.clone(), ..schema }
}

fn issues(reader: &ReaderSchema, writer: &SchemaText) -> Vec<Issue> {
    // A registry may hold what is no Avro schema to us: its records can't be read either.
    reader.check_writer(writer).unwrap_or_else(|error| {
        vec![Issue { path: String::new(), rule: error.to_string(), conditional: false }]
    })
}
