//! Texts that nobody wants, which have to be texts all the same, found to be so without looking at one of them.
//!
//! ASCII has no byte with a high bit, and of the bytes of a number all but the last have it. So where numbers and texts
//! follow each other, the bytes with a high bit are counted, in the records of a block together: they are as many as
//! the bytes of the numbers without one for each, if and only if all texts are ASCII. If not, each text is looked at.

use super::block::BLOCK;
use super::column::Slot;
use super::program::{Op, Rare};
use super::run::{Machine, Reader};
use super::take;
use super::texts;

/// Operations that each record follows in the same way, each of numbers or of texts, of which some are skipped.
#[derive(Debug, PartialEq)]
pub(crate) struct Stretch {
    ops: Vec<Op>,
    /// Of one record, the lengths of its texts among them.
    n_numbers: usize,
}

impl Stretch {
    /// What the first of `ops` make, up to the last one that skips a text; the first one has to. `None`: they skip no more
    /// than one text, which is looked at sooner than the bytes around it are counted.
    pub(crate) fn of(ops: &[Op]) -> Option<Self> {
        let is_skip = |op: &Op| matches!(op, Op::SkipTexts { .. });
        ops.first().filter(|op| is_skip(op))?;
        let numbers: Vec<_> = ops.iter().map_while(|op| numbers_of(*op)).collect();
        let n_ops = 1 + ops[..numbers.len()].iter().rposition(is_skip)?;
        let n_skipped: usize = ops.iter().zip(&numbers).filter(|(op, _)| is_skip(op)).map(|(_, n)| n).sum();
        let n_numbers = numbers[..n_ops].iter().sum();
        (1 < n_skipped).then(|| Self { ops: ops[..n_ops].to_vec(), n_numbers })
    }

    pub(crate) fn n_ops(&self) -> usize {
        self.ops.len()
    }

    /// Whether the skipped texts are UTF-8 in records from `begins` to `rests`, in which all texts have `n_text_bytes`.
    fn are_texts(&self, begins: &[&[u8]], rests: &[&[u8]], n_text_bytes: usize) -> bool {
        let Some((n_bytes, n_high)) = count(begins, rests) else { return false };
        n_high + n_text_bytes + self.n_numbers * begins.len() == n_bytes
            || begins.iter().all(|begin| self.are_texts_of(begin).is_some())
    }

    /// Looks at each skipped text of one record.
    fn are_texts_of(&self, mut rest: &[u8]) -> Option<()> {
        for op in &self.ops {
            match op {
                Op::SkipTexts { n } => texts::skip(&mut rest, *n)?,
                Op::Text { .. } => drop(take::bytes(&mut rest)?),
                op => (0..numbers_of(*op)?).try_for_each(|_| take::skip_long(&mut rest))?,
            }
        }
        Some(())
    }
}

/// How many numbers it takes of a record, the length of a text being one; `None` where it may take something else.
fn numbers_of(op: Op) -> Option<usize> {
    match op {
        Op::Long { .. } | Op::Int { .. } | Op::Text { .. } => Some(1),
        Op::SkipLongs { n } | Op::SkipTexts { n } => Some(n as usize),
        Op::Rare(
            Rare::Boolean { .. }
            | Rare::IntToLong { .. }
            | Rare::IntToFloat { .. }
            | Rare::IntToDouble { .. }
            | Rare::LongToFloat { .. }
            | Rare::LongToDouble { .. }
            | Rare::Enum { .. }
            | Rare::Time { .. }
            | Rare::SkipInt
            | Rare::SkipBoolean
            | Rare::SkipEnum { .. }
            | Rare::SkipTime { .. },
        ) => Some(1),
        _ => None,
    }
}

impl Reader<'_> {
    /// As [`Reader::read_block`], for a stretch.
    pub(super) fn stretch<'a>(
        &self,
        stretch: &Stretch,
        bodies: &[&'a [u8]],
        rests: &mut [&'a [u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        let mut begins = [&[][..]; BLOCK];
        let begins = &mut begins[..rests.len()];
        begins.copy_from_slice(rests);
        machine.n_text_bytes = 0;
        let done = stretch.ops.iter().all(|op| match *op {
            Op::SkipTexts { n } => match skip(rests, n) {
                Some(n_bytes) => {
                    machine.n_text_bytes += n_bytes;
                    true
                }
                None => false,
            },
            op => self.step(op, bodies, rests, machine, slots),
        });
        done && stretch.are_texts(begins, rests, machine.n_text_bytes)
    }
}

/// Takes the next `n` texts of each of `rests`, whatever their bytes are, and says how many these are. `None`: one has too
/// few.
#[inline(never)]
fn skip(rests: &mut [&[u8]], n: u32) -> Option<usize> {
    let mut n_bytes = 0;
    for rest in rests {
        let mut behind = *rest;
        for _ in 0..n {
            let n = take::length(&mut behind)?;
            behind = behind.get(n..)?;
            n_bytes += n;
        }
        *rest = behind;
    }
    Some(n_bytes)
}

/// How many bytes there are from `begins` to `rests`, and how many of them have their high bit.
#[inline(never)]
fn count(begins: &[&[u8]], rests: &[&[u8]]) -> Option<(usize, usize)> {
    let (mut n_bytes, mut n_high) = (0, 0);
    for (begin, rest) in begins.iter().zip(rests) {
        let bytes = begin.get(..begin.len().checked_sub(rest.len())?)?;
        n_bytes += bytes.len();
        n_high += n_high_bits(bytes);
    }
    Some((n_bytes, n_high))
}

/// Bytes that are looked at together: two registers of any processor's.
const CHUNK: usize = 32;

/// How many of the bytes have their high bit.
#[inline(always)]
fn n_high_bits(bytes: &[u8]) -> usize {
    // What fewer chunks than 256 have of it at one place fits a byte.
    if CHUNK * 127 <= bytes.len() {
        return n_high_bits_by_bytes(bytes);
    }
    let Some(last) = bytes.last_chunk::<CHUNK>() else { return n_high_bits_by_bytes(bytes) };
    let mut n = [0_u8; CHUNK];
    let mut left = bytes;
    while let Some((chunk, behind)) = left.split_first_chunk::<CHUNK>() {
        n = std::array::from_fn(|i| n[i].wrapping_add(chunk[i] >> 7));
        left = behind;
    }
    if let Some(is_behind) = LAST[left.len()..].first_chunk::<CHUNK>() {
        n = std::array::from_fn(|i| n[i].wrapping_add(last[i] >> 7 & is_behind[i]));
    }
    n.iter().map(|n| u32::from(*n)).sum::<u32>() as usize
}

#[inline(never)]
fn n_high_bits_by_bytes(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(byte >> 7)).sum()
}

/// From `n` on, a chunk with ones at its last `n` bytes.
const LAST: [u8; 2 * CHUNK] = {
    let mut bytes = [0; 2 * CHUNK];
    let mut i = CHUNK;
    while i < 2 * CHUNK {
        bytes[i] = 1;
        i += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::write;

    proptest! {
        #[test]
        fn high_bits_are_counted(bytes in prop::collection::vec(any::<u8>(), 0..200), times in 1usize..60) {
            let bytes = bytes.repeat(times);
            prop_assert_eq!(n_high_bits(&bytes), bytes.iter().filter(|byte| 0x80 <= **byte).count());
        }
    }

    proptest! {
        /// Whatever numbers stand between them, and where one is bad among many records.
        #[test]
        fn skipped_texts_are_texts(
            records in prop::collection::vec((prop::array::uniform3("[a-z]{0,90}|[a-zé𝄞]{0,20}"), any::<i64>()), 1..BLOCK),
            bad in prop::option::of((0..BLOCK, 0..3_usize, 0x80..=0xff_u8)),
        ) {
            let mut are_texts = true;
            let mut bodies = Vec::new();
            for (i, (texts, long)) in records.into_iter().enumerate() {
                let mut body = Vec::new();
                for (j, text) in texts.into_iter().enumerate() {
                    let mut text = text.into_bytes();
                    if let Some((_, _, byte)) = bad.filter(|(at, of, _)| (*at, *of) == (i, j)) {
                        text.push(byte);
                        are_texts = false;
                    }
                    write::bytes(&text, &mut body);
                    if j == 1 {
                        write::long(long, &mut body);
                    }
                }
                bodies.push(body);
            }
            let begins: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let stretch = Stretch::of(&[Op::SkipTexts { n: 2 }, Op::SkipLongs { n: 1 }, Op::SkipTexts { n: 1 }]);
            let stretch = stretch.expect("three texts");
            let mut rests = begins.clone();
            let mut n_text_bytes = skip(&mut rests, 2).expect("two texts");
            rests.iter_mut().for_each(|rest| take::skip_long(rest).expect("a long"));
            n_text_bytes += skip(&mut rests, 1).expect("a text");
            prop_assert!(rests.iter().all(|rest| rest.is_empty()));
            prop_assert_eq!(stretch.are_texts(&begins, &rests, n_text_bytes), are_texts);
        }
    }

    #[test]
    fn a_stretch_is_from_one_skipped_text_to_the_last() {
        let (text, long, skip) = (Op::Text { slot: 1 }, Op::Long { slot: 2 }, Op::SkipTexts { n: 2 });
        let stretch = |ops: &[Op]| Stretch::of(ops).map(|stretch| (stretch.n_ops(), stretch.n_numbers));
        assert_eq!(stretch(&[skip, long, text, skip, long, Op::Double { slot: 0 }, skip]), Some((4, 6)));
        assert_eq!(stretch(&[skip]), Some((1, 2)));
        assert_eq!(stretch(&[Op::SkipTexts { n: 1 }, long, text]), None);
        assert_eq!(stretch(&[long, skip]), None);
    }
}
