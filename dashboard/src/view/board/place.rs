//! The cells of the grid on which panels stand.

/// Between two cells, in pixels: as in the style sheet.
const GAP: f64 = 14.0;

/// How many cells a panel has that had `cells`, took `size` pixels with them, and whose edge was moved by `moved` pixels: 1 to
/// `max`.
pub fn resized(cells: u8, size: f64, moved: f64, max: u8) -> u8 {
    let step = (size + GAP) / f64::from(cells.max(1));
    let wanted = f64::from(cells) + (moved / step.max(1.0)).round();
    // It is clamped to what fits.
    wanted.clamp(1.0, f64::from(max.max(1))) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edge_snaps_to_the_next_cell() {
        // Four of twelve columns of 86 px: 4 * 86 + 3 * 14.
        let wide = |moved| resized(4, 386.0, moved, 12);
        assert_eq!([0.0, 49.0, 51.0, 100.0, -60.0, -1e6, 1e6].map(wide), [4, 4, 5, 5, 3, 1, 12]);
    }

    proptest! {
        #[test]
        fn size_is_one_that_the_grid_has(cells in 0_u8..20, size in 0.0..4_000.0, moved in -1e4..1e4, max in 1_u8..13) {
            prop_assert!((1..=max).contains(&resized(cells, size, moved, max)));
        }
    }
}
