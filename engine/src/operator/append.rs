//! The end of a pipeline without aggregation: rows are collected until the barrier, all final.
//!
//! Memory is bounded by the source subtask, which stops taking records when an epoch holds too much.

use crate::operator::{Barrier, Batch, Error, Operator, Output};
use crate::result::TimedRows;

/// Collects the rows of the current epoch.
#[derive(Default)]
pub struct AppendOperator {
    rows: Vec<TimedRows>,
}

impl Operator for AppendOperator {
    fn batch(&mut self, batch: Batch) -> Result<(), Error> {
        match batch {
            Batch::Append(timed) => self.rows.push(timed),
            Batch::Rows(_) | Batch::States { .. } => {
                unreachable!("a plan without aggregation makes no groups")
            }
        }
        Ok(())
    }

    fn barrier(&mut self, _barrier: &Barrier) -> Result<Output, Error> {
        Ok(Output { finals: std::mem::take(&mut self.rows), ..Output::default() })
    }

    fn state_bytes(&self) -> usize {
        self.rows.iter().map(|timed| timed.rows.get_array_memory_size()).sum()
    }
}
