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

fn read_all(log: &Log, handle: &PipelineHandle, clock: &ManualClock) {
    let n_records = log.n_records();
    until(handle, clock, |snapshot| snapshot.facts().counters.rows_in == n_records);
}

fn stop(handle: PipelineHandle) -> Rows {
    handle.stop();
    handle.join();
    assert_eq!(handle.state(), (State::Stopped, None));
    rows(&handle.snapshot())
}

/// Each partition's next offset.
fn next_offsets(snapshot: &Snapshot) -> Vec<i64> {
    snapshot.facts().partitions.iter().map(|fact| fact.next_offset).collect()
}

fn all_idle(snapshot: &Snapshot) -> bool {
    let partitions = &snapshot.facts().partitions;
    !partitions.is_empty() && partitions.iter().all(|fact| fact.idle)
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

#[test]
fn an_idle_partition_holds_nothing_back_and_gets_a_floor_when_it_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new(vec![vec![(1_000, 1, 1)], vec![(1_000, 2, 1), (30_000, 2, 1)]], 10);
    log.idle_timeout_ms = 100;
    let (handle, clock, _) = start_with(&log, dir.path(), options(2, false));
    until(&handle, &clock, all_idle);
    log.append(1, &[(40_000, 2, 1)]);
    until(&handle, &clock, |snapshot| snapshot.facts().watermark_ms == Some(37_000));
    log.append(0, &[(1_500, 1, 1), (29_000, 1, 1), (38_000, 1, 1)]);
    read_all(&log, &handle, &clock);
    let snapshot = handle.snapshot();
    let facts = snapshot.facts();
    assert_eq!((facts.counters.late_rows, facts.watermark_ms), (2, Some(37_000)));
    let floors: Vec<_> = facts.floors.iter().map(|f| (f.partition, f.next_offset, f.floor_ms)).collect();
    assert_eq!(floors, [(0, 1, 37_000)]);
    assert_eq!(stop(handle).get(&(0, 1)), Some(&(1, 1, true)), "a final row never changes");
}

/// All records are there when it starts, and one partition has none: the windows close when the partitions are idle,
/// whichever of them is so first, and within which epoch.
#[test]
fn windows_close_where_partitions_without_records_are_idle() {
    for parallelism in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(vec![vec![], vec![(1_000, 2, 1), (30_000, 2, 1)], vec![]], 10);
        log.idle_timeout_ms = 100;
        let (handle, clock, _) = start_with(&log, dir.path(), options(parallelism, false));
        until(&handle, &clock, all_idle);
        until(&handle, &clock, |snapshot| snapshot.facts().watermark_ms == Some(27_000));
        assert_eq!(stop(handle).get(&(0, 2)), Some(&(1, 1, true)));
    }
}

#[test]
fn a_partition_with_a_backlog_is_not_idle_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new(vec![vec![(1_000, 1, 1)], vec![(1_000, 2, 1)]], 10);
    log.idle_timeout_ms = 20;
    let (handle, clock, _) = start_with(&log, dir.path(), options(2, false));
    until(&handle, &clock, all_idle);
    stop(handle);
    log.append(0, &[(2_000, 1, 1)]);
    log.append(1, &[(90_000, 2, 1)]);
    log.faults.withheld.lock().unwrap().insert(0);
    let (handle, clock, _) = start_with(&log, dir.path(), options(2, false));
    until(&handle, &clock, |snapshot| snapshot.facts().counters.rows_in == 3);
    log.faults.withheld.lock().unwrap().clear();
    read_all(&log, &handle, &clock);
    let facts = handle.snapshot().facts().clone();
    assert_eq!((facts.counters.late_rows, facts.floors.len()), (0, 0), "it was there to be read all along");
    assert_eq!(stop(handle).get(&(0, 1)).map(|row| row.0), Some(2));
}

/// Lets time pass in which nothing must happen.
fn pass(clock: &ManualClock, ms: i64) {
    for _ in 0..ms {
        clock.advance(1);
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn silence_means_nothing_while_the_registry_or_the_broker_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new(vec![vec![(1_000, 1, 1)], vec![(1_000, 2, 1)]], 1);
    log.idle_timeout_ms = 400;
    let (handle, clock, recorder) = start_with(&log, dir.path(), options(1, false));
    read_all(&log, &handle, &clock);
    pass(&clock, 50);
    // The source is stuck with partition 1 while records of partition 0 come, which it hears of later.
    log.faults.registry_away.store(true, Ordering::SeqCst);
    log.append(1, &[(2_000, 2, 1)]);
    pass(&clock, 50);
    log.faults.withheld.lock().unwrap().insert(0);
    log.append(0, &[(2_000, 1, 1), (3_000, 1, 1)]);
    pass(&clock, 600);
    log.faults.registry_away.store(false, Ordering::SeqCst);
    pass(&clock, 200);
    log.faults.withheld.lock().unwrap().clear();
    read_all(&log, &handle, &clock);
    log.faults.said.lock().unwrap().push(ReaderEvent::Trouble { detail: "no broker".into() });
    pass(&clock, 600);
    log.faults.said.lock().unwrap().push(ReaderEvent::Recovered);
    pass(&clock, 50);
    let fell_idle = |recorder: &Recorder| {
        let seen = recorder.0.lock().unwrap();
        seen.iter().any(|epoch| epoch.snapshot.facts().partitions.iter().any(|fact| fact.idle))
    };
    assert!(!fell_idle(&recorder));
    until(&handle, &clock, all_idle);
    stop(handle);
}

#[test]
fn a_partition_far_ahead_is_not_read_even_if_it_was_assigned_late() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new(vec![vec![(1_000, 1, 1)], vec![(100_000, 2, 1)]], 1);
    log.max_drift_ms = 50_000;
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, false));
    read_all(&log, &handle, &clock);
    stop(handle);
    log.append(1, &[(101_000, 2, 1), (102_000, 2, 1)]);
    log.faults.unassignable.lock().unwrap().insert(1);
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, false));
    log.append(0, &[(2_000, 1, 1)]);
    until(&handle, &clock, |snapshot| snapshot.facts().counters.rows_in == 3);
    log.faults.unassignable.lock().unwrap().clear();
    pass(&clock, 400);
    assert_eq!(next_offsets(&handle.snapshot()), [2, 1], "the slowest has not caught up");
    log.append(0, &[(99_000, 1, 1)]);
    read_all(&log, &handle, &clock);
    stop(handle);
}

/// Takes its time, as a slow disk does, so that epochs are waited for.
#[derive(Default)]
struct Slow(Recorder);

impl Observer for Slow {
    fn committed(&self, epoch: &Arc<Committed>) {
        std::thread::park_timeout(Duration::from_millis(25));
        self.0.committed(epoch);
    }
}

#[test]
fn every_epoch_changes_something() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![], vec![]], 1);
    let slow = Arc::new(Slow::default());
    let observer = Arc::clone(&slow) as Arc<dyn Observer>;
    let clock = Arc::new(ManualClock::new(0));
    let time = Arc::clone(&clock) as Arc<dyn Clock>;
    let handle = try_run(&log, SUM_BY_KEY, dir.path(), options(2, false), time, observer).unwrap();
    for round in 0..3 {
        for i in 0..150 {
            let record = (round * 1_000 + i * 10, i % 3, 1);
            log.append(0, &[record]);
            log.append(1, &[record]);
            pass(&clock, 1);
        }
        read_all(&log, &handle, &clock);
        // Long enough for an epoch that nobody needs.
        pass(&clock, 60);
    }
    stop(handle);
    let epochs = slow.0.0.lock().unwrap();
    for pair in epochs.windows(2) {
        let (before, after) = (pair[0].snapshot.facts(), pair[1].snapshot.facts());
        assert_ne!(before.partitions, after.partitions, "epoch {} is empty", after.epoch);
    }
}

#[test]
fn an_added_partition_is_read_from_its_beginning_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new(vec![vec![(1_000, 1, 1)]], 10);
    log.start = Start::Latest;
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, false));
    until(&handle, &clock, |snapshot| next_offsets(snapshot) == [1]);
    log.append(0, &[(1_000, 1, 1)]);
    until(&handle, &clock, |snapshot| next_offsets(snapshot) == [2]);
    stop(handle);
    log.partitions.lock().unwrap().push(vec![(2_000, 1, 1)]);
    log.faults.unassignable.lock().unwrap().insert(1);
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, false));
    until(&handle, &clock, |snapshot| next_offsets(snapshot).len() == 2);
    stop(handle);
    log.faults.unassignable.lock().unwrap().clear();
    let (handle, clock, _) = start_with(&log, dir.path(), options(1, false));
    until(&handle, &clock, |snapshot| snapshot.facts().counters.rows_in == 2);
    stop(handle);
}

/// Panics at the second epoch.
struct Broken;

impl Observer for Broken {
    fn committed(&self, epoch: &Arc<Committed>) {
        assert!(epoch.epoch.0 < 2, "the observer is broken");
    }
}

#[test]
fn whatever_fails_the_pipeline_fails_with_the_reason_and_ends() {
    let fails = |break_it: &dyn Fn(&Faults), observer: Arc<dyn Observer>, reason: &str| {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<Record> = (0..500).map(|i| (i * 100, i % 3, 1)).collect();
        let log = Log::new(vec![records.clone(), records.clone(), vec![]], 3);
        break_it(&log.faults);
        let clock = Arc::new(LookedAtClock::default());
        let handle = try_run(&log, SUM_BY_KEY, dir.path(), options(3, false), clock, observer).unwrap();
        while handle.state().0 != State::Failed {
            log.append(2, &records[..10]);
            std::thread::park_timeout(Duration::from_millis(1));
        }
        handle.join();
        let (state, error) = handle.state();
        assert!(error.as_ref().is_some_and(|error| error.contains(reason)), "{state:?}: {error:?}");
        drop(handle);
        assert!(open_stopped(dir.path()).is_ok(), "the folder is let go of");
    };
    let quiet = || Arc::new(Recorder::default());
    fails(&|faults| faults.reader_fails.store(true, Ordering::SeqCst), quiet(), "the reader is broken");
    fails(&|faults| faults.decoder_panics.store(true, Ordering::SeqCst), quiet(), "the decoder is broken");
    fails(
        &|faults| faults.coordinator_panics.store(true, Ordering::SeqCst),
        quiet(),
        "coordinator is broken",
    );
    fails(&|_| (), Arc::new(Broken), "the observer is broken");
}

#[test]
fn a_start_that_fails_binds_the_folder_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 1, 1)]], 10);
    log.faults.no_reader.store(true, Ordering::SeqCst);
    let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
    let failed = try_run(&log, SUM_BY_KEY, dir.path(), options(2, true), clock, observer);
    assert!(matches!(failed, Err(StartError::Source(_))));
    log.faults.no_reader.store(false, Ordering::SeqCst);
    let other = SUM_BY_KEY.replace("'10' SECOND", "'20' SECOND");
    assert_eq!(run_to_end(&log, &other, dir.path(), 1).len(), 1);
}
