//! The time zone in which instants are shown. Instants themselves stay microseconds since 1970 in UTC everywhere.
//!
//! Invariant: a zone is a list of offsets that somebody else looked up (in the browser, its `Intl`), so that texts are
//! pure functions and are tested natively.

use super::clock::{self, Fine};
use crate::protocol::time::{self, MILLISECOND, SECOND};

/// The zone as the address names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ZoneName {
    #[default]
    Utc,
    /// The browser's.
    Local,
    /// Of the IANA list, such as `Europe/Berlin`.
    Named(String),
}

impl ZoneName {
    /// Reads `utc`, `local` or a name of the IANA list; whether the list has it is not known here.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
            text.len() <= 64 && text.bytes().all(fits) && text.starts_with(|c: char| c.is_ascii_alphabetic())
        };
        match text {
            "utc" | "UTC" => Some(Self::Utc),
            "local" => Some(Self::Local),
            name => is_name(name).then(|| Self::Named(name.to_owned())),
        }
    }

    /// The text that [`ZoneName::parse`] reads.
    pub fn text(&self) -> &str {
        match self {
            Self::Utc => "utc",
            Self::Local => "local",
            Self::Named(name) => name,
        }
    }
}

/// What stands behind times of the zone that has no offset.
const UTC: &str = "UTC";

/// A zone's offsets from UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Behind times, such as `UTC` or `Europe/Berlin`.
    pub label: String,
    /// From which instant on which offset holds, in microseconds; ascending. The first also holds before.
    steps: Vec<(i64, i64)>,
}

impl Default for Zone {
    fn default() -> Self {
        Self::new(UTC.to_owned(), Vec::new())
    }
}

impl Zone {
    /// `steps` holds from which instant on (microseconds since 1970) which offset (microseconds) holds, ascending.
    pub fn new(label: String, steps: Vec<(i64, i64)>) -> Self {
        Self { label, steps }
    }

    /// The offset from UTC at an instant, in microseconds.
    pub fn offset(&self, instant: i64) -> i64 {
        let n_begun = self.steps.partition_point(|(from, _)| *from <= instant);
        self.steps.get(n_begun.saturating_sub(1)).map_or(0, |(_, offset)| *offset)
    }

    /// What a clock in this zone shows, as an instant for the functions of [`time`].
    pub fn local(&self, instant: i64) -> i64 {
        instant.saturating_add(self.offset(instant))
    }

    /// The first instant at which a clock in this zone shows `local`. Where clocks are put forward over it: as if they had
    /// not been.
    pub fn instant(&self, local: i64) -> i64 {
        let offsets = self.steps.iter().map(|(_, offset)| *offset).chain([0]);
        let shown = offsets.map(|offset| local.saturating_sub(offset)).filter(|at| self.local(*at) == local);
        shown
            .min()
            .unwrap_or_else(|| local.saturating_sub(self.offset(local.saturating_sub(86_400 * SECOND))))
    }

    /// The time of day, down to the part that is asked for.
    pub fn clock_to(&self, instant: i64, fine: Fine<'_>) -> String {
        clock::clock(self.local(instant), fine, self.label == UTC)
    }

    /// `12:04:30`.
    pub fn clock(&self, instant: i64) -> String {
        self.clock_to(instant, Fine::Seconds)
    }

    /// `12:04`, with seconds or milliseconds only where the instant has them.
    pub fn short_clock(&self, instant: i64) -> String {
        let millis = instant.rem_euclid(SECOND) / MILLISECOND;
        if millis != 0 {
            self.clock_to(instant, Fine::Digits(&format!("{millis:03}")))
        } else if self.local(instant).rem_euclid(60 * SECOND) != 0 {
            self.clock(instant)
        } else {
            self.clock_to(instant, Fine::Minutes)
        }
    }

    /// `22 Nov 2026`.
    pub fn date(&self, instant: i64) -> String {
        clock::date(self.local(instant))
    }

    /// `22 Nov`.
    pub fn day(&self, instant: i64) -> String {
        clock::day(self.local(instant))
    }

    /// As short as it can be said at `now`: `12:04:30` of today, `22 Nov, 12:04:30` of this year, else with the year.
    pub fn moment(&self, instant: i64, fine: Fine<'_>, now: i64) -> String {
        let clock = self.clock_to(instant, fine);
        match (time::civil(self.local(instant)), time::civil(self.local(now))) {
            (then, now) if then == now => clock,
            (then, now) if then.0 == now.0 => format!("{}, {clock}", self.day(instant)),
            _ => format!("{}, {clock}", self.date(instant)),
        }
    }

    /// With its day whatever day it is now: `22 Nov, 12:04:30` of this year, else with the year.
    pub fn dated(&self, instant: i64, fine: Fine<'_>, now: i64) -> String {
        let clock = self.clock_to(instant, fine);
        let year = |instant: i64| time::civil(self.local(instant)).0;
        let date = if year(instant) == year(now) { self.day(instant) } else { self.date(instant) };
        format!("{date}, {clock}")
    }
}

/// The steps of a zone between two instants, found by asking for offsets: `offset_at` takes and gives microseconds.
/// Asks about once per four weeks, and then closes in on each change to the minute.
pub fn steps(from: i64, to: i64, offset_at: impl Fn(i64) -> i64) -> Vec<(i64, i64)> {
    const STRIDE: i64 = 28 * 86_400 * SECOND;
    let mut steps = vec![(from, offset_at(from))];
    let mut at = from;
    while at < to {
        let next = (at + STRIDE).min(to);
        let (before, after) = (offset_at(at), offset_at(next));
        if before != after {
            let (mut low, mut high) = (at, next);
            while 60 * SECOND < high - low {
                let middle = (low + (high - low) / 2).div_euclid(60 * SECOND) * 60 * SECOND;
                let middle = if middle <= low { low + 60 * SECOND } else { middle };
                if offset_at(middle) == before { low = middle } else { high = middle }
            }
            steps.push((high, after));
        }
        at = next;
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    #[test]
    fn clocks_follow_the_change_of_summer_time() {
        // Berlin: summer time ends on 25 October 2026 at 01:00 UTC.
        let change = time::parse_instant("2026-10-25T01:00:00Z").expect("an instant");
        let zone = Zone::new("Europe/Berlin".into(), vec![(0, 2 * HOUR), (change, HOUR)]);
        assert_eq!(zone.clock(change - SECOND), "02:59:59");
        assert_eq!(zone.clock(change), "02:00:00");
        assert_eq!(zone.short_clock(change + 12 * HOUR), "14:00");
        assert_eq!(zone.date(change + 22 * HOUR + 30 * 60 * SECOND), "26 Oct 2026");
        assert_eq!(Zone::default().clock(change), "01:00:00");
        // Half past two is there twice; half past two of the day when clocks go forward is not there.
        let local = time::parse_instant("2026-10-25T02:30:00Z").expect("an instant");
        assert_eq!(zone.instant(local), change - 1_800 * SECOND);
        let forward = time::parse_instant("2026-03-29T01:00:00Z").expect("an instant");
        let spring = Zone::new("Europe/Berlin".into(), vec![(0, HOUR), (forward, 2 * HOUR)]);
        assert_eq!(spring.instant(forward + HOUR + 1_800 * SECOND), forward + 1_800 * SECOND);
    }

    #[test]
    fn moments_are_as_short_as_they_can_be() {
        let at = |text: &str| time::parse_instant(text).expect("an instant");
        let zone = Zone::new("x".into(), vec![(i64::MIN, 2 * HOUR)]);
        let noon = at("2026-11-22T12:00:00Z");
        let moment = |text, fine| zone.moment(at(text), fine, noon);
        assert_eq!(moment("2026-11-21T22:00:00Z", Fine::Seconds), "00:00:00");
        assert_eq!(moment("2026-11-21T21:59:59.5Z", Fine::Digits("5")), "21 Nov, 23:59:59.5");
        assert_eq!(moment("2025-12-31T21:59:59Z", Fine::Seconds), "31 Dec 2025, 23:59:59");
        let clocks = ["12:00:00", "12:00:10", "12:00:00.250"]
            .map(|text| Zone::default().short_clock(at(&format!("2026-11-22T{text}Z"))));
        assert_eq!(clocks, ["12:00", "12:00:10", "12:00:00.250"]);
        assert_eq!(Zone::default().date(-1), "31 Dec 1969");
    }

    #[test]
    fn names_are_names() {
        assert_eq!(ZoneName::parse("utc"), Some(ZoneName::Utc));
        assert_eq!(ZoneName::parse("America/New_York"), Some(ZoneName::Named("America/New_York".into())));
        assert_eq!([ZoneName::parse(""), ZoneName::parse("a b"), ZoneName::parse("<x>")], [None, None, None]);
    }

    proptest! {
        /// An instant is found by what the clock shows at it, or another one at which it shows the same.
        #[test]
        fn clocks_lead_back_to_instants(instant in -1_000_000_i64..1_000_000, changes in prop::collection::vec((-500_000..500_000_i64, -50_000..50_000_i64), 0..5)) {
            let mut steps: Vec<(i64, i64)> = changes;
            steps.sort_unstable();
            let zone = Zone::new("x".into(), steps);
            let found = zone.instant(zone.local(instant));
            prop_assert!(found <= instant);
            prop_assert_eq!(zone.local(found), zone.local(instant));
        }

        /// Changes that are whole minutes and at least a stride apart are found exactly.
        #[test]
        fn steps_are_found_to_the_minute(from in 0..1_000_i64, gaps in prop::collection::vec(60_000..200_000_i64, 0..6)) {
            let minute = 60 * SECOND;
            let mut at = from;
            let mut expected = vec![(from * minute, 0)];
            for (n, gap) in gaps.iter().enumerate() {
                at += gap;
                expected.push((at * minute, HOUR * i64::from(n % 2 == 0)));
            }
            let zone = Zone::new("x".into(), expected.clone());
            let found = steps(from * minute, (at + 100_000) * minute, |instant| zone.offset(instant));
            prop_assert_eq!(found, expected);
        }
    }
}
