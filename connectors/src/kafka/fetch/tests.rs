//! Batches and answers against hostile input, compressions and transactions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use proptest::prelude::*;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use weir_engine::connector::{Reader, ReaderEvent, Start};

use super::batch::Batches;
use super::messages::{Aborted, read_fetched, read_metadata, read_offset, read_versions};
use super::{FetchReader, Settings};
use crate::mock::MockKafka;

/// A number as records have it.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut value = (value << 1 ^ value >> 63) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Offset from the base, key and value.
type Written<'a> = (i64, Option<&'a [u8]>, &'a [u8]);

/// A batch as the protocol's documentation has it, of records with the values given, at `base_offset`.
fn batch(base_offset: i64, attributes: i16, producer_id: i64, values: &[&[u8]]) -> Vec<u8> {
    let records = values.iter().enumerate().map(|(i, value)| (i as i64, None, *value)).collect::<Vec<_>>();
    batch_of(base_offset, attributes, producer_id, &records)
}

/// As [`batch`], of offsets from the base, keys and values.
fn batch_of(base: i64, attributes: i16, producer_id: i64, records: &[Written<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (delta, key, value) in records {
        let mut record = vec![0];
        varint(&mut record, delta * 1_000);
        varint(&mut record, *delta);
        varint(&mut record, key.map_or(-1, |key| key.len() as i64));
        record.extend_from_slice(key.unwrap_or_default());
        varint(&mut record, value.len() as i64);
        record.extend_from_slice(value);
        // One header, of one byte and null.
        record.extend_from_slice(&[2, 2, b'h', 1]);
        varint(&mut body, record.len() as i64);
        body.extend_from_slice(&record);
    }
    let compressed = match attributes & 7 {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &body).unwrap();
            encoder.finish().unwrap()
        }
        2 => snap::raw::Encoder::new().compress_vec(&body).unwrap(),
        3 => {
            let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
            std::io::Write::write_all(&mut encoder, &body).unwrap();
            let (frame, result) = encoder.finish();
            result.unwrap();
            frame
        }
        4 => zstd::encode_all(&body[..], 1).unwrap(),
        _ => body,
    };
    let last_delta = records.last().map_or(0, |(delta, _, _)| *delta) as i32;
    let mut tail = attributes.to_be_bytes().to_vec();
    tail.extend_from_slice(&last_delta.to_be_bytes());
    tail.extend_from_slice(&5_000i64.to_be_bytes());
    tail.extend_from_slice(&9_000i64.to_be_bytes());
    tail.extend_from_slice(&producer_id.to_be_bytes());
    tail.extend_from_slice(&[0; 6]);
    tail.extend_from_slice(&(records.len() as u32).to_be_bytes());
    tail.extend_from_slice(&compressed);
    let mut batch = base.to_be_bytes().to_vec();
    batch.extend_from_slice(&(tail.len() as u32 + 9).to_be_bytes());
    batch.extend_from_slice(&[0, 0, 0, 0, 2]);
    batch.extend_from_slice(&crc32c::crc32c(&tail).to_be_bytes());
    batch.extend_from_slice(&tail);
    batch
}

/// Offset, time and value of the records from `from` on, taken `n_max` at a time, and whether it went well.
fn read(data: Vec<u8>, aborted: Vec<Aborted>, from: i64, n_max: usize) -> (Vec<(i64, i64, Vec<u8>)>, bool) {
    let end = data.len();
    let mut seen = Vec::new();
    let mut scanned = match Batches::scan(&Buffer::from_vec(data), (0, end), aborted, from) {
        Ok(Some(scanned)) => scanned.batches,
        Ok(None) => return (seen, true),
        Err(_) => return (seen, false),
    };
    let mut next = from;
    loop {
        match scanned.take(0, next, n_max) {
            Ok(None) => return (seen, true),
            Err(_) => return (seen, false),
            Ok(Some(block)) => {
                assert!((1..=n_max).contains(&block.len()));
                for i in 0..block.len() {
                    assert!(next <= block.offsets[i], "offsets only grow");
                    next = block.offsets[i] + 1;
                    seen.push((
                        block.offsets[i],
                        block.timestamps_ms[i],
                        block.value(i).unwrap_or_default().to_vec(),
                    ));
                }
            }
        }
    }
}

fn values(data: Vec<u8>, aborted: Vec<Aborted>) -> Vec<(i64, String)> {
    let (seen, is_whole) = read(data, aborted, 0, 100);
    assert!(is_whole);
    seen.into_iter().map(|(offset, _, value)| (offset, String::from_utf8(value).unwrap())).collect()
}

#[test]
fn records_of_aborted_transactions_and_markers_are_left_out() {
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = TRANSACTIONAL | 1 << 5;
    let marker = |offset, producer_id, kind: u8| {
        // Its time is far from the base, as where a cleaner has written it anew.
        batch_of(offset, CONTROL, producer_id, &[(0, Some(&[0, 0, 0, kind]), &[0; 6])])
    };
    let data = [
        batch(0, TRANSACTIONAL, 7, &[b"aborted"]),
        batch(1, TRANSACTIONAL, 8, &[b"committed"]),
        batch(2, 0, -1, &[b"plain"]),
        marker(3, 7, 0),
        marker(4, 8, 1),
        batch(5, TRANSACTIONAL, 7, &[b"after"]),
        marker(6, 7, 1),
    ];
    let aborted = vec![Aborted { producer_id: 7, first_offset: 0 }];
    let expected = [(1, "committed"), (2, "plain"), (5, "after")].map(|(o, v)| (o, v.to_owned()));
    assert_eq!(values(data.concat(), aborted), expected);
}

#[test]
fn times_are_the_producers_or_the_brokers() {
    for (attributes, times) in [(0, [5_000, 6_000]), (1 << 3, [9_000, 9_000])] {
        let (seen, _) = read(batch(0, attributes, -1, &[b"a", b"b"]), Vec::new(), 0, 10);
        assert_eq!(seen.iter().map(|(_, time_ms, _)| *time_ms).collect::<Vec<_>>(), times);
    }
}

#[test]
fn a_batch_in_an_old_format_and_a_cut_one_are_no_records() {
    let mut old = batch(0, 0, -1, &[b"a"]);
    old[16] = 1;
    let len = old.len();
    let damaged = Batches::scan(&Buffer::from_vec(old), (0, len), Vec::new(), 0).err().unwrap();
    assert!(damaged.is_old_format, "{damaged}");

    let two = [batch(0, 0, -1, &[b"a"]), batch(1, 0, -1, &[b"b"])].concat();
    let cut = two[..two.len() - 1].to_vec();
    assert_eq!(values(cut, Vec::new()), [(0, "a".to_owned())]);
}

#[test]
fn damage_is_told_behind_the_records_in_front_of_it() {
    let mut two = [batch(0, 0, -1, &[b"a", b"b"]), batch(2, 0, -1, &[b"c"])].concat();
    let last = two.len() - 5;
    two[last] ^= 1;
    let (seen, is_whole) = read(two, Vec::new(), 0, 10);
    assert_eq!((seen.len(), is_whole), (2, false));
}

#[test]
fn a_real_producers_batches_are_read_in_every_version_and_compression() {
    let kafka = MockKafka::start(1).unwrap();
    for (i, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let topic = format!("t{i}");
        kafka.create_topic(&topic, 1).unwrap();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", kafka.bootstrap_servers())
            .set("compression.type", codec)
            .set("linger.ms", "20")
            .create()
            .unwrap();
        let written: Vec<String> = (0..500).map(|i| format!("value {i} of many that are alike")).collect();
        for value in &written {
            producer
                .send(BaseRecord::<(), _>::to(&topic).payload(value))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        for version in [4, 5, 7, 9, 10, 13] {
            let none = BTreeMap::new();
            let settings = Settings::new(kafka.bootstrap_servers(), &none, &topic, "test", 1).unwrap();
            let mut reader = FetchReader::new(settings).unwrap();
            reader.cluster.fetch_version_max = version;
            reader.assign(0, Start::Earliest).unwrap();
            let (mut seen, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(30));
            while seen.len() < written.len() {
                assert!(Instant::now() < deadline, "{codec}, version {version}: only got {}", seen.len());
                let mut events = Vec::new();
                reader.poll(150, Duration::from_secs(1), &mut events).unwrap();
                for event in events {
                    if let ReaderEvent::Block(block) = event {
                        let value = |i| String::from_utf8(block.value(i).unwrap().to_vec()).unwrap();
                        seen.extend((0..block.len()).map(value));
                    }
                }
            }
            assert_eq!(seen, written, "{codec}, version {version}");
        }
    }
}

proptest! {
    #[test]
    fn every_mix_of_batches_is_read_as_written(
        batches in prop::collection::vec(
            (0i16..5, prop::collection::vec((1i64..4, prop::collection::vec(any::<u8>(), 0..40)), 0..30)),
            1..8,
        ),
        from in 0i64..100,
        n_max in 1usize..50,
    ) {
        let (mut data, mut expected, mut base) = (Vec::new(), Vec::new(), 0);
        for (codec, records) in &batches {
            // Gaps, as compaction leaves them.
            let mut delta = -1;
            let records: Vec<_> = records.iter().map(|(gap, value)| {
                delta += gap;
                (delta, None, value.as_slice())
            }).collect();
            data.extend(batch_of(base, *codec, -1, &records));
            let seen = records.iter().map(|(d, _, v)| (base + d, 5_000 + d * 1_000, v.to_vec()));
            expected.extend(seen.filter(|(offset, _, _)| from <= *offset));
            base += delta.max(0) + 1;
        }
        prop_assert_eq!(read(data, Vec::new(), from, n_max), (expected, true));
    }

    #[test]
    fn a_byte_that_was_changed_never_makes_another_record(
        codec in 0i16..5, at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let good = batch(0, codec, -1, &[b"one", b"two", b"three"]);
        let (expected, _) = read(good.clone(), Vec::new(), 0, 10);
        let mut bad = good;
        let at = at.index(bad.len());
        bad[at] ^= flip;
        let (seen, is_whole) = read(bad, Vec::new(), 0, 10);
        // The base offset and the leader's epoch are not part of the checksum.
        prop_assert!(at < 8 || (12..16).contains(&at) || !is_whole && seen.is_empty() || seen == expected);
    }

    #[test]
    fn records_that_lie_under_a_right_checksum_are_refused(
        body in prop::collection::vec(any::<u8>(), 0..200), n_records in any::<u32>(), codec in 0i16..8,
    ) {
        let mut data = batch(0, codec, -1, &[]);
        data.truncate(57);
        data.extend(n_records.to_be_bytes());
        data.extend(body);
        let length = (data.len() - 12) as u32;
        data[8..12].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32c::crc32c(&data[21..]);
        data[17..21].copy_from_slice(&checksum.to_be_bytes());
        read(data, Vec::new(), 0, 1_000);
    }

    #[test]
    fn no_answer_of_a_broker_is_believed(mut data in prop::collection::vec(any::<u8>(), 0..300), zeros in 0usize..40) {
        // Zeros in front are what most answers begin with: they lead further in.
        let n_zeros = zeros.min(data.len());
        data[..n_zeros].fill(0);
        for version in [4, 7, 10, 13] {
            drop(read_fetched(&data, version));
            drop(read_metadata(&data, version.min(10)));
        }
        prop_assert!(read_versions(&data).is_err() || 10 < data.len());
        prop_assert!(read_offset(&data, 0).is_err() || 30 < data.len());
    }
}
