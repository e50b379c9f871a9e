//! Confluent's API, without HTTP: method, path and body in, status and JSON out.
//!
//! Paths, parameters, codes and bodies are those of Confluent's documentation; what is not supported is
//! refused, with the reason. Parameters that a registry without contexts can leave aside are ignored.

use serde_json::{Value, json};

use super::EmbeddedRegistry;
use super::entry::Config;
use super::model::{Filter, Model, Stored};
use super::params::{self, Params};
use super::refusal::Refusal;
use super::register::Place;
use crate::protobuf::File;
use crate::registry::Language;

impl EmbeddedRegistry {
    /// Answers a request with an HTTP status and a JSON body; errors are
    /// `{"error_code": 40401, "message": "…"}`.
    ///
    /// `path` starts behind wherever the registry is mounted, is percent-encoded, and may have a
    /// query. Limit the size of `body` before. A request that changes something waits for the disk.
    #[must_use]
    pub fn handle(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (segments, params) = params::split(path);
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let request = Request { registry: self, method, params: &params, body };
        match request.answer(&segments) {
            Ok(answer) => (200, answer),
            Err(refusal) => refusal.answer(),
        }
    }
}

struct Request<'a> {
    registry: &'a EmbeddedRegistry,
    method: &'a str,
    params: &'a Params,
    body: &'a [u8],
}

type Answer = Result<Value, Refusal>;

impl Request<'_> {
    fn answer(&self, segments: &[&str]) -> Answer {
        match segments {
            // Whoever looks whether somebody is here may post, too.
            [] if self.method == "POST" => Ok(json!({})),
            [] => self.only_get(|_| Ok(json!({}))),
            ["contexts"] => self.only_get(|_| Ok(json!(["."]))),
            ["v1", "metadata", "id"] => self.only_get(|_| Ok(cluster())),
            ["v1", "metadata", "version"] => {
                self.only_get(|_| Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "" })))
            }
            ["subjects", rest @ ..] => self.subjects(rest),
            ["schemas", rest @ ..] => self.only_get(|model| schemas(model, rest, self.params)),
            ["compatibility", "subjects", subject, "versions"] => self.compatibility(subject, None),
            ["compatibility", "subjects", subject, "versions", version] => {
                self.compatibility(subject, Some(version))
            }
            ["config"] => self.config(None),
            ["config", subject] => self.config(Some(subject)),
            ["mode"] => self.mode(None),
            ["mode", subject] => self.mode(Some(subject)),
            _ => Err(Refusal::no_such_path()),
        }
    }

    fn only_get(&self, read: impl FnOnce(&Model) -> Answer) -> Answer {
        match self.method {
            "GET" | "HEAD" => read(&self.registry.model()),
            _ => Err(Refusal::no_such_method()),
        }
    }

    fn subjects(&self, segments: &[&str]) -> Answer {
        let (registry, params) = (self.registry, self.params);
        match (self.method, segments) {
            ("POST", [subject]) => {
                let proposal = params::proposal(self.body, params)?;
                let model = registry.model();
                let Place { version, id } = model.look_up(subject, &proposal, params.filter())?;
                full_answer(&model, subject, version, id, params)
            }
            ("DELETE", [subject]) => {
                let for_good = params.is("permanent");
                Ok(json!(registry.change(|model| model.delete_subject(subject, for_good))?))
            }
            ("POST", [subject, "versions"]) => {
                let proposal = params::proposal(self.body, params)?;
                let place = registry.change(|model| model.register(subject, &proposal))?;
                Ok(json!({ "id": place.id }))
            }
            ("DELETE", [subject, "versions", version]) => {
                let (choice, for_good) = (params::choice(version)?, params.is("permanent"));
                Ok(json!(registry.change(|model| model.delete_version(subject, choice, for_good))?))
            }
            (
                _,
                [] | [_, "versions"] | [_, "versions", _] | [_, "versions", _, "schema" | "referencedby"],
            ) => self.only_get(|model| subjects(model, segments, params)),
            (_, [_]) => Err(Refusal::no_such_method()),
            _ => Err(Refusal::no_such_path()),
        }
    }

    fn compatibility(&self, subject: &str, version: Option<&str>) -> Answer {
        if self.method != "POST" {
            return Err(Refusal::no_such_method());
        }
        let proposal = params::proposal(self.body, self.params)?;
        let against = version.map(params::choice).transpose()?;
        let is_verbose = self.params.is("verbose");
        let messages = match self.registry.model().test(subject, &proposal, against) {
            Err(refusal) if is_verbose && refusal.is_of_the_schema() => vec![refusal.message().to_owned()],
            messages => messages?,
        };
        let mut answer = json!({ "is_compatible": messages.is_empty() });
        if is_verbose {
            answer["messages"] = json!(messages);
        }
        Ok(answer)
    }

    fn config(&self, subject: Option<&str>) -> Answer {
        match self.method {
            "PUT" => {
                let change = params::config(self.body)?;
                let config = self.registry.change(|model| model.configure(subject, change))?;
                Ok(config_answer(config, "compatibility"))
            }
            "DELETE" => {
                let before = self.registry.change(|model| model.unconfigure(subject))?;
                Ok(config_answer(before, "compatibilityLevel"))
            }
            _ => self.only_get(|model| {
                let config = match subject {
                    None => Config {
                        compatibility: Some(model.level("")),
                        ..model.config(None).unwrap_or_default()
                    },
                    Some(subject) if self.params.is("defaultToGlobal") => {
                        Config { compatibility: Some(model.level(subject)), ..model.config_in_scope(subject) }
                    }
                    Some(subject) => {
                        model.config(Some(subject)).ok_or_else(|| Refusal::no_config(subject))?
                    }
                };
                Ok(config_answer(config, "compatibilityLevel"))
            }),
        }
    }

    fn mode(&self, subject: Option<&str>) -> Answer {
        let mode = match self.method {
            "PUT" => {
                let (mode, force) = (params::mode(self.body)?, self.params.is("force"));
                self.registry.change(|model| model.set_mode(subject, mode, force))?
            }
            "DELETE" => self.registry.change(|model| model.unset_mode(subject))?,
            "GET" | "HEAD" => {
                let model = self.registry.model();
                match subject {
                    Some(subject) if self.params.is("defaultToGlobal") => model.mode_in_scope(subject),
                    subject => {
                        model.mode(subject).ok_or_else(|| Refusal::no_mode(subject.unwrap_or_default()))?
                    }
                }
            }
            _ => return Err(Refusal::no_such_method()),
        };
        Ok(json!({ "mode": mode.as_str() }))
    }
}

/// Reads below `/subjects`.
fn subjects(model: &Model, segments: &[&str], params: &Params) -> Answer {
    let filter = params.filter();
    match segments {
        [] => {
            let prefix = params.subject_prefix();
            let subjects = model.subjects(filter).filter(|subject| subject.starts_with(prefix));
            Ok(json!(params.page(subjects)?))
        }
        [subject, "versions"] => {
            let mut versions = model.versions(subject, filter).map(|(number, _)| number).peekable();
            if versions.peek().is_none() {
                return Err(Refusal::subject_not_found(subject));
            }
            Ok(json!(params.page(versions)?))
        }
        [subject, "versions", version, "referencedby"] => {
            // What refers to a version outlives its soft deletion.
            let (version, _) = model.version(subject, params::choice(version)?, Filter::WithDeleted)?;
            Ok(json!(params.page(model.referrers(subject, version, filter))?))
        }
        [subject, "versions", version, rest @ ..] => {
            let (version, found) = model.version(subject, params::choice(version)?, filter)?;
            match rest {
                [] => full_answer(model, subject, version, found.id, params),
                ["schema"] => Ok(text_answer(model.stored(found.id)?)),
                _ => Err(Refusal::no_such_path()),
            }
        }
        _ => Err(Refusal::no_such_path()),
    }
}

/// Reads below `/schemas`.
fn schemas(model: &Model, segments: &[&str], params: &Params) -> Answer {
    let of_subject = |subject: &str| params.get("subject").is_none_or(|asked| asked == subject);
    match segments {
        [] => all_schemas(model, params),
        ["types"] => Ok(json!(Language::ALL.map(Language::as_str))),
        ["ids", id, rest @ ..] => {
            let id = params::schema_id(id)?;
            match rest {
                [] => {
                    let mut answer = json!({});
                    if params.is("fetchMaxId") {
                        answer["maxId"] = json!(model.last_id());
                    }
                    add_schema(&mut answer, model.stored(id)?, params)?;
                    Ok(answer)
                }
                ["schema"] => Ok(text_answer(model.stored(id)?)),
                ["subjects"] => {
                    let places = model.places(id, params.filter())?.into_iter();
                    let mut subjects: Vec<_> =
                        places.map(|(subject, _)| subject).filter(|subject| of_subject(subject)).collect();
                    subjects.dedup();
                    Ok(json!(params.page(subjects)?))
                }
                ["versions"] => {
                    let places = model.places(id, params.filter())?.into_iter();
                    let places = places
                        .filter(|(subject, _)| of_subject(subject))
                        .map(|(subject, version)| json!({ "subject": subject, "version": version }));
                    Ok(json!(params.page(places)?))
                }
                _ => Err(Refusal::no_such_path()),
            }
        }
        _ => Err(Refusal::no_such_path()),
    }
}

/// Who this is, as a scope of Confluent's access control; there is no Kafka cluster that it belongs to.
fn cluster() -> Value {
    json!({ "id": "", "scope": { "path": [], "clusters": { "schema-registry-cluster": "weir" } } })
}

fn all_schemas(model: &Model, params: &Params) -> Answer {
    let (prefix, filter) = (params.subject_prefix(), params.filter());
    let latest_only = params.is("latestOnly");
    let subjects = model.subjects(filter).filter(|subject| subject.starts_with(prefix));
    let versions = subjects.flat_map(|subject| {
        let mut versions: Vec<_> = model.versions(subject, filter).collect();
        if latest_only {
            versions.drain(..versions.len().saturating_sub(1));
        }
        versions.into_iter().map(move |(number, version)| (subject, number, version.id))
    });
    let page = params.page(versions)?.into_iter();
    let answers = page.map(|(subject, number, id)| full_answer(model, subject, number, id, params));
    Ok(Value::Array(answers.collect::<Result<_, Refusal>>()?))
}

fn full_answer(model: &Model, subject: &str, version: u32, id: u32, params: &Params) -> Answer {
    let mut answer = json!({ "subject": subject, "version": version, "id": id });
    add_schema(&mut answer, model.stored(id)?, params)?;
    Ok(answer)
}

/// The schema itself, not as a text in JSON.
fn text_answer(stored: &Stored) -> Value {
    let text = &stored.schema.text;
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.trim().to_owned()))
}

/// Text, type (left out of Avro's) and references.
fn add_schema(answer: &mut Value, stored: &Stored, params: &Params) -> Result<(), Refusal> {
    let language = stored.schema.language;
    answer["schema"] = match params.get("format") {
        Some("serialized") if language == Language::Protobuf => {
            let file = File::parse(&stored.schema).map_err(Refusal::store)?;
            Value::String(file.descriptor_in_base64())
        }
        None | Some("" | "default") => Value::String(stored.schema.text.clone()),
        Some(other) => {
            return Err(Refusal::invalid_request(format!(
                "format \"{other}\" is not supported: schemas are given as they were registered"
            )));
        }
    };
    if language != Language::Avro {
        answer["schemaType"] = json!(language.as_str());
    }
    if !stored.references.is_empty() {
        answer["references"] = json!(stored.references);
    }
    Ok(())
}

fn config_answer(config: Config, key: &str) -> Value {
    let mut answer = json!({});
    if let Some(level) = config.compatibility {
        answer[key] = json!(level.as_str());
    }
    if let Some(normalize) = config.normalize {
        answer["normalize"] = json!(normalize);
    }
    answer
}
