//! Primitive Avro values from bytes, and what can be wrong with them.
//!
//! Strict where a reader could otherwise go astray: a varint that does not fit its type, a boolean
//! that is neither 0 nor 1, a block whose size is not that of its items.

use std::fmt;
use std::sync::Arc;

use crate::resolve::plan::Time;

/// Array items and nested values without a single byte that one record may have. They cost
/// memory and time, and no one ever sends them; one byte of "count" could ask for 2^63.
pub(crate) const MAX_EMPTY: usize = 65_536;

/// How deep recursive values may be nested: each level uses stack.
const MAX_NESTING: usize = 64;

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
    BadTime(i64),
    TooManyEmpty,
    TooDeep,
    /// The reader schema has no place for the value: index of the issue that says why.
    Mismatch(usize),
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

    /// A cursor in the middle of a record, to go on behind what else has read: so many items without a byte,
    /// inside so many nested values.
    pub(crate) fn resume(rest: &'a [u8], n_empty: usize, nesting: usize) -> Self {
        Self { data: rest, at: 0, n_empty, nesting }
    }

    /// What is left of the record, and how many items without a byte it had.
    pub(crate) fn pause(&self) -> (&'a [u8], usize) {
        (&self.data[self.at..], self.n_empty)
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
    pub(crate) fn take(&mut self, n: usize) -> Outcome<&'a [u8]> {
        match self.data[self.at..].get(..n) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(self.fault(FaultKind::Truncated)),
        }
    }

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

    pub(crate) fn long(&mut self) -> Outcome<i64> {
        let mut value = 0u64;
        for (i, &byte) in self.data[self.at..].iter().take(10).enumerate() {
            // The tenth byte has room for the last of 64 bits.
            if i == 9 && byte > 1 {
                return Err(self.fault(FaultKind::BadVarint));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.fault(FaultKind::Truncated))
    }

    pub(crate) fn int(&mut self) -> Outcome<i32> {
        let start = self.at;
        let value = self.long()?;
        i32::try_from(value).map_err(|_| {
            self.at = start;
            self.fault(FaultKind::BadInt(value))
        })
    }

    /// A time of day. Avro lets the number be any; no program means one outside the day by it, and a cast to
    /// another unit would wrap.
    pub(crate) fn time(&mut self, of: Time) -> Outcome {
        let start = self.at;
        let value = if of.is_int { i64::from(self.int()?) } else { self.long()? };
        if of.is_within(value) {
            return Ok(());
        }
        self.at = start;
        Err(self.fault(FaultKind::BadTime(value)))
    }

    /// A length and that many bytes.
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
    pub(crate) fn text(&mut self) -> Outcome<&'a [u8]> {
        let start = self.at;
        let bytes = self.bytes()?;
        if std::str::from_utf8(bytes).is_ok() {
            return Ok(bytes);
        }
        self.at = start;
        Err(self.fault(FaultKind::BadUtf8))
    }

    /// The index of a union's branch.
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
            FaultKind::BadTime(n) => write!(f, "{n} is not a time of a day of 24 hours"),
            FaultKind::TooManyEmpty => write!(f, "more than {MAX_EMPTY} items have no bytes"),
            FaultKind::TooDeep => write!(f, "values are nested deeper than {MAX_NESTING} levels"),
            FaultKind::Mismatch(_) => f.write_str("the reader schema has no place for the value"),
            FaultKind::Shape => f.write_str("the plan does not fit the column"),
        }
    }
}
