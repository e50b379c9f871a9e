//! The frame around everything persisted.
//!
//! ```text
//! version u8 │ kind u8 │ payload … │ crc32 of all before it, u32 little-endian
//! ```
//!
//! Invariants:
//! 1. The version comes first, whatever follows it: a later format is named, not misread.
//! 2. A kind's number is never reused: a value under the wrong key is found out.

use super::error::Error;

/// The format version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// Bytes before the payload.
pub(super) const HEADER: usize = 2;
const CHECKSUM: usize = 4;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Length of a JSON text (u32 little-endian), that text, then an Arrow IPC stream without rows.
    Identity = 1,
    /// JSON.
    Head = 2,
    /// JSON.
    Epoch = 3,
    /// JSON.
    Floor = 4,
    /// JSON.
    Schema = 5,
    /// Arrow IPC stream.
    Pane = 6,
    /// JSON.
    BlockMeta = 7,
    /// Arrow IPC stream.
    Rows = 8,
    /// Empty.
    Retired = 9,
    /// See `outbox.rs`.
    Outbox = 10,
    /// JSON.
    Sink = 11,
    /// JSON: a number.
    Incarnation = 16,
    /// Bytes of whoever keeps a journal.
    JournalEntry = 32,
}

/// Starts a frame; append the payload, then [`seal`] it.
pub(crate) fn begin(kind: Kind) -> Vec<u8> {
    vec![VERSION, kind as u8]
}

/// Ends a frame that [`begin`] started.
pub(crate) fn seal(mut frame: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&frame);
    frame.extend_from_slice(&checksum.to_le_bytes());
    frame
}

/// The payload of a frame of this kind. `what` names it in errors.
pub(crate) fn open(kind: Kind, frame: &[u8], what: impl Fn() -> String) -> Result<&[u8], Error> {
    let damaged = |detail: String| Error::Damaged { what: what(), detail };
    match frame.first() {
        None => return Err(damaged("it is empty".to_owned())),
        Some(&VERSION) => {}
        Some(&found) => return Err(Error::UnknownVersion { what: what(), found, known: VERSION }),
    }
    if frame.len() < HEADER + CHECKSUM {
        return Err(damaged(format!("it has only {} bytes", frame.len())));
    }
    let (body, checksum) = frame.split_at(frame.len() - CHECKSUM);
    let stored = u32::from_le_bytes(checksum.try_into().expect("split off as four bytes"));
    let computed = crc32fast::hash(body);
    if stored != computed {
        return Err(damaged(format!("its checksum is {stored:08x}, its bytes give {computed:08x}")));
    }
    if body[1] != kind as u8 {
        return Err(damaged(format!("it is of kind {}, not {}", body[1], kind as u8)));
    }
    Ok(&body[HEADER..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(kind: Kind, payload: &[u8]) -> Vec<u8> {
        let mut frame = begin(kind);
        frame.extend_from_slice(payload);
        seal(frame)
    }

    fn refusal(frame: &[u8]) -> String {
        open(Kind::Head, frame, || "the head".to_owned()).expect_err("must be refused").to_string()
    }

    #[test]
    fn bytes_are_pinned() {
        let frame = frame_of(Kind::Head, b"weir");
        assert_eq!(frame, [1, 2, b'w', b'e', b'i', b'r', 0x76, 0x70, 0x9e, 0xb2]);
        assert_eq!(open(Kind::Head, &frame, String::new).expect("valid"), b"weir");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let frame = frame_of(Kind::Head, b"payload");
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Kind::Head, &bad, String::new).is_err(), "bit {bit}");
        }
        for len in 0..frame.len() {
            assert!(open(Kind::Head, &frame[..len], String::new).is_err(), "length {len}");
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let frame = frame_of(Kind::Head, b"payload");
        let mut newer = frame.clone();
        newer[0] = 2;
        assert_eq!(refusal(&newer), "the head has format version 2, this version of weir reads version 1");
        let mut flipped = frame;
        flipped[4] ^= 1;
        assert!(refusal(&flipped).starts_with("the head is damaged: its checksum is "));
        assert_eq!(
            refusal(&frame_of(Kind::Epoch, b"payload")),
            "the head is damaged: it is of kind 3, not 2"
        );
    }
}
