//! Avro's single-object encoding, as apache-avro writes it: schemas by their fingerprints among a subject's versions.

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use apache_avro::{GenericSingleObjectWriter, Schema};
use serde_json::json;
use weir_schemas::registry::{EmbeddedRegistry, Fingerprints};
use weir_schemas::{DecodedBatch, Decoder, ReaderSchema, RejectReason, SchemaRegistry};

use crate::support::{framed, rows};

const V1: &str =
    r#"{"type": "record", "name": "shop.R", "doc": "d", "fields": [{"name": "id", "type": "long"}]}"#;
const V2: &str = r#"{"type": "record", "name": "shop.R", "fields": [{"name": "id", "type": "long", "doc": "d"},
    {"name": "note", "type": ["null", "string"], "default": null}]}"#;
const V3: &str = r#"{"type": "record", "name": "shop.R", "fields": [{"name": "id", "type": "long"},
    {"name": "note", "type": ["null", "string"], "default": null}, {"name": "more", "type": "int", "default": 0}]}"#;

fn value(schema: &str, fields: &[(&str, Avro)]) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("the test's schema is valid");
    let mut writer = GenericSingleObjectWriter::new_with_capacity(&schema, 64).expect("it has a fingerprint");
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut bytes = Vec::new();
    writer.write_value(Avro::Record(fields), &mut bytes).expect("the value is of the schema");
    bytes
}

fn one(id: i64) -> Vec<u8> {
    value(V1, &[("id", Avro::Long(id))])
}

fn two(id: i64, note: &str) -> Vec<u8> {
    let note = Avro::Union(1, Box::new(Avro::String(note.to_owned())));
    value(V2, &[("id", Avro::Long(id)), ("note", note)])
}

fn decoder(registry: &Arc<EmbeddedRegistry>) -> Decoder {
    let registry: Arc<dyn SchemaRegistry> = Arc::<EmbeddedRegistry>::clone(registry);
    let reader = ReaderSchema::parse(V2).expect("a table").with_subject("s", 2);
    let fingerprints = Fingerprints::new(Arc::clone(&registry), "s");
    let decoder = Decoder::new(Arc::new(reader), vec![0, 1], registry).expect("the columns are there");
    decoder.single_object(Arc::new(fingerprints))
}

/// Decodes until nothing is blocked, as a source does.
fn decode(decoder: &mut Decoder, values: &[Vec<u8>]) -> Vec<DecodedBatch> {
    let (mut from, mut all) = (0, Vec::new());
    while from < values.len() {
        let values = values.iter().map(|value| Some(value.as_slice()));
        let decoded = decoder.decode(values, from).expect("nothing is fatal here");
        from = decoded.next;
        if decoded.blocked.is_some() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        all.push(decoded);
    }
    all
}

#[test]
fn records_are_read_by_the_version_whose_fingerprint_they_name() {
    let registry = Arc::new(EmbeddedRegistry::new());
    let ids = [V1, V2].map(|schema| registry.register("s", schema).expect("it is compatible").0);
    let mut decoder = decoder(&registry);
    let values = [one(1), two(2, "x"), one(3), two(4, "y"), two(5, "z"), two(6, "z"), two(7, "z")];
    let all = decode(&mut decoder, &values);
    let [decoded] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(decoded.rejected, []);
    let row = |id: i64, note: Option<&str>| json!({"id": id, "note": note});
    let expected = [
        row(1, None),
        row(2, Some("x")),
        row(3, None),
        row(4, Some("y")),
        row(5, Some("z")),
        row(6, Some("z")),
        row(7, Some("z")),
    ];
    assert_eq!(rows(&decoded.batch), expected);
    let seen: Vec<_> =
        decoded.schemas.iter().map(|seen| (seen.schema_id, seen.subject.as_deref(), seen.version)).collect();
    assert_eq!(seen, [(ids[0], Some("s"), Some(1)), (ids[1], Some("s"), Some(2))]);
}

#[test]
fn what_is_no_header_of_the_subject_is_refused_and_a_new_version_is_not() {
    let registry = Arc::new(EmbeddedRegistry::new());
    let id = registry.register("s", V1).expect("a schema").0;
    registry.register("s", V2).expect("it is compatible");
    let elsewhere = r#"{"type": "record", "name": "shop.R", "fields": [{"name": "id", "type": "int"}]}"#;
    registry.register("other", elsewhere).expect("a schema");
    let mut decoder = decoder(&registry);
    let bad = [
        (vec![0xc3], RejectReason::BadFraming, "1 bytes, fewer than the 10"),
        (framed(id, &one(1)[10..]), RejectReason::BadFraming, "fewer than the 10"),
        ([vec![0, 0, 0, 0], one(1)].concat(), RejectReason::BadFraming, "bytes 0x0000"),
        (value(elsewhere, &[("id", Avro::Int(1))]), RejectReason::UnknownSchema, "under subject \"s\""),
        (one(1)[..10].to_vec(), RejectReason::BadPayload, "the record ends"),
        ([one(1), vec![7]].concat(), RejectReason::BadPayload, "1 bytes are left"),
    ];
    let mut values: Vec<_> = bad.iter().map(|(value, ..)| value.clone()).collect();
    values.push(one(9));
    let all = decode(&mut decoder, &values);
    let rejected: Vec<_> = all.iter().flat_map(|decoded| &decoded.rejected).collect();
    assert_eq!(rejected.len(), bad.len(), "{rejected:?}");
    for ((_, reason, detail), rejected) in bad.iter().zip(rejected) {
        assert_eq!(rejected.reason, *reason, "{rejected:?}");
        assert!(rejected.detail.contains(detail), "{rejected:?}");
    }
    assert_eq!(all.iter().map(|decoded| decoded.batch.num_rows()).sum::<usize>(), 1);

    // Registered after the versions were listed: looked for anew, and no record of it is lost.
    registry.register("s", V3).expect("it is compatible");
    let note = Avro::Union(0, Box::new(Avro::Null));
    let newer = value(V3, &[("id", Avro::Long(10)), ("note", note), ("more", Avro::Int(1))]);
    let all = decode(&mut decoder, &[one(9), newer]);
    assert!(all.iter().all(|decoded| decoded.rejected.is_empty()), "{all:?}");
    let read: Vec<_> =
        all.iter().flat_map(|decoded| rows(&decoded.batch)).map(|row| row["id"].clone()).collect();
    assert_eq!(read, [json!(9), json!(10)]);
}
