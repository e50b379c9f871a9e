//! Axes: where values stand and which of them get a label.

use crate::protocol::time::{MILLISECOND, SECOND};
use crate::view::clock::Fine;
use crate::view::zone::Zone;

/// Maps `[from, to]` to pixels `[start, end]`, which may run backwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub from: f64,
    pub to: f64,
    pub start: f64,
    pub end: f64,
}

impl Scale {
    /// The pixel of a value. An empty domain maps to the middle.
    pub fn place(&self, value: f64) -> f64 {
        let width = self.to - self.from;
        let share = if width == 0.0 { 0.5 } else { (value - self.from) / width };
        self.start + share * (self.end - self.start)
    }

    /// The value at a pixel.
    pub fn value(&self, place: f64) -> f64 {
        let width = self.end - self.start;
        let share = if width == 0.0 { 0.5 } else { (place - self.start) / width };
        self.from + share * (self.to - self.from)
    }
}

/// The step of 1, 2 or 5 times a power of ten that cuts `[from, to]` into at most `n_max` pieces, and the domain
/// widened to whole steps. Values that grow a little therefore leave the axis where it is.
pub fn nice_domain(from: f64, to: f64, n_max: usize) -> (f64, f64, f64) {
    let (from, to) = if from < to { (from, to) } else { (from.min(0.0), if to <= 0.0 { 1.0 } else { to }) };
    let rough = (to - from) / n_max.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| rough <= step * (1.0 + 1e-9))
        .unwrap_or(10.0 * power);
    ((from / step).floor() * step, (to / step).ceil() * step, step)
}

/// The multiples of `step` in `[from, to]`, ascending.
pub fn ticks(from: f64, to: f64, step: f64) -> Vec<f64> {
    let first = (from / step - 1e-9).ceil();
    let n_ticks = (to / step - first + 1e-9).floor().clamp(-1.0, 1_000.0);
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= n_ticks {
        ticks.push((first + at) * step);
        at += 1.0;
    }
    ticks
}

/// The round step of a clock, in microseconds, that gives at most `n_max` labels in `span`.
pub fn time_step(span: i64, n_max: usize) -> i64 {
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const STEPS: [i64; 22] = [
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        SECOND,
        2 * SECOND,
        5 * SECOND,
        10 * SECOND,
        15 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        15 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        24 * HOUR,
        7 * 24 * HOUR,
    ];
    let n_max = i64::try_from(n_max.max(1)).unwrap_or(i64::MAX);
    let rough = span / n_max;
    STEPS.into_iter().find(|step| rough <= *step).unwrap_or(rough)
}

/// Labels of a time axis: instants at which the clock of `zone` shows a multiple of the step, with their text.
pub fn time_ticks(from: i64, to: i64, n_max: usize, zone: &Zone) -> Vec<(i64, String)> {
    let step = time_step(to.saturating_sub(from), n_max).max(1);
    let mut ticks = Vec::new();
    // What the zone's clock shows; where that jumps within the axis, a label is left out rather than moved.
    let offset = zone.offset(from);
    let (from, to) = (from.saturating_add(offset), to.saturating_add(offset));
    let mut at = from.div_euclid(step) * step;
    if at < from {
        at += step;
    }
    while at <= to && ticks.len() <= n_max {
        let instant = at - offset;
        if zone.offset(instant) == offset {
            // A day's first label is the day; where days are the step, all are.
            let text = if at.rem_euclid(86_400 * SECOND) == 0 {
                zone.day(instant)
            } else if step % (60 * SECOND) == 0 {
                zone.short_clock(instant)
            } else if step % SECOND == 0 {
                zone.clock(instant)
            } else {
                let tenths = at.rem_euclid(SECOND) / (100 * MILLISECOND);
                zone.clock_to(instant, Fine::Digits(&tenths.to_string()))
            };
            ticks.push((instant, text));
        }
        at += step;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600 * SECOND;

    #[test]
    fn axes_are_cut_at_round_numbers() {
        assert_eq!(nice_domain(0.0, 87.0, 5), (0.0, 100.0, 20.0));
        assert_eq!(nice_domain(0.0, 0.0, 4), (0.0, 1.0, 0.5));
        assert_eq!(nice_domain(-3.0, 12.0, 4), (-5.0, 15.0, 5.0));
        assert_eq!(ticks(0.0, 100.0, 20.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    }

    #[test]
    fn clock_labels_are_round() {
        let noon = 43_200 * SECOND;
        let texts = |span, n_max, zone: &Zone| -> Vec<String> {
            time_ticks(noon + 3 * SECOND, noon + span, n_max, zone)
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        };
        let utc = Zone::default();
        assert_eq!(texts(60 * SECOND, 5, &utc), ["12:00:15", "12:00:30", "12:00:45", "12:01:00"]);
        assert_eq!(texts(30 * 60 * SECOND, 4, &utc), ["12:10", "12:20", "12:30"]);
        assert_eq!(texts(86_400 * SECOND, 4, &utc), ["18:00", "2 Jan", "06:00", "12:00"]);
        // India's noon is at 06:30 UTC; round is what its clocks show.
        let india = Zone::new("Asia/Kolkata".into(), vec![(i64::MIN, 5 * HOUR + HOUR / 2)]);
        assert_eq!(texts(86_400 * SECOND, 4, &india), ["18:00", "2 Jan", "06:00", "12:00"]);
        let at_two = Zone::new("Europe/Berlin".into(), vec![(i64::MIN, 2 * HOUR), (noon + 2 * HOUR, HOUR)]);
        assert_eq!(texts(4 * HOUR, 4, &at_two), ["15:00"], "at 16:00 the clock goes back");
    }

    proptest! {
        #[test]
        fn domain_holds_the_values_in_few_steps(from in -1e9..1e9_f64, width in 1e-3..1e9_f64, n_max in 2..10_usize) {
            let (low, high, step) = nice_domain(from, from + width, n_max);
            prop_assert!(low <= from && from + width <= high + step * 1e-6);
            prop_assert!((high - low) / step <= n_max as f64 + 2.0 + 1e-6);
        }

        #[test]
        fn places_come_back(from in -1e6..1e6_f64, width in 1.0..1e6_f64, value in 0.0..1.0_f64) {
            let scale = Scale { from, to: from + width, start: 300.0, end: 20.0 };
            let value = from + width * value;
            prop_assert!((scale.value(scale.place(value)) - value).abs() < 1e-3);
        }

        #[test]
        fn labels_of_a_time_axis_are_few_and_inside(from in 0..2_000_000_000_000_000_i64, span in 1_000..900_000_000_000_i64, n_max in 1..12_usize) {
            let ticks = time_ticks(from, from + span, n_max, &Zone::default());
            prop_assert!(ticks.len() <= n_max + 1);
            prop_assert!(ticks.iter().all(|(at, _)| (from..=from + span).contains(at)));
        }
    }
}
