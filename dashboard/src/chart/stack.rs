//! Series on top of each other: what is above zero grows upwards, what is below downwards.

use std::collections::BTreeMap;

use super::series::{Point, Series};

/// The points of all series at one place of the horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Pile {
    pub start: i64,
    pub end: i64,
    /// For each series, in their order: its lower and upper bound, and whether it is final. A series without a point
    /// there has no height, where it would be.
    pub bands: Vec<Band>,
}

/// See [`Pile`]. `base` is nearer to zero than `tip`, or equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    pub base: f64,
    pub tip: f64,
    pub is_final: bool,
    /// Up to where it is final; `base` where none of it is known to be.
    pub firm: f64,
    /// Whether there is a point.
    pub is_there: bool,
}

impl Pile {
    /// The least and the greatest bound, zero included.
    pub fn extent(&self) -> (f64, f64) {
        let tips = || self.bands.iter().map(|band| band.tip);
        (tips().fold(0.0, f64::min), tips().fold(0.0, f64::max))
    }
}

/// The piles of some series, ascending by start.
pub fn piles(series: &[&Series]) -> Vec<Pile> {
    let mut by_start: BTreeMap<i64, Vec<Option<&Point>>> = BTreeMap::new();
    for (at, series) in series.iter().enumerate() {
        for point in &series.points {
            by_start.entry(point.start).or_insert_with(|| Vec::with_capacity(at + 1)).resize(at, None);
            if let Some(points) = by_start.get_mut(&point.start) {
                points.push(Some(point));
            }
        }
    }
    let pile = |(start, mut points): (i64, Vec<Option<&Point>>)| {
        points.resize(series.len(), None);
        let end = points.iter().flatten().map(|point| point.end).max().unwrap_or(start);
        let (mut above, mut below) = (0.0, 0.0);
        let bands = points.iter().map(|point| {
            let value = point.map_or(0.0, |point| point.value);
            let side = if value < 0.0 { &mut below } else { &mut above };
            let base = *side;
            *side += value;
            let is_final = point.is_none_or(|point| point.is_final);
            // A part of the whole, and on the same side of zero.
            let firm = point.map_or(0.0, |point| point.firm);
            let firm =
                if firm * value <= 0.0 { base } else { base + firm.abs().min(value.abs()).copysign(value) };
            Band { base, tip: *side, is_final, firm, is_there: point.is_some() }
        });
        Pile { start, end, bands: bands.collect() }
    };
    by_start.into_iter().map(pile).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(points: &[(i64, f64)]) -> Series {
        let point =
            |&(start, value): &(i64, f64)| Point { start, end: start + 1, value, is_final: true, firm: 0.0 };
        Series { label: String::new(), slot: 0, points: points.iter().map(point).collect() }
    }

    #[test]
    fn a_series_without_a_point_has_no_height() {
        let (one, two) = (series(&[(0, 1.0), (2, 2.0)]), series(&[(0, 3.0), (1, 5.0)]));
        let piles = piles(&[&one, &two]);
        let bounds: Vec<(i64, Vec<(f64, f64)>)> = piles
            .iter()
            .map(|pile| (pile.start, pile.bands.iter().map(|band| (band.base, band.tip)).collect()))
            .collect();
        assert_eq!(
            bounds,
            [
                (0, vec![(0.0, 1.0), (1.0, 4.0)]),
                (1, vec![(0.0, 0.0), (0.0, 5.0)]),
                (2, vec![(0.0, 2.0), (2.0, 2.0)])
            ]
        );
        assert!(!piles[1].bands[0].is_there);
    }

    proptest! {
        #[test]
        fn heights_are_the_values_and_do_not_overlap(values in prop::collection::vec(-1e6..1e6_f64, 1..12)) {
            let all: Vec<Series> = values.iter().map(|value| series(&[(0, *value)])).collect();
            let piles = piles(&all.iter().collect::<Vec<_>>());
            let (low, high) = piles[0].extent();
            let sum = |sign: f64| values.iter().filter(|value| 0.0 < *value * sign).sum::<f64>();
            prop_assert!((high - sum(1.0)).abs() < 1e-3 && (low - sum(-1.0)).abs() < 1e-3);
            let (mut above, mut below) = (0.0, 0.0);
            for (band, value) in piles[0].bands.iter().zip(&values) {
                prop_assert!((band.tip - band.base - value).abs() < 1e-6);
                let side: &mut f64 = if *value < 0.0 { &mut below } else { &mut above };
                prop_assert_eq!(band.base, *side);
                *side = band.tip;
            }
        }
    }
}
