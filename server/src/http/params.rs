//! Query parameters, durations and `Accept`, as clients write them.

use std::time::Duration;

use crate::problem::{Code, Fault};

/// Reads a duration such as `250ms`, `10s`, `5m`, `2h` or `7d`, greater than zero.
///
/// # Errors
/// [`Code::BadRequest`] naming `what`.
pub(super) fn duration(what: &str, text: &str) -> Result<Duration, Fault> {
    let wrong = || {
        Fault::new(Code::BadRequest, format!("{what} \"{text}\" is not a duration"))
            .hint("write it like 250ms, 10s, 5m, 2h or 7d")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let ms = number.checked_mul(unit_ms).filter(|ms| 0 < *ms && *ms <= i64::MAX as u64).ok_or_else(wrong)?;
    Ok(Duration::from_millis(ms))
}

/// The media type among `offered` that an `Accept` header likes best; the first one without a
/// preference. `None`: it accepts none of them.
pub(crate) fn accepted<'a>(accept: Option<&str>, offered: &[&'a str]) -> Option<&'a str> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return offered.first().copied();
    };
    let mut best: Option<(f32, &str)> = None;
    for media_type in offered {
        let quality = quality(accept, media_type);
        if 0.0 < quality && best.is_none_or(|(best, _)| best < quality) {
            best = Some((quality, media_type));
        }
    }
    best.map(|(_, media_type)| media_type)
}

/// The quality that a header gives a media type: that of the most specific range that matches.
fn quality(accept: &str, media_type: &str) -> f32 {
    let (main, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut found = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specific = if range == media_type {
            3
        } else if range.strip_suffix("/*") == Some(main) {
            2
        } else if range == "*/*" || range == "*" {
            1
        } else {
            continue;
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0));
        if found.0 < specific {
            found = (specific, quality);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_others_refused() {
        assert_eq!(duration("x", "250ms").expect("valid"), Duration::from_millis(250));
        assert_eq!(duration("x", "7d").expect("valid"), Duration::from_secs(7 * 86_400));
        for text in
            ["", "s", "10", "-1s", "1.5s", "0s", "1 s", "10S", "99999999999999999999s", "9999999999999999d"]
        {
            assert!(duration("x", text).is_err(), "{text}");
        }
    }

    #[test]
    fn accept_chooses_by_quality_and_specificity() {
        let offered = ["application/json", "text/csv"];
        let choose = |accept| accepted(accept, &offered);
        assert_eq!(choose(None), Some("application/json"));
        assert_eq!(choose(Some("*/*")), Some("application/json"));
        assert_eq!(choose(Some("text/*, */*;q=0.1")), Some("text/csv"));
        assert_eq!(choose(Some("application/json;q=0.2, Text/CSV;q=0.8")), Some("text/csv"));
        assert_eq!(choose(Some("*/*, application/json;q=0")), Some("text/csv"));
        assert_eq!(choose(Some("image/png")), None);
    }
}
