//! A histogram with fixed bounds.

/// Counts of observations at or below each bound.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    bounds: &'static [f64],

    /// One per bound, and one for what is above all of them; not cumulative.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram; `bounds` ascend.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// `(upper bound, observations at or below it)`, the last one with `None` for infinity.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().scan(0, |total, count| {
            *total += count;
            Some(*total)
        }))
    }
}
