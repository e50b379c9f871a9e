//! Windows: which one holds an event time, and where it ends. Pure functions of milliseconds.
//!
//! Windows are `[start, start + size)` and start at `offset + n * size`.

/// Start of the tumbling window that holds `time_ms`.
///
/// `rem_euclid`, not `%`: a time before 1970 is negative, and `%` would round it up, into the window
/// after its own. Saturates at the ends of `i64`, where no real time is.
#[must_use]
pub fn tumbling_start(time_ms: i64, size_ms: i64, offset_ms: i64) -> i64 {
    debug_assert!(0 < size_ms, "the planner refuses windows of size 0");
    let offset_ms = offset_ms.rem_euclid(size_ms);
    time_ms.saturating_sub(time_ms.saturating_sub(offset_ms).rem_euclid(size_ms))
}

/// Event times in milliseconds from a timestamp column's own unit, rounded down.
#[must_use]
pub fn floor_to_ms(value: i64, per_ms: i64) -> i64 {
    if per_ms == 1 { value } else { value.div_euclid(per_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_holds_its_time_and_is_aligned(
            time in -10_000_000_000_000i64..10_000_000_000_000,
            size in 1i64..1_000_000_000,
            offset in -1_000_000_000i64..1_000_000_000,
        ) {
            let start = tumbling_start(time, size, offset);
            prop_assert!(start <= time && time < start + size);
            prop_assert_eq!((start - offset).rem_euclid(size), 0);
        }

        #[test]
        fn rounding_to_milliseconds_keeps_the_window(
            micros in -1_000_000_000_000i64..1_000_000_000_000,
            size_ms in 1i64..100_000,
        ) {
            let exact = micros - micros.rem_euclid(size_ms * 1_000);
            prop_assert_eq!(tumbling_start(floor_to_ms(micros, 1_000), size_ms, 0) * 1_000, exact);
        }
    }
}
