//! What a JSON Schema no longer accepts that an older one did: Confluent's rules, with its content models.
//!
//! The *content model* of an object says what a property may be that is not named: anything (open, the default),
//! nothing (closed: `additionalProperties: false`), or what a schema says (partially open). A property that is added to
//! an open one may have been anything before; so only to a closed one it can be added.

use std::collections::HashSet;

use regex::Regex;
use serde_json::{Map, Value};

use super::{JsonSchema, Place, short};

/// Steps of a comparison. Alternatives in alternatives multiply; real schemas stay below a hundredth of this.
const MAX_STEPS: usize = 100_000;

/// Keywords whose larger values accept more, and those whose smaller ones do.
const UPPER: [&str; 5] = ["maxItems", "maxLength", "maxProperties", "maximum", "exclusiveMaximum"];
const LOWER: [&str; 5] = ["minItems", "minLength", "minProperties", "minimum", "exclusiveMinimum"];
/// Keywords that are not looked into: a change, or a new one, is taken to accept less.
const OPAQUE: [&str; 12] = [
    "contains",
    "contentSchema",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "pattern",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
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

/// What `new` does not accept that `old` does, for a person; empty if nothing.
pub(crate) fn broken(new: &JsonSchema, old: &JsonSchema) -> Vec<String> {
    let mut comparison = Comparison { new, old, n_steps: 0, within: HashSet::new() };
    let mut issues = Vec::new();
    comparison.node(old.top(), new.top(), "#", &mut issues);
    if MAX_STEPS < comparison.n_steps {
        issues = vec!["the schemas are too large to be compared".to_owned()];
    }
    issues
}

struct Comparison<'a> {
    new: &'a JsonSchema,
    old: &'a JsonSchema,
    n_steps: usize,
    /// Pairs that are being compared: a schema within itself is compared once.
    within: HashSet<(*const Value, *const Value)>,
}

/// What a property may be that is not named.
enum Content<'a> {
    Open,
    Closed,
    Partial(&'a Value),
}

type Object = Map<String, Value>;

impl<'a> Comparison<'a> {
    fn node(&mut self, old: Place<'a>, new: Place<'a>, path: &str, issues: &mut Vec<String>) {
        self.n_steps += 1;
        if MAX_STEPS < self.n_steps {
            return;
        }
        let (Ok(old), Ok(new)) = (self.old.follow(old), self.new.follow(new)) else {
            issues.push(format!("{path}: it refers to what is not there"));
            return;
        };
        let pair = (std::ptr::from_ref(old.schema), std::ptr::from_ref(new.schema));
        if !self.within.insert(pair) {
            return;
        }
        let mut say = |what: &str| issues.push(format!("{path}: {what}"));
        match (old.schema, new.schema) {
            (Value::Bool(false), _) => {}
            (_, new) if accepts_anything(new) => {}
            (_, Value::Bool(false)) => say("nothing is accepted any more"),
            (old, _) if accepts_anything(old) => say("no longer anything is accepted"),
            (Value::Object(older), Value::Object(newer)) => {
                self.alternatives((old, older), (new, newer), path, issues);
                self.plain((old, older), (new, newer), path, issues);
            }
            _ => {}
        }
        self.within.remove(&pair);
    }

    fn accepts(&mut self, old: Place<'a>, new: Place<'a>) -> bool {
        let mut issues = Vec::new();
        self.node(old, new, "", &mut issues);
        issues.is_empty()
    }

    /// `oneOf`, `anyOf`, `allOf`, `not`.
    fn alternatives(
        &mut self,
        (old, older): (Place<'a>, &'a Object),
        (new, newer): (Place<'a>, &'a Object),
        path: &str,
        issues: &mut Vec<String>,
    ) {
        let sum = |object: &'a Object| ["oneOf", "anyOf"].iter().find_map(|key| object.get(*key)?.as_array());
        let at_old = |schema| Place { schema, ..old };
        let at_new = |schema| Place { schema, ..new };
        // A schema without alternatives is its own only one.
        let (olds, news) = (sum(older), sum(newer));
        if olds.is_some() || news.is_some() {
            let olds: Vec<_> = olds.map_or(vec![old], |olds| olds.iter().map(at_old).collect());
            match news {
                Some(news) => {
                    for (at, old) in olds.into_iter().enumerate() {
                        if !news.iter().any(|new| self.accepts(old, at_new(new))) {
                            issues.push(format!("{path}: alternative {at} is no longer accepted"));
                        }
                    }
                }
                None => {
                    let mut plain = newer.clone();
                    plain.retain(|key, _| !NOTES.contains(&key.as_str()));
                    if !plain.is_empty() && olds.into_iter().any(|old| !self.accepts(old, new)) {
                        issues.push(format!("{path}: not all alternatives are accepted any more"));
                    }
                }
            }
        }
        let all = |object: &'a Object| object.get("allOf").and_then(Value::as_array);
        if let Some(news) = all(newer) {
            let olds: Vec<_> = all(older).map_or(vec![old], |olds| olds.iter().map(at_old).collect());
            for (at, part) in news.iter().enumerate() {
                if !olds.iter().any(|old| self.accepts(*old, at_new(part))) {
                    issues.push(format!("{path}: part {at} of \"allOf\" accepts less than before"));
                }
            }
        }
        if let Some(not) = newer.get("not") {
            // What is not accepted must not have grown.
            let has_grown = older.get("not").is_none_or(|before| {
                let mut turned = Comparison {
                    new: self.old,
                    old: self.new,
                    n_steps: self.n_steps,
                    within: HashSet::new(),
                };
                let is_accepted = turned.accepts(at_new(not), at_old(before));
                self.n_steps = turned.n_steps;
                !is_accepted
            });
            if has_grown {
                issues.push(format!("{path}: \"not\" is new, or excludes more than before"));
            }
        }
    }

    fn plain(
        &mut self,
        (old, older): (Place<'a>, &'a Object),
        (new, newer): (Place<'a>, &'a Object),
        path: &str,
        issues: &mut Vec<String>,
    ) {
        // Its alternatives say it, or its parts.
        let is_said =
            |object: &Object| ["oneOf", "anyOf", "allOf"].iter().any(|key| object.contains_key(*key));
        if !(is_said(older) && !older.contains_key("type") && newer.contains_key("type")) {
            types(older, newer, path, issues);
        }
        values(older, newer, path, issues);
        bounds(older, newer, path, issues);
        for key in
            OPAQUE.iter().filter(|key| newer.contains_key(**key) && newer.get(**key) != older.get(**key))
        {
            issues.push(format!("{path}: \"{key}\" is new, or another one"));
        }
        self.properties((old, older), (new, newer), path, issues);
        self.items((old, older), (new, newer), path, issues);
    }

    fn properties(
        &mut self,
        (old, older): (Place<'a>, &'a Object),
        (new, newer): (Place<'a>, &'a Object),
        path: &str,
        issues: &mut Vec<String>,
    ) {
        let (before, now) = (named(older, "properties"), named(newer, "properties"));
        let required = |object: &'a Object| {
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        };
        for name in required(newer).filter(|name| required(older).all(|other| other != *name)) {
            let has_default = |property: &&Value| property.get("default").is_some();
            if now.and_then(|now| now.get(name)).filter(has_default).is_none() {
                issues.push(format!("{path}/properties/{name}: it is required now, and has no default"));
            }
        }
        let at_old = |schema| Place { schema, ..old };
        let at_new = |schema| Place { schema, ..new };
        for (name, schema) in now.into_iter().flatten() {
            let inside = format!("{path}/properties/{name}");
            match (before.and_then(|before| before.get(name)), content(older, name)) {
                (Some(before), _) => self.node(at_old(before), at_new(schema), &inside, issues),
                (None, Content::Open) if !accepts_anything(schema) => issues.push(format!(
                    "{inside}: it is new, and could be anything before (\"additionalProperties\" was not false)"
                )),
                (None, Content::Open | Content::Closed) => {}
                (None, Content::Partial(before)) => self.node(at_old(before), at_new(schema), &inside, issues),
            }
        }
        let gone =
            before.into_iter().flatten().filter(|(name, _)| now.is_none_or(|now| !now.contains_key(*name)));
        for (name, schema) in gone {
            let inside = format!("{path}/properties/{name}");
            match content(newer, name) {
                Content::Open => {}
                Content::Closed if *schema == NOTHING => {}
                Content::Closed => {
                    issues.push(format!("{inside}: it is gone, and no other properties are accepted"))
                }
                Content::Partial(now) => self.node(at_old(schema), at_new(now), &inside, issues),
            }
        }
        let rest = |object: &'a Object| object.get("additionalProperties").unwrap_or(&ANYTHING);
        self.node(at_old(rest(older)), at_new(rest(newer)), &format!("{path}/additionalProperties"), issues);
        let (before, now) = (named(older, "patternProperties"), named(newer, "patternProperties"));
        for (pattern, schema) in now.into_iter().flatten() {
            let before = before.and_then(|before| before.get(pattern)).unwrap_or(rest(older));
            self.node(at_old(before), at_new(schema), &format!("{path}/patternProperties/{pattern}"), issues);
        }
        for (pattern, schema) in before.into_iter().flatten() {
            if now.is_none_or(|now| !now.contains_key(pattern)) {
                let inside = format!("{path}/patternProperties/{pattern}");
                self.node(at_old(schema), at_new(rest(newer)), &inside, issues);
            }
        }
    }

    fn items(
        &mut self,
        (old, older): (Place<'a>, &'a Object),
        (new, newer): (Place<'a>, &'a Object),
        path: &str,
        issues: &mut Vec<String>,
    ) {
        let (before, now) = (tuple(older), tuple(newer));
        for at in 0..before.0.len().max(now.0.len()) {
            let item = |(items, rest): &(&'a [Value], &'a Value)| items.get(at).unwrap_or(*rest);
            let (old, new) = (Place { schema: item(&before), ..old }, Place { schema: item(&now), ..new });
            self.node(old, new, &format!("{path}/items/{at}"), issues);
        }
        let (old, new) = (Place { schema: before.1, ..old }, Place { schema: now.1, ..new });
        self.node(old, new, &format!("{path}/items"), issues);
    }
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

/// What a property of an object may be that it does not name.
fn content<'a>(object: &'a Object, name: &str) -> Content<'a> {
    let mut patterns = named(object, "patternProperties").into_iter().flatten();
    // One that is none here, such as with a look-ahead, may be for it.
    let is_for = |pattern: &str| Regex::new(pattern).map_or(true, |pattern| pattern.is_match(name));
    if let Some((_, schema)) = patterns.find(|(pattern, _)| is_for(pattern)) {
        return Content::Partial(schema);
    }
    match object.get("additionalProperties") {
        None | Some(Value::Bool(true)) => Content::Open,
        Some(Value::Bool(false)) => Content::Closed,
        Some(schema) if accepts_anything(schema) => Content::Open,
        Some(schema) => Content::Partial(schema),
    }
}

/// The schemas of an array's first items, and that of the rest.
fn tuple(object: &Object) -> (&[Value], &Value) {
    match (object.get("prefixItems"), object.get("items")) {
        (Some(Value::Array(first)), rest) => (first, rest.unwrap_or(&ANYTHING)),
        (_, Some(Value::Array(first))) => (first, object.get("additionalItems").unwrap_or(&ANYTHING)),
        (_, all) => (&[], all.unwrap_or(&ANYTHING)),
    }
}

fn types(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    let words = |object: &Object| match object.get("type") {
        None => None,
        Some(Value::Array(words)) => {
            Some(words.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(word) => Some(vec![word.as_str().unwrap_or_default().to_owned()]),
    };
    let Some(now): Option<Vec<String>> = words(newer) else { return };
    match words(older) {
        // An enumeration says it without.
        None if older.contains_key("enum") || older.contains_key("const") => {}
        None => issues.push(format!("{path}: only {} is accepted now", now.join(", "))),
        Some(before) => {
            let has = |word: &str| now.iter().any(|now| now == word);
            let is_wider = |word: &String| word == "integer" && has("number");
            for word in before.iter().filter(|word| !has(word) && !is_wider(word)) {
                issues.push(format!("{path}: type {word} is no longer accepted"));
            }
        }
    }
}

/// `enum` and `const`.
fn values(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    let values = |object: &Object| match (object.get("const"), object.get("enum")) {
        (Some(only), _) => Some(vec![only.clone()]),
        (None, all) => all.and_then(Value::as_array).cloned(),
    };
    let Some(now) = values(newer) else { return };
    match values(older) {
        None => issues.push(format!("{path}: only certain values are accepted now")),
        Some(before) => {
            for value in before.iter().filter(|value| !now.contains(value)) {
                issues.push(format!("{path}: the value {} is no longer accepted", short(value)));
            }
        }
    }
}

fn bounds(older: &Object, newer: &Object, path: &str, issues: &mut Vec<String>) {
    let number = |object: &Object, key: &str| object.get(key).and_then(Value::as_f64);
    for key in UPPER {
        if let Some(now) =
            number(newer, key).filter(|now| number(older, key).is_none_or(|before| *now < before))
        {
            issues.push(format!("{path}: \"{key}\" is {now} now"));
        }
    }
    for key in LOWER {
        // Nothing has less than no items, characters or properties.
        let is_length = !key.ends_with("inimum");
        let before = number(older, key).or(is_length.then_some(0.0));
        if let Some(now) = number(newer, key).filter(|now| before.is_none_or(|before| before < *now)) {
            issues.push(format!("{path}: \"{key}\" is {now} now"));
        }
    }
    if let Some(now) = number(newer, "multipleOf")
        && number(older, "multipleOf").is_none_or(|before| before % now != 0.0)
    {
        issues.push(format!("{path}: \"multipleOf\" is {now} now"));
    }
    let is = |object: &Object, key: &str| object.get(key) == Some(&Value::Bool(true));
    for key in ["uniqueItems", "exclusiveMaximum", "exclusiveMinimum"]
        .iter()
        .filter(|key| is(newer, key) && !is(older, key))
    {
        issues.push(format!("{path}: \"{key}\" is true now"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(old: &str, new: &str) -> Vec<String> {
        let parse = |text: &str| {
            JsonSchema::parse(text, std::iter::empty()).unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        broken(&parse(new), &parse(old))
    }

    fn object(more: &str) -> String {
        format!(r#"{{"type":"object","properties":{{"id":{{"type":"integer"}}}}{more}}}"#)
    }

    /// Old, new, and what is said: the rules of Confluent's documentation, by content model.
    #[test]
    fn properties_come_and_go_by_the_content_model() {
        let two = |more: &str| {
            format!(
                r#"{{"type":"object","properties":{{"id":{{"type":"integer"}},"note":{{"type":"string"}}}}{more}}}"#
            )
        };
        let closed = r#","additionalProperties":false"#;
        let texts = r#","additionalProperties":{"type":"string"}"#;
        let numbers = r#","additionalProperties":{"type":"number"}"#;
        let patterns = r#","patternProperties":{"^n":{"type":"string"}},"additionalProperties":false"#;
        let open_new = "#/properties/note: it is new, and could be anything before (\"additionalProperties\" was not false)";
        let gone = "#/properties/note: it is gone, and no other properties are accepted";
        for (old, new, expected) in [
            (object(""), two(""), vec![open_new]),
            (object(closed), two(closed), vec![]),
            (object(texts), two(texts), vec![]),
            (object(numbers), two(numbers), vec!["#/properties/note: type number is no longer accepted"]),
            (object(patterns), two(patterns), vec![]),
            (two(""), object(""), vec![]),
            (two(closed), object(closed), vec![gone]),
            (two(texts), object(texts), vec![]),
            (two(numbers), object(numbers), vec!["#/properties/note: type string is no longer accepted"]),
            (two(patterns), object(patterns), vec![]),
            (object(closed), object(""), vec![]),
            (object(""), object(closed), vec!["#/additionalProperties: nothing is accepted any more"]),
            (object(""), object(texts), vec!["#/additionalProperties: no longer anything is accepted"]),
            (
                object(closed),
                two(r#","additionalProperties":false,"required":["note"]"#),
                vec!["#/properties/note: it is required now, and has no default"],
            ),
            (two(r#","required":["note"]"#), two(""), vec![]),
        ] {
            assert_eq!(changes(&old, &new), expected, "{old} to {new}");
        }
        let with_default = two(closed)
            .replace(r#""string""#, r#""string","default":"""#)
            .replace("false", r#"false,"required":["note"]"#);
        assert_eq!(changes(&object(closed), &with_default), Vec::<String>::new());
    }

    #[test]
    fn what_accepts_less_is_told_and_what_accepts_more_is_not() {
        for (old, new, expected) in [
            (r#"{"type":"integer"}"#, r#"{"type":"number"}"#, vec![]),
            (r#"{"type":"number"}"#, r#"{"type":"integer"}"#, vec!["#: type number is no longer accepted"]),
            (r#"{"type":"string"}"#, r#"{"type":["string","null"]}"#, vec![]),
            (
                r#"{"type":["string","null"]}"#,
                r#"{"type":"string"}"#,
                vec!["#: type null is no longer accepted"],
            ),
            (r#"{"type":"string"}"#, "true", vec![]),
            (r#"{"type":"string"}"#, r#"{"title":"anything"}"#, vec![]),
            ("{}", r#"{"type":"string"}"#, vec!["#: no longer anything is accepted"]),
            (r#"{"type":"string"}"#, "false", vec!["#: nothing is accepted any more"]),
            (r#"{"enum":["a"]}"#, r#"{"enum":["a","b"]}"#, vec![]),
            (r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#, vec!["#: the value \"b\" is no longer accepted"]),
            (r#"{"const":1}"#, r#"{"enum":[1,2]}"#, vec![]),
            (r#"{"type":"string","enum":["a"]}"#, r#"{"type":"string"}"#, vec![]),
            (
                r#"{"type":"string"}"#,
                r#"{"type":"string","enum":["a"]}"#,
                vec!["#: only certain values are accepted now"],
            ),
            (r#"{"maxLength":5}"#, r#"{"maxLength":6}"#, vec![]),
            (r#"{"maxLength":5}"#, r#"{"maxLength":4}"#, vec!["#: \"maxLength\" is 4 now"]),
            (r#"{"type":"string"}"#, r#"{"type":"string","minLength":0}"#, vec![]),
            (r#"{"type":"string"}"#, r#"{"type":"string","minLength":1}"#, vec!["#: \"minLength\" is 1 now"]),
            (r#"{"minimum":0}"#, r#"{"minimum":-1}"#, vec![]),
            (r#"{"type":"number"}"#, r#"{"type":"number","minimum":0}"#, vec!["#: \"minimum\" is 0 now"]),
            (r#"{"multipleOf":10}"#, r#"{"multipleOf":5}"#, vec![]),
            (r#"{"multipleOf":5}"#, r#"{"multipleOf":10}"#, vec!["#: \"multipleOf\" is 10 now"]),
            (r#"{"type":"string","pattern":"a"}"#, r#"{"type":"string"}"#, vec![]),
            (
                r#"{"type":"string"}"#,
                r#"{"type":"string","pattern":"a"}"#,
                vec!["#: \"pattern\" is new, or another one"],
            ),
            (r#"{"items":{"type":"integer"}}"#, r#"{"items":{"type":"number"}}"#, vec![]),
            (
                r#"{"items":{"type":"number"}}"#,
                r#"{"items":{"type":"integer"}}"#,
                vec!["#/items: type number is no longer accepted"],
            ),
            (
                r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
                r#"{"items":[{"type":"string"},{"type":"integer"}],"additionalItems":false}"#,
                vec![],
            ),
            (
                r#"{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false}"#,
                r#"{"prefixItems":[{"type":"string"}],"items":false}"#,
                vec!["#/items/1: nothing is accepted any more"],
            ),
            (
                r#"{"type":"array"}"#,
                r#"{"type":"array","uniqueItems":true}"#,
                vec!["#: \"uniqueItems\" is true now"],
            ),
            (
                r#"{"oneOf":[{"type":"string"}]}"#,
                r#"{"oneOf":[{"type":"integer"},{"type":"string"}]}"#,
                vec![],
            ),
            (r#"{"type":"string"}"#, r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#, vec![]),
            (
                r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#,
                r#"{"oneOf":[{"type":"string"}]}"#,
                vec!["#: alternative 0 is no longer accepted"],
            ),
            (r#"{"anyOf":[{"type":"integer"},{"type":"number"}]}"#, r#"{"type":"number"}"#, vec![]),
            (
                r#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#,
                r#"{"type":"number"}"#,
                vec!["#: not all alternatives are accepted any more"],
            ),
            (r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#, r#"{"allOf":[{"type":"string"}]}"#, vec![]),
            (
                r#"{"allOf":[{"type":"string"}]}"#,
                r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#,
                vec!["#: part 1 of \"allOf\" accepts less than before"],
            ),
            (r#"{"not":{"type":["string","null"]}}"#, r#"{"not":{"type":"string"}}"#, vec![]),
            (
                r#"{"not":{"type":"string"}}"#,
                r#"{"not":{"type":["string","null"]}}"#,
                vec!["#: \"not\" is new, or excludes more than before"],
            ),
        ] {
            assert_eq!(changes(old, new), expected, "{old} to {new}");
        }
    }

    #[test]
    fn schemas_within_themselves_and_too_large_ones_come_to_an_end() {
        let tree = |value: &str| {
            format!(
                r##"{{"properties":{{"v":{{"type":"{value}"}},"next":{{"$ref":"#"}}}},"additionalProperties":false}}"##
            )
        };
        assert_eq!(changes(&tree("integer"), &tree("number")), Vec::<String>::new());
        assert_eq!(
            changes(&tree("number"), &tree("integer")),
            ["#/properties/v: type number is no longer accepted"]
        );
        let mut nested = r#"{"type":"string"}"#.to_owned();
        for _ in 0..12 {
            nested = format!(r#"{{"oneOf":[{nested},{nested}]}}"#);
        }
        let other = nested.replace("string", "integer");
        assert_eq!(changes(&nested, &other), ["the schemas are too large to be compared"]);
    }

    /// What a schema accepted it accepts; and every text ends in a verdict.
    #[test]
    fn every_schema_accepts_what_it_accepts() {
        for schema in [
            object(""),
            r#"{"type":"object","required":["a"],"patternProperties":{"^(?!x)":{"type":"string"}},"additionalProperties":{"type":"null"}}"#.to_owned(),
            r#"{"oneOf":[{"type":"string","pattern":"x"},{"allOf":[{"minimum":1},{"not":{"const":3}}]}],"if":{"type":"string"},"then":true}"#.to_owned(),
            r#"{"items":[{"type":"string"}],"additionalItems":{"type":"integer"},"contains":{"const":1},"uniqueItems":true}"#.to_owned(),
        ] {
            assert_eq!(changes(&schema, &schema), Vec::<String>::new(), "{schema}");
        }
    }
}
