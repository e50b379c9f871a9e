//! Values from the front of a record's bytes, as fast as can be: `None` is all that is said of what is
//! wrong. [`super::walk`] looks for it once more, by [`super::cursor`], which passes the same verdicts.
//!
//! Numbers of up to eight bytes are read as one word, without a branch for each byte: how many there are
//! can't be foreseen.

/// The high bit of each byte of a word.
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A number as it is on the wire: zigzag.
#[inline(always)]
pub(super) fn raw(rest: &mut &[u8]) -> Option<u64> {
    if let Some(bytes) = rest.first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        let ends = !word & HIGH_BITS;
        if ends != 0 {
            *rest = &rest[ends.trailing_zeros() as usize / 8 + 1..];
            // The bits up to the first end.
            return Some(join_sevens(word & (ends ^ (ends - 1))));
        }
    }
    any_raw(rest)
}

/// A number as [`raw`] without its bits joined; `None`, and nothing is taken, if it does not end within the
/// next eight bytes, or if there are no eight bytes.
#[inline(always)]
pub(super) fn word(rest: &mut &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(*rest.first_chunk::<8>()?);
    let ends = !word & HIGH_BITS;
    if ends == 0 {
        return None;
    }
    *rest = &rest[ends.trailing_zeros() as usize / 8 + 1..];
    Some(word & (ends ^ (ends - 1)))
}

/// Any number: as [`word`] if it has up to eight bytes, else 0, and `late` gets it with `entry`.
#[inline(never)]
pub(super) fn any_word(rest: &mut &[u8], late: &mut Vec<(usize, i64)>, entry: usize) -> Option<i64> {
    if let Some(word) = last_word(rest) {
        return Some(word.cast_signed());
    }
    late.push((entry, long(rest)?));
    Some(0)
}

/// As [`word`] of the last bytes of a record.
fn last_word(rest: &mut &[u8]) -> Option<u64> {
    let mut padded = [0x80; 8];
    let n_bytes = rest.len().min(8);
    padded[..n_bytes].copy_from_slice(&rest[..n_bytes]);
    let mut left = &padded[..];
    let word = word(&mut left)?;
    *rest = rest.get(8 - left.len()..)?;
    Some(word)
}

/// As [`raw`], for what is hardly ever longer than a byte.
#[inline(always)]
pub(super) fn small_raw(rest: &mut &[u8]) -> Option<u64> {
    if let Some((&byte, behind)) = rest.split_first()
        && byte < 0x80
    {
        *rest = behind;
        return Some(byte.into());
    }
    raw(rest)
}

/// Byte by byte: at the end of a record, or for what has over eight.
#[inline(always)]
fn any_raw(rest: &mut &[u8]) -> Option<u64> {
    // Not the reference itself: what has an address is not in a register.
    let (value, n_bytes) = by_bytes(rest)?;
    *rest = rest.get(n_bytes..)?;
    Some(value)
}

#[inline(never)]
fn by_bytes(rest: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in rest.iter().take(10).enumerate() {
        // The tenth byte has room for the last of 64 bits.
        if i == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((value, i + 1));
        }
    }
    None
}

#[inline(always)]
pub(super) fn long(rest: &mut &[u8]) -> Option<i64> {
    raw(rest).map(zigzag)
}

#[inline(always)]
pub(super) fn int(rest: &mut &[u8]) -> Option<i32> {
    let raw = u32::try_from(raw(rest)?).ok()?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// A number without looking at its value.
#[inline(always)]
pub(super) fn skip_long(rest: &mut &[u8]) -> Option<()> {
    if let Some(bytes) = rest.first_chunk::<8>() {
        let ends = !u64::from_le_bytes(*bytes) & HIGH_BITS;
        if ends != 0 {
            *rest = &rest[ends.trailing_zeros() as usize / 8 + 1..];
            return Some(());
        }
    }
    any_raw(rest).map(drop)
}

/// An index below `n`.
#[inline(always)]
pub(super) fn index(rest: &mut &[u8], n: usize) -> Option<usize> {
    let raw = small_raw(rest)?;
    let index = usize::try_from(raw >> 1).ok()?;
    (raw & 1 == 0 && index < n).then_some(index)
}

#[inline(always)]
pub(super) fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(n)?;
    *rest = behind;
    Some(taken)
}

#[inline(always)]
pub(super) fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

#[inline(always)]
pub(super) fn boolean(rest: &mut &[u8]) -> Option<bool> {
    match array::<1>(rest)? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// A length and that many bytes.
#[inline(always)]
pub(super) fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n = short_length(rest)?;
    take(rest, n)
}

/// A length, without a branch for whether it has one byte or two.
#[inline(always)]
pub(super) fn length(rest: &mut &[u8]) -> Option<usize> {
    if let Some(bytes) = rest.first_chunk::<2>() {
        let word = usize::from(u16::from_le_bytes(*bytes));
        let more = word & 0x80;
        // Neither a third byte nor a sign.
        if word & (more << 8 | 1) == 0 {
            *rest = &rest[1 + (more >> 7)..];
            // The second byte's bits, if it is one.
            let second = word & (more * 0xfe);
            return Some(((word & 0x7e) + (second >> 1)) >> 1);
        }
    }
    not_negative(any_raw(rest)?)
}

/// A length that hardly ever has more than a byte.
#[inline(always)]
pub(super) fn short_length(rest: &mut &[u8]) -> Option<usize> {
    if let Some((&byte, behind)) = rest.split_first()
        && byte < 0x80
    {
        *rest = behind;
        return not_negative(byte.into());
    }
    not_negative(raw(rest)?)
}

#[inline(always)]
fn not_negative(raw: u64) -> Option<usize> {
    if raw & 1 == 0 { usize::try_from(raw >> 1).ok() } else { None }
}

/// Bytes that are UTF-8.
#[inline(always)]
pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    // Most text is ASCII, and finding that out takes a fraction of the time.
    (is_ascii(bytes) || is_utf8(bytes)).then_some(bytes)
}

#[inline(always)]
pub(super) fn zigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// The low seven bits of each byte, joined; the high bits are ignored.
#[inline(always)]
pub(super) fn join_sevens(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// Whether many bytes are ASCII.
#[inline(always)]
pub(super) fn are_ascii(bytes: &[u8]) -> bool {
    let (chunks, last) = bytes.as_chunks::<32>();
    let any = chunks.iter().fold([0; 4], |any, chunk| {
        let words = words(chunk);
        std::array::from_fn(|i| any[i] | words[i])
    });
    (any[0] | any[1] | any[2] | any[3]) & HIGH_BITS == 0 && last.is_ascii()
}

/// Texts in records are short; the last bytes that are looked at may overlap those before. How long the next
/// one is can't be foreseen, so there are few cases, without loops.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    let n = bytes.len();
    let any = if let (Some(first), Some(last)) = (bytes.first_chunk::<32>(), bytes.last_chunk::<32>()) {
        let middle = bytes[(n - 32).min(32)..].first_chunk::<32>();
        if n <= 96
            && let Some(middle) = middle
        {
            let [a, b, c] = [words(first), words(middle), words(last)];
            let [a, b, c, d] = std::array::from_fn(|i| a[i] | b[i] | c[i]);
            a | b | c | d
        } else {
            return bytes.is_ascii();
        }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        let any = u128::from_le_bytes(*first) | u128::from_le_bytes(*last);
        (any as u64) | (any >> 64) as u64
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        u64::from_le_bytes(*first) | u64::from_le_bytes(*last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first) | u32::from_le_bytes(*last))
    } else {
        u64::from(bytes.iter().fold(0, |any, byte| any | byte))
    };
    any & HIGH_BITS == 0
}

#[inline(always)]
pub(super) fn words(chunk: &[u8; 32]) -> [u64; 4] {
    let (words, _) = chunk.as_chunks::<8>();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

#[inline(never)]
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cursor::Cursor;
    use super::*;

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
            let expected = long_by_bytes(&data);
            type Read = fn(&mut &[u8]) -> Option<i64>;
            let reads: [Read; 3] = [
                long,
                |rest| small_raw(rest).map(zigzag),
                |rest| Cursor::new(rest).long().ok().inspect(|_| assert!(skip_long(rest).is_some())),
            ];
            for read in reads {
                let mut rest = &data[..];
                let number = read(&mut rest);
                prop_assert_eq!(number.map(|number| (number, data.len() - rest.len())), expected);
            }
            for read in [length, short_length] {
                let mut rest = &data[..];
                let n = read(&mut rest);
                let taken = expected.filter(|(number, _)| 0 <= *number);
                prop_assert_eq!(n.map(|n| (n as i64, data.len() - rest.len())), taken);
            }
            let as_int = expected.and_then(|(number, _)| i32::try_from(number).ok());
            prop_assert_eq!(int(&mut &data[..]), as_int);
        }

        #[test]
        fn text_is_what_is_utf8(text in "[a-z]{0,130}|[a-zé𝄞]{0,40}", bad in 0usize..200) {
            let mut text = text.into_bytes();
            if let Some(byte) = text.get_mut(bad) {
                *byte ^= 0x80;
            }
            prop_assert_eq!(checked(&text).is_some(), std::str::from_utf8(&text).is_ok());
        }
    }
}
