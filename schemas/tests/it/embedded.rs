//! The embedded registry by its HTTP API.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use weir_schemas::registry::EmbeddedRegistry;
use weir_schemas::{RegistryError, SchemaRegistry};

const V1: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}"#;
const V2: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null}]}"#;
const V3_BROKEN: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null},{"name":"must","type":"int"}]}"#;

fn post(registry: &EmbeddedRegistry, path: &str, schema: &str) -> (u16, Json) {
    registry.handle("POST", path, json!({ "schema": schema }).to_string().as_bytes())
}

fn get(registry: &EmbeddedRegistry, path: &str) -> (u16, Json) {
    registry.handle("GET", path, b"")
}

#[test]
fn versions_and_ids_are_confluents() {
    let registry = EmbeddedRegistry::new();
    let spaced = V1.replace(':', " : ");
    assert_eq!(post(&registry, "/subjects/orders-value/versions", V1), (200, json!({"id": 1})));
    assert_eq!(post(&registry, "/subjects/orders-value/versions", &spaced), (200, json!({"id": 1})));
    assert_eq!(
        post(&registry, "/subjects/a%2Fb%20c/versions?normalize=true", &spaced),
        (200, json!({"id": 1}))
    );
    assert_eq!(post(&registry, "/subjects/orders-value/versions", V2), (200, json!({"id": 2})));

    assert_eq!(get(&registry, "/subjects"), (200, json!(["a/b c", "orders-value"])));
    assert_eq!(get(&registry, "/subjects/orders-value/versions"), (200, json!([1, 2])));
    let latest = json!({"subject": "orders-value", "version": 2, "id": 2, "schema": V2});
    assert_eq!(get(&registry, "/subjects/orders-value/versions/latest"), (200, latest.clone()));
    assert_eq!(get(&registry, "/subjects/orders-value/versions/2"), (200, latest.clone()));
    assert_eq!(get(&registry, "/schemas/ids/1"), (200, json!({"schema": V1})));
    let places = json!([{"subject": "a/b c", "version": 1}, {"subject": "orders-value", "version": 1}]);
    assert_eq!(get(&registry, "/schemas/ids/1/versions"), (200, places));
    assert_eq!(post(&registry, "/subjects/orders-value", V2), (200, latest));
}

#[test]
fn errors_have_confluents_codes() {
    let registry = EmbeddedRegistry::new();
    registry.register("orders-value", V2).expect("it is new");
    let check = |(status, body): (u16, Json), expected_status: u16, code: u32, message: &str| {
        assert_eq!((status, body["error_code"].clone()), (expected_status, json!(code)), "{body}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains(message)), "{body}");
    };
    check(get(&registry, "/subjects/none/versions"), 404, 40401, "Subject 'none' not found");
    check(get(&registry, "/subjects/orders-value/versions/7"), 404, 40402, "Version 7 not found");
    check(get(&registry, "/subjects/orders-value/versions/x"), 422, 42202, "not a valid version");
    check(get(&registry, "/schemas/ids/7"), 404, 40403, "Schema 7 not found");
    check(get(&registry, "/nowhere"), 404, 404, "Not Found");
    check(registry.handle("PUT", "/subjects/orders-value", b""), 405, 405, "Not Allowed");
    check(post(&registry, "/subjects/orders-value", V1), 404, 40403, "Schema not found");
    check(
        post(&registry, "/subjects/orders-value/versions", r#"{"type":"recrd"}"#),
        422,
        42201,
        "unknown type",
    );
    check(registry.handle("POST", "/subjects/s/versions", b"{"), 422, 42201, "Invalid request");
    check(
        post(&registry, "/subjects/orders-value/versions", V3_BROKEN),
        409,
        409,
        "BACKWARD: it can't read what version 1 wrote: must: the writer lacks the field, and the reader has no default for it",
    );
    assert_eq!(get(&registry, "/subjects/orders-value/versions"), (200, json!([1])));
}

#[test]
fn recursive_and_union_schemas_are_compared() {
    let tree = |value: &str| {
        format!(
            r#"{{"type":"record","name":"T","fields":[{{"name":"v","type":{value}}},{{"name":"next","type":["null","T"]}}]}}"#
        )
    };
    let registry = EmbeddedRegistry::new();
    registry.register("t", &tree(r#""int""#)).expect("it is new");
    registry.register("t", &tree(r#"["string","long"]"#)).expect("int becomes long");
    let error = registry.register("t", &tree(r#"["null","string"]"#)).expect_err("long does not fit");
    assert!(
        matches!(&error, RegistryError::Invalid { detail } if detail.contains("v: the writer's long")),
        "{error}"
    );
}

const AMOUNT: &str = r#"{"type":"record","name":"shop.Amount","fields":[{"name":"cents","type":"long"}]}"#;
const ORDER: &str =
    r#"{"type":"record","name":"shop.Order","fields":[{"name":"amount","type":"shop.Amount"}]}"#;

/// Requests in a row, with status and answer; of an error its code alone.
fn check_all(registry: &EmbeddedRegistry, requests: &[(&str, &str, Json, u16, Json)]) {
    for (method, path, body, status, expected) in requests {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (found, answer) = registry.handle(method, path, body.as_bytes());
        let shown = if found == 200 { answer.clone() } else { answer["error_code"].clone() };
        assert_eq!((found, &shown), (*status, expected), "{method} {path} {body}: {answer}");
    }
}

#[test]
fn references_are_kept_followed_and_protected() {
    let registry = EmbeddedRegistry::new();
    let refer = |version: i64| json!({ "schema": ORDER, "references": [{ "name": "shop.Amount", "subject": "amount", "version": version }] });
    let stored = json!([{ "name": "shop.Amount", "subject": "amount", "version": 1 }]);
    let none = Json::Null;
    check_all(
        &registry,
        &[
            ("POST", "/subjects/orders/versions", refer(1), 422, json!(42201)),
            ("POST", "/subjects/amount/versions", json!({ "schema": AMOUNT }), 200, json!({ "id": 1 })),
            ("POST", "/subjects/orders/versions", json!({ "schema": ORDER }), 422, json!(42201)),
            ("POST", "/subjects/orders/versions", refer(2), 422, json!(42201)),
            ("POST", "/subjects/orders/versions", refer(-1), 200, json!({ "id": 2 })),
            ("POST", "/subjects/orders/versions", refer(1), 200, json!({ "id": 2 })),
            ("GET", "/schemas/ids/2", none.clone(), 200, json!({ "schema": ORDER, "references": stored })),
            ("GET", "/subjects/amount/versions/1/referencedby", none.clone(), 200, json!([2])),
            ("DELETE", "/subjects/amount/versions/1", none.clone(), 422, json!(42206)),
            ("DELETE", "/subjects/amount", none.clone(), 422, json!(42206)),
            ("DELETE", "/subjects/orders", none.clone(), 200, json!([1])),
            ("DELETE", "/subjects/amount", none.clone(), 200, json!([1])),
            ("GET", "/subjects/amount/versions/1/referencedby", none.clone(), 200, json!([])),
            // The one that refers to it can still come back.
            ("DELETE", "/subjects/amount?permanent=true", none.clone(), 422, json!(42206)),
            ("GET", "/subjects/amount/versions/1/referencedby?deleted=true", none.clone(), 200, json!([2])),
            ("DELETE", "/subjects/orders?permanent=true", none.clone(), 200, json!([1])),
            ("DELETE", "/subjects/amount?permanent=true", none.clone(), 200, json!([1])),
            ("GET", "/schemas/ids/2", none, 404, json!(40403)),
            // What comes back is new: records with the old id were of a registry that forgot it.
            ("POST", "/subjects/amount/versions", json!({ "schema": AMOUNT }), 200, json!({ "id": 3 })),
        ],
    );
}

#[test]
fn deletion_is_soft_first_and_ids_outlive_it() {
    let registry = EmbeddedRegistry::new();
    let none = Json::Null;
    check_all(
        &registry,
        &[
            ("POST", "/subjects/s/versions", json!({ "schema": V1 }), 200, json!({ "id": 1 })),
            ("POST", "/subjects/s/versions", json!({ "schema": V2 }), 200, json!({ "id": 2 })),
            ("DELETE", "/subjects/s/versions/2?permanent=true", none.clone(), 404, json!(40407)),
            ("DELETE", "/subjects/s/versions/3", none.clone(), 404, json!(40402)),
            ("DELETE", "/subjects/t/versions/1", none.clone(), 404, json!(40401)),
            ("DELETE", "/subjects/s/versions/latest", none.clone(), 200, json!(2)),
            ("DELETE", "/subjects/s/versions/2", none.clone(), 404, json!(40406)),
            ("GET", "/subjects/s/versions", none.clone(), 200, json!([1])),
            ("GET", "/subjects/s/versions?deleted=true", none.clone(), 200, json!([1, 2])),
            ("GET", "/subjects/s/versions?deletedOnly=true", none.clone(), 200, json!([2])),
            ("GET", "/subjects/s/versions/2", none.clone(), 404, json!(40402)),
            ("GET", "/schemas/ids/2/versions", none.clone(), 200, json!([])),
            ("GET", "/schemas/ids/2/schema", none.clone(), 200, serde_json::from_str(V2).expect("JSON")),
            ("POST", "/subjects/s", json!({ "schema": V2 }), 404, json!(40403)),
            // Registered again: the same id, a new version.
            ("POST", "/subjects/s/versions", json!({ "schema": V2 }), 200, json!({ "id": 2 })),
            ("GET", "/subjects/s/versions?deleted=true", none.clone(), 200, json!([1, 3])),
            ("DELETE", "/subjects/s?permanent=true", none.clone(), 404, json!(40405)),
            ("DELETE", "/subjects/s", none.clone(), 200, json!([1, 3])),
            ("DELETE", "/subjects/s", none.clone(), 404, json!(40404)),
            ("GET", "/subjects", none.clone(), 200, json!([])),
            ("GET", "/subjects?deleted=true", none.clone(), 200, json!(["s"])),
            ("DELETE", "/subjects/s?permanent=true", none.clone(), 200, json!([1, 3])),
            ("DELETE", "/subjects/s", none, 404, json!(40401)),
        ],
    );
}

#[test]
fn settings_are_of_a_subject_or_of_all() {
    let registry = EmbeddedRegistry::new();
    let (none, schema) = (Json::Null, json!({ "schema": V1 }));
    let with_id =
        |schema: &str, id: u32, version: u32| json!({ "schema": schema, "id": id, "version": version });
    check_all(
        &registry,
        &[
            ("GET", "/config", none.clone(), 200, json!({ "compatibilityLevel": "BACKWARD" })),
            ("GET", "/config/s", none.clone(), 404, json!(40408)),
            (
                "GET",
                "/config/s?defaultToGlobal=true",
                none.clone(),
                200,
                json!({ "compatibilityLevel": "BACKWARD" }),
            ),
            ("PUT", "/config", json!({ "compatibility": "full" }), 200, json!({ "compatibility": "FULL" })),
            ("PUT", "/config/s", json!({ "compatibility": "SOME" }), 422, json!(42203)),
            ("PUT", "/config/s", json!({ "alias": "t" }), 422, json!(42203)),
            ("PUT", "/config/s", json!({}), 422, json!(42203)),
            ("PUT", "/config/s", json!({ "normalize": true }), 200, json!({ "normalize": true })),
            (
                "GET",
                "/config/s?defaultToGlobal=true",
                none.clone(),
                200,
                json!({ "compatibilityLevel": "FULL", "normalize": true }),
            ),
            ("DELETE", "/config/s", none.clone(), 200, json!({ "normalize": true })),
            ("DELETE", "/config/s", none.clone(), 404, json!(40401)),
            ("DELETE", "/config", none.clone(), 200, json!({ "compatibilityLevel": "FULL" })),
            ("GET", "/config", none.clone(), 200, json!({ "compatibilityLevel": "BACKWARD" })),
            ("GET", "/mode", none.clone(), 200, json!({ "mode": "READWRITE" })),
            ("GET", "/mode/s", none.clone(), 404, json!(40409)),
            ("PUT", "/mode/s", json!({ "mode": "SOME" }), 422, json!(42204)),
            ("PUT", "/mode", json!({ "mode": "READONLY" }), 200, json!({ "mode": "READONLY" })),
            ("GET", "/mode/s?defaultToGlobal=true", none.clone(), 200, json!({ "mode": "READONLY" })),
            ("POST", "/subjects/s/versions", schema.clone(), 422, json!(42205)),
            ("POST", "/subjects/s/versions", with_id(V1, 7, 3), 422, json!(42205)),
            ("PUT", "/mode/s", json!({ "mode": "IMPORT" }), 200, json!({ "mode": "IMPORT" })),
            ("POST", "/subjects/s/versions", schema.clone(), 422, json!(42205)),
            ("POST", "/subjects/s/versions", with_id(V1, 7, 3), 200, json!({ "id": 7 })),
            ("POST", "/subjects/s/versions", with_id(V2, 7, 4), 422, json!(42205)),
            ("POST", "/subjects/s/versions", with_id(V1, 8, 4), 422, json!(42207)),
            ("POST", "/subjects/s/versions", with_id(V2, 8, 3), 422, json!(42205)),
            ("POST", "/subjects/s/versions", with_id(V2, 2, 1), 200, json!({ "id": 2 })),
            ("GET", "/subjects/s/versions", none.clone(), 200, json!([1, 3])),
            ("PUT", "/mode", json!({ "mode": "IMPORT" }), 422, json!(42205)),
            ("PUT", "/mode?force=true", json!({ "mode": "IMPORT" }), 200, json!({ "mode": "IMPORT" })),
            ("DELETE", "/mode/s", none.clone(), 200, json!({ "mode": "IMPORT" })),
            ("PUT", "/mode", json!({ "mode": "READWRITE" }), 200, json!({ "mode": "READWRITE" })),
            // Behind all ids that ever were.
            (
                "POST",
                "/subjects/s/versions",
                json!({ "schema": V1.replace("Order", "Other") }),
                409,
                json!(409),
            ),
            (
                "POST",
                "/subjects/t/versions",
                json!({ "schema": V1.replace("Order", "Other") }),
                200,
                json!({ "id": 8 }),
            ),
            (
                "GET",
                "/schemas/ids/8?fetchMaxId=true",
                none,
                200,
                json!({ "schema": V1.replace("Order", "Other"), "maxId": 8 }),
            ),
        ],
    );
}

#[test]
fn what_is_not_supported_is_refused_and_says_so() {
    let registry = EmbeddedRegistry::new();
    let refused = |body: Json, part: &str| {
        let (status, answer) = registry.handle("POST", "/subjects/s/versions", body.to_string().as_bytes());
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(part), "{answer}");
    };
    refused(
        json!({ "schema": "{}", "schemaType": "THRIFT" }),
        "type THRIFT is not supported by this registry, only AVRO, JSON, PROTOBUF are",
    );
    refused(json!({ "schema": "x", "schemaType": "PROTOBUF" }), "Invalid schema");
    refused(json!({ "schema": "7", "schemaType": "JSON" }), "7 is not a schema");
    refused(json!({ "schema": V1, "ruleSet": { "domainRules": [{ "name": "r" }] } }), "\"ruleSet\"");
    refused(json!({ "schema": V1, "metadata": { "properties": { "owner": "me" } } }), "\"metadata\"");
    refused(json!({ "schemaType": "AVRO" }), "there is no \"schema\"");
    refused(json!({ "schema": V1.replace("\"long\"", "\"long\",\"default\":\"x\"") }), "the default \"x\"");
    let tolerated =
        json!({ "schema": V1, "schemaType": "AVRO", "references": [], "metadata": null, "ruleSet": {} });
    assert_eq!(registry.handle("POST", "/subjects/s/versions", tolerated.to_string().as_bytes()).0, 200);
    for subject in ["%20", "__GLOBAL", "a%0Ab", &"x".repeat(1025)] {
        let (_, answer) = post(&registry, &format!("/subjects/{subject}/versions"), V1);
        assert_eq!(answer["error_code"], 42208, "{answer}");
    }
}

#[test]
fn what_consoles_ask_on_the_way_is_answered() {
    let registry = EmbeddedRegistry::new();
    let none = Json::Null;
    let amount = json!({ "subject": "amount", "version": 1, "id": 1, "schema": AMOUNT });
    let order = |version: u32, text: &str| json!({ "subject": "orders", "version": version, "id": version + 1, "schema": text });
    check_all(
        &registry,
        &[
            ("GET", "/", none.clone(), 200, json!({})),
            ("POST", "/", json!({}), 200, json!({})),
            ("GET", "/contexts", none.clone(), 200, json!(["."])),
            ("GET", "/schemas/types", none.clone(), 200, json!(["AVRO", "JSON", "PROTOBUF"])),
            (
                "GET",
                "/v1/metadata/id",
                none.clone(),
                200,
                json!({ "id": "", "scope": { "path": [], "clusters": { "schema-registry-cluster": "weir" } } }),
            ),
            ("POST", "/subjects/amount/versions", json!({ "schema": AMOUNT }), 200, json!({ "id": 1 })),
            ("POST", "/subjects/orders/versions", json!({ "schema": V1 }), 200, json!({ "id": 2 })),
            ("POST", "/subjects/orders/versions", json!({ "schema": V2 }), 200, json!({ "id": 3 })),
            ("GET", "/subjects?subjectPrefix=:*:or", none.clone(), 200, json!(["orders"])),
            ("GET", "/subjects?offset=1&limit=1", none.clone(), 200, json!(["orders"])),
            ("GET", "/schemas", none.clone(), 200, json!([amount, order(1, V1), order(2, V2)])),
            (
                "GET",
                "/schemas?latestOnly=true&subjectPrefix=:*:",
                none.clone(),
                200,
                json!([amount, order(2, V2)]),
            ),
            ("GET", "/schemas/ids/1/subjects", none, 200, json!(["amount"])),
        ],
    );
    let (status, version) = get(&registry, "/v1/metadata/version");
    assert!(status == 200 && version["version"].is_string(), "{version}");
}

#[test]
fn a_schema_that_is_none_is_told_as_a_message_where_messages_are_asked_for() {
    let registry = EmbeddedRegistry::new();
    registry.register("s", V1).expect("it is new");
    let wrong_default = V1.replace("\"long\"", "\"long\",\"default\":\"x\"");
    for (text, part) in
        [(r#"{"type":"recrd"}"#, "unknown type"), (wrong_default.as_str(), "the default \"x\"")]
    {
        for version in ["", "/latest", "/1"] {
            let path = format!("/compatibility/subjects/s/versions{version}");
            let (status, answer) = post(&registry, &path, text);
            assert_eq!((status, &answer["error_code"]), (422, &json!(42201)), "{answer}");
            let (status, answer) = post(&registry, &format!("{path}?verbose=true"), text);
            assert_eq!((status, &answer["is_compatible"]), (200, &json!(false)), "{answer}");
            assert!(answer["messages"][0].as_str().is_some_and(|message| message.contains(part)), "{answer}");
        }
    }
}

#[test]
fn a_normal_form_is_kept_where_it_is_asked_for() {
    let registry = EmbeddedRegistry::new();
    let spaced = r#"{ "fields": [], "type": "record", "namespace": "n", "name": "R" }"#;
    let text = |path: &str| get(&registry, path).1["schema"].clone();
    assert_eq!(post(&registry, "/subjects/a/versions", spaced).1, json!({ "id": 1 }));
    assert_eq!(text("/schemas/ids/1"), spaced);
    assert_eq!(
        post(&registry, "/subjects/b/versions?normalize=true", spaced).1,
        json!({ "id": 1 }),
        "one schema"
    );
    let other = spaced.replace("\"R\"", "\"S\"");
    assert_eq!(post(&registry, "/subjects/b2/versions?normalize=true", &other).1, json!({ "id": 2 }));
    assert_eq!(text("/schemas/ids/2"), r#"{"fields":[],"name":"n.S","type":"record"}"#);
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(
        method in "(GET|POST|PUT|DELETE|HEAD|X)",
        path in r"(/(subjects|schemas|ids|compatibility|config|mode|versions|types|latest|s|1|-1|%2F|%zz|é)){0,6}(\?(deleted=true|limit=-2|offset=9|x|=&&|permanent=true|normalize=true)(&deletedOnly=true)?)?",
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            r#"\{"(schema|mode|compatibility|id|references)": ?("[^"]{0,9}"|-?[0-9]{1,20}|null|\[\{\}\])\}"#.prop_map(String::into_bytes),
        ],
    ) {
        let registry = EmbeddedRegistry::new();
        registry.register("s", V1).expect("it is new");
        let (status, answer) = registry.handle(&method, &path, &body);
        prop_assert!([200, 404, 405, 409, 422].contains(&status), "{} {}: {} {}", method, path, status, answer);
        prop_assert!(status == 200 || answer["message"].is_string());
    }
}

#[test]
fn json_schemas_and_protobuf_are_registered_compared_and_referred_to() {
    let registry = EmbeddedRegistry::new();
    let none = Json::Null;
    let id = r#"{"type": "integer"}"#;
    let order = |more: &str| {
        format!(r#"{{"properties": {{"id": {{"$ref": "id.json"}}{more}}}, "additionalProperties": false}}"#)
    };
    let refer = json!([{ "name": "id.json", "subject": "id", "version": 1 }]);
    let json = |schema: &str, references: Json| json!({ "schema": schema, "schemaType": "JSON", "references": references });
    let stored = json!({ "schema": order(""), "schemaType": "JSON", "references": refer });
    check_all(
        &registry,
        &[
            ("POST", "/subjects/id/versions", json(id, json!([])), 200, json!({ "id": 1 })),
            ("POST", "/subjects/j/versions", json(&order(""), json!([])), 422, json!(42201)),
            ("POST", "/subjects/j/versions", json(&order(""), refer.clone()), 200, json!({ "id": 2 })),
            ("GET", "/schemas/ids/2", none.clone(), 200, stored),
            (
                "POST",
                "/subjects/j/versions",
                json(&order(r#", "note": {"type": "string"}"#), refer.clone()),
                200,
                json!({ "id": 3 }),
            ),
            ("POST", "/subjects/j/versions", json(&order(""), refer.clone()), 200, json!({ "id": 2 })),
            (
                "POST",
                "/compatibility/subjects/j/versions?verbose=true",
                json(&order(r#", "note": {"type": "null"}"#), refer.clone()),
                200,
                json!({
                    "is_compatible": false,
                    "messages": ["BACKWARD: it can't read what version 2 wrote: #/properties/note: type string is no longer accepted"],
                }),
            ),
            ("POST", "/subjects/j/versions", json!({ "schema": V1 }), 409, json!(409)),
            // What is referred to must be of the same type.
            ("POST", "/subjects/a/versions", json!({ "schema": V1, "references": refer }), 422, json!(42201)),
            ("DELETE", "/subjects/id/versions/1", none.clone(), 422, json!(42206)),
        ],
    );
    let money = r#"syntax = "proto3"; package p; message Money { int64 cents = 1; }"#;
    let sale = |kind: &str, more: &str| {
        format!(
            r#"syntax = "proto3"; package p; import "money.proto"; message Sale {{ Money total = 1; {kind} id = 2; {more} }}"#
        )
    };
    let refer = json!([{ "name": "money.proto", "subject": "money", "version": 1 }]);
    let proto = |schema: &str| json!({ "schema": schema, "schemaType": "PROTOBUF", "references": refer });
    check_all(
        &registry,
        &[
            (
                "POST",
                "/subjects/money/versions",
                json!({ "schema": money, "schemaType": "PROTOBUF" }),
                200,
                json!({ "id": 4 }),
            ),
            ("POST", "/subjects/p/versions", proto(&sale("int32", "")), 200, json!({ "id": 5 })),
            (
                "POST",
                "/subjects/p/versions",
                proto(&sale("int64", "repeated Sale parts = 3;")),
                200,
                json!({ "id": 6 }),
            ),
            ("POST", "/subjects/p/versions", proto(&sale("int32", "")), 200, json!({ "id": 5 })),
            (
                "POST",
                "/compatibility/subjects/p/versions/2?verbose=true",
                proto(&sale("int32", "")),
                200,
                json!({
                    "is_compatible": false,
                    "messages": ["BACKWARD: it can't read what version 2 wrote: p.Sale.id: field 2 is int64 of the writer, and can't be read as int32"],
                }),
            ),
            ("PUT", "/config/p", json!({ "compatibility": "FULL" }), 200, json!({ "compatibility": "FULL" })),
            ("POST", "/subjects/p/versions", proto(&sale("int64", "reserved 4;")), 200, json!({ "id": 7 })),
            ("POST", "/subjects/p/versions", proto(&sale("bool", "")), 409, json!(409)),
        ],
    );
    // The descriptor is the schema that the text is.
    let (_, answer) = get(&registry, "/schemas/ids/6?format=serialized");
    let known = registry.handle(
        "POST",
        "/subjects/p",
        proto(answer["schema"].as_str().expect("a text")).to_string().as_bytes(),
    );
    assert_eq!((known.0, &known.1["id"]), (200, &json!(6)), "{}", known.1);
    // A message that goes is no longer read.
    let (_, answer) = registry.handle(
        "POST",
        "/compatibility/subjects/money/versions?verbose=true",
        json!({ "schema": money.replace("Money", "Cash"), "schemaType": "PROTOBUF" }).to_string().as_bytes(),
    );
    assert_eq!(
        answer["messages"][0],
        "BACKWARD: it can't read what version 1 wrote: there is no message \"p.Money\" any more"
    );
}
