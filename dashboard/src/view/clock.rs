//! How dates and times of day are written: as the reader's language does, found from samples that the browser wrote.
//!
//! Invariants:
//! 1. What a program reads (addresses, SQL, files, what is copied) is not written here but by [`time::instant_text`].
//! 2. UTC has 24 hours in every language: it is the notation of logs and of what the server says. Other zones have those
//!    of the language.
//! 3. Hours, minutes and seconds have two digits: a clock does not change its width while it runs.

use std::cell::RefCell;

use super::number;
use crate::protocol::time::{self, SECOND};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What the browser writes for the instants of [`sample`], in UTC and with the digits 0 to 9.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Samples {
    /// The time of day at 03 and at 13 hours as the language has it.
    pub clocks: [String; 2],
    /// At 13 hours, of 24.
    pub clock_24: String,
    /// Of each month: the date, and the date without its year.
    pub dates: Vec<[String; 2]>,
}

/// The instant of a sample, microseconds since 1970: four minutes and five seconds past `hour` on the 22nd of a month, 1 to
/// 12, of 2033. No other part of it is 22, 2033, 04 or 05.
pub fn sample(month: usize, hour: usize) -> i64 {
    time::parse_instant(&format!("2033-{month:02}-22T{hour:02}:04:05Z")).unwrap_or(0)
}

/// To which part a time of day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fine<'a> {
    Minutes,
    Seconds,
    /// With these digits of a second.
    Digits(&'a str),
}

/// What stands around the parts of a time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marks {
    before: String,
    behind_hour: String,
    behind_minute: String,
    after: String,
}

struct Style {
    clock_24: Marks,
    /// Of both halves of the day, where the language counts to twelve.
    halves: Option<[Marks; 2]>,
    /// As [`Samples::dates`], with `\u{1}` for the day and `\u{2}` for the year; empty: as in English.
    dates: Vec<[String; 2]>,
}

thread_local! {
    static STYLE: RefCell<Style> = RefCell::new(Style {
        clock_24: Marks { before: String::new(), behind_hour: ":".to_owned(), behind_minute: ":".to_owned(), after: String::new() },
        halves: None,
        dates: Vec::new(),
    });
}

/// Writes dates and times from now on as the samples do; what can't be read of them stays as before.
pub fn write_as(samples: &Samples) {
    STYLE.with_borrow_mut(|style| {
        if let Some((13, marks)) = read(&samples.clock_24) {
            style.clock_24 = marks;
        }
        let [morning, afternoon] = &samples.clocks;
        style.halves = match (read(morning), read(afternoon)) {
            (Some((3, morning)), Some((1, afternoon))) => Some([morning, afternoon]),
            _ => None,
        };
        let templates = |[whole, short]: &[String; 2]| {
            let marked = |text: &String| text.replacen("2033", "\u{2}", 1).replacen("22", "\u{1}", 1);
            let is_read = whole.contains("2033") && whole.contains("22") && short.contains("22");
            is_read.then(|| [marked(whole), marked(short)])
        };
        let dates: Option<Vec<_>> = samples.dates.iter().map(templates).collect();
        style.dates = dates.filter(|dates| dates.len() == MONTHS.len()).unwrap_or_default();
    });
}

/// The hour of a sample, and its marks.
fn read(text: &str) -> Option<(u32, Marks)> {
    let (head, rest) = text.split_once("04")?;
    let (behind_minute, after) = rest.split_once("05")?;
    let until = head.rfind(|letter: char| letter.is_ascii_digit())? + 1;
    let (head, behind_hour) = head.split_at(until);
    let from = head.rfind(|letter: char| !letter.is_ascii_digit()).map_or(0, |at| at + 1);
    let from = (from..=until).find(|at| head.is_char_boundary(*at))?;
    let (before, hour) = head.split_at(from);
    let owned = str::to_owned;
    let marks = Marks {
        before: owned(before),
        behind_hour: owned(behind_hour),
        behind_minute: owned(behind_minute),
        after: owned(after),
    };
    Some((hour.parse().ok()?, marks))
}

/// The time of day that a clock shows, given as an instant in UTC; `is_24`: with 24 hours whatever the language has.
pub fn clock(shown: i64, fine: Fine<'_>, is_24: bool) -> String {
    let second = shown.div_euclid(SECOND).rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    STYLE.with_borrow(|style| {
        let halves = style.halves.as_ref().filter(|_| !is_24);
        let (marks, hour) = match halves {
            Some([morning, afternoon]) => (if hour < 12 { morning } else { afternoon }, (hour + 11) % 12 + 1),
            None => (&style.clock_24, hour),
        };
        let Marks { before, behind_hour, behind_minute, after } = marks;
        let seconds = match fine {
            Fine::Minutes => String::new(),
            Fine::Seconds => format!("{behind_minute}{second:02}"),
            Fine::Digits(digits) => format!("{behind_minute}{second:02}{}{digits}", number::decimal_mark()),
        };
        format!("{before}{hour:02}{behind_hour}{minute:02}{seconds}{after}")
    })
}

/// `22 Nov 2026`.
pub fn date(shown: i64) -> String {
    date_text(shown, 0)
}

/// `22 Nov`.
pub fn day(shown: i64) -> String {
    date_text(shown, 1)
}

fn date_text(shown: i64, form: usize) -> String {
    let (year, month, day) = time::civil(shown);
    STYLE.with_borrow(|style| match style.dates.get(month - 1) {
        Some(templates) => {
            templates[form].replace('\u{1}', &day.to_string()).replace('\u{2}', &year.to_string())
        }
        None if form == 0 => format!("{day} {} {year}", MONTHS[month - 1]),
        None => format!("{day} {}", MONTHS[month - 1]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        time::parse_instant(text).expect("an instant")
    }

    fn samples(clocks: [&str; 2], clock_24: &str, date: impl Fn(usize) -> [String; 2]) -> Samples {
        Samples {
            clocks: clocks.map(str::to_owned),
            clock_24: clock_24.to_owned(),
            dates: (0..12).map(date).collect(),
        }
    }

    /// Midnight, a time in the morning and one after noon, in a zone and in UTC, and a date.
    fn written(samples: &Samples) -> String {
        write_as(samples);
        let texts = [
            clock(at("2026-11-22T00:04:00Z"), Fine::Minutes, false),
            clock(at("2026-11-05T09:00:07Z"), Fine::Seconds, false),
            clock(at("2026-11-22T12:30:00.250Z"), Fine::Digits("25"), false),
            clock(at("2026-11-22T23:59:59Z"), Fine::Seconds, true),
            date(at("2026-11-05T09:00:07Z")),
            day(at("2026-02-22T09:00:07Z")),
        ];
        texts.join(" | ")
    }

    #[test]
    fn dates_and_times_are_written_as_the_reader_does() {
        let english = "00:04 | 09:00:07 | 12:30:00.25 | 23:59:59 | 5 Nov 2026 | 22 Feb";
        assert_eq!(written(&Samples::default()), english);
        let american = samples(["03:04:05 AM", "01:04:05 PM"], "13:04:05", |month| {
            [format!("{} 22, 2033", MONTHS[month]), format!("{} 22", MONTHS[month])]
        });
        let expected = "12:04 AM | 09:00:07 AM | 12:30:00.25 PM | 23:59:59 | Nov 5, 2026 | Feb 22";
        assert_eq!(written(&american), expected);
        let finnish = samples(["03.04.05", "13.04.05"], "13.04.05", |month| {
            [format!("22.{}.2033", month + 1), format!("22.{}.", month + 1)]
        });
        assert_eq!(written(&finnish), "00.04 | 09.00.07 | 12.30.00.25 | 23.59.59 | 5.11.2026 | 22.2.");
        let chinese = samples(["上午03:04:05", "下午01:04:05"], "13:04:05", |month| {
            [format!("2033年{}月22日", month + 1), format!("{}月22日", month + 1)]
        });
        let expected = "上午12:04 | 上午09:00:07 | 下午12:30:00.25 | 23:59:59 | 2026年11月5日 | 2月22日";
        assert_eq!(written(&chinese), expected);
        let unread = samples(["٠٣:٠٤:٠٥", "x"], "", |_| ["٢٢".to_owned(), "22".to_owned()]);
        assert_eq!(written(&unread), english, "other digits are not read: as in English");
    }

    #[test]
    fn samples_are_of_distinct_parts() {
        assert_eq!(time::instant_text(sample(11, 3)), "2033-11-22T03:04:05Z");
    }
}
