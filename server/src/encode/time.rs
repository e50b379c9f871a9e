//! Dates, times and timestamps as text: integer arithmetic only, for every `i64`.
//!
//! Years 0 to 9999 have four digits; others, which RFC 3339 has no form for, a sign and as many as
//! they need (ISO 8601's expanded form).

use arrow::datatypes::TimeUnit;

use super::json::put;

/// Ticks in a second, and digits behind it.
fn resolution(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// Appends `2026-11-22`; `days` since 1970.
pub(super) fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if (0..=9_999).contains(&year) {
        put(out, format_args!("{year:04}-{month:02}-{day:02}"));
    } else {
        put(out, format_args!("{year:+05}-{month:02}-{day:02}"));
    }
}

/// Appends `12:34:56.789`; `ticks` since midnight.
pub(super) fn time(ticks: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (per_second, digits) = resolution(unit);
    let seconds = ticks.div_euclid(per_second);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    put(out, format_args!("{hour:02}:{minute:02}:{second:02}"));
    if digits != 0 {
        put(out, format_args!(".{:0digits$}", ticks.rem_euclid(per_second)));
    }
}

/// Appends `2026-11-22T12:34:56.789`, and `Z` if `zoned`; `ticks` since 1970.
pub(super) fn timestamp(ticks: i64, unit: TimeUnit, zoned: bool, out: &mut Vec<u8>) {
    let per_day = resolution(unit).0 * 86_400;
    date(ticks.div_euclid(per_day), out);
    out.push(b'T');
    time(ticks.rem_euclid(per_day), unit, out);
    if zoned {
        out.push(b'Z');
    }
}

/// A moment in milliseconds since 1970 as RFC 3339 with `Z`, to the millisecond.
#[must_use]
pub fn instant(ms: i64) -> String {
    let mut text = Vec::with_capacity(24);
    timestamp(ms, TimeUnit::Millisecond, true, &mut text);
    String::from_utf8(text).expect("digits and separators are ASCII")
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
