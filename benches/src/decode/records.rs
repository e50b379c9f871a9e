//! What the decoders are compared with: schemas, and records of them.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bids::{self, Bids};
use crate::random::Random;

/// As the engine's source subtasks take them.
pub(super) const RECORDS_PER_BATCH: usize = 8_192;
/// 7 MB of bids: more than a processor's own caches, as it is with what Kafka answers.
const BATCHES: usize = 8;

/// The id of the writer schema.
pub(super) const SCHEMA_ID: u32 = 1;

/// What is read of what.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    writer: Writer,
    /// The fields that are wanted; empty: all.
    wanted: &'static [usize],
    /// Every thousandth record is bad, in one of two ways in turns: cut off, or with a text that is not UTF-8.
    pub(super) has_bad: bool,
    /// The batches are summed up by `auction`.
    pub(super) aggregates: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Writer {
    Bid,
    Person,
    Auction,
    Nested,
    Wide,
}

pub(super) const CASES: [Case; 9] = [
    case("bid", Writer::Bid, &[]),
    case("bid: auction, price, date_time", Writer::Bid, &[0, 2, 5]),
    Case { aggregates: true, ..case("the same, and count, sum, max by auction", Writer::Bid, &[0, 2, 5]) },
    Case { has_bad: true, ..case("bid, 0.1% bad", Writer::Bid, &[]) },
    case("person", Writer::Person, &[]),
    case("auction", Writer::Auction, &[]),
    case("nested", Writer::Nested, &[]),
    case("100 columns", Writer::Wide, &[]),
    case("100 columns: 10 of them", Writer::Wide, &[3, 10, 20, 33, 44, 50, 61, 75, 88, 99]),
];

const fn case(name: &'static str, writer: Writer, wanted: &'static [usize]) -> Case {
    Case { name, writer, wanted, has_bad: false, aggregates: false }
}

const PERSON: &str = r#"{"type": "record", "name": "person", "fields": [
    {"name": "id", "type": "long"},
    {"name": "name", "type": {"type": "string", "length": 14}},
    {"name": "email", "type": {"type": "string", "length": 24}},
    {"name": "credit_card", "type": {"type": "string", "length": 19}},
    {"name": "city", "type": {"type": "string", "length": 10}},
    {"name": "state", "type": {"type": "string", "length": 2}},
    {"name": "date_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "extra", "type": {"type": "string", "length": 60}}
]}"#;

const AUCTION: &str = r#"{"type": "record", "name": "auction", "fields": [
    {"name": "id", "type": "long"},
    {"name": "item_name", "type": {"type": "string", "length": 20}},
    {"name": "description", "type": {"type": "string", "length": 100}},
    {"name": "initial_bid", "type": "long"},
    {"name": "reserve", "type": "long"},
    {"name": "date_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "expires", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "seller", "type": "long"},
    {"name": "category", "type": "long"},
    {"name": "extra", "type": {"type": "string", "length": 200}}
]}"#;

const NESTED: &str = r#"{"type": "record", "name": "order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "ordered_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "customer", "type": {"type": "record", "name": "customer", "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": {"type": "string", "length": 16}},
        {"name": "address", "type": ["null", {"type": "record", "name": "address", "fields": [
            {"name": "street", "type": {"type": "string", "length": 20}},
            {"name": "city", "type": {"type": "string", "length": 10}},
            {"name": "zip", "type": "int"}]}]}]}},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "line", "fields": [
        {"name": "sku", "type": {"type": "string", "length": 12}},
        {"name": "n", "type": "int"},
        {"name": "price", "type": "double"}]}}},
    {"name": "labels", "type": {"type": "map", "values": {"type": "string", "length": 8}}},
    {"name": "state", "type": {"type": "enum", "name": "state", "symbols": ["NEW", "PAID", "SENT"]}},
    {"name": "note", "type": ["null", {"type": "string", "length": 30}]}
]}"#;

/// Values behind one another, and where each begins and how long it is.
pub(super) struct Batch {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
}

impl Batch {
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|(start, n)| &self.bytes[*start as usize..*start as usize + *n as usize])
    }
}

impl Case {
    pub(super) fn writer_schema(&self) -> String {
        match self.writer {
            Writer::Bid => bids::SCHEMA.to_owned(),
            Writer::Person => PERSON.to_owned(),
            Writer::Auction => AUCTION.to_owned(),
            Writer::Nested => NESTED.to_owned(),
            Writer::Wide => wide(),
        }
    }

    pub(super) fn without_bad(&self) -> Self {
        Self { has_bad: false, ..*self }
    }

    /// The writer schema with the wanted fields alone.
    pub(super) fn reader_schema(&self) -> Result<String> {
        let mut schema: Value = serde_json::from_str(&self.writer_schema())?;
        let fields = schema["fields"].as_array_mut().context("a record has fields")?;
        if !self.wanted.is_empty() {
            *fields = self.wanted.iter().map(|index| fields[*index].clone()).collect();
        }
        Ok(schema.to_string())
    }

    /// The same ones in every run.
    pub(super) fn batches(&self) -> Result<Vec<Batch>> {
        let schema: Value = serde_json::from_str(&self.writer_schema())?;
        let (mut bids, mut random, mut value) = (Bids::new(SCHEMA_ID), Random(2), Vec::new());
        let mut n_made = 0;
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            let mut batch = Batch { bytes: Vec::new(), spans: Vec::new() };
            for _ in 0..RECORDS_PER_BATCH {
                if self.writer == Writer::Bid {
                    bids.next(&mut value);
                } else {
                    value.clear();
                    value.push(0);
                    value.extend_from_slice(&SCHEMA_ID.to_be_bytes());
                    datum(&schema, &mut random, &mut value)?;
                }
                n_made += 1;
                if self.has_bad && n_made % 1_000 == 0 {
                    match n_made / 1_000 % 2 {
                        0 => drop(value.pop()),
                        // The last letter of `extra`, or its length.
                        _ => *value.last_mut().context("a value has a header")? = 0xff,
                    }
                }
                batch.spans.push((batch.bytes.len() as u32, value.len() as u32));
                batch.bytes.extend_from_slice(&value);
            }
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// 40 numbers, 20 texts, 20 numbers that may be null, and 20 of other types.
fn wide() -> String {
    let types = [
        r#""long""#,
        r#"{"type": "string", "length": 12}"#,
        r#"["null", "double"]"#,
        r#""long""#,
        r#""boolean""#,
        r#"{"type": "long", "logicalType": "timestamp-millis"}"#,
        r#"{"type": "string", "length": 6}"#,
        r#"["null", "long"]"#,
        r#""int""#,
        r#""double""#,
    ];
    let mut schema = r#"{"type": "record", "name": "wide", "fields": ["#.to_owned();
    for column in 0..100 {
        let separator = if column == 0 { "" } else { ", " };
        let data_type = types[column % types.len()];
        write!(schema, r#"{separator}{{"name": "c{column}", "type": {data_type}}}"#)
            .expect("a string takes everything");
    }
    schema + "]}"
}

/// Appends a random value of a schema, in which no type is named twice. Texts are around their `length`.
fn datum(schema: &Value, random: &mut Random, to: &mut Vec<u8>) -> Result<()> {
    if let Some(branches) = schema.as_array() {
        let branch = if random.below(4) == 0 { 0 } else { branches.len() - 1 };
        long(to, branch as i64);
        return datum(&branches[branch], random, to);
    }
    let parts = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    match schema.as_str().or(schema["type"].as_str()).unwrap_or_default() {
        "null" => {}
        "boolean" => to.push(random.below(2) as u8),
        "int" => long(to, random.below(100_000) as i64),
        "long" if schema["logicalType"] == "timestamp-micros" => {
            long(to, 1_436_918_400_000_000 + random.below(1 << 40) as i64);
        }
        "long" if schema.is_object() => long(to, 1_436_918_400_000 + random.below(1 << 30) as i64),
        // As many digits as there are, of each number of them.
        "long" => {
            let shift = random.below(40);
            long(to, random.below((1 << 40) >> shift) as i64);
        }
        "double" => to.extend_from_slice(&(random.fraction() * 1e3).to_le_bytes()),
        "string" => text(schema["length"].as_u64().unwrap_or(10), random, to),
        "enum" => long(to, random.below(parts("symbols").len() as u64) as i64),
        "array" | "map" => {
            let n = 1 + random.below(4);
            long(to, n as i64);
            for _ in 0..n {
                if schema["type"] == "map" {
                    text(6, random, to);
                }
                let item = if schema["type"] == "map" { &schema["values"] } else { &schema["items"] };
                datum(item, random, to)?;
            }
            long(to, 0);
        }
        "record" => {
            for field in parts("fields") {
                datum(&field["type"], random, to)?;
            }
        }
        other => bail!("no values of type {other:?}"),
    }
    Ok(())
}

fn text(length: u64, random: &mut Random, to: &mut Vec<u8>) {
    let n = length / 2 + random.below(length + 1);
    long(to, n as i64);
    for _ in 0..n {
        to.push(b'a' + random.below(26) as u8);
    }
}

fn long(to: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while 0x80 <= left {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}
