//! What can happen to a registry: each change is one entry, appended to its log and replayed at the start.
//!
//! Entries are JSON on disk. Their names are promises: none is ever used for something else.

use serde::{Deserialize, Serialize};

use crate::registry::Language;

/// A change that was decided on; [`super::model::Model::apply`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    /// A version of a subject; `schema` where its id is new.
    Registered {
        subject: String,
        version: u32,
        id: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<NewSchema>,
        /// Soft-deleted versions of the same id, which this one takes the place of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<u32>,
    },
    /// Soft: no longer listed, its id is still known.
    VersionsDeleted { subject: String, versions: Vec<u32> },
    /// For good. A schema without a version left is forgotten, its id never given again.
    VersionsErased { subject: String, versions: Vec<u32> },
    /// What a subject, or all of them, is set to from now on.
    Configured {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        config: Config,
    },
    ModeSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        mode: Option<Mode>,
    },
}

/// A schema that no version had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NewSchema {
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Language::is_avro")]
    pub(super) language: Language,
}

/// A version of another subject whose types a schema uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: u32,
}

/// What of the configuration is set; the rest is that of all subjects, or the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compatibility: Option<Level>,
    /// Schemas are kept in their normal form, also where a request does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) normalize: Option<bool>,
}

/// Which schemas a new version is compared with, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Level {
    None,
    /// The new schema reads what the latest version wrote.
    #[default]
    Backward,
    BackwardTransitive,
    /// The latest version reads what the new schema writes.
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub(super) const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether the new schema has to read what older versions wrote.
    pub(super) fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether older versions have to read what the new schema writes.
    pub(super) fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether all versions count, not just the latest.
    pub(super) fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

/// What may be done with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    /// Schemas come with their ids, from another registry, and are not compared.
    Import,
}

impl Mode {
    const ALL: [Self; 3] = [Self::ReadWrite, Self::ReadOnly, Self::Import];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::Import => "IMPORT",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_disk_are_pinned() {
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).expect("a word"), level.as_str());
            assert_eq!(Level::parse(&level.as_str().to_lowercase()), Some(level));
        }
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_value(mode).expect("a word"), mode.as_str());
            assert_eq!(Mode::parse(mode.as_str()), Some(mode));
        }
        let entry = Entry::Registered {
            subject: "s".into(),
            version: 2,
            id: 7,
            schema: Some(NewSchema {
                text: "\"int\"".into(),
                references: vec![Reference { name: "n".into(), subject: "r".into(), version: 1 }],
                language: Language::Avro,
            }),
            replaces: vec![1],
        };
        let json = r#"{"entry":"registered","subject":"s","version":2,"id":7,"schema":{"text":"\"int\"","references":[{"name":"n","subject":"r","version":1}]},"replaces":[1]}"#;
        assert_eq!(serde_json::to_string(&entry).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<Entry>(json).expect("an entry"), entry);
        let json = r#"{"text":"true","language":"json_schema"}"#;
        let schema =
            NewSchema { text: "true".into(), references: Vec::new(), language: Language::JsonSchema };
        assert_eq!(serde_json::to_string(&schema).expect("JSON"), json);
        assert_eq!(serde_json::to_value(Language::Protobuf).expect("a word"), "protobuf");
        for (json, entry) in [
            (
                r#"{"entry":"versions_deleted","subject":"s","versions":[1]}"#,
                Entry::VersionsDeleted { subject: "s".into(), versions: vec![1] },
            ),
            (
                r#"{"entry":"versions_erased","subject":"s","versions":[1]}"#,
                Entry::VersionsErased { subject: "s".into(), versions: vec![1] },
            ),
            (
                r#"{"entry":"configured","config":{"compatibility":"FULL","normalize":true}}"#,
                Entry::Configured {
                    subject: None,
                    config: Config { compatibility: Some(Level::Full), normalize: Some(true) },
                },
            ),
            (
                r#"{"entry":"mode_set","subject":"s","mode":"READONLY"}"#,
                Entry::ModeSet { subject: Some("s".into()), mode: Some(Mode::ReadOnly) },
            ),
        ] {
            assert_eq!(serde_json::to_string(&entry).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Entry>(json).expect("an entry"), entry);
        }
    }
}
