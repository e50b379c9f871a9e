//! Variance and standard deviation: count, mean and sum of squared differences.
//!
//! Welford's update and Chan's merge ("Algorithms for computing the sample variance", The American
//! Statistician 37, 1983), with mean and sum each kept in two floats whose sum is the value. In one
//! float the error of the mean alone costs digits in proportion to mean / deviation: values around
//! 10^9 that differ by 10^3 would leave the 1e-12 that another order of rows may differ by.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::{Accumulator, Input, each_value, gather, primitive, selection};
use crate::aggregate::Error;

/// A float in two parts, the second at most half a unit in the last place of the first.
#[derive(Clone, Copy, Default)]
struct Double {
    high: f64,
    low: f64,
}

impl Double {
    /// Adds with a relative error of about 2^-100 (Knuth's two-sum).
    #[inline]
    fn add(self, value: f64) -> Self {
        let sum = self.high + value;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (value - part);
        let low = self.low + error;
        let high = sum + low;
        Self { high, low: low - (high - sum) }
    }
}

#[derive(Clone, Copy, Default)]
struct State {
    count: i64,
    mean: Double,
    /// Sum of the squared differences from the mean.
    squares: Double,
}

impl State {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = (value - self.mean.high) - self.mean.low;
        self.mean = self.mean.add(before / self.count as f64);
        let after = (value - self.mean.high) - self.mean.low;
        self.squares = self.squares.add(before * after);
    }

    fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        let (own, others) = (self.count as f64, other.count as f64);
        self.count = self.count.wrapping_add(other.count);
        let all = self.count as f64;
        let delta = (other.mean.high - self.mean.high) + (other.mean.low - self.mean.low);
        self.mean = self.mean.add(delta * (others / all));
        let between = delta * delta * (own * (others / all));
        self.squares = self.squares.add(other.squares.high).add(other.squares.low).add(between);
    }
}

pub(super) struct Moments {
    sample: bool,
    root: bool,

    states: Vec<State>,
}

impl Moments {
    pub(super) fn new(sample: bool, root: bool) -> Self {
        Self { sample, root, states: Vec::new() }
    }

    /// Null without values; a sample of one has no variance either.
    fn result(&self, state: State) -> Option<f64> {
        let divisor = state.count - i64::from(self.sample);
        if divisor <= 0 {
            return None;
        }
        // A sum of squares can't be negative, but its rounding can.
        let squares = state.squares.high + state.squares.low;
        let variance = if squares < 0.0 { 0.0 } else { squares } / divisor as f64;
        Some(if self.root { variance.sqrt() } else { variance })
    }

    fn column(&self, groups: &[u32], part: impl Fn(&State) -> f64) -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            groups.iter().map(|group| part(&self.states[*group as usize])),
        ))
    }
}

impl Accumulator for Moments {
    fn state_fields(&self) -> Vec<(String, DataType)> {
        let float = |name: &str| (name.to_owned(), DataType::Float64);
        let count = ("count".to_owned(), DataType::Int64);
        vec![count, float("mean"), float("mean_low"), float("m2"), float("m2_low")]
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Self::new(self.sample, self.root))
    }

    fn grow(&mut self, n_groups: usize) -> Result<(), Error> {
        self.states.resize(n_groups, State::default());
        Ok(())
    }

    fn update(&mut self, input: &Input<'_>) -> Result<(), Error> {
        let array = primitive::<Float64Type>(&input.args[0])?;
        let selected = selection(array, input.filter);
        let states = &mut self.states[..];
        each_value(input.groups, array.values(), selected.as_ref(), |group, value| states[group].add(value));
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &[ArrayRef]) -> Result<(), Error> {
        let counts = primitive::<Int64Type>(&states[0])?.values();
        let mut parts = Vec::with_capacity(4);
        for column in &states[1..] {
            parts.push(primitive::<Float64Type>(column)?.values());
        }
        let [mean, mean_low, squares, squares_low] = parts[..] else {
            let found = format!("{} columns", states.len());
            return Err(Error::Mismatch { expected: "5 columns of moments".to_owned(), found });
        };
        for (row, group) in groups.iter().enumerate() {
            self.states[*group as usize].merge(State {
                count: counts[row],
                mean: Double { high: mean[row], low: mean_low[row] },
                squares: Double { high: squares[row], low: squares_low[row] },
            });
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) -> Result<(), Error> {
        groups.iter().for_each(|group| self.states[*group as usize] = State::default());
        Ok(())
    }

    fn evaluate(&mut self, groups: &[u32], _: &mut Vec<(u32, String)>) -> Result<ArrayRef, Error> {
        let results = gather(groups, &self.states).into_iter().map(|state| self.result(state));
        Ok(Arc::new(results.collect::<Float64Array>()))
    }

    fn state(&mut self, groups: &[u32], columns: &mut Vec<ArrayRef>) -> Result<(), Error> {
        let counts = groups.iter().map(|group| self.states[*group as usize].count);
        columns.push(Arc::new(Int64Array::from_iter_values(counts)));
        columns.push(self.column(groups, |state| state.mean.high));
        columns.push(self.column(groups, |state| state.mean.low));
        columns.push(self.column(groups, |state| state.squares.high));
        columns.push(self.column(groups, |state| state.squares.low));
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.states.capacity() * size_of::<State>()
    }

    fn clear(&mut self) {
        self.states.clear();
    }
}
