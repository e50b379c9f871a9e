//! Pipelines to which something happens: brokers and registries that are away, partitions that fall
//! silent, threads that fail, stops at any moment.

use super::*;
use crate::time::ManualClock;

/// Makes time pass until `done`, one millisecond at a time.
fn until(handle: &PipelineHandle, clock: &ManualClock, mut done: impl FnMut(&Snapshot) -> bool) {
    for _ in 0..20_000 {
        if done(&handle.snapshot()) {
            return;
        }
        assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
        clock.advance(1);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("it did not happen: {:?}, {:?}", handle.snapshot().facts(), handle.live().trouble);
}

/// Makes time pass until a bounded run is done, or something has failed.
fn until_ended(handle: &PipelineHandle, clock: &ManualClock) {
    for _ in 0..20_000 {
        if matches!(handle.state().0, State::Stopped | State::Failed) {
            return;
        }
        clock.advance(1);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("it did not end: {:?}, {:?}", handle.snapshot().facts(), handle.live().trouble);
}

fn start_with(
    log: &Log,
    dir: &Path,
    options: PipelineOptions,
) -> (PipelineHandle, Arc<ManualClock>, Arc<Recorder>) {
    let clock = Arc::new(ManualClock::new(1_000));
    let recorder = Arc::new(Recorder::default());
    let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
    let handle = try_run(log, SUM_BY_KEY, dir, options, Arc::clone(&clock) as Arc<dyn Clock>, observer);
    (handle.unwrap(), clock, recorder)
}

/// Each partition's next offset.
fn next_offsets(snapshot: &Snapshot) -> Vec<i64> {
    snapshot.facts().partitions.iter().map(|fact| fact.next_offset).collect()
}

#[test]
fn a_bounded_run_leaves_what_comes_after_its_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 1, 1)], vec![(1_000, 2, 1)]], 10);
    log.faults.withheld.lock().unwrap().extend([0, 1]);
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, true));
    until(&handle, &clock, |snapshot| next_offsets(snapshot) == [0, 0]);
    // Partition 0 goes on past its end while partition 1 has still to be read.
    log.append(0, &[(2_000, 1, 10), (30_000, 1, 100)]);
    log.faults.withheld.lock().unwrap().remove(&0);
    until(&handle, &clock, |snapshot| snapshot.facts().counters.rows_in == 1);
    for _ in 0..50 {
        clock.advance(1);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    log.faults.withheld.lock().unwrap().clear();
    until_ended(&handle, &clock);
    assert_eq!(next_offsets(&handle.snapshot()), [1, 1]);
    drop(handle);
    let later = run_to_end(&log, SUM_BY_KEY, dir.path(), 1);
    assert_eq!(later.get(&(30_000, 1)), Some(&(1, 100, true)));
}
