//! The schema against the parser: the same keys, the same words, and files that both take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::fields::declared::{self, Declared};
use super::super::yaml::{self, Node, Value as Yaml};
use super::super::{Project, read_file};
use super::*;

/// Files that use every key there is.
const EVERY_KEY: [(&str, &str); 10] = [
    (
        "weir.yaml",
        "project: shop
connections:
  shop:
    type: kafka
    bootstrap_servers: localhost:9092
    schema_registry: { url: http://localhost:8081, username: weir, password: 7 }
    properties: { security.protocol: plaintext }
pipelines: { epoch: 250ms, lateness: 0s, provisional: true, retention: 7d, parallelism: 2, group_memory: 16MiB, state_memory: 1GiB, dead_letters: { retention: 7d, size: 1GiB, topic: letters, connection: shop } }
registry: { listen: 127.0.0.1:8081 }
",
    ),
    (
        "sources/orders.yaml",
        "type: kafka
connection: shop
topic: shop.orders
format: avro
framing: single_object
schema: { subject: s, version: 3 }
start: 2026-11-22T00:00:00Z
event_time: ordered_at
watermark: { delay: 5s, idle_timeout: 30s, max_ahead: 24h, max_drift: 1h }
metadata: [timestamp, partition, offset, key]
",
    ),
    ("sources/files.yaml", "type: files\npath: ../data/*.avro\nevent_time: at\nschema: latest\nstart: latest\n"),
    ("sources/filed.yaml", "connection: shop\ntopic: shop.filed\nschema: { file: orders.avsc }\n"),
    (
        "pipelines/revenue.yaml",
        "sql: SELECT * FROM orders
epoch: 250ms
lateness: 0s
provisional: true
retention: 7d
parallelism: 2
group_memory: 1KiB
state_memory: 1TiB
dead_letters: { retention: 30d, size: 10GiB }
",
    ),
    (
        "sinks/files.yaml",
        "from: revenue\ntype: file\npath: out/\nformat: parquet\nemit: final\noutbox: 1GiB\n",
    ),
    (
        "sinks/topic.yaml",
        "from: revenue\ntype: kafka\nconnection: shop\ntopic: out\nformat: avro\nemit: updates\noutbox: 1GiB\nsubject_names: record\nrecord: shop.Revenue\n",
    ),
    ("sinks/nowhere.yaml", "from: revenue\ntype: blackhole\nemit: updates\n"),
    ("sources/orders.avsc", "{}"),
    (
        "dashboards/shop.yaml",
        "title: Shop
panels:
  - { title: T, pipeline: revenue, chart: line, x: a, y: b, series: c, aggregate: sum, last: 30m, unit: EUR, width: 8, height: 2 }
",
    ),
];

/// What the parser calls the maps, and where the schema has them.
const MAPS: [(&str, &str); 13] = [
    ("weir.yaml", "/$defs/project"),
    ("a connection", "/$defs/connection"),
    ("\"schema_registry\"", "/$defs/connection/properties/schema_registry"),
    ("\"pipelines\"", "/$defs/settings"),
    ("\"registry\"", "/$defs/project/properties/registry"),
    ("a source", "/$defs/source"),
    ("\"schema\"", "/$defs/source/properties/schema/anyOf/2"),
    ("\"watermark\"", "/$defs/source/properties/watermark"),
    ("a pipeline", "/$defs/pipeline"),
    ("\"dead_letters\"", "/$defs/pipeline/properties/dead_letters"),
    ("a sink", "/$defs/sink"),
    ("a dashboard", "/$defs/dashboard"),
    ("a panel", "/$defs/panel"),
];

fn load(files: &[(&str, &str)]) -> Project {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Project::load(dir.path(), &|_| None).unwrap()
}

#[test]
fn the_schema_has_the_keys_and_words_of_the_parser() {
    declared::take();
    load(&EVERY_KEY);
    let mut maps: BTreeMap<&str, Vec<Declared>> = BTreeMap::new();
    for declared in declared::take() {
        maps.entry(declared.what).or_default().push(declared);
    }
    let schema = schema(None).unwrap();
    assert_eq!(maps.keys().copied().collect::<BTreeSet<_>>(), MAPS.iter().map(|(what, _)| *what).collect());
    for (what, place) in MAPS {
        let (map, of_schema) = (&maps[what], schema.pointer(place).unwrap());
        let asked: BTreeSet<&str> = map.iter().flat_map(|each| each.keys.iter().copied()).collect();
        let properties = of_schema["properties"].as_object().unwrap();
        assert_eq!(asked, properties.keys().map(String::as_str).collect(), "keys of {what}");
        let is_required = |key: &&str| map.iter().all(|each| each.required.contains(key));
        let required: BTreeSet<&str> = asked.into_iter().filter(is_required).collect();
        let of_schema = of_schema["required"].as_array().unwrap();
        assert_eq!(required, of_schema.iter().filter_map(Value::as_str).collect(), "required by {what}");
        // A key may have other words in another type of the same map.
        let mut choices: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (key, words) in map.iter().flat_map(|each| &each.choices) {
            choices.entry(key).or_default().extend(words.iter().map(String::as_str));
        }
        for (key, choices) in choices {
            let words = properties[key]["anyOf"][0]["enum"].as_array().unwrap();
            let words: BTreeSet<&str> = words.iter().filter_map(Value::as_str).collect();
            assert_eq!(words, choices, "{key} of {what}");
        }
    }
}

#[test]
fn files_that_the_parser_takes_fit_the_schema_and_mistakes_do_not() {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
    let mut n_files = 0;
    for (kind, pattern) in KINDS {
        let folder = shop.join(Path::new(pattern).parent().unwrap());
        let name = Path::new(pattern).file_name().unwrap().to_str().unwrap();
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_one = if name == "*.yaml" {
                path.extension() == Some("yaml".as_ref())
            } else {
                path.ends_with(name)
            };
            if is_one {
                check(kind, &read_file(&path).unwrap(), true);
                n_files += 1;
            }
        }
        for (path, text) in EVERY_KEY {
            if path == pattern
                || path.ends_with(".yaml") && path.starts_with(pattern.trim_end_matches("*.yaml"))
            {
                check(kind, text, true);
            }
        }
    }
    assert_eq!(n_files, 7, "files of the example");
    for (kind, text) in [
        ("source", "connection: shop\ntopc: shop.orders\n"),
        ("source", "connection: shop\ntopic: t\nwatermark: { delay: 5 }\n"),
        ("source", "connection: shop\ntopic: t\nschema: newest\n"),
        ("source", "connection: shop\ntopic: t\nstart: yesterday\n"),
        ("source", "connection: shop\ntopic: t\nmetadata: [time]\n"),
        ("pipeline", "epoch: 1s\n"),
        ("pipeline", "sql: SELECT 1\nparallelism: 0\n"),
        ("sink", "from: revenue\ntype: file\n"),
        ("sink", "from: revenue\ntype: kafka\nconnection: shop\n"),
        ("sink", "from: revenue\ntype: blackhole\noutbox: 1GB\n"),
        ("dashboard", "title: T\npanels: [{ title: T, pipeline: p, chart: pie }]\n"),
        (
            "project",
            "connections: { Shop: { type: kafka, bootstrap_servers: a, schema_registry: { url: u } } }\n",
        ),
    ] {
        check(kind, text, false);
    }
    check("pipeline", "sql: SELECT 1\nparallelism: ${N}\nepoch: ${EPOCH:-1s}\n", true);
    assert_eq!(schema(Some("sauce")), None);
}

/// A row of its section for each key, its default in it, and no row for a key that there is not.
#[test]
fn the_reference_has_every_key_and_no_others() {
    let page = include_str!("../../../../docs/reference.md");
    for (kind, pattern) in KINDS {
        let schema = schema(Some(kind)).unwrap();
        let mut keys = BTreeMap::new();
        gather(&schema, &schema["$defs"][kind], "", &mut keys);
        let heading = format!("\n## {}\n", pattern.replace('*', "NAME"));
        let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("no section{heading}"));
        let section = section.split("\n## ").next().unwrap();
        let rows: BTreeMap<&str, Vec<&str>> = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| (line.split('`').nth(1).unwrap(), line.split(" | ").collect()))
            .collect();
        let named: BTreeSet<&str> = rows.keys().copied().collect();
        assert_eq!(named, keys.keys().map(String::as_str).collect(), "keys of {pattern}");
        for (key, default) in keys {
            let cells = &rows[key.as_str()];
            assert_eq!(cells.len(), 4, "{key} of {pattern}");
            assert!(default.is_none_or(|default| cells[2] == default), "{key} of {pattern}: {}", cells[2]);
        }
    }
}

/// The keys of a map, those in maps and lists below it included, with their defaults. What a pipeline's file may say is
/// listed there and not where it is said for all pipelines.
fn gather(root: &Value, map: &Value, prefix: &str, keys: &mut BTreeMap<String, Option<String>>) {
    let target = |node: &Value| Some(node["$ref"].as_str()?.strip_prefix('#').unwrap().to_owned());
    for (key, value) in map["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{key}");
        keys.insert(path.clone(), value["default"].as_str().map(str::to_owned));
        let kinds = value["anyOf"].as_array().into_iter().flatten();
        let below = kinds
            .chain([value])
            .map(|each| (each, format!("{path}.")))
            .chain([(&value["additionalProperties"], format!("{path}.NAME."))])
            .chain([(&value["items"], format!("{path}[]."))]);
        for (each, prefix) in below {
            match target(each) {
                Some(target) if target == "/$defs/settings" => {}
                Some(target) => gather(root, root.pointer(&target).unwrap(), &prefix, keys),
                None => gather(root, each, &prefix, keys),
            }
        }
    }
}

/// Compares whether `text` fits the schema of its kind, and that of all kinds.
fn check(kind: &str, text: &str, fits: bool) {
    let document = json_of(&yaml::parse(text).unwrap());
    for kind in [Some(kind), None] {
        let schema = schema(kind).unwrap();
        assert_eq!(is_valid(&schema, &schema, &document), fits, "{kind:?}: {text}");
    }
}

/// As editors read it: a plain scalar is a number or a boolean where it looks like one.
fn json_of(node: &Node) -> Value {
    match &node.value {
        Yaml::Scalar(raw) if raw.plain => match raw.text.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => raw.text.parse::<bool>().map_or_else(|_| json!(raw.text), |flag| json!(flag)),
        },
        Yaml::Scalar(raw) => json!(raw.text),
        Yaml::List(items) => items.iter().map(json_of).collect(),
        Yaml::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), json_of(node))).collect(),
    }
}

/// A validator of the keywords that the schema uses; another one makes it panic.
fn is_valid(root: &Value, schema: &Value, document: &Value) -> bool {
    let valid = |schema: &Value, document: &Value| is_valid(root, schema, document);
    let object = document.as_object();
    let keywords = schema.as_object().unwrap();
    keywords.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "then" | "else" => true,
        "$ref" => valid(root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), document),
        "type" => {
            let is_a = |kind: &Value| match kind.as_str().unwrap() {
                "string" => document.is_string(),
                "number" | "integer" => document.is_number(),
                "boolean" => document.is_boolean(),
                "array" => document.is_array(),
                "object" => document.is_object(),
                other => panic!("no type {other}"),
            };
            rule.as_array().map_or_else(|| is_a(rule), |kinds| kinds.iter().any(is_a))
        }
        "enum" => rule.as_array().unwrap().contains(document),
        "const" => rule == document,
        "allOf" => rule.as_array().unwrap().iter().all(|schema| valid(schema, document)),
        "anyOf" => rule.as_array().unwrap().iter().any(|schema| valid(schema, document)),
        "if" if valid(rule, document) => valid(&keywords["then"], document),
        "if" => keywords.get("else").is_none_or(|schema| valid(schema, document)),
        "pattern" => document.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "maxLength" => document.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().unwrap()),
        "minimum" => document.as_u64().is_none_or(|number| rule.as_u64().unwrap() <= number),
        "maximum" => document.as_u64().is_none_or(|number| number <= rule.as_u64().unwrap()),
        "items" => document.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, item))),
        "propertyNames" => object.is_none_or(|object| object.keys().all(|key| valid(rule, &json!(key)))),
        "required" => object.is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => object.is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|schema| valid(schema, value)))
        }),
        "additionalProperties" => object.is_none_or(|object| {
            let known = keywords.get("properties").and_then(Value::as_object);
            let others = object.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
            others
                .into_iter()
                .all(|(_, value)| if rule.is_boolean() { rule == true } else { valid(rule, value) })
        }),
        other => panic!("no keyword {other}"),
    })
}

/// A regular expression, by the engine of SQL's own.
fn matches(pattern: &str, text: &str) -> bool {
    let texts = arrow::array::StringArray::from(vec![text]);
    let found = arrow::compute::regexp_is_match_scalar(&texts, pattern, None).unwrap();
    found.value(0)
}
