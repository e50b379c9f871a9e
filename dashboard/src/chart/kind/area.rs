//! `area`: series on top of each other; hatched and with a dashed edge where they are provisional.

use weir_api::Chart;

use super::piled::piled;
use super::{Key, Kind, Scene, Way};
use crate::chart::draw::{Dash, Drawing, Fill, Ink, Shape};
use crate::chart::frame::Frame;
use crate::chart::stack::Pile;

pub(super) const KIND: Kind = Kind {
    chart: Chart::Area,
    word: "area",
    way: Way::Canvas { draw, has_legend: true },
    needs: &[Key::X, Key::Y],
    takes: &[Key::Series, Key::Aggregate, Key::Unit],
    size: (6, 2),
};

fn draw(scene: &Scene<'_>) -> Drawing {
    piled(scene, |plot, frame, series, piles| {
        let joined = scene.data.joined();
        let runs = piles.chunk_by(|left, right| joined(left.start, right.start));
        for run in runs {
            for (at, series) in series.iter().enumerate() {
                band(plot, frame, run, at, series.slot, scene.data.step);
            }
        }
    })
}

/// One series of a run: its surface and its edge, final and provisional. A run of one window is as wide as that is.
fn band(shapes: &mut Vec<Shape>, frame: &Frame, run: &[Pile], at: usize, slot: usize, step: i64) {
    let n_final = run.iter().take_while(|pile| pile.bands[at].is_final).count();
    let others = &run[if n_final < run.len() { n_final.saturating_sub(1) } else { n_final }..];
    let parts = [(&run[..n_final], Fill::Solid, Dash::Solid), (others, Fill::Hatched, Dash::Provisional)];
    for (piles, fill, dash) in parts {
        if piles.is_empty() {
            continue;
        }
        let ends =
            piles.first().filter(|_| run.len() == 1).map(|pile| (pile.start.saturating_add(step), pile));
        let starts = || piles.iter().map(|pile| (pile.start, pile)).chain(ends);
        let edge: Vec<(f64, f64)> =
            starts().map(|(start, pile)| frame.at(start, pile.bands[at].tip)).collect();
        let base: Vec<(f64, f64)> =
            starts().map(|(start, pile)| frame.at(start, pile.bands[at].base)).collect();
        let outline = edge.iter().chain(base.iter().rev()).copied().collect();
        let alpha = if fill == Fill::Solid { 0.32 } else { 0.55 };
        shapes.push(Shape::Area { outline, ink: Ink::Series(slot), fill, alpha });
        shapes.push(Shape::Line { points: edge, ink: Ink::Series(slot), width: 1.5, dash, alpha: 1.0 });
    }
}
