//! `bar`: a bar for each window or category, series on top of each other; hatched where it is provisional.

use weir_api::Chart;

use super::piled::piled;
use super::{Key, Kind, Scene, Way};
use crate::chart::draw::{Drawing, Fill, Ink, Shape};
use crate::chart::frame::Frame;
use crate::chart::series::ChartData;
use crate::chart::stack::{Band, Pile};

pub(super) const KIND: Kind = Kind {
    chart: Chart::Bar,
    word: "bar",
    way: Way::Canvas { draw, has_legend: true },
    needs: &[Key::X, Key::Y],
    takes: &[Key::Series, Key::Aggregate, Key::Unit],
    size: (6, 2),
};

fn draw(scene: &Scene<'_>) -> Drawing {
    piled(scene, |plot, frame, series, piles| {
        for (at, series) in series.iter().enumerate() {
            for (is_final, fill) in [(true, Fill::Solid), (false, Fill::Hatched)] {
                let there = piles.iter().filter(|pile| pile.bands[at].is_there);
                let boxes: Vec<[f64; 4]> =
                    there.filter_map(|pile| part(frame, scene.data, pile, at, is_final)).collect();
                if !boxes.is_empty() {
                    plot.push(Shape::Boxes { boxes, ink: Ink::Series(series.slot), fill, alpha: 1.0 });
                }
            }
        }
    })
}

/// The part of a bar that is final, or the one that is not.
fn part(frame: &Frame, data: &ChartData, pile: &Pile, at: usize, is_final: bool) -> Option<[f64; 4]> {
    let band = pile.bands[at];
    match (band.is_final, band.firm == band.base) {
        (of_all, true) | (of_all @ true, false) => (of_all == is_final).then(|| bar(frame, data, pile, band)),
        (false, false) if is_final => Some(bar(frame, data, pile, Band { tip: band.firm, ..band })),
        (false, false) => Some(bar(frame, data, pile, Band { base: band.firm, ..band })),
    }
}

fn bar(frame: &Frame, data: &ChartData, pile: &Pile, band: Band) -> [f64; 4] {
    let (left, right) =
        (frame.x.place(pile.start as f64), frame.x.place(pile.start.saturating_add(data.step) as f64));
    let gap = ((right - left) * 0.1).min(if frame.half == 0.0 { 2.0 } else { 14.0 });
    let (base, tip) = (frame.y.place(band.base), frame.y.place(band.tip));
    let height = (base - tip).abs();
    [
        left + gap,
        base.min(tip),
        (right - left - 2.0 * gap).max(1.0),
        if band.tip == band.base { height } else { height.max(1.0) },
    ]
}
