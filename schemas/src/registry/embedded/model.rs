//! What a registry holds, and how entries of its log change it. No disk, no HTTP, no lock.
//!
//! Invariants:
//! 1. What is here follows from the entries, in their order: a replay gives the same.
//! 2. An id names one schema: it is never given again, also not after the schema was erased. Only in import
//!    mode, where ids come from elsewhere, can that of an erased schema be brought along with another.
//! 3. Equal schemas (normal form and references) have one id. Every id has a version, or is forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::canonical;
use super::entry::{Config, Entry, Level, Mode, NewSchema, Reference};
use super::refusal::Refusal;
use super::{MAX_BYTES, MAX_VERSIONS};
use crate::avro::Schema;
use crate::error::SchemaError;
use crate::json_schema::JsonSchema;
use crate::protobuf::File;
use crate::registry::{Language, SchemaText};

/// See the module.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Model {
    schemas: BTreeMap<u32, Stored>,
    ids: HashMap<Arc<Identity>, u32>,
    subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    /// Ids of the schemas that refer to a version of a subject.
    referrers: BTreeMap<(String, u32), BTreeSet<u32>>,
    configs: BTreeMap<String, Config>,
    modes: BTreeMap<String, Mode>,
    config: Config,
    mode: Option<Mode>,
    /// The highest id that was ever given.
    last_id: u32,
    n_versions: usize,
    /// Of all texts, those of references included.
    bytes: usize,
}

/// What makes a schema itself.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    language: Language,
    normal_form: String,
    /// Sorted.
    references: Vec<Reference>,
}

/// A schema that has an id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) schema: Arc<SchemaText>,
    pub(super) references: Vec<Reference>,
    identity: Arc<Identity>,
    /// The versions that have it, soft-deleted ones included.
    places: BTreeSet<(String, u32)>,
}

/// A version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) id: u32,
    pub(super) is_deleted: bool,
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Latest,
    Number(u32),
}

/// Which versions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Active,
    WithDeleted,
    OnlyDeleted,
}

impl Filter {
    fn lets(self, version: &Version) -> bool {
        match self {
            Self::Active => !version.is_deleted,
            Self::WithDeleted => true,
            Self::OnlyDeleted => version.is_deleted,
        }
    }
}

/// A schema text that is one, with what it refers to.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) complete: SchemaText,
    pub(super) meaning: Meaning,
    pub(super) identity: Arc<Identity>,
}

/// A schema of any language.
#[derive(Debug)]
pub(super) enum Meaning {
    Avro(Schema),
    Json(JsonSchema),
    Protobuf(File),
}

impl Meaning {
    fn parse(text: &SchemaText) -> Result<Self, SchemaError> {
        Ok(match text.language {
            Language::Avro => Self::Avro(Schema::parse(&text.text, &text.references)?),
            Language::JsonSchema => Self::Json(JsonSchema::parse(&text.text, text.named_references())?),
            Language::Protobuf => Self::Protobuf(File::parse(text)?),
        })
    }

    fn normal_form(&self, text: &str) -> String {
        match self {
            Self::Avro(schema) => {
                // A bare name of a primitive type is a schema, too.
                let bare = || serde_json::Value::String(text.trim().to_owned());
                canonical::normal_form(&serde_json::from_str(text).unwrap_or_else(|_| bare()), schema)
            }
            Self::Json(schema) => canonical::json_form(schema.json()),
            Self::Protobuf(file) => file.descriptor_in_base64(),
        }
    }
}

impl Parsed {
    /// The text that is kept of it where normal forms are.
    pub(super) fn normal_text(&self) -> Option<&str> {
        // A descriptor is nothing to read.
        (self.complete.language != Language::Protobuf).then_some(&self.identity.normal_form)
    }
}

impl Model {
    pub(super) fn stored(&self, id: u32) -> Result<&Stored, Refusal> {
        self.schemas.get(&id).ok_or_else(|| Refusal::id_not_found(id))
    }

    pub(super) fn id_of(&self, identity: &Identity) -> Option<u32> {
        self.ids.get(identity).copied()
    }

    pub(super) fn last_id(&self) -> u32 {
        self.last_id
    }

    pub(super) fn subjects(&self, filter: Filter) -> impl Iterator<Item = &str> {
        // A subject is active as long as one of its versions is.
        let lets = move |versions: &BTreeMap<u32, Version>| match filter {
            Filter::OnlyDeleted => versions.values().all(|version| version.is_deleted),
            filter => versions.values().any(|version| filter.lets(version)),
        };
        self.subjects.iter().filter(move |(_, versions)| lets(versions)).map(|(subject, _)| subject.as_str())
    }

    /// The versions of a subject, ascending; none where there is no such subject.
    pub(super) fn versions(
        &self,
        subject: &str,
        filter: Filter,
    ) -> impl DoubleEndedIterator<Item = (u32, Version)> {
        let versions = self.subjects.get(subject).into_iter().flatten();
        versions.filter(move |(_, version)| filter.lets(version)).map(|(number, version)| (*number, *version))
    }

    /// One version; a subject without any is not found.
    pub(super) fn version(
        &self,
        subject: &str,
        choice: Choice,
        filter: Filter,
    ) -> Result<(u32, Version), Refusal> {
        let mut versions = self.versions(subject, filter).peekable();
        if versions.peek().is_none() {
            return Err(Refusal::subject_not_found(subject));
        }
        match choice {
            Choice::Latest => versions.next_back().ok_or_else(|| Refusal::version_not_found("latest")),
            Choice::Number(number) => {
                versions.find(|(found, _)| *found == number).ok_or_else(|| Refusal::version_not_found(number))
            }
        }
    }

    /// Where an id is registered, by subject and version.
    pub(super) fn places(&self, id: u32, filter: Filter) -> Result<Vec<(&str, u32)>, Refusal> {
        let stored = self.stored(id)?;
        let is_let = |(subject, number): &&(String, u32)| {
            let version = self.subjects.get(subject).and_then(|versions| versions.get(number));
            version.is_some_and(|version| filter.lets(version))
        };
        Ok(stored.places.iter().filter(is_let).map(|(subject, number)| (subject.as_str(), *number)).collect())
    }

    /// Ids of the schemas that refer to a version and are somewhere registered.
    pub(super) fn referrers(&self, subject: &str, version: u32, filter: Filter) -> Vec<u32> {
        let referrers = self.referrers.get(&(subject.to_owned(), version)).into_iter().flatten();
        let is_let = |id: &u32| self.places(*id, filter).is_ok_and(|places| !places.is_empty());
        referrers.copied().filter(is_let).collect()
    }

    pub(super) fn config(&self, subject: Option<&str>) -> Option<Config> {
        match subject {
            None => Some(self.config),
            Some(subject) => self.configs.get(subject).copied(),
        }
    }

    /// What holds for a subject: its own, else that of all, else the default.
    pub(super) fn config_in_scope(&self, subject: &str) -> Config {
        let own = self.config(Some(subject)).unwrap_or_default();
        Config {
            compatibility: own.compatibility.or(self.config.compatibility),
            normalize: own.normalize.or(self.config.normalize),
        }
    }

    pub(super) fn level(&self, subject: &str) -> Level {
        self.config_in_scope(subject).compatibility.unwrap_or_default()
    }

    /// What is set, if anything is.
    pub(super) fn own_mode(&self, subject: Option<&str>) -> Option<Mode> {
        match subject {
            None => self.mode,
            Some(subject) => self.modes.get(subject).copied(),
        }
    }

    /// As [`Self::own_mode`]; for all subjects there always is one.
    pub(super) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        self.own_mode(subject).or(subject.is_none().then(Mode::default))
    }

    pub(super) fn mode_in_scope(&self, subject: &str) -> Mode {
        self.own_mode(Some(subject)).or(self.mode).unwrap_or_default()
    }

    /// Whether there is room for one more.
    pub(super) fn check_room(&self, more_bytes: usize) -> Result<(), Refusal> {
        let settings = self.configs.len() + self.modes.len();
        if self.n_versions + settings >= MAX_VERSIONS {
            let why = format!("the registry holds {MAX_VERSIONS} versions and settings of subjects at most");
            return Err(Refusal::store(why));
        }
        if self.bytes + more_bytes > MAX_BYTES {
            return Err(Refusal::too_large(format!(
                "the registry holds {MAX_BYTES} bytes of schemas at most"
            )));
        }
        Ok(())
    }

    /// Parses a text with what it refers to, which may be versions that were soft-deleted since.
    pub(super) fn parse(&self, new: &NewSchema) -> Result<Parsed, Refusal> {
        let complete = self.complete(new)?;
        let meaning = Meaning::parse(&complete).map_err(Refusal::invalid_schema)?;
        let mut references = new.references.clone();
        references.sort_unstable();
        let normal_form = meaning.normal_form(&complete.text);
        let identity = Arc::new(Identity { language: new.language, normal_form, references });
        Ok(Parsed { complete, meaning, identity })
    }

    /// The text with what it refers to, each schema after those that it refers to itself.
    fn complete(&self, new: &NewSchema) -> Result<SchemaText, Refusal> {
        let (mut texts, mut names): (Vec<String>, Vec<String>) = Default::default();
        for Reference { name, subject, version } in &new.references {
            let found = self.version(subject, Choice::Number(*version), Filter::WithDeleted);
            let (_, found) = found.map_err(|refusal| {
                Refusal::invalid_schema(format!("reference \"{name}\": {}", refusal.message()))
            })?;
            let schema = &self.stored(found.id)?.schema;
            if schema.language != new.language {
                let why = format!("reference \"{name}\": it is not of type {}", new.language.as_str());
                return Err(Refusal::invalid_schema(why));
            }
            if new.language == Language::Avro {
                for text in schema.references.iter().chain([&schema.text]) {
                    if !texts.contains(text) {
                        texts.push(text.clone());
                    }
                }
                continue;
            }
            for (name, text) in schema.named_references().chain([(name.as_str(), schema.text.as_str())]) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                    texts.push(text.to_owned());
                }
            }
        }
        let (text, language) = (new.text.clone(), new.language);
        Ok(SchemaText { text, references: texts, names, language, message: None })
    }

    /// The parsed schema of an id.
    pub(super) fn meaning(&self, id: u32) -> Result<Meaning, Refusal> {
        Meaning::parse(&self.stored(id)?.schema).map_err(Refusal::invalid_schema)
    }

    /// Makes a change.
    ///
    /// # Errors
    /// It does not fit what is here: the log is not the one that this model is of. Nothing was changed.
    pub(super) fn apply(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Registered { subject, version, id, schema, replaces } => {
                match schema {
                    Some(new) => self.add_schema(id, new)?,
                    None if !self.schemas.contains_key(&id) => {
                        return Err(format!("there is no schema {id}"));
                    }
                    None => {}
                }
                self.place(&subject, version, id);
                self.erase(&subject, &replaces);
            }
            Entry::VersionsDeleted { subject, versions } => {
                let known = self.subjects.get_mut(&subject).ok_or_else(|| missing(&subject))?;
                for (_, version) in known.iter_mut().filter(|(number, _)| versions.contains(number)) {
                    version.is_deleted = true;
                }
            }
            Entry::VersionsErased { subject, versions } => {
                self.erase(&subject, &versions);
                if !self.subjects.contains_key(&subject) {
                    self.configs.remove(&subject);
                    self.modes.remove(&subject);
                }
            }
            Entry::Configured { subject: None, config } => self.config = config,
            Entry::Configured { subject: Some(subject), config } if config == Config::default() => {
                self.configs.remove(&subject);
            }
            Entry::Configured { subject: Some(subject), config } => {
                self.configs.insert(subject, config);
            }
            Entry::ModeSet { subject: None, mode } => self.mode = mode,
            Entry::ModeSet { subject: Some(subject), mode: None } => {
                self.modes.remove(&subject);
            }
            Entry::ModeSet { subject: Some(subject), mode: Some(mode) } => {
                self.modes.insert(subject, mode);
            }
        }
        Ok(())
    }

    fn add_schema(&mut self, id: u32, new: NewSchema) -> Result<(), String> {
        let Parsed { complete, identity, .. } =
            self.parse(&new).map_err(|refusal| refusal.message().to_owned())?;
        if self.schemas.contains_key(&id) || self.ids.contains_key(&identity) {
            return Err(format!("schema {id} is there already"));
        }
        for reference in &new.references {
            let place = (reference.subject.clone(), reference.version);
            self.referrers.entry(place).or_default().insert(id);
        }
        self.bytes += text_bytes(&complete);
        self.ids.insert(Arc::clone(&identity), id);
        let stored = Stored {
            schema: Arc::new(complete),
            references: new.references,
            identity,
            places: BTreeSet::new(),
        };
        self.schemas.insert(id, stored);
        self.last_id = self.last_id.max(id);
        Ok(())
    }

    fn place(&mut self, subject: &str, number: u32, id: u32) {
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        let before = versions.insert(number, Version { id, is_deleted: false });
        let place = (subject.to_owned(), number);
        match before {
            Some(before) if before.id != id => self.leave(before.id, &place),
            Some(_) => {}
            None => self.n_versions += 1,
        }
        if let Some(stored) = self.schemas.get_mut(&id) {
            stored.places.insert(place);
        }
    }

    fn erase(&mut self, subject: &str, numbers: &[u32]) {
        for number in numbers {
            let Some(versions) = self.subjects.get_mut(subject) else { return };
            let Some(version) = versions.remove(number) else { continue };
            if versions.is_empty() {
                self.subjects.remove(subject);
            }
            self.n_versions -= 1;
            self.leave(version.id, &(subject.to_owned(), *number));
        }
    }

    /// Takes a place from a schema, and forgets the schema with its last one.
    fn leave(&mut self, id: u32, place: &(String, u32)) {
        let Some(stored) = self.schemas.get_mut(&id) else { return };
        stored.places.remove(place);
        if !stored.places.is_empty() {
            return;
        }
        if let Some(stored) = self.schemas.remove(&id) {
            self.bytes -= text_bytes(&stored.schema);
            self.ids.remove(&stored.identity);
            for Reference { subject, version, .. } in stored.references {
                let place = (subject, version);
                if let Some(referrers) = self.referrers.get_mut(&place) {
                    referrers.remove(&id);
                    if referrers.is_empty() {
                        self.referrers.remove(&place);
                    }
                }
            }
        }
    }
}

fn missing(subject: &str) -> String {
    format!("there is no subject \"{subject}\"")
}

/// What a schema takes, about: its own text twice, for the normal form.
pub(super) fn text_bytes(schema: &SchemaText) -> usize {
    2 * schema.text.len() + schema.references.iter().map(String::len).sum::<usize>()
}
