//! Bad records among good ones: each alone, each with its reason.

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use proptest::prelude::*;
use serde_json::json;
use weir_schemas::{Decoder, ReaderSchema, RegistryError, RejectReason};

use crate::support::{Fixed, body, decode, decoder, framed, rows};

const WRITER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"id","type":"long"},
    {"name":"name","type":["null","string"]},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
    {"name":"ok","type":"boolean"}]}"#;

/// As WRITER without its last field, so that something is only walked.
const READER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"id","type":"long"},
    {"name":"name","type":["null","string"]},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}}]}"#;

fn good(id: i64) -> Vec<u8> {
    let value = Avro::Record(vec![
        ("id".into(), Avro::Long(id)),
        ("name".into(), Avro::Union(1, Box::new(Avro::String("näme".into())))),
        ("tags".into(), Avro::Array(vec![Avro::String("t".into()), Avro::String("u".into())])),
        ("kind".into(), Avro::Enum(1, "B".into())),
        ("price".into(), Avro::Decimal([0x03, 0xe8].into())),
        ("ok".into(), Avro::Boolean(true)),
    ]);
    framed(1, &body(WRITER, &value))
}

/// A body of WRITER by hand: id 1, then `rest`.
fn raw(rest: &[u8]) -> Vec<u8> {
    framed(1, &[&[2], rest].concat())
}

fn bad_records() -> Vec<(Vec<u8>, RejectReason, &'static str)> {
    use RejectReason::{BadFraming, BadPayload, IncompatibleSchema, UnknownSchema};
    let whole = good(1);
    vec![
        (vec![], BadFraming, "the value has 0 bytes"),
        (vec![0, 0, 0, 1], BadFraming, "the value has 4 bytes"),
        (b"{\"id\": 1}".to_vec(), BadFraming, "byte 0x7b"),
        (framed(404, &[2]), UnknownSchema, "no schema of id 404"),
        (framed(2, &[2]), IncompatibleSchema, "id: the writer's string can't be read as long"),
        (framed(3, &[2]), IncompatibleSchema, "the schema is not JSON"),
        (framed(4, &[2]), IncompatibleSchema, "not of AVRO"),
        (framed(1, &[]), BadPayload, "field \"id\", byte 0 of the body: the record ends"),
        (whole[..whole.len() - 1].to_vec(), BadPayload, "field \"ok\", byte 18 of the body: the record ends"),
        ([&whole[..], &[7, 7]].concat(), BadPayload, "2 bytes are left"),
        // A second record right behind the first, which a stream decoder would take for one.
        ([&whole[..], &whole[..]].concat(), BadPayload, "bytes are left"),
        (raw(&[4]), BadPayload, "field \"name\", byte 1 of the body: 2 is not one of a union's 2 branches"),
        (raw(&[1]), BadPayload, "-1 is not one of a union's 2 branches"),
        (raw(&[2, 2, 0xff]), BadPayload, "field \"name\", byte 2 of the body: a string is not UTF-8"),
        (raw(&[2, 1]), BadPayload, "-1 is not a length"),
        (raw(&[0, 2, 2, 0xc3, 0]), BadPayload, "field \"tags\", byte 3 of the body: a string is not UTF-8"),
        (raw(&[0, 1, 4, 0, 0]), BadPayload, "a block of items does not have the size"),
        (
            raw(&[0, 0, 4]),
            BadPayload,
            "field \"kind\", byte 3 of the body: 2 is not one of an enum's 2 symbols",
        ),
        (
            raw(&[0, 0, 0, 4, 0x27, 0x10, 1]),
            BadPayload,
            "field \"price\", byte 7 of the body: a decimal has more than 4 digits",
        ),
        (raw(&[0, 0, 0, 0, 2]), BadPayload, "field \"ok\", byte 5 of the body: 2 is not a boolean"),
        (framed(1, &[0xff; 5]), BadPayload, "the record ends"),
        (
            framed(1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            BadPayload,
            "more than 64 bits",
        ),
        (framed(5, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), BadPayload, "more than 65536 items have no bytes"),
    ]
}

fn registry() -> Arc<Fixed> {
    let strings = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}"#;
    let nothings = r#"{"type":"record","name":"R","fields":[
        {"name":"nothing","type":{"type":"array","items":"null"}},{"name":"id","type":"long"}]}"#;
    let registry = Fixed::of(&[(1, WRITER), (2, strings), (3, "{"), (5, nothings)]);
    registry.set(4, Err(RegistryError::Invalid { detail: "the schema is of type JSON, not of AVRO".into() }));
    registry
}

/// READER with defaults for all but `id`, so that schema 5 fits.
fn reader() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(READER).expect("it is JSON");
    schema["fields"][1]["default"] = json!(null);
    schema["fields"][2]["default"] = json!([]);
    schema["fields"][3]["default"] = json!("A");
    schema["fields"][4]["default"] = json!("");
    schema.to_string()
}

#[test]
fn bad_records_leave_their_neighbours_alone() {
    let bad = bad_records();
    let mut values = Vec::new();
    for (i, (bad, _, _)) in (0..).zip(&bad) {
        values.extend([good(i), bad.clone()]);
    }
    values.push(good(1000));
    let decoded = decode(&mut decoder(&reader(), registry()), &values);

    let evens: Vec<u32> = (0..=bad.len()).map(|i| u32::try_from(2 * i).expect("few records")).collect();
    assert_eq!(decoded.records, evens);
    assert_eq!(decoded.next, values.len());
    let ids: Vec<_> = rows(&decoded.batch).iter().map(|row| row["id"].clone()).collect();
    let expected: Vec<_> = (0..bad.len()).map(|i| json!(i)).chain([json!(1000)]).collect();
    assert_eq!(ids, expected);
    assert!(
        rows(&decoded.batch)
            .iter()
            .all(|row| row["tags"] == json!(["t", "u"]) && row["price"] == json!("1000"))
    );

    assert_eq!(decoded.rejected.len(), bad.len());
    for (i, (rejected, (_, reason, detail))) in decoded.rejected.iter().zip(&bad).enumerate() {
        assert_eq!(usize::try_from(rejected.record).expect("small"), 2 * i + 1);
        assert_eq!(rejected.reason, *reason, "{detail}: {}", rejected.detail);
        assert!(rejected.detail.contains(detail), "{detail}: {}", rejected.detail);
    }
}

/// Texts of a column are looked at together: two halves of a character do not make one, and only the rows
/// that have them are bad, inside a record as well.
#[test]
fn text_that_is_not_utf8_takes_its_row_out_of_the_batch() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"long"},
        {"name":"text","type":"string"},{"name":"maybe","type":["null","string"]},
        {"name":"inner","type":{"type":"record","name":"I","fields":[{"name":"text","type":"string"}]}},
        {"name":"list","type":{"type":"array","items":"long"}}]}"#;
    let record = |id: u8, text: &[u8], inner: &[u8]| {
        let sized = |text: &[u8]| [&[2 * u8::try_from(text.len()).expect("short")], text].concat();
        framed(1, &[&[2 * id][..], &sized(text), &[0], &sized(inner), &[2, 2 * id, 0]].concat())
    };
    let (start, end) = (&b"a\xc3"[..], &b"\xa9b"[..]);
    let values = [
        record(0, "ä".as_bytes(), b"plain"),
        record(1, start, b"x"),
        record(2, end, b"x"),
        record(3, b"", "ö".as_bytes()),
        record(4, b"fine", b"\xff"),
        [&record(5, b"\xff", b"")[..], &[0]].concat(),
        record(6, b"\xff", b"\xff"),
        record(7, "é".as_bytes(), b""),
    ];
    let mut decoder = decoder(schema, Fixed::of(&[(1, schema)]));
    for _ in 0..2 {
        let decoded = decode(&mut decoder, &values);
        assert_eq!(decoded.records, [0, 3, 7]);
        let row = |id: u8, text: &str, inner: &str| json!({"id": id, "text": text, "maybe": null, "inner": {"text": inner}, "list": [id]});
        assert_eq!(rows(&decoded.batch), [row(0, "ä", "plain"), row(3, "", "ö"), row(7, "é", "")]);
        let told: Vec<_> = decoded.rejected.iter().map(|r| (r.record, &r.detail[..])).collect();
        let text = "field \"text\", byte 1 of the body: a string is not UTF-8 (writer schema 1 (\"orders-value\" version 10), record \"R\")";
        let inner = text.replace("field \"text\", byte 1", "field \"inner.text\", byte 7");
        assert_eq!(told, [(1, text), (2, text), (4, &inner), (5, text), (6, text)]);
    }
}

#[test]
fn counting_checks_records_as_well() {
    let reader = Arc::new(ReaderSchema::parse(&reader()).expect("valid"));
    let mut counter = Decoder::new(reader, vec![], registry()).expect("no columns are fine");
    let mut values: Vec<_> = bad_records().into_iter().map(|(value, _, _)| value).collect();
    values.extend([good(1), good(2)]);
    let decoded = decode(&mut counter, &values);
    assert_eq!((decoded.batch.num_rows(), decoded.batch.num_columns()), (2, 0));
    let reasons: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.reason).collect();
    assert_eq!(reasons, bad_records().iter().map(|(_, reason, _)| *reason).collect::<Vec<_>>());
}

#[test]
fn decoding_stops_in_front_of_what_the_registry_can_not_tell() {
    let registry = registry();
    registry.set(9, Err(RegistryError::Unavailable { detail: "connection refused".into() }));
    let mut decoder = decoder(&reader(), Arc::clone(&registry) as Arc<_>);
    let values = [good(1), framed(9, &good(2)[5..]), good(3)];
    let records = || values.iter().map(|value| Some(value.as_slice())).chain([None]);

    let decoded = decoder.decode(records(), 0).expect("not fatal");
    assert_eq!((decoded.records.as_slice(), decoded.next, decoded.tombstones), (&[0][..], 1, 0));
    assert!(decoded.blocked.is_some_and(|detail| detail.contains("connection refused")));
    let decoded = decoder.decode(records(), 1).expect("not fatal");
    assert_eq!((decoded.batch.num_rows(), decoded.next), (0, 1));

    registry.set(9, Ok(WRITER));
    let decoded = decoder.decode(records(), 1).expect("not fatal");
    assert_eq!((decoded.records.as_slice(), decoded.next, decoded.tombstones), (&[1, 2][..], 4, 1));
    assert_eq!(decoded.blocked, None);
    let ids: Vec<_> = decoded.schemas.iter().map(|seen| seen.schema_id).collect();
    assert_eq!(ids, [9, 1], "each of these values' once");
    let seen = &decoded.schemas[0];
    assert_eq!((seen.schema_id, seen.record, seen.compatible), (9, 1, true));
    assert_eq!((seen.subject.as_deref(), seen.version), (Some("orders-value"), Some(90)));
}

#[test]
fn ids_may_alternate() {
    let other = WRITER.replace(
        r#"{"name":"id","type":"long"}"#,
        r#"{"name":"new","type":"int"},{"name":"id","type":"int"}"#,
    );
    let mut decoder = decoder(&reader(), Fixed::of(&[(1, WRITER), (6, &other)]));
    let values: Vec<_> = (0..100)
        .map(|i| {
            if i % 2 == 0 {
                good(i)
            } else {
                framed(6, &[&[0, u8::try_from(2 * i % 128).expect("below 128")], &good(0)[6..]].concat())
            }
        })
        .collect();
    let decoded = decode(&mut decoder, &values);
    assert_eq!(decoded.rejected, []);
    let ids: Vec<_> = rows(&decoded.batch).iter().map(|row| row["id"].as_i64().expect("a number")).collect();
    let expected: Vec<_> = (0..100).map(|i| if i % 2 == 0 { i } else { i % 64 }).collect();
    assert_eq!(ids, expected);
    assert_eq!(decoded.schemas.iter().map(|seen| seen.record).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn columns_asked_for_twice_are_refused() {
    let reader = Arc::new(ReaderSchema::parse(READER).expect("valid"));
    for columns in [vec![0, 0], vec![5]] {
        assert!(Decoder::new(Arc::clone(&reader), columns, registry()).is_err());
    }
}

proptest! {
    /// The verdict on a damaged record does not depend on its neighbours or on the columns, and
    /// the good records around it are read as if it were not there.
    #[test]
    fn verdict_depends_on_the_record_alone(
        flips in prop::collection::vec((0usize..40, any::<u8>()), 0..4),
        cut in 0usize..40,
        columns in prop::sample::subsequence(vec![0usize, 1, 2, 3, 4], 0..=5).prop_shuffle(),
    ) {
        let mut damaged = good(3);
        for (at, byte) in flips {
            if let Some(target) = damaged.get_mut(at) {
                *target = byte;
            }
        }
        damaged.truncate(damaged.len().saturating_sub(cut.saturating_sub(30)));
        let reader = Arc::new(ReaderSchema::parse(&reader()).expect("valid"));
        let decoder = |columns| Decoder::new(Arc::clone(&reader), columns, registry()).expect("columns exist");

        let alone = decode(&mut decoder(vec![0, 1, 2, 3, 4]), std::slice::from_ref(&damaged));
        let among = decode(&mut decoder(columns.clone()), &[good(1), damaged, good(2)]);

        let verdict = alone.rejected.first().map(|rejected| (rejected.reason, rejected.detail.clone()));
        let verdict_among = among.rejected.first().map(|rejected| (rejected.reason, rejected.detail.clone()));
        prop_assert_eq!(&verdict, &verdict_among);
        prop_assert_eq!(among.batch.num_rows(), if verdict.is_some() { 2 } else { 3 });
        let mut expected = rows(&decode(&mut decoder(columns), &[good(1), good(2)]).batch);
        if verdict.is_none() {
            let mut row = rows(&alone.batch).remove(0);
            let all = row.as_object_mut().expect("a row is an object");
            all.retain(|name, _| among.batch.schema().field_with_name(name).is_ok());
            expected.insert(1, row);
        }
        prop_assert_eq!(rows(&among.batch), expected);
    }
}
