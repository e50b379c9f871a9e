//! The embedded registry by its HTTP API.

use serde_json::{Value as Json, json};
use weir_schemas::registry::MemoryRegistry;
use weir_schemas::{RegistryError, SchemaRegistry};

const V1: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}"#;
const V2: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null}]}"#;
const V3_BROKEN: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null},{"name":"must","type":"int"}]}"#;

fn post(registry: &MemoryRegistry, path: &str, schema: &str) -> (u16, Json) {
    registry.handle("POST", path, json!({ "schema": schema }).to_string().as_bytes())
}

fn get(registry: &MemoryRegistry, path: &str) -> (u16, Json) {
    registry.handle("GET", path, b"")
}

#[test]
fn versions_and_ids_are_confluents() {
    let registry = MemoryRegistry::new();
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
    let registry = MemoryRegistry::new();
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
    check(registry.handle("DELETE", "/subjects/orders-value", b""), 405, 405, "Not Allowed");
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
        "(version 1, BACKWARD): must: the writer lacks the field, and the reader has no default for it",
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
    let registry = MemoryRegistry::new();
    registry.register("t", &tree(r#""int""#)).expect("it is new");
    registry.register("t", &tree(r#"["string","long"]"#)).expect("int becomes long");
    let error = registry.register("t", &tree(r#"["null","string"]"#)).expect_err("long does not fit");
    assert!(
        matches!(&error, RegistryError::Invalid { detail } if detail.contains("v: the writer's long")),
        "{error}"
    );
}
