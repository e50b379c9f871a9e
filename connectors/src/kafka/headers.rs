//! A record's headers, read only where somebody asks for them: in a block they stand behind the record's value, as in
//! Kafka's record format.
//!
//! Invariant: whatever stands there, no more is read than up to the next record.

use weir_engine::connector::{Header, RecordBlock};

use super::fetch::{span, varint};

/// Behind the last record of a block, whose end is not known: as large as a record usually may be.
const BYTES_MAX: usize = 1 << 20;

/// The headers of record `i` of a block; what can't be read is left out.
pub(super) fn headers(block: &RecordBlock, i: usize) -> Vec<Header> {
    let data = block.data.as_slice();
    let Some(start) = block.values[i].end() else { return Vec::new() };
    let next = block.keys.get(i + 1).and_then(|key| key.start());
    let next = next.or_else(|| block.values.get(i + 1)?.start());
    let end = next.unwrap_or_else(|| start.saturating_add(BYTES_MAX)).min(data.len());
    let mut headers = Vec::new();
    if let Some(data) = data.get(..end) {
        read(data, start, &mut headers);
    }
    headers
}

/// `None`: they are cut.
fn read(data: &[u8], at: usize, headers: &mut Vec<Header>) -> Option<()> {
    let (n, mut at) = varint(data, at)?;
    for _ in 0..n {
        let (name, behind) = span(data, at)?;
        let (value, behind) = span(data, behind)?;
        let name = String::from_utf8_lossy(name.of(data)?).into_owned();
        headers.push((name, value.of(data).map(<[u8]>::to_vec)));
        at = behind;
    }
    Some(())
}

/// Appends headers to a block's data, behind their record's value.
pub(super) fn write(headers: &[(&[u8], Option<&[u8]>)], data: &mut Vec<u8>) {
    write_varint(headers.len() as i64, data);
    for (name, value) in headers {
        for bytes in [Some(*name), *value] {
            write_varint(bytes.map_or(-1, |bytes| bytes.len() as i64), data);
            data.extend_from_slice(bytes.unwrap_or_default());
        }
    }
}

fn write_varint(value: i64, data: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    while 0x7f < rest {
        data.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    data.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use proptest::prelude::*;
    use weir_engine::connector::Span;

    use super::*;

    /// A block of records with these values, each with the bytes of its headers behind it.
    fn block(records: &[(&[u8], Vec<u8>)]) -> RecordBlock {
        let mut data = Vec::new();
        let mut values = Vec::new();
        for (value, behind) in records {
            values.push(Span::new(data.len() as u32, value.len() as u32));
            data.extend_from_slice(value);
            data.extend_from_slice(behind);
        }
        let n = records.len();
        RecordBlock {
            partition: 0,
            data: Buffer::from(data),
            offsets: (0..n as i64).collect(),
            timestamps_ms: vec![0; n],
            keys: vec![Span::NULL; n],
            values,
        }
    }

    proptest! {
        #[test]
        fn headers_come_back(
            all in prop::collection::vec(("[a-z]{0,200}", prop::option::of(prop::collection::vec(any::<u8>(), 0..200))), 0..5),
        ) {
            let written: Vec<_> = all.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())).collect();
            let mut bytes = Vec::new();
            write(&written, &mut bytes);
            let block = block(&[(b"first", bytes.clone()), (b"", bytes)]);
            prop_assert_eq!(headers(&block, 0), all.clone());
            prop_assert_eq!(headers(&block, 1), all);
        }

        #[test]
        fn nonsense_reads_nothing_of_the_next_record(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let block = block(&[(b"first", bytes.clone()), (&[b'x'; 300], Vec::new())]);
            let read: usize =
                headers(&block, 0).iter().map(|(_, value)| value.as_ref().map_or(0, Vec::len)).sum();
            prop_assert!(read <= bytes.len());
            prop_assert_eq!(headers(&block, 1), vec![]);
        }
    }
}
