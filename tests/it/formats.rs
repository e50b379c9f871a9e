//! Values that are not Avro, end to end: JSON by the registry's JSON Schema, CSV by a file's, raw bytes, Protobuf.

use serde_json::json;

use crate::producer::{Producer, To, Topics, register};
use crate::services::services;
use crate::weir::Project;

const JSON_SCHEMA: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
    "properties": {"country": {"$ref": "country.json"}, "amount": {"type": "number"}, "at": {"type": "string", "format": "date-time"}},
    "required": ["country", "at"]}"#;
const AVRO_SCHEMA: &str = r#"{"type": "record", "name": "line", "fields": [{"name": "country", "type": "string"},
    {"name": "amount", "type": ["null", "double"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const EVENT_TIME: &str = "event_time: at\nwatermark: { delay: 0s, idle_timeout: 1h }\n";

#[test]
fn json_csv_and_raw_values_are_tables() {
    let services = services();
    let topics = Topics::new(&services.kafka.bootstrap);
    let producer = Producer::new(&services.kafka.bootstrap);
    let send = |topic: &str, values: &[&[u8]]| {
        topics.create(topic, 1);
        for value in values {
            producer.send(To { topic, partition: 0, timestamp_ms: 1_000 }, None, Some(value));
        }
    };
    // A part of the schema is a subject of its own.
    let country = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}"#;
    let country = json!({"schema": country, "schemaType": "JSON"});
    register(&services.registry.url, "told-country", &country);
    let refers = json!([{"name": "country.json", "subject": "told-country", "version": 1}]);
    let told = json!({"schema": JSON_SCHEMA, "schemaType": "JSON", "references": refers});
    let id = register(&services.registry.url, "told-value", &told);
    let framed =
        [&[0][..], &id.to_be_bytes(), br#"{"country":"DE","amount":2.5,"at":"1970-01-01T00:00:01Z"}"#]
            .concat();
    send(
        "told",
        &[&framed, br#"{"at":"1970-01-01T00:00:02Z","country":"DE"}"#, br#"{"country":"DE"}"#, b"{\"country"],
    );
    send("lines", &[b"FR,1.5,1970-01-01T00:00:01Z\r\n", b"\"FR\";2", b"FR,,1970-01-01T00:00:02Z"]);
    send("bytes", &[b"\xff\x00", b""]);
    producer.flush();

    let count = |topic: &str| {
        format!(
            "SELECT window_start, country, count(*) AS n, sum(amount) AS total
FROM TUMBLE(TABLE {topic}, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start, country"
        )
    };
    let weir = Project::new(&services)
        .file("sources/line.avsc", AVRO_SCHEMA)
        .source("told", &format!("format: json\n{EVENT_TIME}"))
        .source("lines", &format!("format: csv\nschema: {{ file: line.avsc }}\n{EVENT_TIME}"))
        .source("bytes", "format: raw\n")
        .pipeline("by_told", &count("told"), "")
        .pipeline("by_line", &count("lines"), "")
        .pipeline("values", "SELECT kafka_timestamp, value FROM bytes", "")
        .run();
    weir.await_rows("SELECT country, n, total FROM by_told", &[vec![json!("DE"), json!(2), json!(2.5)]]);
    weir.await_rows("SELECT country, n, total FROM by_line", &[vec![json!("FR"), json!(2), json!(1.5)]]);
    weir.await_rows("SELECT value FROM values ORDER BY value", &[vec![json!("")], vec![json!("/wA=")]]);
    weir.await_rows(
        "SELECT topic, reason, detail FROM weir.dead_letters ORDER BY topic, partition, \"offset\"",
        &[
            vec![json!("lines"), json!("bad_payload"), json!("field 1: text behind its closing quote")],
            vec![
                json!("told"),
                json!("bad_payload"),
                json!("field \"at\": it is missing, has no default and can't be null"),
            ],
            vec![
                json!("told"),
                json!("bad_payload"),
                json!("not JSON: EOF while parsing a string at line 1 column 9"),
            ],
        ],
    );
    weir.await_rows(
        "SELECT schema_id, subject, version, compatible FROM weir.schemas",
        &[vec![json!(id), json!("told-value"), json!(1), json!(true)]],
    );
}

const MONEY: &str = r#"syntax = "proto3"; package shop; message Money { double amount = 1; }"#;

/// The schema of a sale, with more fields.
fn sale(country: &str, more: &str) -> String {
    format!(
        r#"syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto"; import "shop/money.proto";
message Sale {{ {country} country = 1; Money total = 2; google.protobuf.Timestamp at = 3; {more} }}"#
    )
}

#[test]
fn protobuf_of_several_schemas_is_a_table() {
    let services = services();
    let topics = Topics::new(&services.kafka.bootstrap);
    let producer = Producer::new(&services.kafka.bootstrap);
    let register = |subject: &str, schema: &str, references: serde_json::Value| {
        let body = json!({"schema": schema, "schemaType": "PROTOBUF", "references": references});
        register(&services.registry.url, subject, &body)
    };
    register("shop-money", MONEY, json!([]));
    let money = json!([{"name": "shop/money.proto", "subject": "shop-money", "version": 1}]);
    let v1 = register("sales-value", &sale("string", ""), money.clone());
    let v2 = register("sales-value", &sale("string", "string note = 4;"), money.clone());
    let other = register("others-value", &sale("int32", ""), money);
    // The fields 1 to 3: "DE", an amount, a second.
    let body = |amount: f64| {
        let total = [&[0x12, 9, 9][..], &amount.to_le_bytes()].concat();
        [&[0x0a, 2, b'D', b'E'][..], &total, &[0x1a, 2, 8, 1]].concat()
    };
    let framed = |id: u32, body: &[u8]| [&[0][..], &id.to_be_bytes(), &[0], body].concat();
    topics.create("sales", 1);
    let values = [
        framed(v1, &body(1.5)),
        framed(v2, &[&body(2.0)[..], &[0x22, 1, b'x']].concat()),
        body(4.0),
        framed(other, &[8, 7]),
        framed(v1, &[0x0a, 9]),
        framed(1_000_000, b""),
    ];
    for value in &values {
        producer.send(To { topic: "sales", partition: 0, timestamp_ms: 1_000 }, None, Some(value));
    }
    producer.flush();
    let by_country = "SELECT window_start, country, count(*) AS n, sum(total['amount']) AS total
FROM TUMBLE(TABLE sales, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start, country";
    let weir = Project::new(&services)
        .source(
            "sales",
            &format!("format: protobuf\nschema: {{ subject: sales-value, version: 1 }}\n{EVENT_TIME}"),
        )
        .pipeline("by_country", by_country, "")
        .run();
    weir.await_rows("SELECT country, n, total FROM by_country", &[vec![json!("DE"), json!(3), json!(7.5)]]);
    weir.await_rows(
        "SELECT \"offset\", reason, schema_id FROM weir.dead_letters ORDER BY \"offset\"",
        &[
            vec![json!(3), json!("incompatible_schema"), json!(other)],
            vec![json!(4), json!("bad_payload"), json!(v1)],
            vec![json!(5), json!("unknown_schema"), json!(1_000_000)],
        ],
    );
    weir.await_rows(
        "SELECT schema_id, subject, version, first_offset, compatible FROM weir.schemas ORDER BY first_offset",
        &[
            vec![json!(v1), json!("sales-value"), json!(1), json!(0), json!(true)],
            vec![json!(v2), json!("sales-value"), json!(2), json!(1), json!(true)],
            vec![json!(other), json!("others-value"), json!(1), json!(3), json!(false)],
        ],
    );
}

/// A topic of two kinds of messages, one of which is the table; with more fields.
fn kinds(more: &str) -> String {
    format!(
        r#"syntax = "proto3"; package shop; message Head {{ int32 n = 1; }} message Visit {{ string page = 1; {more} }}"#
    )
}

#[test]
fn a_protobuf_table_of_a_named_message_follows() {
    let services = services();
    let topics = Topics::new(&services.kafka.bootstrap);
    let producer = Producer::new(&services.kafka.bootstrap);
    let register = |schema: &str| {
        register(&services.registry.url, "visits-value", &json!({"schema": schema, "schemaType": "PROTOBUF"}))
    };
    let v1 = register(&kinds(""));
    topics.create("visits", 1);
    let send = |id: u32, places: &[u8], body: &[u8]| {
        let value = [&[0][..], &id.to_be_bytes(), places, body].concat();
        producer.send(To { topic: "visits", partition: 0, timestamp_ms: 1_000 }, None, Some(&value));
        producer.flush();
    };
    let visit = [2, 2];
    send(v1, &visit, &[0x0a, 1, b'a']);
    send(v1, &[0], &[8, 1]);
    let project = Project::new(&services)
        .source("visits", "format: protobuf\nmessage: Visit\nschema: follow\n")
        .pipeline("pages", "SELECT kafka_timestamp, page FROM visits", "");
    let weir = project.run();
    weir.await_rows("SELECT page FROM pages", &[vec![json!("a")]]);
    weir.await_rows(
        "SELECT \"offset\", reason FROM weir.dead_letters",
        &[vec![json!(1), json!("incompatible_schema")]],
    );
    let columns = "SELECT name, version FROM weir.columns WHERE source = 'visits' ORDER BY position";
    weir.await_rows(columns, &[vec![json!("page"), json!(1)], vec![json!("kafka_timestamp"), json!(1)]]);
    let v2 = register(&kinds("int64 ms = 2;"));
    send(v2, &visit, &[0x0a, 1, b'b', 0x10, 7]);
    weir.await_rows("SELECT page FROM pages ORDER BY page", &[vec![json!("a")], vec![json!("b")]]);
    weir.await_rows(
        columns,
        &[
            vec![json!("page"), json!(2)],
            vec![json!("ms"), json!(2)],
            vec![json!("kafka_timestamp"), json!(2)],
        ],
    );
    assert!(weir.stop().success());
    // Whoever names it is planned with the newest version.
    let weir =
        project.pipeline("slow", "SELECT kafka_timestamp, page, ms FROM visits WHERE ms > 0", "").run();
    weir.await_rows("SELECT page, ms FROM slow", &[vec![json!("b"), json!(7)]]);
    assert_eq!(weir.sql("SELECT count(*) FROM pages"), [[json!(2)]]);
}
