//! The legend: the shape of each series' mark, and its value in one window.

use super::series::{Axis, ChartData, N_COLOURS, Point, Rest, Series};
use crate::view::board::unit::n_decimals;
use crate::view::number::grouped;
use crate::view::windows::window_text;
use crate::view::zone::Zone;

/// One series in the legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub label: String,
    pub slot: usize,
    /// In the legend's window, without a unit that the axis bears; `–` where the series has no row there.
    pub value: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legend {
    /// Which window the values are of, and whether they are final.
    pub window: String,
    pub entries: Vec<Entry>,
    /// What is not drawn; empty where all is.
    pub note: String,
}

/// The values in the window that starts at `hovered`, else in the newest one that is final, else in the newest. Of categories
/// only the one under the pointer has something to say that the bars do not.
pub fn legend(data: &ChartData, hovered: Option<i64>, zone: &Zone) -> Legend {
    let points = || data.series.iter().flat_map(|series| &series.points);
    let newest_final = || points().filter(|point| point.is_final).map(|point| point.start).max();
    let Some(start) = hovered.or_else(newest_final).or_else(|| points().map(|point| point.start).max())
    else {
        return Legend::default();
    };
    let is_shown = hovered.is_some() || matches!(data.axis, Axis::Time);
    let in_window = || points().filter(|point| is_shown && point.start == start);
    let state = match in_window().all(|point| point.is_final) {
        _ if data.is_unsaid => "",
        true => ", final",
        false => ", provisional",
    };
    let window = match in_window().next() {
        Some(point) => format!("{}{state}", place_text(data, point, zone)),
        None => String::new(),
    };
    let n_decimals = n_decimals(points().map(|point| point.value));
    let entries = data.series.iter().map(|series| Entry {
        label: series.label.clone(),
        slot: series.slot,
        value: match point_at(series, start) {
            _ if !is_shown => String::new(),
            Some(point) => data.unit.bare(point.value, n_decimals),
            None => "–".to_owned(),
        },
    });
    let n_drawn = data.n_drawn();
    let rest = match data.rest {
        Rest::LeftOut => "",
        Rest::AsOne => ", the rest as one",
        Rest::NotAdded => ". The rest is left out, since such values can't be added",
    };
    let note = if n_drawn < data.n_series_total {
        let n_all = grouped(&data.n_series_total.to_string());
        format!("The {n_drawn} largest of {n_all} series are drawn{rest}.")
    } else {
        String::new()
    };
    Legend { window, entries: entries.collect(), note }
}

/// The window or the category of a point.
fn place_text(data: &ChartData, point: &Point, zone: &Zone) -> String {
    match &data.axis {
        Axis::Categories(names) => {
            usize::try_from(point.start).ok().and_then(|at| names.get(at)).cloned().unwrap_or_default()
        }
        Axis::Time if point.end <= point.start => zone.clock(point.start),
        Axis::Time => window_text(point.start, point.end, zone),
    }
}

/// The point of a series in the window that starts at `start`.
pub fn point_at(series: &Series, start: i64) -> Option<&Point> {
    let at = series.points.binary_search_by_key(&start, |point| point.start).ok()?;
    series.points.get(at)
}

/// The outline of a series' mark around the origin, as an SVG path; about 10 units wide. All have the same weight.
pub fn mark_path(slot: usize) -> &'static str {
    const PATHS: [&str; N_COLOURS] = [
        // circle, square, triangle, diamond, triangle down, plus, pentagon, cross
        "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z",
        "M-3.6 -3.6H3.6V3.6H-3.6Z",
        "M0 -4.6L4.4 3.2H-4.4Z",
        "M0 -5L4.4 0L0 5L-4.4 0Z",
        "M0 4.6L4.4 -3.2H-4.4Z",
        "M-1.6 -4.6H1.6V-1.6H4.6V1.6H1.6V4.6H-1.6V1.6H-4.6V-1.6H-1.6Z",
        "M0 -4.8L4.6 -1.5L2.8 3.9H-2.8L-4.6 -1.5Z",
        "M-4.4 -2.4L-2.4 -4.4L0 -2L2.4 -4.4L4.4 -2.4L2 0L4.4 2.4L2.4 4.4L0 2L-2.4 4.4L-4.4 2.4L-2 0Z",
    ];
    // A colour that comes again comes with another mark.
    PATHS[(slot + slot / N_COLOURS) % PATHS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::series::MAX_SERIES;

    fn data() -> ChartData {
        let point = |start: i64, value, is_final| Point {
            start: start * 1_000_000,
            end: (start + 10) * 1_000_000,
            value,
            is_final,
            firm: 0.0,
        };
        let series = |label: &str, slot, points| Series { label: label.into(), slot, points };
        ChartData {
            series: vec![
                series("DE", 0, vec![point(0, 1_234.5, true), point(10, 7.0, false)]),
                series("FR", 1, vec![point(0, 2.0, true)]),
            ],
            n_series_total: 9,
            step: 10_000_000,
            ..ChartData::default()
        }
    }

    fn two_ahead() -> Zone {
        Zone::new("Europe/Berlin".into(), vec![(i64::MIN, 7_200_000_000)])
    }

    #[test]
    fn values_are_of_the_newest_final_window_or_the_hovered_one() {
        let at_rest = legend(&data(), None, &Zone::default());
        assert_eq!(at_rest.window, "00:00:00 – 00:00:10, final");
        let values: Vec<&str> = at_rest.entries.iter().map(|entry| &*entry.value).collect();
        assert_eq!(values, ["1,234.50", "2.00"]);
        assert_eq!(at_rest.note, "The 2 largest of 9 series are drawn.");
        let noted = |rest| legend(&ChartData { rest, ..data() }, None, &Zone::default()).note;
        assert_eq!(noted(Rest::AsOne), "The 1 largest of 9 series are drawn, the rest as one.");
        assert!(noted(Rest::NotAdded).ends_with("can't be added."));
        let hovered = legend(&data(), Some(10_000_000), &two_ahead());
        assert_eq!(hovered.window, "02:00:10 – 02:00:20, provisional");
        assert_eq!(hovered.entries[1].value, "–");
        assert_eq!(legend(&ChartData::default(), None, &Zone::default()), Legend::default());
        let categories = ChartData { axis: Axis::Categories(vec!["rum".into()]), ..data() };
        assert_eq!(legend(&categories, Some(0), &Zone::default()).window, "rum, final");
        let at_rest = legend(&categories, None, &Zone::default());
        assert_eq!((&*at_rest.window, &*at_rest.entries[0].value), ("", ""), "no category stands for all");
        let unsaid = ChartData { is_unsaid: true, ..data() };
        assert_eq!(legend(&unsaid, Some(0), &Zone::default()).window, "00:00:00 – 00:00:10");
    }

    #[test]
    fn no_two_series_look_the_same() {
        let looks = (0..MAX_SERIES).map(|slot| (slot % N_COLOURS, mark_path(slot)));
        assert_eq!(looks.collect::<std::collections::BTreeSet<_>>().len(), MAX_SERIES);
    }
}
