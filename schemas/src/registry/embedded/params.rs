//! The parts of a request: segments of its path, parameters, body.

use serde::Deserialize;
use serde_json::Value;

use super::MAX_ID;
use super::entry::{Config, Level, Mode};
use super::model::{Choice, Filter};
use super::refusal::Refusal;
use super::register::{Proposal, ProposedReference};
use crate::registry::Language;

/// What is behind the `?`, later ones winning.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // In a query, and only there, a plus is a space.
            (unescaped(&key.replace('+', " ")), unescaped(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Which versions `deleted` and `deletedOnly` ask for.
    pub(super) fn filter(&self) -> Filter {
        match (self.is("deletedOnly"), self.is("deleted")) {
            (true, _) => Filter::OnlyDeleted,
            (false, true) => Filter::WithDeleted,
            (false, false) => Filter::Active,
        }
    }

    /// How the subjects that are asked for begin.
    pub(super) fn subject_prefix(&self) -> &str {
        let prefix = self.get("subjectPrefix").unwrap_or_default();
        // Without contexts, the prefix of the default one says nothing.
        prefix.strip_prefix(":*:").or(prefix.strip_prefix(":.:")).unwrap_or(prefix)
    }

    /// The part of a list that `offset` and `limit` ask for.
    pub(super) fn page<T>(&self, items: impl IntoIterator<Item = T>) -> Result<Vec<T>, Refusal> {
        let number = |key: &str| match self.get(key) {
            None => Ok(None),
            Some(text) => match text.parse::<i64>() {
                Ok(number) => Ok(usize::try_from(number).ok()),
                Err(_) => Err(Refusal::no_such_path()),
            },
        };
        let (offset, limit) = (number("offset")?.unwrap_or(0), number("limit")?);
        Ok(items.into_iter().skip(offset).take(limit.unwrap_or(usize::MAX)).collect())
    }
}

/// The segments of a path, unescaped, and its parameters.
pub(super) fn split(path: &str) -> (Vec<String>, Params) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(unescaped);
    (segments.collect(), Params::parse(query))
}

/// A version as paths name it.
pub(super) fn choice(text: &str) -> Result<Choice, Refusal> {
    match text.trim() {
        "-1" => Ok(Choice::Latest),
        word if word.eq_ignore_ascii_case("latest") => Ok(Choice::Latest),
        digits => match digits.parse::<u32>() {
            Ok(number) if (1..=MAX_ID).contains(&number) => Ok(Choice::Number(number)),
            _ => Err(Refusal::invalid_version(text)),
        },
    }
}

pub(super) fn schema_id(text: &str) -> Result<u32, Refusal> {
    // As a path that is not there: ids are ints.
    text.parse::<u32>().ok().filter(|id| *id <= MAX_ID).ok_or_else(Refusal::no_such_path)
}

#[derive(Deserialize)]
struct SchemaBody {
    schema: Option<String>,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    references: Option<Vec<ReferenceBody>>,
    metadata: Option<Value>,
    #[serde(rename = "ruleSet")]
    rule_set: Option<Value>,
    id: Option<i64>,
    version: Option<i64>,
}

#[derive(Deserialize)]
struct ReferenceBody {
    name: String,
    subject: String,
    version: i64,
}

/// A schema that was sent, to be registered, looked up or compared.
pub(super) fn proposal(body: &[u8], params: &Params) -> Result<Proposal, Refusal> {
    let body: SchemaBody = json(body)?;
    let language = match body.schema_type.as_deref() {
        None | Some("") => Language::default(),
        Some(word) => Language::parse(word).ok_or_else(|| {
            let words = Language::ALL.map(Language::as_str).join(", ");
            Refusal::invalid_schema(format!(
                "type {word} is not supported by this registry, only {words} are"
            ))
        })?,
    };
    if let Some((key, _)) = [("metadata", body.metadata), ("ruleSet", body.rule_set)]
        .into_iter()
        .find(|(_, value)| value.as_ref().is_some_and(|value| !is_empty(value)))
    {
        return Err(Refusal::invalid_schema(format!("\"{key}\" is not supported by this registry")));
    }
    let references = body.references.unwrap_or_default().into_iter().map(|reference| {
        let ReferenceBody { name, subject, version } = reference;
        Ok(ProposedReference { name, subject, version: choice(&version.to_string())? })
    });
    let id = match body.id {
        None | Some(-1) => None,
        Some(id) => Some(number(id, "id")?),
    };
    let version = match body.version {
        None | Some(0 | -1) => None,
        Some(version) => Some(number(version, "version")?),
    };
    Ok(Proposal {
        text: body.schema.ok_or_else(|| Refusal::invalid_schema("there is no \"schema\""))?,
        language,
        references: references.collect::<Result<_, Refusal>>()?,
        id,
        version,
        normalize: params.is("normalize"),
    })
}

fn number(number: i64, key: &str) -> Result<u32, Refusal> {
    let number = u32::try_from(number).ok().filter(|number| (1..=MAX_ID).contains(number));
    number.ok_or_else(|| Refusal::invalid_request(format!("\"{key}\" is not from 1 to {MAX_ID}")))
}

/// What a configuration is to be changed in.
pub(super) fn config(body: &[u8]) -> Result<Config, Refusal> {
    let body: serde_json::Map<String, Value> = json(body)?;
    let mut config = Config::default();
    for (key, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), value) {
            ("compatibility" | "compatibilityLevel", Value::String(word)) => {
                let level = Level::parse(word);
                config.compatibility = Some(level.ok_or_else(|| {
                    let words = Level::ALL.map(Level::as_str).join(", ");
                    Refusal::invalid_config(format!("\"{word}\" is none of {words}"))
                })?);
            }
            ("normalize", Value::Bool(normalize)) => config.normalize = Some(*normalize),
            _ => {
                return Err(Refusal::invalid_config(format!(
                    "\"{key}\": {value} is not supported, only \"compatibility\" and \"normalize\" are"
                )));
            }
        }
    }
    if config == Config::default() {
        return Err(Refusal::invalid_config("there is no \"compatibility\""));
    }
    Ok(config)
}

#[derive(Deserialize)]
struct ModeBody {
    mode: String,
}

pub(super) fn mode(body: &[u8]) -> Result<Mode, Refusal> {
    let ModeBody { mode: word } = json(body)?;
    let invalid = || Refusal::invalid_mode(format!("\"{word}\" is none of READWRITE, READONLY, IMPORT"));
    Mode::parse(&word).ok_or_else(invalid)
}

fn json<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::invalid_request)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(object) => object.values().all(is_empty),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

/// Undoes percent-encoding; what is not validly encoded stays as it is.
fn unescaped(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                plain.push(decoded);
                at += 3;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| segment.to_owned())
}
