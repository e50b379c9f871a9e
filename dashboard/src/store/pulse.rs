//! The last minute of a pipeline's statuses: its rates for the small line, and what was late or dead of late.

use std::collections::VecDeque;

use weir_api::Status;

/// Statuses kept: one a second.
pub const HISTORY: usize = 60;

/// What the statuses of one pipeline add to its row in the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pulse {
    beats: VecDeque<Beat>,
    lag_records: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Beat {
    rows_per_second: f64,
    late_rows: u64,
    dead_letters: u64,
}

impl Pulse {
    /// Takes the next status.
    pub fn beat(&mut self, status: &Status) {
        if self.beats.len() == HISTORY {
            self.beats.pop_front();
        }
        self.beats.push_back(Beat {
            rows_per_second: status.rows_per_second,
            late_rows: status.late_rows,
            dead_letters: status.dead_letters,
        });
        self.lag_records = status.lag_records;
    }

    /// Rows per second, oldest first, at most [`HISTORY`].
    pub fn rates(&self) -> impl ExactSizeIterator<Item = f64> {
        self.beats.iter().map(|beat| beat.rows_per_second)
    }

    /// The newest rate.
    pub fn rate(&self) -> Option<f64> {
        self.beats.back().map(|beat| beat.rows_per_second)
    }

    /// Records that are in Kafka and not yet read.
    pub fn lag_records(&self) -> Option<u64> {
        self.lag_records
    }

    /// Late rows of the last minute, as far as it was seen.
    pub fn late_rows_recent(&self) -> u64 {
        self.recent(|beat| beat.late_rows)
    }

    /// Dead letters of the last minute, as far as it was seen; late rows included.
    pub fn dead_letters_recent(&self) -> u64 {
        self.recent(|beat| beat.dead_letters)
    }

    /// A counter that went back (a pipeline that was started over) has nothing recent.
    fn recent(&self, counter: impl Fn(&Beat) -> u64) -> u64 {
        match (self.beats.front(), self.beats.back()) {
            (Some(first), Some(last)) => counter(last).saturating_sub(counter(first)),
            _ => 0,
        }
    }
}
