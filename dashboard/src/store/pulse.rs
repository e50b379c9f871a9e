//! The last minute of a pipeline's rates, for the small line beside its figure.

use weir_api::Status;

/// Rates kept: one a second.
pub const HISTORY: usize = 60;

/// What the statuses of one pipeline add to its row in the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pulse {
    rates: Vec<f64>,
    lag_records: Option<u64>,
}

impl Pulse {
    /// Takes the next status.
    pub fn beat(&mut self, status: &Status) {
        if self.rates.len() == HISTORY {
            self.rates.remove(0);
        }
        self.rates.push(status.rows_per_second);
        self.lag_records = status.lag_records;
    }

    /// Rows per second, oldest first, at most [`HISTORY`].
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Records that are in Kafka and not yet read.
    pub fn lag_records(&self) -> Option<u64> {
        self.lag_records
    }
}
