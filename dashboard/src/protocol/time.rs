//! Instants and durations as the wire spells them.
//!
//! Instants are microseconds since 1970-01-01T00:00Z. A local time, without zone, is read as if it were UTC: the page
//! orders and draws it, it never converts it.

/// One second.
pub const SECOND: i64 = 1_000_000;
/// One millisecond.
pub const MILLISECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

/// Reads `2026-11-22T12:04:30.250Z`, with or without fraction and zone. Digits behind the sixth are cut off.
pub fn parse_instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() < 19
        || separators.iter().any(|&(at, byte)| bytes[at] != byte && (at != 10 || bytes[at] != b' '))
    {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &bytes[19..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n_digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut scale = SECOND;
        for byte in &fraction[..n_digits] {
            scale /= 10;
            micros += scale * i64::from(byte - b'0');
        }
        rest = &fraction[n_digits..];
    }
    if !matches!(rest, b"" | b"Z" | b"+00:00") {
        return None;
    }
    let days = days_from_civil(number(0, 4)?, month, day);
    Some(days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + micros)
}

/// `HH:MM:SS` of an instant, in UTC.
fn clock_text(instant: i64) -> String {
    let second = instant.div_euclid(SECOND).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month (1 to 12) and day of an instant, in UTC.
pub fn civil(instant: i64) -> (i64, usize, i64) {
    civil_from_days(instant.div_euclid(DAY))
}

/// `2026-11-22T12:04:30Z`, with milliseconds where the instant has them: what [`parse_instant`] reads.
pub fn instant_text(instant: i64) -> String {
    let (year, month, day) = civil(instant);
    let millis = instant.rem_euclid(SECOND) / MILLISECOND;
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{year:04}-{month:02}-{day:02}T{}{fraction}Z", clock_text(instant))
}

/// `90s`, `30m`, `2h`: the largest unit that gives a whole number.
pub fn duration_text(millis: i64) -> String {
    match millis {
        ms if ms % 1_000 != 0 => format!("{ms}ms"),
        ms if ms % 60_000 != 0 => format!("{}s", ms / 1_000),
        ms if ms % 3_600_000 != 0 => format!("{}m", ms / 60_000),
        ms => format!("{}h", ms / 3_600_000),
    }
}

/// Reads what [`duration_text`] writes.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(n_digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(millis)
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, whose years begin in March here.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day of a day number; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_read_at_any_precision() {
        assert_eq!(parse_instant("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_instant("2026-11-22T12:04:30.250Z"), Some(1_795_349_070_250_000));
        assert_eq!(parse_instant("2026-11-22T12:04:30.250123456"), Some(1_795_349_070_250_123));
        assert_eq!(parse_instant("1969-12-31T23:59:59.999Z"), Some(-1_000));
        for wrong in
            ["", "2026-11-22", "2026-13-22T12:04:30Z", "2026-11-22T12:04:30+02:00", "2026-11-22T12:o4:30Z"]
        {
            assert_eq!(parse_instant(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_days(days in -1_000_000_i64..3_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, i64::try_from(month).expect("small"), day), days);
            prop_assert!((1..=31).contains(&day));
        }

        #[test]
        fn instants_come_back(millis in -62_000_000_000_000_i64..200_000_000_000_000) {
            let instant = millis * MILLISECOND;
            prop_assert_eq!(parse_instant(&instant_text(instant)), Some(instant));
        }

        #[test]
        fn durations_come_back(millis in 0_i64..1_000_000_000) {
            prop_assert_eq!(parse_duration_ms(&duration_text(millis)), Some(millis));
        }
    }
}
