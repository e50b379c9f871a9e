//! The next text of each record of a block, taken together.
//!
//! Short texts are copied in pieces of a fixed size: how long the next one is can't be foreseen, and a copy that chooses
//! by it costs more than the bytes do. A piece has bytes of the record that are not the text's: what follows
//! it, or, where too little does, what is in front of it. So texts are put together in a place of their own, from
//! the first on or from the last, each over what the one before left too much.

use super::block::BLOCK;
use super::take;

/// What is copied at once.
const PIECE: usize = 32;

/// Bytes of texts that are put together; longer ones are few and left where they are.
const ROOM: usize = BLOCK * 128;

/// A place for texts, with a piece more on both sides.
#[derive(Debug)]
pub(crate) struct Texts {
    place: Box<[u8; PIECE + ROOM + PIECE]>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { place: Box::new([0; _]) }
    }
}

/// Where the text of each record of a block is.
#[derive(Debug)]
pub(crate) struct Spans {
    spans: [Span; BLOCK],
    n: usize,
    /// Of all texts together.
    n_bytes: usize,
}

/// The `n` bytes in front of `end` of a record's body.
#[derive(Debug, Clone, Copy)]
struct Span {
    end: usize,
    n: usize,
}

impl Spans {
    /// Takes the text that is next in each of `rests`, the ends of `bodies`. `None`: one has none.
    #[inline(always)]
    pub(crate) fn take(bodies: &[&[u8]], rests: &mut [&[u8]]) -> Option<Self> {
        let mut spans = Self { spans: [Span { end: 0, n: 0 }; BLOCK], n: rests.len(), n_bytes: 0 };
        for ((rest, body), span) in rests.iter_mut().zip(bodies).zip(&mut spans.spans) {
            let n = Next::take(rest)?.len();
            *span = Span { end: body.len() - rest.len(), n };
            spans.n_bytes += n;
        }
        Some(spans)
    }

    fn of<'a>(
        &self,
        bodies: &'a [&'a [u8]],
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], usize, usize)> + use<'_, 'a> {
        bodies.iter().zip(&self.spans[..self.n]).map(|(body, span)| (*body, span.end - span.n, span.end))
    }

    pub(crate) fn texts<'a>(&self, bodies: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> + use<'_, 'a> {
        self.of(bodies).map(|(body, start, end)| &body[start..end])
    }

    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> + use<'_> {
        self.spans[..self.n].iter().map(|span| span.n)
    }
}

impl Texts {
    /// All of them, one behind the other. `None`: they are too long, or too near to the ends of their records.
    #[inline(always)]
    pub(crate) fn together(&mut self, bodies: &[&[u8]], spans: &Spans) -> Option<&[u8]> {
        if ROOM < spans.n_bytes {
            return None;
        }
        // Records of a schema are alike.
        let has_front = spans.of(bodies).next().is_some_and(|(_, _, end)| PIECE <= end);
        let is_done = has_front && self.backwards(bodies, spans).is_some();
        if !is_done {
            self.forwards(bodies, spans)?;
        }
        self.place.get(PIECE..PIECE + spans.n_bytes)
    }

    /// Each over what the one in front of it left too much.
    fn forwards(&mut self, bodies: &[&[u8]], spans: &Spans) -> Option<()> {
        let mut to = &mut self.place[PIECE..];
        for (body, start, end) in spans.of(bodies) {
            let n = end - start;
            if n <= PIECE {
                *to.first_chunk_mut::<PIECE>()? = *body.get(start..)?.first_chunk()?;
            } else {
                copy(to.get_mut(..n)?, body.get(start..end)?)?;
            }
            to = to.get_mut(n..)?;
        }
        Some(())
    }

    /// Each over what the one behind it left too much.
    fn backwards(&mut self, bodies: &[&[u8]], spans: &Spans) -> Option<()> {
        let mut to = &mut self.place[..PIECE + spans.n_bytes];
        for (body, start, end) in spans.of(bodies).rev() {
            let left = to.len().checked_sub(end - start)?;
            if end - start <= PIECE {
                *to.last_chunk_mut::<PIECE>()? = *body.get(..end)?.last_chunk()?;
            } else {
                copy(to.get_mut(left..)?, body.get(start..end)?)?;
            }
            to = to.get_mut(..left)?;
        }
        Some(())
    }
}

/// A text of more than a piece: pieces may overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) -> Option<()> {
    let n = from.len();
    if n <= 3 * PIECE {
        let middle = PIECE.min(n.checked_sub(PIECE)?);
        *to.first_chunk_mut::<PIECE>()? = *from.first_chunk()?;
        *to.get_mut(middle..)?.first_chunk_mut::<PIECE>()? = *from.get(middle..)?.first_chunk()?;
        *to.last_chunk_mut::<PIECE>()? = *from.last_chunk()?;
    } else {
        to.copy_from_slice(from);
    }
    Some(())
}

/// Takes the next `n` texts of one record. `None`: one is none.
#[inline(always)]
pub(crate) fn skip(rest: &mut &[u8], n: u32) -> Option<()> {
    for _ in 0..n {
        let text = Next::take(rest)?;
        if !text.is_ascii_piece() {
            take::checked(text.bytes())?;
        }
    }
    Some(())
}

/// The next text of one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next<'a> {
    /// All that is left of the record from it on.
    from: &'a [u8],
    n: usize,
}

impl<'a> Next<'a> {
    #[inline(always)]
    pub(crate) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let n = take::length(rest)?;
        let from = *rest;
        *rest = from.get(n..)?;
        Some(Self { from, n })
    }

    pub(crate) fn len(self) -> usize {
        self.n
    }

    /// Its bytes, as they are.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        &self.from[..self.n]
    }

    /// The bytes from its first one on, if it is short enough for a piece, which there is.
    #[inline(always)]
    pub(crate) fn piece(self) -> Option<&'a [u8; PIECE]> {
        self.from.first_chunk::<PIECE>().filter(|_| self.n <= PIECE)
    }

    /// Whether it is a piece of ASCII.
    #[inline(always)]
    fn is_ascii_piece(self) -> bool {
        self.piece().is_some_and(|piece| is_ascii(piece, &FIRST[PIECE - self.n..]))
    }
}

const FIRST: [u8; 2 * PIECE] = {
    let mut bytes = [0; 2 * PIECE];
    let mut i = 0;
    while i < PIECE {
        bytes[i] = 0xff;
        i += 1;
    }
    bytes
};

/// Whether the bytes are where the first of `masks` have ones.
#[inline(always)]
fn is_ascii(piece: &[u8; PIECE], masks: &[u8]) -> bool {
    masks.first_chunk().is_some_and(|mask| {
        let (piece, mask) = (take::words(piece), take::words(mask));
        let [a, b, c, d]: [u64; 4] = std::array::from_fn(|i| piece[i] & mask[i]);
        (a | b | c | d) & take::HIGH_BITS == 0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is in front of them and behind.
        #[test]
        fn texts_are_taken_as_they_are(
            records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..70), "[a-z]{0,110}|[a-zé]{0,20}",
                prop::collection::vec(any::<u8>(), 0..50), any::<bool>()), 1..=BLOCK),
            fewest in 0usize..3,
        ) {
            let (mut bodies, mut texts, mut starts) = (Vec::new(), Vec::new(), Vec::new());
            for (mut body, text, behind, is_bad) in records {
                // Some blocks have enough in front of all texts, or behind them.
                body.resize(body.len().max([0, 40, 0][fewest]), 0xff);
                starts.push(body.len());
                let mut text = text.into_bytes();
                if is_bad && let Some(byte) = text.last_mut() {
                    *byte = 0xff;
                }
                let raw = text.len() << 1;
                match u8::try_from(raw).ok().filter(|byte| *byte < 0x80) {
                    Some(byte) => body.push(byte),
                    None => body.extend([raw as u8 | 0x80, (raw >> 7) as u8]),
                }
                body.extend(&text);
                body.extend(&behind);
                body.resize(body.len() + [0, 0, 40][fewest], 0xff);
                texts.push(text);
                bodies.push(body);
            }
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let begin: Vec<&[u8]> = bodies.iter().zip(&starts).map(|(body, start)| &body[*start..]).collect();

            let mut rests = begin.clone();
            let spans = Spans::take(&bodies, &mut rests).expect("each has one");
            prop_assert_eq!(spans.texts(&bodies).collect::<Vec<_>>(), texts.clone());
            prop_assert_eq!(spans.lengths().collect::<Vec<_>>(), texts.iter().map(Vec::len).collect::<Vec<_>>());
            if let Some(together) = Texts::default().together(&bodies, &spans) {
                prop_assert_eq!(together, texts.concat());
            } else {
                prop_assert_eq!(fewest, 0);
            }

            for (rest, text) in begin.iter().zip(&texts) {
                let next = Next::take(&mut &**rest).expect("each has one");
                prop_assert_eq!(next.bytes(), &text[..]);
                if let Some(piece) = next.piece() {
                    prop_assert!(piece.starts_with(text));
                    prop_assert_eq!(next.is_ascii_piece(), text.is_ascii());
                }
            }
        }
    }

    #[test]
    fn a_record_without_a_whole_text_has_none() {
        for body in [&b""[..], b"\x04a", b"\x01a", b"\x80"] {
            assert!(Spans::take(&[body], &mut [body]).is_none(), "{body:?}");
        }
    }
}
