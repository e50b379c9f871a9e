//! Files of a folder through the engine's traits only, whole, damaged, cut and growing.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use weir_engine::connector::{ReaderEvent, Reason};

use super::*;

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "id", "type": "long"},
    {"name": "text", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const MARKER: [u8; 16] = *b"0123456789abcdef";
const CODECS: [&str; 6] = ["null", "deflate", "bzip2", "snappy", "xz", "zstandard"];

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    while 0x7f < rest {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

fn header(schema: &str, codec: &str) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    long(2, &mut out);
    for (name, value) in [("avro.codec", codec), ("avro.schema", schema)] {
        bytes(name.as_bytes(), &mut out);
        bytes(value.as_bytes(), &mut out);
    }
    long(0, &mut out);
    out.extend_from_slice(&MARKER);
    out
}

fn record(id: i64) -> Vec<u8> {
    let mut out = Vec::new();
    long(id, &mut out);
    bytes("x".repeat(id as usize % 7).as_bytes(), &mut out);
    long(id * 1_000, &mut out);
    out
}

fn compress(codec: &str, data: &[u8]) -> Vec<u8> {
    match codec {
        "null" => data.to_vec(),
        "deflate" => {
            let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(data).unwrap();
            writer.finish().unwrap()
        }
        "bzip2" => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(data).unwrap();
            writer.finish().unwrap()
        }
        "snappy" => {
            let mut out = snap::raw::Encoder::new().compress_vec(data).unwrap();
            out.extend_from_slice(&crc32fast::hash(data).to_be_bytes());
            out
        }
        "xz" => {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(data).unwrap();
            writer.finish().unwrap()
        }
        "zstandard" => zstd::encode_all(data, 1).unwrap(),
        other => panic!("{other}"),
    }
}

/// Blocks of so many records each, whose ids count on from 0.
fn blocks(codec: &str, sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut id) = (Vec::new(), 0);
    for n in sizes {
        let records: Vec<u8> = (id..id + *n as i64).flat_map(record).collect();
        id += *n as i64;
        long(*n as i64, &mut out);
        bytes(&compress(codec, &records), &mut out);
        out.extend_from_slice(&MARKER);
    }
    out
}

fn source(dir: &Path) -> FilesSource {
    let config = FilesSourceConfig {
        name: "t".to_owned(),
        pattern: dir.join("*.avro"),
        shown: "data/*.avro".to_owned(),
        reader_schema: ReaderSchemaText::from_file(SCHEMA),
        event_time: "at".to_owned(),
        watermark: WatermarkOptions { delay_ms: 0, idle_timeout_ms: 1, max_ahead_ms: 1, max_drift_ms: 1 },
        start: Start::Earliest,
    };
    FilesSource::new(config).unwrap()
}

/// What became of a record: its id, or what is wrong with it.
type Read = (i64, Result<i64, String>);

/// Reads a partition from an offset on, to its end as it is now.
struct Reading {
    reader: Box<dyn Reader>,
    decoder: Box<dyn Decoder>,
    n_max: usize,
}

impl Reading {
    fn new(source: &FilesSource, partition: i32, from: i64, n_max: usize) -> Self {
        let mut reader = source.reader().unwrap();
        reader.assign(partition, Start::Offset(from)).unwrap();
        Self { reader, decoder: source.decoder(&[0]).unwrap(), n_max }
    }

    /// With the next offset.
    fn read_on(&mut self) -> (Vec<Read>, i64) {
        let mut read = Vec::new();
        loop {
            let mut events = Vec::new();
            self.reader.poll(self.n_max, Duration::ZERO, &mut events).unwrap();
            for event in events {
                match event {
                    ReaderEvent::Block(block) => {
                        assert!(block.len() <= self.n_max.max(1));
                        let decoded = self.decoder.decode(&block, 0).unwrap();
                        assert_eq!(decoded.next, block.len());
                        let ids = decoded.batch.column(0).as_primitive::<Int64Type>();
                        let mut of_block = BTreeMap::new();
                        for (row, record) in decoded.records.iter().enumerate() {
                            of_block.insert(block.offsets[*record as usize], Ok(ids.value(row)));
                        }
                        for rejected in decoded.rejected {
                            assert_eq!(rejected.reason, Reason::BadPayload);
                            let before = of_block
                                .insert(block.offsets[rejected.record as usize], Err(rejected.detail));
                            assert_eq!(before, None);
                        }
                        assert_eq!(of_block.len(), block.len());
                        read.extend(of_block);
                    }
                    ReaderEvent::End { next_offset, .. } => return (read, next_offset),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn all(dir: &Path) -> Vec<Read> {
    let source = source(dir);
    source.recall(&[]);
    let partitions = source.discover().unwrap().partitions;
    assert_eq!(partitions.len(), 1);
    let (read, next) = Reading::new(&source, 0, 0, 1_000).read_on();
    assert_eq!(next, partitions[0].end_offset, "what is counted is what is read");
    read
}

#[test]
fn records_of_each_codec_are_read() {
    for codec in CODECS {
        let dir = tempfile::tempdir().unwrap();
        let data = [header(SCHEMA, codec), blocks(codec, &[3, 1, 40, 0, 2])].concat();
        std::fs::write(dir.path().join("a.avro"), data).unwrap();
        let expected: Vec<Read> = (0..46).map(|id| (id, Ok(id))).collect();
        assert_eq!(all(dir.path()), expected, "{codec}");
    }
}

#[test]
fn what_is_no_file_of_ours_is_one_dead_letter_and_one_that_is_begun_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let begun = header(SCHEMA, "null");
    for (name, data) in [
        ("a.avro", b"PAR1, not Avro".to_vec()),
        ("b.avro", header(SCHEMA, "lzo")),
        ("c.avro", header("{\"type\": \"recrd\"}", "null")),
        ("d.avro", begun[..begun.len() - 1].to_vec()),
        ("e.avro", Vec::new()),
        (".f.avro", begun.clone()),
    ] {
        std::fs::write(dir.path().join(name), data).unwrap();
    }
    let source = source(dir.path());
    source.recall(&[]);
    let partitions = source.discover().unwrap().partitions;
    assert_eq!(partitions.iter().map(|info| info.end_offset).collect::<Vec<_>>(), [1, 1, 1]);
    for (partition, why) in [
        (0, "no Avro file"),
        (1, "its codec \"lzo\" is not known: null, deflate, bzip2, snappy, xz and zstandard are"),
        (2, "no Avro schema"),
    ] {
        let (read, next) = Reading::new(&source, partition, 0, 10).read_on();
        let [(0, Err(detail))] = &read[..] else { panic!("{read:?}") };
        assert!(detail.contains(why), "{detail}");
        assert_eq!(next, 1);
        assert_eq!(Reading::new(&source, partition, 1, 10).read_on(), (Vec::new(), 1));
    }
    std::fs::write(dir.path().join("d.avro"), begun).unwrap();
    assert_eq!(source.discover().unwrap().partitions.len(), 4);
    assert_eq!(source.place(3), "data/d.avro");
}

#[test]
fn files_keep_their_numbers_and_another_one_of_the_same_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, n: usize| {
        let data = [header(SCHEMA, "null"), blocks("null", &[n])].concat();
        std::fs::write(dir.path().join(name), data).unwrap();
    };
    file("m.avro", 2);
    let first = source(dir.path());
    assert_eq!(first.discover().unwrap().partitions.len(), 1, "how many there are can be asked at any time");
    first.recall(&[]);
    first.discover().unwrap();
    let name = first.partition_name(0).unwrap();
    file("a.avro", 3);
    let next = source(dir.path());
    next.recall(&[(0, &name)]);
    let partitions = next.discover().unwrap().partitions;
    let ends: Vec<_> = partitions.iter().map(|info| (info.partition, info.end_offset)).collect();
    assert_eq!(ends, [(0, 2), (1, 3)], "the new one comes behind, whatever its name");
    let mut other = [header(SCHEMA, "null"), blocks("null", &[5])].concat();
    let at = other.windows(16).position(|bytes| bytes == MARKER).unwrap();
    other[at] = b'X';
    std::fs::write(dir.path().join("m.avro"), other).unwrap();
    let refused = next.discover().unwrap_err();
    assert!(matches!(&refused, SourceError::Fatal(why) if why.contains("data/m.avro")), "{refused:?}");
}

#[test]
fn a_damaged_block_is_one_dead_letter_and_the_next_ones_are_read() {
    for codec in CODECS {
        let dir = tempfile::tempdir().unwrap();
        let (begin, mut data) = (header(SCHEMA, codec), blocks(codec, &[10, 10, 10]));
        let markers: Vec<usize> = (0..data.len()).filter(|at| data[*at..].starts_with(&MARKER)).collect();
        // The second block's marker.
        data[markers[1] + 3] ^= 1;
        std::fs::write(dir.path().join("a.avro"), [begin.clone(), data].concat()).unwrap();
        let read = all(dir.path());
        let (good, damaged): (Vec<Read>, Vec<Read>) = read.into_iter().partition(|(_, read)| read.is_ok());
        let ids: Vec<i64> = good.into_iter().filter_map(|(_, id)| id.ok()).collect();
        assert_eq!(ids[..10], (0..10).collect::<Vec<_>>()[..], "{codec}");
        let [(10, Err(detail)), ..] = &damaged[..] else { panic!("{damaged:?}") };
        let at = begin.len() + markers[0] + 16;
        assert!(detail.contains(&format!("at byte {at} is damaged")), "{detail}");
    }
    // What is compressed is damaged, its bounds are not.
    let dir = tempfile::tempdir().unwrap();
    let (begin, mut data) = (header(SCHEMA, "snappy"), blocks("snappy", &[10, 10, 10]));
    let second = data.windows(16).position(|bytes| bytes == MARKER).unwrap() + 16;
    data[second + 40] ^= 1;
    std::fs::write(dir.path().join("a.avro"), [begin, data].concat()).unwrap();
    let read = all(dir.path());
    assert_eq!(read.len(), 21);
    let (10, Err(detail)) = &read[10] else { panic!("{:?}", read[10]) };
    assert!(detail.starts_with("the block of 10 records in front of byte"), "{detail}");
    assert_eq!(read[11], (20, Ok(20)), "the offsets are those of the file");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn wherever_reading_begins_again_and_however_the_file_grew_the_same_is_read(
        codec in prop::sample::select(CODECS.to_vec()),
        sizes in prop::collection::vec(0usize..9, 1..7),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        grows in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        n_max in 1usize..12,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avro");
        let begin = header(SCHEMA, codec);
        let mut data = blocks(codec, &sizes);
        for (at, byte) in &damages {
            let at = at.index(data.len());
            data[at] = *byte;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        let data = [begin.clone(), data].concat();
        std::fs::write(&path, &data).unwrap();
        let whole = all(dir.path());
        if damages.is_empty() {
            let n = whole.len() as i64;
            prop_assert!(whole.iter().cloned().eq((0..n).map(|id| (id, Ok(id)))));
            prop_assert!(cut.is_some() || n == sizes.iter().sum::<usize>() as i64);
        }

        // From behind each record that was handed over, as it may be committed.
        let again = source(dir.path());
        again.recall(&[]);
        again.discover().unwrap();
        for i in 0..=whole.len() {
            let next = if i == 0 { 0 } else { whole[i - 1].0 + 1 };
            let (read, _) = Reading::new(&again, 0, next, n_max).read_on();
            prop_assert_eq!(&read[..], &whole[i..], "from {}", next);
        }

        // While it grows.
        let mut lens: Vec<usize> =
            grows.iter().map(|len| begin.len() + len.index(data.len() - begin.len() + 1)).collect();
        lens.sort_unstable();
        lens.push(data.len());
        std::fs::write(&path, &data[..lens[0]]).unwrap();
        let growing = source(dir.path());
        growing.recall(&[]);
        growing.discover().unwrap();
        let mut reading = Reading::new(&growing, 0, 0, n_max);
        let (mut read, mut ends) = reading.read_on();
        for len in &lens[1..] {
            std::fs::write(&path, &data[..*len]).unwrap();
            let counted = growing.discover().unwrap().partitions[0].end_offset;
            // It is looked at after a while only, or by a reader that is new.
            reading = Reading::new(&growing, 0, read.last().map_or(0, |(offset, _): &Read| offset + 1), n_max);
            let (more, next) = reading.read_on();
            read.extend(more);
            prop_assert_eq!(next, counted);
            prop_assert!(ends <= next);
            ends = next;
        }
        prop_assert_eq!(read, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), has_header in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let begin = if has_header { header(SCHEMA, "null") } else { b"Obj\x01".to_vec() };
        std::fs::write(dir.path().join("a.avro"), [begin, bytes].concat()).unwrap();
        let source = source(dir.path());
        source.recall(&[]);
        if !source.discover().unwrap().partitions.is_empty() {
            Reading::new(&source, 0, 0, 10).read_on();
        }
    }
}

#[test]
fn a_file_that_grows_is_read_on_and_one_that_is_taken_away_behind_its_end_is_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avro");
    let data = [header(SCHEMA, "zstandard"), blocks("zstandard", &[5, 5])].concat();
    std::fs::write(&path, &data[..data.len() - 1]).unwrap();
    let source = source(dir.path());
    source.recall(&[]);
    source.discover().unwrap();
    let mut reading = Reading::new(&source, 0, 0, 100);
    assert_eq!(reading.read_on().1, 5);
    std::fs::write(&path, &data).unwrap();
    assert_eq!(reading.read_on(), ((5..10).map(|id| (id, Ok(id))).collect(), 10));
    std::fs::remove_file(&path).unwrap();
    let mut events = Vec::new();
    std::thread::sleep(Duration::from_millis(600));
    reading.reader.poll(10, Duration::from_millis(1), &mut events).unwrap();
    assert!(events.is_empty(), "{events:?}");
}
