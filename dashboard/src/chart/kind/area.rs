//! `area`: series on top of each other; hatched and with a dashed edge where they are provisional.

use weir_api::Chart;

use super::{Key, Kind, Scene, Way};
use crate::chart::axes;
use crate::chart::draw::{Dash, Drawing, Fill, Ink, Shape};
use crate::chart::frame::Frame;
use crate::chart::series::Series;
use crate::chart::stack::{Pile, piles};
use crate::chart::thin::pick;

pub(super) const KIND: Kind = Kind {
    chart: Chart::Area,
    word: "area",
    way: Way::Canvas { draw, has_legend: true },
    needs: &[Key::X, Key::Y],
    takes: &[Key::Series, Key::Aggregate, Key::Unit],
    size: (6, 2),
};

fn draw(scene: &Scene<'_>) -> Drawing {
    // What is shown alone stands on the axis, where its height can be read.
    let is_shown = |series: &&Series| !scene.has_isolated() || scene.is_isolated(series);
    let series: Vec<&Series> = scene.data.series.iter().filter(is_shown).collect();
    let piles = piles(&series);
    let extent = piles.iter().map(Pile::extent);
    let extent = extent.fold((0.0, 0.0), |(low, high), (pile_low, pile_high)| {
        (f64::min(low, pile_low), f64::max(high, pile_high))
    });
    let Some(frame) = Frame::new(scene.data, extent, scene.width, scene.height, scene.zone) else {
        return Drawing::default();
    };
    let mut drawing = Drawing { back: axes::axes(scene.data, &frame), ..Drawing::default() };
    let piles = thinned(piles, &frame);
    let runs = piles.chunk_by(|left, right| right.start.saturating_sub(left.start) <= scene.data.joins);
    for run in runs {
        for (at, series) in series.iter().enumerate() {
            band(&mut drawing.plot, &frame, run, at, series.slot);
        }
    }
    drawing.front = axes::watermark(scene.data, &frame, scene.zone);
    drawing.frame = Some(frame);
    drawing
}

/// The piles that can be seen, and told apart by the pixel.
pub(super) fn thinned(mut piles: Vec<Pile>, frame: &Frame) -> Vec<Pile> {
    let step = piles.windows(2).map(|pair| pair[1].start - pair[0].start).max().unwrap_or(0);
    piles.retain(|pile| frame.x.from <= (pile.end + step) as f64 && (pile.start - step) as f64 <= frame.x.to);
    let places: Vec<f64> = piles.iter().map(|pile| frame.at(pile.start, 0.0).0).collect();
    let totals: Vec<f64> = piles.iter().map(|pile| pile.extent().1).collect();
    let mut picked = pick(&places, &totals).into_iter().peekable();
    let is_picked = |(at, _): &(usize, Pile)| picked.next_if_eq(at).is_some();
    piles.into_iter().enumerate().filter(is_picked).map(|(_, pile)| pile).collect()
}

/// One series of a run: its surface and its edge, final and provisional.
fn band(shapes: &mut Vec<Shape>, frame: &Frame, run: &[Pile], at: usize, slot: usize) {
    let n_final = run.iter().take_while(|pile| pile.bands[at].is_final).count();
    let others = &run[if n_final < run.len() { n_final.saturating_sub(1) } else { n_final }..];
    let parts = [(&run[..n_final], Fill::Solid, Dash::Solid), (others, Fill::Hatched, Dash::Provisional)];
    for (piles, fill, dash) in parts {
        if piles.is_empty() {
            continue;
        }
        // A pile alone is as wide as a hair, so that it can be seen.
        let alone = if piles.len() == 1 { 1.0 } else { 0.0 };
        let place = |pile: &Pile, value: f64| frame.at(pile.start, value);
        let edge: Vec<(f64, f64)> = piles.iter().map(|pile| place(pile, pile.bands[at].tip)).collect();
        let base = piles.iter().rev().map(|pile| place(pile, pile.bands[at].base));
        let outline = edge.iter().copied().chain(base.map(|(x, y)| (x + alone, y))).collect();
        let alpha = if fill == Fill::Solid { 0.32 } else { 0.55 };
        shapes.push(Shape::Area { outline, ink: Ink::Series(slot), fill, alpha });
        shapes.push(Shape::Line { points: edge, ink: Ink::Series(slot), width: 1.5, dash, alpha: 1.0 });
    }
}
