//! Why a registry refuses: the codes and texts that clients of Confluent's registry look for.

use serde_json::{Value, json};

use super::super::RegistryError;
use super::entry::{Level, Mode};

/// Of a schema that is none, and of a request that can't be read.
const INVALID_SCHEMA: u32 = 42201;

/// An error code and what a person reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// It starts with the HTTP status.
    code: u32,
    message: String,
}

impl Refusal {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "HTTP 404 Not Found")
    }

    pub(super) fn no_such_method() -> Self {
        Self::new(405, "HTTP 405 Method Not Allowed")
    }

    pub(super) fn subject_not_found(subject: &str) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn version_not_found(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    pub(super) fn id_not_found(id: u32) -> Self {
        Self::new(40403, format!("Schema {id} not found"))
    }

    pub(super) fn schema_not_found() -> Self {
        Self::new(40403, "Schema not found")
    }

    pub(super) fn subject_is_deleted(subject: &str) -> Self {
        Self::new(
            40404,
            format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"),
        )
    }

    pub(super) fn subject_is_not_deleted(subject: &str) -> Self {
        Self::new(
            40405,
            format!("Subject '{subject}' was not deleted first before being permanently deleted"),
        )
    }

    pub(super) fn version_is_deleted(subject: &str, version: u32) -> Self {
        Self::new(
            40406,
            format!(
                "Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
            ),
        )
    }

    pub(super) fn version_is_not_deleted(subject: &str, version: u32) -> Self {
        Self::new(
            40407,
            format!(
                "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
            ),
        )
    }

    pub(super) fn no_config(subject: &str) -> Self {
        Self::new(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub(super) fn no_mode(subject: &str) -> Self {
        Self::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub(super) fn incompatible(subject: &str, level: Level, messages: &[String]) -> Self {
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\" \
             (compatibility {}): {}",
            level.as_str(),
            messages.join("; ")
        );
        Self::new(409, message)
    }

    pub(super) fn invalid_schema(why: impl std::fmt::Display) -> Self {
        Self::new(INVALID_SCHEMA, format!("Invalid schema: {why}"))
    }

    pub(super) fn invalid_request(why: impl std::fmt::Display) -> Self {
        Self::new(INVALID_SCHEMA, format!("Invalid request: {why}"))
    }

    pub(super) fn invalid_version(version: &str) -> Self {
        Self::new(
            42202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between \
                 [1, 2^31-1] and the string \"latest\""
            ),
        )
    }

    pub(super) fn invalid_config(why: impl std::fmt::Display) -> Self {
        Self::new(42203, format!("Invalid compatibility level: {why}"))
    }

    pub(super) fn invalid_mode(why: impl std::fmt::Display) -> Self {
        Self::new(42204, format!("Invalid mode: {why}"))
    }

    pub(super) fn not_permitted(why: impl Into<String>) -> Self {
        Self::new(42205, why)
    }

    pub(super) fn wrong_mode(subject: &str, mode: Mode) -> Self {
        Self::not_permitted(match mode {
            Mode::ReadOnly => format!("Subject {subject} is in read-only mode"),
            Mode::Import => format!(
                "Subject {subject} is in import mode: a schema comes with its id, or the mode is READWRITE"
            ),
            Mode::ReadWrite => {
                format!("Subject {subject} is not in import mode: only there a schema comes with its id")
            }
        })
    }

    pub(super) fn referenced(subject: &str, version: u32) -> Self {
        Self::new(
            42206,
            format!("One or more references exist to the schema {{subject={subject},version={version}}}."),
        )
    }

    pub(super) fn other_id(known: u32, given: u32) -> Self {
        Self::new(42207, format!("The schema has id {known} here, not {given}"))
    }

    pub(super) fn invalid_subject(subject: &str) -> Self {
        Self::new(
            42208,
            format!(
                "The specified subject '{subject}' is not a valid subject: it is empty, longer than {} bytes, \
                 reserved or has control characters",
                super::MAX_SUBJECT_BYTES
            ),
        )
    }

    pub(super) fn too_large(why: impl Into<String>) -> Self {
        Self::new(42209, why)
    }

    pub(super) fn store(why: impl std::fmt::Display) -> Self {
        Self::new(50001, format!("Error in the backend data store: {why}"))
    }

    /// Whether it is the schema that is wrong.
    pub(super) fn is_of_the_schema(&self) -> bool {
        self.code == INVALID_SCHEMA
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// HTTP status and body.
    pub(super) fn answer(&self) -> (u16, Value) {
        // 40401 is a kind of 404, 409 just 409.
        let status = if self.code >= 1000 { self.code / 100 } else { self.code };
        (u16::try_from(status).unwrap_or(500), json!({ "error_code": self.code, "message": self.message }))
    }
}

impl From<Refusal> for RegistryError {
    fn from(Refusal { code, message }: Refusal) -> Self {
        match code {
            40401..=40403 => Self::NotFound { what: format!("such thing: {message}") },
            50000.. => Self::unavailable(message),
            _ => Self::invalid(format!("the schema registry refused: {message}")),
        }
    }
}
