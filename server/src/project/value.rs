//! Durations, instants and names as people write them.

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `250ms`, `10s`, `5m`, `1h`, `7d` in milliseconds. A whole number that is not negative, and one
/// unit.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<i64>().ok()?.checked_mul(*factor)
}

/// `64MiB`, `1GiB` in bytes. A whole number and one unit.
pub(crate) fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let power = ["KiB", "MiB", "GiB", "TiB"].iter().position(|name| *name == unit)?;
    let factor = 1024_u64.checked_pow(u32::try_from(power).ok()? + 1)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The shortest way to write a size of whole KiB.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let (shift, unit) =
        units.into_iter().find(|(shift, _)| *shift <= bytes.trailing_zeros()).unwrap_or((0, ""));
    format!("{}{unit}", bytes >> shift)
}

/// The shortest way to write a duration.
#[must_use]
pub fn show_ms(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (unit, factor) = UNITS.iter().rev().find(|(_, factor)| ms % factor == 0).unwrap_or(&UNITS[0]);
    format!("{}{unit}", ms / factor)
}

/// An RFC 3339 instant in milliseconds since 1970, rounded up: records before it are not meant.
pub(crate) fn instant_ms(text: &str) -> Option<i64> {
    // The parser also takes dates and local times; an instant has a time and a zone.
    let zoned = text.ends_with('Z') || text.get(19..).is_some_and(|tail| tail.contains(['+', '-']));
    if !zoned || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let ns = string_to_timestamp_nanos(text).ok()?;
    Some(-(-ns).div_euclid(1_000_000))
}

/// Why a source, pipeline, sink, dashboard or connection can't have this name; `None`: it can.
pub(crate) fn bad_name(kind: &str, name: &str) -> Option<String> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= MAX_NAME_BYTES;
    (!fits).then(|| {
        format!(
            "\"{name}\" can't name a {kind}: use at most {MAX_NAME_BYTES} small letters, digits and \"_\", \
             beginning with a letter"
        )
    })
}

/// Whether it can name a project: names of consumer groups and transactions are made of it.
pub(crate) fn is_project_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && text.len() <= MAX_NAME_BYTES
}

/// Names become folders (255 bytes at most) and, joined, Kafka's group ids (249).
const MAX_NAME_BYTES: usize = 64;

/// `one of "a", "b"`, or `"a" is the only one`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("\"{only}\" is the only choice"),
        _ => {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("one of {}", quoted.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, ms) in
            [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1min",
            "1m30s",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn instants_need_a_zone() {
        assert_eq!(instant_ms("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(instant_ms("1970-01-01T01:00:01.5+01:00"), Some(1_500));
        assert_eq!(instant_ms("1970-01-01T00:00:00.0001Z"), Some(1), "rounded up");
        for text in ["1970-01-01", "1970-01-01T00:00:00", "yesterday", ""] {
            assert_eq!(instant_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back(ms in 0_i64..10_000_000_000) {
            prop_assert_eq!(duration_ms(&show_ms(ms)), Some(ms));
        }
    }
}
