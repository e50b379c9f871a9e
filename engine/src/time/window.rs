//! Windows: which ones hold an event time, and where they end. Pure functions of milliseconds.
//!
//! ```text
//! size 6, slide 2     panes:  ─┤0 ├┤2 ├┤4 ├┤6 ├┤8 ├─       a pane is as long as the slide
//!                     windows: [0        6)
//!                                 [2        8)             a row at 5 is in pane 4, which the
//!                                    [4       10)          windows 0, 2 and 4 read
//! ```
//!
//! Windows are `[start, start + size)` and start at `offset + n * slide`; a tumbling window's slide is
//! its size. A window reads the panes that start in it.

/// All windows of a pipeline. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// A multiple of `slide_ms`.
    pub size_ms: i64,
    /// Positive.
    pub slide_ms: i64,
    pub offset_ms: i64,
}

/// Where a row is kept.
///
/// A row that is late for some of the windows that read its pane, always the earliest, is in a side
/// pane beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaneId {
    /// Start of the pane.
    pub start_ms: i64,
    /// Of a side pane: start of the first window that reads it. `None`: all windows do.
    pub side_ms: Option<i64>,
}

impl PaneId {
    /// The pane that all its windows read.
    #[must_use]
    pub fn whole(start_ms: i64) -> Self {
        Self { start_ms, side_ms: None }
    }
}

impl Windows {
    /// Start of the pane of a row: its last window's, too.
    #[must_use]
    pub fn pane(&self, time_ms: i64) -> i64 {
        tumbling_start(time_ms, self.slide_ms, self.offset_ms)
    }

    /// Start of the first window that reads a pane.
    #[must_use]
    pub fn first(&self, pane_ms: i64) -> i64 {
        pane_ms.saturating_sub(self.size_ms - self.slide_ms)
    }

    /// End of a window.
    #[must_use]
    pub fn end(&self, window_ms: i64) -> i64 {
        window_ms.saturating_add(self.size_ms)
    }

    /// Start of the first window that ends after `closed_ms`.
    #[must_use]
    pub fn first_after(&self, closed_ms: i64) -> i64 {
        self.pane(closed_ms.saturating_sub(self.size_ms)).saturating_add(self.slide_ms)
    }

    /// Windows that a row is in.
    #[must_use]
    pub fn n_per_row(&self) -> i64 {
        self.size_ms / self.slide_ms
    }
}

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
        fn windows_of_a_row_are_those_that_hold_it(
            time in -1_000i64..1_000,
            slide in 1i64..40,
            n in 1i64..8,
            offset in -100i64..100,
            closed in -1_000i64..1_000,
        ) {
            let windows = Windows { size_ms: n * slide, slide_ms: slide, offset_ms: offset };
            let aligned = |start: &i64| (start - offset).rem_euclid(slide) == 0;
            let holding: Vec<i64> =
                (time - windows.size_ms + 1..=time).filter(aligned).collect();
            prop_assert_eq!(holding.len() as i64, windows.n_per_row());
            prop_assert_eq!(holding[0], windows.first(windows.pane(time)));
            prop_assert_eq!(holding[holding.len() - 1], windows.pane(time));
            let open = (closed - windows.size_ms + 1..).find(aligned);
            prop_assert_eq!(windows.first_after(closed), open.unwrap());
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
