//! How much of a chart differs from the one before. With most epochs only its right end does, and only that is painted again.

use super::draw::{Align, Drawing, Shape, text_width};

/// The place right of which `now` differs from `before`, in pixels from the left; infinity where they are the same. `None`: all
/// has to be painted.
pub fn right_of(before: &Drawing, now: &Drawing) -> Option<f64> {
    if before.frame != now.frame || before.back != now.back || before.plot.len() != now.plot.len() {
        return None;
    }
    let mut from = f64::INFINITY;
    for (before, now) in before.plot.iter().zip(&now.plot) {
        from = from.min(difference(before, now)?);
    }
    if before.front != now.front {
        from = before.front.iter().chain(&now.front).map(left_edge).fold(from, f64::min);
    }
    Some(from)
}

/// Where two shapes begin to differ; `None` where they have less in common than a beginning.
fn difference(before: &Shape, now: &Shape) -> Option<f64> {
    match (before, now) {
        (before, now) if before == now => Some(f64::INFINITY),
        (
            Shape::Line { points: old, ink, width, dash, alpha },
            Shape::Line { points: new, ink: new_ink, width: new_width, dash: new_dash, alpha: new_alpha },
        ) => {
            let is_alike = (ink, width, dash, alpha) == (new_ink, new_width, new_dash, new_alpha);
            is_alike.then(|| tail(old, new))
        }
        (
            Shape::Marks { places: old, slot, is_hollow, alpha },
            Shape::Marks { places: new, slot: new_slot, is_hollow: is_now_hollow, alpha: new_alpha },
        ) => ((slot, is_hollow, alpha) == (new_slot, is_now_hollow, new_alpha)).then(|| tail(old, new)),
        (
            Shape::Area { outline: old, ink, fill, alpha },
            Shape::Area { outline: new, ink: new_ink, fill: new_fill, alpha: new_alpha },
        ) if old.len() == new.len() => {
            ((ink, fill, alpha) == (new_ink, new_fill, new_alpha)).then(|| around(old, new))
        }
        (
            Shape::Boxes { boxes: old, ink, fill, alpha },
            Shape::Boxes { boxes: new, ink: new_ink, fill: new_fill, alpha: new_alpha },
        ) if old.len() == new.len() => ((ink, fill, alpha) == (new_ink, new_fill, new_alpha)).then(|| {
            let others = old.iter().zip(new).filter(|(old, new)| old != new);
            others.map(|(old, new)| old[0].min(new[0])).fold(f64::INFINITY, f64::min)
        }),
        _ => None,
    }
}

/// The leftmost place from the last one that two lines have in common.
fn tail(old: &[(f64, f64)], new: &[(f64, f64)]) -> f64 {
    let n_common = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let from = n_common.saturating_sub(1);
    old[from.min(old.len())..]
        .iter()
        .chain(&new[from.min(new.len())..])
        .fold(f64::INFINITY, |least, place| least.min(place.0))
}

/// The leftmost place beside those that differ in two outlines of one length.
fn around(old: &[(f64, f64)], new: &[(f64, f64)]) -> f64 {
    let n_places = old.len();
    let others = (0..n_places).filter(|&at| old[at] != new[at]);
    let near = others.flat_map(|at| [(at + n_places - 1) % n_places, at, (at + 1) % n_places]);
    near.map(|at| old[at].0.min(new[at].0)).fold(f64::INFINITY, f64::min)
}

fn left_edge(shape: &Shape) -> f64 {
    let least = |places: &[(f64, f64)]| places.iter().fold(f64::INFINITY, |least, place| least.min(place.0));
    match shape {
        Shape::Line { points: places, .. }
        | Shape::Area { outline: places, .. }
        | Shape::Marks { places, .. } => least(places),
        Shape::Boxes { boxes, .. } => boxes.iter().fold(f64::INFINITY, |least, bounds| least.min(bounds[0])),
        Shape::Ring { x, .. } | Shape::Title { x, .. } => *x,
        // Widths are estimated: a little more than that.
        Shape::Text { x, text, align, .. } => match align {
            Align::Left => *x,
            Align::Centre => x - text_width(text),
            Align::Right => x - 1.5 * text_width(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chart::draw::{Dash, Fill, Ink};

    fn line(points: &[(f64, f64)]) -> Shape {
        Shape::Line {
            points: points.to_vec(),
            ink: Ink::Series(0),
            width: 1.75,
            dash: Dash::Solid,
            alpha: 1.0,
        }
    }

    fn plot(shapes: Vec<Shape>) -> Drawing {
        Drawing { plot: shapes, ..Drawing::default() }
    }

    #[test]
    fn what_moved_at_the_right_end_is_painted_again() {
        let before = plot(vec![line(&[(0.0, 1.0), (10.0, 2.0), (20.0, 3.0)])]);
        assert_eq!(right_of(&before, &before), Some(f64::INFINITY));
        let longer = plot(vec![line(&[(0.0, 1.0), (10.0, 2.0), (20.0, 3.0), (30.0, 1.0)])]);
        assert_eq!(right_of(&before, &longer), Some(20.0));
        assert_eq!(right_of(&longer, &before), Some(20.0));
        let other = plot(vec![line(&[(0.0, 1.0), (10.0, 2.0), (20.0, 9.0)])]);
        assert_eq!(right_of(&before, &other), Some(10.0));
        assert_eq!(right_of(&before, &plot(vec![])), None);
    }

    #[test]
    fn the_watermark_and_its_label_are_painted_again() {
        let at = |x: f64| Drawing {
            front: vec![Shape::text(x, 9.0, "watermark", Ink::Accent, Align::Right)],
            ..plot(vec![line(&[(0.0, 1.0), (100.0, 2.0)])])
        };
        let from = right_of(&at(200.0), &at(205.0)).expect("the right end");
        assert!((100.0..200.0 - text_width("watermark")).contains(&from), "{from}");
    }

    #[test]
    fn another_axis_paints_all() {
        let before = plot(vec![]);
        let back = vec![line(&[(0.0, 0.0), (1.0, 0.0)])];
        assert_eq!(right_of(&before, &Drawing { back, ..plot(vec![]) }), None);
    }

    proptest! {
        /// Left of the place nothing differs: neither a point nor the line between two of them.
        #[test]
        fn nothing_differs_left_of_it(
            values in prop::collection::vec(0_u8..3, 1..40), others in prop::collection::vec(0_u8..3, 1..40), as_area in any::<bool>()
        ) {
            let places = |values: &[u8]| (0_u8..).zip(values).map(|(x, y)| (f64::from(x), f64::from(*y))).collect::<Vec<_>>();
            let (old, new) = (places(&values), places(&others));
            let shape = |places: &[(f64, f64)]| match as_area {
                true => Shape::Area { outline: places.to_vec(), ink: Ink::Series(0), fill: Fill::Solid, alpha: 1.0 },
                false => line(places),
            };
            match right_of(&plot(vec![shape(&old)]), &plot(vec![shape(&new)])) {
                None => prop_assert!(as_area && old.len() != new.len()),
                Some(from) => {
                    for at in 0..old.len().max(new.len()) {
                        if old.get(at) != new.get(at) {
                            prop_assert!(from <= at.saturating_sub(1) as f64, "{} differs, but {}", at, from);
                        }
                    }
                }
            }
        }
    }
}
