//! Messages of Protobuf, beside the rows that they are.

use proptest::prelude::*;
use prost::Message;
use prost_reflect::Value;

use super::*;
use crate::decode::DecodedBatch;
use crate::format::tests::rows;
use crate::format::{AnyDecoder, Format};
use crate::registry::EmbeddedRegistry;

const ORDER: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
message Order {
  int64 id = 1;
  optional string note = 2;
  Kind kind = 3;
  uint64 big = 4;
  uint32 small = 5;
  repeated int32 parts = 6;
  map<int32, string> tags = 7;
  oneof paid { string card = 8; double cash = 9; }
  google.protobuf.Timestamp at = 10;
  google.protobuf.Duration took = 11;
  google.protobuf.Int64Value maybe = 12;
  Item item = 13;
  bytes raw = 14;
  bool ok = 15;
  message Item { string name = 1; float price = 2; repeated google.protobuf.StringValue words = 3; }
  enum Kind { UNKNOWN = 0; SALE = 1; }
}
message Other { int64 id = 1; }
"#;

struct Reads {
    reader: Arc<ReaderSchema>,
    decoder: AnyDecoder,
    table: Table,
}

/// A decoder to all columns of a schema, that asks `registry`.
fn reads(schema: &str, registry: &EmbeddedRegistry) -> Reads {
    reads_of(SchemaText::of_file(schema), registry)
}

fn reads_of(schema: SchemaText, registry: &EmbeddedRegistry) -> Reads {
    let reader = Arc::new(ReaderSchema::new(schema).expect("a schema"));
    let columns = (0..reader.arrow_schema().fields().len()).collect();
    let decoder = AnyDecoder::new(Format::Protobuf, Arc::clone(&reader), columns, Arc::new(registry.clone()));
    let table = Table::new(reader.source()).expect("a table");
    Reads { reader, decoder: decoder.expect("columns of the schema"), table }
}

impl Reads {
    fn decode(&mut self, values: &[&[u8]]) -> DecodedBatch {
        self.decoder.decode(values.iter().map(|value| Some(*value)), 0).expect("a small batch")
    }

    /// A message with some fields set.
    fn message(&self, fields: &[(&str, Value)]) -> Vec<u8> {
        message(&self.table, fields).encode_to_vec()
    }
}

fn message(table: &Table, fields: &[(&str, Value)]) -> DynamicMessage {
    let mut message = DynamicMessage::new(table.root.clone());
    fields.iter().for_each(|(name, value)| message.set_field_by_name(name, value.clone()));
    message
}

/// A message that is a field of another.
fn inner(table: &Table, field: &str, fields: &[(&str, Value)]) -> Value {
    let kind = table.root.get_field_by_name(field).expect("a field").kind();
    let mut message = DynamicMessage::new(kind.as_message().expect("a message").clone());
    fields.iter().for_each(|(name, value)| message.set_field_by_name(name, value.clone()));
    Value::Message(message)
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn register(registry: &EmbeddedRegistry, subject: &str, schema: &str) -> u32 {
    let body = serde_json::json!({ "schema": schema, "schemaType": "PROTOBUF" }).to_string();
    let (status, answer) = registry.handle("POST", &format!("/subjects/{subject}/versions"), body.as_bytes());
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id")
}

/// Header, places of the message, body.
fn framed(id: u32, places: &[u8], body: &[u8]) -> Vec<u8> {
    [&wire::header(SchemaId(id))[..], places, body].concat()
}

#[test]
fn every_type_is_a_column() {
    let mut it = reads(ORDER, &EmbeddedRegistry::new());
    let names: Vec<_> = it.reader.arrow_schema().fields().iter().map(|field| field.name().clone()).collect();
    let expected = "id note kind big small parts tags card cash at took maybe item raw ok";
    assert_eq!(names.join(" "), expected);
    let seconds = |s, n| [("seconds", Value::I64(s)), ("nanos", Value::I32(n))];
    let words = reads(
        "syntax=\"proto3\"; import \"google/protobuf/wrappers.proto\"; message M { google.protobuf.StringValue w = 1; }",
        &EmbeddedRegistry::new(),
    );
    let word = inner(&words.table, "w", &[("value", text("x"))]);
    let tags = [(MapKey::I32(7), text("b")), (MapKey::I32(-1), text("a"))];
    let full = it.message(&[
        ("id", Value::I64(-5)),
        ("note", text("")),
        ("kind", Value::EnumNumber(1)),
        ("big", Value::U64(u64::MAX)),
        ("small", Value::U32(u32::MAX)),
        ("parts", Value::List(vec![Value::I32(1), Value::I32(-2)])),
        ("tags", Value::Map(tags.into_iter().collect())),
        ("cash", Value::F64(2.5)),
        ("at", inner(&it.table, "at", &seconds(-1, 999_999_999))),
        ("took", inner(&it.table, "took", &seconds(1, 500_000_000))),
        ("maybe", inner(&it.table, "maybe", &[])),
        (
            "item",
            inner(
                &it.table,
                "item",
                &[("name", text("n")), ("price", Value::F32(0.5)), ("words", Value::List(vec![word]))],
            ),
        ),
        ("raw", Value::Bytes(vec![0, 255].into())),
        ("ok", Value::Bool(true)),
    ]);
    let unknown = it.message(&[("kind", Value::EnumNumber(9))]);
    let decoded = it.decode(&[&full, &unknown, b""]);
    assert_eq!(decoded.rejected, []);
    assert_eq!(
        rows(&decoded.batch),
        [
            "-5||SALE|18446744073709551615|4294967295|[1, -2]|{-1: a, 7: b}|null|2.5|1969-12-31T23:59:59.999999Z|1.500000000|0|{name: n, price: 0.5, words: [x]}|00ff|true",
            "0|null|9|0|0|[]|{}|null|null|null|null|null|null||false",
            "0|null|UNKNOWN|0|0|[]|{}|null|null|null|null|null|null||false",
        ]
    );
}

#[test]
fn proto2_has_required_fields_and_defaults_of_its_own() {
    let schema = r#"syntax = "proto2"; message M {
        required int32 id = 1; optional int32 n = 2 [default = 7]; optional string s = 3;
        optional E e = 4 [default = B]; optional uint64 u = 5 [default = 18446744073709551615]; optional bytes b = 6 [default = "\001\377"];
        enum E { A = 1; B = 2; } }"#;
    let mut it = reads(schema, &EmbeddedRegistry::new());
    let one = it.message(&[("id", Value::I32(1))]);
    let decoded = it.decode(&[&one, b""]);
    assert_eq!(rows(&decoded.batch), ["1|7|null|B|18446744073709551615|01ff"]);
    assert_eq!(decoded.rejected[0].detail, "field \"id\": it is required, and missing");
}

#[test]
fn a_message_within_itself_is_no_column_and_read_over() {
    let schema = "syntax = \"proto3\"; import \"google/protobuf/struct.proto\"; message M { int32 id = 1; M next = 2; google.protobuf.Struct any = 3; }";
    let mut it = reads(schema, &EmbeddedRegistry::new());
    let left_out: Vec<_> = it.reader.left_out().iter().map(|left| left.field.clone()).collect();
    assert_eq!(left_out, ["next", "any"]);
    let next = inner(&it.table, "next", &[("id", Value::I32(2))]);
    let value = it.message(&[("id", Value::I32(1)), ("next", next)]);
    assert_eq!(rows(&it.decode(&[&value]).batch), ["1"]);
    // Deeper than a hundred levels nobody follows.
    let mut deep = Vec::new();
    for _ in 0..150 {
        deep = [&[0x12][..], &length(deep.len()), &deep].concat();
    }
    let decoded = it.decode(&[&deep, &value]);
    assert!(decoded.rejected[0].detail.contains("recursion limit"), "{}", decoded.rejected[0].detail);
    assert_eq!(decoded.records, [1]);
}

fn length(n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(n as u64, &mut out);
    out
}

#[test]
fn what_is_no_message_says_so_and_its_neighbours_are_read() {
    let mut it = reads(ORDER, &EmbeddedRegistry::new());
    let good = it.message(&[("id", Value::I64(1))]);
    let bad_time = {
        let at = inner(&it.table, "at", &[("nanos", Value::I32(-1))]);
        it.message(&[("at", at)])
    };
    let values: [&[u8]; 6] = [&good, b"\x08", b"\x0a\x01x", b"\x12\x01\xff", &bad_time, b"\x00\x00"];
    let decoded = it.decode(&values);
    assert_eq!(decoded.records, [0]);
    let told: Vec<_> = decoded.rejected.iter().map(|it| (it.reason.as_str(), it.detail.as_str())).collect();
    assert_eq!(told.len(), 5);
    assert!(told[0].1.starts_with("not a message of \"shop.Order\""), "{}", told[0].1);
    assert!(told[1].1.contains("wire type"), "{}", told[1].1);
    assert!(told[2].1.contains("UTF-8"), "{}", told[2].1);
    assert_eq!(told[3], ("bad_payload", "field \"at\": 0 s and -1 ns are no timestamp"));
    assert_eq!(told[4].0, "bad_framing");
}

#[test]
fn messages_that_only_bear_the_names_of_googles_are_messages() {
    let own = |message: &str| {
        let text = format!(
            "syntax = \"proto3\"; package google.protobuf; message M {{ Own own = 1; int32 id = 2; }} {message}"
        );
        SchemaText::of_file(&text.replace("Own", message.split_whitespace().nth(1).expect("a name")))
    };
    let columns = |message: &str| {
        let it = reads_of(own(message), &EmbeddedRegistry::new());
        it.reader
            .arrow_schema()
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()))
            .collect::<Vec<_>>()
    };
    assert_eq!(columns("message Int64Value { Int64Value value = 1; }"), ["id: Int32"]);
    let structs =
        ["message Timestamp { string seconds = 1; }", "message StringValue { repeated string value = 1; }"];
    for message in structs {
        assert!(columns(message)[0].starts_with("own: Struct("), "{:?}", columns(message));
    }
    assert_eq!(columns("message Int64Value { int64 value = 1; }"), ["own: Int64", "id: Int32"]);
}

#[test]
fn messages_in_messages_without_end_in_sight_are_no_table() {
    let messages: String = (0..900).map(|n| format!("message M{n} {{ M{} f = 1; }}\n", n + 1)).collect();
    let schema = format!("syntax = \"proto3\"; {messages} message M900 {{ string end = 1; }}");
    let told = ReaderSchema::new(SchemaText::of_file(&schema)).expect_err("they are too deep").to_string();
    assert_eq!(told, "messages nested deeper than 64 levels");
}

#[test]
fn a_message_of_many_empty_ones_does_not_grow_without_limit() {
    let fields: String = (1..200).map(|n| format!("int64 f{n} = {n};")).collect();
    let schema = format!("syntax = \"proto3\"; message M {{ repeated W w = 1; }} message W {{ {fields} }}");
    let mut it = reads(&schema, &EmbeddedRegistry::new());
    let (few, many) = ([0x0a, 0].repeat(100), [0x0a, 0].repeat(100_000));
    let decoded = it.decode(&[&few, &many]);
    assert_eq!(decoded.records, [0]);
    assert!(decoded.rejected[0].detail.contains("too large"), "{}", decoded.rejected[0].detail);
}

#[test]
fn writers_are_read_by_the_numbers_of_their_fields() {
    let registry = EmbeddedRegistry::new();
    let v1 = "syntax = \"proto3\"; package p; message M { int32 id = 1; string gone = 2; }";
    let v2 = "syntax = \"proto3\"; package p; message M { int64 renamed = 1; string more = 3; }";
    let other = "syntax = \"proto3\"; package p; message First {} message M { string id = 1; }";
    let ids = [
        register(&registry, "m-value", v1),
        register(&registry, "m-value", v2),
        register(&registry, "x-value", other),
    ];
    let avro = registry.register("a", r#""string""#).expect("it is new");
    let (writer1, writer2) = (reads(v1, &registry), reads(v2, &registry));
    let mut it = reads(v2, &registry);
    let issues = |writer: &str| it.reader.check_writer(&SchemaText::of_file(writer)).expect("schemas").len();
    assert_eq!([issues(v1), issues(v2), issues(other)], [0, 0, 1]);
    let old = writer1.message(&[("id", Value::I32(-7)), ("gone", text("x"))]);
    let new = writer2.message(&[("renamed", Value::I64(1 << 40)), ("more", text("y"))]);
    let values = [
        framed(ids[0], &[0], &old),
        framed(ids[1], &[2, 0], &new),
        framed(ids[2], &[2, 2], b""),
        framed(ids[2], &[0], b""),
        framed(ids[2], &[2, 8], b""),
        framed(avro.0, &[0], b""),
        framed(77, &[0], b""),
        framed(ids[0], &[1], b""),
        framed(ids[0], &[], b""),
        new,
        framed(ids[2], &[1], b""),
    ];
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let decoded = it.decode(&values);
    assert_eq!(rows(&decoded.batch), ["-7|", "1099511627776|y", "1099511627776|y"]);
    assert_eq!(decoded.records, [0, 1, 9]);
    let told: Vec<_> =
        decoded.rejected.iter().map(|it| (it.record, it.reason.as_str(), it.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                2,
                "incompatible_schema",
                "writer schema 3 (\"x-value\" version 1) does not fit reader message \"p.M\": renamed: field 1 is string of the writer, and can't be read as int64"
            ),
            (
                3,
                "incompatible_schema",
                "writer schema 3 (\"x-value\" version 1) does not fit reader message \"p.M\": it is of message \"p.First\", not of \"p.M\""
            ),
            (
                4,
                "incompatible_schema",
                "writer schema 3 (\"x-value\" version 1) does not fit reader message \"p.M\": it has no message at [4]"
            ),
            (
                5,
                "incompatible_schema",
                "writer schema 4 (\"a\" version 1) can't be read: it is not of Protobuf"
            ),
            (6, "unknown_schema", "the registry has no schema of id 77"),
            (7, "bad_framing", "behind the schema id there is no list of messages' places"),
            (8, "bad_framing", "behind the schema id there is no list of messages' places"),
            (10, "bad_framing", "behind the schema id there is no list of messages' places"),
        ]
    );
    let seen: Vec<_> =
        decoded.schemas.iter().map(|seen| (seen.schema_id, seen.record, seen.compatible)).collect();
    assert_eq!(seen, [(1, 0, true), (2, 1, true), (3, 2, false), (4, 5, false)]);
    assert_eq!(decoded.schemas[0].subject.as_deref(), Some("m-value"));
}

#[test]
fn a_table_is_of_the_message_that_is_named() {
    let registry = EmbeddedRegistry::new();
    let v1 = "syntax = \"proto3\"; package p; message Head { int32 n = 1; } message M { int32 id = 1; message In { bool ok = 1; } }";
    // The other way round, and more of each.
    let v2 = "syntax = \"proto3\"; package p; message M { int32 id = 1; string more = 2; message Pad {} message In { bool ok = 1; } } message Head { string n = 1; }";
    let gone = "syntax = \"proto3\"; package p; message Head { int32 n = 1; }";
    let ids = [register(&registry, "a", v1), register(&registry, "b", v2), register(&registry, "c", gone)];
    let named = |schema: &str, name: &str| SchemaText {
        message: Some(name.to_owned()),
        ..SchemaText::of_file(schema)
    };
    let mut it = reads_of(named(v1, "M"), &registry);
    let body = it.message(&[("id", Value::I32(7))]);
    let values = [
        body.clone(),
        framed(ids[0], &[2, 2], &body),
        framed(ids[0], &[0], &body),
        framed(ids[1], &[0], &body),
        framed(ids[1], &[2, 2], b""),
        framed(ids[2], &[0], &body),
    ];
    let decoded = it.decode(&values.each_ref().map(Vec::as_slice));
    assert_eq!(
        (rows(&decoded.batch), decoded.records),
        (["7"; 3].map(str::to_owned).to_vec(), vec![0, 1, 3])
    );
    let told: Vec<_> =
        decoded.rejected.iter().map(|it| it.detail.rsplit_once(": ").expect("a rule").1).collect();
    assert_eq!(told, [r#"it is of message "p.Head", not of "p.M""#; 3]);
    // A schema fits or does not, whichever of its messages came first.
    let seen: Vec<_> = decoded.schemas.iter().map(|seen| (seen.schema_id, seen.compatible)).collect();
    assert_eq!(seen, [(ids[0], true), (ids[1], true), (ids[2], false)]);
    assert!(
        decoded.schemas[2].detail.ends_with(r#"there is no message "p.M" in it"#),
        "{}",
        decoded.schemas[2].detail
    );
    let issues = |writer: &str| it.reader.check_writer(&SchemaText::of_file(writer)).expect("schemas").len();
    assert_eq!([v1, v2, gone].map(issues), [0, 0, 1]);
    // Within another message.
    let mut inner = reads_of(named(v2, "M.In"), &registry);
    let ok = [0x08, 1];
    let decoded = inner.decode(&[
        &framed(ids[0], &[4, 2, 0], &ok),
        &framed(ids[1], &[4, 0, 2], &ok),
        &framed(ids[1], &[4, 0, 0], &ok),
    ]);
    assert_eq!((rows(&decoded.batch).len(), decoded.records), (2, vec![0, 1]));
    let none = ReaderSchema::new(named(v1, "Hed")).expect_err("there is none").to_string();
    assert!(none.contains(r#"no message "Hed" in it: it has "p.Head", "p.M", "p.M.In""#), "{none}");
}

#[test]
fn fields_that_a_oneof_would_lose_are_not_read() {
    let issues = |reader: &str, writer: &str| {
        let schema =
            |fields: &str| SchemaText::of_file(&format!("syntax = \"proto3\"; message M {{ {fields} }}"));
        let reader = ReaderSchema::new(schema(reader)).expect("a table");
        let issues = reader.check_writer(&schema(writer)).expect("a schema");
        issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let (apart, both) = ("int32 a = 1; int32 b = 2;", "oneof o { int32 a = 1; int32 b = 2; }");
    // Several into one; one into another that is there; out of it; into a new one; of one that was renamed, or had others.
    let lost = "o: of a, b the writer may set several, and here they are one of a oneof";
    assert_eq!(issues(both, apart), lost);
    assert_eq!(issues(both, "optional int32 a = 1; optional int32 b = 2;"), lost);
    assert_eq!(issues(both, "int32 a = 1; oneof o { int32 b = 2; }"), lost);
    assert_eq!(issues(both, "oneof o { int32 a = 1; } oneof p { int32 b = 2; }"), lost);
    for (reader, writer) in [
        (apart, both),
        (both, "int32 a = 1;"),
        ("oneof o { int32 a = 1; } int32 b = 2;", apart),
        (both, "oneof was { int32 a = 1; int32 b = 2; int32 c = 3; }"),
    ] {
        assert_eq!(issues(reader, writer), "", "{reader} reads {writer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is written is read, whatever is left out, and whichever order the fields come in.
    #[test]
    fn values_come_back(
        id in any::<i64>(), note in proptest::option::of(".{0,8}"), big in any::<u64>(), small in any::<u32>(),
        parts in prop::collection::vec(any::<i32>(), 0..4), cash in any::<Option<i32>>(), ok in any::<bool>(),
        micros in -60_000_000_000_000_000_i64..200_000_000_000_000_000, split in any::<bool>(),
    ) {
        let mut it = reads(ORDER, &EmbeddedRegistry::new());
        let at = [("seconds", Value::I64(micros.div_euclid(1_000_000))), ("nanos", Value::I32(micros.rem_euclid(1_000_000) as i32 * 1_000))];
        let mut fields = vec![
            ("id", Value::I64(id)), ("big", Value::U64(big)), ("small", Value::U32(small)), ("ok", Value::Bool(ok)),
            ("parts", Value::List(parts.iter().map(|part| Value::I32(*part)).collect())), ("at", inner(&it.table, "at", &at)),
        ];
        fields.extend(note.clone().map(|note| ("note", Value::String(note))));
        fields.extend(cash.map(|cash| ("cash", Value::F64(f64::from(cash)))));
        // A message in pieces is the same message; later pieces come first but for what is repeated.
        let bytes = if split {
            let (first, second) = fields.split_at(3);
            [it.message(second), it.message(first)].concat()
        } else {
            it.message(&fields)
        };
        let decoded = it.decode(&[&bytes]);
        prop_assert_eq!(&decoded.rejected, &[]);
        let row = rows(&decoded.batch).remove(0);
        let expected = [
            id.to_string(), note.unwrap_or_else(|| "null".to_owned()), "UNKNOWN".to_owned(), big.to_string(), small.to_string(), format!("{parts:?}"),
        ].join("|");
        prop_assert!(row.starts_with(&format!("{expected}|{{}}|null|{}|", cash.map_or("null".to_owned(), |cash| format!("{:?}", f64::from(cash))))), "{row} {expected}");
        prop_assert!(row.ends_with(&format!("|null|null|null||{ok}")), "{row}");
        use arrow::array::AsArray;
        use arrow::datatypes::TimestampMicrosecondType;
        prop_assert_eq!(decoded.batch.column(9).as_primitive::<TimestampMicrosecondType>().value(0), micros);
    }

    /// Whatever stands in a record: it is a row or a rejection, and its neighbours don't mind.
    #[test]
    fn any_bytes_are_a_row_or_a_rejection(bytes in prop::collection::vec(any::<u8>(), 0..60), framed_body in prop::collection::vec(any::<u8>(), 0..60)) {
        let registry = EmbeddedRegistry::new();
        let id = register(&registry, "orders-value", ORDER);
        let mut it = reads(ORDER, &registry);
        let value = framed(id, &[0], &framed_body);
        let decoded = it.decode(&[&bytes, &value]);
        prop_assert_eq!(decoded.records.len() + decoded.rejected.len(), 2);
        prop_assert_eq!(decoded.batch.num_rows(), decoded.records.len());
    }
}
