//! What the tests share: encoding by apache-avro, values as JSON, registries that misbehave.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use serde_json::{Value as Json, json};
use weir_schemas::registry::{Registered, SubjectVersion};
use weir_schemas::wire::{SchemaId, header};
use weir_schemas::{DecodedBatch, Decoder, ReaderSchema, RegistryError, SchemaRegistry, SchemaText};

/// A registry of fixed answers: ids it lacks do not exist, others may be away.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    schemas: Mutex<HashMap<u32, Result<Arc<SchemaText>, RegistryError>>>,
}

impl Fixed {
    pub(crate) fn of(schemas: &[(u32, &str)]) -> Arc<Self> {
        let registry = Self::default();
        schemas.iter().for_each(|(id, text)| registry.set(*id, Ok(text)));
        Arc::new(registry)
    }

    pub(crate) fn set(&self, id: u32, schema: Result<&str, RegistryError>) {
        let schema = schema.map(|text| Arc::new(SchemaText::from(text)));
        self.schemas.lock().expect("no test panics while it holds it").insert(id, schema);
    }
}

impl SchemaRegistry for Fixed {
    fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        let missing = RegistryError::NotFound { what: format!("schema {id}") };
        self.schemas.lock().expect("as above").get(&id.0).cloned().unwrap_or(Err(missing))
    }

    fn subjects_of(&self, id: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Ok(vec![SubjectVersion { subject: "orders-value".into(), version: id.0 * 10 }])
    }

    fn latest(&self, _: &str) -> Result<Registered, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn versions(&self, _: &str) -> Result<Vec<u32>, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn version(&self, _: &str, _: u32) -> Result<Registered, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn register(&self, _: &str, _: &str) -> Result<SchemaId, RegistryError> {
        unreachable!("a decoder never registers")
    }
}

/// The body of `value`, as apache-avro writes it.
pub(crate) fn body(schema: &str, value: &Avro) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("the test's schema is valid");
    let writer = GenericDatumWriter::builder(&schema).build().expect("the schema stands for itself");
    writer.write_value_to_vec(value.clone()).expect("the value is of the schema")
}

/// The whole record value.
pub(crate) fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    let mut value = header(SchemaId(id)).to_vec();
    value.write_all(body).expect("a Vec takes everything");
    value
}

/// What apache-avro reads, in JSON as [`row`] gives it; `None` where it refuses.
pub(crate) fn oracle(writer: &str, reader: &str, body: &[u8]) -> Option<Json> {
    let writer = Schema::parse_str(writer).ok()?;
    let reader = Schema::parse_str(reader).ok()?;
    let datum = GenericDatumReader::builder(&writer).reader_schema(&reader).build().ok()?;
    datum.read_value(&mut &*body).ok().map(avro_json)
}

/// A decoder to all columns of `reader`.
pub(crate) fn decoder(reader: &str, registry: Arc<dyn SchemaRegistry>) -> Decoder {
    let reader = ReaderSchema::parse(reader).expect("the test's reader schema is valid");
    let columns = (0..reader.arrow_schema().fields().len()).collect();
    Decoder::new(Arc::new(reader), columns, registry).expect("all columns are the reader's")
}

pub(crate) fn decode(decoder: &mut Decoder, values: &[Vec<u8>]) -> DecodedBatch {
    decoder.decode(values.iter().map(|value| Some(value.as_slice())), 0).expect("nothing is fatal here")
}

/// A row as a JSON object.
pub(crate) fn row(batch: &RecordBatch, index: usize) -> Json {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    fields
        .map(|(field, column)| (field.name().clone(), arrow_json(column, index)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(crate) fn rows(batch: &RecordBatch) -> Vec<Json> {
    (0..batch.num_rows()).map(|index| row(batch, index)).collect()
}

fn float(value: f64) -> Json {
    // Bits, so that NaN equals itself and -0 does not equal 0.
    if value.is_nan() { json!("NaN") } else { json!(format!("{value:?}")) }
}

fn hex(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn big(decimal: &Decimal) -> Json {
    // It has none where it was made of none.
    let bytes: Vec<u8> = decimal.try_into().unwrap_or_default();
    let negative = bytes.first().is_some_and(|byte| 0x80 <= *byte);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide[16 - bytes.len()..].copy_from_slice(&bytes);
    json!(i128::from_be_bytes(wide).to_string())
}

pub(crate) fn avro_json(value: Avro) -> Json {
    match value {
        Avro::Null => Json::Null,
        Avro::Boolean(value) => json!(value),
        Avro::Int(n) | Avro::Date(n) | Avro::TimeMillis(n) => json!(n),
        Avro::Long(n)
        | Avro::TimeMicros(n)
        | Avro::TimestampMillis(n)
        | Avro::TimestampMicros(n)
        | Avro::TimestampNanos(n)
        | Avro::LocalTimestampMillis(n)
        | Avro::LocalTimestampMicros(n)
        | Avro::LocalTimestampNanos(n) => json!(n),
        Avro::Float(n) => float(f64::from(n)),
        Avro::Double(n) => float(n),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => hex(&bytes),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Duration(duration) => hex(&<[u8; 12]>::from(duration)),
        Avro::Uuid(uuid) => json!(uuid.to_string()),
        Avro::Decimal(decimal) => big(&decimal),
        Avro::Union(_, value) => avro_json(*value),
        Avro::Array(items) => items.into_iter().map(avro_json).collect(),
        Avro::Map(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, avro_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Avro::Record(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, avro_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => panic!("no test has {other:?}"),
    }
}

fn arrow_json(array: &ArrayRef, i: usize) -> Json {
    if array.is_null(i) || *array.data_type() == DataType::Null {
        return Json::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(i)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(i)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(i)),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(i))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(i)),
        DataType::Date32 => json!(array.as_primitive::<Date32Type>().value(i)),
        DataType::Time32(_) => json!(array.as_primitive::<Time32MillisecondType>().value(i)),
        DataType::Time64(_) => json!(array.as_primitive::<Time64MicrosecondType>().value(i)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            json!(array.as_primitive::<TimestampMillisecondType>().value(i))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(i))
        }
        DataType::Timestamp(_, _) => json!(array.as_primitive::<TimestampNanosecondType>().value(i)),
        DataType::Decimal128(_, _) => json!(array.as_primitive::<Decimal128Type>().value(i).to_string()),
        DataType::Decimal256(_, _) => json!(array.as_primitive::<Decimal256Type>().value(i).to_string()),
        DataType::Utf8 => json!(array.as_string::<i32>().value(i)),
        DataType::Binary => hex(array.as_binary::<i32>().value(i)),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(i)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(i);
            (0..items.len()).map(|i| arrow_json(&items, i)).collect()
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(i);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let entries = (0..keys.len()).map(|i| (keys.value(i).to_owned(), arrow_json(values, i)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
        DataType::Union(fields, _) => {
            let (union, chosen) = (array.as_union(), array.as_union().type_id(i));
            let name =
                fields.iter().find(|(id, _)| *id == chosen).map(|(_, field)| field.name()).expect("a branch");
            for (id, _) in fields.iter().filter(|(id, _)| *id != chosen) {
                assert!(
                    union.child(id).data_type() == &DataType::Null || union.child(id).is_null(i),
                    "{name}"
                );
            }
            match arrow_json(union.child(chosen), i) {
                Json::Null => Json::Null,
                value => json!({ name: value }),
            }
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let fields = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| (field.name().clone(), arrow_json(column, i)));
            fields.collect::<serde_json::Map<_, _>>().into()
        }
        other => panic!("no test has {other}"),
    }
}
