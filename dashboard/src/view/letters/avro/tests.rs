//! Values that are whole, broken, cut and hostile.

use proptest::prelude::*;

use super::*;

const ORDER: &str = r#"{"type": "record", "name": "order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "country", "type": "string"},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
    {"name": "channel", "type": {"type": "enum", "name": "channel", "symbols": ["web", "phone"]}},
    {"name": "coupon", "type": ["null", "string"]},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "line", "fields": [
        {"name": "n", "type": "int"}, {"name": "ratio", "type": "double"}]}}},
    {"name": "tags", "type": {"type": "map", "values": "boolean"}},
    {"name": "channel_before", "type": "channel"}
]}"#;

/// A value of [`ORDER`].
fn order() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 7];
    bytes.extend([84]); // id 42
    bytes.extend([0x80, 0x88, 0x85, 0xb2, 0xc0, 0x68]); // at
    bytes.extend([4, b'D', b'E']);
    bytes.extend([4, 0xfb, 0x2e]); // -12.34
    bytes.extend([2]); // phone
    bytes.extend([2, 2, b'x']); // coupon "x"
    bytes.extend([2, 6]); // one line: n 3
    bytes.extend(1.5_f64.to_le_bytes());
    bytes.extend([0]);
    bytes.extend([1, 6, 2, b'a', 1, 0]); // a block with its size: {"a": true}
    bytes.extend([0]); // web
    bytes
}

fn schema() -> Schema {
    Schema::parse(ORDER, &[]).expect("a schema")
}

fn texts(decoded: &Decoded) -> Vec<String> {
    decoded.fields.iter().map(|field| format!("{} = {}", field.path, field.text)).collect()
}

#[test]
fn whole_record_is_read_with_its_places() {
    let bytes = order();
    let decoded = decode(&bytes, &schema());
    assert_eq!(decoded.end, End::Whole);
    assert_eq!(
        texts(&decoded),
        [
            "id = 42",
            "at = 1795348800000 = 2026-11-22T12:00:00Z",
            "country = DE",
            "amount = -12.34",
            "channel = phone",
            "coupon = x",
            "lines[0].n = 3",
            "lines[0].ratio = 1.5",
            "tags[\"a\"] = true",
            "channel_before = web",
        ]
    );
    assert_eq!(decoded.fields[1].type_name, "long (timestamp-millis)");
    assert_eq!((decoded.fields[0].bytes.clone(), decoded.fields[2].bytes.clone()), (5..6, 12..15));
    assert_eq!(&bytes[decoded.fields[5].bytes.clone()], [2, 2, b'x'], "the branch belongs to its value");
    assert_eq!(schema_id(&bytes), Some(7));
}

#[test]
fn broken_records_say_where() {
    let mut bytes = order();
    bytes.truncate(14);
    let decoded = decode(&bytes, &schema());
    assert_eq!(texts(&decoded).len(), 2);
    assert_eq!(
        decoded.end.sentence(bytes.len()),
        "Decoding stops at country, byte 12 of 14: its length is 2, and 1 bytes are left."
    );
    assert_eq!(decoded.end.bytes(bytes.len()), Some(12..14));
    let mut bytes = order();
    bytes.extend([1, 2, 3]);
    let n = bytes.len();
    assert_eq!(decode(&bytes, &schema()).end, End::Trailing { at: n - 3 });
    let text = Schema::parse(r#""string""#, &[]).expect("a schema");
    let decoded = decode(&[0, 0, 0, 0, 1, 2, 0xff], &text);
    assert_eq!(decoded.end.sentence(7), "Decoding stops at value, byte 5 of 7: it is not UTF-8.");
    assert_eq!(decode(&[1], &text).fields, []);
}

#[test]
fn references_and_namespaces_are_followed() {
    let money = r#"{"type": "fixed", "name": "common.money", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1}"#;
    let order =
        r#"{"type": "record", "name": "order", "fields": [{"name": "price", "type": "common.money"}]}"#;
    let schema = Schema::parse(order, &[money.to_owned()]).expect("a schema");
    assert_eq!(texts(&decode(&[0, 0, 0, 0, 1, 0, 25], &schema)), ["price = 2.5"]);
    let lost = Schema::parse(order, &[]).expect("a schema");
    assert!(matches!(decode(&[0, 0, 0, 0, 1, 0, 25], &lost).end, End::Broken { .. }));
    assert!(Schema::parse("{", &[]).is_err());
    assert!(Schema::parse(r#"{"type": "fixed", "name": "x"}"#, &[]).is_err());
}

#[test]
fn hostile_schemas_and_counts_end() {
    let endless = r#"{"type": "record", "name": "a", "fields": [{"name": "next", "type": "a"}]}"#;
    let schema = Schema::parse(endless, &[]).expect("a schema");
    assert!(matches!(decode(&[0; 9], &schema).end, End::Broken { .. }));
    let nothing = r#"{"type": "array", "items": {"type": "record", "name": "e", "fields": []}}"#;
    let schema = Schema::parse(nothing, &[]).expect("a schema");
    let huge = [0, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(decode(&huge, &schema).end, End::Cut);
    let nulls = Schema::parse(r#"{"type": "array", "items": "null"}"#, &[]).expect("a schema");
    let decoded = decode(&huge, &nulls);
    assert_eq!((decoded.fields.len(), decoded.end), (FIELDS_MAX, End::Cut));
    let deep = format!("{}\"int\"{}", "[".repeat(200), "]".repeat(200));
    assert!(Schema::parse(&deep, &[]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let decoded = decode(&bytes, &schema());
        prop_assert!(decoded.fields.len() <= FIELDS_MAX);
        for field in &decoded.fields {
            prop_assert!(field.bytes.start <= field.bytes.end && field.bytes.end <= bytes.len());
        }
    }

    /// Whatever is cut off, what was read before stays the same.
    #[test]
    fn cut_records_are_read_up_to_the_cut(n in 5..40_usize) {
        let bytes = order();
        let whole = decode(&bytes, &schema());
        let n = n.min(bytes.len());
        let part = decode(&bytes[..n], &schema());
        prop_assert_eq!(&part.fields[..], &whole.fields[..part.fields.len()]);
    }
}
