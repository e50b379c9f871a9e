//! Requests at random, against a model of a few lines, and against the replay of their log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex};

use apache_avro::schema_compatibility::SchemaCompatibility;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::entry::Level;
use super::*;

/// A log in memory, that fails when told to.
#[derive(Clone, Default)]
struct Log {
    entries: Arc<Mutex<Vec<Vec<u8>>>>,
    is_broken: Arc<Mutex<bool>>,
}

impl Journal for Log {
    fn append(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        if *self.is_broken.lock().expect("no panic") {
            return Err("the disk is full".into());
        }
        self.entries.lock().expect("no panic").push(entry.to_vec());
        Ok(())
    }
}

impl Log {
    fn registry(&self) -> EmbeddedRegistry {
        let mut replay = Replay::default();
        for entry in &*self.entries.lock().expect("no panic") {
            replay.entry(entry).expect("it was written here");
        }
        replay.finish(Box::new(self.clone()))
    }

    fn len(&self) -> usize {
        self.entries.lock().expect("no panic").len()
    }
}

/// The last two differ in nothing that counts.
const SCHEMAS: [&str; 7] = [
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"string","default":""}]}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"b","type":"string"}]}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"base","type":"Base"}]}"#,
    r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":["null","int"],"default":null}]}"#,
    r#"{"name":"R","namespace":"n","fields":[{"type":["null",{"type":"int"}],"name":"a","default":null}],"type":"record"}"#,
];
const REFERRING: usize = 4;
const BASE: &str = r#"{"type":"record","name":"Base","fields":[]}"#;
const SUBJECTS: [&str; 3] = ["base", "s", "t/u"];

#[derive(Debug, Clone)]
enum Op {
    Register { subject: usize, schema: usize, normalize: bool },
    Import { subject: usize, schema: usize, id: u32, version: Option<u32> },
    DeleteSubject { subject: usize, for_good: bool },
    DeleteVersion { subject: usize, version: u32, for_good: bool },
    Config { subject: Option<usize>, level: Option<&'static str> },
    Mode { subject: Option<usize>, mode: Option<&'static str> },
    BreakDisk { is_broken: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let (subject, schema) = (0..SUBJECTS.len(), 0..SCHEMAS.len());
    let level = prop_oneof![
        Just(None),
        Just(Some("NONE")),
        Just(Some("full")),
        Just(Some("FORWARD")),
        Just(Some("BACKWARD_TRANSITIVE"))
    ];
    let mode = prop_oneof![Just(None), Just(Some("READONLY")), Just(Some("import")), Just(Some("READWRITE"))];
    prop_oneof![
        8 => (subject.clone(), schema.clone(), any::<bool>())
            .prop_map(|(subject, schema, normalize)| Op::Register { subject, schema, normalize }),
        2 => (subject.clone(), schema, 1_u32..9, proptest::option::of(1_u32..5))
            .prop_map(|(subject, schema, id, version)| Op::Import { subject, schema, id, version }),
        2 => (subject.clone(), any::<bool>())
            .prop_map(|(subject, for_good)| Op::DeleteSubject { subject, for_good }),
        4 => (subject.clone(), 1_u32..5, any::<bool>())
            .prop_map(|(subject, version, for_good)| Op::DeleteVersion { subject, version, for_good }),
        2 => (proptest::option::of(subject.clone()), level)
            .prop_map(|(subject, level)| Op::Config { subject, level }),
        2 => (proptest::option::of(subject), mode).prop_map(|(subject, mode)| Op::Mode { subject, mode }),
        1 => any::<bool>().prop_map(|is_broken| Op::BreakDisk { is_broken }),
    ]
}

fn body(subject: usize, schema: usize) -> Value {
    if SUBJECTS[subject] == "base" {
        return json!({ "schema": BASE });
    }
    let mut body = json!({ "schema": SCHEMAS[schema] });
    if schema == REFERRING {
        body["references"] = json!([{ "name": "Base", "subject": "base", "version": 1 }]);
    }
    body
}

fn path(subject: usize) -> String {
    format!("/subjects/{}", SUBJECTS[subject].replace('/', "%2F"))
}

/// Status and answer.
fn ask(registry: &EmbeddedRegistry, op: &Op) -> (u16, Value) {
    let (method, path, body) = match op {
        Op::Register { subject, schema, normalize } => {
            let path = format!("{}/versions?normalize={normalize}", path(*subject));
            ("POST", path, body(*subject, *schema))
        }
        Op::Import { subject, schema, id, version } => {
            let mut body = body(*subject, *schema);
            body["id"] = json!(id);
            body["version"] = json!(version);
            ("POST", format!("{}/versions", path(*subject)), body)
        }
        Op::DeleteSubject { subject, for_good } => {
            ("DELETE", format!("{}?permanent={for_good}", path(*subject)), Value::Null)
        }
        Op::DeleteVersion { subject, version, for_good } => {
            ("DELETE", format!("{}/versions/{version}?permanent={for_good}", path(*subject)), Value::Null)
        }
        Op::Config { subject, level } => setting("config", *subject, "compatibility", *level),
        Op::Mode { subject, mode } => setting("mode", *subject, "mode", *mode),
        Op::BreakDisk { .. } => ("GET", "/subjects".to_owned(), Value::Null),
    };
    registry.handle(method, &path, body.to_string().as_bytes())
}

fn setting(
    kind: &str,
    subject: Option<usize>,
    key: &str,
    word: Option<&str>,
) -> (&'static str, String, Value) {
    let path = match subject {
        Some(subject) => path(subject).replace("/subjects", &format!("/{kind}")),
        None => format!("/{kind}"),
    };
    match word {
        Some(word) => ("PUT", path, json!({ key: word })),
        None => ("DELETE", path, Value::Null),
    }
}

/// What is known from the answers alone.
#[derive(Default)]
struct Known {
    /// Per subject the id of each version, and whether it is deleted.
    versions: BTreeMap<usize, BTreeMap<u32, (u32, bool)>>,
    /// The schema of each id that was ever given, as its number in the table.
    ids: HashMap<u32, usize>,
}

/// Equal schemas have equal numbers.
fn kind(subject: usize, schema: usize) -> usize {
    match (SUBJECTS[subject], schema) {
        ("base", _) => 99,
        (_, 6) => 5,
        (_, schema) => schema,
    }
}

impl Known {
    fn registered(&mut self, subject: usize, schema: usize, id: u32, wanted: Option<u32>) {
        let kind = kind(subject, schema);
        assert_eq!(*self.ids.entry(id).or_insert(kind), kind, "id {id} was given to two schemas");
        let versions = self.versions.entry(subject).or_default();
        let is_there = |(number, known): (&u32, &(u32, bool))| {
            *known == (id, false) && wanted.is_none_or(|wanted| wanted == *number)
        };
        if versions.iter().any(is_there) {
            return;
        }
        let next = versions.keys().next_back().map_or(1, |last| last + 1);
        let number = wanted.unwrap_or(next);
        versions.insert(number, (id, false));
        // Version 1 of the base stays while a schema refers to it.
        let others = self.versions.iter().filter(|(other, _)| SUBJECTS[**other] != "base");
        let is_referred = others
            .flat_map(|(_, versions)| versions.values())
            .any(|known| self.ids.get(&known.0) == Some(&REFERRING));
        let is_kept = |old: u32| SUBJECTS[subject] == "base" && old == 1 && is_referred;
        let versions = self.versions.entry(subject).or_default();
        versions.retain(|old, known| *known != (id, true) || number <= *old || is_kept(*old));
    }

    fn learn(&mut self, op: &Op, answer: &Value) {
        let id = || u32::try_from(answer["id"].as_u64().expect("an id")).expect("an id");
        match *op {
            Op::Register { subject, schema, .. } => self.registered(subject, schema, id(), None),
            Op::Import { subject, schema, id: wanted, version } => {
                assert_eq!(id(), wanted);
                let mut all = self.versions.values().flat_map(BTreeMap::values);
                if !all.any(|known| known.0 == wanted) {
                    // Ids come from elsewhere: a mistake that was deleted for good can be made good.
                    self.ids.remove(&wanted);
                }
                self.registered(subject, schema, wanted, version);
            }
            Op::DeleteSubject { subject, for_good: true } => drop(self.versions.remove(&subject)),
            Op::DeleteSubject { subject, for_good: false } => {
                self.versions.entry(subject).or_default().values_mut().for_each(|known| known.1 = true);
            }
            Op::DeleteVersion { subject, version, for_good: true } => {
                self.versions.entry(subject).or_default().remove(&version);
            }
            Op::DeleteVersion { subject, version, for_good: false } => {
                self.versions.entry(subject).or_default().entry(version).and_modify(|known| known.1 = true);
            }
            Op::Config { .. } | Op::Mode { .. } | Op::BreakDisk { .. } => {}
        }
    }

    fn check(&self, registry: &EmbeddedRegistry) {
        for (subject, _) in SUBJECTS.iter().enumerate() {
            let versions = self.versions.get(&subject).into_iter().flatten();
            let active: Vec<u32> =
                versions.clone().filter(|(_, known)| !known.1).map(|(number, _)| *number).collect();
            let listed = registry.handle("GET", &format!("{}/versions", path(subject)), b"");
            let expected = if active.is_empty() { 404 } else { 200 };
            assert_eq!(listed.0, expected, "{listed:?}");
            if listed.0 == 200 {
                assert_eq!(listed.1, json!(active));
            }
            for (number, (id, is_deleted)) in versions {
                let path = format!("{}/versions/{number}?deleted={is_deleted}", path(subject));
                let (status, answer) = registry.handle("GET", &path, b"");
                assert_eq!((status, &answer["id"]), (200, &json!(id)), "{path} {answer}");
                let (status, by_id) = registry.handle("GET", &format!("/schemas/ids/{id}"), b"");
                assert_eq!((status, &by_id["schema"]), (200, &answer["schema"]));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_requests_leave_what_their_log_says(ops in proptest::collection::vec(op(), 1..40)) {
        let log = Log::default();
        let registry = log.registry();
        let mut known = Known::default();
        let mut last_id = 0;
        for op in &ops {
            if let Op::BreakDisk { is_broken } = op {
                *log.is_broken.lock().expect("no panic") = *is_broken;
            }
            let (before, n_entries) = (registry.model().clone(), log.len());
            let (status, answer) = ask(&registry, op);
            if status == 200 {
                known.learn(op, &answer);
                prop_assert!(log.len() <= n_entries + 1);
            } else {
                prop_assert!(answer["error_code"].as_u64().is_some_and(|code| {
                    code == u64::from(status) || code / 100 == u64::from(status)
                }), "{answer}");
                prop_assert_eq!(log.len(), n_entries, "{:?} {}", op, answer);
                prop_assert!(*registry.model() == before, "{:?} {}", op, answer);
            }
            prop_assert!(*log.registry().model() == *registry.model(), "a replay gives another");
            known.check(&registry);
            let highest = known.ids.keys().copied().max().unwrap_or(0);
            prop_assert!(registry.model().last_id() == highest && last_id <= highest);
            last_id = highest;
        }
    }
}

#[test]
fn what_the_disk_refused_is_refused_and_not_seen() {
    let log = Log::default();
    let registry = log.registry();
    *log.is_broken.lock().expect("no panic") = true;
    let (status, answer) = ask(&registry, &Op::Register { subject: 1, schema: 0, normalize: false });
    assert_eq!((status, &answer["error_code"]), (500, &json!(50001)));
    assert_eq!(registry.handle("GET", "/subjects", b""), (200, json!([])));
    *log.is_broken.lock().expect("no panic") = false;
    let (status, answer) = ask(&registry, &Op::Register { subject: 1, schema: 1, normalize: false });
    assert_eq!((status, answer), (200, json!({ "id": 1 })));
}

#[test]
fn a_log_of_another_registry_is_refused_with_the_entry() {
    let log = Log::default();
    ask(&log.registry(), &Op::Register { subject: 1, schema: 0, normalize: false });
    let entry = log.entries.lock().expect("no panic")[0].clone();
    let mut replay = Replay::default();
    replay.entry(&entry).expect("it was written here");
    let twice = replay.entry(&entry).expect_err("the id is taken").to_string();
    assert_eq!(twice, "entry 1 of the schema registry's log can't be replayed: schema 1 is there already");
    for entry in [&b"{}"[..], b"", br#"{"entry":"registered","subject":"s","version":1,"id":9}"#] {
        assert!(Replay::default().entry(entry).is_err());
    }
}

/// Two schemas, whether the second reads what the first wrote, and the other way round: every kind of change
/// that people make, by the Avro 1.12 specification, "Schema Resolution".
const PAIRS: [(&str, &str, [bool; 2]); 26] = [
    (r#""int""#, r#""long""#, [true, false]),
    (r#""long""#, r#""double""#, [true, false]),
    (r#""float""#, r#""int""#, [false, true]),
    (r#""string""#, r#""bytes""#, [true, true]),
    (r#""string""#, r#""int""#, [false, false]),
    (r#"["null","int"]"#, r#""int""#, [false, true]),
    (r#"["int"]"#, r#"["null","long"]"#, [true, false]),
    (r#"["null","int","string"]"#, r#"["null","string"]"#, [false, true]),
    (r#"{"type":"array","items":"int"}"#, r#"{"type":"array","items":"long"}"#, [true, false]),
    (r#"{"type":"array","items":"int"}"#, r#"{"type":"map","values":"int"}"#, [false, false]),
    (r#"{"type":"map","values":"int"}"#, r#"{"type":"map","values":"string"}"#, [false, false]),
    (
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        [true, false],
    ),
    (
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        r#"{"type":"enum","name":"E","symbols":["A","C"],"default":"C"}"#,
        [true, false],
    ),
    (
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
        r#"{"type":"enum","name":"F","symbols":["A"]}"#,
        [false, false],
    ),
    (r#"{"type":"fixed","name":"F","size":2}"#, r#"{"type":"fixed","name":"F","size":3}"#, [false, false]),
    (r#"{"type":"fixed","name":"F","size":2}"#, r#"{"type":"fixed","name":"F","size":2}"#, [true, true]),
    (SCHEMAS[0], SCHEMAS[1], [true, false]),
    (SCHEMAS[0], SCHEMAS[2], [true, true]),
    (SCHEMAS[0], SCHEMAS[3], [false, false]),
    (SCHEMAS[2], SCHEMAS[3], [true, false]),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":"int","aliases":["a"]}]}"#,
        [true, false],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#,
        r#"{"type":"record","name":"S","aliases":["R"],"fields":[{"name":"a","type":"int"}]}"#,
        [true, false],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]},{"name":"v","type":"int","default":1}]}"#,
        [true, true],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]},{"name":"v","type":"int"}]}"#,
        [false, true],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"string"}]}}]}"#,
        [false, false],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"s","type":"int"},{"name":"t","type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"t","type":"int"},{"name":"s","type":"int"}]}"#,
        [true, true],
    ),
];

/// That each level lets through what the specification says of each pair, and that of three versions the
/// transitive ones look at the first, too.
#[test]
fn levels_are_what_the_specification_says_of_each_pair() {
    let mut n_refused = BTreeMap::<&str, usize>::new();
    let both_ways = PAIRS.iter().flat_map(|(a, b, [ab, ba])| [(*a, *b, *ab, *ba), (*b, *a, *ba, *ab)]);
    for (old, new, backward, forward) in both_ways {
        for level in Level::ALL {
            let expected = match level {
                Level::None => true,
                Level::Backward | Level::BackwardTransitive => backward,
                Level::Forward | Level::ForwardTransitive => forward,
                Level::Full | Level::FullTransitive => backward && forward,
            };
            assert_eq!(answers(level, &[old], new), [expected; 3], "{} {old} {new}", level.as_str());
            *n_refused.entry(level.as_str()).or_default() += usize::from(!expected);
            // The version between can be followed by and follow anything.
            let answers = answers(level, &[old, new], new);
            let expected = if level.is_transitive() { expected } else { true };
            assert_eq!(answers[0], expected, "{} {old}, then twice {new}", level.as_str());
        }
    }
    let refused: BTreeSet<&str> =
        n_refused.iter().filter(|(_, n)| **n > 5).map(|(level, _)| *level).collect();
    assert_eq!(refused.len(), Level::ALL.len() - 1, "the table shows little: {n_refused:?}");
}

/// apache-avro takes a writer's union or enum for readable where one branch or symbol is, and passes over
/// aliases; the specification and Java ask for all of them, and look at aliases.
#[test]
fn the_table_is_what_apache_avro_says_where_there_is_no_union_and_no_enum() {
    let parse = |text: &str| apache_avro::Schema::parse_str(text).expect("a schema");
    let has_union = |text: &str| {
        text.contains(r#"["null","#)
            || text.contains("\"enum\"")
            || text.contains("\"aliases\"")
            || text.starts_with('[')
    };
    let mut n_compared = 0;
    for (a, b, expected) in PAIRS.iter().filter(|(a, b, _)| !has_union(a) && !has_union(b)) {
        let (a, b) = (parse(a), parse(b));
        let found = [(&a, &b), (&b, &a)]
            .map(|(writer, reader)| SchemaCompatibility::can_read(writer, reader).is_ok());
        assert_eq!(found, *expected, "{a:?} {b:?}");
        n_compared += 1;
    }
    assert_eq!(n_compared, 16);
}

/// Whether `new` passes behind `old` at a level: compared with all, with the latest, and when registered.
fn answers(level: Level, old: &[&str], new: &str) -> [bool; 3] {
    let registry = EmbeddedRegistry::new();
    let post = |path: &str, schema: &str| {
        registry.handle("POST", path, json!({ "schema": schema }).to_string().as_bytes())
    };
    let set = |level: &str| {
        let body = json!({ "compatibility": level }).to_string();
        assert_eq!(registry.handle("PUT", "/config/s", body.as_bytes()).0, 200);
    };
    set("NONE");
    for (i, old) in old.iter().enumerate() {
        // Each one a version of its own, also where two are the same.
        let old = old.replacen('{', &format!("{{\"n\":{i},"), 1);
        assert_eq!(post("/subjects/s/versions", &old).0, 200, "{old}");
    }
    set(level.as_str());
    let tested = ["versions", "versions/latest"].map(|versions| {
        let (status, answer) = post(&format!("/compatibility/subjects/s/{versions}?verbose=true"), new);
        let is_compatible = answer["is_compatible"].as_bool().expect("a verdict");
        let n_messages = answer["messages"].as_array().map_or(0, Vec::len);
        assert_eq!((status, is_compatible), (200, n_messages == 0), "{answer}");
        is_compatible
    });
    let (status, answer) = post("/subjects/s/versions", new);
    assert!(status == 200 || status == 409 && answer["error_code"] == 409, "{answer}");
    [tested[0], tested[1], status == 200]
}
