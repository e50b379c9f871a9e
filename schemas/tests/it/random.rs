//! Random values: what apache-avro wrote is what we read.

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use proptest::prelude::*;
use weir_schemas::{Decoder, ReaderSchema};

use crate::support::{Fixed, avro_json, body, decode, framed, row};

const SCHEMA: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"long"},
    {"name":"country","type":"string"},
    {"name":"amount","type":["null","double"]},
    {"name":"ordered_at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
        {"name":"sku","type":["string","null"]},{"name":"n","type":"int"}]}}},
    {"name":"labels","type":{"type":"map","values":"bytes"}},
    {"name":"address","type":["null",{"type":"record","name":"Address","fields":[
        {"name":"city","type":"string"},{"name":"flags","type":{"type":"array","items":["null","boolean"]}},
        {"name":"hash","type":{"type":"fixed","name":"Hash","size":4}},
        {"name":"at","type":["null",{"type":"record","name":"At","fields":[{"name":"lat","type":"float"}]}]}]}]}
]}"#;

fn nullable(null_first: bool, value: BoxedStrategy<Avro>) -> BoxedStrategy<Avro> {
    let (null, some) = if null_first { (0, 1) } else { (1, 0) };
    prop_oneof![
        Just(Avro::Union(null, Box::new(Avro::Null))),
        value.prop_map(move |value| Avro::Union(some, Box::new(value))),
    ]
    .boxed()
}

fn record<const N: usize>(fields: [(&'static str, BoxedStrategy<Avro>); N]) -> BoxedStrategy<Avro> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values
        .prop_map(move |values| Avro::Record(names.iter().map(ToString::to_string).zip(values).collect()))
        .boxed()
}

fn text() -> BoxedStrategy<Avro> {
    ".{0,12}".prop_map(Avro::String).boxed()
}

fn array(item: BoxedStrategy<Avro>) -> BoxedStrategy<Avro> {
    prop::collection::vec(item, 0..4).prop_map(Avro::Array).boxed()
}

fn order() -> BoxedStrategy<Avro> {
    let line = record([("sku", nullable(false, text())), ("n", any::<i32>().prop_map(Avro::Int).boxed())]);
    let labels = prop::collection::hash_map(".{0,4}", any::<Vec<u8>>().prop_map(Avro::Bytes), 0..3);
    let at = record([("lat", any::<f32>().prop_map(Avro::Float).boxed())]);
    let address = record([
        ("city", text()),
        ("flags", array(nullable(true, any::<bool>().prop_map(Avro::Boolean).boxed()))),
        ("hash", any::<[u8; 4]>().prop_map(|hash| Avro::Fixed(4, hash.to_vec())).boxed()),
        ("at", nullable(true, at)),
    ]);
    record([
        ("id", any::<i64>().prop_map(Avro::Long).boxed()),
        ("country", text()),
        ("amount", nullable(true, any::<f64>().prop_map(Avro::Double).boxed())),
        ("ordered_at", any::<i64>().prop_map(Avro::TimestampMicros).boxed()),
        ("lines", array(line)),
        ("labels", labels.prop_map(Avro::Map).boxed()),
        ("address", nullable(true, address)),
    ])
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        orders in prop::collection::vec(order(), 0..20),
        columns in prop::sample::subsequence((0usize..7).collect::<Vec<_>>(), 0..=7).prop_shuffle(),
    ) {
        let values: Vec<_> = orders.iter().map(|order| framed(1, &body(SCHEMA, order))).collect();
        let reader = Arc::new(ReaderSchema::parse(SCHEMA).expect("valid"));
        let names: Vec<_> = columns.iter().map(|&i| reader.arrow_schema().field(i).name().clone()).collect();
        let mut decoder = Decoder::new(reader, columns, Fixed::of(&[(1, SCHEMA)])).expect("they exist");
        // Three times: memory that was handed out must start empty, and be left alone by what comes next
        // as long as somebody has it.
        let first = decode(&mut decoder, &values);
        let others: Vec<_> = values.iter().rev().skip(1).cloned().collect();
        drop(decode(&mut decoder, &others));
        for decoded in [first, decode(&mut decoder, &values)] {
            prop_assert_eq!(&decoded.rejected, &[]);
            prop_assert_eq!(decoded.batch.num_rows(), orders.len());
            for (i, order) in orders.iter().enumerate() {
                let mut expected = avro_json(order.clone());
                expected.as_object_mut().expect("a record").retain(|name, _| names.contains(name));
                prop_assert_eq!(row(&decoded.batch, i), expected);
            }
        }
    }

    /// Same arrays as those of Arrow's own decoder: types, nulls, offsets.
    #[test]
    fn batches_equal_those_of_arrow_avro(orders in prop::collection::vec(order(), 1..20)) {
        let values: Vec<_> = orders.iter().map(|order| framed(1, &body(SCHEMA, order))).collect();
        let reader = Arc::new(ReaderSchema::parse(SCHEMA).expect("valid"));
        let mut decoder = Decoder::new(reader, (0..7).collect(), Fixed::of(&[(1, SCHEMA)])).expect("they exist");
        let ours = decode(&mut decoder, &values).batch;

        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(Fingerprint::Id(1), AvroSchema::new(SCHEMA.into())).expect("valid");
        let mut theirs = ReaderBuilder::new().with_writer_schema_store(store).build_decoder().expect("valid");
        for value in &values {
            theirs.decode(value).expect("a good record");
        }
        let theirs = theirs.flush().expect("good records").expect("at least one");
        for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
            // They put the names of Avro types into the metadata of fields; else all is the same.
            prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        }
    }
}
