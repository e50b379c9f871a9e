//! Values that are not Avro, end to end: JSON by the registry's JSON Schema, CSV by a file's, raw bytes.

use serde_json::json;

use crate::producer::{Producer, To, Topics, register};
use crate::services::services;
use crate::weir::Project;

const JSON_SCHEMA: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
    "properties": {"country": {"type": "string"}, "amount": {"type": "number"}, "at": {"type": "string", "format": "date-time"}},
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
    let id =
        register(&services.registry.url, "told-value", &json!({"schema": JSON_SCHEMA, "schemaType": "JSON"}));
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
