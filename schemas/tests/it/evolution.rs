//! Writer and reader schema differ: what is read, and what is refused.

use apache_avro::Decimal;
use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};
use weir_schemas::{ReaderSchema, RejectReason, SchemaText};

use crate::support::{Fixed, body, decode, decoder, framed, oracle, rows};

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"shop","fields":[{fields}]}}"#)
}

fn one(name: &str, value: Avro) -> Avro {
    Avro::Record(vec![(name.into(), value)])
}

fn some(branch: u32, value: Avro) -> Avro {
    Avro::Union(branch, Box::new(value))
}

/// Reads one record and compares it with `expected`, and with what apache-avro reads.
fn check(writer_fields: &str, reader_fields: &str, value: Avro, expected: &Json) {
    let body = check_ours(writer_fields, reader_fields, value, expected);
    let theirs = oracle(&record(writer_fields), &record(reader_fields), &body);
    assert_eq!(theirs.as_ref(), Some(expected), "apache-avro, {writer_fields} as {reader_fields}");
}

/// As [`check`], where apache-avro 0.22 does not follow the specification.
fn check_ours(writer_fields: &str, reader_fields: &str, value: Avro, expected: &Json) -> Vec<u8> {
    let (writer, reader) = (record(writer_fields), record(reader_fields));
    let body = body(&writer, &value);
    let mut decoder = decoder(&reader, Fixed::of(&[(1, &writer)]));
    let decoded = decode(&mut decoder, &[framed(1, &body)]);
    assert_eq!(decoded.rejected, [], "{writer_fields} as {reader_fields}");
    assert_eq!(rows(&decoded.batch), std::slice::from_ref(expected), "{writer_fields} as {reader_fields}");
    assert!(decoded.schemas[0].compatible);
    body
}

#[test]
fn numbers_are_promoted() {
    let check = |writer: &str, reader: &str, value: Avro, expected: Json| {
        let fields = |name: &str| format!(r#"{{"name":"x","type":"{name}"}}"#);
        check(&fields(writer), &fields(reader), one("x", value), &json!({ "x": expected }));
    };
    check("int", "long", Avro::Int(-7), json!(-7));
    check("int", "float", Avro::Int(7), json!("7.0"));
    check("int", "double", Avro::Int(i32::MIN), json!("-2147483648.0"));
    check("long", "float", Avro::Long(1 << 40), json!("1099511627776.0"));
    check("long", "double", Avro::Long(-3), json!("-3.0"));
    check("float", "double", Avro::Float(0.5), json!("0.5"));
    check("string", "bytes", Avro::String("é".into()), json!("c3a9"));
    check("bytes", "string", Avro::Bytes("é".into()), json!("é"));
}

#[test]
fn missing_fields_take_their_defaults() {
    let check = |field: &str, expected: Json| {
        let reader = format!(r#"{{"name":"a","type":"int"}},{{"name":"x",{field}}}"#);
        check_ours(
            r#"{"name":"a","type":"int"}"#,
            &reader,
            one("a", Avro::Int(1)),
            &json!({"a": 1, "x": expected}),
        );
    };
    check(r#""type":"int","default":-1"#, json!(-1));
    check(r#""type":"double","default":2"#, json!("2.0"));
    check(r#""type":"string","default":"é""#, json!("é"));
    check(r#""type":"bytes","default":"\u00ff\u0000""#, json!("ff00"));
    check(r#""type":["null","string"],"default":null"#, Json::Null);
    check(r#""type":["string","null"],"default":"no""#, json!("no"));
    check(r#""type":["null","string"],"default":"second branch""#, json!("second branch"));
    check(r#""type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B""#, json!("B"));
    check(r#""type":{"type":"fixed","name":"F","size":2},"default":"ab""#, json!("6162"));
    check(r#""type":{"type":"array","items":"int"},"default":[1,2]"#, json!([1, 2]));
    check(r#""type":{"type":"map","values":"int"},"default":{"k":3}"#, json!({"k": 3}));
    check(
        r#""type":{"type":"record","name":"N","fields":[{"name":"p","type":"int"},{"name":"q","type":"int","default":9}]},"default":{"p":4}"#,
        json!({"p": 4, "q": 9}),
    );
    check(r#""type":{"type":"long","logicalType":"timestamp-millis"},"default":5"#, json!(5));
}

#[test]
fn null_may_come_first_or_last_or_be_new() {
    let check = |writer: &str, reader: &str, value: Avro, expected: Json| {
        let fields = |name: &str| format!(r#"{{"name":"x","type":{name}}}"#);
        check(&fields(writer), &fields(reader), one("x", value), &json!({ "x": expected }));
    };
    check(r#"["null","int"]"#, r#"["int","null"]"#, some(1, Avro::Int(3)), json!(3));
    check(r#"["null","int"]"#, r#"["int","null"]"#, some(0, Avro::Null), Json::Null);
    check(r#"["int","null"]"#, r#"["null","long"]"#, some(0, Avro::Int(3)), json!(3));
    check(r#""int""#, r#"["null","long"]"#, Avro::Int(3), json!(3));
    check(r#"["null","int"]"#, r#""int""#, some(1, Avro::Int(3)), json!(3));
    check(r#"["string","int"]"#, r#"["null","double"]"#, some(1, Avro::Int(3)), json!("3.0"));
    check(r#""null""#, r#"["null","int"]"#, Avro::Null, Json::Null);
}

#[test]
fn fields_may_be_moved_renamed_and_removed() {
    let writer = r#"{"name":"gone","type":{"type":"record","name":"Tree","fields":[
            {"name":"label","type":"string"},{"name":"children","type":{"type":"array","items":"Tree"}}]}},
        {"name":"a","type":"int"},{"name":"old","type":"string"}"#;
    let reader = r#"{"name":"new","aliases":["older","old"],"type":"string"},{"name":"a","type":"int"}"#;
    let tree = |children| {
        Avro::Record(vec![
            ("label".into(), Avro::String("t".into())),
            ("children".into(), Avro::Array(children)),
        ])
    };
    let value = Avro::Record(vec![
        ("gone".into(), tree(vec![tree(vec![]), tree(vec![tree(vec![])])])),
        ("a".into(), Avro::Int(1)),
        ("old".into(), Avro::String("name".into())),
    ]);
    check_ours(writer, reader, value, &json!({"new": "name", "a": 1}));
}

#[test]
fn nested_records_are_resolved() {
    let item = |fields: &str| {
        format!(
            r#"{{"name":"items","type":{{"type":"array","items":{{"type":"record","name":"I","fields":[{fields}]}}}}}}"#
        )
    };
    let writer = item(r#"{"name":"gone","type":"string"},{"name":"n","type":"int"}"#);
    let reader = item(r#"{"name":"n","type":"long"},{"name":"x","type":["null","int"],"default":null}"#);
    let value = Avro::Record(vec![("gone".into(), Avro::String("g".into())), ("n".into(), Avro::Int(5))]);
    check(
        &writer,
        &reader,
        one("items", Avro::Array(vec![value.clone(), value])),
        &json!({"items": [
            {"n": 5, "x": null}, {"n": 5, "x": null}
        ]}),
    );
}

#[test]
fn unknown_symbol_becomes_the_enums_default() {
    let field =
        |symbols: &str| format!(r#"{{"name":"x","type":{{"type":"enum","name":"E","symbols":{symbols}}}}}"#);
    let (writer, reader) = (field(r#"["A","B","C"]"#), field(r#"["C","OTHER"],"default":"OTHER""#));
    check(&writer, &reader, one("x", Avro::Enum(1, "B".into())), &json!({"x": "OTHER"}));
    check(&writer, &reader, one("x", Avro::Enum(2, "C".into())), &json!({"x": "C"}));
}

#[test]
fn logical_types_become_arrows() {
    let check = |schema: &str, value: Avro, expected: Json| {
        let field = format!(r#"{{"name":"x","type":{schema}}}"#);
        check(&field, &field, one("x", value), &json!({ "x": expected }));
    };
    check(r#"{"type":"int","logicalType":"date"}"#, Avro::Date(-1), json!(-1));
    check(r#"{"type":"int","logicalType":"time-millis"}"#, Avro::TimeMillis(1), json!(1));
    check(r#"{"type":"long","logicalType":"time-micros"}"#, Avro::TimeMicros(1), json!(1));
    check(r#"{"type":"long","logicalType":"timestamp-nanos"}"#, Avro::TimestampNanos(1), json!(1));
    check(
        r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
        Avro::LocalTimestampMicros(1),
        json!(1),
    );
    let decimal = |n: i128| Avro::Decimal(Decimal::from(n.to_be_bytes()));
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
        decimal(-12345),
        json!("-12345"),
    );
    check(
        r#"{"type":{"type":"fixed","name":"D","size":16,"logicalType":"decimal","precision":38,"scale":2}}"#,
        decimal(10i128.pow(38) - 1),
        json!("99999999999999999999999999999999999999"),
    );
}

#[test]
fn arrow_types_are_those_documented() {
    let reader = ReaderSchema::parse(&record(
        r#"{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
           {"name":"local","type":["null",{"type":"long","logicalType":"local-timestamp-micros"}]},
           {"name":"uuid","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
           {"name":"bad","type":{"type":"long","logicalType":"decimal"}},
           {"name":"wide","type":{"type":"bytes","logicalType":"decimal","precision":50}},
           {"name":"span","type":{"type":"fixed","name":"S","size":12,"logicalType":"duration"}}"#,
    ))
    .expect("all of it is supported");
    let types: Vec<_> = reader
        .arrow_schema()
        .fields()
        .iter()
        .map(|f| format!("{} {}", f.data_type(), f.is_nullable()))
        .collect();
    assert_eq!(
        types,
        [
            "Timestamp(ms, \"+00:00\") false",
            "Timestamp(µs) true",
            "Utf8 false",
            "Int64 false",
            "Decimal256(50, 0) false",
            "FixedSizeBinary(12) false"
        ]
    );
}

fn refused(writer_fields: &str, reader_fields: &str) -> String {
    let reader = ReaderSchema::parse(&record(reader_fields)).expect("the reader schema is valid");
    let writer = SchemaText::from(record(writer_fields).as_str());
    let issues = reader.check_writer(&writer).expect("the writer schema is valid");
    let issues: Vec<_> =
        issues.iter().map(|i| format!("{}{i}", if i.conditional { "? " } else { "" })).collect();
    issues.join("; ")
}

#[test]
fn broken_rules_are_named_with_their_path() {
    let x = |kind: &str| format!(r#"{{"name":"x","type":{kind}}}"#);
    let check = |writer: &str, reader: &str, expected: &str| assert_eq!(refused(writer, reader), expected);
    check(
        &x(r#""string""#),
        &x(r#""int""#),
        "x: the writer's string can't be read as int: the types differ and there is no promotion",
    );
    check(
        &x(r#""long""#),
        &x(r#""int""#),
        "x: the writer's long can't be read as int: the types differ and there is no promotion",
    );
    check("", &x(r#""int""#), "x: the writer lacks the field, and the reader has no default for it");
    check("", r#"{"name":"x","type":"int","default":"a"}"#, "x: default \"a\" is not a value of type int");
    check(
        &x(r#"["null","int"]"#),
        &x(r#""int""#),
        "? x: the writer's null can't be read as int: the types differ and there is no promotion",
    );
    check(
        &x(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#),
        &x(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
        "? x: the writer's symbol \"B\" is not one of the reader's, whose enum has no default",
    );
    check(
        &x(r#"["string","bytes"]"#),
        &x(r#"["null","int"]"#),
        "x: the writer's string can't be read as int: the types differ and there is no promotion; \
         x: the writer's bytes can't be read as int: the types differ and there is no promotion",
    );
    check(
        &x(r#"{"type":"map","values":{"type":"array","items":"string"}}"#),
        &x(r#"{"type":"map","values":{"type":"array","items":"int"}}"#),
        "x{}[]: the writer's string can't be read as int: the types differ and there is no promotion",
    );
    check(
        &x(r#"{"type":"long","logicalType":"timestamp-millis"}"#),
        &x(r#"{"type":"long","logicalType":"timestamp-micros"}"#),
        "x: the writer's timestamp-millis can't be read as timestamp-micros: the logical types must be the same",
    );
    check(
        &x(r#"{"type":"fixed","name":"F","size":2}"#),
        &x(r#"{"type":"fixed","name":"F","size":3}"#),
        "x: the writer's fixed has 2 bytes, the reader's 3",
    );
    check(
        &x(r#"{"type":"fixed","name":"F","size":2}"#),
        &x(r#"{"type":"fixed","name":"G","size":2}"#),
        "x: the writer's fixed \"shop.F\" can't be read as fixed \"shop.G\": kind and name must be the same, or the name an alias",
    );
    check(
        &x(r#"{"type":"fixed","name":"F","size":2}"#),
        &x(r#"{"type":"fixed","name":"G","aliases":["F"],"size":2}"#),
        "",
    );
}

#[test]
fn what_can_not_be_a_column_is_refused_at_once() {
    let check = |text: &str, expected: &str| {
        let error = ReaderSchema::parse(text).expect_err("it can't be a reader schema");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("{", "the schema is not JSON");
    check(r#""string""#, "a reader schema must be a record, not string");
    check(
        &record(r#"{"name":"x","type":"strnig"}"#),
        r#"record "shop.R": field "x": unknown type "shop.strnig""#,
    );
    check(&record(r#"{"name":"x","type":"int"},{"name":"x","type":"int"}"#), r#"field "x" is defined twice"#);
    // Each record has the next one twice: a million columns from 20 lines.
    let mut bomb = r#""int""#.to_owned();
    for level in 0..20 {
        let reference = if level == 0 { r#""int""#.to_owned() } else { format!(r#""L{}""#, level - 1) };
        bomb = format!(
            r#"{{"type":"record","name":"L{level}","fields":[{{"name":"a","type":{bomb}}},{{"name":"b","type":{reference}}}]}}"#
        );
    }
    check(&bomb, "more than 20000 columns");
}

#[test]
fn values_without_a_place_are_refused_one_by_one() {
    let writer = record(r#"{"name":"x","type":["null","int"]}"#);
    let reader = record(r#"{"name":"x","type":"int"}"#);
    let (null, int) =
        (body(&writer, &one("x", some(0, Avro::Null))), body(&writer, &one("x", some(1, Avro::Int(4)))));
    let mut decoder = decoder(&reader, Fixed::of(&[(1, &writer)]));
    let decoded = decode(&mut decoder, &[framed(1, &int), framed(1, &null), framed(1, &int)]);
    assert_eq!(decoded.records, [0, 2]);
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!(decoded.rejected[0].reason, RejectReason::IncompatibleSchema);
    assert_eq!(
        decoded.rejected[0].detail,
        "writer schema 1 (\"orders-value\" version 10), record \"shop.R\" does not fit reader record \"shop.R\": \
         x: the writer's null can't be read as int: the types differ and there is no promotion"
    );
    assert!(decoded.schemas[0].compatible && decoded.schemas[0].detail.contains("some values: x: "));
}

/// The fields of a record `shop.R`, and what is said of it as a reader schema.
#[test]
fn a_record_within_itself_is_refused_with_the_path_to_it() {
    let node =
        |name: &str, fields: &str| format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#);
    let field = |name: &str, type_: &str| format!(r#"{{"name":"{name}","type":{type_}}}"#);
    let optional = |name: &str, type_: &str| field(name, &format!(r#"["null",{type_}]"#));
    let list = |type_: &str| format!(r#"{{"type":"array","items":{type_}}}"#);
    let map = |type_: &str| format!(r#"{{"type":"map","values":{type_}}}"#);
    let told =
        |record: &str, path: &str| format!("record \"shop.{record}\" contains itself in field \"{path}\"");
    let wide = r#"{"type":"bytes","logicalType":"decimal","precision":99}"#;
    let tree = node("Tree", &field("kids", &list("\"Tree\"")));
    let leaf = node("Leaf", &field("v", "\"int\""));
    for (fields, expected) in [
        (optional("self", "\"R\""), vec![told("R", "self")]),
        // By any way that there is: a union, an array, a map, another record.
        (field("any", &format!(r#"["int","string",{}]"#, map("\"R\""))), vec![told("R", "any{}")]),
        (field("deep", &map(&list(&map("\"R\"")))), vec![told("R", "deep{}[]{}")]),
        (field("tree", &tree), vec![told("Tree", "tree.kids[]")]),
        (
            field("a", &node("A", &optional("b", &node("B", &optional("a", "\"A\""))))),
            vec![told("A", "a.b.a")],
        ),
        (field("a", &node("A", &optional("r", "\"R\""))), vec![told("R", "a.r")]),
        // What has no column anyway does not hide it.
        (
            field("a", &node("A", &format!("{},{}", field("w", wide), optional("a", "\"A\"")))),
            vec![told("A", "a.a")],
        ),
        // It is told once, however often such a record is used.
        (format!("{},{}", field("x", &tree), field("y", "\"Tree\"")), vec![told("Tree", "x.kids[]")]),
        (
            format!("{},{},{}", field("x", &tree), field("id", "\"int\""), optional("self", "\"R\"")),
            vec![told("Tree", "x.kids[]"), told("R", "self")],
        ),
        // A record that is used twice, or in itself no more than by name, is none.
        (format!("{},{}", field("x", &leaf), field("y", &list("\"Leaf\""))), vec![]),
        (field("x", &node("A", &format!("{},{}", field("y", &leaf), optional("z", "\"Leaf\"")))), vec![]),
    ] {
        let said = ReaderSchema::parse(&record(&fields))
            .map(|_| String::new())
            .unwrap_or_else(|error| error.to_string());
        let which = ["that field", "those fields"][usize::from(1 < expected.len())];
        let expected = match expected[..] {
            [] => String::new(),
            _ => format!(
                "{}, and a table's columns can't nest without end: give the source a schema of its own without {which} \
                 (schema: {{ file: … }}, or an earlier version, schema: {{ subject: …, version: … }}); records written \
                 with this one are then still read, and what they have there is passed over",
                expected.join(", ")
            ),
        };
        assert_eq!(said, expected, "{fields}");
    }
}

#[test]
fn of_records_within_themselves_without_number_or_bottom_a_few_are_told() {
    let selves: Vec<_> = (0..9).map(|n| format!(r#"{{"name":"s{n}","type":["null","R"]}}"#)).collect();
    let told = ReaderSchema::parse(&record(&selves.join(","))).expect_err("they lead back").to_string();
    assert!(told.contains("in field \"s4\", and 4 more, and a table's"), "{told}");
    // Each has the one before it as a field: by name, types are as deep as one likes.
    let mut fields = vec![
        r#"{"name":"f0","type":{"type":"record","name":"L0","fields":[{"name":"r","type":["null","R"]}]}}"#
            .to_owned(),
    ];
    fields.extend((1..20_000).map(|n| {
        format!(r#"{{"name":"f{n}","type":{{"type":"record","name":"L{n}","fields":[{{"name":"a","type":"L{}"}}]}}}}"#, n - 1)
    }));
    fields.reverse();
    let told =
        ReaderSchema::parse(&record(&fields.join(","))).expect_err("a type is used before it is there");
    assert!(told.to_string().contains("unknown type"), "{told}");
    fields.reverse();
    let told = ReaderSchema::parse(&record(&fields.join(","))).expect_err("one leads back").to_string();
    assert!(told.starts_with("record \"shop.R\" contains itself in field \"f0.r\", and a table's"), "{told}");
    let references = (0..40).map(|n| {
        let before = if n == 0 { r#"["null","D0"]"#.to_owned() } else { format!("\"D{}\"", n - 1) };
        format!(r#"{{"type":"record","name":"D{n}","fields":[{{"name":"d","type":{before}}}]}}"#)
    });
    let deep = record(r#"{"name":"first","type":"D39"}"#);
    let deep = SchemaText { references: references.collect(), ..deep.as_str().into() };
    let told = ReaderSchema::new(deep).expect_err("the last is in itself").to_string();
    let end = ["d"; 32].join(".");
    assert!(
        told.starts_with(&format!("record \"D0\" contains itself in field \"….{end}\", and a table's")),
        "{told}"
    );
}

#[test]
fn field_that_can_not_be_a_column_is_passed_over_whatever_it_holds() {
    let inner_type = r#"{"type":"record","name":"Inner","fields":[{"name":"x","type":"long"}]}"#;
    let wide = r#"{"name":"wide","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":99}}}"#;
    let schema = record(&format!(
        r#"{{"name":"id","type":"int"}},
           {{"name":"any","type":["int","string",{inner_type},{{"type":"map","values":"R"}}]}},
           {wide},
           {{"name":"self","type":["null","R"]}},
           {{"name":"inner","type":"Inner"}}"#,
    ));
    // As a reader schema it is refused; one without what leads back to it reads what was written with it.
    let told = ReaderSchema::parse(&schema).expect_err("it contains itself").to_string();
    let fields = "record \"shop.R\" contains itself in field \"any{}\", record \"shop.R\" contains itself in field \"self\", and ";
    assert!(told.starts_with(fields) && told.contains("without those fields"), "{told}");
    let reader_schema =
        record(&format!(r#"{{"name":"id","type":"int"}}, {wide}, {{"name":"inner","type":{inner_type}}}"#));
    let reader = ReaderSchema::parse(&reader_schema).expect("two fields are columns");
    assert_eq!(reader.check_writer(&schema.as_str().into()).expect("a schema"), []);
    let left_out: Vec<_> = reader.left_out().iter().map(|l| format!("{}: {}", l.field, l.reason)).collect();
    assert_eq!(left_out, ["wide: decimal(99,0) has more than 76 digits"]);
    let inner = |x| Avro::Record(vec![("x".into(), Avro::Long(x))]);
    let any = |branch, value| Avro::Union(branch, Box::new(value));
    let value = |id, chosen: Avro, own: Avro| {
        Avro::Record(vec![
            ("id".into(), Avro::Int(id)),
            ("any".into(), chosen),
            ("wide".into(), Avro::Array(vec![Avro::Decimal([5].into())])),
            ("self".into(), own),
            ("inner".into(), inner(i64::from(id) + 100)),
        ])
    };
    let none = || any(0, Avro::Null);
    let nested = value(8, any(0, Avro::Int(5)), none());
    let values = [
        value(1, any(0, Avro::Int(-1)), none()),
        value(2, any(1, Avro::String("text".into())), none()),
        value(3, any(2, inner(7)), any(1, nested)),
    ];
    let mut decoder = decoder(&reader_schema, Fixed::of(&[(1, &schema)]));
    let mut records: Vec<_> = values.iter().map(|value| framed(1, &body(&schema, value))).collect();
    // A branch that there is not, and a value that ends inside the field.
    let mut broken = body(&schema, &values[0]);
    broken[1] = 8;
    records.extend([framed(1, &broken), framed(1, &body(&schema, &values[1])[..3])]);
    let decoded = decode(&mut decoder, &records);
    let row = |id: i64| json!({"id": id, "inner": {"x": id + 100}});
    assert_eq!(rows(&decoded.batch), [row(1), row(2), row(3)]);
    assert_eq!(decoded.rejected.len(), 2);
}
