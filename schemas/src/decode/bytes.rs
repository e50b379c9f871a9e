//! Columns of entries of any length: bytes, and texts that are known to be texts.
//!
//! Invariants:
//! 1. `offsets` begins with 0, ascends, and ends with the length of `data`; entry `i` is `data[offsets[i]..offsets[i + 1]]`.
//! 2. Of [`Strings`], the first `n_seen` bytes of `data` are UTF-8, they end where an entry does, and each offset up to there
//!    is at the beginning of a character, or at the end. An array is made where that is all of `data`, by nobody but this
//!    file: Arrow need not look again.

#![expect(
    unsafe_code,
    reason = "Arrow's own look at texts costs a fifth of the instructions of a record with three of them"
)]

use std::mem;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

use super::column::{Full, reserve};
use super::run::Stop;
use super::take;
use super::texts::{Next, Spans, Texts};

/// Entries of any bytes.
#[derive(Debug)]
pub(crate) struct Bytes {
    offsets: Vec<i32>,
    data: Vec<u8>,
    /// The memory of the last batch's offsets and data.
    spare: [Option<Buffer>; 2],
}

impl Default for Bytes {
    fn default() -> Self {
        Self { offsets: vec![0], data: Vec::new(), spare: [None, None] }
    }
}

impl Bytes {
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: &[u8]) -> Result<(), Full> {
        let end = i32::try_from(self.data.len() + entry.len()).map_err(|_| Full)?;
        self.data.extend_from_slice(entry);
        self.offsets.push(end);
        Ok(())
    }

    /// Appends an entry without bytes: a null.
    pub(crate) fn push_empty(&mut self) {
        self.offsets.push(self.offsets.last().copied().unwrap_or(0));
    }

    /// Forgets all entries but the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.offsets.truncate(n + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    /// Makes room for `n` entries more, in the memory of the last batch if nobody has that any more.
    pub(crate) fn reserve(&mut self, n: usize) {
        let [offsets, data] = &mut self.spare;
        reserve(&mut self.data, 0, data);
        if self.offsets.len() == 1 {
            self.offsets.clear();
            reserve(&mut self.offsets, n + 1, offsets);
            self.offsets.push(0);
        }
    }

    /// Offsets and data, of which the memory is remembered; it starts over.
    fn take(&mut self) -> (ScalarBuffer<i32>, Buffer) {
        let offsets = ScalarBuffer::from(mem::replace(&mut self.offsets, vec![0]));
        let data = Buffer::from_vec(mem::take(&mut self.data));
        self.spare = [Some(offsets.inner().clone()), Some(data.clone())];
        (offsets, data)
    }

    /// The entries as an array; it starts over.
    ///
    /// # Errors
    /// `nulls` are not those of as many entries.
    pub(crate) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (offsets, data) = self.take();
        Ok(Arc::new(BinaryArray::try_new(OffsetBuffer::new(offsets), data, nulls)?))
    }
}

/// Entries that are texts once they have been looked at: all that were added together, which takes a fraction of the time.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    entries: Bytes,
    /// How many bytes have been looked at.
    n_seen: usize,
}

impl Strings {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Full> {
        let are_seen = self.n_seen == self.entries.data.len();
        self.entries.push(text.as_bytes())?;
        if are_seen {
            self.n_seen = self.entries.data.len();
        }
        Ok(())
    }

    /// As [`Bytes::push_empty`].
    pub(crate) fn push_empty(&mut self) {
        self.entries.push_empty();
    }

    /// What is next and may be a text; see [`Self::see`].
    #[inline(always)]
    pub(crate) fn push_next(&mut self, rest: &mut &[u8]) -> Result<(), Stop> {
        let Bytes { offsets, data, .. } = &mut self.entries;
        let text = Next::take(rest).ok_or(Stop::Bad)?;
        let n_bytes = data.len() + text.len();
        let end = i32::try_from(n_bytes).map_err(|_| Full)?;
        match text.piece() {
            Some(piece) => {
                data.extend_from_slice(piece);
                data.truncate(n_bytes);
            }
            None => data.extend_from_slice(text.bytes()),
        }
        offsets.push(end);
        Ok(())
    }

    /// The text that is next in each of `rests`, the ends of `bodies`; gives how many bytes they have. `None`: one of them
    /// has none, or there is no room; then there may be entries too many.
    #[inline(never)]
    pub(crate) fn push_block<'a>(
        &mut self,
        bodies: &[&'a [u8]],
        rests: &mut [&'a [u8]],
        place: &mut Texts,
    ) -> Option<usize> {
        let spans = Spans::take(bodies, rests)?;
        let Bytes { offsets, data, .. } = &mut self.entries;
        let start = data.len();
        match place.together(bodies, &spans) {
            Some(together) => data.extend_from_slice(together),
            None => spans.texts(bodies).for_each(|text| data.extend_from_slice(text)),
        }
        i32::try_from(data.len()).ok()?;
        let mut end = start;
        offsets.extend(spans.lengths().map(|n| {
            end += n;
            end as i32
        }));
        // While they are at hand.
        self.see().then_some(end - start)
    }

    /// Whether all entries are texts. If not, those that were added since it last said so are to be given back.
    #[inline]
    pub(crate) fn see(&mut self) -> bool {
        let are_texts = take::are_ascii(&self.entries.data[self.n_seen..]) || self.are_utf8();
        if are_texts {
            self.n_seen = self.entries.data.len();
        }
        are_texts
    }

    /// Whether what was not seen yet is UTF-8, and no character of it stands in two entries.
    #[inline(never)]
    fn are_utf8(&self) -> bool {
        let Bytes { offsets, data, .. } = &self.entries;
        let mut ends = offsets.iter().rev().map_while(|end| (*end as usize).checked_sub(self.n_seen));
        std::str::from_utf8(&data[self.n_seen..]).is_ok_and(|text| ends.all(|end| text.is_char_boundary(end)))
    }

    /// Forgets all entries but the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.entries.truncate(n);
        self.n_seen = self.n_seen.min(self.entries.data.len());
    }

    /// As [`Bytes::reserve`].
    pub(crate) fn reserve(&mut self, n: usize) {
        self.entries.reserve(n);
    }

    /// As [`Bytes::finish`].
    pub(crate) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let n_entries = self.len();
        if nulls.as_ref().is_some_and(|nulls| nulls.len() != n_entries) {
            return Err(ArrowError::InvalidArgumentError("nulls of another number of texts".to_owned()));
        }
        if !self.see() {
            return Err(ArrowError::InvalidArgumentError("texts that are none".to_owned()));
        }
        self.n_seen = 0;
        let (offsets, data) = self.entries.take();
        // SAFETY: by invariant 1 the offsets ascend from 0 and end with the length of the data; by invariant 2, all bytes
        // having been seen, what is between two of them is UTF-8. There are as many nulls as entries.
        let array = unsafe { StringArray::new_unchecked(OffsetBuffer::new_unchecked(offsets), data, nulls) };
        debug_assert!(array.to_data().validate_full().is_ok(), "texts that are none");
        Ok(Arc::new(array))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::super::block::BLOCK;
    use super::*;

    /// What is done to a column.
    #[derive(Debug, Clone)]
    enum Deed {
        Push(String),
        PushEmpty,
        PushNext(Vec<u8>),
        PushBlock(Vec<Vec<u8>>),
        See,
        Truncate(usize),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let bytes = || {
            prop_oneof![
                4 => "[a-zé]{0,40}".prop_map(String::into_bytes),
                1 => prop::collection::vec(any::<u8>(), 0..6),
            ]
        };
        let deed = prop_oneof![
            "[a-zé]{0,9}".prop_map(Deed::Push),
            Just(Deed::PushEmpty),
            bytes().prop_map(Deed::PushNext),
            prop::collection::vec(bytes(), 1..BLOCK).prop_map(Deed::PushBlock),
            Just(Deed::See),
            (0..9_usize).prop_map(Deed::Truncate),
        ];
        prop::collection::vec(deed, 0..12)
    }

    /// A record of one text, with something behind it.
    fn body(text: &[u8]) -> Vec<u8> {
        let n_bytes = u8::try_from(2 * text.len()).expect("a short text");
        let head = if n_bytes < 0x80 { vec![n_bytes] } else { vec![n_bytes | 0x80, 1] };
        [&head, text, &[0xff; 40]].concat()
    }

    fn is_text(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok()
    }

    proptest! {
        // Miri is slow, and looks at each step.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }) })]

        /// Whatever was given back in between, the array is the texts that were seen, and Arrow agrees; there is none of
        /// what is no text.
        #[test]
        fn strings_are_the_texts_that_were_seen(deeds in deeds()) {
            let (mut strings, mut place) = (Strings::default(), Texts::default());
            let (mut seen, mut added) = (Vec::<Vec<u8>>::new(), Vec::<Vec<u8>>::new());
            for deed in deeds {
                match deed {
                    Deed::Push(text) => {
                        strings.push(&text).expect("room");
                        added.push(text.into_bytes());
                    }
                    Deed::PushEmpty => {
                        strings.push_empty();
                        added.push(Vec::new());
                    }
                    Deed::PushNext(bytes) => {
                        strings.push_next(&mut body(&bytes).as_slice()).expect("room");
                        added.push(bytes);
                    }
                    Deed::PushBlock(block) => {
                        let bodies: Vec<_> = block.iter().map(|bytes| body(bytes)).collect();
                        let bodies: Vec<_> = bodies.iter().map(Vec::as_slice).collect();
                        let taken = strings.push_block(&bodies, &mut bodies.clone(), &mut place);
                        let n_bytes = block.iter().map(Vec::len).sum();
                        added.extend(block);
                        let are_texts = added.iter().all(|bytes| is_text(bytes));
                        prop_assert_eq!(taken, are_texts.then_some(n_bytes));
                        see(&mut strings, &mut seen, &mut added)?;
                    }
                    Deed::See => see(&mut strings, &mut seen, &mut added)?,
                    Deed::Truncate(n) => {
                        strings.truncate(n.min(strings.len()));
                        added.truncate(n.saturating_sub(seen.len()));
                        seen.truncate(n);
                    }
                }
                prop_assert_eq!(strings.len(), seen.len() + added.len());
            }
            prop_assert!(strings.finish(Some(NullBuffer::new_valid(strings.len() + 1))).is_err());
            if !added.iter().all(|bytes| is_text(bytes)) {
                prop_assert!(strings.finish(None).is_err());
            }
            see(&mut strings, &mut seen, &mut added)?;
            let array = strings.finish(None).expect("an array");
            prop_assert!(array.to_data().validate_full().is_ok());
            let array = array.as_string::<i32>();
            prop_assert_eq!(array.iter().map(|text| text.unwrap_or_default().as_bytes().to_vec()).collect::<Vec<_>>(), seen);
            prop_assert_eq!(strings.len(), 0);
        }
    }

    /// Those that were added are seen, or given back where one is no text.
    fn see(
        strings: &mut Strings,
        seen: &mut Vec<Vec<u8>>,
        added: &mut Vec<Vec<u8>>,
    ) -> Result<(), TestCaseError> {
        let are_texts = added.iter().all(|bytes| is_text(bytes));
        prop_assert_eq!(strings.see(), are_texts);
        if are_texts {
            seen.append(added);
        } else {
            strings.truncate(seen.len());
            added.clear();
        }
        Ok(())
    }
}
