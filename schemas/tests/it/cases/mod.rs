//! A table of cases of schema resolution, read by this crate and by apache-avro side by side.
//!
//! The tables are the JSON files beside this one: groups by section of the Avro 1.12 specification, and in each case
//! a `writer` and a `reader`, the types of a field `x` of a record `shop.R`, a `datum` in Avro's JSON encoding, and
//! the `value` that is read or the `error` that it becomes: a dead letter's reason, or `reader` for a reader schema
//! that is refused, of which `detail` is a part. No `writer`: the field is missing. `default` is the reader's.
//!
//! `apache_avro` and `java` are what these read (`"value"`) or that they refuse (`"error"`) where it is something
//! else, and `why` says in a sentence who is right. apache-avro's answers are asserted here, so that a change of them
//! is seen; those of Apache Avro for Java by `Oracle.java`, by hand.

mod datum;
mod names;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde_json::{Map, Value as Json, json};
use weir_schemas::{Decoder, ReaderSchema};

pub(crate) use self::datum::encode;
use self::names::Names;
use crate::support::{Fixed, decode, decoder, framed, row};

/// What became of a datum: the value of `x`, or the reason and the text of its refusal.
pub(crate) type Verdict = Result<Json, (String, String)>;

#[test]
fn primitive_types_are_promoted_as_specified() {
    let table: Json = serde_json::from_str(include_str!("primitives.json")).expect("JSON");
    let mut failures = Vec::new();
    let datums = table["datums"].as_object().expect("an object");
    for (writer, datum) in datums {
        for reader in datums.keys() {
            let mut case = json!({
                "name": format!("{writer} as {reader}"), "writer": writer, "reader": reader, "datum": datum,
            });
            match table["reads"][writer].get(reader) {
                Some(value) => case["value"] = value.clone(),
                None => {
                    case["error"] = "incompatible_schema".into();
                    case["detail"] = format!("x: the writer's {writer} can't be read as {reader}: ").into();
                }
            }
            if let Some(value) = table["apache_avro"][writer].get(reader) {
                case["apache_avro"] = json!({ "value": value });
                case["why"] = table["why"].clone();
            }
            check(&case, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check_all(table: &str) {
    let groups: Vec<Json> = serde_json::from_str(table).expect("a table is JSON");
    let mut failures = Vec::new();
    for group in &groups {
        let section = group["section"].as_str().expect("a group is of a section");
        for case in group["cases"].as_array().expect("a group has cases") {
            let n_before = failures.len();
            check(case, &mut failures);
            failures[n_before..].iter_mut().for_each(|failure| *failure = format!("{section}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn records_arrays_and_maps() {
    check_all(include_str!("records.json"));
}

#[test]
fn enums_and_fixed() {
    check_all(include_str!("enums_fixed.json"));
}

#[test]
fn unions() {
    check_all(include_str!("unions.json"));
}

#[test]
fn logical_types() {
    check_all(include_str!("logical.json"));
}

#[test]
fn defaults() {
    check_all(include_str!("defaults.json"));
}

fn check(case: &Json, failures: &mut Vec<String>) {
    let name = case["name"].as_str().expect("a case has a name");
    let writer = record(case.get("writer"), None);
    let reader = record(case.get("reader"), case.get("default"));
    let body = encode(&writer, &case["datum"]);

    let ours = ours(&writer, &reader, &body);
    let wanted = match (case.get("value"), &ours) {
        (Some(value), ours) => ours.as_ref() == Ok(value),
        (None, Ok(_)) => false,
        (None, Err((reason, detail))) => {
            let part = case["detail"].as_str().expect("a refused case has a detail");
            case["error"] == **reason && detail.contains(part)
        }
    };
    if !wanted {
        failures.push(format!("{name}: {ours:?}"));
    }

    let theirs = apache_avro(&writer, &reader, &body);
    let expected = case.get("apache_avro").unwrap_or(case).get("value");
    if theirs.as_ref() != expected {
        failures.push(format!("{name}, apache-avro: {theirs:?}, not {expected:?}"));
    }
    for other in ["apache_avro", "java"].iter().filter_map(|library| case.get(library)) {
        if other.get("value") == case.get("value") || !case["why"].is_string() {
            failures.push(format!("{name}: {other} is no other answer, or nobody says why"));
        }
    }
}

/// A record of the field `x`, or of none.
fn record(field_type: Option<&Json>, default: Option<&Json>) -> Json {
    let field = field_type.map(|field_type| {
        let mut field = Map::new();
        field.insert("name".into(), "x".into());
        field.insert("type".into(), field_type.clone());
        default.map(|default| field.insert("default".into(), default.clone()));
        Json::from(field)
    });
    json!({"type": "record", "name": "R", "namespace": "shop", "fields": Vec::from_iter(field)})
}

pub(crate) fn ours(writer: &Json, reader: &Json, body: &[u8]) -> Verdict {
    let (writer, reader) = (writer.to_string(), reader.to_string());
    if let Err(error) = ReaderSchema::parse(&reader) {
        return Err(("reader".into(), error.to_string()));
    }
    let registry = Fixed::of(&[(1, &writer)]);
    let record = [framed(1, body)];
    let decoded = decode(&mut decoder(&reader, registry.clone()), &record);
    let parsed = ReaderSchema::parse(&reader).expect("it was parsed before").into();
    let counted = decode(&mut Decoder::new(parsed, vec![], registry).expect("no columns"), &record);
    assert_eq!(decoded.rejected, counted.rejected, "whatever columns are asked for");
    match decoded.rejected.first() {
        None => Ok(row(&decoded.batch, 0)["x"].clone()),
        Some(rejected) => Err((rejected.reason.as_str().into(), rejected.detail.clone())),
    }
}

/// `None` where it refuses.
pub(crate) fn apache_avro(writer: &Json, reader: &Json, body: &[u8]) -> Option<Json> {
    let (writer, reader) = (Schema::parse(writer).ok()?, Schema::parse(reader).ok()?);
    let datum = GenericDatumReader::builder(&writer).reader_schema(&reader).build().ok()?;
    let value = datum.read_value(&mut &*body).ok()?;
    Some(Names::of(&reader).plain(&reader, value)["x"].clone())
}
