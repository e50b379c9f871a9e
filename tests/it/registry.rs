//! Decoding with a real schema registry: what the embedded one can't show.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::types::Value;
use arrow::array::AsArray;
use arrow::buffer::Buffer;
use arrow::datatypes::Int64Type;
use weir_connectors::kafka::{
    KafkaConnection, KafkaSource, KafkaSourceConfig, SchemaChoice, lookup_reader_schema,
};
use weir_engine::connector::{Decoded, Decoder, Reason, RecordBlock, Source, Span, Start, WatermarkOptions};
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::HttpRegistry;
use weir_schemas::wire::Framing;

use crate::producer::{PATIENCE, Writer};
use crate::services::{disturb, eventually, services};

const V1: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}"#;
const V2: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"},
    {"name": "note", "type": "string", "default": ""}]}"#;
const OTHER: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "string"}]}"#;

/// A decoder to the column `id` of the newest schema of `subject`.
fn decoder(registry_url: &str, subject: &str) -> Box<dyn Decoder> {
    let registry: Arc<dyn SchemaRegistry> = Arc::new(HttpRegistry::new(registry_url, None).expect("a URL"));
    let choice = SchemaChoice::Latest { subject: subject.to_owned() };
    let reader_schema = lookup_reader_schema(&*registry, &choice, weir_schemas::Format::Avro, None)
        .expect("the subject is there");
    let connection =
        KafkaConnection { bootstrap_servers: "nobody:1".to_owned(), properties: BTreeMap::new(), registry };
    let config = KafkaSourceConfig {
        name: "t".to_owned(),
        topic: "t".to_owned(),
        format: weir_schemas::Format::Avro,
        reader_schema,
        framing: Framing::Confluent,
        follow: false,
        event_time: None,
        watermark: WatermarkOptions { delay_ms: 0, idle_timeout_ms: 0, max_ahead_ms: 0, max_drift_ms: 0 },
        start: Start::Earliest,
        metadata: Vec::new(),
        client_id: "weir.tests.t".to_owned(),
    };
    let source = KafkaSource::new(connection, config).expect("settings that work");
    source.decoder(&[0]).expect("a column of the table")
}

fn block(values: &[Vec<u8>]) -> RecordBlock {
    let mut data = Vec::new();
    let mut spans = Vec::new();
    for value in values {
        let start = u32::try_from(data.len()).expect("small");
        spans.push(Span::new(start, u32::try_from(value.len()).expect("small")));
        data.extend_from_slice(value);
    }
    let n_records = values.len();
    RecordBlock {
        partition: 0,
        data: Buffer::from_vec(data),
        offsets: (0..).take(n_records).collect(),
        timestamps_ms: vec![0; n_records],
        keys: vec![Span::NULL; n_records],
        values: spans,
    }
}

fn ids(decoded: &Decoded) -> Vec<i64> {
    decoded.batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn schemas_that_fit_flow_and_others_are_rejected_by_name() {
    let services = services();
    let url = &services.registry.url;
    let v1 = Writer::register(url, "flow-value", V1);
    let mut decoder = decoder(url, "flow-value");
    let v2 = Writer::register(url, "flow-value", V2);
    let other = Writer::register(url, "other-value", OTHER);
    assert_ne!(v1.id, v2.id);
    let note = ("note", Value::String("x".to_owned()));
    let mut unknown = v1.encode(&[("id", Value::Long(9))]);
    unknown[1..5].copy_from_slice(&1_000_000_u32.to_be_bytes());
    let block = block(&[
        v1.encode(&[("id", Value::Long(1))]),
        v2.encode(&[("id", Value::Long(2)), note]),
        other.encode(&[("id", Value::String("3".to_owned()))]),
        unknown,
        v1.encode(&[("id", Value::Long(5))]),
    ]);
    let decoded = decoder.decode(&block, 0).expect("the registry is there");
    assert_eq!(ids(&decoded), [1, 2, 5]);
    assert_eq!(decoded.records, [0, 1, 4]);
    let rejected: Vec<_> =
        decoded.rejected.iter().map(|rejected| (rejected.record, rejected.reason)).collect();
    assert_eq!(rejected, [(2, Reason::IncompatibleSchema), (3, Reason::UnknownSchema)]);
    let details: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.detail.as_str()).collect();
    assert!(details[0].contains("other-value") && details[0].contains("flow-value"), "{details:?}");
    assert!(details[1].contains("1000000"), "{details:?}");
    let seen: Vec<_> = decoded
        .schemas
        .iter()
        .map(|seen| {
            (seen.schema_id, seen.subject.as_deref(), seen.version, seen.first_offset, seen.compatible)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (v1.id, Some("flow-value"), Some(1), 0, true),
            (v2.id, Some("flow-value"), Some(2), 1, true),
            (other.id, Some("other-value"), Some(1), 2, false),
        ]
    );
}

#[test]
fn a_registry_that_is_away_is_waited_for_and_what_is_known_flows_meanwhile() {
    let mut services = disturb();
    let url = services.registry.url.clone();
    let v1 = Writer::register(&url, "away-value", V1);
    let mut decoder = decoder(&url, "away-value");
    let v2 = Writer::register(&url, "away-value", V2);
    let known = block(&[v1.encode(&[("id", Value::Long(1))])]);
    assert_eq!(ids(&decoder.decode(&known, 0).expect("the registry is there")), [1]);

    services.registry.stop();
    let note = ("note", Value::String(String::new()));
    let both = block(&[v1.encode(&[("id", Value::Long(2))]), v2.encode(&[("id", Value::Long(3)), note])]);
    let decoded = decoder.decode(&both, 0).expect("a registry that is away is no error");
    assert_eq!((ids(&decoded), decoded.next, decoded.blocked.is_some()), (vec![2], 1, true));
    assert_eq!(decoded.rejected, []);

    services.registry.start();
    let decoded = eventually("the decoder goes on", PATIENCE, || {
        let decoded = decoder.decode(&both, 1).expect("a registry that is away is no error");
        decoded.blocked.is_none().then_some(decoded)
    });
    assert_eq!(decoded.rejected, []);
    assert_eq!((ids(&decoded), decoded.next), (vec![3], 2));
}
