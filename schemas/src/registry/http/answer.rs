//! What a registry's answer means.

use serde::Deserialize;
use serde_json::Value;

use super::super::{Language, RegistryError};

/// Characters of a registry's own message that are passed on.
const MAX_MESSAGE_CHARS: usize = 500;

/// A schema as a registry gives it.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) text: String,
    pub(super) language: Language,
    pub(super) references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    /// Left out for Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// A schema that another one uses types of.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: u32,
}

impl Schema {
    /// # Errors
    /// [`RegistryError::Invalid`] where it is in no language that we know; [`RegistryError::Unavailable`]
    /// where it is no schema at all.
    pub(super) fn from_answer(answer: &Value) -> Result<Self, RegistryError> {
        let Answer { schema: text, schema_type, references } = Answer::deserialize(answer)
            .map_err(|error| RegistryError::unavailable(format!("the answer is not a schema: {error}")))?;
        let word = schema_type.as_deref().unwrap_or_default();
        let language = Language::parse(if word.is_empty() { Language::default().as_str() } else { word });
        let language = language.ok_or_else(|| {
            RegistryError::invalid(format!("the schema is of type {word}, not of AVRO, JSON or PROTOBUF"))
        })?;
        Ok(Self { text, language, references })
    }
}

/// The number at `key`.
///
/// # Errors
/// [`RegistryError::Unavailable`] where there is none: something else than a registry answered.
pub(super) fn number(answer: &Value, key: &str) -> Result<u32, RegistryError> {
    let number = answer.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| RegistryError::unavailable(format!("the answer has no number \"{key}\"")))
}

/// Sorts an answer by who is to blame for it.
///
/// # Errors
/// [`RegistryError::NotFound`] and [`RegistryError::Invalid`] only where the registry itself says
/// so, with an error code of its own.
pub(super) fn judge(url: &str, status: u16, text: &str) -> Result<Value, RegistryError> {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let message = json.as_ref().and_then(|json| json.get("message")).and_then(Value::as_str);
    let message: String = message.unwrap_or("no message").chars().take(MAX_MESSAGE_CHARS).collect();
    let error_code = json.as_ref().and_then(|json| json.get("error_code")).and_then(Value::as_u64);
    match (status, json) {
        (200..=299, Some(json)) => Ok(json),
        (200..=299, None) => Err(RegistryError::unavailable(format!("{url}: the answer is not JSON"))),
        (404, _) if error_code.is_some_and(|code| (40_400..40_500).contains(&code)) => {
            Err(RegistryError::NotFound { what: format!("such thing: {message}") })
        }
        (404, _) => Err(RegistryError::unavailable(format!(
            "{url}: 404, and not from a schema registry: is the url right?"
        ))),
        // Whatever it says may repeat what we sent.
        (401 | 403, _) => Err(RegistryError::unavailable(format!(
            "{url}: {status}, it does not accept our credentials: check \"username\" and \"password\" of \
                 \"schema_registry\""
        ))),
        (400 | 409 | 422, _) if error_code.is_some() => {
            Err(RegistryError::invalid(format!("the schema registry refused: {message} ({status})")))
        }
        _ => Err(RegistryError::unavailable(format!("{url}: {status}, {message}"))),
    }
}
