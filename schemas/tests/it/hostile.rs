//! Schemas and records made to hurt: refused, and nothing worse.

use std::fmt::Write;
use std::sync::Arc;

use apache_avro::types::Value as Avro;
use proptest::prelude::*;
use weir_schemas::{Decoder, ReaderSchema, RejectReason, SchemaText};

use crate::support::{Fixed, body, decode, decoder, framed};

const READER: &str = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"int","default":0}]}"#;

fn rejected(writer: &str, body: &[u8]) -> (RejectReason, String) {
    let decoded = decode(&mut decoder(READER, Fixed::of(&[(1, writer)])), &[framed(1, body)]);
    let rejected = decoded.rejected.into_iter().next().expect("it is no good record");
    (rejected.reason, rejected.detail)
}

#[test]
fn a_time_outside_its_day_is_no_time_wherever_it_is() {
    let long = |n: i64| body(r#""long""#, &Avro::Long(n));
    let schema =
        |ty: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"t","type":{ty}}}]}}"#);
    let (millis, micros) =
        (r#"{"type":"int","logicalType":"time-millis"}"#, r#"{"type":"long","logicalType":"time-micros"}"#);
    let list = r#"{"type":"array","items":{"type":"int","logicalType":"time-millis"}}"#;
    let item = |n| [&long(1)[..], &long(n), &long(0)].concat();
    for (writer, reader, day, at, written) in [
        (millis, millis, 86_400_000, 0, &long as &dyn Fn(i64) -> Vec<u8>),
        (micros, micros, 86_400_000_000, 0, &long),
        (r#""int""#, micros, 1 << 31, 0, &long),
        (list, list, 86_400_000, 1, &item),
    ] {
        let values = [0, -1, day - 1, day].map(|n| framed(1, &written(n)));
        let of = |columns| {
            let reader = Arc::new(ReaderSchema::parse(&schema(reader)).expect("valid"));
            let mut decoder =
                Decoder::new(reader, columns, Fixed::of(&[(1, &schema(writer))])).expect("columns");
            decode(&mut decoder, &values)
        };
        let decoded = of(vec![0]);
        assert_eq!(decoded.records, [0, 2], "{writer} as {reader}");
        let bad = |value| format!("field \"t\", byte {at} of the body: {value} is ");
        for (rejected, value) in decoded.rejected.iter().zip([-1, day]) {
            assert_eq!(rejected.reason, RejectReason::BadPayload);
            assert!(rejected.detail.starts_with(&bad(value)), "{}", rejected.detail);
        }
        assert_eq!(of(vec![]).rejected, decoded.rejected, "whether or not it is asked for");
    }
}

#[test]
fn endless_record_is_refused() {
    let writer = r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#;
    let (reason, detail) = rejected(writer, &[]);
    assert_eq!(reason, RejectReason::BadPayload);
    assert!(detail.contains("nested deeper than 64 levels"), "{detail}");
}

#[test]
fn types_nested_by_name_a_thousandfold_are_refused() {
    let mut fields = String::from(r#"{"name":"f0","type":{"type":"record","name":"T0","fields":[]}}"#);
    for i in 1..5000 {
        let field = format!(r#"{{"name":"x","type":"T{}"}}"#, i - 1);
        write!(fields, r#",{{"name":"f{i}","type":{{"type":"record","name":"T{i}","fields":[{field}]}}}}"#)
            .expect("a string takes everything");
    }
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let (reason, detail) = rejected(&schema, &[]);
    assert_eq!(reason, RejectReason::BadPayload);
    assert!(detail.contains("nested deeper than 64 levels"), "{detail}");
    let error = ReaderSchema::parse(&schema).expect_err("too deep for columns");
    assert!(error.to_string().contains("deeper than 64 levels"), "{error}");
}

#[test]
fn bytes_that_multiply_are_refused() {
    // Each type holds the one before it twice: 2^40 values in no bytes at all.
    let mut fields = String::from(r#"{"name":"f0","type":{"type":"record","name":"T0","fields":[]}}"#);
    for i in 1..40 {
        let last = i - 1;
        let pair = format!(r#"{{"name":"x","type":"T{last}"}},{{"name":"y","type":"T{last}"}}"#);
        write!(fields, r#",{{"name":"f{i}","type":{{"type":"record","name":"T{i}","fields":[{pair}]}}}}"#)
            .expect("a string takes everything");
    }
    let (reason, detail) = rejected(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#), &[]);
    assert_eq!(reason, RejectReason::BadPayload);
    assert!(detail.contains("more than 65536 items have no bytes"), "{detail}");
}

#[test]
fn schema_nested_too_deep_is_refused() {
    let depth = 100;
    let text = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(depth), "}".repeat(depth));
    let reader = ReaderSchema::parse(READER).expect("valid");
    let error = reader.check_writer(&SchemaText::from(text.as_str())).expect_err("too deep");
    assert!(error.to_string().contains("nested deeper than 64 levels"), "{error}");
}

const PIECES: [&str; 12] = [
    r#""int""#,
    r#"["null","R"]"#,
    r#"["int","string","null"]"#,
    r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#,
    r#"{"type":"enum","name":"E","symbols":["B","C"]}"#,
    r#"{"type":"fixed","name":"F","size":3}"#,
    r#"{"type":"array","items":{"type":"map","values":["null","long"]}}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":1}"#,
    r#"{"type":"record","name":"N","fields":[{"name":"a","type":"string"},{"name":"b","type":"float","default":1}]}"#,
    r#"{"type":"record","name":"N","fields":[{"name":"b","type":"double"},{"name":"c","type":"E","default":"B"}]}"#,
    r#"{"type":"string","logicalType":"uuid"}"#,
    r#"["null",{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}]"#,
];

fn schema() -> impl Strategy<Value = String> {
    prop::collection::vec((0usize..6, prop::sample::select(&PIECES[..])), 0..6).prop_map(|fields| {
        let mut names = std::collections::HashSet::new();
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(name, _)| names.insert(*name))
            .map(|(name, piece)| format!(r#"{{"name":"f{name}","type":{piece}}}"#))
            .collect();
        format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","))
    })
}

proptest! {
    /// Whatever the schemas, bytes from anywhere are a row or a rejection.
    #[test]
    fn no_bytes_and_no_schemas_are_too_much(
        writer in schema(),
        reader in schema(),
        bodies in prop::collection::vec(prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..24), 1..8),
    ) {
        prop_assume!(ReaderSchema::parse(&reader).is_ok());
        let values: Vec<_> = bodies.iter().map(|body| framed(1, body)).collect();
        let decoded = decode(&mut decoder(&reader, Fixed::of(&[(1, &writer)])), &values);
        prop_assert_eq!(decoded.records.len() + decoded.rejected.len(), values.len());
        prop_assert_eq!(decoded.batch.num_rows(), decoded.records.len());
    }

    #[test]
    fn no_schema_text_is_too_much(text in schema(), at in 0usize..400, piece in ".{0,3}|[\\[\\]{}\",:0-9]{0,3}") {
        let mut text: Vec<char> = text.chars().collect();
        let at = at.min(text.len());
        text.splice(at..(at + 2).min(text.len()), piece.chars());
        let text = SchemaText::from(text.into_iter().collect::<String>().as_str());
        let reader = ReaderSchema::parse(READER).expect("valid");
        if let Ok(issues) = reader.check_writer(&text) {
            prop_assert!(issues.len() < 1000);
        }
        if let Ok(reader) = ReaderSchema::new(text) {
            prop_assert!(reader.check_writer(reader.source()).expect("it was parsed").is_empty());
        }
    }
}
