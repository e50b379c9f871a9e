//! What is encoded: our decoder and apache-avro read the same values.

use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray,
    FixedSizeListArray, Float64Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray,
    StructArray, Time32MillisecondArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, UnionFields, UnionMode, i256};
use proptest::prelude::*;
use weir_schemas::encode::WriterSchema;
use weir_schemas::wire::SchemaId;
use weir_schemas::{EncodeError, Encoded};

use crate::support::{Fixed, avro_json, decode, decoder, row};

/// Numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    /// Small ones and large ones alike.
    fn long(&mut self) -> i64 {
        let shift = self.below(64);
        (self.next() as i64) >> shift
    }

    fn longs(&mut self, n: usize) -> Vec<i64> {
        (0..n).map(|_| self.long()).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.next() as u8).collect()
    }

    fn nulls(&mut self, n: usize, nullable: bool) -> Option<NullBuffer> {
        nullable.then(|| NullBuffer::from_iter((0..n).map(|_| self.below(3) != 0)))
    }

    fn field(&mut self, name: &str, depth: usize) -> Field {
        let nullable = self.below(2) == 0;
        Field::new(name, self.data_type(depth), nullable)
    }

    /// A type that comes back as itself.
    fn data_type(&mut self, depth: usize) -> DataType {
        let units = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        match self.below(if depth == 0 { 13 } else { 16 }) {
            0 => DataType::Boolean,
            1 => DataType::Int32,
            2 => DataType::Int64,
            3 => DataType::Float32,
            4 => DataType::Float64,
            5 => DataType::Utf8,
            6 => DataType::Binary,
            7 => DataType::Date32,
            8 => [DataType::Time32(units[0]), DataType::Time64(units[1])][self.below(2)].clone(),
            9 => DataType::Timestamp(units[self.below(3)], None),
            10 => DataType::Timestamp(units[self.below(3)], Some("+00:00".into())),
            11 => [DataType::Decimal128(38, 4), DataType::Decimal256(60, 9)][self.below(2)].clone(),
            12 => DataType::FixedSizeBinary(3),
            13 => DataType::List(Arc::new(self.field("item", depth - 1))),
            14 => {
                let entries = vec![Field::new("key", DataType::Utf8, false), self.field("value", depth - 1)];
                let entries = DataType::Struct(Fields::from(entries));
                DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
            }
            _ => {
                let fields: Vec<_> =
                    (0..=self.below(3)).map(|i| self.field(&format!("f{i}"), depth - 1)).collect();
                DataType::Struct(Fields::from(fields))
            }
        }
    }

    fn array(&mut self, field: &Field, n: usize) -> ArrayRef {
        let nulls = self.nulls(n, field.is_nullable());
        match field.data_type() {
            DataType::Boolean => {
                Arc::new(BooleanArray::new((0..n).map(|_| self.below(2) == 0).collect(), nulls))
            }
            DataType::Float32 | DataType::Float64 => {
                let bits = (0..n).map(|_| f64::from_bits(self.next())).collect();
                cast(&(Arc::new(Float64Array::new(bits, nulls)) as ArrayRef), field.data_type())
                    .expect("a float")
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let times = (0..n).map(|_| self.below(86_400_000) as i32).collect::<Vec<_>>();
                let millis = Time32MillisecondArray::new(times.into(), nulls);
                cast(&(Arc::new(millis) as ArrayRef), field.data_type()).expect("a time")
            }
            DataType::Int64 | DataType::Timestamp(..) => {
                let longs = Int64Array::new(self.longs(n).into(), nulls);
                cast(&(Arc::new(longs) as ArrayRef), field.data_type()).expect("of 64 bits")
            }
            DataType::Int32 | DataType::Date32 => {
                let ints = Int32Array::new(self.longs(n).iter().map(|long| *long as i32).collect(), nulls);
                cast(&(Arc::new(ints) as ArrayRef), field.data_type()).expect("of 32 bits")
            }
            DataType::Decimal128(precision, scale) => {
                let values = self.longs(n).iter().map(|long| i128::from(*long) * 1_000_000_007).collect();
                let array = Decimal128Array::new(values, nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale).expect("it fits"))
            }
            DataType::Decimal256(precision, scale) => {
                let wide = |long: &i64| i256::from_i128(i128::from(*long) * 1_000_000_007);
                let values = self.longs(n).iter().map(wide).collect();
                let array = Decimal256Array::new(values, nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale).expect("it fits"))
            }
            DataType::Utf8 => {
                let texts = (0..n).map(|i| Some(format!("{i}é{}", self.long())));
                with_nulls(&(Arc::new(texts.collect::<StringArray>()) as ArrayRef), nulls)
            }
            DataType::Binary => {
                let texts = (0..n).map(|_| Some(self.bytes()));
                with_nulls(&(Arc::new(texts.collect::<BinaryArray>()) as ArrayRef), nulls)
            }
            DataType::FixedSizeBinary(3) => {
                let values: Vec<u8> = (0..3 * n).map(|_| self.next() as u8).collect();
                Arc::new(FixedSizeBinaryArray::new(3, values.into(), nulls))
            }
            DataType::List(item) => {
                let lengths: Vec<_> = (0..n).map(|_| self.below(4)).collect();
                let items = self.array(item, lengths.iter().sum());
                Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, nulls))
            }
            DataType::Map(entries, _) => {
                let lengths: Vec<_> = (0..n).map(|_| self.below(4)).collect();
                let all =
                    self.array(&Field::new("all", entries.data_type().clone(), false), lengths.iter().sum());
                let all = all.as_any().downcast_ref::<StructArray>().expect("entries").clone();
                Arc::new(MapArray::new(
                    Arc::clone(entries),
                    OffsetBuffer::from_lengths(lengths),
                    all,
                    nulls,
                    false,
                ))
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().map(|field| self.array(field, n)).collect();
                Arc::new(StructArray::new(fields.clone(), columns, nulls))
            }
            other => unreachable!("data_type never makes {other}"),
        }
    }
}

fn with_nulls(array: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let data = array.to_data().into_builder().nulls(nulls).build().expect("as long as before");
    arrow::array::make_array(data)
}

fn encoded(schema: &WriterSchema, batch: &RecordBatch) -> Vec<Vec<u8>> {
    let mut encoded = Encoded::default();
    schema.encoder(SchemaId(7)).encode(batch, &mut encoded).expect("the schema is the batch's");
    (0..encoded.len()).map(|i| encoded.record(i).to_vec()).collect()
}

/// What apache-avro reads. Without a reader schema: it does not resolve a decimal of fewer bytes than
/// its precision could need.
fn by_apache(schema: &str, mut body: &[u8]) -> apache_avro::types::Value {
    let schema = apache_avro::Schema::parse_str(schema).expect("a schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    let value = reader.read_value(&mut body).expect("a value of the schema");
    assert_eq!(body, [0u8; 0], "it was read to its end");
    value
}

proptest! {
    #[test]
    fn decoders_read_what_was_encoded(seed in 1u64.., n in 0usize..30, n_columns in 1usize..8, first in 0usize..30) {
        let mut random = Random(seed);
        let fields: Vec<_> = (0..n_columns).map(|i| random.field(&format!("c{i}"), 2)).collect();
        let columns = fields.iter().map(|field| random.array(field, n)).collect();
        let arrow = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&arrow), columns).expect("as the fields say");
        // A slice: its arrays start in the middle of their buffers.
        let batch = batch.slice(first.min(n), n - first.min(n));
        let schema = WriterSchema::derive("shop.revenue", "Value", &arrow).expect("Avro has these types");

        let values = encoded(&schema, &batch);
        let decoded = decode(&mut decoder(schema.text(), Fixed::of(&[(7, schema.text())])), &values);
        prop_assert_eq!(&decoded.rejected, &[]);
        prop_assert_eq!(&decoded.batch, &batch, "{}", schema.text());
        for (i, value) in values.iter().enumerate() {
            prop_assert_eq!(avro_json(by_apache(schema.text(), &value[5..])), row(&batch, i));
        }
    }
}

/// Types that come back as another one: the values are those of a cast.
#[test]
fn other_types_come_back_as_the_nearest_of_the_same_values() {
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(100), Some(127)]));
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some(""), None, Some("a text of over 12 bytes"), Some("é")]));
    let cases = [
        (&longs, DataType::Int8, DataType::Int32),
        (&longs, DataType::Int16, DataType::Int32),
        (&longs, DataType::UInt8, DataType::Int32),
        (&longs, DataType::UInt16, DataType::Int32),
        (&longs, DataType::UInt32, DataType::Int64),
        (&longs, DataType::UInt64, DataType::Decimal128(20, 0)),
        (&longs, DataType::Float16, DataType::Float32),
        (&longs, DataType::Decimal32(9, 2), DataType::Decimal128(9, 2)),
        (&longs, DataType::Decimal64(18, 2), DataType::Decimal128(18, 2)),
        (&texts, DataType::LargeUtf8, DataType::Utf8),
        (&texts, DataType::Utf8View, DataType::Utf8),
        (&texts, DataType::LargeBinary, DataType::Binary),
        (&texts, DataType::BinaryView, DataType::Binary),
        (
            &longs,
            DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into())),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
        ),
    ];
    for (array, from, to) in cases {
        let options = Default::default();
        let array = cast_with_options(array, &from, &options).expect("the values fit");
        let expected = cast_with_options(&array, &to, &options).expect("the values fit");
        let arrow = Arc::new(Schema::new(vec![Field::new("c", from.clone(), true)]));
        let batch = RecordBatch::try_new(Arc::clone(&arrow), vec![array]).expect("one column");
        let schema = WriterSchema::derive("n", "Value", &arrow).expect("Avro has a type");
        let values = encoded(&schema, &batch);
        let decoded = decode(&mut decoder(schema.text(), Fixed::of(&[(7, schema.text())])), &values);
        assert_eq!((&decoded.rejected[..], decoded.batch.column(0)), (&[][..], &expected), "{from}");
    }
    let largest =
        cast(&(Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef), &DataType::Decimal128(20, 0));
    let arrow = Arc::new(Schema::new(vec![Field::new("c", DataType::UInt64, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&arrow), vec![Arc::new(UInt64Array::from(vec![u64::MAX]))]);
    let schema = WriterSchema::derive("n", "Value", &arrow).expect("Avro has a type");
    let values = encoded(&schema, &batch.expect("one column"));
    let decoded = decode(&mut decoder(schema.text(), Fixed::of(&[(7, schema.text())])), &values);
    assert_eq!(decoded.batch.column(0), &largest.expect("20 digits"));
}

#[test]
fn lists_of_any_kind_are_arrays() {
    let item = Arc::new(Field::new("item", DataType::Int64, false));
    let items: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(Arc::clone(&item), 2, items, None));
    let fixed = fixed.slice(1, 2);
    let expected = cast(&fixed, &DataType::List(Arc::clone(&item))).expect("a list");
    for list in [Arc::clone(&fixed), cast(&fixed, &DataType::LargeList(item)).expect("a list")] {
        let arrow = Arc::new(Schema::new(vec![Field::new("c", list.data_type().clone(), false)]));
        let batch = RecordBatch::try_new(Arc::clone(&arrow), vec![list]).expect("one column");
        let schema = WriterSchema::derive("n", "Value", &arrow).expect("Avro has a type");
        let values = encoded(&schema, &batch);
        let decoded = decode(&mut decoder(schema.text(), Fixed::of(&[(7, schema.text())])), &values);
        assert_eq!(decoded.batch.column(0), &expected);
    }
}

/// Registered once means: not one byte changes.
#[test]
fn text_of_a_schema_is_pinned() {
    let place = Fields::from(vec![Field::new("city", DataType::Utf8, true)]);
    let arrow = Schema::new(vec![
        Field::new("window_start", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), false),
        Field::new("revenue", DataType::Decimal128(38, 2), true),
        Field::new(
            "places",
            DataType::List(Arc::new(Field::new("item", DataType::Struct(place), true))),
            false,
        ),
        Field::new("nothing", DataType::Null, true),
        Field::new("_final", DataType::Boolean, false),
    ]);
    let schema = WriterSchema::derive("shop.revenue", "Value", &arrow).expect("Avro has these types");
    let expected = concat!(
        r#"{"type":"record","name":"Value","namespace":"shop.revenue","fields":["#,
        r#"{"name":"window_start","type":{"type":"long","logicalType":"timestamp-millis"}},"#,
        r#"{"name":"revenue","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}],"default":null},"#,
        r#"{"name":"places","type":{"type":"array","items":["null",{"type":"record","name":"Value_places","fields":["#,
        r#"{"name":"city","type":["null","string"],"default":null}]}]}},"#,
        r#"{"name":"nothing","type":"null"},"#,
        r#"{"name":"_final","type":"boolean"}]}"#,
    );
    assert_eq!(schema.text(), expected);
}

#[test]
fn what_avro_has_no_type_or_name_for_is_refused_before_there_are_rows() {
    let refused = |name: &str, data_type: DataType| {
        let arrow = Schema::new(vec![Field::new(name, data_type, true)]);
        WriterSchema::derive("n", "Value", &arrow).expect_err("Avro can't").to_string()
    };
    let union = |types: &[DataType]| {
        let names =
            (0..).zip(types).map(|(id, of)| (id, Arc::new(Field::new(format!("b{id}"), of.clone(), true))));
        DataType::Union(names.collect::<UnionFields>(), UnionMode::Sparse)
    };
    let cases = [
        ("at", DataType::Timestamp(TimeUnit::Second, None), "TIMESTAMP(3)"),
        ("t", DataType::Time64(TimeUnit::Nanosecond), "TIME(6)"),
        ("d", DataType::Decimal128(5, -2), "scale -2"),
        ("i", DataType::Interval(arrow::datatypes::IntervalUnit::DayTime), "VARCHAR"),
        ("a b", DataType::Int64, "ASCII letters"),
        ("u", DataType::Struct(Fields::from(vec![Field::new("1", DataType::Int64, true)])), "field \"1\""),
        ("v", union(&[DataType::Utf8, DataType::Utf8]), "two of its types are Utf8"),
    ];
    for (name, data_type, word) in cases {
        let message = refused(name, data_type);
        assert!(message.starts_with(&format!("column \"{name}\": ")) && message.contains(word), "{message}");
    }
}

/// A union comes back as one that has null, in front, and its branches in their order.
#[test]
fn unions_are_unions_with_null() {
    let paid =
        r#"{"type": "record", "name": "Paid", "fields": [{"name": "amount", "type": ["null", "double"]}]}"#;
    let written = format!(
        r#"{{"type": "record", "name": "r", "namespace": "shop", "fields": [
            {{"name": "a", "type": ["string", "null", {paid}, {{"type": "array", "items": ["int", "boolean"]}}]}}]}}"#
    );
    let bodies: [&[u8]; 5] = [
        b"\x00\x02x",
        b"\x02",
        b"\x04\x00",
        b"\x04\x02\0\0\0\0\0\0\x04\x40",
        b"\x06\x04\x00\x0e\x02\x01\x00",
    ];
    let values: Vec<_> = bodies.iter().map(|body| [&[0, 0, 0, 0, 7], *body].concat()).collect();
    let batch = decode(&mut decoder(&written, Fixed::of(&[(7, &written)])), &values).batch;
    assert_eq!(batch.num_rows(), bodies.len());

    let schema = WriterSchema::derive("n", "Value", &batch.schema()).expect("Avro has unions");
    let expected = concat!(
        r#"{"type":"record","name":"Value","namespace":"n","fields":[{"name":"a","type":["null","string","#,
        r#"{"type":"record","name":"Value_a_Paid","fields":[{"name":"amount","type":["null","double"],"default":null}]},"#,
        r#"{"type":"array","items":["null","int","boolean"]}],"default":null}]}"#,
    );
    assert_eq!(schema.text(), expected);
    let again = encoded(&schema, &batch.slice(1, 4));
    let bodies: Vec<_> = again.iter().map(|value| &value[5..]).collect();
    assert_eq!(
        bodies,
        [&b"\x00"[..], b"\x04\x00", b"\x04\x02\0\0\0\0\0\0\x04\x40", b"\x06\x04\x02\x0e\x04\x01\x00"]
    );
    again.iter().for_each(|value| drop(by_apache(schema.text(), &value[5..])));
    let decoded = decode(&mut decoder(schema.text(), Fixed::of(&[(7, schema.text())])), &again);
    assert_eq!((&decoded.rejected[..], decoded.batch.num_rows()), (&[][..], 4));
}

#[test]
fn batch_of_other_columns_is_refused_and_leaves_nothing_behind() {
    let arrow = |data_type, nullable| Arc::new(Schema::new(vec![Field::new("c", data_type, nullable)]));
    let encoder = WriterSchema::derive("n", "Value", &arrow(DataType::Int64, false)).expect("a long");
    let encoder = encoder.encoder(SchemaId(1));
    let batch = |data_type: DataType, array: ArrayRef| {
        RecordBatch::try_new(arrow(data_type, true), vec![array]).expect("one column")
    };
    let mut into = Encoded::default();
    encoder.encode(&batch(DataType::Int64, Arc::new(Int64Array::from(vec![1]))), &mut into).expect("a long");
    let before = into.clone();
    let nulls = batch(DataType::Int64, Arc::new(Int64Array::from(vec![Some(2), None])));
    assert!(matches!(encoder.encode(&nulls, &mut into), Err(EncodeError::Null { .. })));
    let texts = batch(DataType::Utf8, new_null_array(&DataType::Utf8, 1));
    assert!(matches!(encoder.encode(&texts, &mut into), Err(EncodeError::Type { .. })));
    assert_eq!(into, before);
}
