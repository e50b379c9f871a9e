//! Which stretch of event time a panel shows, and how the address, the file and the watermark decide it.

use weir_api::{Chart, Dashboard, Panel};

use crate::protocol::time::{self, MILLISECOND};
use crate::view::address::{DEFAULT_LAST_MS, Range};
use crate::view::zone::Zone;

/// The spans that are offered, with the words on their buttons.
pub const SPANS: [(&str, &str); 6] =
    [("5m", "5 min"), ("15m", "15 min"), ("1h", "1 h"), ("6h", "6 h"), ("24h", "24 h"), ("7d", "7 d")];
/// Less than this is not zoomed into: a hand that trembles on a click is not a wish.
const ZOOM_MIN: i64 = MILLISECOND;

/// Rows with `from < end` and `start < to`, in microseconds since 1970; by their ends those with `from < end <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: i64,
    pub to: i64,
    pub by_end: bool,
}

impl Span {
    /// Everything there is.
    pub const ALL: Self = Self::between(i64::MIN, i64::MAX);

    /// All windows of which a part is inside.
    pub const fn between(from: i64, to: i64) -> Self {
        Self { from, to, by_end: false }
    }

    /// The windows that end behind `from`, and at `to` at the latest.
    pub const fn ending(from: i64, to: i64) -> Self {
        Self { from, to, by_end: true }
    }

    /// Whether a window, or an instant where both are equal, is inside.
    pub fn holds(self, start: i64, end: i64) -> bool {
        self.from < end && if self.by_end { end <= self.to } else { start < self.to }
    }

    /// The span of `last_ms` milliseconds behind the watermark, what comes after it included.
    pub fn behind(watermark: Option<i64>, last_ms: i64) -> Self {
        let from = watermark
            .map_or(i64::MIN, |watermark| watermark.saturating_sub(last_ms.saturating_mul(MILLISECOND)));
        Self::between(from, i64::MAX)
    }
}

/// How far back a panel looks by its file, in milliseconds.
pub fn own_last_ms(panel: &Panel) -> Option<i64> {
    panel.last.as_deref().and_then(time::parse_duration_ms)
}

/// How far back a panel looks while the page follows the watermark: as far as was chosen, but a number is of the file's
/// span, since its title speaks of that.
pub fn last_ms(panel: &Panel, chosen: Option<Range>) -> i64 {
    let own_ms = own_last_ms(panel);
    match chosen {
        Some(Range::Last(last_ms)) if panel.chart != Chart::Stat => last_ms,
        _ => own_ms.unwrap_or(DEFAULT_LAST_MS),
    }
}

/// What a panel shows of what was chosen: up to an instant it looks as far back as by its file.
pub fn of_panel(panel: &Panel, chosen: Option<Range>) -> Option<Range> {
    match chosen {
        Some(Range::Until(to)) => Some(Range::Between { from: before(to, last_ms(panel, None)), to }),
        chosen => chosen,
    }
}

/// The bounds of what a dashboard shows where it does not follow the watermark; `None`: it does.
pub fn bounds(dashboard: &Dashboard, chosen: Option<Range>) -> Option<(i64, i64)> {
    match chosen? {
        Range::Between { from, to } => Some((from, to)),
        Range::Until(to) => Some((before(to, reach_ms(dashboard, None)), to)),
        Range::Last(_) => None,
    }
}

/// What holds the times that are shown now, with `newest` as the newest instant: each panel shows the same as before.
pub fn held(chosen: Option<Range>, newest: i64) -> Range {
    // Whole seconds read better in an address.
    let to = newest.div_euclid(time::SECOND) * time::SECOND + time::SECOND;
    match chosen {
        Some(Range::Last(last_ms)) => Range::Between { from: before(to, last_ms), to },
        Some(range) => range,
        None => Range::Until(to),
    }
}

fn before(to: i64, last_ms: i64) -> i64 {
    to.saturating_sub(last_ms.saturating_mul(MILLISECOND))
}

/// How far back the stream must reach for all panels, in milliseconds.
pub fn reach_ms(dashboard: &Dashboard, chosen: Option<Range>) -> i64 {
    let reaches = dashboard.panels.iter().map(|panel| last_ms(panel, chosen));
    reaches.max().unwrap_or(DEFAULT_LAST_MS)
}

/// The result tables that the panels show, each once, in the order of the panels.
pub fn tables(dashboard: &Dashboard) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for panel in &dashboard.panels {
        if !tables.contains(&panel.pipeline) {
            tables.push(panel.pipeline.clone());
        }
    }
    tables
}

/// The range that a drag between two instants means; `None` where that is hardly a drag.
pub fn zoomed(one: f64, other: f64) -> Option<Range> {
    let (from, to) = (one.min(other), one.max(other));
    // Whole milliseconds: what the address can say.
    let whole = |instant: f64| (instant / MILLISECOND as f64).round() as i64 * MILLISECOND;
    let (from, to) = (whole(from), whole(to));
    (ZOOM_MIN < to - from).then_some(Range::Between { from, to })
}

/// An instant as a field for date and time has it, on the zone's clock: `2026-11-22T12:00:05`.
pub fn bound_text(instant: i64, zone: &Zone) -> String {
    time::instant_text(zone.local(instant)).chars().take("2026-11-22T12:00:05".len()).collect()
}

/// The instant that [`bound_text`] writes so; browsers leave out seconds that are zero.
pub fn bound(text: &str, zone: &Zone) -> Option<i64> {
    let seconds = if text.len() == "2026-11-22T12:00".len() { ":00" } else { "" };
    time::parse_instant(&format!("{text}{seconds}Z")).map(|local| zone.instant(local))
}

/// A range in words: `last 30 min`, `22 Nov 2026, 12:00 – 12:30`.
pub fn words(range: Range, zone: &Zone) -> String {
    match range {
        Range::Last(last_ms) => {
            let known = SPANS.iter().find(|(text, _)| time::parse_duration_ms(text) == Some(last_ms));
            let whole = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];
            match (known, whole.into_iter().find(|(unit, _)| last_ms % unit == 0)) {
                (Some((_, words)), _) => format!("last {words}"),
                (None, Some((unit, word))) => format!("last {} {word}", last_ms / unit),
                (None, None) => format!("last {}", time::duration_text(last_ms)),
            }
        }
        Range::Until(to) => format!("up to {}, {}", zone.date(to), zone.short_clock(to)),
        Range::Between { from, to } => {
            let (first, last) = (zone.date(from), zone.date(to));
            if first == last {
                format!("{first}, {} – {}", zone.short_clock(from), zone.short_clock(to))
            } else {
                format!("{first}, {} – {last}, {}", zone.short_clock(from), zone.short_clock(to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(chart: Chart, last: Option<&str>) -> Panel {
        Panel {
            title: "t".into(),
            pipeline: "a".into(),
            chart,
            x: None,
            y: None,
            series: None,
            aggregate: None,
            last: last.map(str::to_owned),
            unit: None,
            width: None,
            height: None,
        }
    }

    #[test]
    fn what_was_chosen_goes_before_the_file_except_for_numbers() {
        let chosen = Some(Range::Last(7_200_000));
        assert_eq!(last_ms(&panel(Chart::Line, Some("5m")), None), 300_000);
        assert_eq!(last_ms(&panel(Chart::Line, Some("5m")), chosen), 7_200_000);
        assert_eq!(last_ms(&panel(Chart::Stat, Some("10s")), chosen), 10_000);
        assert_eq!(last_ms(&panel(Chart::Table, None), None), DEFAULT_LAST_MS);
        let board = Dashboard {
            title: "t".into(),
            panels: vec![panel(Chart::Line, Some("5m")), panel(Chart::Stat, Some("10s"))],
        };
        assert_eq!((reach_ms(&board, None), tables(&board)), (300_000, vec!["a".to_owned()]));
    }

    #[test]
    fn what_is_held_is_what_was_shown() {
        let (chart, number) = (panel(Chart::Line, Some("5m")), panel(Chart::Stat, Some("10s")));
        let newest = 1_000 * time::SECOND + 7;
        let until = held(None, newest);
        assert_eq!(until, Range::Until(1_001 * time::SECOND));
        let shown = |panel: &Panel| of_panel(panel, Some(until));
        let to = 1_001 * time::SECOND;
        assert_eq!(shown(&chart), Some(Range::Between { from: 701 * time::SECOND, to }));
        assert_eq!(shown(&number), Some(Range::Between { from: 991 * time::SECOND, to }));
        let last = held(Some(Range::Last(60_000)), newest);
        assert_eq!(last, Range::Between { from: 941 * time::SECOND, to });
        let board = Dashboard { title: "t".into(), panels: vec![chart, number] };
        assert_eq!(bounds(&board, Some(until)), Some((701 * time::SECOND, to)));
        assert_eq!(bounds(&board, Some(Range::Last(1))), None);
    }

    #[test]
    fn a_drag_either_way_is_a_range_in_whole_milliseconds() {
        let second = 1_000_000.0;
        let range = Some(Range::Between { from: 1_000_000, to: 3_000_000 });
        assert_eq!(zoomed(3.0 * second + 200.0, second - 300.0), range);
        assert_eq!(zoomed(second, second + 900.0), None);
    }

    #[test]
    fn bounds_are_read_as_they_are_written() {
        let at = |text| time::parse_instant(text).expect("an instant");
        let zone = Zone::new("x".into(), vec![(i64::MIN, 2 * 3_600 * time::SECOND)]);
        let instant = at("2026-11-22T22:30:05.250Z");
        assert_eq!(bound_text(instant, &zone), "2026-11-23T00:30:05");
        assert_eq!(bound("2026-11-23T00:30:05", &zone), Some(at("2026-11-22T22:30:05Z")));
        assert_eq!(bound("2026-11-23T00:30", &zone), Some(at("2026-11-22T22:30:00Z")));
        assert_eq!([bound("", &zone), bound("yesterday", &zone)], [None, None]);
    }

    #[test]
    fn ranges_are_said_in_words() {
        let zone = Zone::default();
        assert_eq!(words(Range::Last(86_400_000), &zone), "last 24 h");
        assert_eq!(words(Range::Last(90_000), &zone), "last 90 s");
        assert_eq!(words(Range::Last(600_000), &zone), "last 10 min");
        let at = |text| time::parse_instant(text).expect("an instant");
        let (from, to) = (at("2026-11-22T12:00:00Z"), at("2026-11-22T12:30:05Z"));
        assert_eq!(words(Range::Between { from, to }, &zone), "22 Nov 2026, 12:00 – 12:30:05");
        let to = at("2026-11-23T01:00:00Z");
        assert_eq!(words(Range::Between { from, to }, &zone), "22 Nov 2026, 12:00 – 23 Nov 2026, 01:00");
    }
}
