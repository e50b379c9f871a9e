//! The progress record of a sink: what it holds, and how the newest one is found.
//!
//! The topic is shared by all sinks of a Kafka cluster. It is read up to the end that it had when earlier
//! writers had been fenced, not up to the last stable offset of that moment: another sink's open
//! transaction can hold that below our own newest record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_engine::connector::{Progress, Reader as _, ReaderEvent, SinkError, SourceError, Start, Stopping};

use super::producer::Patience;
use super::{PROGRESS_NAME, PROGRESS_TOPIC};
use crate::error::chain;
use crate::kafka::BROKER_TIMEOUT;
use crate::kafka::native::{Client, LogOffset};
use crate::kafka::reader::KafkaReader;

/// The format that is written, and the only one that is read.
const VERSION: u32 = 1;

const POLL_RECORDS: usize = 10_000;
const POLL_WAIT: Duration = Duration::from_millis(200);

/// The value of a progress record, in JSON; its key is the sink's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Of the process that wrote it.
    pub(super) attempt: String,
    /// `None`: the sink was opened and has no rows yet.
    pub(super) progress: Option<Progress>,
}

impl Record {
    pub(super) fn new(attempt: &str, progress: Option<Progress>) -> Self {
        Self { version: VERSION, attempt: attempt.to_owned(), progress }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and a string are JSON")
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| format!("is damaged: {error}"))?;
        if record.version != VERSION {
            return Err(format!(
                "has format version {}, this version of weir reads version {VERSION}",
                record.version
            ));
        }
        Ok(record)
    }

    /// Of records in several partitions (the topic was given more of them) the newest has the largest.
    fn rank(&self) -> impl Ord + use<> {
        self.progress.map(|progress| (progress.incarnation, progress.position))
    }
}

/// The newest record of `identity`. `asked` sees records that are not committed, `reads` does not.
pub(super) fn read(
    asked: &Client,
    reads: Arc<Client>,
    bootstrap_servers: &str,
    partitions: &[i32],
    identity: &str,
    stopping: &Stopping,
) -> Result<Option<Record>, SinkError> {
    let failed = |detail: &str| {
        SinkError::Reopen(format!(
            "could not read topic \"{PROGRESS_TOPIC}\" at \"{bootstrap_servers}\": {detail}"
        ))
    };
    let of_source = |error: SourceError| failed(&chain(&error));
    let ask = |at| {
        let offsets = asked.list_offsets(PROGRESS_NAME, partitions, at, BROKER_TIMEOUT);
        offsets.map_err(|failure| failed(&failure.detail))
    };
    // Each partition that is still to be read, and up to where.
    let ends = partitions.iter().zip(ask(LogOffset::Begin)?).zip(ask(LogOffset::End)?);
    let mut left: BTreeMap<i32, i64> =
        ends.filter(|((_, begin), end)| begin < end).map(|((partition, _), end)| (*partition, end)).collect();
    let mut reader = KafkaReader::new(reads, PROGRESS_NAME, bootstrap_servers)
        .map_err(|failure| failed(&failure.detail))?;
    for partition in left.keys() {
        reader.assign(*partition, Start::Earliest).map_err(of_source)?;
    }
    let (mut found, mut events, mut trouble) = (BTreeMap::new(), Vec::new(), None);
    let patience = Patience::new(stopping);
    while !left.is_empty() {
        if patience.is_over() {
            return Err(failed(trouble.as_deref().unwrap_or(
                "another sink's transaction stays open: a process that died had one, which the broker ends soon",
            )));
        }
        reader.poll(POLL_RECORDS, POLL_WAIT, &mut events).map_err(of_source)?;
        for event in events.drain(..) {
            match event {
                ReaderEvent::Block(block) => {
                    let of_sink = (0..block.len()).rev().find(|i| block.key(*i) == Some(identity.as_bytes()));
                    if let Some(i) = of_sink {
                        found.insert(block.partition, block.value(i).map(<[u8]>::to_vec));
                    }
                    let next_offset = block.offsets.last().map_or(0, |last| last + 1);
                    left.retain(|partition, end| *partition != block.partition || next_offset < *end);
                }
                ReaderEvent::End { partition, next_offset } => {
                    left.retain(|other, end| *other != partition || next_offset < *end);
                }
                ReaderEvent::Trouble { detail } => trouble = Some(detail),
                ReaderEvent::Recovered => trouble = None,
                _ => {}
            }
        }
    }
    let records = found.into_values().flatten().map(|value| {
        Record::parse(&value).map_err(|detail| {
            SinkError::Fatal(format!("the record of \"{identity}\" in topic \"{PROGRESS_TOPIC}\" {detail}"))
        })
    });
    let records = records.collect::<Result<Vec<_>, _>>()?;
    Ok(records.into_iter().max_by_key(Record::rank))
}

#[cfg(test)]
mod tests {
    use weir_engine::Epoch;
    use weir_engine::connector::Position;

    use super::*;

    #[test]
    fn bytes_of_a_record_are_promises() {
        let position = Position { epoch: Epoch(7), part: 2, last_part: false };
        let progress = Progress { incarnation: 1, position, fingerprint: 9 };
        let record = Record::new("a1", Some(progress));
        let pinned = r#"{"version":1,"attempt":"a1","progress":{"incarnation":1,"position":{"epoch":7,"part":2,"last_part":false},"fingerprint":9}}"#;
        assert_eq!(record.to_bytes(), pinned.as_bytes());
        assert_eq!(Record::parse(pinned.as_bytes()), Ok(record));
        let newer = Record::parse(&pinned.replace("\"version\":1", "\"version\":2").into_bytes());
        assert!(newer.is_err_and(|detail| detail.contains("version 2")));
        assert!(Record::parse(b"{}").is_err_and(|detail| detail.contains("damaged")));
    }
}
