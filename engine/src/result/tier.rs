//! Which neighbouring blocks of a series to merge next: a pure function of their weights.
//!
//! A weight counts rows, or bytes where rows are long. Class `c` holds the weights from `16^c` up
//! to `16^(c+1)`. Merging waits until it lifts a run of blocks into the next class, so that a row is
//! copied about once per class, four times in all; a run that never gets there is merged when it has
//! become long.
//!
//! Invariants:
//! 1. Only neighbours are merged: the order of the rows of a series never changes.
//! 2. One merge weighs [`WEIGHT_MAX`] at most: the work of an epoch is bounded.
//! 3. A series of total weight `w` has at most about `2 w / WEIGHT_MAX + RUN_MAX` blocks.

use std::ops::Range;

/// The weight of a full block.
pub(super) const WEIGHT_MAX: u64 = 65_536;
const CLASS_BITS: u32 = 4;
const CLASSES: u32 = 4;
/// So many blocks of a class make one of the next.
const FAN_IN: usize = 16;
/// So many blocks are merged even if they stay in their class. Less would copy large blocks for the
/// sake of a few small ones, more would make readers open more blocks.
const RUN_MAX: usize = 64;

/// How many blocks at the front of `weights` can never be merged with their next one again.
pub(super) fn sealed(weights: impl Iterator<Item = u64> + Clone) -> usize {
    let nexts = weights.clone().skip(1);
    weights.zip(nexts).take_while(|(weight, next)| WEIGHT_MAX < weight + next).count()
}

/// The blocks to merge next, if any; `weights` are those behind the sealed ones.
pub(super) fn next(weights: &[u64]) -> Option<Range<usize>> {
    // Small blocks in front of one that is more than full would wait for ever. Since the first two
    // are not sealed they fit together.
    if weights.iter().any(|weight| CLASSES <= class_of(*weight)) {
        return Some(0..fitting(weights)).filter(|merged| 2 <= merged.len());
    }
    (0..CLASSES).find_map(|class| {
        let n_run = weights.iter().rev().take_while(|weight| class_of(**weight) <= class).count();
        let start = weights.len() - n_run;
        let run = &weights[start..];
        let lifts = 1 << (CLASS_BITS * (class + 1)) <= run.iter().sum::<u64>();
        let due = RUN_MAX <= n_run || (FAN_IN <= n_run && lifts);
        let n_merged = if due { fitting(run) } else { 0 };
        (2 <= n_merged).then(|| start..start + n_merged)
    })
}

/// How many of the first blocks fit into one.
fn fitting(run: &[u64]) -> usize {
    let mut total = 0;
    run.iter()
        .take_while(|weight| {
            total += *weight;
            total <= WEIGHT_MAX
        })
        .count()
}

fn class_of(weight: u64) -> u32 {
    weight.max(1).ilog2() / CLASS_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Appends blocks one by one, merges at most once after each; returns the blocks' weights and
    /// the weight that was copied.
    fn run(appended: impl IntoIterator<Item = u64>) -> (Vec<u64>, u64) {
        let (mut weights, mut copied) = (Vec::new(), 0);
        for weight in appended {
            weights.push(weight);
            let n_sealed = sealed(weights.iter().copied());
            if let Some(range) = next(&weights[n_sealed..]) {
                let range = range.start + n_sealed..range.end + n_sealed;
                let merged: u64 = weights[range.clone()].iter().sum();
                assert!(merged <= WEIGHT_MAX);
                copied += merged;
                weights.splice(range, [merged]);
            }
        }
        (weights, copied)
    }

    #[test]
    fn a_day_of_one_row_epochs_makes_a_few_blocks_and_copies_a_row_four_times() {
        let n_epochs = 345_600;
        let (weights, copied) = run(std::iter::repeat_n(1, n_epochs));
        assert!(weights.len() < 70, "{} blocks", weights.len());
        assert!(copied <= 4 * n_epochs as u64, "{copied}");
    }

    proptest! {
        #[test]
        fn blocks_and_copies_are_bounded(appended in prop::collection::vec(
            prop_oneof![4 => 1..20u64, 2 => 1..2_000u64, 1 => 1..100_000u64], 1..2_000,
        )) {
            let total: u64 = appended.iter().sum();
            let n_appended = appended.len() as u64;
            let (weights, copied) = run(appended);
            prop_assert_eq!(weights.iter().sum::<u64>(), total);
            prop_assert!(weights.len() as u64 <= 2 * total / WEIGHT_MAX + RUN_MAX as u64 + 2);
            prop_assert!(copied <= 6 * total + n_appended * WEIGHT_MAX / (RUN_MAX as u64 / 2));
        }
    }
}
