//! The partitions of one source subtask: positions, watermarks, floors, idleness, bounded ends.
//!
//! Invariants:
//! 1. A partition that was idle, or new, when a row arrives gets a floor first: what was closed
//!    without it stays closed.
//! 2. Idle means read to its end and nothing new for `idle_timeout`, with a broker that works.

use std::collections::BTreeMap;

use crate::facts::{FloorFact, PartitionFact};
use crate::time::Epoch;
use crate::time::watermark::PartitionTime;

/// One partition being read.
#[derive(Debug)]
pub struct PartitionState {
    pub time: PartitionTime,
    pub next_offset: i64,
    pub idle: bool,
    /// First offset that a bounded run does not read.
    pub bounded_end: Option<i64>,
    pub paused: bool,
    name: Option<String>,
    at_end: bool,
    quiet_since_ns: u64,
}

impl PartitionState {
    /// Whether a bounded run has read it all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.bounded_end.is_some_and(|end| end <= self.next_offset)
    }

    /// The broker says that the next offset is the partition's end.
    pub fn reached_end(&mut self, now_ns: u64) {
        if !self.at_end {
            (self.at_end, self.quiet_since_ns) = (true, now_ns);
        }
    }

    /// Records of it are there, not yet dealt with: it is not at its end.
    pub fn heard(&mut self) {
        self.at_end = false;
    }

    /// Stops to be read, or goes on. What came meanwhile is still to be heard of.
    pub fn set_paused(&mut self, paused: bool, now_ns: u64) {
        (self.paused, self.quiet_since_ns) = (paused, now_ns);
    }

    /// Records up to `next_offset` were taken.
    pub fn advance(&mut self, next_offset: i64) {
        self.next_offset = next_offset;
        self.at_end = false;
    }
}

/// All partitions of one source subtask.
#[derive(Debug, Default)]
pub struct Partitions {
    states: BTreeMap<i32, PartitionState>,
    /// Windows that end at or before it are closed, as of the last barrier.
    closed_ms: Option<i64>,
    floors: Vec<FloorFact>,
}

impl Partitions {
    /// Starts with what was closed when the pipeline was last committed.
    #[must_use]
    pub fn new(closed_ms: Option<i64>) -> Self {
        Self { closed_ms, ..Self::default() }
    }

    /// Adds a partition as it was last committed, or a new one. Windows closed so far, also those that
    /// a bounded run or a smaller `lateness` closed, are closed to it. Returns whether that raised its
    /// floor.
    pub fn assign(&mut self, fact: &PartitionFact, lateness_ms: i64, now_ns: u64) -> bool {
        let time = PartitionTime { watermark_ms: fact.watermark_ms, floor_ms: fact.floor_ms };
        let state = PartitionState {
            time,
            next_offset: fact.next_offset,
            idle: fact.idle,
            bounded_end: fact.bounded_end,
            paused: false,
            name: fact.name.clone(),
            at_end: false,
            quiet_since_ns: now_ns,
        };
        self.states.insert(fact.partition, state);
        let n_floors = self.floors.len();
        self.raise_floor(fact.partition, lateness_ms, fact.next_offset);
        n_floors < self.floors.len()
    }

    /// The state of an assigned partition.
    pub fn get(&mut self, partition: i32) -> Option<&mut PartitionState> {
        self.states.get_mut(&partition)
    }

    /// All of them, ascending by partition.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut PartitionState)> {
        self.states.iter_mut().map(|(partition, state)| (*partition, state))
    }

    /// Makes a partition active before the row at `offset` is judged.
    pub fn wake(&mut self, partition: i32, lateness_ms: i64, offset: i64) {
        if self.states.get(&partition).is_some_and(|state| state.idle) {
            self.raise_floor(partition, lateness_ms, offset);
            if let Some(state) = self.states.get_mut(&partition) {
                state.idle = false;
            }
        }
    }

    /// Marks partitions idle that have been silent long enough. Returns whether any became idle.
    /// Silence before `listening_since_ns` means nothing.
    pub fn fall_idle(&mut self, idle_timeout_ms: i64, now_ns: u64, listening_since_ns: u64) -> bool {
        let timeout_ns = u64::try_from(idle_timeout_ms).unwrap_or(0).saturating_mul(1_000_000);
        let mut any = false;
        for state in self.states.values_mut() {
            let since = state.quiet_since_ns.max(listening_since_ns);
            if !state.idle && state.at_end && !state.paused && since.saturating_add(timeout_ns) <= now_ns {
                (state.idle, any) = (true, true);
            }
        }
        any
    }

    /// Windows that end at or before it are closed, as of the last barrier.
    #[must_use]
    pub fn closed_ms(&self) -> Option<i64> {
        self.closed_ms
    }

    /// The barrier has passed: windows up to `closed_ms` are closed.
    pub fn close(&mut self, closed_ms: Option<i64>) {
        self.closed_ms = self.closed_ms.max(closed_ms);
    }

    /// What is to be committed with the epoch.
    #[must_use]
    pub fn facts(&self) -> Vec<PartitionFact> {
        let fact = |(partition, state): (&i32, &PartitionState)| PartitionFact {
            partition: *partition,
            next_offset: state.next_offset,
            watermark_ms: state.time.watermark_ms,
            idle: state.idle,
            floor_ms: state.time.floor_ms,
            bounded_end: state.bounded_end,
            name: state.name.clone(),
            end_offset: None,
        };
        self.states.iter().map(fact).collect()
    }

    /// Floors set since the last call, as of `epoch`.
    pub fn take_floors(&mut self, epoch: Epoch) -> Vec<FloorFact> {
        let mut floors = std::mem::take(&mut self.floors);
        floors.iter_mut().for_each(|floor| floor.epoch = epoch);
        floors
    }

    fn raise_floor(&mut self, partition: i32, lateness_ms: i64, next_offset: i64) {
        let Some(state) = self.states.get_mut(&partition) else { return };
        if state.time.raise_floor(self.closed_ms, lateness_ms) {
            let floor_ms = state.time.floor_ms.expect("a raised floor is set");
            self.floors.push(FloorFact { epoch: Epoch(0), partition, next_offset, floor_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(partition: i32) -> PartitionFact {
        PartitionFact {
            partition,
            next_offset: 0,
            watermark_ms: None,
            idle: false,
            floor_ms: None,
            bounded_end: None,
            name: None,
            end_offset: None,
        }
    }

    #[test]
    fn a_partition_that_wakes_gets_a_floor_once() {
        let mut partitions = Partitions::new(None);
        partitions.assign(&fact(0), 0, 0);
        partitions.get(0).unwrap().reached_end(0);
        assert!(!partitions.fall_idle(10, 9_000_000, 0), "not yet");
        assert!(partitions.fall_idle(10, 10_000_000, 0));
        partitions.close(Some(70));
        partitions.wake(0, 0, 5);
        partitions.wake(0, 0, 6);
        let floors = partitions.take_floors(Epoch(3));
        assert_eq!(floors, [FloorFact { epoch: Epoch(3), partition: 0, next_offset: 5, floor_ms: 70 }]);
        assert!(!partitions.facts()[0].idle);
    }

    #[test]
    fn silence_of_a_broker_in_trouble_is_not_idleness() {
        let mut partitions = Partitions::new(None);
        partitions.assign(&fact(0), 0, 0);
        partitions.get(0).unwrap().reached_end(0);
        assert!(!partitions.fall_idle(10, 20_000_000, 15_000_000));
        assert!(partitions.fall_idle(10, 25_000_000, 15_000_000));
    }

    #[test]
    fn a_partition_added_later_cannot_reopen_windows() {
        let mut partitions = Partitions::new(Some(70));
        partitions.assign(&fact(1), 0, 0);
        assert_eq!(partitions.facts()[0].floor_ms, Some(70));
    }
}
