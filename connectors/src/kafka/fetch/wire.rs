//! The primitives of Kafka's protocol, in its classic and its flexible (KIP-482) form.
//!
//! Invariants:
//! 1. No read goes past what arrived, and no length from the wire is believed before it has been
//!    compared with what is left: a hostile answer costs an error, not memory.
//! 2. Nothing here panics on what is read.

use std::ops::Range;

/// An answer that is not what the protocol says. The connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker's answer is malformed: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads an answer from its beginning to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    position: usize,
    is_flexible: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8], is_flexible: bool) -> Self {
        Self { data, position: 0, is_flexible }
    }

    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], Malformed> {
        let end = self.position.checked_add(n_bytes).ok_or(Malformed("a length overflows"))?;
        let bytes = self.data.get(self.position..end).ok_or(Malformed("it ends early"))?;
        self.position = end;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("it ends early"))
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.fixed::<1>()? != [0])
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub(super) fn uuid(&mut self) -> Result<[u8; 16], Malformed> {
        self.fixed()
    }

    fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than 5 bytes"))
    }

    /// A length; `None` for null.
    fn length(&mut self, is_short: bool) -> Result<Option<usize>, Malformed> {
        if self.is_flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        let length = if is_short { i32::from(self.i16()?) } else { self.i32()? };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Malformed("a length is negative")),
        }
    }

    /// Number of elements, 0 for null, where an element has at least `n_bytes_min` bytes.
    pub(super) fn array(&mut self, n_bytes_min: usize) -> Result<usize, Malformed> {
        let length = self.length(false)?.unwrap_or(0);
        if (self.data.len() - self.position) / n_bytes_min < length {
            return Err(Malformed("an array is longer than the answer"));
        }
        Ok(length)
    }

    pub(super) fn string(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length(true)?.unwrap_or(0);
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a string is not UTF-8"))
    }

    /// Where bytes lie in the answer; empty for null.
    pub(super) fn bytes(&mut self) -> Result<Range<usize>, Malformed> {
        let length = self.length(false)?.unwrap_or(0);
        self.take(length)?;
        Ok(self.position - length..self.position)
    }

    /// Steps over the tagged fields at the end of a flexible structure.
    pub(super) fn tags(&mut self) -> Result<(), Malformed> {
        if self.is_flexible {
            for _ in 0..self.unsigned_varint()? {
                self.unsigned_varint()?;
                let length = self.unsigned_varint()? as usize;
                self.take(length)?;
            }
        }
        Ok(())
    }
}

/// Builds a request.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    data: &'a mut Vec<u8>,
    is_flexible: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(data: &'a mut Vec<u8>, is_flexible: bool) -> Self {
        Self { data, is_flexible }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.data.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.data.push(value as u8);
    }

    pub(super) fn array(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX - 1);
        if self.is_flexible { self.unsigned_varint(length + 1) } else { self.raw(&length.to_be_bytes()) }
    }

    pub(super) fn string(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(0);
        if self.is_flexible {
            self.unsigned_varint(u32::from(length) + 1)
        } else {
            self.raw(&length.to_be_bytes())
        }
        self.raw(&text.as_bytes()[..usize::from(length)]);
    }

    pub(super) fn tags(&mut self) {
        if self.is_flexible {
            self.data.push(0);
        }
    }
}
