//! The keys of the three column families. Bytes on disk are promises: a tag is never reused.
//!
//! ```text
//! default  i                                             identity
//!          n                                             what a reset left: the next start's incarnation
//!          h                                             head: the last committed epoch
//!          e │ epoch                                     an epoch's figures
//!          f │ epoch │ partition │ next offset           a floor
//!          s │ schema id │ partition │ first offset      a writer schema seen
//!          m │ series │ id                               a block's metadata
//!          r │ series │ id                               a retired block, to be deleted
//!          k │ sink                                      what is known of a sink
//! state    subtask u16 │ pane │ epoch │ seq u16          groups of a pane that changed in an epoch
//!          0x8000 + subtask │ pane │ first window │ epoch │ seq u16     … of a side pane
//! result   series │ id                                   a block's rows
//!          o │ sink │ 0 │ epoch │ part u32               rows that a sink has not yet got
//! ```
//!
//! Numbers are big-endian, signed ones with the sign bit flipped, so that keys sort as numbers do.

use crate::connector::SchemaSeen;
use crate::facts::FloorFact;
use crate::time::Epoch;
use crate::time::window::PaneId;

pub(crate) const IDENTITY: &[u8] = b"i";
pub(crate) const INCARNATION: &[u8] = b"n";
pub(crate) const HEAD: &[u8] = b"h";
pub(crate) const EPOCHS: &[u8] = b"e";
pub(crate) const FLOORS: &[u8] = b"f";
pub(crate) const SCHEMAS: &[u8] = b"s";
pub(crate) const SINKS: &[u8] = b"k";
const META: u8 = b'm';
const RETIRED: u8 = b'r';
const OUTBOX: u8 = b'o';

/// Which list of blocks a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Series {
    Finals = b'f',
    DeadLetters = b'd',
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Finals => "result table",
            Self::DeadLetters => "dead letters",
        })
    }
}

pub(crate) fn epoch(epoch: Epoch) -> Vec<u8> {
    [EPOCHS, &epoch.0.to_be_bytes()].concat()
}

pub(crate) fn floor(floor: &FloorFact) -> Vec<u8> {
    [FLOORS, &floor.epoch.0.to_be_bytes(), &flip_i32(floor.partition), &flip_i64(floor.next_offset)].concat()
}

pub(crate) fn schema(seen: &SchemaSeen) -> Vec<u8> {
    [SCHEMAS, &seen.schema_id.to_be_bytes(), &flip_i32(seen.partition), &flip_i64(seen.first_offset)].concat()
}

pub(crate) fn metas(series: Series) -> [u8; 2] {
    [META, series as u8]
}

pub(crate) fn retireds(series: Series) -> [u8; 2] {
    [RETIRED, series as u8]
}

pub(crate) fn meta(series: Series, id: u64) -> Vec<u8> {
    [&metas(series)[..], &id.to_be_bytes()].concat()
}

pub(crate) fn retired(series: Series, id: u64) -> Vec<u8> {
    [&retireds(series)[..], &id.to_be_bytes()].concat()
}

pub(crate) fn rows(series: Series, id: u64) -> Vec<u8> {
    [&[series as u8][..], &id.to_be_bytes()].concat()
}

pub(crate) fn sink(name: &str) -> Vec<u8> {
    [SINKS, name.as_bytes()].concat()
}

/// What all keys of a sink's outbox start with. Sinks' names are without zero bytes.
pub(crate) fn outboxes(sink: &str) -> Vec<u8> {
    [&[OUTBOX], sink.as_bytes(), &[0]].concat()
}

pub(crate) fn outbox(sink: &str, epoch: Epoch, part: u32) -> Vec<u8> {
    [&outboxes(sink)[..], &epoch.0.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// The first key behind a part.
pub(crate) fn outbox_after(sink: &str, epoch: Epoch, part: u32) -> Vec<u8> {
    [&outbox(sink, epoch, part)[..], &[0]].concat()
}

/// The epoch and part at the end of an [`outbox`] key; `None` if the key is too short.
pub(crate) fn outbox_part(key: &[u8]) -> Option<(Epoch, u32)> {
    let (rest, part) = key.split_last_chunk::<4>()?;
    let epoch = rest.last_chunk::<8>()?;
    Some((Epoch(u64::from_be_bytes(*epoch)), u32::from_be_bytes(*part)))
}

/// The id at the end of a [`meta`] or [`retired`] key; `None` if the key is too short.
pub(crate) fn block_id(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|id| u64::from_be_bytes(*id))
}

/// The key of a block of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PaneKey {
    /// Less than 2^15.
    pub(crate) subtask: u16,
    pub(crate) pane: PaneId,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u16,
}

/// Set in the subtask of a side pane's key.
const SIDE: u16 = 1 << 15;

impl PaneKey {
    /// The first key that a pane's blocks can have.
    pub(crate) fn first(subtask: u16, pane: PaneId) -> Self {
        Self { subtask, pane, epoch: Epoch(0), seq: 0 }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        debug_assert!(self.subtask < SIDE, "parallelism is at most 1,024");
        let mut key = Vec::with_capacity(28);
        let side = if self.pane.side_ms.is_some() { SIDE } else { 0 };
        key.extend_from_slice(&(self.subtask | side).to_be_bytes());
        key.extend_from_slice(&flip_i64(self.pane.start_ms));
        if let Some(side_ms) = self.pane.side_ms {
            key.extend_from_slice(&flip_i64(side_ms));
        }
        key.extend_from_slice(&self.epoch.0.to_be_bytes());
        key.extend_from_slice(&self.seq.to_be_bytes());
        key
    }

    pub(crate) fn decode(key: &[u8]) -> Option<Self> {
        let unflip = |bytes: &[u8; 8]| (u64::from_be_bytes(*bytes) ^ 1 << 63).cast_signed();
        let (subtask, rest) = key.split_first_chunk::<2>()?;
        let subtask = u16::from_be_bytes(*subtask);
        let (start, mut rest) = rest.split_first_chunk::<8>()?;
        let mut side_ms = None;
        if subtask & SIDE != 0 {
            let (side, behind) = rest.split_first_chunk::<8>()?;
            (side_ms, rest) = (Some(unflip(side)), behind);
        }
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let seq: [u8; 2] = rest.try_into().ok()?;
        Some(Self {
            subtask: subtask & !SIDE,
            pane: PaneId { start_ms: unflip(start), side_ms },
            epoch: Epoch(u64::from_be_bytes(*epoch)),
            seq: u16::from_be_bytes(seq),
        })
    }
}

/// The first key after every key that starts with `prefix`; `prefix` must not be all 0xff.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX).map_or(0, |last| last + 1);
    let mut end = prefix[..kept].to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn flip_i64(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

fn flip_i32(value: i32) -> [u8; 4] {
    (value.cast_unsigned() ^ 1 << 31).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_pinned() {
        let pane = PaneKey { subtask: 1, pane: PaneId::whole(-2), epoch: Epoch(3), seq: 4 };
        assert_eq!(
            pane.encode(),
            [0, 1, 0x7f, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4]
        );
        let side = PaneKey { pane: PaneId { start_ms: -2, side_ms: Some(1) }, ..pane };
        let bytes = [
            0x80, 1, 0x7f, 255, 255, 255, 255, 255, 255, 254, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 4,
        ];
        assert_eq!(side.encode(), bytes);
        assert_eq!(epoch(Epoch(7)), b"e\0\0\0\0\0\0\0\x07");
        assert_eq!(meta(Series::Finals, 1), b"mf\0\0\0\0\0\0\0\x01");
        assert_eq!(retired(Series::DeadLetters, 1), b"rd\0\0\0\0\0\0\0\x01");
        assert_eq!(rows(Series::Finals, 256), b"f\0\0\0\0\0\0\x01\0");
        assert_eq!(sink("a"), b"ka");
        assert_eq!(outbox("a", Epoch(2), 3), b"oa\0\0\0\0\0\0\0\0\x02\0\0\0\x03");
        assert_eq!(outbox_part(&outbox("a", Epoch(2), 3)), Some((Epoch(2), 3)));
        let seen = FloorFact { epoch: Epoch(1), partition: 2, next_offset: 3, floor_ms: 4 };
        assert_eq!(floor(&seen), b"f\0\0\0\0\0\0\0\x01\x80\0\0\x02\x80\0\0\0\0\0\0\x03");
    }

    proptest! {
        #[test]
        fn pane_keys_sort_as_their_fields(
            a in (0..SIDE, any::<i64>(), any::<Option<i64>>(), any::<u64>(), any::<u16>()),
            b in (0..SIDE, any::<i64>(), any::<Option<i64>>(), any::<u64>(), any::<u16>()),
        ) {
            let [a, b] = [a, b].map(|(subtask, start_ms, side_ms, epoch, seq)| PaneKey {
                subtask, pane: PaneId { start_ms, side_ms }, epoch: Epoch(epoch), seq,
            });
            let order = |key: &PaneKey| {
                let PaneId { start_ms, side_ms } = key.pane;
                (side_ms.is_some(), key.subtask, start_ms, side_ms, key.epoch, key.seq)
            };
            prop_assert_eq!(a.encode().cmp(&b.encode()), order(&a).cmp(&order(&b)));
            prop_assert_eq!(PaneKey::decode(&a.encode()), Some(a));
        }
    }
}
