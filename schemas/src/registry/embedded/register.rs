//! Deciding on new versions: what is looked up, what may be registered, and with which id.

use super::canonical;
use super::compatibility;
use super::entry::{Entry, Level, Mode, NewSchema, Reference};
use super::model::{Choice, Filter, Meaning, Model, Parsed, text_bytes};
use super::refusal::Refusal;
use super::{Decision, MAX_ID, MAX_REFERENCES, MAX_SUBJECT_BYTES};
use crate::registry::Language;

/// A schema that somebody sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Proposal {
    pub(super) text: String,
    pub(super) language: Language,
    pub(super) references: Vec<ProposedReference>,
    /// Wanted, in import mode.
    pub(super) id: Option<u32>,
    pub(super) version: Option<u32>,
    /// Keep the normal form.
    pub(super) normalize: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProposedReference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: Choice,
}

/// A version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: u32,
    pub(super) id: u32,
}

impl Model {
    /// The newest version of a subject that is this schema.
    pub(super) fn look_up(
        &self,
        subject: &str,
        proposal: &Proposal,
        filter: Filter,
    ) -> Result<Place, Refusal> {
        if self.versions(subject, filter).next().is_none() {
            return Err(Refusal::subject_not_found(subject));
        }
        let parsed = self.parse(&self.resolved(proposal)?)?;
        self.known(subject, &parsed, filter).ok_or_else(Refusal::schema_not_found)
    }

    fn known(&self, subject: &str, parsed: &Parsed, filter: Filter) -> Option<Place> {
        let id = self.id_of(&parsed.identity)?;
        let (version, _) = self.versions(subject, filter).rfind(|(_, version)| version.id == id)?;
        Some(Place { version, id })
    }

    /// What registering a schema under a subject comes to.
    pub(super) fn register(&self, subject: &str, proposal: &Proposal) -> Result<Decision<Place>, Refusal> {
        check_subject(subject)?;
        let new = self.resolved(proposal)?;
        let parsed = self.parse(&new)?;
        if let Some(known) = self.known(subject, &parsed, Filter::Active)
            && proposal.id.is_none_or(|id| id == known.id)
            && proposal.version.is_none_or(|version| version == known.version)
        {
            return Ok(Decision::nothing(known));
        }
        let mode = self.mode_in_scope(subject);
        match (mode, proposal.id) {
            (Mode::ReadWrite, None) | (Mode::Import, Some(_)) => {}
            _ => return Err(Refusal::wrong_mode(subject, mode)),
        }
        if mode != Mode::Import {
            check_defaults(&parsed)?;
            let level = self.level(subject);
            let broken = self.broken(level, subject, &parsed, None)?;
            if !broken.is_empty() {
                return Err(Refusal::incompatible(subject, level, &broken));
            }
        }
        let version = self.new_version(subject, proposal.version, mode)?;
        let (id, is_new) = self.new_id(&parsed, proposal.id)?;
        self.check_room(if is_new { text_bytes(&parsed.complete) } else { 0 })?;
        let normalize = proposal.normalize || self.config_in_scope(subject).normalize.unwrap_or_default();
        let normal = parsed.normal_text().filter(|_| normalize);
        let text = normal.map_or(new.text, str::to_owned);
        // A version that was soft-deleted comes back as a new one: its old number would be a second place.
        let replaces = self
            .versions(subject, Filter::OnlyDeleted)
            .filter(|(number, old)| {
                let is_needed = || !self.referrers(subject, *number, Filter::WithDeleted).is_empty();
                old.id == id && *number < version && !is_needed()
            })
            .map(|(number, _)| number);
        let entry = Entry::Registered {
            subject: subject.to_owned(),
            version,
            id,
            schema: is_new.then_some(NewSchema { text, ..new }),
            replaces: replaces.collect(),
        };
        Ok(Decision { entry: Some(entry), answer: Place { version, id } })
    }

    /// What a schema would break under a subject: against one version, or those that its level names.
    pub(super) fn test(
        &self,
        subject: &str,
        proposal: &Proposal,
        against: Option<Choice>,
    ) -> Result<Vec<String>, Refusal> {
        let against = match against {
            None => None,
            Some(Choice::Latest) => self.versions(subject, Filter::Active).next_back(),
            Some(choice) => {
                Some(self.version(subject, choice, Filter::Active).map_err(|_| match choice {
                    Choice::Number(number) => Refusal::version_not_found(number),
                    Choice::Latest => Refusal::version_not_found("latest"),
                })?)
            }
        };
        let parsed = self.parse(&self.resolved(proposal)?)?;
        check_defaults(&parsed)?;
        self.broken(self.level(subject), subject, &parsed, against.map(|(number, _)| number))
    }

    fn broken(
        &self,
        level: Level,
        subject: &str,
        new: &Parsed,
        only: Option<u32>,
    ) -> Result<Vec<String>, Refusal> {
        let mut versions: Vec<_> = self.versions(subject, Filter::Active).collect();
        match only {
            Some(only) => versions.retain(|(number, _)| *number == only),
            None if !level.is_transitive() => drop(versions.drain(..versions.len().saturating_sub(1))),
            None => {}
        }
        let schemas = versions.iter().map(|(number, version)| Ok((*number, self.meaning(version.id)?)));
        let schemas = schemas.collect::<Result<Vec<_>, Refusal>>()?;
        let schemas = schemas.iter().map(|(number, schema)| (*number, schema));
        Ok(compatibility::broken(level, &new.meaning, schemas))
    }

    /// The references as versions that are there.
    fn resolved(&self, proposal: &Proposal) -> Result<NewSchema, Refusal> {
        if proposal.references.len() > MAX_REFERENCES {
            let why = format!("it has more than {MAX_REFERENCES} references");
            return Err(Refusal::invalid_schema(why));
        }
        let references = proposal.references.iter().map(|reference| {
            let ProposedReference { name, subject, version } = reference;
            let version = match version {
                Choice::Number(number) => *number,
                Choice::Latest => {
                    let latest = self.version(subject, Choice::Latest, Filter::Active);
                    latest
                        .map_err(|refusal| {
                            Refusal::invalid_schema(format!("reference \"{name}\": {}", refusal.message()))
                        })?
                        .0
                }
            };
            Ok(Reference { name: name.clone(), subject: subject.clone(), version })
        });
        Ok(NewSchema {
            text: proposal.text.clone(),
            references: references.collect::<Result<_, Refusal>>()?,
            language: proposal.language,
        })
    }

    fn new_version(&self, subject: &str, wanted: Option<u32>, mode: Mode) -> Result<u32, Refusal> {
        let next = match self.versions(subject, Filter::WithDeleted).next_back() {
            Some((last, _)) if last >= MAX_ID => {
                return Err(Refusal::store(format!("subject '{subject}' has no version number left")));
            }
            Some((last, _)) => last + 1,
            None => 1,
        };
        match wanted {
            None => Ok(next),
            Some(wanted) if wanted == next => Ok(next),
            Some(_) if mode != Mode::Import => {
                Err(Refusal::invalid_schema(format!("the next version is {next}, and no other")))
            }
            Some(wanted) => {
                let is_taken = self.version(subject, Choice::Number(wanted), Filter::Active).is_ok()
                    || !self.referrers(subject, wanted, Filter::WithDeleted).is_empty();
                if is_taken {
                    let why = format!("Overwriting version {wanted} of subject {subject} is not permitted");
                    return Err(Refusal::not_permitted(why));
                }
                Ok(wanted)
            }
        }
    }

    /// The id of a schema, and whether the schema is new.
    fn new_id(&self, parsed: &Parsed, wanted: Option<u32>) -> Result<(u32, bool), Refusal> {
        match (self.id_of(&parsed.identity), wanted) {
            (Some(known), Some(wanted)) if known != wanted => Err(Refusal::other_id(known, wanted)),
            (Some(known), _) => Ok((known, false)),
            (None, Some(wanted)) if self.stored(wanted).is_ok() => Err(Refusal::not_permitted(format!(
                "Overwriting schema {wanted} with another is not permitted"
            ))),
            (None, Some(wanted)) => Ok((wanted, true)),
            (None, None) if self.last_id() >= MAX_ID => Err(Refusal::store("there is no schema id left")),
            (None, None) => Ok((self.last_id() + 1, true)),
        }
    }
}

/// Refuses a schema of which a default is not a value of its field.
fn check_defaults(parsed: &Parsed) -> Result<(), Refusal> {
    match &parsed.meaning {
        Meaning::Avro(schema) => {
            canonical::bad_default(schema).map_or(Ok(()), |why| Err(Refusal::invalid_schema(why)))
        }
        Meaning::Json(_) | Meaning::Protobuf(_) => Ok(()),
    }
}

pub(super) fn check_subject(subject: &str) -> Result<(), Refusal> {
    let is_reserved = matches!(subject, "__GLOBAL" | "__EMPTY");
    let is_valid = !subject.trim().is_empty()
        && subject.len() <= MAX_SUBJECT_BYTES
        && !subject.chars().any(char::is_control)
        && !is_reserved;
    if is_valid { Ok(()) } else { Err(Refusal::invalid_subject(subject)) }
}
