//! Deciding on deletions, configuration and modes.

use super::Decision;
use super::entry::{Config, Entry, Mode};
use super::model::{Choice, Filter, Model};
use super::refusal::Refusal;
use super::register::check_subject;

impl Model {
    /// Deletes all versions of a subject; gives their numbers.
    pub(super) fn delete_subject(
        &self,
        subject: &str,
        for_good: bool,
    ) -> Result<Decision<Vec<u32>>, Refusal> {
        let all: Vec<_> = self.versions(subject, Filter::WithDeleted).collect();
        let is_active = all.iter().any(|(_, version)| !version.is_deleted);
        match (all.is_empty(), is_active, for_good) {
            (true, _, _) => return Err(Refusal::subject_not_found(subject)),
            (_, false, false) => return Err(Refusal::subject_is_deleted(subject)),
            (_, true, true) => return Err(Refusal::subject_is_not_deleted(subject)),
            _ => {}
        }
        self.check_writable(subject)?;
        let filter = if for_good { Filter::WithDeleted } else { Filter::Active };
        let versions: Vec<u32> = self.versions(subject, filter).map(|(number, _)| number).collect();
        for version in &versions {
            // Schemas of the subject itself go with it.
            let is_elsewhere = |id: &u32| {
                self.places(*id, filter).is_ok_and(|places| places.iter().any(|(place, _)| *place != subject))
            };
            if self.referrers(subject, *version, filter).iter().any(is_elsewhere) {
                return Err(Refusal::referenced(subject, *version));
            }
        }
        Ok(deletion(subject, versions.clone(), for_good, versions))
    }

    /// Deletes a version; gives its number.
    pub(super) fn delete_version(
        &self,
        subject: &str,
        choice: Choice,
        for_good: bool,
    ) -> Result<Decision<u32>, Refusal> {
        // The latest is that of those that are listed, where there is one.
        let latest = self.version(subject, choice, Filter::Active);
        let (number, version) = match choice {
            Choice::Latest if latest.is_ok() => latest?,
            choice => self.version(subject, choice, Filter::WithDeleted)?,
        };
        match (version.is_deleted, for_good) {
            (true, false) => return Err(Refusal::version_is_deleted(subject, number)),
            (false, true) => return Err(Refusal::version_is_not_deleted(subject, number)),
            _ => {}
        }
        self.check_writable(subject)?;
        let filter = if for_good { Filter::WithDeleted } else { Filter::Active };
        if !self.referrers(subject, number, filter).is_empty() {
            return Err(Refusal::referenced(subject, number));
        }
        Ok(deletion(subject, vec![number], for_good, number))
    }

    /// Sets what `change` sets, for a subject or for all of them; gives what is set then.
    pub(super) fn configure(
        &self,
        subject: Option<&str>,
        change: Config,
    ) -> Result<Decision<Config>, Refusal> {
        if let Some(subject) = subject {
            check_subject(subject)?;
            self.check_room(0)?;
        }
        let before = self.config(subject).unwrap_or_default();
        let config = Config {
            compatibility: change.compatibility.or(before.compatibility),
            normalize: change.normalize.or(before.normalize),
        };
        let entry = Entry::Configured { subject: subject.map(str::to_owned), config };
        Ok(Decision { entry: (config != before).then_some(entry), answer: config })
    }

    /// Takes a configuration away; gives what it was.
    pub(super) fn unconfigure(&self, subject: Option<&str>) -> Result<Decision<Config>, Refusal> {
        let before = self.config(subject);
        let before = before.ok_or_else(|| Refusal::subject_not_found(subject.unwrap_or_default()))?;
        let config = Config::default();
        let entry = Entry::Configured { subject: subject.map(str::to_owned), config };
        Ok(Decision { entry: (before != config).then_some(entry), answer: before })
    }

    /// Sets the mode of a subject, or of all that have none of their own. `force`: import although there
    /// are schemas.
    pub(super) fn set_mode(
        &self,
        subject: Option<&str>,
        mode: Mode,
        force: bool,
    ) -> Result<Decision<Mode>, Refusal> {
        if let Some(subject) = subject {
            check_subject(subject)?;
            self.check_room(0)?;
        }
        let before = match subject {
            Some(subject) => self.mode_in_scope(subject),
            None => self.mode(None).unwrap_or_default(),
        };
        let has_schemas = || match subject {
            Some(subject) => self.versions(subject, Filter::Active).next().is_some(),
            None => self.subjects(Filter::Active).next().is_some(),
        };
        if mode == Mode::Import && before != Mode::Import && !force && has_schemas() {
            return Err(Refusal::not_permitted(
                "Cannot import since found existing subjects: delete them first, or say force=true",
            ));
        }
        let is_set = self.own_mode(subject) == Some(mode);
        let entry = Entry::ModeSet { subject: subject.map(str::to_owned), mode: Some(mode) };
        Ok(Decision { entry: (!is_set).then_some(entry), answer: mode })
    }

    /// Takes a mode away; gives what it was.
    pub(super) fn unset_mode(&self, subject: Option<&str>) -> Result<Decision<Mode>, Refusal> {
        let before = self.mode(subject);
        let before = before.ok_or_else(|| Refusal::subject_not_found(subject.unwrap_or_default()))?;
        let entry = Entry::ModeSet { subject: subject.map(str::to_owned), mode: None };
        Ok(Decision { entry: self.own_mode(subject).map(|_| entry), answer: before })
    }

    fn check_writable(&self, subject: &str) -> Result<(), Refusal> {
        match self.mode_in_scope(subject) {
            Mode::ReadOnly => Err(Refusal::wrong_mode(subject, Mode::ReadOnly)),
            Mode::ReadWrite | Mode::Import => Ok(()),
        }
    }
}

fn deletion<T>(subject: &str, versions: Vec<u32>, for_good: bool, answer: T) -> Decision<T> {
    let subject = subject.to_owned();
    let entry = match for_good {
        true => Entry::VersionsErased { subject, versions },
        false => Entry::VersionsDeleted { subject, versions },
    };
    Decision { entry: Some(entry), answer }
}
