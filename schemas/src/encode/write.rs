//! Avro's binary form of single values.

/// A variable-length zig-zag number.
pub(crate) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while 0x7f < rest {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A length, then the bytes.
pub(crate) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    length(value.len(), out);
    out.extend_from_slice(value);
}

/// A number of bytes, items or entries.
pub(crate) fn length(n: usize, out: &mut Vec<u8>) {
    long(i64::try_from(n).expect("nothing in memory has more than 2^63 bytes"), out);
}

/// A big-endian two's-complement number, in as few bytes as it needs.
pub(crate) fn decimal(wide: &[u8], out: &mut Vec<u8>) {
    let is_sign_only = |i: usize| {
        let sign = if wide[i + 1] & 0x80 == 0 { 0 } else { 0xff };
        wide[i] == sign
    };
    let start = (0..wide.len().saturating_sub(1)).find(|&i| !is_sign_only(i));
    bytes(&wide[start.unwrap_or(wide.len().saturating_sub(1))..], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    /// The examples of the specification.
    #[test]
    fn longs_are_zig_zag() {
        for (value, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 1])] {
            assert_eq!(written(|out| long(value, out)), bytes, "{value}");
        }
        assert_eq!(written(|out| long(i64::MIN, out)).len(), 10);
    }

    #[test]
    fn decimals_take_as_few_bytes_as_they_need() {
        for (value, bytes) in [
            (0, &[2, 0][..]),
            (-1, &[2, 0xff]),
            (127, &[2, 0x7f]),
            (128, &[4, 0, 0x80]),
            (-129, &[4, 0xff, 0x7f]),
        ] {
            assert_eq!(written(|out| decimal(&i128::to_be_bytes(value), out)), bytes, "{value}");
        }
    }
}
