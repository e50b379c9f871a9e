//! A record's bytes for people: base64 as the wire has them, a dump in hex and text, and the text that they may be.

/// Bytes of a record that are put on the page. More than a person reads; the rest can be copied.
pub const SHOWN_BYTES: usize = 4_096;

/// Decodes base64 with padding, as the server writes it; `None` where it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | u32::from(sextet(*digit)?);
        }
        let n_bits = group.len() * 6;
        bits <<= 24 - n_bits;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=n_bits / 8]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// `00 00 00 2a`.
pub fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// A stretch of the dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub is_marked: bool,
}

/// The first [`SHOWN_BYTES`] as lines of `per_line` bytes: offset, hex, text. The bytes of `marked` are in marked pieces,
/// twice: as hex and as text.
pub fn dump(bytes: &[u8], per_line: usize, marked: std::ops::Range<usize>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut push = |text: &str, is_marked: bool| match pieces.last_mut() {
        Some(last) if last.is_marked == is_marked => last.text.push_str(text),
        _ => pieces.push(Piece { text: text.to_owned(), is_marked }),
    };
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    for (n, line) in shown.chunks(per_line.max(1)).enumerate() {
        let start = n * per_line;
        push(&format!("{start:04x}  "), false);
        let is_marked = |at: usize| marked.contains(&(start + at));
        for at in 0..per_line {
            match line.get(at) {
                Some(byte) => push(&format!("{byte:02x}"), is_marked(at)),
                None => push("  ", false),
            }
            // The space between two marked bytes is marked: one stretch looks like one.
            push(" ", is_marked(at) && is_marked(at + 1) && at + 1 < line.len());
        }
        push(" ", false);
        for (at, byte) in line.iter().enumerate() {
            let letter = if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '·' };
            push(letter.encode_utf8(&mut [0; 4]), is_marked(at));
        }
        push("\n", false);
    }
    pieces
}

/// Letters of a whole line of [`dump`].
pub fn line_letters(per_line: usize) -> usize {
    "0000  ".len() + per_line * 4 + 1
}

/// `The first 4,096 of 1,048,576 bytes.`, where not all are shown.
pub fn cut_sentence(n_bytes: usize) -> Option<String> {
    let grouped = |n: usize| crate::view::number::grouped(&n.to_string());
    (SHOWN_BYTES < n_bytes).then(|| {
        format!("The first {} of {} bytes. A copy has all of them.", grouped(SHOWN_BYTES), grouped(n_bytes))
    })
}

/// The text that the bytes are, where they are text; JSON is laid out. Cut to [`SHOWN_BYTES`].
pub fn as_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_text = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    if text.is_empty() || !text.chars().all(is_text) {
        return None;
    }
    let json = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .filter(|json| json.is_object() || json.is_array());
    let mut text =
        json.and_then(|json| serde_json::to_string_pretty(&json).ok()).unwrap_or_else(|| text.to_owned());
    if SHOWN_BYTES < text.len() {
        let end = (0..=SHOWN_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let mut bits = [0_u8; 4];
            bits[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(bits);
            for at in 0..4 {
                let digit = char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
                text.push(if at <= group.len() { digit } else { '=' });
            }
        }
        text
    }

    #[test]
    fn known_texts_are_read() {
        assert_eq!(from_base64("eyJ2YWx1ZSI6IDV9").as_deref(), Some(&b"{\"value\": 5}"[..]));
        assert_eq!(from_base64("aw==").as_deref(), Some(&b"k"[..]));
        assert_eq!((from_base64(""), from_base64("a b=")), (Some(Vec::new()), None));
    }

    #[test]
    fn marked_bytes_are_marked_as_hex_and_as_text() {
        let pieces = dump(b"\0abcdef", 4, 2..5);
        let seen: Vec<(&str, bool)> = pieces.iter().map(|piece| (&*piece.text, piece.is_marked)).collect();
        assert_eq!(
            seen,
            [
                ("0000  00 61 ", false),
                ("62 63", true),
                ("  ·a", false),
                ("bc", true),
                ("\n0004  ", false),
                ("64", true),
                (" 65 66     ", false),
                ("d", true),
                ("ef\n", false),
            ]
            .map(|(text, is_marked)| (text, is_marked))
        );
    }

    #[test]
    fn texts_are_told_from_bytes() {
        assert_eq!(as_text(b"{\"a\":1}").as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(as_text(b"plain").as_deref(), Some("plain"));
        assert_eq!((as_text(b"a\0b"), as_text(b"\xff"), as_text(b"")), (None, None, None));
        assert!(as_text("é".repeat(5_000).as_bytes()).is_some_and(|text| text.ends_with('…')));
    }

    proptest! {
        #[test]
        fn base64_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(from_base64(&to_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn dump_holds_every_byte_once(bytes in prop::collection::vec(any::<u8>(), 0..100), from in 0..100_usize, n in 0..50_usize, per_line in 1..17_usize) {
            let text: String = dump(&bytes, per_line, from..from + n).into_iter().map(|piece| piece.text).collect();
            let hexes = text.lines().flat_map(|line| {
                line[6..].chars().collect::<Vec<_>>()[..per_line * 3].iter().collect::<String>().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            });
            prop_assert_eq!(hexes.collect::<Vec<_>>().join(" "), hex(&bytes));
        }
    }
}
