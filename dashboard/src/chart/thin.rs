//! Fewer points where more of them fall into one column of pixels than can be seen.

/// Which points to draw, ascending: of each column of pixels the first, the least, the greatest and the last, so that no
/// peak is lost and lines enter and leave a column where they did. `places` ascend; both have the same length.
pub fn pick(places: &[f64], values: &[f64]) -> Vec<usize> {
    debug_assert_eq!(places.len(), values.len(), "a value for each place");
    let mut picked = Vec::new();
    let mut from = 0;
    while from < places.len() {
        let column = places[from].floor();
        let n_inside = places[from..].iter().take_while(|place| place.floor() == column).count();
        let to = from + n_inside;
        if n_inside <= 4 {
            picked.extend(from..to);
        } else {
            let extreme = |is_better: fn(f64, f64) -> bool| {
                (from..to).fold(from, |best, at| if is_better(values[at], values[best]) { at } else { best })
            };
            let mut four = [from, extreme(|at, best| at < best), extreme(|at, best| best < at), to - 1];
            four.sort_unstable();
            let mut last = None;
            picked.extend(four.into_iter().filter(|at| last.replace(*at) != Some(*at)));
        }
        from = to;
    }
    picked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_points_are_all_drawn() {
        assert_eq!(pick(&[0.0, 10.0, 10.5], &[1.0, 2.0, 3.0]), [0, 1, 2]);
        assert!(pick(&[], &[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_peak_is_lost(points in prop::collection::vec((0.0..30.0_f64, -1e6..1e6_f64), 1..400)) {
            let mut points = points;
            points.sort_by(|left, right| left.0.total_cmp(&right.0));
            let (places, values): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
            let picked = pick(&places, &values);
            prop_assert!(picked.is_sorted_by(|left, right| left < right));
            for column in 0..30_u32 {
                let inside = |at: &usize| places[*at].floor() == f64::from(column);
                let all: Vec<usize> = (0..places.len()).filter(inside).collect();
                let kept: Vec<usize> = picked.iter().copied().filter(inside).collect();
                prop_assert!(kept.len() <= 4);
                prop_assert_eq!((all.first(), all.last()), (kept.first(), kept.last()));
                let bounds = |which: &[usize]| {
                    which.iter().map(|at| values[*at]).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
                };
                prop_assert_eq!(bounds(&all), bounds(&kept));
            }
        }
    }
}
