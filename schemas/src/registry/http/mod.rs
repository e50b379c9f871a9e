//! Client of a registry over HTTP: cached, and patient without making its callers wait.
//!
//! Invariants:
//! 1. A call takes one request (one more per reference of a schema), each at most
//!    [`TOTAL_TIMEOUT`]. After a failure the same question is answered from memory until its
//!    back-off has passed.
//! 2. The schema of an id never changes, so it is asked for once per process. That an id does not
//!    exist is remembered for [`MISSING_FOR`] only: a new one may be slow to spread. A flood of ids that do
//!    not exist is asked for bit by bit; meanwhile whoever needs one waits, as for a registry that is away.
//! 3. Only a registry's own "not found" counts as such. A 404 from a proxy or a wrong path must not
//!    turn good records into dead letters.
//! 4. The password is in no error and no `Debug` output.

mod answer;
mod recall;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use self::answer::{Reference, Schema};
use self::recall::{Memory, UNKNOWN_EVERY};
use super::{Language, Registered, RegistryError, SchemaRegistry, SchemaText, SubjectVersion};
use crate::wire::SchemaId;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for an answer, connecting included. Longer, and a source subtask stands still for
/// as long; shorter, and a registry under load is taken to be away.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long an unknown id stays unknown. Longer, and records of a schema that was registered meanwhile become dead
/// letters; shorter, and records of an id that nobody knows flood the registry with questions.
pub const MISSING_FOR: Duration = Duration::from_secs(1);

/// Ids are ints of Java. Asked for a larger one, Confluent's registry answers 404 as if the path did
/// not exist, and one record of garbage would be waited for as for a registry that is away.
const MAX_ID: u32 = i32::MAX.cast_unsigned();

/// Larger answers are refused.
const MAX_ANSWER_BYTES: u64 = 8 << 20;

/// Schemas that one schema may refer to, directly or not.
const MAX_REFERENCES: usize = 100;

/// User name and password.
#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// A registry at a URL. One per connection and process, shared.
pub struct HttpRegistry {
    /// Without slash at the end.
    base_url: String,
    authorization: Option<String>,
    agent: Agent,

    memory: Mutex<Memory>,
}

impl HttpRegistry {
    /// A client of the registry at `url`, which may have a path
    /// (`http://localhost:8080/apis/ccompat/v7`). Asks nothing yet.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] where the URL is not one of HTTP, or has credentials in it.
    pub fn new(url: &str, credentials: Option<&Credentials>) -> Result<Self, RegistryError> {
        let base_url = checked_url(url)?;
        let authorization = credentials.map(|Credentials { username, password }| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
        });
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TOTAL_TIMEOUT))
            .user_agent("weir")
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { base_url, authorization, agent, memory: Mutex::default() })
    }

    /// Where the registry is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base_url
    }

    fn with_memory<T>(&self, visit: impl FnOnce(&mut Memory) -> T) -> T {
        // What is remembered is whole after every single change, so a panic elsewhere spoils nothing.
        visit(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks, unless the same question failed a moment ago.
    fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, RegistryError> {
        let question = format!("{} {path}", if body.is_some() { "POST" } else { "GET" });
        if let Some(detail) = self.with_memory(|memory| memory.failure(&question, Instant::now())) {
            return Err(RegistryError::Unavailable { detail });
        }
        let answer = self.send(path, body);
        self.with_memory(|memory| match &answer {
            Err(RegistryError::Unavailable { detail }) => memory.failed(&question, detail, Instant::now()),
            _ => memory.answered(&question),
        });
        answer
    }

    fn send(&self, path: &str, body: Option<&Value>) -> Result<Value, RegistryError> {
        let url = format!("{}{path}", self.base_url);
        let accept = "application/vnd.schemaregistry.v1+json, application/json";
        let failed = |error: ureq::Error| {
            let error = error.to_string();
            let advice = match error.contains("certificate") {
                true => ": name the file with its authority in the environment variable SSL_CERT_FILE",
                false => "",
            };
            RegistryError::unavailable(format!("{url}: {error}{advice}"))
        };
        let mut response = match body {
            None => {
                let mut request = self.agent.get(&url).header("accept", accept);
                if let Some(authorization) = &self.authorization {
                    request = request.header("authorization", authorization);
                }
                request.call().map_err(failed)?
            }
            Some(body) => {
                let mut request = self.agent.post(&url).header("accept", accept);
                if let Some(authorization) = &self.authorization {
                    request = request.header("authorization", authorization);
                }
                let request = request.content_type("application/vnd.schemaregistry.v1+json");
                request.send(body.to_string()).map_err(failed)?
            }
        };
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        answer::judge(&url, status, &text.map_err(failed)?)
    }

    /// Adds what the schema refers to.
    fn complete(&self, schema: Schema) -> Result<Arc<SchemaText>, RegistryError> {
        let mut found = Vec::new();
        self.collect(schema.references, &mut found, &mut HashSet::new(), 0)?;
        let (names, references): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let names = if schema.language == Language::Avro { Vec::new() } else { names };
        let (text, language) = (schema.text, schema.language);
        Ok(Arc::new(SchemaText { text, references, names, language, message: None }))
    }

    /// Names and texts, depth first, so that every schema comes after those that it refers to.
    fn collect(
        &self,
        references: Vec<Reference>,
        found: &mut Vec<(String, String)>,
        seen: &mut HashSet<(String, u32)>,
        depth: usize,
    ) -> Result<(), RegistryError> {
        for Reference { name, subject, version } in references {
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > MAX_REFERENCES || depth > MAX_REFERENCES {
                return Err(RegistryError::invalid(format!(
                    "the schema has more than {MAX_REFERENCES} references"
                )));
            }
            let answer = self.ask(&version_path(&subject, &version.to_string()), None)?;
            let schema = Schema::from_answer(&answer)?;
            self.collect(schema.references, found, seen, depth + 1)?;
            found.push((name, schema.text));
        }
        Ok(())
    }

    fn registered(&self, subject: &str, version: &str) -> Result<Registered, RegistryError> {
        let answer = self.ask(&version_path(subject, version), None)?;
        let id = SchemaId(answer::number(&answer, "id")?);
        let version = answer::number(&answer, "version")?;
        let known = self.with_memory(|memory| memory.schema(id));
        let schema = match known {
            Some(schema) => schema,
            None => self.complete(Schema::from_answer(&answer)?)?,
        };
        self.with_memory(|memory| memory.keep_schema(id, &schema));
        Ok(Registered { id, subject: subject.to_owned(), version, schema })
    }
}

impl SchemaRegistry for HttpRegistry {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        if let Some(schema) = self.with_memory(|memory| memory.schema(id)) {
            return Ok(schema);
        }
        let missing = || RegistryError::NotFound { what: format!("schema of id {id}") };
        if self.is_missing(id) {
            return Err(missing());
        }
        if !self.with_memory(|memory| memory.may_ask(Instant::now())) {
            let a_second = 1_000 / UNKNOWN_EVERY.as_millis();
            return Err(RegistryError::unavailable(format!(
                "a flood of ids came that it does not know: it is asked for {a_second} more a second"
            )));
        }
        match self.ask(&format!("/schemas/ids/{id}"), None) {
            Ok(answer) => {
                let schema = self.complete(Schema::from_answer(&answer)?)?;
                self.with_memory(|memory| memory.keep_schema(id, &schema));
                Ok(schema)
            }
            Err(RegistryError::NotFound { .. }) => {
                let now = Instant::now();
                self.with_memory(|memory| memory.keep_missing(id, now, now + MISSING_FOR));
                Err(missing())
            }
            Err(error) => Err(error),
        }
    }

    fn is_missing(&self, id: SchemaId) -> bool {
        id.0 > MAX_ID || self.with_memory(|memory| memory.is_missing(id, Instant::now()))
    }

    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        let answer = self.ask(&format!("/schemas/ids/{id}/versions"), None)?;
        serde_json::from_value(answer).map_err(|error| {
            RegistryError::unavailable(format!("the answer is not a list of versions: {error}"))
        })
    }

    fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        self.registered(subject, "latest")
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let answer = self.ask(&format!("/subjects/{}/versions", escaped(subject)), None)?;
        let mut versions: Vec<u32> = serde_json::from_value(answer).map_err(|error| {
            RegistryError::unavailable(format!("the answer is not a list of versions: {error}"))
        })?;
        versions.sort_unstable();
        Ok(versions)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Registered, RegistryError> {
        self.registered(subject, &version.to_string())
    }

    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let path = format!("/subjects/{}/versions", escaped(subject));
        let answer = self.ask(&path, Some(&json!({ "schema": schema })))?;
        Ok(SchemaId(answer::number(&answer, "id")?))
    }
}

impl fmt::Debug for HttpRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRegistry").field("url", &self.base_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

fn checked_url(url: &str) -> Result<String, RegistryError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    match authority {
        // The URL itself is not repeated: it may hold a password.
        Some(authority) if authority.contains('@') => Err(RegistryError::invalid(
            "the registry's url has credentials in it: they belong in \"username\" and \"password\"",
        )),
        Some(authority) if !authority.is_empty() && !url.contains(['?', '#']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(RegistryError::invalid(
            "the registry's url must be http:// or https://, a host, and no query",
        )),
    }
}

fn version_path(subject: &str, version: &str) -> String {
    format!("/subjects/{}/versions/{version}", escaped(subject))
}

/// `subject` as one segment of a path, by RFC 3986.
fn escaped(subject: &str) -> String {
    let mut path = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}
