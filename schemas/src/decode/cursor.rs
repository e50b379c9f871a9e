//! Primitive Avro values from bytes, and what can be wrong with them.
//!
//! Strict where a reader could otherwise go astray: a varint that does not fit its type, a boolean
//! that is neither 0 nor 1, a block whose size is not that of its items.

use std::fmt;
use std::sync::Arc;

/// Array items and nested values without a single byte that one record may have. They cost
/// memory and time, and no one ever sends them; one byte of "count" could ask for 2^63.
const MAX_EMPTY: usize = 65_536;

/// How deep recursive values may be nested: each level uses stack.
const MAX_NESTING: usize = 64;

/// The high bit of each byte of a word.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Why a record can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Bytes of the body in front of the wrong value.
    pub(crate) at: usize,
    /// Field names, the innermost first.
    pub(crate) path: Vec<Arc<str>>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Truncated,
    Trailing(usize),
    BadVarint,
    BadInt(i64),
    BadBoolean(u8),
    BadLength(i64),
    BadUtf8,
    BadBranch {
        index: i64,
        n_branches: usize,
    },
    BadSymbol {
        index: i64,
        n_symbols: usize,
    },
    BadBlock,
    BadDecimal {
        precision: u8,
    },
    TooManyEmpty,
    TooDeep,
    /// The reader schema has no place for the value: index of the issue that says why.
    Mismatch(usize),
    /// Not the record's fault: a column has reached 2 GiB.
    ColumnFull,
    /// Not the record's fault: plan and column do not belong together.
    Shape,
}

/// Boxed, since it is rare and the way of success should be narrow.
pub(crate) type Outcome<T = ()> = Result<T, Box<Fault>>;

/// Adds the field that the fault happened in.
pub(crate) fn in_field(name: &Arc<str>) -> impl Fn(Box<Fault>) -> Box<Fault> + '_ {
    |mut fault| {
        fault.path.push(Arc::clone(name));
        fault
    }
}

/// A position in the body of one record.
pub(crate) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    n_empty: usize,
    nesting: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, n_empty: 0, nesting: 0 }
    }

    #[cold]
    pub(crate) fn fault(&self, kind: FaultKind) -> Box<Fault> {
        Box::new(Fault { kind, at: self.at, path: Vec::new() })
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Outcome {
        match self.data.len() - self.at {
            0 => Ok(()),
            n_left => Err(self.fault(FaultKind::Trailing(n_left))),
        }
    }

    /// The next `n` bytes.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Outcome<&'a [u8]> {
        match self.data[self.at..].get(..n) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(self.fault(FaultKind::Truncated)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        match self.data[self.at..].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.fault(FaultKind::Truncated)),
        }
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Outcome<bool> {
        match self.data.get(self.at) {
            Some(byte @ (0 | 1)) => {
                self.at += 1;
                Ok(*byte == 1)
            }
            Some(byte) => Err(self.fault(FaultKind::BadBoolean(*byte))),
            None => Err(self.fault(FaultKind::Truncated)),
        }
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Outcome<i64> {
        // One byte is by far the most common length: union branches, short strings, small numbers.
        if let Some(&byte) = self.data.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(zigzag(byte.into()));
        }
        self.long_varint()
    }

    /// Two to eight bytes without a branch for each: which of them it is can't be foreseen.
    #[inline]
    fn long_varint(&mut self) -> Outcome<i64> {
        if let Some(bytes) = self.data[self.at..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*bytes);
            let ends = !word & HIGH_BITS;
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize / 8 + 1;
                // The bits up to the first end.
                return Ok(zigzag(join_sevens(word & (ends ^ (ends - 1)))));
            }
        }
        self.any_varint()
    }

    #[cold]
    fn any_varint(&mut self) -> Outcome<i64> {
        let mut value = 0u64;
        for (i, &byte) in self.data[self.at..].iter().take(10).enumerate() {
            // The tenth byte has room for the last of 64 bits.
            if i == 9 && byte > 1 {
                return Err(self.fault(FaultKind::BadVarint));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(zigzag(value));
            }
        }
        Err(self.fault(FaultKind::Truncated))
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Outcome<i32> {
        let start = self.at;
        let value = self.long()?;
        i32::try_from(value).map_err(|_| {
            self.at = start;
            self.fault(FaultKind::BadInt(value))
        })
    }

    #[inline]
    pub(crate) fn float(&mut self) -> Outcome<f32> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn double(&mut self) -> Outcome<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// A length and that many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Outcome<&'a [u8]> {
        let start = self.at;
        let len = self.long()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => {
                self.at = start;
                Err(self.fault(FaultKind::BadLength(len)))
            }
        }
    }

    /// A length and that many bytes of UTF-8.
    #[inline]
    pub(crate) fn text(&mut self) -> Outcome<&'a [u8]> {
        let start = self.at;
        let bytes = self.bytes()?;
        // Most text is ASCII, and finding that out takes a fraction of the time.
        if is_ascii(bytes) || is_utf8(bytes) {
            return Ok(bytes);
        }
        self.at = start;
        Err(self.fault(FaultKind::BadUtf8))
    }

    /// The index of a union's branch.
    #[inline]
    pub(crate) fn branch(&mut self, n_branches: usize) -> Outcome<usize> {
        let start = self.at;
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(branch) if branch < n_branches => Ok(branch),
            _ => {
                self.at = start;
                Err(self.fault(FaultKind::BadBranch { index, n_branches }))
            }
        }
    }

    /// The index of an enum's symbol.
    #[inline]
    pub(crate) fn symbol(&mut self, n_symbols: usize) -> Outcome<usize> {
        let start = self.at;
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(symbol) if symbol < n_symbols => Ok(symbol),
            _ => {
                self.at = start;
                Err(self.fault(FaultKind::BadSymbol { index, n_symbols }))
            }
        }
    }

    /// The blocks of an array or a map; calls `item` for each and gives their number.
    pub(crate) fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Outcome) -> Outcome<usize> {
        let mut n_items = 0;
        loop {
            let start = self.at;
            let mut count = self.long()?;
            if count == 0 {
                return Ok(n_items);
            }
            let mut end = None;
            if count < 0 {
                let size = self.long()?;
                let known = usize::try_from(size).ok().and_then(|size| self.at.checked_add(size));
                let (Some(items), Some(known)) = (count.checked_neg(), known) else {
                    self.at = start;
                    return Err(self.fault(FaultKind::BadBlock));
                };
                count = items;
                end = Some(known);
            }
            for _ in 0..count {
                let item_start = self.at;
                item(self)?;
                self.progress(item_start)?;
                n_items += 1;
            }
            if end.is_some_and(|end| end != self.at) {
                self.at = start;
                return Err(self.fault(FaultKind::BadBlock));
            }
        }
    }

    /// Goes one level down in a recursive value, for the time of `walk`.
    pub(crate) fn nested(&mut self, walk: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        if self.nesting >= MAX_NESTING {
            return Err(self.fault(FaultKind::TooDeep));
        }
        let start = self.at;
        self.nesting += 1;
        walk(self)?;
        self.nesting -= 1;
        self.progress(start)
    }

    /// Counts what took no bytes.
    #[inline]
    fn progress(&mut self, start: usize) -> Outcome {
        if self.at == start {
            self.n_empty += 1;
            if self.n_empty > MAX_EMPTY {
                return Err(self.fault(FaultKind::TooManyEmpty));
            }
        }
        Ok(())
    }
}

#[inline]
fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The low seven bits of each byte, joined; the high bits are ignored.
#[inline]
fn join_sevens(word: u64) -> u64 {
    let word = word & !HIGH_BITS;
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// Eight bytes at a time: texts in records are short, and the last word may overlap the one before.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(0, |any, byte| any | byte) < 0x80;
    };
    let words = bytes.as_chunks::<8>().0.iter();
    let any = words.fold(u64::from_le_bytes(*last), |any, word| any | u64::from_le_bytes(*word));
    any & HIGH_BITS == 0
}

#[inline(never)]
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let names: Vec<_> = self.path.iter().rev().map(|name| &**name).collect();
            write!(f, "field \"{}\", ", names.join("."))?;
        }
        write!(f, "byte {} of the body: ", self.at)?;
        match self.kind {
            FaultKind::Truncated => f.write_str("the record ends in the middle of a value"),
            FaultKind::Trailing(n) => write!(f, "{n} bytes are left behind the last field"),
            FaultKind::BadVarint => f.write_str("a number has more than 64 bits"),
            FaultKind::BadInt(n) => write!(f, "{n} is not an int of 32 bits"),
            FaultKind::BadBoolean(byte) => write!(f, "{byte} is not a boolean"),
            FaultKind::BadLength(n) => write!(f, "{n} is not a length"),
            FaultKind::BadUtf8 => f.write_str("a string is not UTF-8"),
            FaultKind::BadBranch { index, n_branches } => {
                write!(f, "{index} is not one of a union's {n_branches} branches")
            }
            FaultKind::BadSymbol { index, n_symbols } => {
                write!(f, "{index} is not one of an enum's {n_symbols} symbols")
            }
            FaultKind::BadBlock => f.write_str("a block of items does not have the size that it states"),
            FaultKind::BadDecimal { precision } => write!(f, "a decimal has more than {precision} digits"),
            FaultKind::TooManyEmpty => write!(f, "more than {MAX_EMPTY} items have no bytes"),
            FaultKind::TooDeep => write!(f, "values are nested deeper than {MAX_NESTING} levels"),
            FaultKind::Mismatch(_) => f.write_str("the reader schema has no place for the value"),
            FaultKind::ColumnFull => f.write_str("the column is full"),
            FaultKind::Shape => f.write_str("the plan does not fit the column"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, as the specification says it.
    fn long_by_bytes(data: &[u8]) -> Option<(i64, usize)> {
        let n_bytes = 1 + data.iter().take(10).position(|byte| *byte < 0x80)?;
        if n_bytes == 10 && 1 < data[9] {
            return None;
        }
        let value =
            data[..n_bytes].iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        Some(((value >> 1) as i64 ^ -((value & 1) as i64), n_bytes))
    }

    proptest! {
        #[test]
        fn a_number_is_what_its_bytes_say_whatever_follows(
            n_high in 0usize..12,
            bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let high = |(i, byte): (usize, &u8)| if i < n_high { byte | 0x80 } else { byte & 0x7f };
            let data: Vec<u8> = bytes.iter().enumerate().map(high).collect();
            let mut cursor = Cursor::new(&data);
            let number = cursor.long().ok();
            prop_assert_eq!(number.map(|number| (number, cursor.at)), long_by_bytes(&data));
        }

        #[test]
        fn text_is_what_is_utf8(text in "[a-z]{0,90}|[a-zé𝄞]{0,24}", bad in 0usize..100) {
            let mut text = text.into_bytes();
            if let Some(byte) = text.get_mut(bad) {
                *byte ^= 0x80;
            }
            let mut data = vec![(text.len() << 1) as u8 | 0x80, (text.len() >> 6) as u8];
            data.extend_from_slice(&text);
            let mut cursor = Cursor::new(&data);
            prop_assert_eq!(cursor.text().is_ok(), std::str::from_utf8(&text).is_ok());
        }
    }
}
