//! The four requests that reading needs, and their answers.
//!
//! | request | versions | |
//! | --- | --- | --- |
//! | ApiVersions | 0 | every broker has it |
//! | Metadata | 4 to 7, 10 | 10 has the topic's id |
//! | ListOffsets | 2 | the first one with `read_committed` |
//! | Fetch | 4 to 10, 13 | 4 is the first one with `read_committed`, 10 with zstd; 13 names the topic by id |
//!
//! Brokers from 0.11 to 4.x have a version of each. What is not asked for: fetch sessions (they save
//! bytes where a reader has hundreds of partitions), and reading from followers.

use std::ops::Range;

use super::wire::{Cursor, Malformed, Writer};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

/// A topic's id; all zero where the broker has none.
pub(super) type TopicId = [u8; 16];

/// The versions that a broker and this reader both speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) metadata: i16,
    /// Where the topic's id is known.
    pub(super) fetch: i16,
}

/// What a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FetchPart {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What all Fetch requests of a reader have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct FetchLimits {
    pub(super) is_read_committed: bool,
    pub(super) wait_max_ms: i32,
    pub(super) bytes_min: i32,
    pub(super) bytes_max: i32,
    pub(super) partition_bytes_max: i32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broker<'a> {
    pub(super) id: i32,
    pub(super) host: &'a str,
    pub(super) port: i32,
}

/// What a broker knows about the topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata<'a> {
    pub(super) brokers: Vec<Broker<'a>>,
    pub(super) error: i16,
    pub(super) topic_id: TopicId,
    /// Partition and its leader's id, -1 where it has none now.
    pub(super) leaders: Vec<(i32, i32)>,
}

/// A transaction that was aborted: its records lie from `first_offset` to an abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
}

/// A partition's part of a Fetch answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FetchedPart {
    pub(super) partition: i32,
    pub(super) error: i16,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) aborted: Vec<Aborted>,
    /// Where its record batches lie in the answer.
    pub(super) records: Range<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) throttle_ms: i32,
    pub(super) error: i16,
    pub(super) parts: Vec<FetchedPart>,
}

fn is_flexible(api: i16, version: i16) -> bool {
    match api {
        FETCH => 12 <= version,
        METADATA => 9 <= version,
        _ => false,
    }
}

/// Appends a request with its length in front.
fn request(
    out: &mut Vec<u8>,
    (api, version): (i16, i16),
    correlation_id: i32,
    client_id: &str,
    body: impl FnOnce(&mut Writer<'_>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut header = Writer::new(out, false);
    header.i16(api);
    header.i16(version);
    header.i32(correlation_id);
    // The client's id is in classic form in all versions.
    header.string(client_id);
    let mut writer = Writer::new(out, is_flexible(api, version));
    writer.tags();
    body(&mut writer);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Begins to read an answer, which starts with its correlation id.
fn answer(data: &[u8], api: i16, version: i16) -> Result<Cursor<'_>, Malformed> {
    let mut cursor = Cursor::new(data, is_flexible(api, version));
    cursor.i32()?;
    cursor.tags()?;
    Ok(cursor)
}

pub(super) fn ask_versions(out: &mut Vec<u8>, correlation_id: i32, client_id: &str) {
    request(out, (API_VERSIONS, 0), correlation_id, client_id, |_| {});
}

/// # Errors
/// Also where the broker has no version of a request that this reader speaks.
pub(super) fn read_versions(data: &[u8]) -> Result<Versions, Malformed> {
    let mut cursor = answer(data, API_VERSIONS, 0)?;
    if cursor.i16()? != 0 {
        return Err(Malformed("it refuses to tell its versions"));
    }
    let (mut metadata, mut fetch, mut has_offsets) = (None, None, false);
    for _ in 0..cursor.array(6)? {
        let (api, min, max) = (cursor.i16()?, cursor.i16()?, cursor.i16()?);
        let newest = |wanted: &[i16]| wanted.iter().copied().find(|v| min <= *v && *v <= max);
        match api {
            METADATA => metadata = newest(&[10, 7, 6, 5, 4]),
            FETCH => fetch = newest(&[13, 10, 9, 8, 7, 6, 5, 4]),
            LIST_OFFSETS => has_offsets = min <= 2 && 2 <= max,
            _ => {}
        }
    }
    match (metadata, fetch) {
        (Some(metadata), Some(fetch)) if has_offsets => Ok(Versions { metadata, fetch }),
        _ => Err(Malformed("it speaks no version of the protocol that Weir does")),
    }
}

pub(super) fn ask_metadata(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    topic: &str,
) {
    request(out, (METADATA, version), correlation_id, client_id, |body| {
        body.array(1);
        if 10 <= version {
            body.raw(&[0; 16]);
        }
        body.string(topic);
        body.tags();
        // Nobody's topic is made by reading it; no authorised operations are asked for.
        body.i8(0);
        if 8 <= version {
            body.i16(0);
        }
        body.tags();
    });
}

pub(super) fn read_metadata(data: &[u8], version: i16) -> Result<Metadata<'_>, Malformed> {
    let mut cursor = answer(data, METADATA, version)?;
    cursor.i32()?;
    let mut brokers = Vec::new();
    for _ in 0..cursor.array(11)? {
        brokers.push(Broker { id: cursor.i32()?, host: cursor.string()?, port: cursor.i32()? });
        cursor.string()?;
        cursor.tags()?;
    }
    cursor.string()?;
    cursor.i32()?;
    if cursor.array(9)? != 1 {
        return Err(Malformed("it is not about one topic"));
    }
    let error = cursor.i16()?;
    cursor.string()?;
    let topic_id = if 10 <= version { cursor.uuid()? } else { [0; 16] };
    cursor.bool()?;
    let mut leaders = Vec::new();
    for _ in 0..cursor.array(10)? {
        cursor.i16()?;
        leaders.push((cursor.i32()?, cursor.i32()?));
        if 7 <= version {
            cursor.i32()?;
        }
        let n_lists = if 5 <= version { 3 } else { 2 };
        for _ in 0..n_lists {
            for _ in 0..cursor.array(4)? {
                cursor.i32()?;
            }
        }
        cursor.tags()?;
    }
    Ok(Metadata { brokers, error, topic_id, leaders })
}

/// Asks for the offset of a time, or of -2 (the beginning) or -1 (the end).
pub(super) fn ask_offset(
    out: &mut Vec<u8>,
    correlation_id: i32,
    client_id: &str,
    topic: &str,
    (partition, time): (i32, i64),
    is_read_committed: bool,
) {
    request(out, (LIST_OFFSETS, 2), correlation_id, client_id, |body| {
        body.i32(-1);
        body.i8(i8::from(is_read_committed));
        body.array(1);
        body.string(topic);
        body.array(1);
        body.i32(partition);
        body.i64(time);
    });
}

/// The offset, or the broker's error code.
pub(super) fn read_offset(data: &[u8], partition: i32) -> Result<Result<i64, i16>, Malformed> {
    let mut cursor = answer(data, LIST_OFFSETS, 2)?;
    cursor.i32()?;
    for _ in 0..cursor.array(6)? {
        cursor.string()?;
        for _ in 0..cursor.array(22)? {
            let (answered, error) = (cursor.i32()?, cursor.i16()?);
            cursor.i64()?;
            let offset = cursor.i64()?;
            if answered == partition {
                return Ok(if error == 0 { Ok(offset) } else { Err(error) });
            }
        }
    }
    Err(Malformed("it is not about the partition"))
}

pub(super) fn ask_fetch(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    (topic, topic_id): (&str, TopicId),
    limits: &FetchLimits,
    parts: &[FetchPart],
) {
    request(out, (FETCH, version), correlation_id, client_id, |body| {
        body.i32(-1);
        body.i32(limits.wait_max_ms);
        body.i32(limits.bytes_min);
        body.i32(limits.bytes_max);
        body.i8(i8::from(limits.is_read_committed));
        if 7 <= version {
            // No fetch session.
            body.i32(0);
            body.i32(-1);
        }
        body.array(1);
        if 13 <= version {
            body.raw(&topic_id)
        } else {
            body.string(topic)
        }
        body.array(parts.len());
        for part in parts {
            body.i32(part.partition);
            if 9 <= version {
                body.i32(-1);
            }
            body.i64(part.offset);
            if 12 <= version {
                body.i32(-1);
            }
            if 5 <= version {
                body.i64(-1);
            }
            body.i32(limits.partition_bytes_max);
            body.tags();
        }
        body.tags();
        if 7 <= version {
            body.array(0);
        }
        if 11 <= version {
            body.string("");
        }
        body.tags();
    });
}

pub(super) fn read_fetched(data: &[u8], version: i16) -> Result<Fetched, Malformed> {
    let mut cursor = answer(data, FETCH, version)?;
    let throttle_ms = cursor.i32()?;
    let mut error = 0;
    if 7 <= version {
        error = cursor.i16()?;
        cursor.i32()?;
    }
    let mut parts = Vec::new();
    for _ in 0..cursor.array(3)? {
        if 13 <= version {
            cursor.uuid()?;
        } else {
            cursor.string()?;
        }
        for _ in 0..cursor.array(24)? {
            parts.push(read_part(&mut cursor, version)?);
        }
        cursor.tags()?;
    }
    Ok(Fetched { throttle_ms, error, parts })
}

fn read_part(cursor: &mut Cursor<'_>, version: i16) -> Result<FetchedPart, Malformed> {
    let (partition, error) = (cursor.i32()?, cursor.i16()?);
    let (high_watermark, last_stable_offset) = (cursor.i64()?, cursor.i64()?);
    if 5 <= version {
        cursor.i64()?;
    }
    let mut aborted = Vec::new();
    for _ in 0..cursor.array(16)? {
        aborted.push(Aborted { producer_id: cursor.i64()?, first_offset: cursor.i64()? });
        cursor.tags()?;
    }
    if 11 <= version {
        cursor.i32()?;
    }
    let records = cursor.bytes()?;
    cursor.tags()?;
    Ok(FetchedPart { partition, error, high_watermark, last_stable_offset, aborted, records })
}
