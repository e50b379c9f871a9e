//! What the kinds share that put series on top of each other.

use super::Scene;
use crate::chart::axes;
use crate::chart::draw::{Drawing, Shape};
use crate::chart::frame::Frame;
use crate::chart::series::Series;
use crate::chart::stack::{Pile, piles};
use crate::chart::thin::pick;

/// Axes and watermark around what `plot` draws of the piles, into the frame that holds all of them.
pub(super) fn piled(
    scene: &Scene<'_>,
    plot: impl FnOnce(&mut Vec<Shape>, &Frame, &[&Series], &[Pile]),
) -> Drawing {
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
    plot(&mut drawing.plot, &frame, &series, &thinned(piles, &frame));
    drawing.front = axes::watermark(scene.data, &frame, scene.zone);
    drawing.frame = Some(frame);
    drawing
}

/// The piles that can be seen, and told apart by the pixel.
fn thinned(mut piles: Vec<Pile>, frame: &Frame) -> Vec<Pile> {
    let step = piles.windows(2).map(|pair| pair[1].start - pair[0].start).max().unwrap_or(0);
    piles.retain(|pile| frame.x.from <= (pile.end + step) as f64 && (pile.start - step) as f64 <= frame.x.to);
    let places: Vec<f64> = piles.iter().map(|pile| frame.at(pile.start, 0.0).0).collect();
    let totals: Vec<f64> = piles.iter().map(|pile| pile.extent().1).collect();
    let mut picked = pick(&places, &totals).into_iter().peekable();
    let is_picked = |(at, _): &(usize, Pile)| picked.next_if_eq(at).is_some();
    piles.into_iter().enumerate().filter(is_picked).map(|(_, pile)| pile).collect()
}
