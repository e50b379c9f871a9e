//! Stops at any moment, with whatever parallelism, of every kind of pipeline: nothing is lost, nothing
//! is counted twice.

use super::*;
use crate::time::ManualClock;

/// What is away while a run goes on, and when it is stopped.
#[derive(Debug, Clone)]
struct Run {
    parallelism: usize,
    epoch_ms: u64,
    registry_away: bool,
    withheld: Option<i32>,
    stop_after_ms: i64,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run =
        (1usize..4, prop::sample::select(vec![1u64, 30]), any::<bool>(), prop::option::of(0i32..3), 0i64..40);
    let run = run.prop_map(|(parallelism, epoch_ms, registry_away, withheld, stop_after_ms)| Run {
        parallelism,
        epoch_ms,
        registry_away,
        withheld,
        stop_after_ms,
    });
    prop::collection::vec(run, 1..5)
}

/// Runs the log in pieces, as `runs` say, the last one to the end.
fn in_pieces(log: &Log, sql: &str, dir: &Path, runs: &[Run]) -> PipelineHandle {
    let last =
        Run { parallelism: 2, epoch_ms: 1, registry_away: false, withheld: None, stop_after_ms: i64::MAX };
    for run in runs.iter().chain([&last]) {
        log.faults.registry_away.store(run.registry_away, Ordering::SeqCst);
        *log.faults.withheld.lock().unwrap() = run.withheld.into_iter().collect();
        let clock = Arc::new(ManualClock::new(1_000));
        let options = PipelineOptions { epoch_ms: run.epoch_ms, ..options(run.parallelism, true) };
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let handle = try_run(log, sql, dir, options, time, Arc::new(Recorder::default())).unwrap();
        for ms in 0..20_000 {
            if run.stop_after_ms <= ms {
                handle.stop();
            }
            if matches!(handle.state().0, State::Stopped | State::Failed) {
                break;
            }
            clock.advance(1);
            std::thread::park_timeout(Duration::from_millis(1));
        }
        assert_eq!(handle.state(), (State::Stopped, None), "{run:?}");
        if run.stop_after_ms == i64::MAX {
            return handle;
        }
    }
    unreachable!("the last run goes to the end")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_right_whenever_a_bounded_run_was_stopped(
        partitions in logs(),
        runs in runs(),
        records_per_poll in 1usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), records_per_poll);
        let handle = in_pieces(&log, SUM_BY_KEY, dir.path(), &runs);
        let (expected, _) = recompute(&partitions);
        prop_assert_eq!(rows(&handle.snapshot()), expected);
        prop_assert_eq!(handle.snapshot().facts().counters.rows_in, log.n_records());
    }

    #[test]
    fn rows_are_appended_once_whenever_a_bounded_run_was_stopped(
        partitions in logs(),
        runs in runs(),
        records_per_poll in 1usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), records_per_poll);
        let handle = in_pieces(&log, "SELECT at, key, amount FROM log WHERE 0 < amount", dir.path(), &runs);
        let mut appended = Vec::new();
        for batch in handle.snapshot().scan(None, None).unwrap() {
            let batch = batch.unwrap();
            let at = batch.column(0).as_primitive::<TimestampMillisecondType>();
            let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
            appended.extend((0..batch.num_rows()).map(|i| (at.value(i), column(1).value(i), column(2).value(i))));
        }
        appended.sort_unstable();
        let mut expected: Vec<Record> = partitions.concat();
        expected.retain(|(_, _, amount)| 0 < *amount);
        expected.sort_unstable();
        prop_assert_eq!(handle.snapshot().facts().counters.rows_out, expected.len() as u64);
        prop_assert_eq!(appended, expected);
    }
}

#[test]
fn a_provisional_row_comes_and_goes_by_having_and_so_it_is_after_a_restart() {
    let sql = format!("{SUM_BY_KEY} HAVING sum(amount) < 10");
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![]], 10);
    let shown = |handle: &PipelineHandle| {
        while handle.snapshot().facts().counters.rows_in < log.n_records() {
            assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
            std::thread::park_timeout(Duration::from_millis(1));
        }
        rows(&handle.snapshot()).get(&(0, 1)).copied()
    };
    let (handle, recorder) = run(&log, &sql, dir.path(), 1, false);
    log.append(0, &[(1_000, 1, 5)]);
    assert_eq!(shown(&handle), Some((1, 5, false)));
    log.append(0, &[(1_500, 1, 20)]);
    assert_eq!(shown(&handle), None, "25 is not below 10");
    let n_deleted: usize =
        recorder.0.lock().unwrap().iter().flat_map(|epoch| &epoch.deletes).map(RecordBatch::num_rows).sum();
    assert_eq!(n_deleted, 1, "and who follows the epochs is told");
    // Snapshots, too, hold the folder.
    drop((handle, recorder));
    let (handle, _) = run(&log, &sql, dir.path(), 2, false);
    assert_eq!(shown(&handle), None);
    log.append(0, &[(2_000, 1, -18)]);
    assert_eq!(shown(&handle), Some((3, 7, false)));
    drop(handle);
    assert_eq!(run_to_end(&log, &sql, dir.path(), 1).get(&(0, 1)), Some(&(3, 7, true)));
}

#[test]
fn a_run_that_finds_nothing_new_makes_no_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 1, 5)], vec![(2_000, 2, 7)], vec![]], 10);
    let (handle, _) = run(&log, SUM_BY_KEY, dir.path(), 2, false);
    while handle.snapshot().facts().counters.rows_in < log.n_records() {
        assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    handle.stop();
    handle.join();
    let epoch = handle.snapshot().epoch();
    drop(handle);

    // Long enough for a hundred epochs.
    let (handle, recorder) = run(&log, SUM_BY_KEY, dir.path(), 2, false);
    while handle.state() != (State::Running, None) {
        assert_eq!(handle.state(), (State::Starting, None));
        std::thread::park_timeout(Duration::from_millis(1));
    }
    std::thread::park_timeout(Duration::from_millis(200));
    handle.stop();
    handle.join();
    assert_eq!((handle.snapshot().epoch(), recorder.0.lock().unwrap().len()), (epoch, 0));
    drop((handle, recorder));

    // A bounded one closes what is open, once.
    let (handle, _) = run(&log, SUM_BY_KEY, dir.path(), 2, true);
    handle.join();
    assert!(epoch < handle.snapshot().epoch());
    let (epoch, all) = (handle.snapshot().epoch(), rows(&handle.snapshot()));
    assert!(all.len() == 2 && all.values().all(|row| row.2), "{all:?}");
    drop(handle);
    let (handle, recorder) = run(&log, SUM_BY_KEY, dir.path(), 2, true);
    handle.join();
    assert_eq!(handle.state(), (State::Stopped, None));
    assert_eq!((handle.snapshot().epoch(), recorder.0.lock().unwrap().len()), (epoch, 0));
    assert_eq!(rows(&handle.snapshot()), all);
    drop((handle, recorder));

    // Other settings are kept at once: a stopped folder shows nothing provisional that is not wanted.
    log.append(0, &[(90_000, 1, 1)]);
    let mut epoch = epoch;
    for (provisional, n_open) in [(true, 1), (false, 0)] {
        let options = PipelineOptions { provisional, ..options(2, false) };
        let clock = Arc::new(LookedAtClock::default());
        let handle = try_run(&log, SUM_BY_KEY, dir.path(), options, clock, Arc::new(Recorder::default()));
        let handle = handle.unwrap();
        let is_read = |snapshot: &Snapshot| snapshot.facts().counters.rows_in == log.n_records();
        while handle.snapshot().epoch() == epoch || !is_read(&handle.snapshot()) {
            assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
            std::thread::park_timeout(Duration::from_millis(1));
        }
        handle.stop();
        handle.join();
        epoch = handle.snapshot().epoch();
        drop(handle);
        let stopped = rows(&open_stopped(dir.path()).unwrap().snapshot);
        assert_eq!(stopped.values().filter(|row| !row.2).count(), n_open);
    }

    // Nor is a topic without partitions waited for.
    let handle = run(&Log::new(vec![], 10), SUM_BY_KEY, &dir.path().join("empty"), 1, true).0;
    handle.join();
    assert_eq!((handle.state(), handle.snapshot().epoch().0), ((State::Stopped, None), 0));
}
