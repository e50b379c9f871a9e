//! Values of each format, beside the rows that they are.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::{AnyDecoder, Format, OwnSchema, RAW_SCHEMA};
use crate::decode::DecodedBatch;
use crate::json_schema;
use crate::registry::SchemaText;
use crate::resolve::ReaderSchema;
use crate::wire::{self, SchemaId};

const CSV: Format = Format::Csv { delimiter: b',' };

fn decode(format: Format, schema: &str, values: &[&[u8]]) -> DecodedBatch {
    let reader = Arc::new(ReaderSchema::new(SchemaText::of_file(schema)).expect("a schema"));
    let columns = (0..reader.arrow_schema().fields().len()).collect();
    let registry = Arc::new(OwnSchema(Arc::new(reader.source().clone())));
    let mut decoder = AnyDecoder::new(format, reader, columns, registry).expect("columns of the schema");
    decoder.decode(values.iter().map(|value| Some(*value)), 0).expect("a small batch")
}

pub(super) fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("a type"))
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// A table of one column `a` of the type, and the column's only value, or what is wrong with it.
fn one(avro_type: &str, value: &str) -> String {
    let schema = format!(r#"{{"type":"record","name":"r","fields":[{{"name":"a","type":{avro_type}}}]}}"#);
    let decoded = decode(Format::Json, &schema, &[format!(r#"{{"a":{value}}}"#).as_bytes()]);
    match decoded.rejected.first() {
        Some(rejected) => rejected.detail.clone(),
        None => rows(&decoded.batch).remove(0),
    }
}

#[test]
fn json_of_every_type_is_a_value() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}"#;
    let fixed = r#"{"type":"fixed","name":"f","size":20,"logicalType":"decimal","precision":6,"scale":3}"#;
    let long = |logical: &str| format!(r#"{{"type":"long","logicalType":"{logical}"}}"#);
    let int = |logical: &str| format!(r#"{{"type":"int","logicalType":"{logical}"}}"#);
    for (avro_type, value, expected) in [
        (r#""boolean""#.to_owned(), "true", "true"),
        (r#""int""#.to_owned(), "-2147483648", "-2147483648"),
        (r#""long""#.to_owned(), "9223372036854775807", "9223372036854775807"),
        (r#""long""#.to_owned(), r#""9223372036854775807""#, "9223372036854775807"),
        (r#""long""#.to_owned(), "1e3", "1000"),
        (r#""float""#.to_owned(), "0.5", "0.5"),
        (r#""double""#.to_owned(), r#""-Infinity""#, "-inf"),
        (r#""double""#.to_owned(), "1e300", "1e300"),
        (r#""string""#.to_owned(), r#""a\u00e4\"""#, "aä\""),
        (r#""bytes""#.to_owned(), r#""AQL/""#, "0102ff"),
        (decimal.to_owned(), r#""-123456789012345678.9""#, "-123456789012345678.90"),
        (decimal.to_owned(), "12.34", "12.34"),
        (decimal.to_owned(), "0", "0.00"),
        (decimal.to_owned(), "123456789012345678.91", "123456789012345678.91"),
        (decimal.to_owned(), "-1.25e3", "-1250.00"),
        (decimal.to_owned(), "1200e-4", "0.12"),
        (fixed.to_owned(), r#""-12.5""#, "-12.500"),
        (int("date"), r#""2026-11-29""#, "2026-11-29"),
        (int("date"), "1", "1970-01-02"),
        (int("time-millis"), r#""12:04:30.1239""#, "12:04:30.123"),
        (long("time-micros"), r#""12:04:30.5""#, "12:04:30.500"),
        (long("timestamp-millis"), r#""2026-11-29T12:00:00.123456Z""#, "2026-11-29T12:00:00.123Z"),
        (long("timestamp-millis"), r#""1969-12-31T23:59:59.9995Z""#, "1969-12-31T23:59:59.999Z"),
        (long("timestamp-micros"), r#""2026-11-29T13:00:00+01:00""#, "2026-11-29T12:00:00Z"),
        (long("timestamp-nanos"), r#""2026-11-29 12:00:00.000000001""#, "2026-11-29T12:00:00.000000001Z"),
        (long("timestamp-micros"), "1", "1970-01-01T00:00:00.000001Z"),
        (long("local-timestamp-millis"), r#""2026-11-29T12:00:00""#, "2026-11-29T12:00:00"),
        (r#"{"type":"enum","name":"e","symbols":["A","B"]}"#.to_owned(), r#""B""#, "B"),
        (r#"{"type":"enum","name":"e","symbols":["A","B"],"default":"A"}"#.to_owned(), r#""C""#, "A"),
        (r#"{"type":"array","items":["null","int"]}"#.to_owned(), "[1,null,3]", "[1, null, 3]"),
        (r#"{"type":"map","values":"int"}"#.to_owned(), r#"{"k":1}"#, "{k: 1}"),
        (r#"["null","string"]"#.to_owned(), "null", "null"),
        (r#"["null","string"]"#.to_owned(), r#""x""#, "x"),
        (r#"["null","long","string"]"#.to_owned(), r#""x""#, "{string=x}"),
    ] {
        assert_eq!(one(&avro_type, value), expected, "{avro_type} {value}");
    }
}

#[test]
fn json_that_is_no_value_of_its_type_is_told() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    for (avro_type, value, expected) in [
        (r#""int""#, "2147483648", "field \"a\": a value of type int was expected, not 2147483648"),
        (r#""long""#, "1.5", "field \"a\": a value of type long was expected, not 1.5"),
        (
            r#""long""#,
            "18446744073709551615",
            "field \"a\": a value of type long was expected, not 18446744073709551615",
        ),
        (r#""string""#, "7", "field \"a\": a value of type string was expected, not 7"),
        (r#""string""#, "null", "field \"a\": a value of type string was expected, not null"),
        (r#""boolean""#, r#""yes""#, "field \"a\": a value of type boolean was expected, not \"yes\""),
        (r#""bytes""#, r#""*""#, "field \"a\": a value of type bytes was expected, not \"*\""),
        (decimal, r#""1.234""#, "field \"a\": a value of type decimal(4,2) was expected, not \"1.234\""),
        (decimal, r#""123.4""#, "field \"a\": a value of type decimal(4,2) was expected, not \"123.4\""),
        (decimal, r#"".""#, "field \"a\": a value of type decimal(4,2) was expected, not \".\""),
        (
            decimal,
            "0.12345678901234567",
            "field \"a\": a value of type decimal(4,2) was expected, not 0.12345678901234567",
        ),
        (r#""double""#, "1e999", "field \"a\": a value of type double was expected, not 1e999"),
        (r#""double""#, r#""inf""#, "field \"a\": a value of type double was expected, not \"inf\""),
        (
            r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
            r#""2026-11-29T12:00:00Z""#,
            "field \"a\": a value of type local-timestamp-millis was expected, not \"2026-11-29T12:00:00Z\"",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            "[1,true]",
            "field \"a.1\": a value of type int was expected, not true",
        ),
        (r#"["null","int"]"#, "true", "field \"a\": a value of type int was expected, not true"),
        (
            r#"["int","string"]"#,
            "true",
            "field \"a\": a value of type union [int, string] was expected, not true",
        ),
    ] {
        assert_eq!(one(avro_type, value), expected, "{avro_type} {value}");
    }
}

const ORDERS: &str = r#"{"type":"record","name":"orders","fields":[
    {"name":"id","type":"long"},
    {"name":"country","type":"string","aliases":["land"]},
    {"name":"note","type":["null","string"]},
    {"name":"n","type":"int","default":7},
    {"name":"tags","type":{"type":"array","items":"string"},"default":[]}]}"#;

#[test]
fn json_may_leave_fields_out_and_bring_others() {
    let decoded = decode(
        Format::Json,
        ORDERS,
        &[
            br#"{"id":1,"country":"DE","note":"x","n":2,"tags":["a","b"],"more":{"x":[1]}}"#,
            br#" {"land" : "FR" ,"id":1,"id":2, "x": "]}\\\"" } "#,
            br#"{"id":3}"#,
            b"{",
            b"[1]",
            b"",
            b"\xff",
        ],
    );
    assert_eq!(rows(&decoded.batch), ["1|DE|x|2|[a, b]", "2|FR|null|7|[]"]);
    let told: Vec<_> = decoded.rejected.iter().map(|it| (it.record, it.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "field \"country\": it is missing, has no default and can't be null"),
            (3, "not JSON: EOF while parsing an object at line 1 column 1"),
            (4, "a value of type record \"orders\" was expected, not [1]"),
            (5, "not JSON: EOF while parsing a value at line 1 column 0"),
            (6, "not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"),
        ]
    );
}

#[test]
fn json_behind_a_header_is_read_and_its_schema_told() {
    let framed = [&wire::header(SchemaId(9))[..], br#"{"id":1,"country":"DE"}"#].concat();
    let decoded = decode(Format::Json, ORDERS, &[&framed, &framed, br#"{"id":2,"country":"FR"}"#]);
    assert_eq!(rows(&decoded.batch), ["1|DE|null|7|[]", "1|DE|null|7|[]", "2|FR|null|7|[]"]);
    let seen: Vec<_> = decoded.schemas.iter().map(|seen| (seen.schema_id, seen.record)).collect();
    assert_eq!(seen, [(9, 0)]);
}

#[test]
fn csv_is_read_by_the_order_of_the_schema() {
    let decoded = decode(
        CSV,
        ORDERS,
        &[
            b"1,DE,x,2,\"[\"\"a\"\",\"\"b\"\"]\"\r\n",
            b"2,\"F,\"\"R\",,,",
            b"3,,\"\",5,",
            b"4,DE",
            b"5,\"DE,x,2,",
            b"6,\"DE\"x,,,",
            b"x,DE,,,",
            b",DE,,,",
        ],
    );
    assert_eq!(rows(&decoded.batch), ["1|DE|x|2|[a, b]", "2|F,\"R|null|7|[]", "3|||5|[]"]);
    let told: Vec<_> = decoded.rejected.iter().map(|it| (it.record, it.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (3, "the line has 2 fields, the schema 5"),
            (4, "a quote is not closed"),
            (5, "field 2: text behind its closing quote"),
            (6, "field \"id\": a value of type long was expected, not \"x\""),
            (7, "field \"id\": it is missing, has no default and can't be null"),
        ]
    );
}

#[test]
fn raw_values_are_a_column() {
    let decoded = decode(Format::Raw, RAW_SCHEMA, &[b"\x00\x01", b""]);
    assert_eq!(rows(&decoded.batch), ["0001", ""]);
}

#[test]
fn json_schema_is_a_table() {
    let schema = r##"{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","type":"object",
        "properties":{
            "id":{"type":"integer"}, "at":{"type":"string","format":"date-time"}, "price":{"oneOf":[{"type":"null"},{"type":"number"}]},
            "kind":{"enum":["a","b"]}, "who":{"$ref":"#/definitions/who"}, "by_day":{"type":"object","additionalProperties":{"type":"integer"}},
            "tags":{"type":"array","items":{"type":["string","null"]}}
        },
        "required":["id","at","kind"],
        "definitions":{"who":{"type":"object","properties":{"name":{"type":"string"}}}}}"##;
    assert!(json_schema::is_json_schema(schema));
    assert!(!json_schema::is_json_schema(ORDERS));
    let record = br#"{"id":1,"at":"2026-11-29T12:00:00Z","kind":"a","who":{"name":"x"},"by_day":{"mo":1},"tags":["t",null]}"#;
    let decoded = decode(Format::Json, schema, &[record, br#"{"id":1,"kind":"a"}"#]);
    let names: Vec<_> = decoded.batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    let row: Vec<_> = names
        .iter()
        .map(String::as_str)
        .zip(rows(&decoded.batch)[0].split('|'))
        .map(|(a, b)| format!("{a}={b}"))
        .collect();
    let mut row = row;
    row.sort();
    assert_eq!(
        row,
        [
            "at=2026-11-29T12:00:00Z",
            "by_day={mo: 1}",
            "id=1",
            "kind=a",
            "price=null",
            "tags=[t, null]",
            "who={name: x}"
        ]
    );
    assert_eq!(decoded.rejected.len(), 1);
}

#[test]
fn json_schema_with_parts_of_other_subjects_is_a_table() {
    let schema = r##"{"$id":"http://x/order.json","type":"object","required":["id"],
        "properties":{"id":{"$ref":"id.json"}, "who":{"$ref":"http://x/who.json#/definitions/who"}, "own":{"$ref":"#/definitions/own"}},
        "definitions":{"own":{"type":"boolean"}}}"##;
    // The place within a document is of that document.
    let who = r##"{"definitions":{"who":{"properties":{"name":{"$ref":"#/definitions/name"}}},"name":{"type":"string"}}}"##;
    let text = SchemaText {
        names: vec!["id.json".to_owned(), "http://x/who.json".to_owned()],
        references: vec![r#"{"type":"integer"}"#.to_owned(), who.to_owned()],
        ..SchemaText::of_file(schema)
    };
    let reader = Arc::new(ReaderSchema::new(text).expect("a schema"));
    let columns = (0..reader.arrow_schema().fields().len()).collect();
    let registry = Arc::new(OwnSchema(Arc::new(ORDERS.into())));
    let mut decoder = AnyDecoder::new(Format::Json, reader, columns, registry).expect("its columns");
    let value: &[u8] = br#"{"id":7,"who":{"name":"x"},"own":true}"#;
    let row = rows(&decoder.decode([Some(value)], 0).expect("a record").batch).remove(0);
    let mut cells: Vec<_> = row.split('|').collect();
    cells.sort_unstable();
    assert_eq!(cells, ["7", "true", "{name: x}"]);
    let missing = json_schema::to_avro(&SchemaText::of_file(schema))
        .expect_err("its references are missing")
        .to_string();
    assert!(missing.contains("\"id.json\" leads nowhere"), "{missing}");
}

#[test]
fn json_schema_that_is_no_table_is_refused() {
    let refused = |text: &str| json_schema::to_avro(&SchemaText::of_file(text)).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"type":"string"}"#),
        "a table's JSON Schema must be of an object with \"properties\""
    );
    let itself = r##"{"properties":{"a":{"$ref":"#"}}}"##;
    assert!(refused(itself).contains("within itself"), "{}", refused(itself));
    assert_eq!(refused(r##"{"$ref":"#"}"##), "\"$ref\" leads to itself");
    assert!(refused(r#"{"properties":{"a":{}}}"#).contains("property \"a\": it has no \"type\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in a record: it is a row or a rejection, and its neighbours don't mind.
    #[test]
    fn any_bytes_are_a_row_or_a_rejection(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}\":,a-z0-9.\\- ]{0,60}") {
        for format in [Format::Json, CSV, Format::Raw] {
            let schema = if format == Format::Raw { RAW_SCHEMA } else { ORDERS };
            let values: [&[u8]; 2] = [&bytes, text.as_bytes()];
            let decoded = decode(format, schema, &values);
            prop_assert_eq!(decoded.records.len() + decoded.rejected.len(), 2);
            prop_assert_eq!(decoded.batch.num_rows(), decoded.records.len());
        }
    }

    /// What SQL's answers would write is taken back.
    #[test]
    fn numbers_come_back(long in any::<i64>(), double in any::<f64>(), cents in -10_000_000_000_i64..10_000_000_000) {
        prop_assert_eq!(one(r#""long""#, &long.to_string()), long.to_string());
        if double.is_finite() {
            let shown = one(r#""double""#, &serde_json::Value::from(double).to_string());
            prop_assert_eq!(shown.parse::<f64>().ok(), Some(double));
        }
        let decimal = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
        let decimal_type = r#"{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}"#;
        prop_assert_eq!(one(decimal_type, &decimal), decimal.clone());
        prop_assert_eq!(one(decimal_type, &format!("\"{decimal}\"")), decimal);
    }
}
