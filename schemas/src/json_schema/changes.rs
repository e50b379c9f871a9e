//! What a JSON Schema no longer accepts that an older one did: Confluent's rules, with its content models.
//!
//! The *content model* of an object says what a property may be that is not named: anything (open, the default),
//! nothing (closed: `additionalProperties: false`), or what a schema says (partially open). A property that is added to
//! an open one may have been anything before; so only to a closed one it can be added.

mod keywords;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use self::keywords::{bounds, opaque, types, values};
use super::{JsonSchema, Place};

/// Steps of a comparison. Alternatives in alternatives multiply; real schemas stay below a hundredth of this.
const MAX_STEPS: usize = 100_000;

/// Schemas in schemas, `$ref`s followed: each level uses stack.
const MAX_LEVELS: usize = 200;

/// Broken rules that are looked for, once there are so many no others are.
const MAX_ISSUES: usize = 20;

/// A longer path, in bytes, is told from where it gets too long.
const MAX_PATH_BYTES: usize = 1_000;

/// Different patterns of a comparison, and the size of each in memory.
const MAX_PATTERNS: usize = 200;
const MAX_PATTERN_BYTES: usize = 256 << 10;

/// Keywords that say nothing about which values are accepted.
const NOTES: [&str; 18] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "id",
    "nullable",
    "readOnly",
    "title",
    "writeOnly",
];

static ANYTHING: Value = Value::Bool(true);
static NOTHING: Value = Value::Bool(false);
static NO_KEYWORDS: LazyLock<Object> = LazyLock::new(Object::new);

/// What `new` does not accept that `old` does, for a person; empty if nothing.
pub(crate) fn broken(new: &JsonSchema, old: &JsonSchema) -> Vec<String> {
    let mut comparison = Comparison::new(old, new);
    let mut issues = Vec::new();
    comparison.node(old.top(), new.top(), "#", &mut issues);
    if MAX_STEPS < comparison.n_steps {
        issues = vec!["the schemas are too large to be compared".to_owned()];
    }
    issues
}

struct Comparison<'a> {
    old: &'a JsonSchema,
    new: &'a JsonSchema,
    n_steps: usize,
    n_levels: usize,
    /// Pairs that are being compared: a schema within itself is compared once.
    within: HashSet<(*const Value, *const Value)>,
    /// `None` are those that are none here, such as with a look-ahead, or that are too large.
    patterns: HashMap<&'a str, Option<Regex>>,
}

/// What a property may be that is not named.
enum Content<'a> {
    Open,
    Closed,
    Partial(&'a Value),
}

/// Keywords that are compared with each other, whatever else a schema says.
#[derive(Clone, Copy)]
enum Group {
    Types,
    Values,
    Bounds,
    Opaque,
    Properties,
    Items,
}

impl Group {
    const ALL: [Self; 6] =
        [Self::Types, Self::Values, Self::Bounds, Self::Opaque, Self::Properties, Self::Items];
}

type Object = Map<String, Value>;

/// An object of keywords, and where it is.
type At<'a> = (Place<'a>, &'a Object);

impl<'a> Comparison<'a> {
    fn new(old: &'a JsonSchema, new: &'a JsonSchema) -> Self {
        let (within, patterns) = (HashSet::new(), HashMap::new());
        Self { old, new, n_steps: 0, n_levels: 0, within, patterns }
    }

    /// Goes one level down, unless it was too far: then nothing that is found counts.
    fn level(&mut self, compare: impl FnOnce(&mut Self)) {
        self.n_steps += 1;
        if MAX_LEVELS <= self.n_levels {
            self.n_steps = MAX_STEPS + 1;
        }
        if self.n_steps <= MAX_STEPS {
            self.n_levels += 1;
            compare(self);
            self.n_levels -= 1;
        }
    }

    fn node(&mut self, old: Place<'a>, new: Place<'a>, path: &str, issues: &mut Vec<String>) {
        if MAX_ISSUES <= issues.len() {
            return;
        }
        self.level(|it| {
            let (Ok(old), Ok(new)) = (it.old.follow(old), it.new.follow(new)) else {
                issues.push(format!("{path}: it refers to what is not there"));
                return;
            };
            let pair = (std::ptr::from_ref(old.schema), std::ptr::from_ref(new.schema));
            if it.within.insert(pair) {
                it.schemas(old, new, path, issues);
                it.within.remove(&pair);
            }
        });
    }

    /// Of schemas behind their `$ref`s.
    fn schemas(&mut self, old: Place<'a>, new: Place<'a>, path: &str, issues: &mut Vec<String>) {
        let mut say = |what: &str| issues.push(format!("{path}: {what}"));
        match (old.schema, new.schema) {
            (Value::Bool(false), _) => {}
            (_, new) if accepts_anything(new) => {}
            (_, Value::Bool(false)) => say("nothing is accepted any more"),
            (old, _) if accepts_anything(old) => say("no longer anything is accepted"),
            (Value::Object(older), Value::Object(newer)) => {
                self.combinations((old, older), (new, newer), path, issues);
                for group in Group::ALL {
                    self.keywords(group, (old, older), (new, newer), path, issues);
                }
            }
            _ => {}
        }
    }

    fn accepts(&mut self, old: Place<'a>, new: Place<'a>) -> bool {
        let mut issues = Vec::new();
        self.node(old, new, "", &mut issues);
        issues.is_empty()
    }

    /// `oneOf`, `anyOf`, `allOf`, `not` of the new one.
    fn combinations(&mut self, old: At<'a>, new: At<'a>, path: &str, issues: &mut Vec<String>) {
        for (key, other) in [("oneOf", "anyOf"), ("anyOf", "oneOf")] {
            let Some(news) = list(new.1, key) else { continue };
            let (same, others) = (list(old.1, key), list(old.1, other));
            if key == "oneOf" && same.is_none() && others.is_some_and(|others| 1 < others.len()) {
                issues.push(format!(
                    "{path}: what was \"anyOf\" is \"oneOf\" now: what is several is not accepted"
                ));
            }
            // A schema without alternatives is its own only one.
            let olds = same.or(others).map_or(vec![old.0], |olds| places(olds, old.0).collect());
            for (at, old) in olds.into_iter().enumerate() {
                if !places(news, new.0).any(|new| self.accepts(old, new)) {
                    issues.push(format!("{path}: alternative {at} is no longer accepted"));
                }
            }
        }
        for (at, part) in list(new.1, "allOf").into_iter().flat_map(|parts| places(parts, new.0)).enumerate()
        {
            let mut olds =
                list(old.1, "allOf").into_iter().flat_map(|parts| places(parts, old.0)).chain([old.0]);
            if !olds.any(|old| self.accepts(old, part)) {
                issues.push(format!("{path}: part {at} of \"allOf\" accepts less than before"));
            }
        }
        if let Some(not) = new.1.get("not") {
            // What is not accepted must not have grown.
            let has_grown = old.1.get("not").is_none_or(|before| {
                let (n_steps, n_levels) = (self.n_steps, self.n_levels);
                let mut turned = Comparison { n_steps, n_levels, ..Comparison::new(self.new, self.old) };
                let before = Place { schema: before, ..old.0 };
                let is_accepted = turned.accepts(Place { schema: not, ..new.0 }, before);
                self.n_steps = turned.n_steps;
                !is_accepted
            });
            if has_grown {
                issues.push(format!("{path}: \"not\" is new, or excludes more than before"));
            }
        }
    }

    /// Whether the old one keeps to a group of the new one's keywords: itself, or all its alternatives do, or one of its
    /// parts.
    fn keywords(&mut self, group: Group, old: At<'a>, new: At<'a>, path: &str, issues: &mut Vec<String>) {
        let (older, newer) = (old.1, new.1);
        let mut found = Vec::new();
        match group {
            Group::Types => types(older, newer, path, &mut found),
            Group::Values => values(older, newer, path, &mut found),
            Group::Bounds => bounds(older, newer, path, &mut found),
            Group::Opaque => opaque(older, newer, path, &mut found),
            Group::Properties => self.properties(old, new, path, &mut found),
            Group::Items => self.items(old, new, path, &mut found),
        }
        if found.is_empty() {
            return;
        }
        let parts = |key| list(older, key).into_iter().flat_map(|parts| places(parts, old.0));
        let is_kept = ["oneOf", "anyOf"].into_iter().any(|key| {
            parts(key).next().is_some() && parts(key).all(|part| self.part_keeps(group, part, new))
        }) || parts("allOf").any(|part| self.part_keeps(group, part, new));
        if !is_kept {
            issues.append(&mut found);
        }
    }

    fn part_keeps(&mut self, group: Group, part: Place<'a>, new: At<'a>) -> bool {
        let Ok(part) = self.old.follow(part) else { return false };
        let object = match part.schema {
            Value::Bool(false) => return true,
            schema => schema.as_object().unwrap_or(&NO_KEYWORDS),
        };
        let mut issues = Vec::new();
        self.level(|it| it.keywords(group, (part, object), new, "", &mut issues));
        issues.is_empty()
    }

    fn properties(
        &mut self,
        (old, older): At<'a>,
        (new, newer): At<'a>,
        path: &str,
        issues: &mut Vec<String>,
    ) {
        let (before, now) = (named(older, "properties"), named(newer, "properties"));
        let required = |object: &'a Object| {
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        };
        let was_required: HashSet<_> = required(older).collect();
        for name in required(newer).filter(|name| !was_required.contains(name)).take(MAX_ISSUES) {
            let has_default = |property: &&Value| property.get("default").is_some();
            if now.and_then(|now| now.get(name)).filter(has_default).is_none() {
                let inside = within(path, "properties", name);
                issues.push(format!("{inside}: it is required now, and has no default"));
            }
        }
        let at_old = |schema| Place { schema, ..old };
        let at_new = |schema| Place { schema, ..new };
        for (name, schema) in now.into_iter().flatten() {
            let inside = within(path, "properties", name);
            if let Some(before) = before.and_then(|before| before.get(name)) {
                self.node(at_old(before), at_new(schema), &inside, issues);
                continue;
            }
            match self.content(older, name) {
                Content::Open if !accepts_anything(schema) => issues.push(format!(
                    "{inside}: it is new, and could be anything before (\"additionalProperties\" was not false)"
                )),
                Content::Open | Content::Closed => {}
                Content::Partial(before) => self.node(at_old(before), at_new(schema), &inside, issues),
            }
        }
        let gone =
            before.into_iter().flatten().filter(|(name, _)| now.is_none_or(|now| !now.contains_key(*name)));
        for (name, schema) in gone {
            let inside = within(path, "properties", name);
            match self.content(newer, name) {
                Content::Open => {}
                Content::Closed if *schema == NOTHING => {}
                Content::Closed => {
                    issues.push(format!("{inside}: it is gone, and no other properties are accepted"))
                }
                Content::Partial(now) => self.node(at_old(schema), at_new(now), &inside, issues),
            }
        }
        let rest = |object: &'a Object| object.get("additionalProperties").unwrap_or(&ANYTHING);
        self.node(
            at_old(rest(older)),
            at_new(rest(newer)),
            &within(path, "additionalProperties", ""),
            issues,
        );
        let (before, now) = (named(older, "patternProperties"), named(newer, "patternProperties"));
        for (pattern, schema) in now.into_iter().flatten() {
            let before = before.and_then(|before| before.get(pattern)).unwrap_or(rest(older));
            self.node(at_old(before), at_new(schema), &within(path, "patternProperties", pattern), issues);
        }
        for (pattern, schema) in before.into_iter().flatten() {
            if now.is_none_or(|now| !now.contains_key(pattern)) {
                let inside = within(path, "patternProperties", pattern);
                self.node(at_old(schema), at_new(rest(newer)), &inside, issues);
            }
        }
    }

    fn items(&mut self, (old, older): At<'a>, (new, newer): At<'a>, path: &str, issues: &mut Vec<String>) {
        let (before, now) = (tuple(older), tuple(newer));
        for at in 0..before.0.len().max(now.0.len()) {
            let item = |(items, rest): &(&'a [Value], &'a Value)| items.get(at).unwrap_or(*rest);
            let (old, new) = (Place { schema: item(&before), ..old }, Place { schema: item(&now), ..new });
            self.node(old, new, &within(path, "items", &at.to_string()), issues);
        }
        let (old, new) = (Place { schema: before.1, ..old }, Place { schema: now.1, ..new });
        self.node(old, new, &within(path, "items", ""), issues);
    }

    /// What a property of an object may be that it does not name.
    fn content(&mut self, object: &'a Object, name: &str) -> Content<'a> {
        let patterns = named(object, "patternProperties");
        for (pattern, schema) in patterns.into_iter().flatten() {
            self.n_steps += 1;
            if MAX_STEPS < self.n_steps {
                break;
            }
            if self.is_for(pattern, name) {
                return Content::Partial(schema);
            }
        }
        match object.get("additionalProperties").or(object.get("unevaluatedProperties")) {
            None | Some(Value::Bool(true)) => Content::Open,
            Some(Value::Bool(false)) => Content::Closed,
            Some(schema) if accepts_anything(schema) => Content::Open,
            Some(schema) => Content::Partial(schema),
        }
    }

    fn is_for(&mut self, pattern: &'a str, name: &str) -> bool {
        if !self.patterns.contains_key(pattern) && self.patterns.len() < MAX_PATTERNS {
            let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build().ok();
            self.patterns.insert(pattern, built);
        }
        // One that is not known may be for it.
        self.patterns.get(pattern).and_then(Option::as_ref).is_none_or(|pattern| pattern.is_match(name))
    }
}

/// A path one step on, for a person: as long as a person reads.
fn within(path: &str, keyword: &str, name: &str) -> String {
    let path = if MAX_PATH_BYTES < path.len() { "…" } else { path };
    let name: String = name.chars().take(100).collect();
    if name.is_empty() { format!("{path}/{keyword}") } else { format!("{path}/{keyword}/{name}") }
}

/// Whether a schema says nothing about which values are accepted.
fn accepts_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(object) => object.keys().all(|key| NOTES.contains(&key.as_str())),
        _ => false,
    }
}

fn named<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    object.get(key).and_then(Value::as_object)
}

fn list<'a>(object: &'a Object, key: &str) -> Option<&'a [Value]> {
    object.get(key)?.as_array().map(Vec::as_slice)
}

fn places<'a>(schemas: &'a [Value], at: Place<'a>) -> impl Iterator<Item = Place<'a>> {
    schemas.iter().map(move |schema| Place { schema, ..at })
}

/// The schemas of an array's first items, and that of the rest.
fn tuple(object: &Object) -> (&[Value], &Value) {
    let (first, rest) = match (object.get("prefixItems"), object.get("items")) {
        (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
        (_, Some(Value::Array(first))) => (first.as_slice(), object.get("additionalItems")),
        (_, all) => (&[][..], all),
    };
    (first, rest.or(object.get("unevaluatedItems")).unwrap_or(&ANYTHING))
}
