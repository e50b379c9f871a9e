//! Confluent's HTTP API over a [`MemoryRegistry`], without HTTP: method, path and body in, status
//! and JSON out.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Contents, MemoryRegistry, Reference, Refusal, parse_json};
use crate::wire::SchemaId;

#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

impl MemoryRegistry {
    /// Answers a request with an HTTP status and a JSON body; errors are
    /// `{"error_code": 40401, "message": "…"}`.
    ///
    /// `path` starts behind wherever the registry is mounted, is percent-encoded, and may have a
    /// query, which is ignored. Limit the size of `body` before.
    #[must_use]
    pub fn handle(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        match self.answer(method, path, body) {
            Ok(answer) => (200, answer),
            Err(Refusal { code, message }) => {
                // 40401 is a kind of 404, 409 just 409.
                let status = if code >= 1000 { code / 100 } else { code };
                let status = u16::try_from(status).unwrap_or(500);
                (status, json!({ "error_code": code, "message": message }))
            }
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, Refusal> {
        let path = path.split('?').next().unwrap_or(path);
        let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).map(unescaped).collect();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let mut contents = self.contents();
        match (method, segments.as_slice()) {
            ("GET", ["subjects"]) => Ok(json!(contents.subjects.keys().collect::<Vec<_>>())),
            ("GET", ["subjects", subject, "versions"]) => {
                Ok(json!((1..=contents.versions(subject)?.len()).collect::<Vec<_>>()))
            }
            ("GET", ["subjects", subject, "versions", version]) => {
                version_answer(&contents, subject, version)
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let body = schema_body(body)?;
                let id = contents.register(subject, &body.schema, body.references)?;
                Ok(json!({ "id": id.0 }))
            }
            ("POST", ["subjects", subject]) => look_up(&contents, subject, &schema_body(body)?),
            ("GET", ["schemas", "ids", id]) => {
                let stored = contents.stored(schema_id(id)?)?;
                let mut answer = json!({ "schema": stored.schema.text });
                add_references(&mut answer, &stored.references);
                Ok(answer)
            }
            ("GET", ["schemas", "ids", id, "versions"]) => Ok(json!(contents.subjects_of(schema_id(id)?)?)),
            ("GET" | "POST", _) => Err(Refusal::new(404, "HTTP 404 Not Found")),
            _ => Err(Refusal::new(405, "HTTP 405 Method Not Allowed")),
        }
    }
}

fn version_answer(contents: &Contents, subject: &str, version: &str) -> Result<Value, Refusal> {
    let number = match version {
        "latest" | "-1" => None,
        digits => Some(digits.parse().ok().filter(|number| 0 < *number).ok_or_else(|| {
            Refusal::new(42202, format!("The specified version '{digits}' is not a valid version id."))
        })?),
    };
    let (version, id) = contents.version(subject, number)?;
    full_answer(contents, subject, version, id)
}

fn look_up(contents: &Contents, subject: &str, body: &SchemaBody) -> Result<Value, Refusal> {
    let versions = contents.versions(subject)?;
    let id = contents.find(&parse_json(&body.schema)?, &body.references);
    let found = versions.iter().zip(1..).find(|(version, _)| Some(**version) == id);
    match found {
        Some((id, version)) => full_answer(contents, subject, version, *id),
        None => Err(Refusal::new(40403, "Schema not found")),
    }
}

fn full_answer(contents: &Contents, subject: &str, version: u32, id: SchemaId) -> Result<Value, Refusal> {
    let stored = contents.stored(id)?;
    let mut answer =
        json!({ "subject": subject, "version": version, "id": id.0, "schema": stored.schema.text });
    add_references(&mut answer, &stored.references);
    Ok(answer)
}

fn add_references(answer: &mut Value, references: &[Reference]) {
    if !references.is_empty() {
        answer["references"] = json!(references);
    }
}

fn schema_body(body: &[u8]) -> Result<SchemaBody, Refusal> {
    let body: SchemaBody = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(42201, format!("Invalid request: {error}")))?;
    match body.schema_type.as_deref() {
        None | Some("AVRO") => Ok(body),
        Some(other) => {
            Err(Refusal::new(42201, format!("Invalid schema type {other}: only AVRO is supported")))
        }
    }
}

fn schema_id(text: &str) -> Result<SchemaId, Refusal> {
    text.parse().map(SchemaId).map_err(|_| Refusal::new(404, "HTTP 404 Not Found"))
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
