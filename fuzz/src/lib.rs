//! What is fuzzed: functions that take any bytes and panic where something does not hold.
//!
//! The fuzzer calls them, and so do the tests of `weir-schemas`, with what is in `corpus`. So this file needs nothing
//! but that crate.

use std::error::Error;
use std::sync::{Arc, LazyLock, Mutex};

use weir_schemas::registry::embedded::{Journal, Replay};
use weir_schemas::registry::{Language, Registered, SubjectVersion};
use weir_schemas::wire::{Fingerprint, Framing, WrittenBy};
use weir_schemas::{
    AnyDecoder, DecodedBatch, Decoder, Format, ReaderSchema, RegistryError, SchemaId, SchemaRegistry,
    SchemaText, wire,
};

/// A header is what was read, or there is none.
pub fn framing(data: &[u8]) {
    for framing in [Framing::Confluent, Framing::SingleObject] {
        match framing.parse(data) {
            Ok((WrittenBy::Id(id), body)) => assert_eq!([&wire::header(id)[..], body].concat(), data),
            Ok((WrittenBy::Fingerprint(fingerprint), body)) => {
                assert_eq!([&wire::single_object_header(fingerprint)[..], body].concat(), data);
            }
            Err(_) if framing == Framing::Confluent => assert!(data.len() < wire::HEADER_LEN || data[0] != 0),
            Err(_) => {
                assert!(data.len() < wire::SINGLE_OBJECT_HEADER_LEN || !data.starts_with(&[0xc3, 0x01]))
            }
        }
    }
}

/// Any text is refused as a schema, or one that its own records fit.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = SchemaText::from(text);
    if let Ok(reader) = ReaderSchema::parse(READER) {
        // Incompatible or not: the fewer the better.
        let issues = reader.check_writer(&text).map_or(0, |issues| issues.len());
        assert!(issues < 1_000);
    }
    if let Ok(reader) = ReaderSchema::new(text) {
        let issues = reader.check_writer(reader.source()).expect("it was parsed before");
        assert_eq!(issues, [], "its own records fit");
        assert!(Fingerprint::of(reader.source()).is_ok());
        let names: Vec<_> = reader.left_out().iter().map(|left_out| left_out.field.clone()).collect();
        assert!(reader.arrow_schema().fields().iter().all(|column| !names.contains(column.name())));
    }
}

/// A writer schema, a reader schema and the body of a record, a line each: a row or a rejection.
pub fn resolve(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|text| std::str::from_utf8(text).ok());
    let (Some(writer), Some(reader)) = (text(), text()) else { return };
    let body = parts.next().unwrap_or_default();
    if let Ok(reader) = ReaderSchema::parse(reader) {
        check(&Arc::new(reader), writer, &[body, body, body, body, body]);
    }
}

/// Bodies of one of the pairs of schemas below, which the first byte chooses; each behind its length.
pub fn decode(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let mut bodies = Vec::new();
    while let Some((&length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(length.into()));
        bodies.push(body);
        rest = behind;
    }
    let writer = WRITERS[usize::from(first) % WRITERS.len()];
    static READERS: LazyLock<Arc<ReaderSchema>> =
        LazyLock::new(|| Arc::new(ReaderSchema::parse(READER).expect("it is a constant")));
    check(&READERS, writer, &bodies);
}

/// A schema, of Avro or JSON Schema, and values, a line each: in every format each is a row or a rejection.
pub fn values(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(Ok(text)) = lines.next().map(std::str::from_utf8) else { return };
    let Ok(reader) = ReaderSchema::new(SchemaText::of_file(text)).map(Arc::new) else { return };
    let values: Vec<&[u8]> = lines.collect();
    let formats: &[Format] = match reader.source().language {
        Language::Protobuf => &[Format::Protobuf],
        _ => &[Format::Json, Format::Csv { delimiter: b',' }],
    };
    for &format in formats {
        let decode = |values: &[&[u8]]| {
            let columns = (0..reader.arrow_schema().fields().len()).collect();
            let registry = Arc::new(One(Arc::new(reader.source().clone())));
            let decoder = AnyDecoder::new(format, Arc::clone(&reader), columns, registry);
            let values = values.iter().map(|value| Some(*value));
            decoder.expect("the columns are there").decode(values, 0).expect("no record is fatal")
        };
        let all = decode(&values);
        assert_eq!(all.records.len() + all.rejected.len(), values.len());
        assert_eq!(all.records.len(), all.batch.num_rows());
        for (value, index) in values.iter().zip(0u32..) {
            alike(&all, index, &decode(&[value]));
        }
    }
}

/// Requests to a registry, each a line of method and path and a line of body: answered as Confluent's API says, and
/// the registry's log makes the same one again.
pub fn requests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let log = Log::default();
    let registry = Replay::default().finish(Box::new(log.clone()));
    let mut lines = text.split('\n');
    while let Some((method, path)) = lines.next().and_then(|request| request.split_once(' ')) {
        let (status, answer) = registry.handle(method, path, lines.next().unwrap_or_default().as_bytes());
        assert!((200..500).contains(&status), "{status} {answer}");
        let is_error = answer["error_code"].is_u64() && answer["message"].is_string();
        assert!(status < 300 || is_error, "{status} {answer}");
    }
    let mut replay = Replay::default();
    log.0.lock().expect("nobody panics").iter().for_each(|entry| replay.entry(entry).expect("its own log"));
    let again = replay.finish(Box::new(Log::default()));
    for path in ["/subjects?deleted=true", "/subjects", "/schemas?deleted=true", "/config", "/mode"] {
        assert_eq!(registry.handle("GET", path, b""), again.handle("GET", path, b""), "{path}");
    }
}

/// The log of a registry.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Vec<u8>>>>);

impl Journal for Log {
    fn append(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.lock().expect("nobody panics").push(entry.to_vec());
        Ok(())
    }
}

/// Nested and nullable, with a union, a recursive field, and all that is read by operations of its own.
const WRITERS: [&str; 3] = [
    READER,
    r#"{"type":"record","name":"R","fields":[
        {"name":"gone","type":["null",{"type":"record","name":"T","fields":[{"name":"t","type":{"type":"array","items":["null","T"]}}]}]},
        {"name":"id","type":"int"},{"name":"nulls","type":{"type":"array","items":"null"}},
        {"name":"what","type":["int","string","boolean"]},
        {"name":"old","type":{"type":"enum","name":"K","symbols":["C","A"]}},
        {"name":"map","type":{"type":"map","values":["null","float"]}},
        {"name":"inner","type":{"type":"record","name":"I","fields":[{"name":"b","type":"bytes"},{"name":"a","type":"int"}]}}]}"#,
    r#"["null",{"type":"record","name":"R","fields":[{"name":"id","type":"long"},
        {"name":"extra","type":{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":3}}}]}]"#,
];

const READER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"id","type":"long"},
    {"name":"name","type":["null","string"],"default":null},
    {"name":"what","type":["null","long","string",{"type":"record","name":"W","fields":[{"name":"d","type":"double"}]}],"default":null},
    {"name":"map","type":{"type":"map","values":["double","null"]},"default":{}},
    {"name":"list","type":{"type":"array","items":{"type":"array","items":"string"}},"default":[["a"],[]]},
    {"name":"inner","type":["null",{"type":"record","name":"I","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}],"default":null},
    {"name":"kind","aliases":["old"],"type":{"type":"enum","name":"K","symbols":["A","B"],"default":"A"},"default":"B"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2},"default":"\u0001"},
    {"name":"wide","type":{"type":"fixed","name":"D","size":20,"logicalType":"decimal","precision":40},"default":"\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0001"},
    {"name":"time","type":{"type":"int","logicalType":"time-millis"},"default":0},
    {"name":"uuid","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"},"default":"0123456789abcdef"},
    {"name":"ok","type":"boolean","default":true},
    {"name":"nulls","type":{"type":"array","items":"null"},"default":[]}]}"#;

/// The verdict on a record depends on nothing but itself: neither on its neighbours nor on the columns.
fn check(reader: &Arc<ReaderSchema>, writer: &str, bodies: &[&[u8]]) {
    let values: Vec<_> = bodies.iter().map(|body| [&wire::header(ID)[..], body].concat()).collect();
    let columns: Vec<_> = (0..reader.arrow_schema().fields().len()).collect();
    let all = decoded(&mut decoder(reader, columns.clone(), writer), &values);
    assert_eq!(all.records.len() + all.rejected.len(), values.len());
    assert_eq!(all.records.len(), all.batch.num_rows());
    let none = decoded(&mut decoder(reader, Vec::new(), writer), &values);
    assert_eq!(
        (&all.rejected, &all.records),
        (&none.rejected, &none.records),
        "whatever columns are asked for"
    );
    // One for all of them: nor on what was decoded before.
    let mut alone = decoder(reader, columns, writer);
    for (value, index) in values.iter().zip(0u32..) {
        alike(&all, index, &decoded(&mut alone, std::slice::from_ref(value)));
    }
}

/// What became of a record among others is what becomes of it alone.
fn alike(all: &DecodedBatch, index: u32, alone: &DecodedBatch) {
    let rejected = all.rejected.iter().find(|rejected| rejected.record == index);
    assert_eq!(
        alone.rejected.first().map(|r| (r.reason, &r.detail)),
        rejected.map(|r| (r.reason, &r.detail))
    );
    if let Some(row) = all.records.iter().position(|record| *record == index) {
        // Compared as text: what is behind a null or in another branch of a union is nobody's business.
        let row = all.batch.slice(row, 1);
        assert_eq!(format!("{:?}", row.columns()), format!("{:?}", alone.batch.columns()));
    }
}

const ID: SchemaId = SchemaId(1);

fn decoder(reader: &Arc<ReaderSchema>, columns: Vec<usize>, writer: &str) -> Decoder {
    let registry = Arc::new(One(Arc::new(SchemaText::from(writer))));
    Decoder::new(Arc::clone(reader), columns, registry).expect("the columns are there")
}

fn decoded(decoder: &mut Decoder, values: &[Vec<u8>]) -> DecodedBatch {
    decoder.decode(values.iter().map(|value| Some(value.as_slice())), 0).expect("no record is fatal")
}

/// A registry of one schema.
#[derive(Debug)]
struct One(Arc<SchemaText>);

impl SchemaRegistry for One {
    fn by_id(&self, _: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        Ok(Arc::clone(&self.0))
    }

    fn subjects_of(&self, _: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Ok(Vec::new())
    }

    fn latest(&self, _: &str) -> Result<Registered, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn version(&self, _: &str, _: u32) -> Result<Registered, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn versions(&self, _: &str) -> Result<Vec<u32>, RegistryError> {
        unreachable!("a decoder asks by id")
    }

    fn register(&self, _: &str, _: &str) -> Result<SchemaId, RegistryError> {
        unreachable!("a decoder never registers")
    }
}
