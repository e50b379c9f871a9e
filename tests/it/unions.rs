//! A field of several types end to end: decoded, grouped by, kept over a death, answered as JSON.

use apache_avro::types::Value as Avro;
use serde_json::json;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::weir::Project;

const PAID: &str = r#"{"type": "record", "name": "Paid", "fields": [{"name": "amount", "type": "double"}]}"#;
const SOURCE: &str = "event_time: at\nwatermark: { delay: 0s, idle_timeout: 1h }\n";

fn schema(branches: &str) -> String {
    format!(
        r#"{{"type": "record", "name": "Event", "namespace": "shop", "fields": [{{"name": "id", "type": "long"}},
            {{"name": "at", "type": {{"type": "long", "logicalType": "timestamp-millis"}}}},
            {{"name": "what", "type": [{branches}]}}]}}"#
    )
}

#[test]
fn a_field_of_several_types_is_a_column() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create("mixed", 1);
    // The older schema has its branches in another order, and one less.
    let old = Writer::register(registry, "mixed_old-value", &schema(r#""string", "int""#));
    let new =
        Writer::register(registry, "mixed-value", &schema(&format!(r#""null", "long", "string", {PAID}"#)));
    let producer = Producer::new(bootstrap);
    let send = |writer: &Writer, id: i64, branch: u32, what: Avro| {
        let what = ("what", Avro::Union(branch, Box::new(what)));
        let value = writer.encode(&[("id", Avro::Long(id)), ("at", Avro::TimestampMillis(id * 1_000)), what]);
        producer.send(To { topic: "mixed", partition: 0, timestamp_ms: id }, None, Some(&value));
    };
    let paid = |amount| Avro::Record(vec![("amount".into(), Avro::Double(amount))]);
    send(&new, 0, 1, Avro::Long(5));
    send(&new, 1, 2, Avro::String("a".into()));
    send(&old, 2, 0, Avro::String("a".into()));
    send(&old, 3, 1, Avro::Int(7));
    send(&new, 4, 3, paid(2.5));
    send(&new, 5, 0, Avro::Null);
    producer.flush();

    let kinds =
        "SELECT window_start, union_tag(what) AS tag, union_extract(what, 'string') AS text, count(*) AS n,
  sum(union_extract(what, 'long')) AS total, max(union_extract(what, 'shop.Paid')['amount']) AS amount
FROM TUMBLE(TABLE mixed, DESCRIPTOR(at), INTERVAL '10' SECOND) GROUP BY window_start, tag, text";
    let project = Project::new(&services)
        .source("mixed", SOURCE)
        .pipeline("kinds", kinds, "")
        .pipeline("events", "SELECT id, at, what FROM mixed", "")
        .sink("out", "from: events\ntype: kafka\nconnection: test\ntopic: mixed_out\nemit: final\n")
        .source("mixed_out", "")
        .pipeline("again", "SELECT id, what FROM mixed_out", "");
    let grouped = "SELECT tag, text, n, total, amount FROM kinds ORDER BY tag";
    let rows = |n_paid: i64, amount: f64| {
        [
            vec![json!("long"), json!(null), json!(2), json!(12), json!(null)],
            vec![json!("null"), json!(null), json!(1), json!(null), json!(null)],
            vec![json!("shop.Paid"), json!(null), json!(n_paid), json!(null), json!(amount)],
            vec![json!("string"), json!("a"), json!(2), json!(null), json!(null)],
        ]
    };
    let weir = project.run();
    weir.await_rows(grouped, &rows(1, 2.5));
    weir.kill();

    // Its state, and rows that are kept as they are, are read again.
    let weir = project.run();
    send(&new, 6, 3, paid(4.0));
    producer.flush();
    weir.await_rows(grouped, &rows(2, 4.0));
    let whats = [
        json!(5),
        json!("a"),
        json!("a"),
        json!(7),
        json!({"amount": 2.5}),
        json!(null),
        json!({"amount": 4.0}),
    ];
    let all: Vec<_> = (0..).zip(whats).map(|(id, what): (i64, _)| vec![json!(id), what]).collect();
    weir.await_rows("SELECT id, what FROM events ORDER BY id", &all);
    // Out and in again: null is a branch in front of the others.
    weir.await_rows("SELECT id, what FROM again ORDER BY id", &all);
    let tags = "SELECT union_tag(what) AS tag, count(*) AS n FROM events WHERE what IS NOT NULL GROUP BY tag ORDER BY tag";
    weir.await_rows(
        tags,
        &[("long", 2), ("shop.Paid", 2), ("string", 2)].map(|(tag, n)| vec![json!(tag), json!(n)]),
    );
    weir.await_rows(
        "SELECT id FROM events WHERE union_extract(what, 'shop.Paid')['amount'] < 3",
        &[vec![json!(4)]],
    );
    let types: Vec<_> = weir.ask("SELECT what FROM events").expect("an answer")["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| column["type"].clone())
        .collect();
    assert_eq!(
        types,
        [json!("UNION<null NULL, long BIGINT, string VARCHAR, \"shop.Paid\" STRUCT<amount DOUBLE>>")]
    );
}
